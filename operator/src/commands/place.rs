//! What a command is about: the databases of a directory or of a cluster, each with what is wanted of it and
//! what was published of it.

use dbop_api::ManagedDatabaseStatus;
use dbop_model::ObjectRef;

use super::cluster::Objects;
use super::directory::Directory;
use crate::cli;
use crate::render::Failure;

/// A database, as it was published last.
pub(crate) struct Shown {
    pub(crate) id: ObjectRef,
    /// What is desired now; the status may be of an earlier look.
    pub(crate) desired: Option<String>,
    pub(crate) status: Option<ManagedDatabaseStatus>,
}

/// Where the databases are.
pub(crate) enum Place {
    Directory(Box<Directory>),
    Cluster(Box<Objects>),
}

impl Place {
    pub(crate) async fn open(place: &cli::Place) -> Result<Self, Failure> {
        Ok(match &place.local {
            Some(local) => {
                let directory = Directory::open(local, place.state.as_deref())?;
                Place::Directory(Box::new(directory))
            }
            None => Place::Cluster(Box::new(Objects::of(place).await?)),
        })
    }

    /// These databases; without a name, all.
    pub(crate) async fn shown(&self, names: &[String]) -> Result<Vec<Shown>, Vec<Failure>> {
        match self {
            Place::Directory(directory) => {
                let mut all = Vec::new();
                for id in directory.databases(names)? {
                    all.push(Shown {
                        status: directory.status(&id)?,
                        desired: directory.desired(&id).map(str::to_owned),
                        id,
                    });
                }
                Ok(all)
            }
            Place::Cluster(objects) => {
                let all = objects.databases(names).await?.into_iter();
                let shown = all.map(|(id, object)| Shown {
                    id,
                    desired: Some(object.spec.desired_schema_version),
                    status: object.status,
                });
                Ok(shown.collect())
            }
        }
    }

    /// Who publishes there, for those who see nothing.
    pub(crate) fn publisher(&self) -> &'static str {
        match self {
            Place::Directory(_) => "is `local` running on this directory?",
            Place::Cluster(_) => "is the operator running, and does it look after this namespace?",
        }
    }
}

//! The engine on a directory or on a cluster: the platform, the way to databases, the machine's clock and
//! randomness.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dbop_engine::{Engine, Platform};
use dbop_kubernetes::access::{Cluster, cluster_id};
use dbop_kubernetes::{KubernetesPlatform, Settings};
use dbop_local::{LocalOptions, LocalPlatform, Runtime, Supervisor};

use super::cluster::failure;
use super::directory::opening;
use crate::backends;
use crate::render::Failure;
use crate::shell::{SystemClock, SystemEntropy};

/// The options of a directory.
pub(crate) fn options(
    directory: PathBuf,
    state: Option<PathBuf>,
    runtime: Runtime,
) -> Result<LocalOptions, Failure> {
    let program = std::env::current_exe().map_err(|error| {
        Failure::new(format!(
            "the program does not know where it is, and cannot supervise runs: {error}"
        ))
    })?;
    let supervisor = Supervisor {
        program,
        arguments: vec!["supervise".to_owned()],
    };
    Ok(LocalOptions {
        directory,
        state,
        runtime,
        supervisor,
    })
}

/// A platform that only looks.
pub(crate) fn look(path: &Path, state: Option<&Path>) -> Result<LocalPlatform, Failure> {
    let options = options(path.to_owned(), state.map(Path::to_owned), Runtime::Process)?;
    LocalPlatform::read(options, Arc::new(SystemClock)).map_err(|error| opening(&error))
}

/// A cluster that is only looked at: its client cannot write. Its databases are claimed for `id`, where the
/// operator was given one.
pub(crate) async fn looking(
    cluster: &Cluster,
    id: Option<String>,
) -> Result<Arc<dyn Platform>, Failure> {
    let client = cluster.looking().map_err(|e| failure(&e))?;
    let id = match id {
        Some(id) => id,
        None => cluster_id(&client).await.map_err(|e| failure(&e))?,
    };
    let settings = Settings {
        cluster: id,
        ..Settings::default()
    };
    let clock = Arc::new(SystemClock);
    Ok(Arc::new(KubernetesPlatform::looking(
        client, settings, clock,
    )))
}

/// The engine on a platform.
pub(crate) fn engine(platform: Arc<dyn Platform>) -> Engine {
    Engine::new(
        platform,
        backends::connector(),
        Arc::new(SystemClock),
        Arc::new(SystemEntropy),
    )
}

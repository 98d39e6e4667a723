//! `rotate`: a person wants other logins for the credentials of a database.
//!
//! It is left in the state directory for `local`, or on the object in a cluster, and names each credential with the time
//! since when its Secret names the login that is to go. So it is done once, and whose clock is right does not matter.

use dbop_api::status::CredentialStatus;
use dbop_api::{ManagedDatabaseStatus, ROTATE_ANNOTATION, rotation};
use dbop_kubernetes::access::{self, AccessError};
use dbop_local::{Request, request};
use dbop_model::{MigrationName, ObjectRef};
use dbop_plan::RotationAsked;
use serde::Serialize;

use super::cluster::{self, Objects};
use super::directory::Directory;
use super::place::Place;
use super::word::ATTEMPTS_MAX;
use super::{Console, Done, Exit};
use crate::cli::RotateArgs;
use crate::render::Failure;
use crate::render::text::{COLUMNS, wrap};

#[derive(Serialize)]
struct Result {
    database: String,
    said: &'static str,
    credentials: Vec<Rotated>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rotated {
    migration: String,
    /// The login that is to go.
    username: Option<String>,
    /// What has to go before, where there is a login from an earlier rotation.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<String>,
}

pub(super) async fn run(args: &RotateArgs, console: Console) -> Done {
    let wanted = args.migration.as_deref();
    let place = Place::open(&args.place).await?;
    let (id, credentials, when) = match &place {
        Place::Directory(directory) => {
            let (id, credentials) = left(directory, &args.database, wanted)?;
            let when = "a running `local` acts on it at once, otherwise the next one";
            (id, credentials, when)
        }
        Place::Cluster(objects) => {
            let (id, credentials) = annotated(objects, &args.database, wanted).await?;
            (id, credentials, "the operator acts on it at once")
        }
    };
    let lines: Vec<String> = credentials
        .iter()
        .flat_map(|one| wrap("", "  ", &told(&id, one, when), COLUMNS))
        .collect();
    let rotated = |one: CredentialStatus| Rotated {
        migration: one.migration,
        username: one.username,
        waits_for: one.replaced.map(|replaced| replaced.username),
    };
    let result = Result {
        database: id.to_string(),
        said: "rotate",
        credentials: credentials.into_iter().map(rotated).collect(),
    };
    console.result(&lines.join("\n"), &result)?;
    Ok(Exit::Done)
}

fn told(id: &ObjectRef, credential: &CredentialStatus, when: &str) -> String {
    let CredentialStatus {
        migration,
        username,
        replaced,
        ..
    } = credential;
    let login = username.as_deref().unwrap_or("its login");
    match replaced {
        Some(replaced) => format!(
            "{id}: credential {migration} gets another login than {login} once {} is gone, the one before; {when}",
            replaced.username
        ),
        None => format!(
            "{id}: credential {migration} gets another login, and {login} goes once nobody holds it; {when}"
        ),
    }
}

/// Leaves the word in a state directory.
fn left(
    directory: &Directory,
    name: &str,
    wanted: Option<&str>,
) -> std::result::Result<(ObjectRef, Vec<CredentialStatus>), Failure> {
    let id = directory.database(name)?;
    let status = directory.status(&id)?;
    let (credentials, asked) = about(&id, status.as_ref(), wanted)?;
    request(
        directory.platform.state_directory(),
        &id,
        &Request::Rotate(asked),
    )
    .map_err(|error| Failure::of(&error))?;
    Ok((id, credentials))
}

/// Puts the word on an object, as it was looked at; one that changes meanwhile is looked at again.
async fn annotated(
    objects: &Objects,
    name: &str,
    wanted: Option<&str>,
) -> std::result::Result<(ObjectRef, Vec<CredentialStatus>), Failure> {
    let client = objects.cluster.unguarded();
    let client = client.map_err(|error| cluster::failure(&error))?;
    let mut attempts = 1;
    loop {
        let (id, object) = objects.database(name).await?;
        let (credentials, asked) = about(&id, object.status.as_ref(), wanted)?;
        let before = object.metadata.annotations.as_ref();
        let before = before.and_then(|all| all.get(ROTATE_ANNOTATION));
        let said = rotation::and(before.map_or("", String::as_str), &asked);
        match access::annotate(&client, &object, ROTATE_ANNOTATION, &said).await {
            Ok(()) => return Ok((id, credentials)),
            Err(AccessError::Changed { .. }) if attempts < ATTEMPTS_MAX => attempts += 1,
            Err(error) => return Err(cluster::failure(&error)),
        }
    }
}

/// The credentials that are meant, as they were published last, and what is said of them.
fn about(
    id: &ObjectRef,
    status: Option<&ManagedDatabaseStatus>,
    wanted: Option<&str>,
) -> std::result::Result<(Vec<CredentialStatus>, Vec<RotationAsked>), Failure> {
    let there = status.map_or(&[][..], |status| &status.credentials);
    let is_meant = |one: &&CredentialStatus| wanted.is_none_or(|wanted| one.migration == wanted);
    let meant: Vec<CredentialStatus> = there.iter().filter(is_meant).cloned().collect();
    if meant.is_empty() {
        let names: Vec<&str> = there.iter().map(|one| one.migration.as_str()).collect();
        let what = match wanted {
            Some(wanted) => format!("no credential {wanted}"),
            None => "no credential yet".to_owned(),
        };
        let failure = Failure::new(format!("ManagedDatabase {id}: there is {what}"));
        return Err(match names[..] {
            [] => failure.or("see: status"),
            _ => failure.or(format!("name one of these: {}", names.join(", "))),
        });
    }
    let asked = meant
        .iter()
        .map(|one| {
            let not_known = || {
                Failure::new(format!(
                    "ManagedDatabase {id}: since when credential {} has its login is not published yet",
                    one.migration
                ))
                .or("see that the operator or `local` runs, and say it again")
            };
            let migration = MigrationName::new(one.migration.as_str());
            let migration = migration.map_err(|error| {
                Failure::new(format!("ManagedDatabase {id}: status.credentials: {error}"))
            })?;
            Ok(RotationAsked {
                migration: Some(migration),
                until: one.issued_at.ok_or_else(not_known)?,
            })
        })
        .collect::<std::result::Result<Vec<_>, Failure>>()?;
    Ok((meant, asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "
credentials:
  - {migration: v1, username: shop_v1_9f, secretName: shop-v1, issuedAt: 2026-01-01T00:00:00Z, state: Ready}
  - {migration: v2, username: shop_v2_9f_2, secretName: shop-v2, issuedAt: 2026-01-02T00:00:00Z, state: Ready,
     replaced: {username: shop_v2_9f, inUse: true}}
  - {migration: v3, username: shop_v3_9f, secretName: shop-v3, state: Unknown}
";

    #[track_caller]
    fn check(status: &str, wanted: Option<&str>, expect: std::result::Result<&str, &str>) {
        let id = ObjectRef::new("shop", "shop").unwrap();
        let status: ManagedDatabaseStatus = serde_saphyr::from_str(status).unwrap();
        let about = about(&id, Some(&status), wanted);
        let got = about
            .map(|(_, asked)| rotation::written(&asked))
            .map_err(|failure| failure.to_string());
        match (got, expect) {
            (Ok(got), Ok(expect)) => assert_eq!(got, expect),
            (Err(got), Err(expect)) => assert!(got.contains(expect), "{got}"),
            (got, expect) => panic!("{got:?} is not {expect:?}"),
        }
    }

    #[test]
    fn a_credential_is_meant_as_it_was_published() {
        check(STATUS, Some("v1"), Ok("v1@2026-01-01T00:00:00Z"));
        check(STATUS, Some("v3"), Err("not published yet"));
        check(STATUS, Some("v9"), Err("no credential v9"));
        check("credentials: []", None, Err("no credential yet"));
        let two = STATUS.split("  - {migration: v3").next().unwrap();
        check(
            two,
            None,
            Ok("v1@2026-01-01T00:00:00Z,v2@2026-01-02T00:00:00Z"),
        );
    }

    #[test]
    fn a_second_rotation_is_told_to_wait() {
        let id = ObjectRef::new("shop", "shop").unwrap();
        let status: ManagedDatabaseStatus = serde_saphyr::from_str(STATUS).unwrap();
        let told: Vec<String> = status.credentials[..2]
            .iter()
            .map(|one| told(&id, one, "soon"))
            .collect();
        assert_eq!(
            told,
            [
                "shop/shop: credential v1 gets another login, and shop_v1_9f goes once nobody holds it; soon",
                "shop/shop: credential v2 gets another login than shop_v2_9f_2 once shop_v2_9f is gone, the one before; \
                 soon"
            ]
        );
    }
}

//! `status`: where every database stands, as the operator or `local` last saw it; what needs a person comes
//! first.

use dbop_api::ManagedDatabaseStatus;
use serde::Serialize;

use super::directory::Directory;
use super::place::Place;
use super::{Console, Done, Exit};
use crate::cli::StatusArgs;
use crate::render::status::{lines, urgency};
use crate::shell::SystemClock;
use dbop_engine::Clock;
use dbop_local::STATE_DIRECTORY;

#[derive(Serialize)]
struct Result {
    databases: Vec<One>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct One {
    namespace: String,
    name: String,
    /// What the manifest desires now; the status may be of an earlier look.
    desired: Option<String>,
    status: Option<ManagedDatabaseStatus>,
}

pub(super) async fn run(args: &StatusArgs, console: Console) -> Done {
    let place = Place::open(&args.place).await?;
    let mut databases = place.shown(&args.databases).await?;
    databases.sort_by_key(|one| (urgency(one.status.as_ref()), one.id.clone()));
    let now = SystemClock.now();
    let blocks: Vec<String> = databases
        .iter()
        .map(|one| {
            let desired = one.desired.as_deref();
            lines(&one.id, desired, one.status.as_ref(), now).join("\n")
        })
        .collect();
    let result = Result {
        databases: databases
            .into_iter()
            .map(|one| One {
                namespace: one.id.namespace().to_owned(),
                name: one.id.name().to_owned(),
                desired: one.desired,
                status: one.status,
            })
            .collect(),
    };
    let mut text = blocks.join("\n\n");
    if let Place::Directory(directory) = &place {
        text.push_str(&about_directory(directory, args, &result));
    }
    console.result(&text, &result)?;
    Ok(Exit::Done)
}

/// What a person has to know of a directory besides.
fn about_directory(directory: &Directory, args: &StatusArgs, result: &Result) -> String {
    let mut text = String::new();
    let state = args.place.state.clone();
    let secrets = state
        .unwrap_or_else(|| directory.path.join(STATE_DIRECTORY))
        .join("secrets");
    let published = |one: &One| {
        one.status
            .iter()
            .any(|status| !status.credentials.is_empty())
    };
    if result.databases.iter().any(published) {
        text.push_str(&format!(
            "\n\nA Secret is a directory that holds a file for each key:\n  {}",
            secrets.join("<namespace>/<name>").display()
        ));
    }
    if !directory.manifests.problems.is_empty() {
        text.push_str(&format!(
            "\n\nSome manifests cannot be used; see: database-operator lint {}",
            directory.path.display()
        ));
    }
    text
}

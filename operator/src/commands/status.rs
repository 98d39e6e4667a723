//! `status`: where every database stands, as `local` last saw it; what needs a person comes first.

use dbop_api::ManagedDatabaseStatus;
use serde::Serialize;

use super::directory::Directory;
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

pub(super) fn run(args: &StatusArgs, console: Console) -> Done {
    let directory = Directory::of(&args.place)?;
    let mut databases = Vec::new();
    for id in directory.databases(&args.databases)? {
        databases.push((directory.status(&id)?, id));
    }
    databases.sort_by_key(|(status, id)| (urgency(status.as_ref()), id.clone()));
    let now = SystemClock.now();
    let blocks: Vec<String> = databases
        .iter()
        .map(|(status, id)| lines(id, directory.desired(id), status.as_ref(), now).join("\n"))
        .collect();
    let result = Result {
        databases: databases
            .into_iter()
            .map(|(status, id)| One {
                namespace: id.namespace().to_owned(),
                name: id.name().to_owned(),
                desired: directory.desired(&id).map(str::to_owned),
                status,
            })
            .collect(),
    };
    let state = args.place.state.clone();
    let secrets = state
        .unwrap_or_else(|| args.place.local.join(STATE_DIRECTORY))
        .join("secrets");
    let mut text = blocks.join("\n\n");
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
    console.result(&text, &result)?;
    Ok(Exit::Done)
}

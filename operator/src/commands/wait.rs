//! `wait`: until databases have reached a state, or the time is over.
//!
//! It looks at what the operator or `local` publishes, so it works beside a running one; by itself it moves
//! nothing.

use std::str::FromStr;
use std::time::Duration;

use dbop_api::ManagedDatabaseStatus;
use dbop_api::status::CredentialState;
use dbop_engine::Clock;
use jiff::Timestamp;
use serde::Serialize;

use super::place::{Place, Shown};
use super::{Console, Done, Exit, complain};
use crate::cli::WaitArgs;
use crate::render::Failure;
use crate::render::status::{condition_status, is_true};
use crate::render::text;
use crate::shell::SystemClock;

/// Between two looks at the status files: quick for a person, nothing for a disk.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Between two looks at a cluster: quick for a pipeline, nothing for an API server.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Goal {
    Ready,
    Stalled,
    Version(String),
    Credential(String),
    Condition(String, String),
}

#[derive(Serialize)]
struct Result {
    reached: bool,
    databases: Vec<One>,
}

#[derive(Serialize)]
struct One {
    database: String,
    reached: bool,
    summary: Option<String>,
}

pub(super) async fn run(args: &WaitArgs, console: Console) -> Done {
    let goal: Goal = args.state_wanted.parse()?;
    let clock = SystemClock;
    let until = clock
        .now()
        .checked_add(args.timeout)
        .unwrap_or(Timestamp::MAX);
    let names: Vec<String> = args.database.iter().cloned().collect();
    // Manifests that change while they are waited for count: what is desired is read anew each time.
    loop {
        let place = Place::open(&args.place).await?;
        let shown = place.shown(&names).await?;
        let databases: Vec<One> = shown.into_iter().map(|one| look(one, &goal)).collect();
        let reached = databases.iter().all(|one| one.reached);
        if reached || clock.now() >= until {
            return tell(Result { reached, databases }, &place, args, console);
        }
        clock
            .sleep(match place {
                Place::Directory(_) => LOOK_EVERY,
                Place::Cluster(_) => ASK_EVERY,
            })
            .await;
    }
}

fn look(shown: Shown, goal: &Goal) -> One {
    let desired = shown.desired.as_deref();
    let status = shown.status.as_ref();
    One {
        database: shown.id.to_string(),
        reached: status.is_some_and(|status| goal.reached(status, desired)),
        summary: shown.status.and_then(|status| status.summary),
    }
}

fn tell(result: Result, place: &Place, args: &WaitArgs, console: Console) -> Done {
    let lines: Vec<String> = result
        .databases
        .iter()
        .filter(|one| one.reached)
        .map(|one| format!("{}: {}", one.database, args.state_wanted))
        .collect();
    if console.output() == crate::cli::Output::Json || !lines.is_empty() {
        console.result(&lines.join("\n"), &result)?;
    }
    for one in result.databases.iter().filter(|one| !one.reached) {
        let failure = Failure::new(format!(
            "ManagedDatabase {}: not '{}' within {}",
            one.database,
            args.state_wanted,
            text::span(args.timeout)
        ));
        complain(&match &one.summary {
            Some(summary) => failure.or(summary.clone()),
            None => failure.or(format!(
                "nothing has been seen of it yet; {}",
                place.publisher()
            )),
        });
    }
    Ok(if result.reached {
        Exit::Done
    } else {
        Exit::Blocked
    })
}

impl FromStr for Goal {
    type Err = Failure;

    fn from_str(text: &str) -> std::result::Result<Self, Failure> {
        let (word, value) = match text.split_once('=') {
            Some((word, value)) => (word, Some(value)),
            None => (text, None),
        };
        match (word.to_ascii_lowercase().as_str(), value) {
            ("ready", None) => Ok(Goal::Ready),
            ("stalled", None) => Ok(Goal::Stalled),
            ("version", Some(name)) if !name.is_empty() => Ok(Goal::Version(name.to_owned())),
            ("credential", Some(name)) if !name.is_empty() => Ok(Goal::Credential(name.to_owned())),
            ("condition", Some(condition)) if !condition.is_empty() => {
                let (name, status) = condition.split_once('=').unwrap_or((condition, "True"));
                Ok(Goal::Condition(name.to_owned(), status.to_owned()))
            }
            _ => Err(Failure::new(format!("'{text}' is nothing that can be waited for"))
                .or("write ready, stalled, version=MIGRATION, credential=MIGRATION or condition=TYPE[=STATUS]")),
        }
    }
}

impl Goal {
    /// Is it reached? A status from before the manifest's last change does not count as ready.
    fn reached(&self, status: &ManagedDatabaseStatus, desired: Option<&str>) -> bool {
        match self {
            Goal::Ready => {
                let is_current = desired.is_none() || status.desired_version.as_deref() == desired;
                is_current && is_true(status, "Ready")
            }
            Goal::Stalled => is_true(status, "Stalled"),
            Goal::Version(name) => status.current_version.as_ref() == Some(name),
            Goal::Credential(name) => status
                .credentials
                .iter()
                .any(|one| &one.migration == name && one.state == CredentialState::Ready),
            Goal::Condition(name, wanted) => condition_status(status, name)
                .is_some_and(|status| status.eq_ignore_ascii_case(wanted)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: &str = "
conditions: [{type: Ready, status: 'True', reason: AtRest, lastTransitionTime: 2026-01-02T03:00:00Z, message: at rest}]
currentVersion: v2
desiredVersion: v2
credentials: [{migration: v2, secretName: shop-v2, state: Ready}, {migration: v1, secretName: shop-v1, state: Retiring}]
";

    #[track_caller]
    fn check(goal: &str, desired: &str, expect: bool) {
        let status: ManagedDatabaseStatus = serde_saphyr::from_str(READY).unwrap();
        let goal: Goal = goal.parse().unwrap();
        assert_eq!(goal.reached(&status, Some(desired)), expect, "{goal:?}");
    }

    #[test]
    fn goals() {
        check("ready", "v2", true);
        check("ready", "v3", false);
        check("Ready", "v2", true);
        check("stalled", "v2", false);
        check("version=v2", "v2", true);
        check("version=v1", "v2", false);
        check("credential=v2", "v2", true);
        check("credential=v1", "v2", false);
        check("condition=Ready", "v2", true);
        check("condition=Ready=false", "v2", false);
        check("condition=HintsClear", "v2", false);
        for wrong in ["", "done", "version", "version=", "ready=1"] {
            assert!(wrong.parse::<Goal>().is_err(), "{wrong}");
        }
    }
}

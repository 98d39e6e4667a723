//! `local`: the loop on a directory, with its receiver of metrics and its display.

mod display;

use std::path::Path;
use std::sync::Arc;

use dbop_local::{DatabaseEnd, End, LocalEnd, LocalPlatform, Runtime, Until};
use dbop_model::JobName;
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::directory::{opening, problem};
use super::{Console, Done, Exit, complain, engine, note, print_json};
use crate::backends;
use crate::cli::{self, LocalArgs, Output};
use crate::receiver::{Metrics, Receiver};
use crate::render::Failure;
use crate::shell::{SystemClock, SystemEntropy};
use display::Display;

/// A second signal ends the program at once, with the status of a program that SIGINT ended.
const INTERRUPTED: i32 = 130;

#[derive(Serialize)]
struct Result<'a> {
    databases: Vec<One<'a>>,
    problems: Vec<String>,
    stopped: bool,
    /// Jobs that go on by themselves.
    running: Vec<String>,
}

#[derive(Serialize)]
struct One<'a> {
    database: String,
    end: &'static str,
    says: &'a str,
}

pub(super) async fn run(args: LocalArgs, console: Console) -> Done {
    let runtime = match args.runtime {
        None => Runtime::Process,
        Some(cli::Runtime::Podman) => Runtime::Podman,
        Some(cli::Runtime::Docker) => Runtime::Docker,
    };
    let until = if args.watch {
        Until::Stopped
    } else {
        Until::Rest
    };
    let directory = args.dir.clone();
    let options = engine::options(args.dir, args.state, runtime)?;
    let platform = LocalPlatform::open(options, Arc::new(SystemClock), &SystemEntropy)
        .map_err(|error| opening(&error))?;
    // Opened, the state directory is ours alone, and the port in it is nobody else's.
    let receiver = Receiver::start(platform.state_directory()).await;
    let metrics = match &receiver {
        Ok(receiver) => receiver.metrics(),
        Err(error) => {
            // A migration needs nobody to listen.
            tracing::warn!(
                "{}; migrations cannot show their progress",
                Failure::of(error).what
            );
            Metrics::default()
        }
    };
    let display = Arc::new(Display::new(
        console,
        directory.clone(),
        until,
        metrics.clone(),
    ));
    let mut platform = platform.with_observer(display.clone());
    if let Ok(receiver) = &receiver {
        platform = platform.with_receiver(receiver.address().to_string(), Arc::new(metrics));
    }
    let platform = Arc::new(platform);
    let (stop, stopped) = watch::channel(false);
    let asked = listen(stop)?;
    let work = dbop_local::run(
        platform.clone(),
        backends::connector(),
        Arc::new(SystemEntropy),
        until,
        stopped,
    );
    let end = tokio::select! {
        end = work => end,
        () = display.keep_drawing() => LocalEnd::default(),
    };
    asked.abort();
    display.end(&end);
    tell(&end, &directory, &platform, &display, console)
}

/// Asks to stop at the first signal, and ends the program at the second.
fn listen(stop: watch::Sender<bool>) -> std::result::Result<tokio::task::JoinHandle<()>, Failure> {
    let wrong = |error| Failure::new(format!("signals cannot be listened to: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(wrong)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(wrong)?;
    Ok(tokio::spawn(async move {
        either(&mut interrupt, &mut terminate).await;
        stop.send_replace(true);
        either(&mut interrupt, &mut terminate).await;
        std::process::exit(INTERRUPTED);
    }))
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// What is left to say at the end, and the exit status.
fn tell(
    end: &LocalEnd,
    directory: &Path,
    platform: &LocalPlatform,
    display: &Display,
    console: Console,
) -> Done {
    for wrong in end.problems.iter().filter(|one| !display.has_shown(one)) {
        complain(&problem(directory, wrong));
    }
    for database in &end.databases {
        if let Some(failure) = failure(database, directory, platform) {
            complain(&failure);
        }
    }
    for (database, job) in &end.running {
        note(&format!(
            "{database}: the migration of Job {job} goes on by itself; start `local` again to follow it"
        ));
    }
    if console.output() == Output::Json {
        let result = Result {
            databases: end.databases.iter().map(one).collect(),
            problems: end.problems.iter().map(ToString::to_string).collect(),
            stopped: end.stopped,
            running: end.running.iter().map(|(_, job)| job.to_string()).collect(),
        };
        let json = serde_json::to_string(&result).map_err(|error| {
            Failure::new(format!("the result cannot be written as JSON: {error}"))
        })?;
        print_json(&json)?;
    }
    Ok(match end.exit_status() {
        0 => Exit::Done,
        3 => Exit::Blocked,
        4 => Exit::RunIncomplete,
        _ => Exit::Failed,
    })
}

/// What a person has to see at the end: what failed, and the way out of a run that did not complete.
fn failure(database: &DatabaseEnd, directory: &Path, platform: &LocalPlatform) -> Option<Failure> {
    let DatabaseEnd {
        database: id,
        end,
        says,
    } = database;
    match end {
        End::AtRest | End::Held => None,
        End::Failed => {
            let says = says.strip_prefix("waits: ").unwrap_or(says);
            let manifests = platform.manifests();
            let failure = match manifests.databases.get(id) {
                Some(object) => super::plan::unreachable(&object.spec, says),
                None => Failure::about(&format!("ManagedDatabase {id}"), says),
            };
            Some(failure)
        }
        End::RunIncomplete => {
            let says = says.strip_prefix("blocked: ").unwrap_or(says);
            let failure = Failure::about(&format!("ManagedDatabase {id}"), says);
            let Ok(Some(run)) = platform.last_run(id) else {
                return Some(failure);
            };
            match JobName::new(&run.job) {
                // Something else stands before the run, and says so.
                Ok(job) if says.contains(job.as_str()) => {
                    let log = platform.job_log(id, &job);
                    let word = match says.contains("accept-run") {
                        true => "accept-run",
                        false => "retry",
                    };
                    let way_out = format!(
                        "to say so: database-operator {word} {id} --local {}",
                        directory.display()
                    );
                    Some(
                        failure
                            .or(format!("its log: {}", log.display()))
                            .or(way_out),
                    )
                }
                _ => Some(failure),
            }
        }
    }
}

fn one(database: &DatabaseEnd) -> One<'_> {
    let end = match database.end {
        End::AtRest => "AtRest",
        End::RunIncomplete => "RunIncomplete",
        End::Held => "Held",
        End::Failed => "Failed",
    };
    One {
        database: database.database.to_string(),
        end,
        says: &database.says,
    }
}

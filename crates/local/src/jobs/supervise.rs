//! The supervisor: a process of its own that starts a migration, and records how it ends.
//!
//! It outlives whoever started it, and the migration outlives it. Neither can be started twice: the lock comes
//! with the start, and goes on to the migration's own process.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process_group, setsid, test_kill_process_group};

use super::layout::{self, ExitFile, LaunchFile};
use super::output;
use crate::file::{self, FileError};

/// How often the log's length is looked at.
const LOG_LOOK_EVERY: Duration = Duration::from_millis(200);
/// What the migration left running may take so long to end by itself, as in a Pod that is stopped.
const LEFTOVERS_GRACE: Duration = Duration::from_secs(2);
const LEFTOVERS_LOOK_EVERY: Duration = Duration::from_millis(20);
/// What whoever started us has in its own environment under these names is not for the migration.
const CONTRACT_PREFIX: &str = "DBA_OP_";

/// The body of the hidden subcommand: runs the Job in this directory to its end.
///
/// It is started by [`LocalPlatform`](crate::LocalPlatform) with the Job's lock as its standard input, and
/// does nothing if that is missing or the Job has been started before.
pub fn supervise(job: &Path) -> ExitCode {
    match run(job) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            // A file stands behind it, which whoever started us reads.
            let _ = writeln!(io::stderr(), "{why}");
            ExitCode::FAILURE
        }
    }
}

fn run(job: &Path) -> Result<(), String> {
    // From here on the terminal's Ctrl-C and hang-up are not for us. It fails only where we lead a session
    // already, which is as good.
    let _ = setsid();
    let lock = lock(job)?;
    if layout::is_started(job) {
        return Ok(());
    }
    let launch: LaunchFile = layout::read_json(&layout::launch_path(job))
        .map_err(|error| error.to_string())?
        .ok_or("the Job's directory holds nothing to start")?;
    let log = file::append(&layout::log_path(job)).map_err(told)?;
    layout::write_started(job, now()).map_err(told)?;
    let exit = match start(&launch, log, &lock) {
        Ok(child) => {
            // Read and passed on: it need not lie on the disk any longer.
            file::remove(&layout::launch_path(job)).map_err(told)?;
            attend(child, job, &launch.secrets)
        }
        Err(why) => ExitFile {
            code: None,
            signal: None,
            finished_at: now(),
            message: why,
        },
    };
    layout::write_exit(job, &exit).map_err(|error| error.to_string())
}

/// The lock that came with the start, in a form that is passed on to processes that we start.
fn lock(job: &Path) -> Result<std::os::fd::OwnedFd, String> {
    let by_hand = || "it is started by `local`, not by hand".to_owned();
    let path = layout::alive_path(job);
    let input = io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map_err(|_| by_hand())?;
    let input = File::from(input);
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    let given = input.metadata().map(identity).map_err(|_| by_hand())?;
    let wanted = path
        .metadata()
        .map(identity)
        .map_err(|error| error.to_string())?;
    if given != wanted {
        return Err(by_hand());
    }
    // No news to a lock that is ours already; refused where it is another's.
    input
        .try_lock()
        .map_err(|_| "another supervisor is at work on this Job".to_owned())?;
    // The copy, unlike the file, stays open in the migration's process.
    rustix::io::dup(&input).map_err(|error| error.to_string())
}

/// Starts the migration's process. `lock` is open in it as well, so that it holds the lock with us.
fn start(launch: &LaunchFile, log: File, lock: &std::os::fd::OwnedFd) -> Result<Child, String> {
    debug_assert!(rustix::io::fcntl_getfd(lock).is_ok_and(|flags| flags.is_empty()));
    let (program, arguments) = launch.command.split_first().ok_or("there is no command")?;
    if !launch.directory.is_dir() {
        return Err(format!(
            "its workingDir {} is no directory",
            launch.directory.display()
        ));
    }
    let stderr = log
        .try_clone()
        .map_err(|error| format!("its log cannot be shared: {error}"))?;
    let mut command = Command::new(resolved(program, &launch.directory));
    for (name, _) in std::env::vars_os() {
        if name
            .as_encoded_bytes()
            .starts_with(CONTRACT_PREFIX.as_bytes())
        {
            command.env_remove(name);
        }
    }
    command
        .args(arguments)
        .envs(&launch.environment)
        .current_dir(&launch.directory)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(stderr)
        // A group of its own, so that what it leaves running can be found.
        .process_group(0)
        .spawn()
        .map_err(|error| {
            format!(
                "its command {program} cannot be started: {}",
                reason(&error)
            )
        })
}

/// A command with a slash in it is a path from where it runs; any other is looked up on the PATH.
fn resolved(program: &str, directory: &Path) -> PathBuf {
    if program.contains('/') {
        directory.join(program)
    } else {
        PathBuf::from(program)
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such program".to_owned(),
        io::ErrorKind::PermissionDenied => "it may not be executed".to_owned(),
        _ => error.to_string(),
    }
}

/// Waits for the end, keeps the log within bounds, and ends what is left running.
fn attend(mut child: Child, job: &Path, secrets: &[String]) -> ExitFile {
    let log = layout::log_path(job);
    let bounded = log.clone();
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(LOG_LOOK_EVERY);
            // A log that cannot be cut goes on growing: the migration matters more.
            let _ = output::bound(&bounded);
        }
    });
    let ended = child.wait();
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        end_leftovers(group);
    }
    exit(ended, &log, secrets)
}

/// As in a Pod: once the first process has ended, no other goes on.
fn end_leftovers(group: Pid) {
    let mut waited = Duration::ZERO;
    let mut signal = Some(Signal::TERM);
    while test_kill_process_group(group).is_ok() {
        if waited >= LEFTOVERS_GRACE {
            // It is gone, or will be as soon as the kernel lets go of it.
            let _ = kill_process_group(group, Signal::KILL);
            return;
        }
        if let Some(signal) = signal.take() {
            let _ = kill_process_group(group, signal);
        }
        std::thread::sleep(LEFTOVERS_LOOK_EVERY);
        waited += LEFTOVERS_LOOK_EVERY;
    }
}

fn exit(ended: io::Result<ExitStatus>, log: &Path, secrets: &[String]) -> ExitFile {
    let (code, signal) = match &ended {
        Ok(status) => (status.code(), status.signal()),
        Err(_) => (None, None),
    };
    let said = output::last_line(log, secrets);
    let message = match (&ended, code, signal, said) {
        (_, Some(0), _, _) => String::new(),
        (Err(error), ..) => format!("its end could not be waited for: {error}"),
        (_, _, Some(signal), Some(said)) => {
            format!("ended by signal {signal}; it last said: {said}")
        }
        (_, _, Some(signal), None) => format!("ended by signal {signal}"),
        (_, _, None, said) => said.unwrap_or_default(),
    };
    ExitFile {
        code,
        signal,
        finished_at: now(),
        message,
    }
}

fn told(error: FileError) -> String {
    format!("{error}: {}", error.source)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the supervisor is a process of its own: its shell"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

//! Jobs: real processes, real kills.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use dbop_engine::{JobSpec, Platform, PlatformError, Read};
use dbop_local::{LocalPlatform, Supervisor};
use dbop_model::{JobFacts, JobName, JobPhase, ObjectRef};
use dbop_plan::Run;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use secrecy::SecretString;

use crate::support::{Counter, Directory, SystemClock, shop, this_program, until, v};

const PASSWORD: &str = "canary-4711";

fn job() -> JobName {
    JobName::new("shop-v1-0a1b").unwrap()
}

/// A Job that is created and has its secret.
async fn created(platform: &LocalPlatform) -> JobSpec {
    let manifests = platform.manifests();
    assert_eq!(manifests.problems, []);
    let id = ObjectRef::new("default", "v1").unwrap();
    let spec = JobSpec {
        database: shop(),
        server: "127.0.0.1:5432".to_owned(),
        run: Run {
            job: job(),
            from: None,
            to: v("v1"),
            digest: manifests.migrations[&id].migration.digest.clone(),
        },
        environment: BTreeMap::from([("DBA_OP_JOB_ID".to_owned(), job().to_string())]),
    };
    platform.create_job(&spec).await.unwrap();
    let uri = format!("postgresql://migrator:{PASSWORD}@db:5432/shop");
    let secret = [
        ("DBA_OP_PASSWORD", PASSWORD),
        ("DBA_OP_CONNECTION_STRING", &uri),
        ("DBA_OP_HOST", "db"),
    ];
    let secret = secret
        .map(|(k, v)| (k.to_owned(), SecretString::from(v)))
        .into();
    platform
        .write_job_secret(&shop(), &job(), &secret)
        .await
        .unwrap();
    spec
}

async fn released(platform: &LocalPlatform) {
    created(platform).await;
    platform.release_job(&shop(), &job()).await.unwrap();
}

async fn facts(platform: &LocalPlatform) -> Option<JobFacts> {
    platform.jobs(&shop(), Read::Live).await.unwrap().pop()
}

fn phase(platform: &LocalPlatform) -> JobPhase {
    platform.job_phase(&shop(), &job()).unwrap().unwrap()
}

/// How the Job ended: success, exit status, message.
async fn end(platform: &LocalPlatform) -> (bool, Option<i32>, String) {
    until("the end of the Job", || match phase(platform) {
        JobPhase::Finished {
            succeeded,
            exit_code,
            message,
            ..
        } => Some((succeeded, exit_code, message)),
        _ => None,
    })
    .await
}

fn path(directory: &Directory) -> PathBuf {
    directory
        .path()
        .join(".dbop/jobs/default")
        .join(job().as_str())
}

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

fn lives(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    test_kill_process(Pid::from_raw(pid).unwrap()).is_ok() && !stat.contains(") Z ")
}

/// A number that a script writes to a file.
async fn number(directory: &Directory, name: &str) -> i32 {
    until(name, || directory.read(name)?.trim().parse().ok()).await
}

fn supervisor_of(directory: &Directory) -> i32 {
    let started = std::fs::read_to_string(path(directory).join("started")).unwrap();
    started.rsplit(' ').next().unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn a_job_runs_once_and_leaves_its_outcome() {
    let directory = Directory::new();
    directory.migration(
        "v1",
        None,
        "echo once >> runs\necho \"$DBA_OP_PASSWORD $DBA_OP_JOB_ID $PWD\" > environment\n\
         tr '\\0' ' ' < /proc/$$/cmdline > arguments\ncat\nreadlink /proc/$$/fd/0 > stdin\necho done\n\
         wait_for go",
    );
    let platform = directory.open();
    let spec = created(&platform).await;
    let suspended = facts(&platform).await.unwrap();
    assert_eq!(suspended.phase, JobPhase::Suspended);
    assert!(suspended.finalizer);
    platform
        .create_job(&spec)
        .await
        .expect("this very run is created");
    assert_eq!(facts(&platform).await.unwrap(), suspended);

    let (shop_id, name) = (shop(), job());
    let (one, two) = tokio::join!(
        platform.release_job(&shop_id, &name),
        platform.release_job(&shop_id, &name)
    );
    one.unwrap();
    two.unwrap();
    assert_eq!(phase(&platform), JobPhase::Running);
    platform
        .release_job(&shop(), &job())
        .await
        .expect("one that runs is released");
    let conflict = platform.delete_job(&shop(), &job()).await.unwrap_err();
    assert_eq!(
        conflict,
        PlatformError::Conflict {
            what: format!("Job default/{}", job())
        }
    );

    directory.write("go", "now");
    let (succeeded, exit_code, message) = end(&platform).await;
    assert_eq!(
        (succeeded, exit_code, message.as_str()),
        (true, Some(0), "")
    );
    platform
        .release_job(&shop(), &job())
        .await
        .expect("one that has run is released");
    assert_eq!(directory.read("runs").unwrap(), "once\n");
    let here = directory.path().display();
    assert_eq!(
        directory.read("environment").unwrap(),
        format!("{PASSWORD} {} {here}\n", job())
    );
    assert_eq!(directory.read("stdin").unwrap(), "/dev/null\n");
    assert!(!directory.read("arguments").unwrap().contains(PASSWORD));
    let log = platform.job_log(&shop(), &job());
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "done\n");
    for entry in std::fs::read_dir(path(&directory)).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", entry.path().display());
    }

    platform.finish_job(&shop(), &job()).await.unwrap();
    platform
        .finish_job(&shop(), &job())
        .await
        .expect("one that is finished is finished");
    assert_eq!(
        facts(&platform).await,
        None,
        "its outcome has been recorded"
    );
    assert!(log.exists());
    for entry in std::fs::read_dir(path(&directory)).unwrap() {
        let file = entry.unwrap().path();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(!text.contains(PASSWORD), "{}", file.display());
    }
    platform
        .create_job(&spec)
        .await
        .expect("the name of a recorded run is free again");
    assert_eq!(phase(&platform), JobPhase::Suspended);
    platform.delete_job(&shop(), &job()).await.unwrap();
    platform
        .delete_job(&shop(), &job())
        .await
        .expect("gone is deleted");
    assert!(!path(&directory).exists());
}

#[tokio::test]
async fn a_failure_says_what_it_said_last_without_secrets() {
    let directory = Directory::new();
    directory.migration(
        "v1",
        None,
        "echo \"no table at $DBA_OP_CONNECTION_STRING\" >&2\nexit 3",
    );
    let platform = directory.open();
    released(&platform).await;
    assert_eq!(
        end(&platform).await,
        (false, Some(3), "no table at ***".to_owned())
    );
}

#[tokio::test]
async fn a_signal_is_a_failure() {
    let directory = Directory::new();
    directory.migration("v1", None, "echo half\nkill -9 $$");
    let platform = directory.open();
    released(&platform).await;
    let message = "ended by signal 9; it last said: half".to_owned();
    assert_eq!(end(&platform).await, (false, None, message));
}

#[tokio::test]
async fn what_cannot_be_started_is_a_recorded_failure() {
    for (command, message) in [
        (
            "no-such-program-4711",
            "its command no-such-program-4711 cannot be started: there is no such program",
        ),
        (
            "./v1.yaml",
            "its command ./v1.yaml cannot be started: it may not be executed",
        ),
    ] {
        let directory = Directory::new();
        directory.migration("v1", None, "");
        let text = directory
            .read("v1.yaml")
            .unwrap()
            .replace("[sh, -c]", &format!("[{command}]"));
        directory.write("v1.yaml", &text);
        let platform = directory.open();
        released(&platform).await;
        assert_eq!(end(&platform).await, (false, None, message.to_owned()));
    }
}

#[tokio::test]
async fn a_supervisor_that_cannot_work_leaves_the_job_suspended() {
    let directory = Directory::new();
    directory.migration("v1", None, "echo once >> runs");
    {
        let mut options = directory.options();
        let program = PathBuf::from("/bin/sh");
        let arguments = ["-c", "echo not today >&2; exit 9"]
            .map(str::to_owned)
            .into();
        options.supervisor = Supervisor { program, arguments };
        let platform = LocalPlatform::open(options, Arc::new(SystemClock), &Counter).unwrap();
        created(&platform).await;
        let error = platform
            .release_job(&shop(), &job())
            .await
            .unwrap_err()
            .to_string();
        let expect =
            "its supervisor ended with exit status: 9 before it started the migration: not today";
        assert!(error.ends_with(expect), "{error}");
        assert_eq!(phase(&platform), JobPhase::Suspended);
    }
    let platform = directory.open();
    platform.release_job(&shop(), &job()).await.unwrap();
    assert!(end(&platform).await.0);
    assert_eq!(directory.read("runs").unwrap(), "once\n");
}

#[tokio::test]
async fn a_supervisor_is_not_started_by_hand() {
    let directory = Directory::new();
    directory.migration("v1", None, "echo once >> runs");
    let platform = directory.open();
    created(&platform).await;
    let Supervisor { program, arguments } = this_program("supervisor");
    let mut command = Command::new(program);
    command
        .args(arguments)
        .arg(path(&directory))
        .stdin(Stdio::null());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("it is started by `local`, not by hand"),
        "{said}"
    );
    assert_eq!(phase(&platform), JobPhase::Suspended);
    assert_eq!(directory.read("runs"), None);
}

/// The body of a parent that is killed.
pub(crate) fn release_and_linger(directory: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let options = dbop_local::LocalOptions {
            directory: directory.to_owned(),
            state: None,
            runtime: dbop_local::Runtime::Process,
            supervisor: this_program("supervisor"),
        };
        let platform = LocalPlatform::open(options, Arc::new(SystemClock), &Counter).unwrap();
        released(&platform).await;
        std::fs::write(directory.join("released"), "").unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
    });
}

#[tokio::test]
async fn a_migration_outlives_a_killed_parent() {
    let directory = Directory::new();
    directory.migration("v1", None, "echo $$ > process\nwait_for go\necho finished");
    let Supervisor { program, arguments } = this_program("parent");
    let mut parent = Command::new(program)
        .args(arguments)
        .arg(directory.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("the parent's release", || directory.read("released")).await;
    let process = number(&directory, "process").await;
    let busy = LocalPlatform::open(directory.options(), Arc::new(SystemClock), &Counter);
    let error = busy.err().expect("the parent works on it").to_string();
    assert!(error.starts_with("another `local` (process "), "{error}");

    parent.kill().unwrap();
    parent.wait().unwrap();
    let platform = directory.open();
    assert_eq!(facts(&platform).await.unwrap().phase, JobPhase::Running);
    assert!(lives(process));
    directory.write("go", "now");
    assert_eq!(end(&platform).await, (true, Some(0), String::new()));
}

#[tokio::test]
async fn a_migration_outlives_a_killed_supervisor() {
    let directory = Directory::new();
    directory.migration(
        "v1",
        None,
        "echo $$ > process\nwait_for go\necho \"all $DBA_OP_PASSWORD\"",
    );
    let platform = directory.open();
    released(&platform).await;
    let process = number(&directory, "process").await;
    kill(supervisor_of(&directory));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(lives(process));
    assert_eq!(
        phase(&platform),
        JobPhase::Running,
        "its own process holds the lock"
    );
    directory.write("go", "now");
    let (succeeded, exit_code, message) = end(&platform).await;
    assert_eq!((succeeded, exit_code), (false, None));
    assert_eq!(
        message,
        "its supervisor and processes are gone without a recorded exit; it last said: all ***"
    );
    let first = phase(&platform);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(
        phase(&platform),
        first,
        "what is gone does not change any more"
    );
    platform
        .release_job(&shop(), &job())
        .await
        .expect("it has been released");
    assert_eq!(phase(&platform), first, "it is not started again");
}

#[tokio::test]
async fn a_job_of_which_all_is_gone_has_failed() {
    let directory = Directory::new();
    directory.migration("v1", None, "echo $$ > process\nexec sleep 60");
    let platform = directory.open();
    released(&platform).await;
    let process = number(&directory, "process").await;
    kill(supervisor_of(&directory));
    kill(process);
    let (succeeded, exit_code, message) = end(&platform).await;
    assert_eq!((succeeded, exit_code), (false, None));
    assert_eq!(
        message,
        "its supervisor and processes are gone without a recorded exit"
    );
}

#[tokio::test]
async fn what_a_migration_leaves_running_ends_with_it() {
    let directory = Directory::new();
    directory.migration(
        "v1",
        None,
        "sh -c 'trap \"\" TERM; echo $$ > leftover; while true; do sleep 0.1; done' &\n\
         wait_for leftover",
    );
    let platform = directory.open();
    released(&platform).await;
    assert!(end(&platform).await.0);
    let leftover = number(&directory, "leftover").await;
    until("the end of what was left", || {
        (!lives(leftover)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_edited_migration_is_not_run_under_the_old_digest() {
    let directory = Directory::new();
    directory.migration("v1", None, "echo one >> runs");
    let platform = directory.open();
    created(&platform).await;
    directory.migration("v1", None, "echo two >> runs");
    let error = platform.release_job(&shop(), &job()).await.unwrap_err();
    assert_eq!(
        error,
        PlatformError::Conflict {
            what: "DatabaseMigration default/v1".to_owned()
        }
    );
    assert_eq!(phase(&platform), JobPhase::Suspended);
    assert_eq!(directory.read("runs"), None);
}

#[tokio::test]
async fn a_foreign_directory_of_that_name_is_not_touched() {
    let directory = Directory::new();
    directory.migration("v1", None, "true");
    let platform = directory.open();
    std::fs::create_dir_all(path(&directory)).unwrap();
    std::fs::write(path(&directory).join("log"), "theirs").unwrap();
    let manifests = platform.manifests();
    let id = ObjectRef::new("default", "v1").unwrap();
    let digest = manifests.migrations[&id].migration.digest.clone();
    let run = Run {
        job: job(),
        from: None,
        to: v("v1"),
        digest,
    };
    let spec = JobSpec {
        database: shop(),
        server: "127.0.0.1:5432".to_owned(),
        run,
        environment: BTreeMap::new(),
    };
    let foreign = Err(PlatformError::Foreign {
        what: format!("Job default/{}", job()),
    });
    assert_eq!(platform.create_job(&spec).await, foreign);
    assert_eq!(
        std::fs::read_to_string(path(&directory).join("log")).unwrap(),
        "theirs"
    );
    assert_eq!(platform.jobs(&shop(), Read::Live).await.unwrap(), []);
}

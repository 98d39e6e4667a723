//! Sweeps away servers whose keeper was killed: stops them and removes their folders.
//!
//! A server's folder has a lock file beside it that its keeper holds. Who gets that lock knows that
//! the keeper is gone. Folders of other users are left alone.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::name::Engine;
use super::user::temporary_folders;
use crate::clock;
use crate::process::pid_of;
use crate::workspace::capture;

/// What the names of their lock files end with.
const LOCK_SUFFIX: &str = ".lock";
/// How long an orphaned server may take to stop before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Removes every server that nobody keeps. What cannot be removed is left for the next time.
pub(crate) fn sweep() {
    for folder in temporary_folders() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(name) = name.strip_suffix(LOCK_SUFFIX)
                && Engine::ALL
                    .into_iter()
                    .any(|engine| name.starts_with(&prefix(engine)))
            {
                sweep_one(&folder.join(name), &entry.path());
            }
        }
    }
}

/// What the names of folders of this engine's servers begin with.
pub(crate) fn prefix(engine: Engine) -> String {
    format!("dbop-{}-", engine.traits().prefix)
}

/// Where a server writes the number of its process: where PostgreSQL does, and where others are told to.
pub(crate) fn pid_files(folder: &Path) -> [PathBuf; 2] {
    [
        folder.join("data/postmaster.pid"),
        folder.join("server.pid"),
    ]
}

/// The lock file of a server's folder.
pub(crate) fn lock_of(folder: &Path) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(LOCK_SUFFIX);
    name.into()
}

/// Removes a server's folder, and its lock file after it.
pub(crate) fn remove(folder: &Path, lock: &Path) {
    // A file that cannot be removed lies among temporary files, and the next sweep tries again:
    // therefore the lock file goes only after the folder.
    if std::fs::remove_dir_all(folder).is_ok() || !folder.exists() {
        let _ = std::fs::remove_file(lock);
    }
}

fn sweep_one(folder: &Path, lock_path: &Path) {
    // Not ours, or gone meanwhile, or kept by somebody: leave it.
    let Ok(lock) = File::options().write(true).open(lock_path) else {
        return;
    };
    if lock.try_lock().is_err() {
        return;
    }
    if let Some(server) = orphan(folder) {
        eprintln!("stopping a server that an earlier run left behind (process {server:?})");
        stop(server);
    }
    remove(folder, lock_path);
}

/// The process of the server in this folder, if it is one: numbers of processes are used again, so
/// its command line must name the folder.
fn orphan(folder: &Path) -> Option<Pid> {
    let pid_file = pid_files(folder)
        .iter()
        .find_map(|file| std::fs::read_to_string(file).ok())?;
    let pid = pid_of(pid_file.lines().next()?)?;
    let mut ps = Command::new("ps");
    ps.args([
        "-ww",
        "-o",
        "args=",
        "-p",
        &pid.as_raw_nonzero().to_string(),
    ]);
    let command_line = capture(&mut ps).ok()?;
    command_line
        .contains(&folder.display().to_string())
        .then_some(pid)
}

fn stop(server: Pid) {
    // Errors mean that it has ended, which is what we want.
    let _ = kill_process(server, Signal::QUIT);
    let started = clock::now();
    while started.elapsed() < STOP_PATIENCE {
        if test_kill_process(server).is_err() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = kill_process(server, Signal::KILL);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::random_hex;

    #[test]
    fn a_folder_is_swept_only_when_nobody_holds_its_lock() {
        let folder =
            std::env::temp_dir().join(format!("dbop-sweep-test-{}", random_hex(8).unwrap()));
        let lock_path = lock_of(&folder);
        std::fs::create_dir(&folder).unwrap();
        let lock = File::create(&lock_path).unwrap();
        lock.lock().unwrap();
        sweep_one(&folder, &lock_path);
        assert!(folder.exists() && lock_path.exists());
        drop(lock);
        // Of an `initdb` that was killed.
        std::fs::create_dir(folder.join("data")).unwrap();
        std::fs::write(&pid_files(&folder)[0], "-4711\n/data\n").unwrap();
        sweep_one(&folder, &lock_path);
        assert!(!folder.exists() && !lock_path.exists());
    }
}

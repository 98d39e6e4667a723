//! Removes what a cluster leaves on the machine when its keeper did not: processes first of all.
//!
//! Whoever calls this holds the cluster's lock, so that nobody else uses what is removed. Processes
//! are found by their arguments, which name the cluster's folder. Everything here may be done
//! twice, and none of it fails: what cannot be removed is left for the next time.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::state::{Lock, State};
use super::{Form, kind, machine, node};
use crate::cache::Cache;
use crate::clock;
use crate::process::pid_of;
use crate::workspace::capture;

/// How long killed processes may take to be gone.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// How often they are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Removes every cluster that was kept and is kept no longer.
pub(crate) fn sweep(cache: &Cache) {
    for state in State::all(cache) {
        if let Ok(Some(lock)) = state.try_lock() {
            eprintln!("removing cluster {}, which nobody keeps", state.name());
            clear(&state);
            let _ = state.remove(lock);
        }
    }
}

/// Removes what an ended keeper left outside the cluster's folder.
pub(crate) fn clear(state: &State) {
    match state.form() {
        Some(Form::Kind) => kind::delete(state),
        Some(Form::Light) | None => end_processes(state),
        Some(Form::Node) => {
            // Who holds this has a node of their own, so that ours is gone.
            if let Ok(Some(lock)) = Lock::take(Path::new(node::LOCK)) {
                end_processes(state);
                machine::restore(state);
                lock.remove();
            }
        }
    }
}

/// Kills the cluster's processes, but for those in Pods.
pub(crate) fn end_processes(state: &State) {
    let mut places = vec![format!("={}/", state.folder().display())];
    if state.form() == Some(Form::Node) {
        // What containerd starts for each Pod names its socket so.
        places.push(format!("-address {}/", node::RUN));
    }
    let listed = capture(Command::new("ps").args(["-axww", "-o", "pid=,args="]));
    let listed = listed.unwrap_or_default();
    let processes: Vec<Pid> = listed
        .lines()
        .filter_map(|line| process_in(line, &places))
        .filter(|pid| pid.as_raw_nonzero().get().cast_unsigned() != std::process::id())
        .collect();
    kill_all(&processes);
}

/// The number of the process in a line of `ps`, if its arguments have one of these pieces. They
/// are values of options: a person's `tail -f` of a log is theirs.
fn process_in(line: &str, pieces: &[String]) -> Option<Pid> {
    let (number, arguments) = line.trim_start().split_once(' ')?;
    pieces
        .iter()
        .any(|piece| arguments.contains(piece))
        .then(|| pid_of(number))
        .flatten()
}

/// Kills processes and waits until they are gone.
pub(crate) fn kill_all(processes: &[Pid]) {
    for process in processes {
        // Errors mean that it has ended, which is what we want.
        let _ = kill_process(*process, Signal::KILL);
    }
    let started = clock::now();
    while started.elapsed() < KILL_PATIENCE
        && processes
            .iter()
            .any(|process| test_kill_process(*process).is_ok())
    {
        std::thread::sleep(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_belongs_to_a_cluster_by_an_option_that_names_its_folder() {
        let folder = ["=/c/clusters/dev/".to_owned()];
        let etcd = "  812 /c/k/kubernetes etcd --data-dir=/c/clusters/dev/etcd --name=x";
        assert_eq!(process_in(etcd, &folder), Pid::from_raw(812));
        for other in [
            "  813 tail -f /c/clusters/dev/logs/etcd.log",
            "  814 kubernetes etcd --data-dir=/c/clusters/dev-2/etcd",
            "  815 sleep 1",
        ] {
            assert_eq!(process_in(other, &folder), None, "{other}");
        }
    }
}

//! Who removes the demo from a cluster that lives on: a small process, as for servers and clusters. When
//! xtask ends, is interrupted or is killed, its pipe closes, and the keeper goes to work.
//!
//! The order matters: the ManagedDatabase goes while the operator runs, which lets it go; then the database
//! in the server; then the namespaces, and the custom resources where nobody else has come to need them.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;

use anyhow::Result;

use super::kubectl::Kubectl;
use super::{LABEL, NAMESPACE, OPERATOR_NAMESPACE};
use crate::clock;
use crate::process;
use crate::servers::{Keeper, watch_for_the_end};

/// In the demo's folder: the server is not ours, and outlives the demo.
pub(super) const FOREIGN_SERVER: &str = "foreign-server";
/// What the operator looks at, and what may hang in its deletion without it.
const HELD: &str = "manageddatabases,databasemigrations,jobs";

/// The demo in a cluster that lives on; dropping it removes the demo.
pub(super) struct Presence(u64);

impl Presence {
    /// Starts the keeper, before anything is made in the cluster.
    pub(super) fn begin(kubectl: &Kubectl, folder: &Path) -> Result<Presence> {
        let number = process::keep(|| {
            let mut arguments = vec![OsStr::new("keep-demo"), folder.as_os_str()];
            arguments.extend(kubectl.ours.as_deref().map(Path::as_os_str));
            Ok(Keeper::launch(&arguments, Stdio::inherit())?.0)
        })?;
        Ok(Presence(number))
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        process::release(self.0);
    }
}

/// The keeper's own main function, behind the hidden command `keep-demo`.
pub(crate) fn keep(folder: &Path, program: Option<&Path>) -> Result<()> {
    // Its end is as good as a message.
    let _ = watch_for_the_end()?.recv();
    let kubectl = Kubectl::at(folder, program.map(Path::to_path_buf));
    remove(&kubectl, folder.join(FOREIGN_SERVER).is_file());
    // After SIGKILL of xtask nobody else removes it, and it holds a kubeconfig.
    let _ = std::fs::remove_dir_all(folder);
    Ok(())
}

/// Removes all of it, as far as it is there, and tells on stderr what could not be removed.
pub(super) fn remove(kubectl: &Kubectl, and_database: bool) {
    let started = clock::now();
    eprintln!("\nremoving the demo from the cluster ...");
    let in_demo = format!("--namespace={NAMESPACE}");
    let gone = kubectl.run(&[
        "delete",
        "manageddatabases",
        "--all",
        "--ignore-not-found",
        "--timeout=20s",
        &in_demo,
    ]);
    if gone.is_err() {
        let_go(kubectl);
    }
    if and_database {
        let dropped = kubectl.run(&["exec", "psql", &in_demo, "--", "demo-sql", "drop-database"]);
        if let Err(error) = dropped {
            eprintln!(
                "  the database dbop_demo may still be in the server: {}",
                crate::spell(&error)
            );
        }
    }
    let delete = [
        "delete",
        "namespace",
        NAMESPACE,
        OPERATOR_NAMESPACE,
        "--ignore-not-found",
        "--timeout=60s",
    ];
    if kubectl.run(&delete).is_err() {
        let_go(kubectl);
        if let Err(error) = kubectl.run(&delete) {
            eprintln!("  {}", crate::spell(&error));
        }
    }
    let used = kubectl.ask(&[
        "get",
        "manageddatabases,databasemigrations",
        "--all-namespaces",
        "--output=name",
    ]);
    if used.is_ok_and(|names| names.is_empty()) {
        let selector = format!("--selector={LABEL}=true");
        if let Err(error) = kubectl.run(&["delete", "crd", &selector, "--timeout=30s"]) {
            eprintln!("  {}", crate::spell(&error));
        }
    }
    eprintln!("removed, in {}", clock::spell(started.elapsed()));
}

/// Takes off the finalizers that an operator which is gone cannot take off. What cannot be done here shows
/// in the deletion that follows.
fn let_go(kubectl: &Kubectl) {
    let in_demo = format!("--namespace={NAMESPACE}");
    let Ok(names) = kubectl.ask(&["get", HELD, &in_demo, "--output=name"]) else {
        return;
    };
    for name in names.lines() {
        let free = r#"{"metadata": {"finalizers": null}}"#;
        let _ = kubectl.ask(&["patch", name, &in_demo, "--type=merge", "--patch", free]);
    }
}

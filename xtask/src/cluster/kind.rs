//! A cluster made by `kind`, where a Docker daemon runs: the first choice for one that runs Pods.
//!
//! Its kubeconfig lies in the cluster's folder like that of our own. Its components are containers
//! of kind's, so they cannot be stopped one by one from here, and there is no audit log.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use super::Form;
use super::state::{Lock, State};
use crate::progress;
use crate::workspace::{capture, show};

/// What the names of our clusters begin with among kind's.
const PREFIX: &str = "dbop-";
/// How long kind may wait for its node.
const WAIT: &str = "--wait=180s";

/// Whether kind is installed and a Docker daemon answers: the client alone is not enough.
pub(crate) fn is_there() -> bool {
    let answers = |command: &mut Command| capture(command).is_ok_and(|text| !text.is_empty());
    answers(Command::new("kind").arg("version"))
        && answers(Command::new("docker").args(["info", "--format", "{{.ServerVersion}}"]))
}

/// Creates a cluster; on failure nothing of it stays.
pub(crate) fn create(state: &State, lock: Lock) -> Result<()> {
    let made = state
        .create(Form::Kind)
        .and_then(|()| run("creating a cluster with kind", &mut creation(state)));
    if made.is_err() {
        delete(state);
        state.remove(lock)?;
    }
    made
}

/// Deletes a cluster, if it is there.
pub(crate) fn delete(state: &State) {
    let mut kind = Command::new("kind");
    kind.args(["delete", "cluster", "--name"])
        .arg(container(state))
        .arg("--kubeconfig")
        .arg(state.kubeconfig());
    // A cluster that is gone is what we want.
    let _ = capture(&mut kind);
}

/// Loads an archive of images into the cluster's node.
pub(crate) fn load(state: &State, archive: &Path) -> Result<()> {
    let mut kind = Command::new("kind");
    kind.args(["load", "image-archive"])
        .arg(archive)
        .arg("--name")
        .arg(container(state));
    run("loading an image", &mut kind)
}

fn creation(state: &State) -> Command {
    let mut kind = Command::new("kind");
    kind.args(["create", "cluster", WAIT, "--name"])
        .arg(container(state))
        .arg("--kubeconfig")
        .arg(state.kubeconfig())
        // kind merges into the file that this names.
        .env_remove("KUBECONFIG");
    kind
}

fn container(state: &State) -> String {
    format!("{PREFIX}{}", state.name())
}

fn run(what: &str, command: &mut Command) -> Result<()> {
    let outcome = progress::run(what, command)?;
    ensure!(
        outcome.succeeded,
        "`{}` failed:\n{}",
        show(command),
        outcome.output.join("\n")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::{Cache, random_hex};

    #[test]
    fn kind_gets_a_kubeconfig_of_its_own() {
        let name = format!("dbop-kind-test-{}", random_hex(8).unwrap());
        let cache = Cache::at(std::env::temp_dir().join(name)).unwrap();
        let state = State::of(&cache, "dev").unwrap();
        let command = creation(&state);
        let shown = show(&command);
        let expected = format!(
            "--name dbop-dev --kubeconfig {}",
            state.kubeconfig().display()
        );
        assert!(shown.ends_with(&expected), "{shown}");
        assert!(
            command
                .get_envs()
                .any(|(name, value)| name == "KUBECONFIG" && value.is_none())
        );
        std::fs::remove_dir_all(cache.entry("")).unwrap();
    }
}

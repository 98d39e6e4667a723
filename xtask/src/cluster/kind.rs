//! A cluster made by `kind`, where a Docker daemon runs: the first choice for one that runs Pods.
//!
//! Its kubeconfig lies in the cluster's folder like that of our own. Its components are containers
//! of kind's, so they cannot be stopped one by one from here, and there is no audit log.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process_group};

use super::component::tail;
use super::image::Image;
use super::state::State;
use crate::clock;
use crate::workspace::capture;

/// What the names of our clusters begin with among kind's.
const PREFIX: &str = "dbop-";
/// How long kind may wait for its node.
const WAIT: &str = "--wait=180s";
/// How long it may take with all that it fetches.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Whether kind is installed and a Docker daemon answers: the client alone is not enough.
pub(crate) fn is_there() -> bool {
    let answers = |command: &mut Command| capture(command).is_ok_and(|text| !text.is_empty());
    answers(Command::new("kind").arg("version"))
        && answers(Command::new("docker").args(["info", "--format", "{{.ServerVersion}}"]))
}

/// Creates a cluster; `wait` sleeps for a moment and tells whether it is time to give up.
pub(crate) fn create(state: &State, wait: &mut dyn FnMut() -> bool) -> Result<()> {
    let place = state.log("kind");
    let log =
        File::create(&place).with_context(|| format!("{} cannot be created", place.display()))?;
    let errors = log.try_clone().context("a log cannot be shared")?;
    let mut child = creation(state)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .context("kind cannot be started")?;
    let started = clock::now();
    let ended = loop {
        if let Some(status) = child.try_wait().context("kind cannot be watched")? {
            break Some(status);
        }
        if wait() || started.elapsed() > PATIENCE {
            // An error means that it has ended, which is what we want.
            let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
            let _ = child.wait();
            break None;
        }
    };
    ensure!(
        ended.is_some_and(|status| status.success()),
        "kind made no cluster:\n{}",
        tail(&place)
    );
    // A machine without a static busybox has no shell to load; tests that need it say so.
    if let Ok(shell) = Image::shell() {
        let archive = state.folder().join("image.tar");
        if shell.write(&archive).is_ok() {
            load(state, &archive)?;
            std::fs::remove_file(&archive).context("an archive cannot be removed")?;
        }
    }
    Ok(())
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
    capture(&mut kind)
        .map(drop)
        .with_context(|| format!("{} cannot be loaded", archive.display()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::{Cache, random_hex};
    use crate::workspace::show;

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

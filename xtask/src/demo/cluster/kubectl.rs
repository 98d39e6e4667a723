//! kubectl for the demo's cluster, with a kubeconfig of the demo's own: nobody can point it elsewhere
//! in the middle of the story, and the user's own is only read.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::NAMESPACE;
use crate::cluster::{Cluster, kubectl};
use crate::demo::write_private;
use crate::workspace::{capture, show};

/// The kubeconfig, in the demo's folder.
pub(super) const KUBECONFIG: &str = "kubeconfig";
/// No answer takes longer. Not for what waits on purpose.
const PATIENCE: &str = "--request-timeout=30s";

/// A kubectl that works in the demo's folder and namespace.
pub(super) struct Kubectl {
    /// Our program that it is a part of; `None`: the installed one.
    pub(super) ours: Option<PathBuf>,
    folder: PathBuf,
}

impl Kubectl {
    /// For this cluster, with a kubeconfig in this folder, which it closes to others.
    pub(super) fn new(cluster: &Cluster, folder: &Path) -> Result<Kubectl> {
        std::fs::set_permissions(folder, Permissions::from_mode(0o700))
            .context("a folder cannot be closed to others")?;
        let ours = cluster.kubectl_of_ours()?;
        let mut view = kubectl(ours.as_deref(), cluster.kubeconfig());
        view.args(["config", "view", "--minify", "--flatten", "--raw"]);
        let text = capture(&mut view).context("the kubeconfig names no cluster")?;
        write_private(&folder.join(KUBECONFIG), &text)?;
        let kubectl = Kubectl::at(folder, ours);
        let namespace = format!("--namespace={NAMESPACE}");
        kubectl.ask(&["config", "set-context", "--current", &namespace])?;
        kubectl
            .ask(&["get", "--raw", "/readyz"])
            .context("the cluster does not answer")?;
        Ok(kubectl)
    }

    /// With what [`Kubectl::new`] left in the folder.
    pub(super) fn at(folder: &Path, ours: Option<PathBuf>) -> Kubectl {
        Kubectl {
            ours,
            folder: folder.to_owned(),
        }
    }

    /// A command of it.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = kubectl(self.ours.as_deref(), &self.folder.join(KUBECONFIG));
        command.args(arguments).current_dir(&self.folder);
        command
    }

    /// What it answers.
    pub(super) fn ask(&self, arguments: &[&str]) -> Result<String> {
        capture(self.command(arguments).arg(PATIENCE).stdin(Stdio::null()))
    }

    /// What it gives in its own time.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<String> {
        capture(self.command(arguments).stdin(Stdio::null()))
    }

    /// What it gives for a text that may hold passwords; an exit status other than 0 is no error where
    /// `may_fail` says so.
    pub(super) fn feed(&self, arguments: &[&str], text: &str, may_fail: bool) -> Result<String> {
        let mut command = self.command(arguments);
        let shown = show(&command);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("`{shown}` cannot be started"))?;
        if let Some(mut input) = child.stdin.take() {
            // One that reads no further has failed, and says why.
            let _ = input.write_all(text.as_bytes());
        }
        let output = child.wait_with_output().context("kubectl is lost")?;
        let said = String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned();
        ensure!(
            output.status.success() || (may_fail && !said.is_empty()),
            "`{shown}` failed:\n{}",
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
        Ok(said)
    }
}

//! Which cluster a command is about: one named by `--name`, else by a kubeconfig, else the only one
//! there is; and a kubectl for it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::binary::Programs;
use super::state::State;
use super::{Form, kubectl};
use crate::cache::Cache;
use crate::workspace::capture;

/// What a command is about.
pub(super) enum Target {
    /// One that we made.
    Ours(State),
    /// One that this kubeconfig names.
    Theirs(PathBuf),
}

/// The cluster that is meant.
pub(super) fn target(
    cache: &Cache,
    name: Option<String>,
    kubeconfig: Option<PathBuf>,
) -> Result<Target> {
    if let Some(name) = name {
        let state = State::of(cache, &name)?;
        ensure!(
            state.folder().is_dir(),
            "there is no cluster named {name}; `cargo xtask cluster status` shows all"
        );
        return Ok(Target::Ours(state));
    }
    if let Some(file) = kubeconfig {
        let ours = State::of_kubeconfig(&absolute(&file)?);
        return Ok(ours.map_or(Target::Theirs(file), Target::Ours));
    }
    let mut all = State::all(cache);
    let names: Vec<&str> = all.iter().map(State::name).collect();
    ensure!(
        !all.is_empty(),
        "there is no cluster; `cargo xtask cluster up` starts one"
    );
    ensure!(
        all.len() == 1,
        "there are several clusters; name one with --name: {}",
        names.join(", ")
    );
    Ok(Target::Ours(all.remove(0)))
}

/// A kubectl for it.
pub(super) fn kubectl_for(cache: &Cache, target: &Target) -> Result<Command> {
    let kubeconfig = match target {
        Target::Ours(state) => state.kubeconfig(),
        Target::Theirs(file) => absolute(file)?,
    };
    ensure!(
        kubeconfig.is_file(),
        "the kubeconfig {} is not there{}",
        kubeconfig.display(),
        match target {
            Target::Ours(_) => ": the cluster is not ready yet; `cargo xtask cluster status` tells",
            Target::Theirs(_) => "",
        }
    );
    let form = match target {
        Target::Ours(state) => state.form(),
        Target::Theirs(_) => None,
    };
    Ok(kubectl(program_for(cache, form)?.as_deref(), &kubeconfig))
}

/// Our program with a kubectl for a cluster of this form, or `None`: the one that is installed.
pub(super) fn program_for(cache: &Cache, form: Option<Form>) -> Result<Option<PathBuf>> {
    // Who has another cluster has a kubectl, and perhaps no Go to build ours with.
    let is_another = matches!(form, None | Some(Form::Kind));
    if is_another && capture(Command::new("kubectl").args(["version", "--client"])).is_ok() {
        return Ok(None);
    }
    Ok(Some(Programs::provide(cache)?.kubernetes))
}

/// A path that does not depend on where we are.
pub(super) fn absolute(file: &Path) -> Result<PathBuf> {
    std::path::absolute(file).with_context(|| format!("{} cannot be named", file.display()))
}

/// A cluster of ours, or why there is none.
pub(super) fn ours(
    cache: &Cache,
    name: Option<String>,
    kubeconfig: Option<PathBuf>,
) -> Result<State> {
    match target(cache, name, kubeconfig)? {
        Target::Ours(state) if state.form() != Some(Form::Kind) => Ok(state),
        Target::Ours(state) => bail!(
            "the components of {} are kind's containers; only those of our own clusters are \
             stopped and started here",
            state.name()
        ),
        Target::Theirs(file) => bail!(
            "the components of the cluster of {} are not ours to stop and start",
            file.display()
        ),
    }
}

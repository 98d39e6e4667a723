//! What `cargo xtask cluster` does when a person, or a test, calls it. Which cluster is meant is
//! found out in `target.rs`.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, Subcommand};
use rustix::process::{Signal, kill_process};

use super::component::{self, Condition, seen, want};
use super::state::State;
use super::target::{Target, absolute, kubectl_for, ours, target};
use super::{Cluster, Form, KUBECONFIG, kind, node, sweep};
use crate::cache::Cache;
use crate::clock;
use crate::process::{self, pid_of};
use crate::workspace::capture;

/// The name of a cluster where none is given.
const DEFAULT_NAME: &str = "dev";
/// How long a keeper may take to end its cluster: a node's Pods take the most of it.
const END_PATIENCE: Duration = Duration::from_secs(120);
/// How long a component may take to be what it is wanted to be.
const WISH_PATIENCE: Duration = Duration::from_secs(30);
/// How long a started API server may take to answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);
/// How often things are looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The arguments of `cargo xtask cluster`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The cluster's name. Default: `dev` for `up`, else the only cluster there is.
    #[arg(long, global = true)]
    name: Option<String>,
    /// Use the cluster of this kubeconfig, and start none. Default: what DBOP_TEST_KUBECONFIG
    /// names, unless there is a --name.
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "name")]
    kubeconfig: Option<PathBuf>,
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Starts a cluster that stays until `down`, and prints how tests find it.
    Up {
        /// No node and no Pods: etcd, API server and controllers, without root, in seconds.
        #[arg(long)]
        light: bool,
        /// Run this with the cluster in its environment, then end the cluster.
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Ends a cluster and removes all of it; also what is left of one whose keeper was killed.
    Down,
    /// Shows all clusters and their components.
    Status,
    /// Runs kubectl on a cluster.
    Kubectl {
        /// What kubectl gets.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Loads archives of images (as `docker save` writes them) into a cluster's node.
    Load {
        /// The archives.
        #[arg(required = true)]
        archives: Vec<PathBuf>,
    },
    /// Stops a component, as `kube-apiserver`; its data stay.
    Stop {
        /// Its name, as `status` shows it.
        component: String,
    },
    /// Starts a stopped component again, with the same data and port.
    Start {
        /// Its name, as `status` shows it.
        component: String,
    },
    /// Makes a component stand still (SIGSTOP).
    Pause {
        /// Its name, as `status` shows it.
        component: String,
    },
    /// Makes a component that stands still go on.
    Continue {
        /// Its name, as `status` shows it.
        component: String,
    },
}

/// `cargo xtask cluster`; tells whether it succeeded.
pub(crate) fn run(arguments: Arguments) -> Result<bool> {
    let cache = Cache::open()?;
    let Arguments {
        name,
        kubeconfig,
        task,
    } = arguments;
    let named = || std::env::var_os(KUBECONFIG).filter(|file| !file.is_empty() && name.is_none());
    let kubeconfig = kubeconfig.or_else(|| named().map(PathBuf::from));
    match task {
        Task::Up { light, command } => match command.split_first() {
            Some((program, arguments)) => with(name, kubeconfig, light, program, arguments),
            None => up(&cache, name, kubeconfig, light),
        },
        Task::Status => status(&cache),
        Task::Down => match target(&cache, name, kubeconfig)? {
            Target::Ours(state) => end(&state).map(|()| true),
            Target::Theirs(file) => {
                bail!("{} is not a cluster of ours to end", file.display())
            }
        },
        Task::Kubectl { arguments } => {
            let target = target(&cache, name, kubeconfig)?;
            let error = kubectl_for(&cache, &target)?.args(arguments).exec();
            Err(error).context("kubectl cannot be started")
        }
        Task::Load { archives } => {
            let target = target(&cache, name, kubeconfig)?;
            for archive in archives {
                load(&target, &absolute(&archive)?)?;
            }
            Ok(true)
        }
        Task::Stop { component } => wish(
            &ours(&cache, name, kubeconfig)?,
            &component,
            Condition::Stopped,
        ),
        Task::Pause { component } => wish(
            &ours(&cache, name, kubeconfig)?,
            &component,
            Condition::Paused,
        ),
        Task::Start { component } | Task::Continue { component } => {
            let state = ours(&cache, name, kubeconfig)?;
            wish(&state, &component, Condition::Running)?;
            if component == "kube-apiserver" {
                await_answer(&cache, &state)?;
            }
            Ok(true)
        }
    }
}

fn up(cache: &Cache, name: Option<String>, file: Option<PathBuf>, light: bool) -> Result<bool> {
    if let Some(file) = file {
        let target = Target::Theirs(file);
        let version = capture(kubectl_for(cache, &target)?.args(["get", "--raw", "/version"]));
        version.context("the cluster that was named does not answer")?;
        eprintln!("the cluster that was named answers; nothing is started");
        return Ok(true);
    }
    let name = name.as_deref().unwrap_or(DEFAULT_NAME);
    let state = State::of(cache, name)?;
    let form = form(light);
    let started = clock::now();
    if is_kept(&state)? && state.kubeconfig().is_file() {
        ensure!(
            state.form() == Some(form),
            "cluster {name} runs already and is of the other form; end it with `cargo xtask cluster \
             down --name {name}`, or give another --name"
        );
        eprintln!("cluster {name} runs already");
    } else {
        Cluster::start(name, form)?.let_go()?;
        eprintln!(
            "cluster {name} is ready after {}",
            clock::spell(started.elapsed())
        );
    }
    println!("export {KUBECONFIG}='{}'", state.kubeconfig().display());
    println!("export {}='{}'", super::FOLDER, state.folder().display());
    if form != Form::Kind {
        println!(
            "export {}='{}'",
            super::AUDIT_LOG,
            state.audit_log().display()
        );
    }
    eprintln!(
        "cargo xtask cluster kubectl --name {name} ...; cargo xtask cluster down --name {name}"
    );
    Ok(true)
}

/// What `up` makes here.
pub(super) fn form(light: bool) -> Form {
    match light {
        true => Form::Light,
        false if kind::is_there() => Form::Kind,
        false => Form::Node,
    }
}

/// Runs a command with a cluster of its own, or with the one that was named.
fn with(
    name: Option<String>,
    kubeconfig: Option<PathBuf>,
    light: bool,
    program: &str,
    arguments: &[String],
) -> Result<bool> {
    let own = format!("run-{}", std::process::id());
    let cluster = match (kubeconfig, name) {
        (Some(file), _) => Cluster::of(absolute(&file)?)?,
        // Who names a cluster wants a new one, whatever the environment says.
        (None, Some(name)) => Cluster::start(&name, form(light))?,
        (None, None) if light => Cluster::light(&own)?,
        (None, None) => Cluster::node(&own)?,
    };
    let mut child = Command::new(program);
    child.args(arguments).envs(cluster.environment()?);
    Ok(process::run_shared(&mut child, &mut || {})?.success())
}

fn status(cache: &Cache) -> Result<bool> {
    let all = State::all(cache);
    if all.is_empty() {
        println!("no cluster");
    }
    for state in &all {
        let form = state.form().map_or("unfinished", Form::name);
        let told = match is_kept(state)? {
            true if state.kubeconfig().is_file() => "running",
            true => "starting",
            false => "not kept: `down` removes what is left of it",
        };
        println!(
            "{} ({form}): {told}, {}",
            state.name(),
            state.folder().display()
        );
        for name in component::names(state) {
            if let Some((condition, process)) = seen(state, &name) {
                let process = match process {
                    0 => String::new(),
                    process => format!(" process {process}"),
                };
                println!("  {name:<24} {condition}{process}");
            }
        }
        if let Some(trouble) = state.read("trouble") {
            println!("  {}", trouble.replace('\n', "\n    "));
        }
    }
    Ok(true)
}

/// Loads an archive of images into the nodes.
pub(super) fn load(target: &Target, archive: &Path) -> Result<()> {
    match target {
        Target::Ours(state) if state.form() == Some(Form::Kind) => kind::load(state, archive),
        Target::Ours(state) if state.form() == Some(Form::Node) => node::load(archive),
        Target::Ours(state) => bail!("cluster {} has no node to load images into", state.name()),
        Target::Theirs(file) => bail!(
            "the nodes of the cluster of {} are not ours: load {} the way that cluster has for it",
            file.display(),
            archive.display()
        ),
    }
}

/// Ends a cluster and removes all of it.
fn end(state: &State) -> Result<()> {
    let started = clock::now();
    let mut told = false;
    while started.elapsed() < END_PATIENCE {
        if let Some(lock) = state.try_lock()? {
            sweep::clear(state);
            return state.remove(lock);
        }
        // The lock is held, so its holder is the keeper that wrote this.
        if !told
            && let Some(keeper) = state.read("keeper")
            && let Some(keeper) = pid_of(&keeper)
        {
            told = true;
            // Errors mean that it has ended, which is what we want.
            let _ = kill_process(keeper, Signal::TERM);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    bail!(
        "the keeper of cluster {} has not ended after {}",
        state.name(),
        clock::spell(END_PATIENCE)
    )
}

/// Asks for a component's condition and waits for it.
fn wish(state: &State, component: &str, condition: Condition) -> Result<bool> {
    let names = component::names(state);
    ensure!(
        names.iter().any(|name| name == component),
        "cluster {} has no component {component:?}; it has {}",
        state.name(),
        names.join(", ")
    );
    want(state, component, condition)?;
    let started = clock::now();
    while started.elapsed() < WISH_PATIENCE {
        if seen(state, component).is_some_and(|(is, _)| is == condition) {
            return Ok(true);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    bail!(
        "{component} of cluster {} is not {condition} after {}; `cargo xtask cluster status` shows \
         what it is",
        state.name(),
        clock::spell(WISH_PATIENCE)
    )
}

fn await_answer(cache: &Cache, state: &State) -> Result<()> {
    let target = Target::Ours(state.clone());
    let started = clock::now();
    loop {
        let mut kubectl = kubectl_for(cache, &target)?;
        match capture(kubectl.args(["get", "--raw", "/readyz", "--request-timeout=5s"])) {
            Ok(_) => return Ok(()),
            Err(error) if started.elapsed() > ANSWER_PATIENCE => {
                return Err(error).context("the API server does not answer");
            }
            Err(_) => std::thread::sleep(LOOK_EVERY),
        }
    }
}

/// Whether somebody keeps this cluster.
fn is_kept(state: &State) -> Result<bool> {
    Ok(state.folder().is_dir() && state.try_lock()?.is_none())
}

//! What a node needs of the system: installed from Debian where we are root there, else asked for.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail, ensure};

use super::image::BUSYBOX;
use super::node::plugins;
use crate::progress;
use crate::workspace::capture;

/// Each program with Debian's package of it.
const PROGRAMS: [(&str, &str); 5] = [
    ("containerd", "containerd"),
    ("runc", "runc"),
    ("iptables", "iptables"),
    ("conntrack", "conntrack"),
    ("ip", "iproute2"),
];
/// Debian's package of the plugins for Pods' networks.
const PLUGINS_PACKAGE: &str = "containernetworking-plugins";
/// Debian's package of the shell.
const SHELL_PACKAGE: &str = "busybox-static";

/// Makes sure that a node can run here.
pub(crate) fn ensure() -> Result<()> {
    ensure!(
        cfg!(target_os = "linux"),
        "Pods run on Linux alone; with Docker and kind, `cargo xtask cluster up` uses those, and \
         `up --light` needs neither"
    );
    ensure!(
        rustix::process::geteuid().is_root(),
        "a node of our own needs root; with Docker and kind none is needed, and `up --light` needs \
         neither"
    );
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let install = format!("apt-get install -y {}", missing.join(" "));
    if !Path::new("/etc/debian_version").is_file() {
        bail!("a node needs more than is installed; on Debian: {install}");
    }
    eprintln!("installing {}", missing.join(", "));
    // The list of packages may be old, or empty as in containers.
    apt(&["update"])?;
    let arguments = ["install", "-y", "--no-install-recommends"];
    apt(&[&arguments[..], &missing[..]].concat())
}

/// The packages that are not installed.
fn missing() -> Vec<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    let is_there = |program: &str| folders.iter().any(|folder| folder.join(program).is_file());
    let mut missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| !is_there(program))
        .map(|(_, package)| *package)
        .collect();
    if !Path::new(plugins()).join("bridge").is_file() {
        missing.push(PLUGINS_PACKAGE);
    }
    if capture(Command::new(BUSYBOX).arg("--list")).is_err() {
        missing.push(SHELL_PACKAGE);
    }
    missing
}

fn apt(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Installing containerd must not start it.
        .env("RUNLEVEL", "1");
    let outcome = progress::run("apt-get", &mut command)?;
    ensure!(
        outcome.succeeded,
        "`apt-get {}` failed:\n{}",
        arguments.join(" "),
        outcome.output.join("\n")
    );
    Ok(())
}

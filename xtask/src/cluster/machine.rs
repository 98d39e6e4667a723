//! What a node changes on the machine outside its folder, and how that is undone.
//!
//! Before a node starts, `record` writes down what the machine is like; `restore` brings that back:
//! Pods' processes, mounts, control groups, rules of iptables, interfaces, sysctls, folders with
//! fixed places. It may be called at any time and twice, by whoever holds the node's lock. What was
//! there before stays.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Pid;

use super::iptables;
use super::node::{BRIDGE, CGROUP, NETWORK, RUN};
use super::state::State;
use super::sweep::kill_all;
use crate::clock;
use crate::process::pid_of;
use crate::workspace::capture;

/// The record, in the cluster's folder.
const RECORD: &str = "machine-before";
/// What the kubelet, kube-proxy and network plugins set, below `/proc/sys`.
const SYSCTLS: &[&str] = &[
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "net/ipv4/conf/all/route_localnet",
    "net/ipv4/ip_forward",
    "vm/overcommit_memory",
];
/// Folders whose place cannot be chosen.
const FOLDERS: &[&str] = &[
    "/etc/cni",
    "/opt/containerd",
    "/run/containerd",
    "/var/lib/cni",
    "/var/lib/kubelet",
    "/var/log/containers",
];
/// The programs for rules of IPv4 and IPv6.
const IPTABLES: [&str; 2] = ["iptables", "ip6tables"];
/// How long Pods' processes may take to be gone, and control groups to be empty.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often they are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Writes down what the machine is like; fails where another Kubernetes runs already.
pub(crate) fn record(state: &State) -> Result<()> {
    let mut lines = Vec::new();
    for name in SYSCTLS {
        if let Ok(value) = std::fs::read_to_string(Path::new("/proc/sys").join(name)) {
            lines.push(format!("sysctl {name} {}", value.trim()));
        }
    }
    for folder in FOLDERS.iter().filter(|folder| !Path::new(folder).exists()) {
        lines.push(format!("absent {folder}"));
    }
    for tool in IPTABLES {
        for (table, chain) in iptables::chains(&saved(tool)) {
            ensure!(
                chain != "KUBE-SERVICES",
                "the rules of another Kubernetes are on this machine ({tool}, chain {chain}); end \
                 that one, or use it: name its kubeconfig in DBOP_TEST_KUBECONFIG"
            );
            lines.push(format!("chain {tool} {table} {chain}"));
        }
    }
    state.write(RECORD, &lines.join("\n"))
}

/// Makes the control group above all Pods, in each hierarchy there is.
pub(crate) fn make_cgroups() -> Result<()> {
    for hierarchy in hierarchies() {
        let place = hierarchy.join(CGROUP);
        std::fs::create_dir_all(&place)
            .with_context(|| format!("{} cannot be created", place.display()))?;
        // In the first version of control groups, no process can be in one without these.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let (from, to) = (hierarchy.join(file), place.join(file));
            if let Ok(all) = std::fs::read_to_string(from)
                && std::fs::read_to_string(&to).is_ok_and(|now| now.trim().is_empty())
            {
                std::fs::write(&to, all)
                    .with_context(|| format!("{} cannot be written", to.display()))?;
            }
        }
    }
    Ok(())
}

/// Brings back what was before; nothing to do where nothing was recorded.
pub(crate) fn restore(state: &State) {
    let Some(record) = state.read(RECORD) else {
        return;
    };
    end_pods();
    unmount(&[state.folder(), Path::new(RUN)]);
    remove_cgroups();
    for tool in IPTABLES {
        let before: BTreeSet<(&str, &str)> = record
            .lines()
            .filter_map(|line| {
                line.strip_prefix(&format!("chain {tool} "))?
                    .split_once(' ')
            })
            .collect();
        let undo = iptables::undo(&saved(tool), &before);
        if !undo.is_empty() {
            apply(state, tool, &undo);
        }
    }
    remove_interfaces();
    for line in record.lines() {
        if let Some((name, value)) = line.strip_prefix("sysctl ").and_then(|l| l.split_once(' ')) {
            // One that cannot be set could not be set by the node either.
            let _ = std::fs::write(Path::new("/proc/sys").join(name), value);
        }
        if let Some(folder) = line.strip_prefix("absent ") {
            remove_folder(Path::new(folder));
        }
    }
    remove_folder(Path::new(RUN));
    remove_results();
}

/// What is mounted in a folder, the last first.
pub(crate) fn mounts_below(folder: &Path) -> Vec<PathBuf> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut mounts: Vec<PathBuf> = table.lines().filter_map(mount_point).collect();
    mounts.retain(|mount| mount.starts_with(folder));
    mounts.reverse();
    mounts
}

/// The fifth word of a line of `mountinfo`, in which odd characters are octal numbers.
fn mount_point(line: &str) -> Option<PathBuf> {
    let word = line.split(' ').nth(4)?;
    let mut path = String::new();
    let mut pieces = word.split('\\');
    path.push_str(pieces.next()?);
    for piece in pieces {
        let (number, rest) = piece.split_at_checked(3)?;
        path.push(char::from(u8::from_str_radix(number, 8).ok()?));
        path.push_str(rest);
    }
    Some(PathBuf::from(path))
}

/// Kills what runs in Pods, until nothing does.
fn end_pods() {
    let started = clock::now();
    loop {
        let pods = processes_in_pods();
        if pods.is_empty() || started.elapsed() > PATIENCE {
            return;
        }
        kill_all(&pods);
    }
}

fn processes_in_pods() -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let process = pid_of(entry.file_name().to_str()?)?;
            let groups = std::fs::read_to_string(entry.path().join("cgroup")).ok()?;
            is_in_pod(&groups).then_some(process)
        })
        .collect()
}

/// Whether a process with these control groups belongs to a Pod of ours.
fn is_in_pod(groups: &str) -> bool {
    let ours = format!("/{CGROUP}/");
    groups
        .lines()
        .filter_map(|line| line.splitn(3, ':').nth(2))
        .any(|path| path.starts_with(&ours))
}

fn unmount(folders: &[&Path]) {
    for folder in folders {
        for mount in mounts_below(folder) {
            if capture(Command::new("umount").arg(&mount)).is_err() {
                // Busy: it goes when the last one lets go of it.
                let _ = capture(Command::new("umount").arg("--lazy").arg(&mount));
            }
        }
    }
}

/// The places where hierarchies of control groups are mounted.
fn hierarchies() -> Vec<PathBuf> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table
        .lines()
        .filter(|line| line.contains(" - cgroup"))
        .filter_map(mount_point)
        .collect()
}

fn remove_cgroups() {
    let started = clock::now();
    loop {
        let left: Vec<PathBuf> = hierarchies()
            .iter()
            .map(|hierarchy| hierarchy.join(CGROUP))
            .filter(|group| group.is_dir())
            .collect();
        if left.is_empty() || started.elapsed() > PATIENCE {
            return;
        }
        for group in &left {
            remove_cgroup(group);
        }
        // The kernel takes a moment to see that the last process is gone.
        std::thread::sleep(LOOK_EVERY);
    }
}

fn remove_cgroup(group: &Path) {
    for entry in std::fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_cgroup(&entry.path());
        }
    }
    // The files in it are not real: the folder can be removed as it is, once it is empty of
    // processes, which is tried again above.
    let _ = std::fs::remove_dir(group);
}

fn saved(tool: &str) -> String {
    // Without the program, or without the kernel's part, there are no rules.
    capture(&mut Command::new(format!("{tool}-save"))).unwrap_or_default()
}

fn apply(state: &State, tool: &str, rules: &str) {
    let file = format!("{tool}-undo");
    if state.write(&file, rules).is_ok() {
        let mut restore = Command::new(format!("{tool}-restore"));
        restore
            .args(["--noflush", "--wait", "10"])
            .arg(state.folder().join(&file));
        if let Err(error) = capture(&mut restore) {
            eprintln!("rules of {tool} could not be removed: {error}");
        }
    }
}

fn remove_interfaces() {
    let ip = |arguments: &[&str]| capture(Command::new("ip").args(arguments));
    // Those of Pods go with the Pods; one whose Pod was killed may be left.
    let listed = ip(&["-o", "link", "show", "master", BRIDGE]).unwrap_or_default();
    for name in listed.lines().filter_map(interface) {
        let _ = ip(&["link", "delete", name]);
    }
    // No bridge is what we want.
    let _ = ip(&["link", "delete", BRIDGE]);
}

/// The name in a line of `ip -o link`: `7: veth1@if2: <...`.
fn interface(line: &str) -> Option<&str> {
    let name = line.split(": ").nth(1)?;
    Some(name.split_once('@').map_or(name, |(name, _)| name))
}

/// Removes a folder, unless something is mounted in it, which would be emptied too.
fn remove_folder(folder: &Path) {
    if mounts_below(folder).is_empty() {
        // Not there is what we want.
        let _ = std::fs::remove_dir_all(folder);
    }
}

/// What the network plugins remember of our Pods in a folder that others use too.
fn remove_results() {
    let entries = std::fs::read_dir("/var/lib/cni/results");
    for entry in entries.into_iter().flatten().flatten() {
        let ours = format!("{NETWORK}-");
        if entry.file_name().to_string_lossy().starts_with(&ours) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_found_by_its_place_whatever_its_characters() {
        let line = r"36 35 98:0 / /a\040folder/x rw,noatime shared:1 - ext4 /dev/root rw";
        assert_eq!(mount_point(line), Some("/a folder/x".into()));
        assert_eq!(mount_point(r"1 2 3:4 / /a\0"), None);
        assert_eq!(mount_point("1 2"), None);
    }

    #[test]
    fn a_process_of_a_pod_is_told_by_its_control_group() {
        assert!(is_in_pod("9:cpu:/dbop-node/kubepods/pod1/a\n0::/\n"));
        assert!(is_in_pod("0::/dbop-node/kubepods/besteffort/pod1\n"));
        for other in ["0::/", "0::/dbop-nodes/x", "1:name=systemd:/x/dbop-node/y"] {
            assert!(!is_in_pod(other), "{other}");
        }
    }

    #[test]
    fn an_interface_is_named_in_a_line_of_ip() {
        let line = "7: veth1a2b@if2: <BROADCAST,UP> mtu 1500 qdisc noqueue master dbop0";
        assert_eq!(interface(line), Some("veth1a2b"));
        assert_eq!(interface("3: dbop0: <UP>"), Some("dbop0"));
    }
}

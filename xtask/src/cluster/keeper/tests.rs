//! The life of a cluster in its keeper's hands, with a script in the place of Kubernetes: what it
//! does not show is that the real components take their arguments.

use std::path::PathBuf;
use std::sync::mpsc;

use super::*;
use crate::cache::random_hex;
use crate::cluster::component::{Condition, names, seen};

/// A script that does what each component does for the keeper. `$0.d` is a folder of its own.
const SCRIPT: &str = r#"#!/bin/sh
what=$1
case "$what $*" in
pki*) echo admin > "$2/admin.kubeconfig" ;;
kubectl*readyz*) echo ok ;;
kubectl*serviceaccount*) echo serviceaccount/default ;;
kube-apiserver*)
    echo started >> "$0.d/attempts"
    if [ -e "$0.d/taken" ]; then
        rm "$0.d/taken"
        echo "listen tcp 127.0.0.1:1: bind: address already in use"
        exit 1
    fi
    if [ -e "$0.d/broken" ]; then
        echo "unknown flag: --nonsense"
        exit 1
    fi
    ;;
esac
case $what in
etcd | kube-*) while :; do sleep 1; done ;;
esac
"#;

/// A scratch cache with the script as its programs.
struct Scratch {
    cache: Cache,
    programs: Programs,
}

impl Scratch {
    fn new() -> Scratch {
        let name = format!("dbop-keeper-test-{}", random_hex(8).unwrap());
        let cache = Cache::at(std::env::temp_dir().join(name)).unwrap();
        let programs = Programs::at(&cache.entry("programs"));
        std::fs::create_dir_all(programs.folder.join("kubernetes.d")).unwrap();
        let scratch = Scratch { cache, programs };
        scratch.write_script(SCRIPT);
        scratch
    }

    /// Writes the script. A process of its own does that: what other tests start meanwhile would
    /// inherit the open file, and a program that is open for writing cannot be run.
    fn write_script(&self, text: &str) {
        let mut writer = Command::new("sh")
            .args(["-c", "cat > \"$0\" && chmod 700 \"$0\""])
            .arg(&self.programs.kubernetes)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = writer.stdin.take().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        drop(input);
        assert!(writer.wait().unwrap().success());
    }

    /// A file that the script looks at.
    fn sign(&self, name: &str) -> PathBuf {
        self.programs.folder.join("kubernetes.d").join(name)
    }

    fn kept(&self) -> Kept {
        let state = State::of(&self.cache, "one").unwrap();
        Kept {
            lock: Some(state.lock().unwrap()),
            state,
            node: None,
            components: Vec::new(),
            tell: |_| {},
        }
    }

    /// How many processes have an argument below the cluster's folder.
    fn processes(&self) -> usize {
        let folder = format!("={}", self.cache.entry("clusters").display());
        let listed = Command::new("ps").args(["-axww", "-o", "args="]).output();
        String::from_utf8_lossy(&listed.unwrap().stdout)
            .lines()
            .filter(|line| line.contains(&folder))
            .count()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(self.cache.entry("")).unwrap();
    }
}

/// A process that another test is just starting holds every open file of this one until it runs its program,
/// a lock that is free as well.
fn wait_until_free(state: &State) {
    drop(state.lock().unwrap());
}

#[test]
fn a_cluster_is_all_there_and_then_all_gone() {
    let scratch = Scratch::new();
    let (_sender, stop) = mpsc::channel();
    let mut kept = scratch.kept();
    kept.start(Form::Light, &scratch.programs, &stop).unwrap();
    let state = kept.state.clone();
    assert_eq!(state.read("kubeconfig").unwrap(), "admin\n");
    assert_eq!(names(&state).len(), 3);
    for name in names(&state) {
        assert_eq!(seen(&state, &name).unwrap().0, Condition::Running, "{name}");
    }
    assert_eq!(scratch.processes(), 3);
    drop(kept);
    assert_eq!(scratch.processes(), 0);
    assert!(!state.folder().exists());
    wait_until_free(&state);
}

#[test]
fn a_port_that_somebody_took_is_exchanged() {
    let scratch = Scratch::new();
    std::fs::write(scratch.sign("taken"), "").unwrap();
    // It answers once the second one was started.
    let answer = "[ \"$(wc -l < \"$0.d/attempts\")\" -eq 2 ] && echo ok";
    let script = SCRIPT.replace("echo ok", answer);
    scratch.write_script(&script);
    let (_sender, stop) = mpsc::channel();
    let mut kept = scratch.kept();
    kept.start(Form::Light, &scratch.programs, &stop).unwrap();
    let attempts = std::fs::read_to_string(scratch.sign("attempts")).unwrap();
    assert_eq!(attempts.lines().count(), 2);
    assert_eq!(scratch.processes(), 3);
}

#[test]
fn a_component_that_ends_at_once_is_told_with_its_last_words() {
    let scratch = Scratch::new();
    std::fs::write(scratch.sign("broken"), "").unwrap();
    let script = SCRIPT.replace("readyz*) echo ok", "readyz*) exit 1");
    scratch.write_script(&script);
    let (_sender, stop) = mpsc::channel();
    let mut kept = scratch.kept();
    let error = kept
        .start(Form::Light, &scratch.programs, &stop)
        .unwrap_err();
    let told = crate::spell(&error);
    assert!(told.contains("kube-apiserver ended by itself"), "{told}");
    assert!(told.contains("unknown flag: --nonsense"), "{told}");
    drop(kept);
    assert_eq!(scratch.processes(), 0);
}

#[test]
fn a_start_ends_when_it_is_told_to() {
    let scratch = Scratch::new();
    let script = SCRIPT.replace("readyz*) echo ok", "readyz*) exit 1");
    scratch.write_script(&script);
    let (sender, stop) = mpsc::channel();
    sender.send(()).unwrap();
    let mut kept = scratch.kept();
    let error = kept
        .start(Form::Light, &scratch.programs, &stop)
        .unwrap_err();
    assert!(crate::spell(&error).contains("told to end"), "{error:#}");
    drop(kept);
    assert_eq!(scratch.processes(), 0);
}

#[test]
fn what_a_killed_keeper_left_is_swept_away() {
    let scratch = Scratch::new();
    let (_sender, stop) = mpsc::channel();
    let mut kept = scratch.kept();
    kept.start(Form::Light, &scratch.programs, &stop).unwrap();
    let state = kept.state.clone();
    sweep::sweep(&scratch.cache);
    assert_eq!(scratch.processes(), 3, "a kept cluster is left alone");
    // As if it were killed: its lock is free, its processes live on.
    drop(kept.lock.take());
    wait_until_free(&state);
    let components = std::mem::take(&mut kept.components);
    std::mem::forget(kept);
    // In a process that lives on, somebody must wait for the killed ones.
    let waiting: Vec<_> = components
        .into_iter()
        .map(|mut component| {
            std::thread::spawn(move || while matches!(component.ended(), Ok(None)) {})
        })
        .collect();
    sweep::sweep(&scratch.cache);
    assert_eq!(scratch.processes(), 0);
    assert!(!state.folder().exists());
    for waiting in waiting {
        waiting.join().unwrap();
    }
}

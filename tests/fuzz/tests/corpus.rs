//! The kept corpus, and changes of it that are the same in each run, through every function that is fuzzed.
//!
//! What is said where one fails: the file, or the seed of the change, and the text. libFuzzer goes much further
//! (`cargo xtask prove fuzz`); this keeps what it has found, and runs where it does not.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, which is its use"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "how long a text takes is what is tested"
)]

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dbop_fuzz::mutate::{Numbers, changed};
use dbop_fuzz::{TARGETS, Target};

/// A corpus of fewer is not the one that was kept.
const FILES_MIN: usize = 50;
/// Texts of people are longer; what is kept is what is small and says something.
const FILE_BYTES_MAX: usize = 8_192;
/// How many changes of each file are tried.
const CHANGES: u64 = 20;
/// Longer than any text of this size takes on a busy machine without optimisation: some milliseconds.
const TIME_MAX: Duration = Duration::from_secs(5);

fn target(name: &str) -> Target {
    TARGETS
        .into_iter()
        .find(|(known, _)| *known == name)
        .unwrap()
        .1
}

/// The files of a target's folder by name.
fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    paths.sort();
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).unwrap();
        (path, bytes)
    };
    paths.into_iter().map(read).collect()
}

#[track_caller]
fn check(run: Target, bytes: &[u8], what: &dyn std::fmt::Display) {
    let started = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| run(bytes)));
    let text = bytes.escape_ascii();
    assert!(
        outcome.is_ok(),
        "{what} breaks a promise (see above): b\"{text}\""
    );
    let took = started.elapsed();
    assert!(took < TIME_MAX, "{what} took {took:?}: b\"{text}\"");
}

/// Every file, then changes of every file.
fn holds(name: &str) {
    let (run, corpus) = (target(name), corpus(name));
    let distinct: BTreeSet<&[u8]> = corpus.iter().map(|(_, bytes)| bytes.as_slice()).collect();
    assert_eq!(
        distinct.len(),
        corpus.len(),
        "a text stands in two files of {name}"
    );
    assert!(
        corpus.len() >= FILES_MIN,
        "{name} has {} files",
        corpus.len()
    );
    for (path, bytes) in &corpus {
        assert!(bytes.len() <= FILE_BYTES_MAX, "{} is long", path.display());
        check(run, bytes, &path.display());
    }
    let mut changes = BTreeSet::new();
    for (at, (path, bytes)) in corpus.iter().enumerate() {
        for seed in 0..CHANGES {
            let mut numbers = Numbers::new(seed * 10_007 + u64::try_from(at).unwrap());
            let (_, other) = &corpus[numbers.below(corpus.len())];
            let text = changed(bytes, other, &mut numbers);
            check(
                run,
                &text,
                &format_args!("change {seed} of {}", path.display()),
            );
            changes.insert(text);
        }
    }
    // Mostly other texts than those of the files, or it is no test.
    let new = changes
        .iter()
        .filter(|text| !distinct.contains(text.as_slice()));
    assert!(new.count() > corpus.len() * usize::try_from(CHANGES).unwrap() / 2);
}

#[test]
fn dsn() {
    holds("dsn");
}

#[test]
fn versions() {
    holds("versions");
}

#[test]
fn sql() {
    holds("sql");
}

#[test]
fn manifests() {
    holds("manifests");
}

/// A function that is fuzzed has a corpus and a test above, and no folder is read by nobody.
#[test]
fn every_target_has_its_folder() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let folders: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(folders, targets);
    assert_eq!(
        targets,
        ["dsn", "manifests", "sql", "versions"]
            .map(str::to_owned)
            .into()
    );
}

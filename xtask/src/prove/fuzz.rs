//! The proof `fuzz`: the functions of tests/fuzz under libFuzzer, each for some minutes, begun with the kept corpus.
//!
//! libFuzzer is built from its source (the crate `libfuzzer-sys`, by a C++ compiler), and our crates with the compiler's
//! own instruments for it: the pinned stable toolchain has them, so there is no nightly one and no AddressSanitizer,
//! which would look for what safe Rust cannot do. C code of dependencies is not instrumented. What is found grows below
//! the target folder and is begun with the next time; into the checkout it is taken by a person.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::Page;
use crate::clock;
use crate::dist::link::host_triple;
use crate::process::{self, Event};
use crate::progress::{self, Progress};
use crate::workspace;

/// How long each function is fuzzed where nothing is said.
pub(super) const MINUTES: u64 = 3;
/// Where the functions' corpora are.
const CORPUS: &str = "tests/fuzz/corpus";
/// The package with libFuzzer.
const PACKAGE: &str = "tests/fuzz/libfuzzer";
/// What tells libFuzzer which parts of the code were reached, and what was compared with what.
const INSTRUMENTS: [&str; 5] = [
    "passes=sancov-module",
    "llvm-args=-sanitizer-coverage-level=4",
    "llvm-args=-sanitizer-coverage-inline-8bit-counters",
    "llvm-args=-sanitizer-coverage-pc-table",
    "llvm-args=-sanitizer-coverage-trace-compares",
];
/// Longer texts say nothing new, and take longer.
const BYTES_MAX: u32 = 4_096;
/// One text may take so long, in seconds: with instruments and checks, on a busy machine.
const SECONDS_MAX: u32 = 10;
/// The process may need so much.
const MEGABYTES_MAX: u32 = 2_048;
/// So much is shown of what was said by one that fails.
const LINES_SHOWN: usize = 40;

/// Builds, fuzzes each function, and tells what came of it.
pub(super) fn prove(root: &Path, minutes: u64) -> Result<Page> {
    ensure!(minutes > 0, "--minutes must be at least 1");
    let folder = workspace::target(root).join("fuzz");
    let program = build(root, &folder)?;
    let mut lines = vec![
        "| function | texts tried | edges reached | features | corpus: kept, and found by now | crashes |".to_owned(),
        "|---|---|---|---|---|---|".to_owned(),
    ];
    let (mut texts, mut crashes) = (0, 0);
    let names = names(root)?;
    // Side by side: each is one process that waits for nothing.
    let runs: Vec<Result<Run>> = std::thread::scope(|scope| {
        let (folder, program) = (&folder, &program);
        let begin = |name: &String| {
            let name = name.clone();
            scope.spawn(move || fuzz(root, folder, program, &name, minutes))
        };
        let begun: Vec<_> = names.iter().map(begin).collect();
        let ended = begun.into_iter().map(|run| run.join());
        ended
            .map(|run| run.unwrap_or_else(|_| bail!("watching a function panicked")))
            .collect()
    });
    for (name, run) in names.iter().zip(runs) {
        let run = run?;
        println!(
            "  {name}: {} texts, {} edges{}",
            run.texts,
            run.edges,
            run.crash.as_ref().map_or(String::new(), |crash| format!(
                "; CRASHED, see {}",
                crash.display()
            ))
        );
        texts += run.texts;
        crashes += usize::from(run.crash.is_some());
        lines.push(format!(
            "| `{name}` | {} | {} | {} | {}, {} | {} |",
            run.texts,
            run.edges,
            run.features,
            run.kept,
            run.found,
            u8::from(run.crash.is_some())
        ));
    }
    lines.push(format!(
        "libFuzzer, {minutes} min for each function, side by side, texts of at most {BYTES_MAX} bytes; a text that takes {SECONDS_MAX} s \
         or {MEGABYTES_MAX} MB counts as a crash"
    ));
    lines.push(
        "built with debug assertions and overflow checks; no AddressSanitizer: the code is safe Rust, and its C \
         dependencies are not reached"
            .to_owned(),
    );
    lines.push(
        "what each function promises stands in its file in `tests/fuzz/src`; `cargo xtask test unit` runs the corpus and \
         changes of it"
            .to_owned(),
    );
    Ok(Page {
        versions: Vec::new(),
        result: format!("{texts} texts, {crashes} crashes"),
        lines,
        passed: crashes == 0,
    })
}

/// What is fuzzed: a folder of the corpus each.
fn names(root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in
        std::fs::read_dir(root.join(CORPUS)).with_context(|| format!("{CORPUS} cannot be read"))?
    {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    ensure!(!names.is_empty(), "{CORPUS} is empty");
    Ok(names)
}

fn build(root: &Path, folder: &Path) -> Result<PathBuf> {
    let triple = host_triple(root)?;
    let flags = INSTRUMENTS.map(|flag| ["-C", flag].join("\u{1f}"));
    let mut command = workspace::cargo(root);
    command
        .current_dir(root.join(PACKAGE))
        .env("CARGO_TARGET_DIR", folder)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        // Named, so that what runs while building is built without instruments.
        .args(["build", "--release", "--locked", "--target", &triple]);
    let outcome = progress::run("the functions with libFuzzer", &mut command)?;
    if !outcome.succeeded {
        bail!(
            "the functions cannot be built with libFuzzer, which needs a C++ compiler:\n{}",
            outcome.output.join("\n")
        );
    }
    println!("  built in {}", clock::spell(outcome.took));
    Ok(folder.join(triple).join("release/dbop-libfuzzer"))
}

/// What came of one function.
#[derive(Debug, Default, PartialEq, Eq)]
struct Run {
    texts: u64,
    edges: u64,
    features: u64,
    kept: usize,
    found: usize,
    /// The text that it crashed on.
    crash: Option<PathBuf>,
}

fn fuzz(root: &Path, folder: &Path, program: &Path, name: &str, minutes: u64) -> Result<Run> {
    let (found, crashes) = (
        folder.join("found").join(name),
        folder.join("crashes").join(name),
    );
    for folder in [&found, &crashes] {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("{} cannot be created", folder.display()))?;
    }
    let kept = root.join(CORPUS).join(name);
    let mut command = Command::new(program);
    command
        .current_dir(folder)
        .env("DBOP_FUZZ_TARGET", name)
        .arg(format!("-max_total_time={}", minutes * 60))
        .arg(format!("-max_len={BYTES_MAX}"))
        .arg(format!("-timeout={SECONDS_MAX}"))
        .arg(format!("-rss_limit_mb={MEGABYTES_MAX}"))
        .arg(format!("-artifact_prefix={}/", crashes.display()))
        .arg("-print_final_stats=1")
        // What is found goes into the first.
        .args([&found, &kept]);
    let mut progress = Progress::new(format!("fuzzing {name}"));
    let (mut run, mut last) = (Run::default(), Vec::new());
    let status = process::run(&mut command, &mut |event| match event {
        Event::Line(line) => {
            run.read(line);
            last.push(line.to_owned());
            if last.len() > LINES_SHOWN {
                last.remove(0);
            }
        }
        Event::Tick => progress.tick(&format!("{} edges", run.edges)),
    })?;
    if !status.success() {
        last.iter()
            .for_each(|line| progress.line(&format!("    {line}")));
        run.crash.get_or_insert(crashes);
    }
    ensure!(
        run.crash.is_some() || run.texts > 0 && run.edges > 0,
        "{name} was not fuzzed: libFuzzer reports no texts or no edges:\n{}",
        last.join("\n")
    );
    (run.kept, run.found) = (files(&kept)?, files(&found)?);
    Ok(run)
}

impl Run {
    /// Takes what a line of libFuzzer's says.
    fn read(&mut self, line: &str) {
        if let Some(number) = line.strip_prefix("stat::number_of_executed_units:") {
            self.texts = number.trim().parse().unwrap_or_default();
        } else if let Some((_, path)) = line.split_once("Test unit written to ") {
            self.crash = Some(path.trim().into());
        } else if line.starts_with('#') {
            let mut words = line.split_whitespace();
            while let Some(word) = words.next() {
                let value = match word {
                    "cov:" => &mut self.edges,
                    "ft:" => &mut self.features,
                    _ => continue,
                };
                if let Some(number) = words.next().and_then(|word| word.parse().ok()) {
                    *value = number;
                }
            }
        }
    }
}

fn files(folder: &Path) -> Result<usize> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("{} cannot be read", folder.display()))?;
    Ok(entries.count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libfuzzer_says_is_read() {
        let mut run = Run::default();
        for line in [
            "INFO: Loaded 1 modules   (9 inline 8-bit counters): 9 [0x1, 0x2),",
            "#2\tINITED cov: 1202 ft: 1203 corp: 1/1b exec/s: 0 rss: 45Mb",
            "#524288\tpulse  cov: 3301 ft: 9801 corp: 611/20Kb lim: 80 exec/s: 12000 rss: 90Mb",
            "==1== ERROR: libFuzzer: deadly signal",
            "artifact_prefix='/t/'; Test unit written to /t/crash-0815",
            "stat::number_of_executed_units: 530001",
        ] {
            run.read(line);
        }
        let expect = Run {
            texts: 530_001,
            edges: 3301,
            features: 9801,
            crash: Some("/t/crash-0815".into()),
            ..Run::default()
        };
        assert_eq!(run, expect);
    }
}

//! Reads what test programs print, libtest's human format: counts, names of failures, and the
//! part of the output that a person needs after a failure.

use std::fmt;

use crate::progress::Building;

/// How many of the last lines are shown when a program ends without a result.
const LAST_LINES: usize = 60;
/// The most lines shown of one program's failures: a flood helps nobody.
const SHOWN_LINES_MAX: usize = 400;

/// Counts of tests, and the names of those that failed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// How many passed.
    pub(crate) passed: usize,
    /// What failed, as `package: test`.
    pub(crate) failed: Vec<String>,
}

impl Tally {
    /// Notes a failure.
    pub(crate) fn fail(&mut self, name: String) {
        self.failed.push(name);
    }

    /// How many tests have run.
    pub(crate) fn count(&self) -> usize {
        self.passed + self.failed.len()
    }

    /// Adds another's counts.
    pub(crate) fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed.extend(other.failed);
    }
}

/// Reads the output of a test program, or of `cargo test`, line by line.
pub(crate) struct Reader {
    package: String,
    /// What runs now: the program's label, or what cargo says that it runs.
    target: String,
    /// Whether a program is running whose result has not come.
    open: bool,
    tally: Tally,
    passed_so_far: usize,
    building: Building,
    /// The lines since the program began to tell about failures.
    failures: Option<Vec<String>>,
    /// Errors before any test ran, and other lines of nobody's.
    last: Vec<String>,
    shown: Vec<String>,
    proofs: Vec<String>,
    /// What a long test said last of how far it is.
    progress: Option<String>,
}

/// What a program's output came to.
pub(crate) struct Finished {
    /// The counts.
    pub(crate) tally: Tally,
    /// What a person needs to see; empty when all went well.
    pub(crate) shown: Vec<String>,
    /// What tests said for the page of a proof.
    pub(crate) proofs: Vec<String>,
}

impl Reader {
    /// Begins with a program of this package.
    pub(crate) fn new(package: &str, target: &str) -> Reader {
        Reader {
            package: package.to_owned(),
            target: target.to_owned(),
            open: false,
            tally: Tally::default(),
            passed_so_far: 0,
            building: Building::default(),
            failures: None,
            last: Vec::new(),
            shown: Vec::new(),
            proofs: Vec::new(),
            progress: None,
        }
    }

    /// Takes in the next line.
    pub(crate) fn line(&mut self, line: &str) {
        let words = line.trim_start();
        if let Some(proof) = words.strip_prefix("proof: ") {
            self.proofs.push(proof.to_owned());
        } else if let Some(progress) = words.strip_prefix("progress: ") {
            self.progress = Some(progress.to_owned());
        } else if let Some(result) = line.strip_prefix("test result: ") {
            self.result(result);
        } else if let Some(target) = words.strip_prefix("Doc-tests ") {
            self.close_unfinished();
            self.target = format!("examples of {target}");
        } else if line.starts_with("running ") && line.trim_end().ends_with(['t', 's']) {
            self.close_unfinished();
            self.open = true;
        } else if let Some(test) = line.strip_prefix("test ") {
            self.one_test(test);
        } else if line == "failures:" {
            self.failures.get_or_insert_default();
        } else if let Some(failures) = &mut self.failures {
            failures.push(line.to_owned());
        } else if !self.building.notice(line) {
            if self.last.len() == LAST_LINES {
                self.last.remove(0);
            }
            self.last.push(line.to_owned());
        }
    }

    /// Ends, given whether the program's status was 0.
    pub(crate) fn finish(mut self, succeeded: bool) -> Finished {
        self.close_unfinished();
        if !succeeded && self.tally.failed.is_empty() {
            self.shown.append(&mut self.last);
            self.tally.fail(format!(
                "{}: {} failed without a result",
                self.package, self.target
            ));
        }
        if self.shown.len() > SHOWN_LINES_MAX {
            let more = self.shown.len() - SHOWN_LINES_MAX;
            self.shown.truncate(SHOWN_LINES_MAX);
            self.shown.push(format!("and {more} lines more"));
        }
        Finished {
            tally: self.tally,
            shown: self.shown,
            proofs: self.proofs,
        }
    }

    /// `name ... ok`, `name ... FAILED` and the like.
    fn one_test(&mut self, test: &str) {
        if test.ends_with(" ... ok") {
            self.passed_so_far += 1;
        } else if let Some(name) = test.strip_suffix(" ... FAILED") {
            self.tally
                .fail(format!("{}: {name} ({})", self.package, self.target));
        }
    }

    /// `ok. 12 passed; 0 failed; 0 ignored; ...`.
    fn result(&mut self, result: &str) {
        self.open = false;
        self.passed_so_far = 0;
        self.tally.passed += number_before(result, " passed").unwrap_or(0);
        if let Some(failures) = self.failures.take()
            && number_before(result, " failed").unwrap_or(0) > 0
        {
            self.shown.extend(failures);
        }
        self.last.clear();
    }

    /// A program that began and gave no result was ended by a signal or left by itself.
    fn close_unfinished(&mut self) {
        if std::mem::take(&mut self.open) {
            self.shown.extend(self.failures.take().unwrap_or_default());
            self.shown.append(&mut self.last);
            self.tally.passed += std::mem::take(&mut self.passed_so_far);
            self.tally.fail(format!(
                "{}: {} ended without a result",
                self.package, self.target
            ));
        }
    }
}

impl fmt::Display for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.open {
            write!(
                f,
                "{} tests passed so far",
                self.tally.passed + self.passed_so_far
            )?;
            match &self.progress {
                Some(progress) => write!(f, ", {progress}"),
                None => Ok(()),
            }
        } else {
            self.building.fmt(f)
        }
    }
}

/// The number that stands before `unit`, as 12 in `ok. 12 passed; 0 failed`.
fn number_before(text: &str, unit: &str) -> Option<usize> {
    text.split(unit).next()?.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(output: &str, succeeded: bool) -> Finished {
        let mut reader = Reader::new("dbop-plan", "tests/table");
        for line in output.lines() {
            reader.line(line);
        }
        reader.finish(succeeded)
    }

    const FAILED: &str = "
running 3 tests
test a ... ok
test b::c ... FAILED
test d has been running for over 60 seconds
test d ... ok

failures:

---- b::c stdout ----
thread 'b::c' panicked at src/lib.rs:1:1:
assertion failed

failures:
    b::c

test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn failures_are_counted_named_and_shown() {
        let finished = read(FAILED, false);
        assert_eq!(finished.tally.passed, 2);
        assert_eq!(finished.tally.failed, ["dbop-plan: b::c (tests/table)"]);
        assert!(
            finished.shown.iter().any(|line| line == "assertion failed"),
            "no reason"
        );
        assert!(finished.shown.iter().all(|line| !line.starts_with("test ")));
    }

    #[test]
    fn results_of_several_programs_add_up_and_proofs_are_kept() {
        let output = "   Doc-tests dbop_model\n\nrunning 1 test\ntest x ... ok\n\n\
                      test result: ok. 1 passed; 0 failed; 0 ignored\n   Doc-tests dbop_plan\n\n\
                      running 2 tests\n\nsuccesses:\n\n---- y stdout ----\nproof: 7 histories\n\n\
                      test result: ok. 2 passed; 0 failed; 0 ignored\n";
        let finished = read(output, true);
        assert_eq!((finished.tally.passed, finished.tally.failed.len()), (3, 0));
        assert_eq!(finished.proofs, ["7 histories"]);
        assert!(finished.shown.is_empty());
    }

    #[test]
    fn how_far_a_long_test_is_stands_beside_the_count() {
        let mut reader = Reader::new("dbop-testkit", "simulation");
        for line in [
            "running 2 tests",
            "test a ... ok",
            "progress: 10 of 30 histories",
            "progress: 20 of 30 histories",
        ] {
            reader.line(line);
        }
        let shown = reader.to_string();
        assert_eq!(shown, "1 tests passed so far, 20 of 30 histories");
        assert!(reader.finish(true).shown.is_empty());
    }

    #[test]
    fn a_program_that_dies_is_a_failure_with_its_last_words() {
        let finished = read(
            "\nrunning 2 tests\ntest a ... ok\nfatal: out of luck\n",
            false,
        );
        assert_eq!(finished.tally.passed, 1);
        assert_eq!(
            finished.tally.failed,
            ["dbop-plan: tests/table ended without a result"]
        );
        assert!(finished.shown.contains(&"fatal: out of luck".to_owned()));
    }

    #[test]
    fn a_build_that_fails_is_a_failure_with_its_errors() {
        let finished = read("   Compiling a v1\nerror[E0433]: no such type\n", false);
        assert_eq!(
            finished.tally.failed,
            ["dbop-plan: tests/table failed without a result"]
        );
        assert_eq!(finished.shown, ["error[E0433]: no such type"]);
    }
}

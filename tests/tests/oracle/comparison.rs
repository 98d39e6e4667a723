//! Prediction against observation: what each case comes to, and the matrix of a server.

use std::collections::BTreeMap;

use crate::catalogue::Case;
use crate::observation::{Observation, Truth};
use crate::prediction::Prediction;

/// Of all cases so many in a hundred may be false alarms.
const FALSE_ALARMS_PERCENT: usize = 2;
/// And so many may stay unknown.
const UNKNOWN_PERCENT: usize = 5;
/// Verdicts that stop a migration for what its statement does; the most telling first.
const ALARMS: [&str; 4] = ["WillFail", "ImplicitValue", "Blocks", "Contends"];
/// Rules about what nothing in a case shows: who uses the object, who waits, what was set before.
const NOT_OBSERVED: [&str; 4] = [
    "dropped-or-renamed-in-use",
    "queue-behind-transaction",
    "missing-lock-timeout",
    "invalid-index",
];

/// What a case comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Right,
    /// The server failed, blocked or invented values, and nothing was said.
    FalseClean,
    /// Something was said, and it is not what happened, although something did.
    OtherAlarm,
    /// Something was said, and nothing of it happened.
    FalseAlarm,
    /// It was said that it is not known.
    Unknown,
}

impl Class {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Class::Right => "right",
            Class::FalseClean => "false Clean",
            Class::OtherAlarm => "another alarm",
            Class::FalseAlarm => "false alarm",
            Class::Unknown => "Unknown",
        }
    }
}

/// What was said in a word: the verdict that fits the truth, else the most telling.
fn said<'a>(truth: Truth, case: &Case, prediction: &'a Prediction) -> &'a str {
    let counts = |verdict: &str| {
        prediction.findings.iter().any(|said| {
            said.verdict == verdict
                && !NOT_OBSERVED.contains(&said.rule.as_str())
                && !case.expect.may_say.contains_key(&said.rule)
        })
    };
    // What is said too much on a statement that works is worse than what fits beside it.
    if truth != Truth::Fails && counts("WillFail") {
        return "WillFail";
    }
    let fits = fitting(truth).filter(|verdict| counts(verdict));
    let alarm = || ALARMS.into_iter().find(|verdict| counts(verdict));
    let unknown = || (counts("Unknown") || !prediction.unknown.is_empty()).then_some("Unknown");
    fits.or_else(alarm).or_else(unknown).unwrap_or("Clean")
}

/// The verdict that says the truth.
fn fitting(truth: Truth) -> Option<&'static str> {
    match truth {
        Truth::Fails => Some("WillFail"),
        Truth::Blocks => Some("Blocks"),
        Truth::Invents => Some("ImplicitValue"),
        Truth::Harmless => None,
    }
}

fn classify(truth: Truth, said: &str) -> Class {
    match (truth, said) {
        (_, "Unknown") => Class::Unknown,
        (Truth::Harmless, "Clean") => Class::Right,
        (Truth::Harmless, _) => Class::FalseAlarm,
        (_, "Clean") => Class::FalseClean,
        (truth, said) if fitting(truth) == Some(said) => Class::Right,
        // A statement that works was said to fail: that is an alarm without cause, whatever else it does.
        (_, "WillFail") => Class::FalseAlarm,
        _ => Class::OtherAlarm,
    }
}

/// What a case comes to.
pub(crate) fn class_of(case: &Case, seen: &Observation, prediction: &Prediction) -> Class {
    let truth = seen.truth(case);
    classify(truth, said(truth, case, prediction))
}

/// In what a predicted effect differs from what was seen, in words.
fn differences(seen: &Observation, prediction: &Prediction) -> Vec<String> {
    let Some(effect) = &prediction.effect else {
        return Vec::new();
    };
    if seen.error.is_some() {
        return Vec::new();
    }
    let mut differences = Vec::new();
    let mut differ = |what: &str, said: &str, is: &str| {
        if said != is {
            differences.push(format!("{what} {said}, and is {is}"));
        }
    };
    if let Some(lock) = &seen.lock {
        differ("lock", &effect.lock, lock);
    }
    if let (Some(said), Some(is)) = (&effect.algorithm, &seen.algorithm) {
        differ(
            "algorithm",
            in_place(said, effect.rewrite),
            in_place(is, seen.rewrite),
        );
    }
    let yes = |is: bool| if is { "yes" } else { "no" };
    differ("rewrite", yes(effect.rewrite), yes(seen.rewrite));
    differ("scan", yes(effect.scan), yes(seen.scan));
    differ(
        "blocks reads",
        yes(effect.blocks_reads),
        yes(seen.blocks_reads),
    );
    differ(
        "blocks writes",
        yes(effect.blocks_writes),
        yes(seen.blocks_writes),
    );
    differences
}

/// MariaDB has a word for "in place, and no row anew", which MySQL lacks.
fn in_place(algorithm: &str, rewrite: bool) -> &str {
    match algorithm {
        "NOCOPY" | "INPLACE" if !rewrite => "NOCOPY",
        other => other,
    }
}

/// All cases of one server.
#[derive(Debug, Default)]
pub(crate) struct Matrix {
    cells: BTreeMap<(Truth, &'static str), usize>,
    classes: BTreeMap<Class, usize>,
    cases: usize,
    /// Effects that were told, and those that were in nothing different.
    effects: (usize, usize),
    /// What was not right, one line each.
    pub(crate) wrong: Vec<String>,
    /// Effects that differ, one line each.
    pub(crate) different: Vec<String>,
}

/// The columns.
const SAID: [&str; 6] = [
    "WillFail",
    "Blocks",
    "ImplicitValue",
    "Contends",
    "Unknown",
    "Clean",
];
const TRUTHS: [Truth; 4] = [Truth::Fails, Truth::Blocks, Truth::Invents, Truth::Harmless];

impl Matrix {
    pub(crate) fn add(&mut self, case: &Case, seen: &Observation, prediction: &Prediction) {
        let truth = seen.truth(case);
        let said = said(truth, case, prediction);
        let class = classify(truth, said);
        let column = SAID
            .into_iter()
            .find(|name| *name == said)
            .unwrap_or("Clean");
        *self.cells.entry((truth, column)).or_default() += 1;
        *self.classes.entry(class).or_default() += 1;
        self.cases += 1;
        if class != Class::Right {
            let why = seen.error.as_deref().unwrap_or(truth.as_str());
            self.wrong.push(format!(
                "{}: {}: said {said}, and it {why}: `{}`",
                class.as_str(),
                case.name,
                case.statements.join("; ")
            ));
        }
        if prediction.effect.is_some() && seen.error.is_none() && !case.shape.empty {
            self.effects.0 += 1;
            let differences = differences(seen, prediction);
            if differences.is_empty() {
                self.effects.1 += 1;
            } else {
                self.different
                    .push(format!("{}: {}", case.name, differences.join("; ")));
            }
        }
    }

    fn count(&self, class: Class) -> usize {
        self.classes.get(&class).copied().unwrap_or_default()
    }

    /// In a line.
    pub(crate) fn summary(&self) -> String {
        format!(
            "{} cases: {} right, {} false Clean, {} false alarms, {} with another alarm, {} Unknown; of {} effects {} \
             equal in lock, algorithm, rewrite, scan and who is shut out",
            self.cases,
            self.count(Class::Right),
            self.count(Class::FalseClean),
            self.count(Class::FalseAlarm),
            self.count(Class::OtherAlarm),
            self.count(Class::Unknown),
            self.effects.0,
            self.effects.1
        )
    }

    /// As a table of Markdown: a row for what happened, a column for what was said.
    pub(crate) fn table(&self) -> Vec<String> {
        let row = |first: &str, cells: Vec<String>| format!("| {first} | {} |", cells.join(" | "));
        let mut lines = vec![
            row("it … and was said", SAID.map(String::from).to_vec()),
            row("---", SAID.map(|_| "---:".to_owned()).to_vec()),
        ];
        for truth in TRUTHS {
            let cell = |said| self.cells.get(&(truth, said)).copied().unwrap_or_default();
            let cells = SAID.map(|said| cell(said).to_string());
            lines.push(row(truth.as_str(), cells.to_vec()));
        }
        lines
    }

    /// Why it is not good enough; nothing, if it is. A part of the cases is too few for shares in a hundred.
    pub(crate) fn faults(&self, all: bool) -> Vec<String> {
        let mut faults = Vec::new();
        if self.cases == 0 {
            faults.push("no case ran".to_owned());
        }
        let false_clean = self.count(Class::FalseClean);
        if false_clean > 0 {
            faults.push(format!("{false_clean} false Clean"));
        }
        for (class, percent) in [
            (Class::FalseAlarm, FALSE_ALARMS_PERCENT),
            (Class::Unknown, UNKNOWN_PERCENT),
        ] {
            let count = self.count(class);
            if all && count > 0 && count * 100 >= percent * self.cases {
                let (name, cases) = (class.as_str(), self.cases);
                faults.push(format!("{count} of {cases} {name}, at or over {percent} %"));
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;
    use crate::prediction::{Effect, Said};

    /// A case on a large table.
    fn case() -> Case {
        let cases = catalogue::cases("postgresql", "postgres-18", 18);
        let large = cases.into_iter().find(|case| case.shape.large);
        large.expect("there are large shapes")
    }

    fn prediction(verdicts: &[(&str, &str)]) -> Prediction {
        let findings = verdicts.iter().map(|(rule, verdict)| Said {
            rule: (*rule).to_owned(),
            verdict: (*verdict).to_owned(),
        });
        Prediction {
            findings: findings.collect(),
            ..Prediction::default()
        }
    }

    fn observation(truth: Truth) -> Observation {
        Observation {
            error: (truth == Truth::Fails).then(|| "23505".to_owned()),
            invented: truth == Truth::Invents,
            blocks_writes: truth == Truth::Blocks,
            long: truth == Truth::Blocks,
            ..Observation::default()
        }
    }

    #[track_caller]
    fn check(truth: Truth, verdicts: &[&str], expect: Class) {
        let named: Vec<(&str, &str)> = verdicts.iter().map(|verdict| ("rule", *verdict)).collect();
        let mut matrix = Matrix::default();
        assert_eq!(observation(truth).truth(&case()), truth);
        matrix.add(&case(), &observation(truth), &prediction(&named));
        assert_eq!(
            matrix.count(expect),
            1,
            "{truth:?} {verdicts:?}: {matrix:?}"
        );
        let tolerable = matches!(expect, Class::Right | Class::OtherAlarm);
        assert_eq!(matrix.faults(true).is_empty(), tolerable, "{verdicts:?}");
    }

    #[test]
    fn silence_over_what_happens_is_a_false_clean() {
        for truth in [Truth::Fails, Truth::Blocks, Truth::Invents] {
            check(truth, &[], Class::FalseClean);
            check(truth, &["Clean"], Class::FalseClean);
            check(truth, &["Queues"], Class::FalseClean);
            check(truth, &["Unknown"], Class::Unknown);
            check(truth, &["Contends"], Class::OtherAlarm);
        }
        check(Truth::Fails, &["Blocks"], Class::OtherAlarm);
    }

    #[test]
    fn what_fits_is_right_whatever_is_said_beside() {
        check(Truth::Fails, &["Blocks", "WillFail"], Class::Right);
        check(Truth::Blocks, &["Clean", "Blocks"], Class::Right);
        check(Truth::Invents, &["ImplicitValue"], Class::Right);
        check(Truth::Harmless, &["Clean"], Class::Right);
        check(Truth::Harmless, &[], Class::Right);
    }

    #[test]
    fn what_does_not_happen_is_a_false_alarm() {
        for verdict in ALARMS {
            check(Truth::Harmless, &[verdict], Class::FalseAlarm);
        }
        check(Truth::Blocks, &["WillFail", "Blocks"], Class::FalseAlarm);
    }

    #[test]
    fn rules_about_what_is_not_observed_do_not_count() {
        for rule in NOT_OBSERVED {
            let mut matrix = Matrix::default();
            let quiet = observation(Truth::Harmless);
            matrix.add(&case(), &quiet, &prediction(&[(rule, "Blocks")]));
            assert_eq!(matrix.count(Class::Right), 1, "{rule}");
        }
    }

    #[test]
    fn effects_are_compared_field_by_field() {
        let mut seen = Observation {
            lock: Some("NONE".into()),
            algorithm: Some("INPLACE".into()),
            scan: true,
            ..Observation::default()
        };
        let mut prediction = prediction(&[]);
        let effect = Effect {
            lock: "NONE".into(),
            algorithm: Some("NOCOPY".into()),
            rewrite: false,
            scan: true,
            blocks_reads: false,
            blocks_writes: false,
        };
        prediction.effect = Some(effect);
        assert!(
            differences(&seen, &prediction).is_empty(),
            "the same in other words"
        );
        (seen.rewrite, seen.lock) = (true, Some("SHARED".into()));
        let expect = [
            "lock NONE, and is SHARED",
            "algorithm NOCOPY, and is INPLACE",
            "rewrite no, and is yes",
        ];
        assert_eq!(differences(&seen, &prediction), expect);
    }

    #[test]
    fn the_table_has_every_truth_and_every_word() {
        let mut matrix = Matrix::default();
        matrix.add(
            &case(),
            &observation(Truth::Blocks),
            &prediction(&[("r", "Blocks")]),
        );
        let table = matrix.table();
        assert_eq!(table.len(), 6);
        assert_eq!(table[3], "| blocks | 0 | 1 | 0 | 0 | 0 | 0 |");
    }
}

//! squawk, the linter of PostgreSQL migrations, beside `analyze`, on the same cases: who says what the server does?
//!
//! squawk reads the text and knows no table. So what it says of large tables is told apart from what it says of small
//! ones, where it cannot know better, and of its rules only those count that are about what a statement does to its
//! table while it runs: none of style, and none about what applications may still use.

use std::collections::BTreeMap;

use squawk_linter::{Linter, Rule};
use squawk_syntax::SourceFile;

use crate::catalogue::Case;
use crate::comparison::{Class, class_of};
use crate::observation::{Observation, Truth};
use crate::prediction::Prediction;

/// The rules about what a statement does to its table.
const ABOUT_WORK: [Rule; 14] = [
    Rule::RequireConcurrentIndexCreation,
    Rule::RequireConcurrentIndexDeletion,
    Rule::RequireConcurrentPartitionDetach,
    Rule::RequireConcurrentReindex,
    Rule::BanConcurrentIndexCreationInTransaction,
    Rule::ConstraintMissingNotValid,
    Rule::DisallowedUniqueConstraint,
    Rule::AddingFieldWithDefault,
    Rule::AddingForeignKeyConstraint,
    Rule::AddingNotNullableField,
    Rule::AddingRequiredField,
    Rule::AddingSerialPrimaryKeyField,
    Rule::ChangingColumnType,
    Rule::PreferRepack,
];

/// What squawk says of the statements on their work, by default but for the server's version.
pub(crate) fn warnings(sql: &str, major: u8) -> Vec<String> {
    let mut linter = Linter::with_default_rules();
    linter.settings.pg_version = major.to_string().parse().expect("a version is a number");
    let found = linter.lint(&SourceFile::parse(sql), sql);
    let about_work = found.iter().filter(|one| ABOUT_WORK.contains(&one.code));
    let mut rules: Vec<String> = about_work.map(|one| one.code.to_string()).collect();
    rules.sort();
    rules.dedup();
    rules
}

/// Two who say something, and how often each was right.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// By whether the table is large and what the server did: cases; squawk right; we right; squawk alone; we alone.
    rows: BTreeMap<(bool, Truth), [usize; 5]>,
    /// The cases in which one of the two was wrong.
    pub(crate) wrong: Vec<String>,
}

impl Comparison {
    pub(crate) fn add(
        &mut self,
        case: &Case,
        major: u8,
        seen: &Observation,
        prediction: &Prediction,
    ) {
        let truth = seen.truth(case);
        let warned = warnings(&case.file(), major);
        let squawk = warned.is_empty() == (truth == Truth::Harmless);
        let ours = class_of(case, seen, prediction);
        let we = ours == Class::Right;
        let row = self.rows.entry((case.shape.large, truth)).or_default();
        row[0] += 1;
        row[1] += usize::from(squawk);
        row[2] += usize::from(we);
        row[3] += usize::from(squawk && !we);
        row[4] += usize::from(we && !squawk);
        if !squawk || !we {
            let says = match warned.as_slice() {
                [] => "nothing".to_owned(),
                rules => rules.join(", "),
            };
            let ours = if we { "right" } else { ours.as_str() };
            self.wrong.push(format!(
                "| {} | `{}` | {} | {says}{} | {ours} |",
                case.name,
                case.statements.join("; ").replace(['\n', '|'], " "),
                truth.as_str(),
                if squawk { " (right)" } else { "" },
            ));
        }
    }

    /// The table of who is right.
    pub(crate) fn table(&self) -> Vec<String> {
        let mut lines = vec![
            "| table | the server | cases | squawk right | analyze right | squawk alone | analyze alone |"
                .to_owned(),
            "|---|---|---|---|---|---|---|".to_owned(),
        ];
        let mut sum = [0; 5];
        for ((large, truth), row) in self.rows.iter().rev() {
            for (sum, one) in sum.iter_mut().zip(row) {
                *sum += one;
            }
            let table = if *large { "large" } else { "small or empty" };
            let cells: Vec<String> = row.iter().map(ToString::to_string).collect();
            lines.push(format!(
                "| {table} | {} | {} |",
                truth.as_str(),
                cells.join(" | ")
            ));
        }
        let cells: Vec<String> = sum.iter().map(ToString::to_string).collect();
        lines.push(format!("| all | | {} |", cells.join(" | ")));
        lines
    }

    /// How many cases there are.
    pub(crate) fn cases(&self) -> usize {
        self.rows.values().map(|row| row[0]).sum()
    }
}

#[test]
fn squawk_speaks_of_what_a_statement_does() {
    let said = |sql: &str| warnings(sql, 18);
    assert_eq!(
        said("CREATE INDEX t_a ON t (a);"),
        ["require-concurrent-index-creation"]
    );
    // Style, and what applications may still use, is left out.
    assert_eq!(said("ALTER TABLE t DROP COLUMN a;"), [""; 0]);
    assert_eq!(said("ALTER TABLE t ADD COLUMN a text;"), [""; 0]);
}

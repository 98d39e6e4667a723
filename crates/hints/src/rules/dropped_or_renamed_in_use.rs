//! `dropped-or-renamed-in-use`: a table that is written to is dropped or renamed, or one of its columns renamed, while
//! the applications that write to it still have valid credentials.
//!
//! Writes are what can be measured. That nobody reads a column, no server says; so a dropped column is not judged here.

use std::collections::BTreeSet;

use dbop_model::finding::{Finding, Verdict};
use dbop_model::operation::Operation;
use dbop_model::table::FactRequest;

use crate::case::Case;
use crate::rules::Rule;
use crate::size::{age_in_words, per_second_in_words};
use crate::steps::{Standing, Step};

pub(crate) const RULE: Rule = Rule {
    id: "dropped-or-renamed-in-use",
    title: "A table that is written to is dropped or renamed, or one of its columns renamed",
    page: &crate::pages::DROPPED_OR_RENAMED_IN_USE,
    wants,
    judge,
};

fn is_about(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::DropTable { .. }
            | Operation::RenameTable { .. }
            | Operation::RenameColumn { .. }
    )
}

fn wants(step: &Step<'_>, wanted: &mut BTreeSet<FactRequest>) {
    if is_about(step.operation) {
        wanted.extend(step.tables().iter().cloned().map(FactRequest::Writes));
    }
}

fn judge(case: &Case<'_>) -> Vec<Finding> {
    let Standing::Present(facts) = &case.standing else {
        return Vec::new();
    };
    let Some(rate) = facts.writes.known() else {
        return Vec::new();
    };
    if !is_about(case.step.operation) || case.is_empty() || rate.per_second <= 0.0 {
        return Vec::new();
    }
    let claim = format!(
        "{}: somebody writes to the table now, and statements with the old name fail at once",
        case.step.operation
    );
    let value = format!(
        "{}, in the last {}",
        per_second_in_words(rate.per_second),
        age_in_words(rate.span)
    );
    vec![Finding {
        evidence: vec![case.seen(value, rate.source)],
        effect: case.prediction.effect.known().cloned(),
        advice: ways_out(case),
        ..case.finding(RULE.id, Verdict::Blocks, claim)
    }]
}

fn ways_out(case: &Case<'_>) -> Vec<String> {
    let dialect = case.dialect();
    match case.step.operation {
        Operation::RenameTable { table, to } => vec![format!(
            "keep the old name working: in the same transaction, CREATE VIEW {} AS SELECT * FROM {}; \
             drop the view in a later migration",
            dialect.table(table),
            dialect.table(to)
        )],
        Operation::RenameColumn {
            table, from, to, ..
        } => vec![format!(
            "add {} beside {} in {}, have a trigger keep both alike, have the application use it, \
             and drop the old one in a later migration",
            dialect.column(to),
            dialect.column(from),
            dialect.table(table)
        )],
        _ => vec![
            "deploy an application that does without it first, and drop it once nobody writes to it"
                .to_owned(),
        ],
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dbop_model::Fact;
    use dbop_model::table::{TableFacts, WriteRate};

    use super::*;
    use crate::testing::{check, name, present};

    #[test]
    fn what_is_written_to_is_in_use() {
        let written = |per_second| TableFacts {
            writes: Fact::Known(WriteRate {
                per_second,
                span: Duration::from_secs(60),
                source: "the server's counters",
            }),
            ..present()
        };
        let rename = [Operation::RenameColumn {
            table: "users".parse().unwrap(),
            from: name("email"),
            to: name("mail"),
            if_exists: false,
        }];
        check(
            RULE.id,
            &rename,
            &written(3.0),
            "Blocks: renameColumn users.email to mail: somebody writes to the table now, and \
             statements with the old name fail at once",
        );
        check(RULE.id, &rename, &written(0.0), "");
        check(RULE.id, &rename, &present(), "");
        let drop = Operation::drop_column("users".parse().unwrap(), vec![name("email")]).unwrap();
        check(RULE.id, &[drop], &written(3.0), "");
    }
}

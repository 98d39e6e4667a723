//! `queue-behind-transaction`: a statement needs a strong lock on a table that an older session still holds, and
//! everything after it waits behind it.

use std::collections::BTreeSet;
use std::time::Duration;

use dbop_model::Fact;
use dbop_model::finding::{Finding, Lock, Verdict};
use dbop_model::operation::Operation;
use dbop_model::table::{Blocker, FactRequest};

use crate::case::Case;
use crate::rules::Rule;
use crate::size::age_in_words;
use crate::steps::{Standing, Step};

pub(crate) const RULE: Rule = Rule {
    id: "queue-behind-transaction",
    title: "A statement would wait behind an older session, and everything else behind it",
    page: &crate::pages::QUEUE_BEHIND_TRANSACTION,
    wants,
    judge,
};

/// Transactions that are younger are the ordinary traffic, and gone in a moment.
const AGE_MIN: Duration = Duration::from_secs(5);
/// So many sessions are named.
const NAMED_MAX: usize = 3;

fn wants(step: &Step<'_>, wanted: &mut BTreeSet<FactRequest>) {
    if !matches!(step.operation, Operation::CreateTable { .. }) {
        wanted.extend(step.tables().iter().cloned().map(FactRequest::Blockers));
    }
}

fn judge(case: &Case<'_>) -> Vec<Finding> {
    let Standing::Present(facts) = &case.standing else {
        return Vec::new();
    };
    let (Fact::Known(blockers), Fact::Known(effect)) = (&facts.blockers, &case.prediction.effect)
    else {
        return Vec::new();
    };
    let old: Vec<&Blocker> = blockers.iter().filter(|b| b.age >= AGE_MIN).collect();
    if old.is_empty() || case.is_empty() {
        return Vec::new();
    }
    // A lock that lets everybody else pass makes nobody queue; MySQL's metadata lock stops everybody for its instant.
    if effect.lock == Lock::ShareUpdateExclusive {
        return Vec::new();
    }
    let named = old.iter().take(NAMED_MAX).map(|blocker| {
        format!(
            "{} ({}, {}, {} old)",
            blocker.session,
            blocker.login,
            blocker.state,
            age_in_words(blocker.age)
        )
    });
    let named: Vec<String> = named.collect();
    let more = match old.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let claim = format!(
        "{}: it would wait for {}{more}, and whoever wants the table after it would wait, too",
        case.step.operation,
        named.join(", ")
    );
    vec![Finding {
        evidence: vec![case.seen(
            format!("{} sessions with older transactions", old.len()),
            "the server's locks",
        )],
        effect: Some(effect.clone()),
        advice: vec![
            "let the session end its transaction, or end the session; the migration then goes on by \
             itself"
                .to_owned(),
            "set migrations.lockTimeout, so that the statement gives up rather than holding others \
             up"
                .to_owned(),
        ],
        ..case.finding(RULE.id, Verdict::Queues, claim)
    }]
}

#[cfg(test)]
mod tests {
    use dbop_model::table::TableFacts;

    use super::*;
    use crate::testing::{check, column, present, unknown};

    fn add() -> [Operation; 1] {
        let column = column("c").with_type("text".parse().unwrap());
        [Operation::add_column("users".parse().unwrap(), vec![column]).unwrap()]
    }

    fn blocked(seconds: u64, any_row: bool) -> TableFacts {
        TableFacts {
            blockers: Fact::Known(vec![Blocker {
                session: "pid 4711".to_owned(),
                login: "report".to_owned(),
                age: Duration::from_secs(seconds),
                state: "idle in transaction".to_owned(),
            }]),
            any_row: Fact::Known(any_row),
            ..present()
        }
    }

    #[test]
    fn an_old_session_is_named() {
        check(
            RULE.id,
            &add(),
            &blocked(4000, true),
            "Queues: addColumn users.c text: it would wait for pid 4711 (report, idle in \
             transaction, 66 min old), and whoever wants the table after it would wait, too",
        );
        check(RULE.id, &add(), &blocked(1, true), "");
        check(RULE.id, &add(), &blocked(4000, false), "");
        check(RULE.id, &add(), &present(), "");
        let unseen = TableFacts {
            blockers: unknown("permission denied"),
            ..present()
        };
        check(RULE.id, &add(), &unseen, "");
    }

    #[test]
    fn what_lets_others_pass_makes_nobody_queue() {
        use dbop_model::operation::{Index, IndexKind};
        let index = Index::new(IndexKind::Plain, vec![crate::testing::name("email")]);
        let online = [Operation::CreateIndex {
            table: "users".parse().unwrap(),
            index: index.with_online(true),
        }];
        check(RULE.id, &online, &blocked(4000, true), "");
    }
}

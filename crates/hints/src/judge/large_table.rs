//! Does a statement shut readers or writers out of a large table? The judge that the large-table rules share.

use dbop_model::Fact;
use dbop_model::finding::{Effect, Evidence, Finding, Verdict};
use dbop_model::table::TableFacts;

use crate::case::{Case, unknown};
use crate::judge::advice;
use crate::size::{Size, in_words, per_second_in_words, weigh};
use crate::steps::Standing;

/// Judges an operation by its predicted effect and the table's size. `what` names the operation as a clause: "adding
/// users.code".
pub(crate) fn judge(case: &Case<'_>, rule: &str, what: &str) -> Vec<Finding> {
    let facts = match &case.standing {
        Standing::Missing | Standing::New => return Vec::new(),
        Standing::Unknown(why) => return vec![case.unseen(rule, why)],
        Standing::Present(facts) => facts,
    };
    if case.prediction.refused.is_some() {
        return Vec::new();
    }
    let finding = |verdict, claim: String| Finding {
        evidence: evidence(case, facts),
        effect: case.prediction.effect.known().cloned(),
        ..case.finding(rule, verdict, claim)
    };
    if case.is_empty() && case.prediction.also.is_empty() {
        let claim = format!("{what}: the table has no row");
        return vec![Finding {
            evidence: vec![case.seen_empty()],
            ..finding(Verdict::Clean, claim)
        }];
    }
    let why = &case.prediction.why;
    vec![match &case.prediction.effect {
        Fact::Known(effect) if !effect.blocks_reads && !effect.blocks_writes => {
            finding(Verdict::Clean, format!("{what}: {why}"))
        }
        Fact::Known(effect) => match size(case, facts) {
            Size::Small => {
                let claim = format!("{what}: {why}, but the table is small");
                finding(Verdict::Clean, claim)
            }
            Size::Large => Finding {
                advice: advice::of(case),
                ..finding(
                    Verdict::Blocks,
                    format!("{what}: {why}, so {}", consequence(effect)),
                )
            },
            Size::Unknown(unseen) => Finding {
                advice: advice::of(case),
                ..finding(
                    unknown(&unseen),
                    format!("{what}: {why}, and how large the table is cannot be seen: {unseen}"),
                )
            },
        },
        Fact::Unknown(undecided) => match size(case, facts) {
            Size::Small => {
                let claim = format!("{what}: even a rewrite is short, the table is small");
                finding(Verdict::Clean, claim)
            }
            Size::Large | Size::Unknown(_) => Finding {
                advice: case.prediction.say.map(str::to_owned).into_iter().collect(),
                ..finding(
                    unknown(undecided),
                    format!("{what}: what it does to the table is not known: {undecided}"),
                )
            },
        },
    }]
}

/// "the whole large table is written anew", with who waits where it is not everybody.
fn consequence(effect: &Effect) -> &'static str {
    match (effect.rewrite, effect.blocks_reads) {
        (true, true) => "the whole large table is written anew",
        (true, false) => "the whole large table is written anew while writes wait",
        (false, true) => "the whole large table is scanned",
        (false, false) => "the whole large table is read while writes wait",
    }
}

/// The largest of the table and the others that the work is over.
pub(crate) fn size(case: &Case<'_>, facts: &TableFacts) -> Size {
    let own = if case.is_empty() {
        Size::Small
    } else {
        weigh(facts, case.policy)
    };
    case.prediction.also.iter().fold(own, |largest, table| {
        match (largest, case.facts_of(table)) {
            (Size::Large, _) => Size::Large,
            (largest, None) => largest,
            (largest, Some(facts)) if facts.any_row.is_known_and(|any| !any) => largest,
            (largest, Some(facts)) => match weigh(facts, case.policy) {
                Size::Small => largest,
                other => other,
            },
        }
    })
}

/// The sizes that the verdict rests on, and the rate of writes where it was measured.
pub(crate) fn evidence(case: &Case<'_>, facts: &TableFacts) -> Vec<Evidence> {
    let mut evidence: Vec<Evidence> = in_words(facts)
        .map(|(value, source)| case.seen(value, source))
        .into_iter()
        .collect();
    for table in &case.prediction.also {
        if let Some((value, source)) = case.facts_of(table).and_then(in_words) {
            evidence.push(case.seen(format!("{table}: {value}"), source));
        }
    }
    if let Some(rate) = facts.writes.known() {
        evidence.push(case.seen(per_second_in_words(rate.per_second), rate.source));
    }
    evidence
}

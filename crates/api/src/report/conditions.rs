//! The conditions: Ready, Reconciling and Stalled as kstatus has them, DatabaseReachable, HintsClear, and what `health`
//! says.

use dbop_model::finding::{Gate, HintMode, gate};
use dbop_model::{Fact, visible};
use dbop_plan::Decision;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{MESSAGE_CHARS_MAX, Pass, health, shortened};
use crate::Refusals;

pub(super) const TRUE: &str = "True";
pub(super) const FALSE: &str = "False";
pub(super) const UNKNOWN: &str = "Unknown";
/// The reason while a step is tried again.
pub(super) const STEP_FAILED: &str = "StepFailed";

/// Every condition of a pass, in a fixed order.
pub(super) fn of(pass: &Pass<'_>, old: &[Condition]) -> Vec<Condition> {
    let (ready, reconciling, stalled) = match pass.decision {
        Decision::Converged { .. } => (TRUE, FALSE, FALSE),
        Decision::Act { .. } | Decision::Wait { .. } => (FALSE, TRUE, FALSE),
        Decision::Blocked { .. } => (FALSE, FALSE, TRUE),
    };
    let reason = reason(pass.decision, pass.failure);
    let text = pass.summary();
    let (reachable, reachable_reason, reachable_text) = match &pass.facts.database {
        Fact::Known(database) => (
            TRUE,
            "Connected",
            format!("connected to {}", database.server.address),
        ),
        Fact::Unknown(why) => (FALSE, "DatabaseUnreachable", why.to_string()),
    };
    let (clear, clear_reason, clear_text) = hints(pass);
    let healthy = health::healthy(pass.health, old);
    let sampled = health::sampled(pass, old);
    let mut new = vec![
        ("Ready", ready, reason, text.as_str()),
        ("Reconciling", reconciling, reason, text.as_str()),
        ("Stalled", stalled, reason, text.as_str()),
        (
            "DatabaseReachable",
            reachable,
            reachable_reason,
            &reachable_text,
        ),
        ("HintsClear", clear, clear_reason, &clear_text),
        ("Healthy", healthy.0, &healthy.1, &healthy.2),
    ];
    if let Some((status, reason, text)) = &sampled {
        new.push(("MetricsSampled", status, reason, text));
    }
    let in_one_line: Vec<_> = new
        .iter()
        .map(|(_, _, _, text)| visible::line(text))
        .collect();
    for (condition, text) in new.iter_mut().zip(&in_one_line) {
        condition.3 = text;
    }
    merged(&new, pass.generation, pass.now, old)
}

/// The conditions of an object whose spec is refused: those about the database stay.
pub(super) fn refused(
    refusals: &Refusals,
    generation: Option<i64>,
    now: Timestamp,
    old: &[Condition],
) -> Vec<Condition> {
    let text = refusals.to_string();
    let new = [
        ("Ready", FALSE, "InvalidSpec", text.as_str()),
        ("Reconciling", FALSE, "InvalidSpec", &text),
        ("Stalled", TRUE, "InvalidSpec", &text),
    ];
    let mut conditions = merged(&new, generation, now, old);
    let named = |type_: &str| new.iter().any(|(name, ..)| *name == type_);
    conditions.extend(
        old.iter()
            .filter(|condition| !named(&condition.type_))
            .cloned(),
    );
    conditions
}

/// The reason of a pass in one word, as the condition `Ready` has it: what was decided, unless its step failed.
pub fn reason(decision: &Decision, failure: Option<&str>) -> &'static str {
    match failure {
        Some(_) => STEP_FAILED,
        None => decision.reason(),
    }
}

fn hints(pass: &Pass<'_>) -> (&'static str, &'static str, String) {
    let policy = &pass.desired.database.hints;
    if policy.mode == HintMode::Off {
        return (
            UNKNOWN,
            "Off",
            "spec.hints.mode is Off: nothing is looked at".to_owned(),
        );
    }
    let Some(hints) = &pass.facts.hints else {
        return match pass.decision {
            Decision::Converged { .. } => {
                (TRUE, "NothingToRun", "no migration is to be run".to_owned())
            }
            _ => (
                UNKNOWN,
                "NotAnalysed",
                "no migration has been looked at yet".to_owned(),
            ),
        };
    };
    let migration = &hints.migration;
    let judged = match &hints.judged {
        Fact::Unknown(why) => return (UNKNOWN, "FactsUnknown", format!("{migration}: {why}")),
        Fact::Known(judged) => judged,
    };
    let says_nothing = !judged.analysed && judged.not_judged.is_empty();
    if says_nothing {
        let text = format!("{migration} does not say what it does to the schema");
        return (UNKNOWN, "NotAnalysed", text);
    }
    // What only warns is found all the same: the condition says what is so, the mode what follows.
    let blocking = dbop_model::finding::HintPolicy {
        mode: HintMode::Block,
        ..policy.clone()
    };
    match gate(judged, &blocking) {
        Gate::Stop(findings) | Gate::Wait(findings) => {
            let words: Vec<String> = findings
                .iter()
                .map(|finding| format!("{migration} {finding}"))
                .collect();
            (FALSE, "Findings", words.join("; "))
        }
        Gate::HintsRequired(_) | Gate::Clear if judged.not_judged.is_empty() => {
            let mut text = format!("nothing stands against {migration}");
            if !judged.not_tried.is_empty() {
                text.push_str("; not tried on a copy: ");
                text.push_str(&judged.not_tried.join("; "));
            }
            (TRUE, "Clear", text)
        }
        Gate::HintsRequired(_) | Gate::Clear => {
            let words: Vec<String> = judged.not_judged.iter().map(ToString::to_string).collect();
            (
                UNKNOWN,
                "NotAnalysed",
                format!("{migration}: not judged: {}", words.join("; ")),
            )
        }
    }
}

fn merged(
    new: &[(&str, &str, &str, &str)],
    generation: Option<i64>,
    now: Timestamp,
    old: &[Condition],
) -> Vec<Condition> {
    new.iter()
        .map(|(type_, status, reason, message)| {
            let before = old.iter().find(|condition| condition.type_ == *type_);
            let since = before
                .filter(|condition| condition.status == *status)
                .map_or(Time(now), |condition| {
                    condition.last_transition_time.clone()
                });
            Condition {
                type_: (*type_).to_owned(),
                status: (*status).to_owned(),
                reason: (*reason).to_owned(),
                message: shortened(visible::lines(message), MESSAGE_CHARS_MAX),
                observed_generation: generation,
                last_transition_time: since,
            }
        })
        .collect()
}

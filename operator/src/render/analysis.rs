//! What `analyze` shows: each statement that changes the schema with what it does and what is found, for people and
//! as JSON. Nothing is judged here.

use std::time::Duration;

use dbop_model::finding::{Effect, Finding, Judgement, Verdict};
use dbop_model::operation::Statement;
use dbop_model::{Fact, ServerInfo};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::text::{COLUMNS, counted, cut, labelled, span, wrap};

/// The result as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Analysis {
    server: Server,
    /// Of a snapshot: how old what it is judged by is.
    #[serde(skip_serializing_if = "Option::is_none")]
    facts: Option<FactsView>,
    operations: Vec<Operation>,
    findings: Vec<FindingView>,
    /// Statements that could not be read, of which nothing is known.
    unread: Vec<Unread>,
    /// Operations that no rule says anything of.
    not_judged: Vec<NotJudged>,
}

#[derive(Debug, Serialize)]
struct Server {
    engine: String,
    version: String,
    address: String,
}

/// A snapshot's age.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FactsView {
    taken_at: String,
    age_seconds: u64,
    is_old: bool,
}

impl FactsView {
    /// Facts of then, looked at now, that are old after so many days.
    pub(crate) fn of(taken_at: Timestamp, now: Timestamp, days_max: i64) -> Self {
        let age = now.duration_since(taken_at);
        Self {
            taken_at: taken_at.to_string(),
            // A clock that is behind gives a negative age.
            age_seconds: age.as_secs().try_into().unwrap_or(0),
            is_old: age > SignedDuration::from_hours(24 * days_max),
        }
    }

    fn age(&self) -> String {
        span(Duration::from_secs(self.age_seconds))
    }
}

#[derive(Debug, Serialize)]
struct Operation {
    /// The statement's text in one line; of schemaHints, the operation.
    statement: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    operation: String,
    table: String,
    /// Null: it cannot be said.
    effect: Option<EffectView>,
    /// Why its effect cannot be said, where somebody asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct EffectView {
    lock: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    algorithm: Option<&'static str>,
    rewrite: bool,
    scan: bool,
    blocks_reads: bool,
    blocks_writes: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<Seconds>,
}

#[derive(Debug, Serialize)]
struct Seconds {
    from: f64,
    to: f64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FindingView {
    rule: String,
    verdict: &'static str,
    table: String,
    operation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    /// What was found, as one clause.
    claim: String,
    evidence: Vec<EvidenceView>,
    effect: Option<EffectView>,
    advice: Vec<String>,
    /// Would it stop the migration, or have it wait?
    blocks: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct EvidenceView {
    value: String,
    source: String,
    taken_at: String,
}

#[derive(Debug, Serialize)]
struct Unread {
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    statement: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct NotJudged {
    operation: String,
    reason: String,
}

impl Analysis {
    pub(crate) fn new(
        server: &ServerInfo,
        statements: &[Statement],
        judgement: &Judgement,
        facts: Option<FactsView>,
    ) -> Self {
        let placed = placed(statements, judgement);
        let operations = placed.iter().flat_map(|one| {
            one.statement.told().map(|operation| {
                let line = operation.to_string();
                let effect = effect_of(one, &line, judgement);
                Operation {
                    statement: one.statement.text.clone().unwrap_or_else(|| line.clone()),
                    line: one.statement.line,
                    table: operation.table().to_string(),
                    unknown: match &effect {
                        Fact::Unknown(why) if !judgement.predicted.is_empty() => {
                            Some(why.to_string())
                        }
                        _ => None,
                    },
                    effect: effect.known().map(effect_view),
                    operation: line,
                }
            })
        });
        let findings = placed.iter().flat_map(|one| {
            let line = one.statement.line;
            one.findings
                .iter()
                .map(move |finding| finding_view(finding, line))
        });
        let unread = statements.iter().filter_map(|statement| {
            Some(Unread {
                line: statement.line,
                statement: statement.text.clone().unwrap_or_default(),
                reason: statement.unread.clone()?,
            })
        });
        let not_judged = judgement.not_judged.iter().map(|one| NotJudged {
            operation: one.operation.clone(),
            reason: one.why.clone(),
        });
        Self {
            server: Server {
                engine: server.engine.to_string(),
                version: format!("{}.{}", server.major, server.minor),
                address: server.address.clone(),
            },
            facts,
            operations: operations.collect(),
            findings: findings.collect(),
            unread: unread.collect(),
            not_judged: not_judged.collect(),
        }
    }

    /// What to say of a snapshot that is old.
    pub(crate) fn old_facts(&self) -> Option<String> {
        let facts = self.facts.as_ref().filter(|facts| facts.is_old)?;
        Some(format!(
            "the snapshot is {} old, and tables grow: take a new one with `database-operator snapshot`",
            facts.age()
        ))
    }

    /// Could a statement not be read?
    pub(crate) fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }
}

/// A statement with what was found of its operations.
struct Placed<'a> {
    nth: usize,
    statement: &'a Statement,
    findings: Vec<&'a Finding>,
}

/// Findings say which operation they are about, and stand in the order of the operations: each belongs to the first
/// statement with such an operation, no earlier than that of the finding before.
fn placed<'a>(statements: &'a [Statement], judgement: &'a Judgement) -> Vec<Placed<'a>> {
    let mut placed: Vec<Placed<'_>> = statements
        .iter()
        .enumerate()
        .map(|(nth, statement)| Placed {
            nth,
            statement,
            findings: Vec::new(),
        })
        .collect();
    let mut from = 0;
    for finding in &judgement.findings {
        let has_it = |one: &Placed<'_>| {
            let mut operations = one.statement.operations.iter();
            operations.any(|operation| operation.to_string() == finding.operation)
                || one.statement.operations.is_empty()
                    && one.statement.text.as_ref() == Some(&finding.operation)
        };
        let at = (from..placed.len())
            .chain(0..from)
            .find(|at| has_it(&placed[*at]));
        if let Some(at) = at {
            from = at;
            placed[at].findings.push(finding);
        }
    }
    placed
}

/// What an operation does: as predicted, or as a finding about it says.
fn effect_of(one: &Placed<'_>, operation: &str, judgement: &Judgement) -> Fact<Effect> {
    let mut predicted = judgement.predicted.iter();
    let predicted = predicted.find(|p| p.statement == one.nth && p.operation == operation);
    if let Some(predicted) = predicted {
        return predicted.effect.clone();
    }
    let mut found = one
        .findings
        .iter()
        .filter(|finding| finding.operation == operation);
    match found.find_map(|finding| finding.effect.clone()) {
        Some(effect) => Fact::Known(effect),
        None => Fact::Unknown(dbop_model::Why::new("no rule says")),
    }
}

fn effect_view(effect: &Effect) -> EffectView {
    EffectView {
        lock: effect.lock.as_str(),
        algorithm: effect.algorithm.map(|algorithm| algorithm.as_str()),
        rewrite: effect.rewrite,
        scan: effect.scan,
        blocks_reads: effect.blocks_reads,
        blocks_writes: effect.blocks_writes,
        seconds: effect.duration.map(|range| Seconds {
            from: range.from.as_secs_f64(),
            to: range.to.as_secs_f64(),
        }),
    }
}

fn finding_view(finding: &Finding, line: Option<u32>) -> FindingView {
    FindingView {
        rule: finding.rule.clone(),
        verdict: finding.verdict.as_str(),
        table: finding.table.to_string(),
        operation: finding.operation.clone(),
        line,
        claim: finding.claim.clone(),
        evidence: finding
            .evidence
            .iter()
            .map(|evidence| EvidenceView {
                value: evidence.value.clone(),
                source: evidence.source.clone(),
                taken_at: evidence.taken_at.to_string(),
            })
            .collect(),
        effect: finding.effect.as_ref().map(effect_view),
        advice: finding.advice.clone(),
        blocks: finding.stops() || finding.waits(),
        accepted: finding.accepted.clone(),
    }
}

/// Columns of a statement's place.
const PLACE: usize = 10;

/// The result for people: each statement in a few lines, then what stands in the way in full.
pub(crate) fn text(
    name: &str,
    server: &ServerInfo,
    statements: &[Statement],
    judgement: &Judgement,
    facts: Option<&FactsView>,
    stopped: bool,
    now: Timestamp,
) -> String {
    let placed = placed(statements, judgement);
    let mut lines = vec![heading(name, server, statements)];
    if let Some(facts) = facts {
        let text = format!(
            "by a snapshot of {}, {} old, which says nothing of rows and sessions",
            facts.taken_at,
            facts.age()
        );
        lines.extend(wrap("  ", "  ", &text, COLUMNS));
    }
    let shown = |one: &&Placed<'_>| {
        one.statement.unread.is_some()
            || !one.statement.operations.is_empty()
            || !one.findings.is_empty()
    };
    for (nth, one) in placed.iter().filter(shown).enumerate() {
        lines.push(String::new());
        lines.extend(statement_lines(nth + 1, one, judgement));
    }
    for one in &placed {
        for finding in one.findings.iter().filter(|f| f.verdict != Verdict::Clean) {
            let subject = match one.statement.line {
                Some(line) => format!("{name}  line {line}"),
                None => name.to_owned(),
            };
            lines.push(String::new());
            lines.push(dbop_hints::render(finding, &subject, server, now));
        }
    }
    lines.push(String::new());
    lines.push(ending(statements, judgement, stopped));
    lines.join("\n")
}

fn heading(name: &str, server: &ServerInfo, statements: &[Statement]) -> String {
    let schema = statements
        .iter()
        .filter(|one| !one.operations.is_empty())
        .count();
    let what = match (statements.len(), schema) {
        (0, _) => "nothing in it".to_owned(),
        (all, 0) => format!("{}, none changes the schema", counted(all, "statement")),
        (all, some) if all == some => counted(all, "statement"),
        (all, some) => format!(
            "{}, {some} of them on the schema",
            counted(all, "statement")
        ),
    };
    let text = format!("{name} on {server} ({}): {what}", server.address);
    wrap("", "  ", &text, COLUMNS).join("\n")
}

fn statement_lines(nth: usize, one: &Placed<'_>, judgement: &Judgement) -> Vec<String> {
    let place = match one.statement.line {
        Some(line) => format!("line {line}"),
        None => nth.to_string(),
    };
    let mut lines = Vec::new();
    if let Some(text) = &one.statement.text {
        let text = format!("  {place:<PLACE$}{text}");
        lines.push(cut(&text, COLUMNS));
    }
    if let Some(why) = &one.statement.unread {
        lines.extend(labelled(2, "", PLACE, &format!("not read: {why}")));
        return lines;
    }
    let hidden = |one: &Placed<'_>, line: &str| {
        let mut findings = one.findings.iter();
        !findings.any(|finding| finding.operation == line)
    };
    for operation in &one.statement.operations {
        let line = operation.to_string();
        let told = one.statement.told().any(|one| std::ptr::eq(one, operation));
        if !told && hidden(one, &line) {
            continue;
        }
        let label = if lines.is_empty() { place.as_str() } else { "" };
        lines.extend(labelled(2, label, PLACE, &line));
        let about = || {
            one.findings
                .iter()
                .filter(|finding| finding.operation == line)
        };
        for finding in about() {
            lines.extend(labelled(4, "", PLACE, &dbop_hints::line(finding)));
        }
        let says_effect =
            about().any(|finding| finding.verdict == Verdict::Clean && finding.effect.is_some());
        if let Fact::Known(effect) = effect_of(one, &line, judgement)
            && !says_effect
        {
            lines.extend(labelled(4, "", PLACE, &effect.to_string()));
        }
        let mut not_judged = judgement.not_judged.iter();
        if let Some(not) = not_judged.find(|not| not.operation == line) {
            lines.extend(labelled(4, "", PLACE, &format!("not judged: {}", not.why)));
        }
    }
    lines
}

fn ending(statements: &[Statement], judgement: &Judgement, stopped: bool) -> String {
    let blocking = judgement
        .findings
        .iter()
        .filter(|f| f.stops() || f.waits())
        .count();
    let unread = statements.iter().filter(|one| one.unread.is_some()).count();
    let mut parts = Vec::new();
    if stopped {
        let verb = if blocking == 1 { "stands" } else { "stand" };
        parts.push(format!(
            "{} {verb} in the way",
            counted(blocking, "finding")
        ));
    }
    if unread > 0 {
        parts.push(format!("{} cannot be read", counted(unread, "statement")));
    }
    let said = if parts.is_empty() {
        "nothing stands in the way".to_owned()
    } else {
        parts.join(", ")
    };
    let mut text = said.chars();
    let first: String = text
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .collect();
    format!("{first}{}. Nothing has been changed.", text.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_old_after_some_days() {
        let now: Timestamp = "2026-01-10T12:00:00Z".parse().unwrap();
        let of = |taken_at: &str| FactsView::of(taken_at.parse().unwrap(), now, 7);
        let seen = |taken_at: &str| {
            let view = of(taken_at);
            (view.age(), view.is_old)
        };
        assert_eq!(seen("2026-01-10T11:59:55Z"), ("5 s".to_owned(), false));
        assert!(!seen("2026-01-03T12:00:00Z").1);
        assert!(seen("2026-01-03T11:59:59Z").1);
        // A clock that is behind makes nothing older, or younger than now.
        assert_eq!(seen("2026-01-10T13:00:00Z"), ("0 ms".to_owned(), false));
    }
}

//! A database on its way, as `local` shows it on a terminal: a line for the way, one for the credentials, and
//! the reason of a wait.
//!
//! A view is a function of one pass. What changes between passes, time and the running migration's own
//! account, is handed in when lines are made.

use std::collections::BTreeSet;
use std::time::Duration;

use dbop_engine::Report;
use dbop_model::{Fact, JobName, JobPhase, MigrationName};
use dbop_plan::{Blocker, Decision, WaitingOn, forecast};
use jiff::Timestamp;

use super::text::{cut, stopwatch, thousands, width, wrap};
use super::usage;
use crate::receiver::RunMetrics;

/// Versions named before and after the present one; of longer ways, the rest is left out.
const NAMED_MAX: usize = 4;
/// Retired credentials that are named: of the older ones, nobody needs to know any more.
const RETIRED_NAMED_MAX: usize = 2;
/// Cells of the progress bar.
const BAR_CELLS: usize = 15;
/// Lines of a wait's or block's reason: the whole of it is what `status` shows.
const REASON_LINES_MAX: usize = 4;
/// Before this much is done, an estimate of the rest is a guess.
const ESTIMATE_FROM: f64 = 0.02;

/// Where one database stands after a pass.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WalkView {
    /// The versions of the way, oldest first.
    way: Vec<(String, Mark)>,
    pub(crate) state: State,
    /// Credentials, oldest first, each with its state in words.
    credentials: Vec<(String, String)>,
    /// Those that exist in any part.
    pub(crate) existing: BTreeSet<MigrationName>,
}

/// What is said of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Done,
    Running,
    Failed,
    ToCome,
}

/// What goes on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum State {
    /// A migration runs.
    Running {
        job: JobName,
        migration: MigrationName,
        since: Option<Timestamp>,
    },
    /// Something else is done, or waited for, or in the way.
    Says { text: String },
    /// At rest.
    Rest { text: String },
}

/// The view of a pass.
pub(crate) fn view(report: &Report<'_>) -> WalkView {
    let Report {
        desired,
        facts,
        decision,
        failure,
        health: _,
        unsampled: _,
        now,
    } = *report;
    let existing: BTreeSet<MigrationName> = facts
        .database
        .known()
        .into_iter()
        .flat_map(|database| database.logins.keys())
        .chain(
            facts
                .secrets
                .known()
                .into_iter()
                .flat_map(|secrets| secrets.keys()),
        )
        .cloned()
        .collect();
    let state = state(report);
    let current = forecast::current(desired, facts, now);
    let running = match &state {
        State::Running { migration, .. } => Some(migration.clone()),
        _ => None,
    };
    let failed = match decision {
        Decision::Blocked {
            by: Blocker::RunIncomplete { run, .. },
        } => Some(run.migration.clone()),
        _ => None,
    };
    let (lineage, _) = desired.chain.lineage(&desired.database.desired);
    let way = lineage
        .iter()
        .rev()
        .map(|migration| {
            let name = &migration.name;
            let reached = current
                .as_ref()
                .is_some_and(|c| c == name || desired.chain.is_ancestor(name, c));
            let mark = match () {
                () if failed.as_ref() == Some(name) => Mark::Failed,
                () if running.as_ref() == Some(name) => Mark::Running,
                () if reached => Mark::Done,
                () => Mark::ToCome,
            };
            (name.to_string(), mark)
        })
        .collect();
    let wanted: BTreeSet<&MigrationName> = running
        .iter()
        .chain(std::iter::once(&desired.database.desired))
        .collect();
    let credentials = lineage
        .iter()
        .rev()
        .map(|migration| &migration.name)
        .filter(|name| existing.contains(*name) || wanted.contains(name))
        .map(|name| {
            (
                name.to_string(),
                credential(report, name, existing.contains(name)),
            )
        })
        .collect();
    let state = match failure {
        Some(failure) => State::Says {
            text: format!("failed, tried again: {decision}: {failure}"),
        },
        None => state,
    };
    WalkView {
        way,
        state,
        credentials,
        existing,
    }
}

fn state(report: &Report<'_>) -> State {
    let text = report.decision.to_string();
    match report.decision {
        Decision::Wait {
            on:
                WaitingOn::Run {
                    job,
                    migration,
                    not_started: None,
                },
            ..
        } => {
            let jobs = report.facts.jobs.known().map_or(&[][..], Vec::as_slice);
            let since = jobs
                .iter()
                .find(|one| &one.name == job && one.phase == JobPhase::Running)
                .map(|one| one.created_at);
            State::Running {
                job: job.clone(),
                migration: migration.clone(),
                since,
            }
        }
        Decision::Converged { .. } => State::Rest {
            text: format!("{text}, at {}", at(report)),
        },
        _ => State::Says { text },
    }
}

fn at(report: &Report<'_>) -> String {
    forecast::current(report.desired, report.facts, report.now).map_or_else(
        || report.desired.database.desired.to_string(),
        |name| name.to_string(),
    )
}

/// The state of a credential in a word or two.
fn credential(report: &Report<'_>, migration: &MigrationName, exists: bool) -> String {
    if !exists {
        return "-".to_owned();
    }
    let login = report.facts.login(migration);
    let secret = report.facts.secret(migration);
    let references = report
        .facts
        .references
        .known()
        .and_then(|all| all.get(migration));
    let words = match (login, secret) {
        (None, _) if report.facts.database.known().is_some() => "its login is gone".to_owned(),
        (None, _) => "not known".to_owned(),
        (Some(login), _) if login.locked => "retiring".to_owned(),
        (Some(_), None) => "not published".to_owned(),
        (Some(login), Some(_)) => usage::short(&login.sessions).unwrap_or_else(|| match references
            .and_then(|all| all.first())
        {
            Some(reference) => format!("in use by {} {}", reference.kind, reference.name),
            None => "unused".to_owned(),
        }),
    };
    match &report.facts.database {
        Fact::Known(_) => words,
        Fact::Unknown(_) => "not known".to_owned(),
    }
}

impl WalkView {
    /// The database on a terminal: a line for the way, one for the credentials, and the reason of a wait.
    /// `title` is padded by the caller; `retired` were seen and are gone.
    pub(crate) fn live(
        &self,
        title: &str,
        retired: &BTreeSet<MigrationName>,
        metrics: Option<&RunMetrics>,
        now: Timestamp,
        columns: usize,
    ) -> Vec<String> {
        let indent = " ".repeat(width(title) + 2);
        let way = self.way_text();
        let mut lines = Vec::new();
        match &self.state {
            State::Running { since, .. } => {
                let bar = progress(metrics, since.map(|since| elapsed(since, now)));
                lines.push(format!("{title}  {way} {bar}"));
            }
            State::Rest { text } => lines.push(format!("{title}  {way}  {text}")),
            State::Says { .. } => lines.push(format!("{title}  {way}")),
        }
        let retired_before = retired.len().saturating_sub(RETIRED_NAMED_MAX);
        let mut credentials: Vec<String> = retired
            .iter()
            .skip(retired_before)
            .map(|name| format!("{name} retired"))
            .collect();
        credentials.extend(
            self.credentials
                .iter()
                .map(|(name, words)| format!("{name} {words}")),
        );
        if !credentials.is_empty() {
            lines.push(format!("{indent}credentials  {}", credentials.join("   ")));
        }
        if let State::Says { text } = &self.state {
            let mut reason = wrap(&indent, &format!("{indent}  "), text, columns);
            if reason.len() > REASON_LINES_MAX {
                reason.truncate(REASON_LINES_MAX);
                if let Some(last) = reason.last_mut() {
                    last.push_str(" …");
                }
            }
            lines.extend(reason);
        }
        lines.into_iter().map(|line| cut(&line, columns)).collect()
    }

    fn way_text(&self) -> String {
        let at = self.way.iter().rposition(|(_, mark)| *mark != Mark::ToCome);
        let at = at.unwrap_or(0);
        let from = at.saturating_sub(NAMED_MAX - 1);
        let to = (at + 1 + NAMED_MAX).min(self.way.len());
        let mut words: Vec<String> = Vec::new();
        if from > 0 {
            words.push("…".to_owned());
        }
        for (name, mark) in &self.way[from..to] {
            words.push(match mark {
                Mark::Done => format!("{name} ✓"),
                Mark::Running => format!("{name} ▸"),
                Mark::Failed => format!("{name} ✗"),
                Mark::ToCome => format!("{name} ·"),
            });
        }
        if let Some((last, _)) = self.way.last()
            && to < self.way.len()
        {
            words.push(format!("… {last} ·"));
        }
        words.join("  ")
    }
}

pub(crate) fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

/// `[█████████░░░░░░]  61 %   128,400 items   0:12, about 0:08 left`.
fn progress(metrics: Option<&RunMetrics>, elapsed: Option<Duration>) -> String {
    let mut parts = Vec::new();
    let completion = metrics.and_then(|metrics| metrics.completion);
    if let Some(completion) = completion {
        let cells = (completion * BAR_CELLS as f64).floor() as usize;
        let cells = cells.min(BAR_CELLS);
        let bar = format!("{}{}", "█".repeat(cells), "░".repeat(BAR_CELLS - cells));
        parts.push(format!("[{bar}] {:>3} %", percent(completion)));
    } else {
        parts.push("running".to_owned());
    }
    if let Some(items) = metrics.and_then(|metrics| metrics.items) {
        parts.push(format!("{} items", thousands(items)));
    }
    if let Some(elapsed) = elapsed {
        let mut text = stopwatch(elapsed);
        if let Some(left) = completion.and_then(|completion| left(completion, elapsed)) {
            text.push_str(&format!(", about {} left", stopwatch(left)));
        }
        parts.push(text);
    }
    parts.join("   ")
}

pub(crate) fn percent(completion: f64) -> u64 {
    (completion.clamp(0.0, 1.0) * 100.0).floor() as u64
}

/// What is left if it goes on as it went.
pub(crate) fn left(completion: f64, elapsed: Duration) -> Option<Duration> {
    if !(ESTIMATE_FROM..1.0).contains(&completion) || elapsed.is_zero() {
        return None;
    }
    Some(elapsed.mul_f64((1.0 - completion) / completion))
}

#[cfg(test)]
mod tests;

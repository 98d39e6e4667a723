//! What `local` shows while it works: a block on a terminal, a line for each change elsewhere, or a JSON
//! object for each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dbop_api::report::Event;
use dbop_engine::{Clock, Report};
use dbop_local::{End, LocalEnd, Manifests, Observer, Problem, Progress, ProgressSource, Until};
use dbop_model::{JobName, MigrationName, ObjectRef};
use dbop_plan::{Blocker, Decision, WaitingOn};
use jiff::Timestamp;
use serde::Serialize;

use crate::cli::Output;
use crate::commands::directory::{passed_over, problem};
use crate::commands::{Console, complain, note, print_json};
use crate::receiver::{Metrics, RunMetrics};
use crate::render::text::{COLUMNS, width, wrap};
use crate::render::told::{Line, Told};
use crate::render::walk::{self, State, WalkView};
use crate::screen::Screen;
use crate::shell::SystemClock;

/// Between two pictures: smooth enough for a stop-watch.
const DRAW_EVERY: Duration = Duration::from_millis(200);
/// Columns of an Event's reason in plain lines.
const REASON_WIDTH: usize = 20;
/// Events that the block does not show by itself: they scroll above it.
const ABOVE_THE_BLOCK: [&str; 4] = [
    "MigrationFailed",
    "VersionMovedBack",
    "CredentialRepaired",
    "ClaimTakenOver",
];

/// States that the end tells, with the way out: while `local` works towards it, once is enough.
const TOLD_AT_THE_END: [&str; 2] = ["DatabaseUnreachable", "RunIncomplete"];

/// The display.
pub(super) struct Display {
    console: Console,
    directory: PathBuf,
    until: Until,
    screen: Option<Arc<Screen>>,
    metrics: Metrics,
    shown: Mutex<Shown>,
}

#[derive(Default)]
struct Shown {
    databases: BTreeMap<ObjectRef, One>,
    /// What was wrong with the manifests when they were read last.
    problems: BTreeSet<String>,
    skipped: BTreeSet<String>,
}

#[derive(Default)]
struct One {
    told: Told,
    view: Option<WalkView>,
    existing: BTreeSet<MigrationName>,
    retired: BTreeSet<MigrationName>,
    /// The findings that are in the way, as a report shows them: too long for the block.
    reports: Vec<String>,
}

#[derive(Serialize)]
struct JsonLine<'a> {
    at: Timestamp,
    database: String,
    reason: &'a str,
    text: &'a str,
}

impl Display {
    pub(super) fn new(
        console: Console,
        directory: PathBuf,
        until: Until,
        metrics: Metrics,
    ) -> Self {
        let screen = match console.output() {
            Output::Text => Screen::of_stdout(),
            Output::Json => None,
        };
        Self {
            console,
            directory,
            until,
            screen,
            metrics,
            shown: Mutex::default(),
        }
    }

    /// Keeps the block up to date, for as long as it is awaited.
    pub(super) async fn keep_drawing(&self) {
        loop {
            self.draw();
            tokio::time::sleep(DRAW_EVERY).await;
        }
    }

    /// The last picture stays. What is told below it as an error is not told in it.
    pub(super) fn end(&self, end: &LocalEnd) {
        for database in &end.databases {
            if matches!(database.end, End::Failed | End::RunIncomplete)
                && let Some(one) = self.shown().databases.get_mut(&database.database)
                && let Some(view) = &mut one.view
            {
                view.state = State::Rest {
                    text: "stopped, see below".to_owned(),
                };
            }
        }
        self.draw();
        if let Some(screen) = &self.screen {
            screen.leave();
            let reports: Vec<String> = self
                .shown()
                .databases
                .values()
                .flat_map(|one| one.reports.clone())
                .collect();
            reports.iter().for_each(|report| self.print(report));
        }
    }

    /// Was this said, when the manifests were read?
    pub(super) fn has_shown(&self, problem: &Problem) -> bool {
        self.shown().problems.contains(&problem.to_string())
    }

    fn draw(&self) {
        let Some(screen) = &self.screen else { return };
        let now = SystemClock.now();
        let columns = screen.columns();
        let shown = self.shown();
        let titles = titles(shown.databases.keys());
        let mut lines = Vec::new();
        for (id, one) in &shown.databases {
            let title = title(&titles, id);
            match &one.view {
                None => lines.push(format!("{title}  is looked at")),
                Some(view) => {
                    let metrics = self.metrics_of(view);
                    lines.extend(view.live(title, &one.retired, metrics.as_ref(), now, columns));
                }
            }
        }
        drop(shown);
        screen.draw(lines);
    }

    fn metrics_of(&self, view: &WalkView) -> Option<RunMetrics> {
        match &view.state {
            State::Running { job, .. } => self.metrics.run(job.as_str()),
            State::Says { .. } | State::Rest { .. } => None,
        }
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        // What a panic may have left behind is at worst a line told twice.
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints a line of a database.
    fn say(&self, id: &ObjectRef, title: &str, line: &Line) {
        let ends_soon = self.until == Until::Rest && self.console.output() == Output::Text;
        if ends_soon && TOLD_AT_THE_END.contains(&line.reason.as_str()) {
            return;
        }
        if self.console.output() == Output::Json {
            let (reason, text) = (line.reason.as_str(), line.text.as_str());
            let line = JsonLine {
                at: SystemClock.now(),
                database: id.to_string(),
                reason,
                text,
            };
            if let Ok(json) = serde_json::to_string(&line) {
                // The work goes on without somebody to tell.
                let _ = print_json(&json);
            }
            return;
        }
        let first = format!("{title}  {:<REASON_WIDTH$} ", line.reason);
        let next = " ".repeat(width(&first));
        let text = wrap(&first, &next, &line.text, COLUMNS).join("\n");
        match &self.screen {
            Some(screen) => screen.above(|_| self.print(&text)),
            None => self.print(&text),
        }
    }

    fn print(&self, text: &str) {
        // The work goes on without somebody to tell.
        let _ = self.console.text(text);
    }
}

impl Observer for Display {
    fn manifests(&self, manifests: &Manifests) {
        let mut shown = self.shown();
        for id in manifests.databases.keys() {
            shown.databases.entry(id.clone()).or_default();
        }
        shown
            .databases
            .retain(|id, _| manifests.databases.contains_key(id));
        let texts: BTreeSet<String> = manifests.problems.iter().map(ToString::to_string).collect();
        let known = std::mem::replace(&mut shown.problems, texts);
        let skipped: BTreeSet<String> = manifests
            .skipped
            .iter()
            .map(|one| passed_over(&self.directory, one))
            .collect();
        let noted = std::mem::replace(&mut shown.skipped, skipped.clone());
        drop(shown);
        let tell = || {
            for wrong in manifests
                .problems
                .iter()
                .filter(|one| !known.contains(&one.to_string()))
            {
                complain(&problem(&self.directory, wrong));
            }
            for text in skipped.difference(&noted) {
                note(text);
            }
            if manifests.problems.is_empty() && !known.is_empty() {
                note("the manifests are in order again");
            }
        };
        match &self.screen {
            Some(screen) => screen.above(|_| tell()),
            None => tell(),
        }
    }

    fn published(&self, database: &ObjectRef, report: &Report<'_>) {
        let view = walk::view(report);
        let mut shown = self.shown();
        let titles = titles(shown.databases.keys());
        let one = shown.databases.entry(database.clone()).or_default();
        let line = one.told.published(report, &view);
        // What cannot be seen now has not gone.
        if report.facts.database.known().is_some() && report.facts.secrets.known().is_some() {
            let gone: Vec<MigrationName> =
                one.existing.difference(&view.existing).cloned().collect();
            one.retired.extend(gone);
            one.existing.clone_from(&view.existing);
            let existing = one.existing.clone();
            one.retired.retain(|name| !existing.contains(name));
        }
        one.view = Some(view);
        one.reports = reports(report);
        let reports = one.reports.clone();
        drop(shown);
        if let Some(line) = line
            && self.screen.is_none()
        {
            self.say(database, title(&titles, database), &line);
            if self.console.output() == Output::Text {
                reports.iter().for_each(|report| self.print(report));
            }
        }
    }

    fn event(&self, database: &ObjectRef, event: &Event) {
        let mut shown = self.shown();
        let titles = titles(shown.databases.keys());
        let one = shown.databases.entry(database.clone()).or_default();
        let line = one.told.event(event, SystemClock.now());
        drop(shown);
        let is_shown = self.screen.is_none() || ABOVE_THE_BLOCK.contains(&event.reason);
        if let Some(line) = line
            && is_shown
        {
            self.say(database, title(&titles, database), &line);
        }
    }

    fn progress(&self, database: &ObjectRef, job: &JobName, _progress: Progress) {
        let (Some(metrics), None) = (self.metrics.run(job.as_str()), &self.screen) else {
            return;
        };
        let mut shown = self.shown();
        let titles = titles(shown.databases.keys());
        let one = shown.databases.entry(database.clone()).or_default();
        let line = match &one.view {
            Some(view) => one.told.progress(view, &metrics, SystemClock.now()),
            None => None,
        };
        drop(shown);
        if let Some(line) = line {
            self.say(database, title(&titles, database), &line);
        }
    }
}

impl ProgressSource for Metrics {
    fn progress(&self, job: &JobName) -> Option<Progress> {
        let run = self.run(job.as_str())?;
        Some(Progress {
            completion: run.completion,
            items: run.items,
        })
    }
}

/// The findings that a decision is about, each with its evidence and the ways out.
fn reports(report: &Report<'_>) -> Vec<String> {
    let (migration, findings) = match report.decision {
        Decision::Blocked {
            by: Blocker::Hints {
                migration,
                findings,
            },
        }
        | Decision::Wait {
            on:
                WaitingOn::Hints {
                    migration,
                    findings,
                },
            ..
        } => (migration, findings),
        _ => return Vec::new(),
    };
    let Some(database) = report.facts.database.known() else {
        return Vec::new();
    };
    let subject = format!("{}  {migration}", report.desired.database.id.name());
    let render = |one| dbop_hints::render(one, &subject, &database.server, report.now);
    findings.iter().map(render).collect()
}

/// Names alone, where that tells them apart, else with the namespace; all of one width.
fn titles<'a>(ids: impl Iterator<Item = &'a ObjectRef>) -> BTreeMap<ObjectRef, String> {
    let ids: Vec<&ObjectRef> = ids.collect();
    let namespaces: BTreeSet<&str> = ids.iter().map(|id| id.namespace()).collect();
    let title = |id: &ObjectRef| match namespaces.len() {
        0 | 1 => id.name().to_owned(),
        _ => id.to_string(),
    };
    let titles: Vec<String> = ids.iter().map(|id| title(id)).collect();
    let longest = titles
        .iter()
        .map(|title| width(title))
        .max()
        .unwrap_or_default();
    let padded = titles.into_iter().map(|title| {
        let padding = " ".repeat(longest - width(&title));
        title + &padding
    });
    ids.into_iter().cloned().zip(padded).collect()
}

fn title<'a>(titles: &'a BTreeMap<ObjectRef, String>, id: &'a ObjectRef) -> &'a str {
    titles.get(id).map_or_else(|| id.name(), String::as_str)
}

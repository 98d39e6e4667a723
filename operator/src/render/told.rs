//! A database on its way, told in lines: one for each change, none twice.
//!
//! What was done, and what turned, comes as Events. What is waited for comes with each pass, so that a
//! restarted `local` says it too; where an Event has just said the same, it is not said again.

use dbop_api::report::{Event, PROGRESS};
use dbop_engine::Report;
use dbop_plan::{Decision, WaitingOn};
use jiff::{SignedDuration, Timestamp};

use super::text::{stopwatch, thousands};
use super::walk::{State, WalkView, elapsed, left, percent};
use crate::receiver::RunMetrics;

/// One thing said again within this long is no news: a client that connects every few seconds would fill a
/// screen.
const REPEAT_AFTER: SignedDuration = SignedDuration::from_secs(30);
/// Steps of progress that are worth a line of their own.
const PERCENT_STEP: u64 = 10;
/// Events that are told better otherwise: of waits that begin, whose words change with every session, by the pass; of a
/// run's progress by what it pushes.
const TOLD_OTHERWISE: [&str; 3] = ["CredentialInUse", "CredentialRetiring", PROGRESS];

/// A line to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// In one word.
    pub(crate) reason: String,
    /// For people.
    pub(crate) text: String,
}

/// What has been told of one database.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// What was told lately, and when.
    keys: Vec<(String, Timestamp)>,
    /// What stands as the present state.
    standing: String,
    /// The words of the last Event.
    event: String,
    percent: u64,
}

impl Told {
    /// An Event.
    pub(crate) fn event(&mut self, event: &Event, now: Timestamp) -> Option<Line> {
        if TOLD_OTHERWISE.contains(&event.reason) {
            return None;
        }
        self.event.clone_from(&event.message);
        if !self.is_news(format!("{} {}", event.reason, event.message), now) {
            return None;
        }
        Some(Line {
            reason: event.reason.to_owned(),
            text: event.message.clone(),
        })
    }

    /// A pass.
    pub(crate) fn published(&mut self, report: &Report<'_>, view: &WalkView) -> Option<Line> {
        let now = report.now;
        let (key, reason) = match report.decision {
            // It is told once it is done, or has failed.
            Decision::Act { .. } => return None,
            Decision::Converged { .. } => ("rest".to_owned(), "AtRest"),
            Decision::Blocked { by } => (by.to_string(), by.reason()),
            Decision::Wait { on, .. } => (wait_key(on), on.reason()),
        };
        let text = match &view.state {
            State::Rest { text } | State::Says { text } => text.clone(),
            State::Running { migration, .. } => format!("migration {migration} is running"),
        };
        let key = match &view.state {
            State::Rest { text } => format!("{key} {text}"),
            _ => key,
        };
        if key == self.standing {
            return None;
        }
        self.standing.clone_from(&key);
        let by_event = match &view.state {
            State::Running { job, .. } => self.event.contains(job.as_str()),
            _ => !self.event.is_empty() && text.ends_with(&self.event),
        };
        if matches!(view.state, State::Running { .. }) {
            self.percent = 0;
        }
        // What is told by an Event counts as told.
        let is_news = self.is_news(key, now);
        (is_news && !by_event).then(|| Line {
            reason: reason.to_owned(),
            text,
        })
    }

    /// A running migration has come further: a line for each step.
    pub(crate) fn progress(
        &mut self,
        view: &WalkView,
        metrics: &RunMetrics,
        now: Timestamp,
    ) -> Option<Line> {
        let State::Running {
            migration, since, ..
        } = &view.state
        else {
            return None;
        };
        let completion = metrics.completion?;
        let step = percent(completion) / PERCENT_STEP * PERCENT_STEP;
        if step <= self.percent {
            return None;
        }
        self.percent = step;
        let mut text = format!("migration {migration} is at {step} %");
        if let Some(items) = metrics.items {
            text.push_str(&format!(", {} items", thousands(items)));
        }
        let left = since.and_then(|since| left(completion, elapsed(since, now)));
        if let Some(left) = left {
            text.push_str(&format!(", about {} left", stopwatch(left)));
        }
        Some(Line {
            reason: PROGRESS.to_owned(),
            text,
        })
    }

    fn is_news(&mut self, key: String, now: Timestamp) -> bool {
        self.keys
            .retain(|(_, at)| now.duration_since(*at) < REPEAT_AFTER);
        let is_news = self.keys.iter().all(|(told, _)| *told != key);
        if is_news {
            self.keys.push((key, now));
        }
        is_news
    }
}

/// What a wait is for, without what changes by the second.
fn wait_key(on: &WaitingOn) -> String {
    match on {
        WaitingOn::CredentialInUse { credentials, .. } => {
            let names: Vec<String> = credentials.iter().map(|(m, _)| m.to_string()).collect();
            format!("in use {}", names.join(" "))
        }
        WaitingOn::QuietWindow { login, .. } => format!("quiet {login}"),
        WaitingOn::ReplacedInUse { logins } => {
            let names: Vec<String> = logins.iter().map(|one| one.login.to_string()).collect();
            format!("in use {}", names.join(" "))
        }
        WaitingOn::MigratorSessions { .. } => "migrator".to_owned(),
        WaitingOn::ToolLock { .. } => "lock".to_owned(),
        WaitingOn::Run {
            job, not_started, ..
        } => format!("run {job} {not_started:?}"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dbop_api::report::EventKind;
    use dbop_model::health::Health;
    use dbop_model::{MigrationName, ObservedVersion, Why};
    use dbop_plan::{Facts, Use, decide, example};

    use crate::render::walk::view;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn published(told: &mut Told, facts: &Facts, decision: &Decision, now: i64) -> Option<String> {
        let desired = example::desired(3).unwrap();
        let report = Report {
            desired: &desired,
            facts,
            decision,
            failure: None,
            health: &Health::default(),
            unsampled: None,
            now: at(now),
        };
        told.published(&report, &view(&report))
            .map(|line| format!("{} {}", line.reason, line.text))
    }

    fn in_use() -> Decision {
        let name = |text| MigrationName::new(text).unwrap();
        let on = WaitingOn::CredentialInUse {
            credentials: vec![(name("v1"), Use::Unknown(Why::new("x")))],
            next: None,
            move_to: name("v2"),
        };
        Decision::Wait { on, wake_at: at(9) }
    }

    fn blocked() -> Decision {
        Decision::Blocked {
            by: dbop_plan::Blocker::TablesWithoutVersion,
        }
    }

    #[test]
    fn each_state_is_told_once_and_a_flicker_rarely() {
        let facts = example::facts().unwrap();
        let mut told = Told::default();
        let first = published(&mut told, &facts, &in_use(), 0).unwrap();
        assert!(first.starts_with("CredentialInUse waits: "), "{first}");
        assert_eq!(published(&mut told, &facts, &in_use(), 1), None);
        assert!(published(&mut told, &facts, &blocked(), 2).is_some());
        assert_eq!(
            published(&mut told, &facts, &in_use(), 3),
            None,
            "told 3 s ago"
        );
        assert_eq!(
            published(&mut told, &facts, &blocked(), 4),
            None,
            "told 2 s ago"
        );
        assert!(published(&mut told, &facts, &in_use(), 40).is_some());
    }

    #[test]
    fn what_an_event_has_said_the_pass_does_not_say_again() {
        let facts = example::facts().unwrap();
        let mut told = Told::default();
        let Decision::Blocked { by } = blocked() else {
            unreachable!()
        };
        let event = Event {
            kind: EventKind::Warning,
            reason: by.reason(),
            message: by.to_string(),
            job: None,
        };
        assert!(told.event(&event, at(0)).is_some());
        assert_eq!(published(&mut told, &facts, &blocked(), 0), None);
        assert_eq!(told.event(&event, at(1)), None);
    }

    #[test]
    fn what_is_done_is_told_by_its_event() {
        let facts = example::facts().unwrap();
        let desired = example::desired(3).unwrap();
        let act = decide(&desired, &facts, at(0));
        assert!(matches!(act, Decision::Act { .. }), "{act}");
        assert_eq!(published(&mut Told::default(), &facts, &act, 0), None);
    }

    #[test]
    fn progress_is_told_in_steps() {
        let mut facts = example::facts().unwrap();
        let dbop_model::Fact::Known(database) = &mut facts.database else {
            unreachable!()
        };
        database.version = dbop_model::Fact::Known(ObservedVersion::None);
        let job = dbop_model::JobName::new("shop-v1").unwrap();
        let migration = MigrationName::new("v1").unwrap();
        let on = WaitingOn::Run {
            job: job.clone(),
            migration: migration.clone(),
            not_started: None,
        };
        let decision = Decision::Wait { on, wake_at: at(9) };
        facts.jobs = dbop_model::Fact::Known(vec![dbop_model::JobFacts {
            name: job,
            from: None,
            to: migration,
            digest: dbop_model::Digest::new("d").unwrap(),
            created_at: at(100),
            phase: dbop_model::JobPhase::Running,
            finalizer: true,
        }]);
        let mut told = Told::default();
        assert_eq!(
            published(&mut told, &facts, &decision, 100).unwrap(),
            "MigrationRunning migration v1 is running"
        );
        let desired = example::desired(3).unwrap();
        let report = Report {
            desired: &desired,
            facts: &facts,
            decision: &decision,
            failure: None,
            health: &Health::default(),
            unsampled: None,
            now: at(100),
        };
        let view = view(&report);
        let mut at_percent = |percent: f64| {
            let metrics = RunMetrics {
                completion: Some(percent),
                items: Some(1_000),
                ..RunMetrics::default()
            };
            told.progress(&view, &metrics, at(110))
                .map(|line| line.text)
        };
        assert_eq!(at_percent(0.05), None);
        assert_eq!(
            at_percent(0.5).unwrap(),
            "migration v1 is at 50 %, 1,000 items, about 0:10 left"
        );
        assert_eq!(at_percent(0.55), None);
        assert_eq!(
            at_percent(1.0).unwrap(),
            "migration v1 is at 100 %, 1,000 items"
        );
    }
}

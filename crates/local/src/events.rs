//! The log of Events, `events.log`: one line each, for people.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use dbop_api::report::Event;
use dbop_model::{ObjectRef, visible};
use jiff::Timestamp;

use crate::file::{self, FileError};

/// Kept in two halves of at most this size: some ten thousand Events.
const LOG_BYTES_MAX: u64 = 1024 * 1024;

/// The log.
pub(crate) struct EventLog {
    path: PathBuf,
}

impl EventLog {
    pub(crate) fn new(state: &Path) -> Self {
        Self {
            path: state.join("events.log"),
        }
    }

    /// Adds an Event.
    pub(crate) fn add(
        &self,
        database: &ObjectRef,
        event: &Event,
        now: Timestamp,
    ) -> Result<(), FileError> {
        if fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() > LOG_BYTES_MAX) {
            let older = self.path.with_extension("log.1");
            fs::rename(&self.path, &older).map_err(FileError::of("write", &older))?;
        }
        let Event {
            kind,
            reason,
            message,
            ..
        } = event;
        let now = now.strftime("%Y-%m-%dT%H:%M:%SZ");
        let message = visible::line(message);
        let line = format!("{now} {database} {} {reason} {message}\n", kind.as_str());
        // In one write, so that a crash leaves whole lines.
        file::append(&self.path)?
            .write_all(line.as_bytes())
            .map_err(FileError::of("write", &self.path))
    }
}

#[cfg(test)]
mod tests {
    use dbop_api::report::EventKind;
    use dbop_model::visible::hostile;

    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn an_event_is_a_line() {
        let scratch = Scratch::new();
        let log = EventLog::new(scratch.path());
        let shop = ObjectRef::new("shop", "shop").unwrap();
        let event = Event {
            kind: EventKind::Warning,
            reason: "MigrationFailed",
            message: "one\ntwo".to_owned(),
            job: None,
        };
        let now = "2026-01-02T03:04:05.6Z".parse().unwrap();
        log.add(&shop, &event, now).unwrap();
        log.add(&shop, &event, now).unwrap();
        let text = fs::read_to_string(scratch.path().join("events.log")).unwrap();
        let line = "2026-01-02T03:04:05Z shop/shop Warning MigrationFailed one two\n";
        assert_eq!(text, line.repeat(2));
    }

    #[test]
    fn an_event_is_one_harmless_line_whatever_it_tells() {
        let scratch = Scratch::new();
        let log = EventLog::new(scratch.path());
        let shop = ObjectRef::new("shop", "shop").unwrap();
        let texts = hostile::texts();
        for message in texts.clone() {
            let event = Event {
                kind: EventKind::Warning,
                reason: "MigrationFailed",
                message,
                job: None,
            };
            log.add(&shop, &event, Timestamp::UNIX_EPOCH).unwrap();
        }
        let log = fs::read_to_string(scratch.path().join("events.log")).unwrap();
        let lines: Vec<&str> = log.trim_end_matches('\n').split('\n').collect();
        assert_eq!(lines.len(), texts.len(), "{log}");
        for line in lines {
            assert!(
                line.starts_with("1970-01-01T00:00:00Z shop/shop "),
                "{line}"
            );
            assert_eq!(hostile::harm(line), "", "{line}");
        }
    }
}

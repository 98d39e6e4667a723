//! The server's own log: what a look told it.

use std::io::{Read as _, Seek as _, SeekFrom};

use dbop_tests::{Engine, TestServer};

/// The first words of statements that change nothing.
const READING: [&str; 9] = [
    "SELECT", "WITH", "SHOW", "SET", "BEGIN", "START", "ROLLBACK", "COMMIT", "EXPLAIN",
];

/// A place in the log.
pub(crate) struct Mark {
    server: TestServer,
    at: u64,
}

impl Mark {
    /// Where the log ends now.
    pub(crate) fn of(server: &TestServer) -> Mark {
        let at = std::fs::metadata(server.statements()).unwrap().len();
        Mark {
            server: server.clone(),
            at,
        }
    }

    /// What has been said since.
    pub(crate) fn statements_since(&self) -> Vec<String> {
        let mut file = std::fs::File::open(self.server.statements()).unwrap();
        file.seek(SeekFrom::Start(self.at)).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        statements(self.server.engine(), &text)
    }
}

/// The statements of a piece of the log; those of several lines in one.
fn statements(engine: Engine, text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut is_open = false;
    for line in text.lines() {
        // Entries begin with their time.
        let goes_on = !line.starts_with(|c: char| c.is_ascii_digit());
        if let Some(begun) = statement(engine, line) {
            found.push(begun);
            is_open = true;
        } else if let (true, true, Some(last)) = (goes_on, is_open, found.last_mut()) {
            *last = format!("{last} {}", line.trim()).trim().to_owned();
        } else {
            is_open = false;
        }
    }
    found
}

/// The statement that a line of the log begins.
fn statement(engine: Engine, line: &str) -> Option<String> {
    let text = match engine {
        Engine::Postgres => {
            let (_, rest) = line.split_once("LOG:  ")?;
            let (how, text) = rest.split_once(": ")?;
            let is_said = how == "statement" || how.starts_with("execute ");
            is_said.then_some(text)?
        }
        Engine::MySql | Engine::MariaDb => {
            let (_, text) = line
                .split_once(" Query\t")
                .or_else(|| line.split_once(" Execute\t"))?;
            text
        }
    };
    Some(text.trim().to_owned())
}

/// Checks that all statements read, and that there are some.
///
/// # Panics
/// When one does not.
#[track_caller]
pub(crate) fn only_reads(statements: &[String], database: &str) {
    assert!(
        !statements.is_empty(),
        "the log of {database} shows the look"
    );
    for statement in statements {
        let first = statement.split(|c: char| !c.is_ascii_alphabetic()).next();
        let first = first.unwrap_or_default().to_ascii_uppercase();
        assert!(
            READING.contains(&first.as_str()),
            "it does more than read: {statement}"
        );
    }
}

#[test]
fn lines_of_both_logs_are_read() {
    let of = |engine, text: &str| statements(engine, text).into_iter().next();
    let postgres = "2026-11-26 10:00:00.000 UTC [7] LOG:  statement: BEGIN READ ONLY";
    assert_eq!(
        of(Engine::Postgres, postgres).as_deref(),
        Some("BEGIN READ ONLY")
    );
    let prepared = "2026-11-26 10:00:00.000 UTC [7] LOG:  execute s0: SELECT 1";
    assert_eq!(of(Engine::Postgres, prepared).as_deref(), Some("SELECT 1"));
    let long = "2026-11-26 10:00:00.000 UTC [7] LOG:  execute s1: \n\tSELECT a,\n\tb\n2026-11-26 10:00:00.000 UTC [7] DETAIL:  x";
    assert_eq!(of(Engine::Postgres, long).as_deref(), Some("SELECT a, b"));
    let mysql = "2026-11-26T10:00:00.000000Z\t   12 Query\tSELECT 1";
    assert_eq!(of(Engine::MySql, mysql).as_deref(), Some("SELECT 1"));
}

#[test]
#[should_panic(expected = "it does more than read: UPDATE t SET a = 1")]
fn a_write_is_found() {
    only_reads(&["UPDATE t SET a = 1".to_owned()], "x");
}

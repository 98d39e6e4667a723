//! A migration's SQL: every statement has its line, in order and within the file, and a text of one line; what a
//! server would be asked to read of it is the file's own text, or one statement that was made of it; and reading it
//! twice says the same. That reading ends in time is for whoever runs this: libFuzzer and the test of the corpus have a
//! limit each.

use dbop_model::Engine;
use dbop_model::operation::ReadingKind;

/// The first byte is the server.
pub(crate) fn run(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let engine = [Engine::PostgreSql, Engine::MySql, Engine::MariaDb][usize::from(first % 3)];
    let text = String::from_utf8_lossy(rest);
    let lines = u32::try_from(text.split('\n').count()).expect("fewer bytes than that");
    let statements = dbop_sql::read(engine, &text);
    let has_delimiter = text.to_ascii_lowercase().contains("delimiter");
    let mut before = 1;
    for statement in &statements {
        let line = statement.line.expect("a statement of a file has a line");
        assert!(
            (before..=lines).contains(&line),
            "of {lines}: {statement:?}"
        );
        before = line;
        let shown = statement.text.as_deref().expect("and a text");
        assert!(!shown.contains(char::is_control), "{shown:?}");
        if statement.unread.is_some() {
            assert!(statement.operations.is_empty(), "{statement:?}");
        }
        for reading in &statement.readings {
            // With a `DELIMITER` there may be several in the file's own text, and a server that prepares it refuses them.
            if reading.kind == ReadingKind::Statement && has_delimiter {
                continue;
            }
            let read = dbop_sql::read(engine, &reading.text);
            assert_eq!(read.len(), 1, "{reading:?}");
        }
    }
    // Read once more: without hints, a migration is what its file says.
    assert_eq!(dbop_sql::of_migration(engine, Some(&text), &[]), statements);
}

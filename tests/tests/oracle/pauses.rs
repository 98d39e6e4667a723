//! A sample with a real reader and a real writer on MySQL and MariaDB: how long each waits while a statement works on
//! a table of many rows, against what its LOCK says.
//!
//! On PostgreSQL every case has a reader and a writer beside it (`on_postgres.rs`), who wait or do not; there the
//! time would say nothing more.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use dbop_tests::{Session, TestServer};
use tokio::time::Instant;

/// Enough rows that a statement takes seconds.
const ROWS: &str =
    "CREATE TABLE big (id INT PRIMARY KEY AUTO_INCREMENT, a INT, b INT, pad CHAR(200) DEFAULT 'x')";
const FIRST: &str = "INSERT INTO big (a, b) VALUES (1, 1), (2, 2), (3, 3), (4, 4)";
const TWICE: &str = "INSERT INTO big (a, b) SELECT a, b FROM big";
const DOUBLED: usize = 15;
/// Whoever waits for more than this part of the time that a statement takes is shut out by it. Every statement shuts out
/// everybody for an instant at its beginning and its end.
const SHUT_OUT: f64 = 0.5;
/// What is tried: statement, do readers wait, do writers.
const SAMPLE: [(&str, bool, bool); 4] = [
    (
        "ALTER TABLE big ADD INDEX big_a (a), ALGORITHM=INPLACE, LOCK=NONE",
        false,
        false,
    ),
    (
        "ALTER TABLE big FORCE, ALGORITHM=INPLACE, LOCK=NONE",
        false,
        false,
    ),
    (
        "ALTER TABLE big MODIFY b BIGINT, ALGORITHM=COPY, LOCK=SHARED",
        false,
        true,
    ),
    (
        "ALTER TABLE big FORCE, ALGORITHM=INPLACE, LOCK=EXCLUSIVE",
        true,
        true,
    ),
];

/// Runs the sample, and gives a line for each statement.
///
/// # Panics
/// When somebody waits against what LOCK says, or does not.
pub(crate) async fn sample(server: &TestServer) -> Vec<String> {
    let database = server.database("oracle").await;
    let person = database.person().await;
    for statement in [ROWS, FIRST] {
        person.run(statement).await.expect("a table of many rows");
    }
    for _ in 0..DOUBLED {
        person.run(TWICE).await.expect("twice as many rows");
    }
    let (reader, writer) = (database.person().await, database.person().await);
    let mut lines = Vec::new();
    for (statement, readers_wait, writers_wait) in SAMPLE {
        let working = Rc::new(Cell::new(true));
        let read = longest(&reader, "SELECT a FROM big WHERE id = 1", &working);
        let write = longest(&writer, "UPDATE big SET a = a + 1 WHERE id = 1", &working);
        let work = async {
            let begun = Instant::now();
            person.run(statement).await.expect("the statement works");
            working.set(false);
            begun.elapsed()
        };
        let (took, read, write) = tokio::join!(work, read, write);
        let shut_out = |pause: Duration| pause.as_secs_f64() > took.as_secs_f64() * SHUT_OUT;
        let milliseconds = |time: Duration| time.as_millis();
        let line = format!(
            "`{statement}` took {} ms; the longest wait of a reader was {} ms, of a writer {} ms",
            milliseconds(took),
            milliseconds(read),
            milliseconds(write)
        );
        assert_eq!(
            (shut_out(read), shut_out(write)),
            (readers_wait, writers_wait),
            "{}: {line}",
            server.title()
        );
        lines.push(line);
    }
    lines
}

/// The longest time that a statement, said again and again while there is work, took.
async fn longest(session: &Session, statement: &str, working: &Rc<Cell<bool>>) -> Duration {
    let mut longest = Duration::ZERO;
    while working.get() {
        let begun = Instant::now();
        session.run(statement).await.expect("it works");
        longest = longest.max(begun.elapsed());
    }
    longest
}

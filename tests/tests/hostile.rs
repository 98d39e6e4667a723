//! What anybody may have written: a role, a table, a migration's last words and manifests that want to own the
//! terminal, forge a line or read otherwise than they are. Nothing that the operator shows does any of it.

use std::time::Duration;

use dbop_tests::local::{Finished, Site, Step, until};
use dbop_tests::{Session, majors, server};
use serde_json::Value;

const CREATE: &str = "CREATE TABLE customers (id bigserial PRIMARY KEY, name text);";
/// A window's title, a cleared screen in both ways, an overwritten and a forged line, marks of direction, nothing.
const EVIL: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}2J\r\nerror: forged \u{202e}nimda\u{2066}\u{200b}\u{feff}<b>";
/// As much of it as a name of a role may hold beside that of the test (63 bytes).
const EVIL_ROLE: &str = "\u{1b}]0;owned\u{7}\r\nerror: forged\u{202e}\u{feff}";
/// What of it a name of a table may hold, whom the operator shows.
const EVIL_TABLE: &str = "log\u{202e}\u{2066}\u{200b}txt";

/// Is it shown as it is, without doing anything?
#[track_caller]
fn is_harmless(sink: &str, text: &str) {
    let marks = "\u{200b}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{feff}";
    for line in text.split('\n') {
        let bad = |c: &char| c.is_control() || marks.contains(*c);
        assert_eq!(line.chars().find(bad), None, "{sink}: {line:?}");
        // A text of its own may be one; among lines of ours it forges one.
        let forged = line.starts_with("error: forged") && text.contains('\n');
        assert!(!forged, "{sink}: {text}");
    }
}

#[track_caller]
fn texts_are_harmless(sink: &str, value: &Value) {
    match value {
        Value::String(text) => is_harmless(sink, text),
        Value::Array(all) => all.iter().for_each(|one| texts_are_harmless(sink, one)),
        Value::Object(all) => all.values().for_each(|one| texts_are_harmless(sink, one)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[track_caller]
fn shows_no_harm(finished: &Finished) {
    is_harmless(&format!("stdout of {finished}"), &finished.stdout);
    is_harmless(&format!("stderr of {finished}"), &finished.stderr);
}

#[tokio::test]
async fn names_and_messages_of_others_do_nothing_where_they_are_shown() {
    let newest = majors().into_iter().max().expect("there is a server");
    let server = server(newest);
    let site = Site::new(&server, "hostile").await;
    let fails = format!("DO $$ BEGIN RAISE EXCEPTION '%', '{EVIL}'; END $$;");
    let creates = format!(
        "{CREATE} CREATE TABLE \"{EVIL_TABLE}\" (x int); INSERT INTO \"{EVIL_TABLE}\" VALUES (1);"
    );
    site.steps(0, &[Step::new(&creates), Step::new(&fails)]);
    site.directory.local().await.exits(0);

    let role = format!("{}_{EVIL_ROLE}", site.name);
    let quoted = format!("\"{role}\"");
    site.database
        .run(&format!("CREATE ROLE {quoted} LOGIN PASSWORD 'x'"))
        .await;
    let session = Session::by_uri(&site.database.dsn(&role, "x")).await;
    let session = session.unwrap_or_else(|error| panic!("the role logs in: {error}"));
    // The table has no primary key, which is looked at beside the passes.
    let watches = site.directory.start(&["--watch"]);
    until("the table is told", Duration::from_secs(60), async || {
        site.status()["conditions"]
            .to_string()
            .contains(r"log\\u{202e}")
    })
    .await;
    shows_no_harm(&watches.stop(Duration::from_secs(30)).await);
    site.desire("v2");

    // Both forms of output, and of the log, of all that is said on the way.
    for more in [
        &["--log-level", "debug"][..],
        &[
            "--log-level",
            "debug",
            "--log-format",
            "json",
            "--output",
            "json",
        ],
    ] {
        let failed = site.directory.start(more);
        let failed = failed.finish(Duration::from_secs(60)).await;
        failed.exits(4).says("forged");
        shows_no_harm(&failed);
        for command in ["status", "plan", "lint"] {
            let arguments = [&[command][..], &more[2..]].concat();
            shows_no_harm(&site.directory.ask(&arguments).await);
        }
        site.directory.ask(&["retry", &site.name]).await.exits(0);
    }
    let status = site.status();
    texts_are_harmless("the status", &status);
    let logins = status["unmanagedLogins"].to_string();
    assert!(logins.contains("owned"), "the role is shown: {status:#}");
    let said = status["lastRun"]["message"].as_str().unwrap();
    let expect = r"error: forged \u{202e}nimda\u{2066}\u{200b}\u{feff}<b>";
    assert!(said.starts_with(expect), "{status:#}");
    let log = std::fs::read_to_string(site.directory.state().join("events.log")).unwrap();
    assert!(log.contains("MigrationFailed"), "{log}");
    is_harmless("events.log", &log);

    session.close().await;
    site.database.run(&format!("DROP ROLE {quoted}")).await;
}

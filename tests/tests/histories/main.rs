//! Histories that were really published: two applications with their own migrations, made into objects by
//! `generate`, and walked by `local` from an empty database, one revision at a time. Where they end is compared
//! with what the tool makes of another database alone.
//!
//! The whole of it is `cargo xtask prove histories`; `cargo xtask test` walks the newest revisions of the smaller
//! one. What comes from registries is not fetched here: the environment names it (`application.rs`).

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod application;
mod derived;
mod history;
mod schema;

use dbop_tests::{Engine, TestServer, is_full_proof, newest};
use tokio::sync::Mutex;

use application::Application;
use history::{History, Way};

/// In a proof times are measured: then one walk after the other.
static ALONE: Mutex<()> = Mutex::const_new(());
/// As many of the newest revisions are walked where there is no time for all.
const NEWEST: usize = 3;

#[tokio::test]
async fn uaa_by_flyway_on_postgresql() {
    walked(Application::Uaa, Engine::Postgres).await;
}

/// A table of UAA's is called `groups`, which MySQL 8.0 made a word of its own.
#[tokio::test]
async fn uaa_by_flyway_on_mariadb() {
    walked(Application::Uaa, Engine::MariaDb).await;
}

#[tokio::test]
async fn mlflow_by_alembic_on_postgresql() {
    walked(Application::Mlflow, Engine::Postgres).await;
}

/// mlflow is for MySQL, and says nothing of MariaDB.
#[tokio::test]
async fn mlflow_by_alembic_on_mysql() {
    walked(Application::Mlflow, Engine::MySql).await;
}

/// A history ends where the tool alone does, whatever the way.
async fn walked(application: Application, engine: Engine) {
    let _alone = match is_full_proof() {
        true => Some(ALONE.lock().await),
        false => None,
    };
    let history = History::new(application, &newest_of(engine)).await;
    let alone = history.alone().await;
    let title = history.title();
    println!(
        "proof: {title}: {} revisions, {} of them with hints from their SQL; {} alone goes to the newest in {:.1} s, and makes {} tables with {} facts \
         about them",
        history.revisions(),
        history.with_hints(),
        application.tool(),
        alone.took.as_secs_f64(),
        alone.schema.tables(),
        alone.schema.facts()
    );
    let on = Way::FromEmptyThenOn(history.revisions() - NEWEST);
    let ways: &[Way] = match is_full_proof() {
        true => &[Way::EachRevision, Way::FromEmpty, on],
        false => &[on],
    };
    for way in ways {
        let walk = history.walk(*way).await;
        assert_eq!(walk.runs, history.runs(*way), "each revision ran once");
        alone.schema.is_also(&walk.schema);
        let account = walk.account(application.tool());
        println!("proof: {title}, {way}: {account}; the same schema");
    }
}

/// The newest server of an engine that this run has.
#[track_caller]
fn newest_of(engine: Engine) -> TestServer {
    let server = newest()
        .into_iter()
        .find(|server| server.engine() == engine);
    server.unwrap_or_else(|| panic!("this run has no {}", engine.title()))
}

/// Every version of a published history is read, or each of its lines that is not is named.
#[tokio::test]
async fn hints_of_uaa_by_flyway() {
    for engine in [Engine::Postgres, Engine::MySql] {
        let files = Application::Uaa.directory("history_hints", engine);
        let arguments = Application::Uaa.generate(engine, &files);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let finished = files.run(&arguments).await;
        finished.exits(0);
        let documents: Vec<&str> = finished.stdout.split("---\n").skip(1).collect();
        let whole = documents
            .iter()
            .filter(|text| text.contains("\n  schemaHints:"))
            .count();
        let missing = documents
            .iter()
            .filter(|text| text.contains("# MISSING: "))
            .count();
        println!(
            "proof: hints of UAA on {}: {whole} of {} versions from their SQL alone",
            engine.title(),
            documents.len()
        );
        assert_eq!(whole + missing, documents.len(), "each is one or the other");
        assert!(
            whole * 2 > documents.len(),
            "most of them are read: {finished}"
        );
        for text in documents.iter().filter(|text| text.contains("# MISSING: ")) {
            let line = text
                .lines()
                .find(|line| line.contains("# MISSING: "))
                .unwrap();
            assert!(line.contains(" line "), "{line}");
        }
    }
}

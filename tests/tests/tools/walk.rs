//! What is walked with every tool, on one server of each engine: the test's own words are about what a user sees and
//! does, and only `project` knows tools.

use std::time::Duration;

use dbop_tests::local::{Finished, Process, Site, migration, until};
use dbop_tests::{Engine, TestServer, on_newest};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::project::{self, Aftermath, Project};

/// The table that all is about.
const FIRST: &[&str] = &[
    "CREATE TABLE users (id bigint PRIMARY KEY, name varchar(100) NOT NULL)",
    "INSERT INTO users (id, name) VALUES (1, 'ada')",
];
const SECOND: &[&str] = &[
    "ALTER TABLE users ADD COLUMN email varchar(100)",
    "UPDATE users SET email = 'ada@example.com' WHERE id = 1",
];
/// As many a migration fails: half way, by a name that is not there.
const SECOND_WRONG: &[&str] = &[SECOND[0], "INSERT INTO nowhere (id) VALUES (1)"];
/// The row is held by somebody while the migration that is killed wants it.
const THIRD: &[&str] = &[
    "UPDATE users SET name = 'grace' WHERE id = 1",
    "ALTER TABLE users ADD COLUMN phone varchar(20)",
];
/// A tool starts, and its statement waits: Java on a busy machine takes seconds.
const STARTED: Duration = Duration::from_secs(60);
/// `local` ends when a session does not go away by itself.
const ENDED: Duration = Duration::from_secs(120);

/// From an empty database to the third version, by the same files.
pub(crate) async fn three_versions(project: &'static dyn Project) {
    on_newest(move |server| async move {
        let site = site(&server, project).await;
        let started = Instant::now();
        goes_on(&site, "v1").await;
        site.has_credentials(&["v1"]).await;
        goes_on(&site, "v3").await;
        site.has_credentials(&["v2", "v3"]).await;
        let took = started.elapsed();
        assert_eq!(site.directory.job_logs().len(), 3, "each ran once");
        is_whole(&site).await;

        let application = site.published("v3").connect().await.unwrap();
        application
            .run("INSERT INTO users (id, name, phone) VALUES (2, 'bob', '1')")
            .await
            .unwrap();
        let forged = application
            .run(&format!("DELETE FROM {}", project.table()))
            .await;
        assert!(
            forged.as_ref().is_err_and(|refused| refused.is_denied()),
            "an application may not forge the version: {forged:?}"
        );
        application.close().await;
        println!(
            "proof: {} on {}: three versions in {:.1} s",
            project.name(),
            server.title(),
            took.as_secs_f32()
        );
    })
    .await;
}

/// The second migration fails and is corrected, the third is killed: nothing runs again before somebody says so, and
/// what the status says is what it takes to go on.
pub(crate) async fn one_fails_and_one_is_killed(project: &'static dyn Project) {
    on_newest(move |server| async move {
        let site = site(&server, project).await;
        project.step(&site.directory, 2, SECOND_WRONG);
        goes_on(&site, "v1").await;
        let failure = fails(&site, project).await;
        let kill = is_killed(&site, project).await;
        is_whole(&site).await;
        site.has_credentials(&["v2", "v3"]).await;
        println!(
            "proof: {} on {}: failed ({failure}), killed ({kill}), and went on after repair and retry",
            project.name(),
            server.title()
        );
    })
    .await;
}

/// A database whose three migrations are there, with `v1` desired.
async fn site(server: &TestServer, project: &dyn Project) -> Site {
    let site = Site::new(server, "tool").await;
    let engine = site.database.engine();
    site.set("/spec/schemaVersion", project.schema_version());
    let files = &site.directory;
    project.lay_out(files, engine);
    for (nth, statements) in (1..).zip([FIRST, SECOND, THIRD]) {
        project.step(files, nth, statements);
    }
    let command = project.command(engine);
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let variables: Vec<Value> = project
        .environment(engine)
        .iter()
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    let mut previous = None;
    for (name, version) in ["v1", "v2", "v3"].into_iter().zip(project.versions()) {
        let object = migration(name, previous, &command).set("/spec/version", version);
        files.put(&object.set("/spec/container/env", variables.clone()));
        previous = Some(name);
    }
    site
}

async fn goes_on(site: &Site, to: &str) {
    site.desire(to);
    site.directory.local().await.exits(0);
    assert_eq!(site.status()["currentVersion"], to, "{:#}", site.status());
    assert_eq!(
        site.status()["lastRun"]["outcome"],
        "Completed",
        "{:#}",
        site.status()
    );
}

/// Both columns are there, and the row is as the migrations leave it.
async fn is_whole(site: &Site) {
    let rows = site
        .database
        .read("SELECT name, email, phone FROM users WHERE id = 1")
        .await;
    assert_eq!(rows, ["grace ada@example.com null"]);
}

/// The second migration fails. Gives what was seen of it, for the page.
async fn fails(site: &Site, project: &dyn Project) -> String {
    site.desire("v2");
    let ended = site.directory.local().await;
    ended.exits(4);
    let status = site.status();
    assert_eq!(status["lastRun"]["migration"], "v2", "{status:#}");
    assert_eq!(status["lastRun"]["outcome"], "Failed", "{status:#}");
    let code = status["lastRun"]["exitCode"].as_i64();
    assert!(code.is_some_and(|code| code > 0), "{status:#}");
    let job = status["lastRun"]["job"].as_str().unwrap();
    let logs = site.directory.job_logs();
    let log = &logs[job];
    assert!(log.contains("nowhere"), "the log says what failed: {log}");
    let aftermath = project.failed(site.database.engine());
    says_what_stops(&ended, "v2", project.versions()[1], &aftermath);
    let engine = site.database.engine();
    if aftermath.dirty.is_empty() && engine != Engine::Postgres {
        let why = format!(
            "it may be half run, as {} does not roll back DDL",
            engine.title()
        );
        ended.says(&why);
    }
    if aftermath.dirty.is_empty() {
        assert_eq!(status["currentVersion"], "v1", "{status:#}");
    }

    stays(site).await;
    repair(site, project, &aftermath).await;
    project.step(&site.directory, 2, SECOND);
    // The files are not the object: only a word makes it go on.
    stays(site).await.says("change v2, or say retry");
    site.directory.ask(&["retry", &site.name]).await.exits(0);
    goes_on(site, "v2").await;
    match aftermath.dirty {
        "" => "not recorded by the tool".to_owned(),
        _ => "recorded by the tool as half applied".to_owned(),
    }
}

/// The third one is killed in its first statement, which waits for a row. Gives what was seen, for the page.
async fn is_killed(site: &Site, project: &dyn Project) -> String {
    site.desire("v3");
    let holder = site.database.person().await;
    holder.run("BEGIN").await.unwrap();
    holder
        .run("UPDATE users SET email = email WHERE id = 1")
        .await
        .unwrap();
    let local = site.directory.start(&[]);
    until(
        "the statement of the third migration waits",
        STARTED,
        async || site.database.read(waiting(site.database.engine())).await != ["0"],
    )
    .await;
    kill_the_tool(site).await;

    // The statement goes on in the server, and who holds on to what is said, with the way to end it.
    let ended = local.finish(ENDED).await;
    ended.says("the migrator is still connected, with a session (pid ");
    let mut seen = "its session went on".to_owned();
    let told = told(site);
    if let Some(frees) = freeing(&told) {
        seen = "its session went on and held the tool's lock".to_owned();
        site.database.run(&frees).await;
    } else {
        let id = told
            .split("(pid ")
            .nth(1)
            .and_then(|rest| rest.split(',').next())
            .unwrap();
        let ends = match site.database.engine() {
            Engine::Postgres => format!("SELECT pg_terminate_backend({id})"),
            Engine::MariaDb | Engine::MySql => format!("KILL {id}"),
        };
        site.database.run(&ends).await;
    }
    holder.run("ROLLBACK").await.unwrap();
    holder.close().await;

    let aftermath = project.killed(site.database.engine());
    let ended = site.directory.local().await;
    ended.exits(4);
    let status = site.status();
    assert_eq!(status["lastRun"]["migration"], "v3", "{status:#}");
    assert_eq!(status["lastRun"]["outcome"], "Failed", "{status:#}");
    let message = status["lastRun"]["message"].as_str();
    assert!(
        message.is_some_and(|message| message.contains("signal 9")),
        "{status:#}"
    );
    says_what_stops(&ended, "v3", project.versions()[2], &aftermath);
    stays(site).await;
    repair(site, project, &aftermath).await;
    site.directory.ask(&["retry", &site.name]).await.exits(0);

    // A lock that is a row is there still: the run would only wait for it.
    if let Some(frees) = freeing(&self::told(site)) {
        let runs = site.directory.job_logs().len();
        site.directory
            .local()
            .await
            .exits(4)
            .says("v3 cannot begin: ")
            .says("is held by");
        assert_eq!(reason(site), "ToolLocked", "{:#}", site.status());
        assert_eq!(site.directory.job_logs().len(), runs, "nothing ran");
        assert_eq!(freeing(&self::told(site)).as_ref(), Some(&frees));
        site.database.run(&frees).await;
        seen.push_str(", and the tool's lock stayed");
    }
    goes_on(site, "v3").await;
    if !aftermath.dirty.is_empty() {
        seen.push_str("; recorded by the tool as half applied");
    }
    seen
}

/// How many sessions wait for the row in the statement that is to be killed.
fn waiting(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => {
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND pid <> pg_backend_pid() AND wait_event_type = 'Lock' AND query LIKE '%grace%'"
        }
        Engine::MariaDb | Engine::MySql => {
            "SELECT count(*) FROM information_schema.processlist \
             WHERE db = DATABASE() AND id <> CONNECTION_ID() AND info LIKE '%grace%'"
        }
    }
}

/// SIGKILL for every process of the tool's, and for nothing of ours.
async fn kill_the_tool(site: &Site) {
    let program = |process: &Process| process.arguments.split(' ').next().map(str::to_owned);
    let is_the_tool = |process: &Process| {
        program(process).is_some_and(|path| !path.ends_with("/database-operator"))
    };
    let of_the_tool = || {
        let mut processes = site.directory.processes();
        processes.retain(is_the_tool);
        processes
    };
    assert!(
        !of_the_tool().is_empty(),
        "the tool runs: {:?}",
        site.directory.processes()
    );
    until("the tool is gone", Duration::from_secs(10), async || {
        let left = of_the_tool();
        left.iter().for_each(Process::kill);
        left.is_empty()
    })
    .await;
}

/// Nothing happens by itself: `local` says the same again, and runs nothing.
async fn stays(site: &Site) -> Finished {
    let runs = site.directory.job_logs().len();
    let ended = site.directory.local().await;
    ended.exits(4);
    assert_eq!(
        site.directory.job_logs().len(),
        runs,
        "nothing is tried again: {ended}"
    );
    ended
}

#[track_caller]
fn says_what_stops(ended: &Finished, migration: &str, version: &str, aftermath: &Aftermath) {
    if aftermath.dirty.is_empty() {
        ended
            .says(&format!("the run of {migration} that ended at"))
            .says(&format!("change {migration}, or say retry"));
    } else {
        ended.says(&format!(
            "version {version} is half applied: {}",
            aftermath.dirty
        ));
    }
}

/// A person puts right what a run has left.
async fn repair(site: &Site, project: &dyn Project, aftermath: &Aftermath) {
    for statement in &aftermath.sql {
        site.database.run(statement).await;
    }
    for arguments in &aftermath.calls {
        project::call(project, site, arguments);
    }
}

/// All that the status's conditions say.
fn told(site: &Site) -> String {
    let status = site.status();
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let messages = conditions.filter_map(|condition| condition["message"].as_str());
    messages.collect::<Vec<_>>().join("\n")
}

/// The statement that the status says would free a lock.
fn freeing(told: &str) -> Option<String> {
    let (_, rest) = told.split_once("free it: ")?;
    let (statement, _) = rest.split_once(';')?;
    Some(statement.to_owned())
}

/// Why it is not ready.
fn reason(site: &Site) -> String {
    let status = site.status();
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let ready = conditions.filter(|condition| condition["type"] == "Ready");
    ready
        .filter_map(|condition| condition["reason"].as_str())
        .collect()
}

//! The commands beside `local`: what they say in text and as JSON, their exit statuses, and that those which
//! only look write nothing.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::path::{Path, PathBuf};

use dbop_tests::local::{Application, Directory, Finished, Site, Step, migration};
use dbop_tests::{majors, server};
use serde_json::{Value, json};

const CREATE: &str = "CREATE TABLE customers (id bigserial PRIMARY KEY, name text, email text);
    INSERT INTO customers (name) VALUES ('a');";
const ADD_PHONE: &str = "ALTER TABLE customers ADD COLUMN phone text;";
const ADD_CITY: &str = "ALTER TABLE customers ADD COLUMN city text;";

async fn site(prefix: &str) -> Site {
    let newest = majors().into_iter().max().expect("there is a server");
    let site = Site::new(&server(newest), prefix).await;
    let hints = json!([{
        "op": "addColumn",
        "table": "customers",
        "columns": [{ "name": "phone", "type": "text" }],
    }]);
    site.steps(
        0,
        &[
            Step::new(CREATE),
            Step::new(ADD_PHONE).hints(hints),
            Step::new(ADD_CITY),
        ],
    );
    site
}

/// A command in both forms: the text, which must exit as the JSON does, and the JSON.
async fn both(site: &Site, arguments: &[&str], status: i32) -> (Finished, Value) {
    let text = site.directory.ask(arguments).await;
    text.exits(status);
    let json = site
        .directory
        .ask(&[arguments, &["--output", "json"]].concat())
        .await;
    json.exits(status);
    let value = json.json();
    (text, value)
}

/// Every file below a folder, with its content.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else {
                found.push((path.clone(), std::fs::read(&path).unwrap_or_default()));
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn plan_says_what_would_happen_and_writes_nothing() {
    let site = site("command_plan").await;
    let (before, at_first) = (site.snapshot().await, files(&site.directory.path()));
    let (text, json) = both(&site, &["plan"], 2).await;
    text.says("v1")
        .says(&site.secret_name("v1"))
        .says("Nothing has been changed");
    let plan = &json["databases"][0];
    assert_eq!(plan["name"], site.name, "{json:#}");
    assert_eq!(plan["path"], json!(["v1"]), "{json:#}");
    assert_eq!(plan["steps"][0]["kind"], "migration", "{json:#}");
    assert_eq!(plan["steps"][0]["migration"], "v1", "{json:#}");
    before.is_still(&site.snapshot().await);
    assert_eq!(
        files(&site.directory.path()),
        at_first,
        "nothing is written in the directory"
    );

    // From a state that is not empty: an application in the way, and steps whose tables exist.
    site.directory.local().await.exits(0);
    let old = Application::staying(&site.published("v1"), "SELECT 1").await;
    site.desire("v3");
    let (before, at_first) = (site.snapshot().await, files(&site.directory.path()));
    let (text, json) = both(&site, &["plan"], 2).await;
    text.says("addColumn customers.phone")
        .says("clean")
        .says(&format!("pid {}", old.pid()));
    let plan = &json["databases"][0];
    assert_eq!(plan["path"], json!(["v2", "v3"]), "{json:#}");
    before.is_still(&site.snapshot().await);
    assert_eq!(
        files(&site.directory.path()),
        at_first,
        "nothing is written in the directory"
    );
    old.stop().await.is_undisturbed();

    // What it said comes true.
    site.directory.local().await.exits(0);
    let (text, json) = both(&site, &["plan"], 0).await;
    text.says("at rest");
    assert_eq!(json["databases"][0]["steps"], json!([]), "{json:#}");
}

#[tokio::test]
async fn plan_tells_what_is_blocked_and_what_is_an_error() {
    let site = site("command_blocked").await;
    site.directory.local().await.exits(0);
    let hints = json!([{
        "op": "alterColumn",
        "table": "customers",
        "columns": [{ "name": "email", "nullable": false }],
    }]);
    site.directory
        .change("DatabaseMigration", "v2", "/spec/schemaHints", hints);
    site.desire("v2");
    let (before, at_first) = (site.snapshot().await, files(&site.directory.path()));
    let (text, json) = both(&site, &["plan"], 3).await;
    text.says("WILL FAIL")
        .says("at least one row holds NULL")
        .says("not-null-over-nulls");
    let plan = &json["databases"][0];
    assert!(
        plan["blocked"]["text"]
            .as_str()
            .unwrap()
            .contains("holds NULL"),
        "{json:#}"
    );
    let finding = &plan["steps"][0]["hints"]["operations"][0]["findings"][0];
    assert_eq!(finding["verdict"], "WillFail", "{json:#}");
    before.is_still(&site.snapshot().await);
    assert_eq!(
        files(&site.directory.path()),
        at_first,
        "nothing is written in the directory"
    );

    site.set_dsn(&site.database.dsn(site.database.admin(), "wrong"));
    let (text, json) = both(&site, &["plan"], 1).await;
    text.says("the server refused the login or its password");
    assert_eq!(
        json["errors"][0]["database"],
        format!("default/{}", site.name),
        "{json:#}"
    );

    site.directory
        .ask(&["plan", "nothing"])
        .await
        .exits(1)
        .says("there is no ManagedDatabase 'nothing'");
    site.directory
        .run(&["plan", "--kubeconfig", "/nowhere"])
        .await
        .exits(1)
        .says("no cluster is known: /nowhere cannot be read")
        .says("for a directory of manifests, give it with --local");
}

#[tokio::test]
async fn status_tells_where_a_database_stands() {
    let site = site("command_status").await;
    let (text, json) = both(&site, &["status"], 0).await;
    text.says("nothing has been seen of it yet");
    assert_eq!(json["databases"][0]["status"], Value::Null, "{json:#}");

    site.directory.local().await.exits(0);
    let old = Application::staying(&site.published("v1"), "SELECT 1").await;
    site.desire("v3");
    site.directory.local().await.exits(3);
    let (text, json) = both(&site, &["status", &site.name], 0).await;
    let one = &json["databases"][0];
    assert_eq!(
        one["status"],
        site.status(),
        "it is what stands in the status file"
    );
    assert_eq!(one["status"]["path"], json!(["v3"]), "{json:#}");
    let user = site.published("v1").get("username").to_owned();
    let pid = format!("pid {}", old.pid());
    text.says("at v2, desired v3")
        .says("PostgreSQL")
        .says(&user)
        .says(&pid)
        .says("last run");
    let conditions = one["status"]["conditions"].as_array().unwrap();
    let of = |name: &str| {
        let found = conditions
            .iter()
            .find(|condition| condition["type"] == name);
        found
            .map(|condition| condition["status"].clone())
            .unwrap_or_default()
    };
    let shown = ["Ready", "Reconciling", "Stalled", "DatabaseReachable"].map(of);
    assert_eq!(shown, ["False", "True", "False", "True"], "{json:#}");
    old.stop().await.is_undisturbed();

    // The narrowest of places: no line is longer than it may be.
    for line in text.stdout.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[tokio::test]
async fn wait_ends_when_the_state_is_reached() {
    let site = site("command_wait").await;
    let wait = |state: &str, timeout: &str| {
        ["wait", &site.name, "--for", state, "--timeout", timeout].map(str::to_owned)
    };
    let ask = async |state: &str, timeout: &str| {
        let words = wait(state, timeout);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        site.directory.ask(&words).await
    };
    ask("ready", "1s").await.exits(3).says("not 'ready' within");
    ask("sunshine", "1s")
        .await
        .exits(1)
        .says("'sunshine' is nothing that can be waited for");

    let (ended, ready) = tokio::join!(site.directory.local(), ask("ready", "30s"));
    ended.exits(0);
    ready.exits(0).says("ready");
    for state in ["version=v1", "credential=v1", "condition=DatabaseReachable"] {
        ask(state, "1s").await.exits(0);
    }
    ask("version=v2", "1s").await.exits(3);
    site.desire("v2");
    // What stood there before the manifest changed is no longer ready.
    ask("ready", "1s").await.exits(3);
    let all = site
        .directory
        .ask(&["wait", "--all", "--for", "version=v1", "--timeout", "1s"])
        .await;
    all.exits(0);
    let (_, json) = both(&site, &["wait", &site.name, "--timeout", "1s"], 3).await;
    assert_eq!(json["reached"], false, "{json:#}");
}

#[tokio::test]
async fn words_are_only_taken_where_they_mean_something() {
    let site = site("command_words").await;
    let say = async |word: &str| site.directory.ask(&[word, &site.name]).await;
    for word in ["retry", "accept-run"] {
        say(word).await.exits(1).says("no migration has run yet");
    }
    site.directory.local().await.exits(0);
    for word in ["retry", "accept-run"] {
        say(word)
            .await
            .exits(1)
            .says("the last run, of v1, completed");
    }
    site.directory
        .put(&migration("v2", Some("v1"), &["false"]).set("/spec/version", "2"));
    site.desire("v2");
    site.directory.local().await.exits(4);
    say("accept-run")
        .await
        .exits(1)
        .says("the database is at v1, not at v2");
    let (text, json) = both(&site, &["retry", &site.name], 0).await;
    text.says("migration v2 runs again");
    assert_eq!(json["said"], "retry", "{json:#}");
    assert_eq!(json["job"], site.status()["lastRun"]["job"], "{json:#}");
    site.directory
        .ask(&["retry", "nothing"])
        .await
        .exits(1)
        .says("there is no ManagedDatabase 'nothing'");
}

#[tokio::test]
async fn lint_finds_what_is_wrong_without_a_database() {
    let directory = Directory::new("command_lint");
    let path = directory.path();
    let lint = async |output: &str| {
        directory
            .run(&["lint", path.to_str().unwrap(), "--output", output])
            .await
    };
    directory.put(&dbop_tests::local::managed_database("shop", "v3"));
    directory.put(&migration("v1", None, &["true"]));
    directory.put(&migration("v2", Some("v1"), &["true"]));
    directory.put(&migration("v3", Some("v2"), &["true"]));
    lint("text")
        .await
        .exits(0)
        .says("nothing is wrong: 1 database, 3 migrations");
    let json = lint("json").await;
    assert_eq!(json.exits(0).json()["problems"], json!([]));

    for (field, value, says) in [
        ("/spec/previous", json!("v9"), "v9"),
        ("/spec/previous", json!("v3"), "v3"),
        ("/spec/version", json!("v1"), "v1"),
        ("/spec/compatibleFrom", json!("v3"), "compatibleFrom"),
        ("/spec/previos", json!("v1"), "did you mean previous?"),
    ] {
        let good = directory.get("DatabaseMigration", "v2");
        directory.put(&good.clone().set(field, value));
        let ended = lint("text").await;
        ended.exits(3).says(says).says("v2");
        let json = lint("json").await;
        json.exits(3);
        let problems = json.json()["problems"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        assert!(!problems.is_empty(), "{json}");
        directory.put(&good);
    }
    assert!(!directory.state().exists(), "a look leaves nothing behind");
    directory
        .run(&["lint", "/no/such/directory"])
        .await
        .exits(1)
        .says("/no/such/directory");
}

#[tokio::test]
async fn version_reads_what_the_tool_wrote() {
    let site = site("command_version").await;
    let file = site.directory.output().join("admin.dsn");
    std::fs::write(&file, site.database.admin_dsn()).unwrap();
    let file = file.to_str().unwrap();
    let read = async |arguments: &[&str]| {
        site.directory
            .run(&[&["version", "--dsn-file", file][..], arguments].concat())
            .await
    };
    let first = read(&["--engine", "Sqlx"]).await;
    assert_eq!(first.exits(0).stdout, "none\n");
    site.directory.local().await.exits(0);
    let before = site.snapshot().await;
    assert_eq!(read(&["--engine", "Sqlx"]).await.exits(0).stdout, "1\n");
    let query = [
        "--engine",
        "Query",
        "--query",
        "SELECT max(version) + 1 FROM _sqlx_migrations",
    ];
    assert_eq!(read(&query).await.exits(0).stdout, "2\n");
    let json = read(&["--engine", "Sqlx", "--output", "json"]).await;
    assert_eq!(json.exits(0).json()["version"], "1", "{json}");
    // A statement that writes is refused by the server, and nothing of it stays.
    let evil = [
        "--engine",
        "Query",
        "--query",
        "DELETE FROM customers RETURNING 1",
    ];
    read(&evil).await.exits(1);
    before.is_still(&site.snapshot().await);
    let left = site
        .database
        .superuser()
        .await
        .query_one("SELECT count(*) FROM customers", &[])
        .await;
    assert_eq!(left.unwrap().get::<_, i64>(0), 1);

    std::fs::write(file, site.database.dsn(site.database.admin(), "wrong")).unwrap();
    read(&["--engine", "Sqlx"])
        .await
        .exits(1)
        .says("the server refused the login or its password");
    std::fs::remove_file(file).unwrap();
    read(&["--engine", "Sqlx"]).await.exits(1).says("admin.dsn");
}

#[tokio::test]
async fn crds_are_the_generated_ones() {
    let directory = Directory::new("command_crds");
    let text = directory.run(&["crds"]).await;
    text.exits(0);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/crds");
    for name in ["databasemigrations.yaml", "manageddatabases.yaml"] {
        let generated = std::fs::read_to_string(folder.join(name)).unwrap();
        // Those files begin with a line that says where they are from.
        let body = generated
            .split_once("apiVersion:")
            .map_or("", |(_, body)| body);
        assert!(
            text.stdout.contains(body.trim_end()),
            "{name} is not what `crds` prints"
        );
    }
    let json = directory.run(&["crds", "--output", "json"]).await;
    let json = json.exits(0).json();
    let kinds: Vec<&str> = json
        .as_array()
        .unwrap()
        .iter()
        .map(|crd| crd["spec"]["names"]["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds.len(), 2, "{kinds:?}");
}

#[tokio::test]
async fn what_is_asked_wrongly_is_bad_input() {
    let directory = Directory::new("command_wrong");
    directory.run(&[]).await.exits(1);
    directory.run(&["fly"]).await.exits(1).says("fly");
    directory.run(&["local"]).await.exits(1).says("<DIR>");
    directory
        .run(&["crds", "--output", "xml"])
        .await
        .exits(1)
        .says("json");
    directory
        .run(&["--help"])
        .await
        .exits(0)
        .says("Exit")
        .says("local");
    directory
        .run(&["--version"])
        .await
        .exits(0)
        .says("database-operator");
    let path = directory.path();
    let ended = directory
        .run(&["lint", path.to_str().unwrap(), "--log-level", "=="])
        .await;
    ended.exits(1).says("'==' is no log level");
}

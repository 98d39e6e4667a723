//! The jobs for pull requests in deploy/ci: they are YAML, and their scripts do what they say in a repository with a branch,
//! against a snapshot and against a server.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::path::{Path, PathBuf};
use std::process::Command;

use dbop_tests::local::Directory;
use dbop_tests::{Engine, TestDatabase, newest};
use serde_json::Value;

fn job(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy/ci")
        .join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The script of a step of GitHub's, by its name.
fn step(file: &str, job_name: &str, name: &str) -> String {
    let job = job(file);
    let steps = job["jobs"][job_name]["steps"].as_array().unwrap().clone();
    let step = steps.iter().find(|step| step["name"] == name);
    step.unwrap_or_else(|| panic!("{file} has no step '{name}'"))["run"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// The script of a job of GitLab's: its lines, each of which must succeed.
fn script(job_name: &str) -> String {
    let lines = job("gitlab.yaml")[job_name]["script"]
        .as_array()
        .unwrap()
        .clone();
    let lines: Vec<&str> = lines.iter().map(|line| line.as_str().unwrap()).collect();
    lines.join("\n")
}

/// A repository whose branch `change` adds migrations to those of `main`.
struct Repository {
    directory: Directory,
    database: TestDatabase,
}

impl Repository {
    async fn new(prefix: &str) -> Repository {
        let servers = newest();
        let server = servers
            .iter()
            .find(|server| server.engine() == Engine::Postgres)
            .unwrap();
        let repository = Repository {
            database: server.database(prefix).await,
            directory: Directory::new(prefix),
        };
        repository.write(
            "migrations/1_users.sql",
            "CREATE TABLE users (id int PRIMARY KEY, email text);",
        );
        repository.git(&["init", "--quiet", "--initial-branch", "main"]);
        repository.commit("users");
        repository.git(&["branch", "origin/main"]);
        repository.git(&["checkout", "--quiet", "-b", "change"]);
        repository
    }

    fn path(&self) -> PathBuf {
        self.directory.path()
    }

    fn write(&self, name: &str, text: &str) {
        self.directory.write(name, text);
    }

    fn git(&self, arguments: &[&str]) {
        let ran = Command::new("git")
            .args(["-c", "user.name=ada", "-c", "user.email=ada@example.com"])
            .args(arguments)
            .current_dir(self.path())
            .output()
            .unwrap();
        assert!(
            ran.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&ran.stderr)
        );
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "migrations"]);
        self.git(&["commit", "--quiet", "--message", message]);
    }

    /// Runs a script as a runner does, and gives its exit status with what it printed.
    fn run(&self, script: &str) -> (Option<i32>, String) {
        let operator = dbop_tests::binary("database-operator");
        let programs = operator.parent().unwrap().display().to_string();
        let path = std::env::var("PATH").unwrap();
        let temp = self.path().join(".runner");
        std::fs::create_dir_all(&temp).unwrap();
        let ran = Command::new("bash")
            // As GitHub runs it: the status of a pipe is that of its last command.
            .args(["-e", "-c", script])
            .current_dir(self.path())
            .env("PATH", format!("{programs}:{path}"))
            .env("RUNNER_TEMP", temp)
            .env("BASE", "main")
            .env("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main")
            .env("READER_DSN", self.database.admin_dsn())
            .env("DBA_OP_CONNECTION_STRING", self.database.admin_dsn())
            .output()
            .unwrap();
        let said = [ran.stdout, ran.stderr].concat();
        (
            ran.status.code(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }

    #[track_caller]
    fn ends(&self, script: &str, status: i32, says: &str) {
        let (ended, said) = self.run(script);
        assert_eq!(ended, Some(status), "{script}\n{said}");
        assert!(said.contains(says), "{says} was expected of\n{said}");
    }
}

const GITHUB: &str = "Judge the new migrations";

#[tokio::test]
async fn a_pull_request_is_judged_by_a_snapshot() {
    let repository = Repository::new("ci_snapshot").await;
    let table =
        "CREATE TABLE users (id int PRIMARY KEY, email text); INSERT INTO users VALUES (1, 'a')";
    repository.database.run(table).await;
    let take = step("github-snapshot.yaml", "snapshot", "Take the snapshot").replace("30s", "3s");
    repository.ends(&take, 0, "shop.snapshot.json holds the facts of");
    let take = script("snapshot").replace("30s", "3s");
    repository.ends(&take, 0, "shop.snapshot.json holds the facts of");

    let scripts = [
        step("github-pull-request.yaml", "judge", GITHUB),
        script("judge-migrations"),
    ];
    for script in &scripts {
        // Nothing is added.
        repository.ends(script, 0, "");
    }
    // Two files as one, in the order of their numbers: the second is about the first one's table.
    repository.write(
        "migrations/10_more.sql",
        "ALTER TABLE logs ADD at int NOT NULL;\n",
    );
    repository.write("migrations/9_logs.sql", "CREATE TABLE logs (id int);\n");
    repository.commit("logs");
    for script in &scripts {
        repository.ends(script, 0, "Nothing stands in the way");
    }
    repository.write(
        "migrations/11_bad.sql",
        "ALTER TABLE users ADD code int NOT NULL;\n",
    );
    repository.commit("bad");
    for script in &scripts {
        repository.ends(script, 3, "not-null-without-default");
    }
}

#[tokio::test]
async fn a_pull_request_is_judged_on_an_empty_database() {
    let repository = Repository::new("ci_empty").await;
    // The migration program has its own tests.
    let migrated = "CREATE TABLE users (id int PRIMARY KEY, email text)";
    repository.database.run(migrated).await;
    let of_gitlab = script("judge-migrations-on-empty-database");
    let lines = of_gitlab
        .lines()
        .filter(|line| !line.starts_with("dbop-migrate") && !line.starts_with("git worktree"));
    let of_gitlab = lines.collect::<Vec<_>>().join("\n");
    let scripts = [
        step("github-empty-database.yaml", "judge", GITHUB),
        of_gitlab,
    ];
    repository.write(
        "migrations/2_phone.sql",
        "ALTER TABLE users ADD phone text;\n",
    );
    repository.commit("phone");
    for script in &scripts {
        repository.ends(script, 0, "Nothing stands in the way");
    }
    repository.write("migrations/3_bad.sql", "ALTER TABLE usres ADD code int;\n");
    repository.commit("bad");
    for script in &scripts {
        repository.ends(script, 3, "there is no table usres");
    }
}

//! Flyway: told by its own variables. On MySQL and MariaDB it records a failed migration.

use dbop_tests::Engine;
use dbop_tests::local::Directory;
use serde_json::{Value, json};

use super::project::{Aftermath, Project, command_line};
use super::walk;

struct Flyway;

impl Project for Flyway {
    fn name(&self) -> &'static str {
        "flyway"
    }

    fn schema_version(&self) -> Value {
        json!({ "engine": "Flyway" })
    }

    fn table(&self) -> &'static str {
        "flyway_schema_history"
    }

    fn versions(&self) -> [&'static str; 3] {
        ["1", "2", "3"]
    }

    fn step(&self, files: &Directory, nth: usize, statements: &[&str]) {
        let file = format!("sql/V{nth}__step.sql");
        files.write(&file, &format!("{};\n", statements.join(";\n")));
    }

    fn command(&self, _engine: Engine) -> Vec<String> {
        command_line(self, "flyway", &["migrate"])
    }

    fn environment(&self, _engine: Engine) -> Vec<(&'static str, String)> {
        let set = |name, value: &str| (name, value.to_owned());
        vec![
            set("FLYWAY_URL", "$(DBA_OP_JDBC_URL)"),
            set("FLYWAY_USER", "$(DBA_OP_USERNAME)"),
            set("FLYWAY_PASSWORD", "$(DBA_OP_PASSWORD)"),
            set("FLYWAY_TARGET", "$(DBA_OP_TARGET_VERSION)"),
            set("FLYWAY_LOCATIONS", "filesystem:sql"),
            set("REDGATE_DISABLE_TELEMETRY", "true"),
        ]
    }

    fn failed(&self, engine: Engine) -> Aftermath {
        let left = Aftermath::of_statements(engine);
        match engine {
            Engine::Postgres => left,
            Engine::MariaDb | Engine::MySql => left
                .dirty("Flyway recorded it as failed (step), until `flyway repair`")
                .call(&["repair"]),
        }
    }
}

#[tokio::test]
async fn three_versions() {
    walk::three_versions(&Flyway).await;
}

#[tokio::test]
async fn one_fails_and_one_is_killed() {
    walk::one_fails_and_one_is_killed(&Flyway).await;
}

//! golang-migrate: told by arguments. It marks a version dirty before it begins.

use dbop_tests::Engine;
use dbop_tests::local::Directory;
use serde_json::{Value, json};

use super::project::{Aftermath, Project, command_line, go_mysql_dsn};
use super::walk;

struct GolangMigrate;

impl Project for GolangMigrate {
    fn name(&self) -> &'static str {
        "golang-migrate"
    }

    fn schema_version(&self) -> Value {
        json!({ "engine": "GolangMigrate" })
    }

    fn table(&self) -> &'static str {
        "schema_migrations"
    }

    fn versions(&self) -> [&'static str; 3] {
        ["1", "2", "3"]
    }

    fn step(&self, files: &Directory, nth: usize, statements: &[&str]) {
        let file = format!("migrations/{nth:04}_step.up.sql");
        files.write(&file, &format!("{};\n", statements.join(";\n")));
    }

    fn command(&self, engine: Engine) -> Vec<String> {
        let database = match engine {
            Engine::Postgres => "$(DBA_OP_CONNECTION_STRING)".to_owned(),
            Engine::MariaDb | Engine::MySql => {
                format!("mysql://{}", go_mysql_dsn("tls=skip-verify"))
            }
        };
        let words = [
            "-path",
            "migrations",
            "-database",
            database.as_str(),
            "goto",
            "$(DBA_OP_TARGET_VERSION)",
        ];
        command_line(self, "migrate", &words)
    }

    fn failed(&self, engine: Engine) -> Aftermath {
        Aftermath::of_statements(engine)
            .dirty("golang-migrate marked it dirty, until `migrate force 2` or force of the one before")
            .call(&["force", "1"])
    }

    fn killed(&self, _engine: Engine) -> Aftermath {
        Aftermath::default()
            .dirty("golang-migrate marked it dirty, until `migrate force 3` or force of the one before")
            .call(&["force", "2"])
    }
}

#[tokio::test]
async fn three_versions() {
    walk::three_versions(&GolangMigrate).await;
}

#[tokio::test]
async fn one_fails_and_one_is_killed() {
    walk::one_fails_and_one_is_killed(&GolangMigrate).await;
}

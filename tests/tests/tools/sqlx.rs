//! sqlx: its own command line, which takes the connection string as it is. On MySQL and MariaDB it records that a
//! migration began.

use dbop_tests::Engine;
use dbop_tests::local::Directory;
use serde_json::{Value, json};

use super::project::{Aftermath, Project, command_line};
use super::walk;

struct Sqlx;

impl Project for Sqlx {
    fn name(&self) -> &'static str {
        "sqlx"
    }

    fn schema_version(&self) -> Value {
        json!({ "engine": "Sqlx" })
    }

    fn table(&self) -> &'static str {
        "_sqlx_migrations"
    }

    fn versions(&self) -> [&'static str; 3] {
        ["1", "2", "3"]
    }

    fn step(&self, files: &Directory, nth: usize, statements: &[&str]) {
        let file = format!("migrations/{nth:04}_step.sql");
        files.write(&file, &format!("{};\n", statements.join(";\n")));
    }

    fn command(&self, _engine: Engine) -> Vec<String> {
        let words = [
            "migrate",
            "run",
            "--source",
            "migrations",
            "--target-version",
            "$(DBA_OP_TARGET_VERSION)",
        ];
        command_line(self, "sqlx", &words)
    }

    fn environment(&self, _engine: Engine) -> Vec<(&'static str, String)> {
        vec![("DATABASE_URL", "$(DBA_OP_CONNECTION_STRING)".to_owned())]
    }

    fn failed(&self, engine: Engine) -> Aftermath {
        let left = Aftermath::of_statements(engine);
        match engine {
            Engine::Postgres => left,
            Engine::MariaDb | Engine::MySql => left
                .dirty("sqlx began it (step), and it did not succeed")
                .sql("DELETE FROM _sqlx_migrations WHERE version = 2"),
        }
    }
}

#[tokio::test]
async fn three_versions() {
    walk::three_versions(&Sqlx).await;
}

#[tokio::test]
async fn one_fails_and_one_is_killed() {
    walk::one_fails_and_one_is_killed(&Sqlx).await;
}

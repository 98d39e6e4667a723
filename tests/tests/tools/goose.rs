//! goose: told by its own variables. It records what is done, and nothing of what failed.

use dbop_tests::Engine;
use dbop_tests::local::Directory;
use serde_json::{Value, json};

use super::project::{Project, command_line, go_mysql_dsn};
use super::walk;

struct Goose;

impl Project for Goose {
    fn name(&self) -> &'static str {
        "goose"
    }

    fn schema_version(&self) -> Value {
        json!({ "engine": "Goose" })
    }

    fn table(&self) -> &'static str {
        "goose_db_version"
    }

    fn versions(&self) -> [&'static str; 3] {
        ["1", "2", "3"]
    }

    fn step(&self, files: &Directory, nth: usize, statements: &[&str]) {
        let file = format!("migrations/{nth:05}_step.sql");
        files.write(
            &file,
            &format!("-- +goose Up\n{};\n", statements.join(";\n")),
        );
    }

    fn command(&self, _engine: Engine) -> Vec<String> {
        command_line(self, "goose", &["up-to", "$(DBA_OP_TARGET_VERSION)"])
    }

    fn environment(&self, engine: Engine) -> Vec<(&'static str, String)> {
        let (driver, database) = match engine {
            Engine::Postgres => ("postgres", "$(DBA_OP_CONNECTION_STRING)".to_owned()),
            Engine::MariaDb | Engine::MySql => {
                ("mysql", go_mysql_dsn("parseTime=true&tls=skip-verify"))
            }
        };
        vec![
            ("GOOSE_DRIVER", driver.to_owned()),
            ("GOOSE_DBSTRING", database),
            ("GOOSE_MIGRATION_DIR", "migrations".to_owned()),
        ]
    }
}

#[tokio::test]
async fn three_versions() {
    walk::three_versions(&Goose).await;
}

#[tokio::test]
async fn one_fails_and_one_is_killed() {
    walk::one_fails_and_one_is_killed(&Goose).await;
}

//! Diesel: its own command line, which runs all that is there: a version has a folder with the migrations up to it, as
//! each image has.

use dbop_tests::Engine;
use dbop_tests::local::Directory;
use serde_json::{Value, json};

use super::project::{Project, command_line};
use super::walk;

struct Diesel;

const VERSIONS: [&str; 3] = ["20260101000001", "20260102000002", "20260103000003"];

impl Project for Diesel {
    fn name(&self) -> &'static str {
        "diesel"
    }

    fn schema_version(&self) -> Value {
        json!({ "engine": "Diesel" })
    }

    fn table(&self) -> &'static str {
        "__diesel_schema_migrations"
    }

    fn versions(&self) -> [&'static str; 3] {
        VERSIONS
    }

    fn lay_out(&self, files: &Directory, _engine: Engine) {
        files.write("diesel.toml", "");
    }

    fn step(&self, files: &Directory, nth: usize, statements: &[&str]) {
        let own = VERSIONS[nth - 1];
        for version in &VERSIONS[nth - 1..] {
            let file = format!("migrations/{version}/{own}_step/up.sql");
            files.write(&file, &format!("{};\n", statements.join(";\n")));
        }
    }

    fn command(&self, _engine: Engine) -> Vec<String> {
        let folder = "migrations/$(DBA_OP_TARGET_VERSION)";
        let words = ["migration", "run", "--migration-dir", folder];
        command_line(self, "diesel", &words)
    }

    fn environment(&self, _engine: Engine) -> Vec<(&'static str, String)> {
        vec![("DATABASE_URL", "$(DBA_OP_CONNECTION_STRING)".to_owned())]
    }
}

#[tokio::test]
async fn three_versions() {
    walk::three_versions(&Diesel).await;
}

#[tokio::test]
async fn one_fails_and_one_is_killed() {
    walk::one_fails_and_one_is_killed(&Diesel).await;
}

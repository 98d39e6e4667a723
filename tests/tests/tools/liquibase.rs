//! Liquibase: told by its own variables; a version is a tag. Its lock is a row, which a killed run leaves.

use dbop_tests::Engine;
use dbop_tests::local::Directory;
use serde_json::{Value, json};

use super::project::{Project, command_line};
use super::walk;

struct Liquibase;

const TAGS: [&str; 3] = ["1.0", "1.1", "2.0"];

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<databaseChangeLog xmlns="http://www.liquibase.org/xml/ns/dbchangelog"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xsi:schemaLocation="http://www.liquibase.org/xml/ns/dbchangelog
        http://www.liquibase.org/xml/ns/dbchangelog/dbchangelog-latest.xsd">
"#;

impl Project for Liquibase {
    fn name(&self) -> &'static str {
        "liquibase"
    }

    fn schema_version(&self) -> Value {
        json!({ "engine": "Liquibase", "versionIs": "Tag" })
    }

    fn table(&self) -> &'static str {
        "DATABASECHANGELOG"
    }

    fn versions(&self) -> [&'static str; 3] {
        TAGS
    }

    fn lay_out(&self, files: &Directory, _engine: Engine) {
        let includes: String = (1..=3)
            .map(|nth| format!("<include file=\"db/{nth}.xml\"/>\n"))
            .collect();
        files.write(
            "db/changelog.xml",
            &format!("{HEAD}{includes}</databaseChangeLog>\n"),
        );
    }

    fn step(&self, files: &Directory, nth: usize, statements: &[&str]) {
        let changes: String = statements
            .iter()
            .map(|statement| format!("<sql>{statement}</sql>\n"))
            .collect();
        files.write(
            &format!("db/{nth}.xml"),
            &format!(
                "{HEAD}<changeSet id=\"{nth}\" author=\"ada\">\n{changes}</changeSet>\n\
                 <changeSet id=\"tag-{nth}\" author=\"ada\"><tagDatabase tag=\"{}\"/></changeSet>\n\
                 </databaseChangeLog>\n",
                TAGS[nth - 1]
            ),
        );
    }

    fn command(&self, _engine: Engine) -> Vec<String> {
        let to_tag = ["update-to-tag", "--tag=$(DBA_OP_TARGET_VERSION)"];
        command_line(self, "liquibase", &to_tag)
    }

    fn environment(&self, _engine: Engine) -> Vec<(&'static str, String)> {
        let set = |name, value: &str| (name, value.to_owned());
        vec![
            set("LIQUIBASE_COMMAND_URL", "$(DBA_OP_JDBC_URL)"),
            set("LIQUIBASE_COMMAND_USERNAME", "$(DBA_OP_USERNAME)"),
            set("LIQUIBASE_COMMAND_PASSWORD", "$(DBA_OP_PASSWORD)"),
            set("LIQUIBASE_COMMAND_CHANGELOG_FILE", "db/changelog.xml"),
            set("LIQUIBASE_ANALYTICS_ENABLED", "false"),
        ]
    }
}

#[tokio::test]
async fn three_versions() {
    walk::three_versions(&Liquibase).await;
}

#[tokio::test]
async fn one_fails_and_one_is_killed() {
    walk::one_fails_and_one_is_killed(&Liquibase).await;
}

/// What Liquibase itself prints of its change sets, offline, becomes hints of the tags.
#[tokio::test]
async fn hints_come_from_what_liquibase_prints() {
    let files = Directory::new("liquibase_hints");
    Liquibase.lay_out(&files, Engine::Postgres);
    Liquibase.step(&files, 1, &["CREATE TABLE users (id int PRIMARY KEY)"]);
    Liquibase.step(
        &files,
        2,
        &[
            "ALTER TABLE users ADD email text",
            "CREATE INDEX m ON users (email)",
        ],
    );
    Liquibase.step(&files, 3, &["DROP INDEX m", "DO 'BEGIN PERFORM 1; END'"]);
    let command = command_line(
        &Liquibase,
        "liquibase",
        &[
            "--changelog-file=db/changelog.xml",
            "--url=offline:postgresql",
            "update-sql",
            "--output-file=printed.sql",
        ],
    );
    let printed = std::process::Command::new(&command[0])
        .args(&command[1..])
        .env("LIQUIBASE_ANALYTICS_ENABLED", "false")
        .current_dir(files.path())
        .output()
        .expect("liquibase runs");
    assert!(
        printed.status.success(),
        "{}",
        String::from_utf8_lossy(&printed.stderr)
    );
    let folder = files.path();
    let (folder, sql) = (folder.display().to_string(), folder.join("printed.sql"));
    let sql = sql.display().to_string();
    let mut arguments = vec![
        "generate",
        "liquibase",
        "db/changelog.xml",
        "--search-path",
        &folder,
        "--image",
        "i",
        "--engine",
        "PostgreSQL",
    ];
    // In XML there is no SQL to read.
    let without = files.run(&arguments).await;
    without.exits(0).says("a change set that is not in SQL");
    arguments.extend(["--sql", &sql]);
    let finished = files.run(&arguments).await;
    finished.exits(0).says("version 2.0: ");
    for line in [
        "    - {op: createTable, table: users}",
        "    - {op: addColumn, table: users, columns: [{name: email, type: text}]}",
        "    - {op: createIndex, table: users, columns: [{name: email}], index: {online: false}}",
        "  #   - {op: dropIndex, table: users, columns: [{name: email}], index: {online: false}}",
    ] {
        assert!(
            finished.stdout.contains(line),
            "{line} was expected of {finished}"
        );
    }
}

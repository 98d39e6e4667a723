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

//! gh-ost: it follows the server's binary log, which a person lets it read.
//!
//! The one that can be had is older than MySQL 8.4, which it cannot ask for its log: it runs on MariaDB alone.

use dbop_tests::{Engine, on_newest};

use super::copier::Copier;

/// MariaDB has left the places of rows out of its log since 11.4, unless it is told to write them.
const SETTINGS: &[&str] = &["SET GLOBAL binlog_legacy_event_pos = ON"];

#[tokio::test]
async fn it_is_a_migration_as_it_is_advised() {
    on_newest(async |server| {
        if server.engine() == Engine::MariaDb {
            let tool = Copier {
                tool: "gh-ost",
                program: "gh-ost",
                settings: SETTINGS,
                grants,
            };
            tool.walk(&server).await;
        }
    })
    .await;
}

/// As the example's README has them.
fn grants(database: &str, migrator: &str) -> Vec<String> {
    let pattern = database.replace('_', "\\_");
    vec![
        format!("GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO {migrator}"),
        format!("GRANT ALL PRIVILEGES ON `{pattern}`.* TO {migrator}"),
        "CREATE ROLE IF NOT EXISTS `REPLICATION CLIENT ON *.*`".to_owned(),
        format!("GRANT `REPLICATION CLIENT ON *.*` TO {migrator}"),
    ]
}

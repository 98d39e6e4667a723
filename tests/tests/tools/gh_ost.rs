//! gh-ost: it follows the server's binary log, which a person lets it read. On MariaDB it is not advised, as it loses
//! writes there.

use dbop_tests::{Engine, on_newest};

use super::copier::Copier;

#[tokio::test]
async fn it_is_a_migration_as_it_is_advised() {
    on_newest(async |server| {
        if server.engine() == Engine::MySql {
            let tool = Copier {
                tool: "gh-ost",
                program: "gh-ost",
                grants,
            };
            tool.walk(&server).await;
        }
    })
    .await;
}

/// As the example's README has them.
fn grants(migrator: &str) -> Vec<String> {
    [
        "REPLICATION SLAVE, REPLICATION CLIENT ON *.*",
        "SELECT ON performance_schema.setup_instruments",
        "SELECT ON performance_schema.metadata_locks",
        "SELECT ON performance_schema.threads",
    ]
    .map(|rights| format!("GRANT {rights} TO {migrator}"))
    .into()
}

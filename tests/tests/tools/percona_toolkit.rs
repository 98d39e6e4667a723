//! pt-online-schema-change: it needs no right that a migrator has not.

use dbop_tests::{Engine, on_newest};

use super::copier::Copier;

#[tokio::test]
async fn it_is_a_migration_as_it_is_advised() {
    on_newest(async |server| {
        if server.engine() != Engine::Postgres {
            let tool = Copier {
                tool: "percona-toolkit",
                program: "pt-online-schema-change",
                grants: |_| Vec::new(),
            };
            tool.walk(&server).await;
        }
    })
    .await;
}

//! Findings stop a migration before anything is revoked, until the data or a person says otherwise.

use dbop_tests::local::{Site, Step};
use dbop_tests::{Engine, on_each_engine};
use serde_json::json;

use super::{ADD_PHONE, CREATE, runs};

#[tokio::test]
async fn not_null_over_nulls_stops_before_anything_is_revoked() {
    on_each_engine(async |server| {
        let site = Site::new(&server, "walk_nulls").await;
        let hints = json!([{
            "op": "alterColumn",
            "table": "customers",
            "columns": [{ "name": "email", "nullable": false }],
        }]);
        let require = match server.engine() {
            Engine::Postgres => "ALTER TABLE customers ALTER COLUMN email SET NOT NULL;",
            Engine::MariaDb | Engine::MySql => "ALTER TABLE customers MODIFY email text NOT NULL;",
        };
        let require = Step::new(require).hints(hints);
        site.steps(0, &[Step::new(CREATE), Step::new(ADD_PHONE), require]);
        site.desire("v2");
        site.directory.local().await.exits(0);
        let before = site.snapshot().await;

        site.desire("v3");
        site.directory
            .local()
            .await
            .exits(3)
            .says("at least one row holds NULL");
        let status = site.status();
        let finding = &status["findings"][0];
        assert_eq!(finding["rule"], "not-null-over-nulls", "{status:#}");
        assert_eq!(finding["verdict"], "WillFail", "{status:#}");
        assert_eq!(finding["table"], "customers", "{status:#}");
        assert_eq!(finding["migration"], "v3", "{status:#}");
        before.is_still(&site.snapshot().await);
        assert_eq!(runs(&site), 2);

        site.database
            .run("UPDATE customers SET email = 'x' WHERE email IS NULL")
            .await;
        site.directory.local().await.exits(0);
        assert_eq!(site.status()["currentVersion"], "v3");
        site.has_credentials(&["v2", "v3"]).await;
    })
    .await;
}

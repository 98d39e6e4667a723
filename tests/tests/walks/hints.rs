//! Findings stop a migration before anything is revoked, until the data or a person says otherwise.

use dbop_tests::local::{Site, Step};
use dbop_tests::on_each;
use serde_json::json;

use super::{ADD_PHONE, CREATE, runs};

#[tokio::test]
async fn not_null_over_nulls_stops_before_anything_is_revoked() {
    on_each(async |server| {
        let site = Site::new(&server, "walk_nulls").await;
        let hints = json!([{
            "op": "alterColumn",
            "table": "customers",
            "columns": [{ "name": "email", "nullable": false }],
        }]);
        let require =
            Step::new("ALTER TABLE customers ALTER COLUMN email SET NOT NULL;").hints(hints);
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

        let superuser = site.database.superuser().await;
        superuser
            .batch_execute("UPDATE customers SET email = 'x' WHERE email IS NULL")
            .await
            .unwrap();
        site.directory.local().await.exits(0);
        assert_eq!(site.status()["currentVersion"], "v3");
        site.has_credentials(&["v2", "v3"]).await;
    })
    .await;
}

#[tokio::test]
async fn a_rewrite_of_a_large_table_is_stopped_until_a_person_accepts_it() {
    on_each(async |server| {
        let site = Site::new(&server, "walk_large").await;
        let hints = json!([{
            "op": "addColumn",
            "table": "customers",
            "columns": [{ "name": "token", "type": "uuid", "default": "gen_random_uuid()" }],
        }]);
        let rewrite = "ALTER TABLE customers ADD COLUMN token uuid DEFAULT gen_random_uuid();";
        site.steps(0, &[Step::new(CREATE), Step::new(rewrite).hints(hints)]);
        site.set("/spec/hints/largeTableRows", 100);
        site.directory.local().await.exits(0);
        site.database
            .superuser()
            .await
            .batch_execute("ANALYZE customers")
            .await
            .unwrap();
        let before = site.snapshot().await;

        site.desire("v2");
        site.directory
            .local()
            .await
            .exits(3)
            .says("the whole large table is written anew");
        let status = site.status();
        assert_eq!(
            status["findings"][0]["rule"], "add-column-large-table",
            "{status:#}"
        );
        assert_eq!(status["findings"][0]["verdict"], "Blocks", "{status:#}");
        before.is_still(&site.snapshot().await);

        let accept = json!([{
            "rule": "add-column-large-table",
            "table": "customers",
            "reason": "at night, agreed with the team",
        }]);
        site.directory
            .change("DatabaseMigration", "v2", "/spec/accept", accept);
        site.directory
            .ask(&["plan"])
            .await
            .exits(2)
            .says("at night, agreed with the team");
        site.directory.local().await.exits(0);
        assert_eq!(site.status()["currentVersion"], "v2");
    })
    .await;
}

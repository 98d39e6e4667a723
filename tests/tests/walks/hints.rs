//! Findings stop a migration before anything is revoked, until the data or a person says otherwise.

use dbop_tests::local::{Object, Site, Step, until};
use dbop_tests::{Engine, on_each_engine};
use serde_json::{Value, json};

use super::{ADD_PHONE, CREATE, PATIENCE, runs};

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

/// A ConfigMap with the SQL of `v3` under the key `v3.sql`.
fn config_map(data: Value) -> Object {
    Object::new(json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": "later" },
        "data": data,
    }))
}

#[tokio::test]
async fn what_sql_says_stops_the_walk_and_data_put_right_lets_it_go_on_by_itself() {
    on_each_engine(async |server| {
        let site = Site::new(&server, "walk_sql").await;
        let require = match server.engine() {
            Engine::Postgres => "ALTER TABLE customers ALTER COLUMN email SET NOT NULL;",
            Engine::MariaDb | Engine::MySql => "ALTER TABLE customers MODIFY email text NOT NULL;",
        };
        let source = json!({ "configMap": { "name": "later", "key": "v3.sql" } });
        // What it says by hand the SQL says as well: it counts once.
        let hints = json!([{
            "op": "alterColumn",
            "table": "customers",
            "columns": [{ "name": "email", "nullable": false }],
        }]);
        let require_step = Step::new(require).hints(hints).sql(source);
        site.steps(0, &[Step::new(CREATE), Step::new(ADD_PHONE), require_step]);
        site.desire("v2");
        site.directory.local().await.exits(0);
        let before = site.snapshot().await;

        site.desire("v3");
        let watch = site.directory.start(&["--watch"]);
        let says = async |what: &str| {
            until(what, PATIENCE, async || {
                site.status()["conditions"].to_string().contains(what)
            })
            .await;
            before.is_still(&site.snapshot().await);
        };
        says("DatabaseMigration default/v3: spec.sql.configMap: ConfigMap default/later does not exist").await;
        site.directory.put(&config_map(json!({ "other.sql": "SELECT 1" })));
        says("ConfigMap default/later has no key v3.sql; its keys: other.sql").await;
        let text = format!("-- what v3 does\n{require}\nCALL anything();\n");
        site.directory.put(&config_map(json!({ "v3.sql": text })));
        says("at least one row holds NULL").await;
        let status = site.status();
        let findings = status["findings"].as_array().expect("a list");
        let failing = findings.iter().filter(|one| one["verdict"] == "WillFail");
        assert_eq!(failing.count(), 1, "{status:#}");
        let plan = site.directory.ask(&["plan"]).await;
        plan.exits(3)
            .says("at least one row holds NULL")
            .says("line 3: CALL anything()");
        assert_eq!(runs(&site), 2);

        site.database
            .run("UPDATE customers SET email = 'x' WHERE email IS NULL")
            .await;
        until("v3", PATIENCE * 2, async || {
            site.status()["currentVersion"] == "v3" && site.summary() == "at rest"
        })
        .await;
        watch.stop(PATIENCE).await;
        site.has_credentials(&["v2", "v3"]).await;
    })
    .await;
}

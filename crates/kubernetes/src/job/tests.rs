//! Jobs as they are made, and as a cluster shows them.

mod build;
mod phase;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::*;

fn parse<K: DeserializeOwned>(object: Value) -> K {
    serde_json::from_value(object).unwrap()
}

fn shop() -> ObjectRef {
    ObjectRef::new("shop", "shop").unwrap()
}

fn secret(pairs: &[(&str, &str)]) -> Secret {
    let environment = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), SecretString::from(*value)))
        .collect();
    own_secret(
        &shop(),
        &JobName::new("shop-v2-0a").unwrap(),
        "uid-1",
        &environment,
    )
}

#[test]
fn the_secret_of_a_job_goes_with_it() {
    let secret = secret(&[("DBA_OP_PASSWORD", "p@ss"), ("DBA_OP_HOST", "db")]);
    assert_eq!(
        serde_json::to_value(&secret).unwrap(),
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {
                "name": "shop-v2-0a", "namespace": "shop",
                "labels": {
                    "app.kubernetes.io/managed-by": "database-operator",
                    "app.kubernetes.io/component": "migration",
                    "database-operator.dev/database": "shop",
                },
                "ownerReferences": [
                    {"apiVersion": "batch/v1", "kind": "Job", "name": "shop-v2-0a", "uid": "uid-1"},
                ],
            },
            "data": {"DBA_OP_HOST": "ZGI=", "DBA_OP_PASSWORD": "cEBzcw=="},
        })
    );
}

#[test]
fn what_a_pod_said_is_shown_without_the_secrets_of_its_job() {
    let secret = secret(&[
        ("DBA_OP_PASSWORD", "p@ss"),
        ("DBA_OP_HOST", "db"),
        ("DBA_OP_CONNECTION_STRING", "postgresql://m:p%40ss@db/shop"),
    ]);
    let secrets = secrets_in(&secret);
    let tail =
        "connecting\nerror: no role m at db with p@ss (postgresql://m:p%40ss@db/shop)\nbye\n";
    assert_eq!(
        log_message(tail, &secrets).as_deref(),
        Some("error: no role m at db with *** (***)")
    );
    // Without knowing the secrets, nothing can be shown.
    assert_eq!(log_message(tail, &[]), None);
    assert_eq!(log_message("\n", &secrets), None);
}

#[test]
fn an_event_tells_why_there_is_no_pod() {
    let event = |reason: &str, message: &str, at: &str| -> Event {
        parse(
            json!({"metadata": {}, "involvedObject": {}, "reason": reason, "message": message,
            "lastTimestamp": at}),
        )
    };
    let early = event(
        "FailedCreate",
        "Error creating: pods \"shop-v2-0a-x7\" is forbidden: exceeded quota: q",
        "2026-01-01T00:00:01Z",
    );
    let late = event(
        "FailedCreate",
        "Error creating: pods \"shop-v2-0a-y8\" is forbidden: violates PodSecurity \"restricted:latest\": x",
        "2026-01-01T00:00:02Z",
    );
    let other = event("Suspended", "Job suspended", "2026-01-01T00:00:03Z");
    assert_eq!(
        why_no_pod([&late, &other, &early]).as_deref(),
        Some("no Pod can be created: violates PodSecurity \"restricted:latest\": x")
    );
    assert_eq!(why_no_pod([&other]), None);
}

//! The health checks for Argo CD, run by a real Lua on objects of every state.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use dbop_tests::argocd::{check_of, health};
use serde_json::{Value, json};

const KINDS: [&str; 2] = ["ManagedDatabase", "DatabaseMigration"];

/// A database whose status is about the generation 3 of its spec.
fn database(ready: &str, reconciling: &str, stalled: &str, reason: &str) -> Value {
    let condition = |name: &str, status: &str| json!({"type": name, "status": status, "reason": reason, "message": format!("says {reason}")});
    json!({
        "apiVersion": "database-operator.dev/v1alpha1",
        "kind": "ManagedDatabase",
        "metadata": {"name": "shop", "generation": 3},
        "spec": {},
        "status": {
            "observedGeneration": 3,
            "conditions": [
                {"type": "DatabaseReachable", "status": "True", "reason": "Connected", "message": "another"},
                {"type": "HintsClear", "status": "False", "reason": "Findings", "message": "another"},
                condition("Ready", ready),
                condition("Reconciling", reconciling),
                condition("Stalled", stalled),
            ],
        },
    })
}

#[track_caller]
fn check(object: &Value, status: &str, message: &str) {
    let found = health(object);
    assert_eq!(
        (found.status.as_str(), found.message.as_str()),
        (status, message),
        "{object:#}"
    );
}

/// The rows of the table of conditions in the documentation: Ready, Reconciling, Stalled, and a reason.
fn documented() -> Vec<[String; 4]> {
    let text = include_str!("../../docs/reference.md");
    let table = text.split_once("### Conditions\n").unwrap().1;
    let mut rows = Vec::new();
    for line in table
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .skip(2)
    {
        if !line.starts_with('|') {
            break;
        }
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        for reason in cells[4].split('`').skip(1).step_by(2) {
            rows.push([cells[1], cells[2], cells[3], reason].map(str::to_owned));
        }
    }
    rows
}

#[test]
fn every_reason_that_is_documented_has_its_health() {
    let mut seen = std::collections::BTreeMap::new();
    for [ready, reconciling, stalled, reason] in documented() {
        let expected = match (reason.as_str(), ready.as_str(), stalled.as_str()) {
            ("Paused" | "ReadOnly", ..) => "Suspended",
            (_, "True", _) => "Healthy",
            (_, _, "True") => "Degraded",
            _ => "Progressing",
        };
        let object = database(&ready, &reconciling, &stalled, &reason);
        check(&object, expected, &format!("says {reason}"));
        *seen.entry(expected).or_insert(0) += 1;
    }
    for (status, at_least) in [
        ("Healthy", 2),
        ("Degraded", 10),
        ("Progressing", 15),
        ("Suspended", 2),
    ] {
        let count = seen.get(status).copied().unwrap_or(0);
        assert!(count >= at_least, "{status}: {count} reasons");
    }
}

#[test]
fn the_states_that_people_know() {
    check(
        &database("True", "False", "False", "AtRest"),
        "Healthy",
        "says AtRest",
    );
    check(
        &database("False", "True", "False", "MigrationRunning"),
        "Progressing",
        "says MigrationRunning",
    );
    check(
        &database("False", "True", "False", "StepFailed"),
        "Progressing",
        "says StepFailed",
    );
    check(
        &database("False", "True", "False", "Paused"),
        "Suspended",
        "says Paused",
    );
    check(
        &database("False", "True", "False", "ReadOnly"),
        "Suspended",
        "says ReadOnly",
    );
    check(
        &database("False", "False", "True", "HintsBlocked"),
        "Degraded",
        "says HintsBlocked",
    );
    check(
        &database("False", "False", "True", "InvalidSpec"),
        "Degraded",
        "says InvalidSpec",
    );
}

#[test]
fn what_the_operator_has_not_seen_is_never_healthy() {
    let mut new = database("True", "False", "False", "AtRest");
    new["metadata"]["generation"] = json!(4);
    check(
        &new,
        "Progressing",
        "the operator has not looked at its latest change yet",
    );
    new["status"] = json!({"observedGeneration": 4});
    check(&new, "Progressing", "the operator has not looked at it yet");
    new["status"] = Value::Null;
    check(&new, "Progressing", "the operator has not looked at it yet");
    let mut silent = database("False", "False", "False", "AtRest");
    check(
        &silent,
        "Progressing",
        "the operator has not looked at it yet",
    );
    silent["status"]["conditions"] = json!([]);
    check(
        &silent,
        "Progressing",
        "the operator has not looked at it yet",
    );
}

#[test]
fn a_migration_is_healthy_once_it_is_read() {
    let migration = |status: Value| json!({"kind": "DatabaseMigration", "metadata": {"name": "v1", "generation": 1}, "status": status});
    check(
        &migration(Value::Null),
        "Progressing",
        "the operator has not read it yet",
    );
    check(
        &migration(json!({})),
        "Progressing",
        "the operator has not read it yet",
    );
    let healthy = |used_by: Value, message: &str| {
        let mut status = json!({"digest": "sha256:00"});
        if !used_by.is_null() {
            status["usedBy"] = used_by;
        }
        check(&migration(status), "Healthy", message);
    };
    healthy(Value::Null, "belongs to the chain of no database");
    healthy(json!(["shop"]), "belongs to the chain of shop");
    healthy(
        json!(["crm", "shop"]),
        "belongs to the chain of 2 databases",
    );
}

#[test]
fn the_config_map_holds_the_same_checks() {
    let text = include_str!("../../deploy/argocd/argocd-cm.yaml");
    let map: Value = serde_saphyr::from_str(text).unwrap();
    let data = map["data"].as_object().unwrap();
    assert_eq!(data.len(), KINDS.len());
    for kind in KINDS {
        let key = format!("resource.customizations.health.database-operator.dev_{kind}");
        assert_eq!(data[&key].as_str().unwrap(), check_of(kind), "{kind}");
    }
}

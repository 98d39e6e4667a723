//! Prometheus: what is shipped for it is what it can read, and each alert fires when it should and not before.

use std::path::Path;
use std::process::Command;

use dbop_tests::tool;

const ALERTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/alerts");
const RUNBOOKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/runbooks");
const RULES: &str = "database-operator.rules.yaml";
const TESTS: &str = "database-operator.tests.yaml";

#[track_caller]
fn promtool(arguments: &[&str]) -> String {
    let program = tool::programs("prometheus").join("promtool");
    let ran = Command::new(program)
        .args(arguments)
        .current_dir(ALERTS)
        .output()
        .unwrap();
    let said = [ran.stdout, ran.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(ran.status.success(), "promtool {arguments:?}: {said}");
    said
}

#[test]
fn alerts_fire_when_they_should_and_not_before() {
    promtool(&["check", "rules", RULES]);
    let said = promtool(&["test", "rules", TESTS]);
    assert!(said.contains("SUCCESS"), "{said}");
}

#[test]
fn each_alert_is_tested_and_has_a_page() {
    let read = |name: &str| std::fs::read_to_string(Path::new(ALERTS).join(name)).unwrap();
    let (rules, tests) = (read(RULES), read(TESTS));
    let alerts: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: DatabaseOperator"))
        .collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    let listed = std::fs::read_to_string(Path::new(RUNBOOKS).join("README.md")).unwrap();
    for alert in alerts {
        // The one that always fires is no matter of when.
        let is_tested = tests.contains(&format!("alertname: DatabaseOperator{alert}\n"));
        assert!(is_tested || alert == "Watchdog", "{alert} is not tested");
        let page = Path::new(RUNBOOKS).join(format!("{alert}.md"));
        let text = std::fs::read_to_string(&page)
            .unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        assert!(text.starts_with(&format!("# DatabaseOperator{alert}\n")));
        assert!(
            listed.contains(&format!("({alert}.md)")),
            "{alert} is not in the list"
        );
    }
}

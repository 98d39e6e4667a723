//! What is predicted: `database-operator analyze`, run as its users do, and its JSON.
//!
//! Nothing here knows how a prediction is made; a document that cannot be read fails the test.

use std::path::Path;

use serde::Deserialize;
use tokio::process::Command;

use crate::catalogue::{Case, LARGE_TABLE_ROWS};

/// What `analyze` said of a case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Prediction {
    /// The verdicts, each with the rule that gave it.
    pub(crate) findings: Vec<Said>,
    /// What all operations on the case's table do together; `None`: one of them is not known, or there is none.
    pub(crate) effect: Option<Effect>,
    /// Statements that could not be read, or effects that could not be told, in words.
    pub(crate) unknown: Vec<String>,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Said {
    pub(crate) rule: String,
    pub(crate) verdict: String,
}

/// What an operation does.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Effect {
    pub(crate) lock: String,
    #[serde(default)]
    pub(crate) algorithm: Option<String>,
    pub(crate) rewrite: bool,
    pub(crate) scan: bool,
    pub(crate) blocks_reads: bool,
    pub(crate) blocks_writes: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    operations: Vec<Operation>,
    findings: Vec<Said>,
    /// Statements that could not be read.
    #[serde(default)]
    unread: Vec<serde_json::Value>,
    /// Operations that no rule says anything of.
    #[serde(default)]
    not_judged: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Operation {
    table: String,
    /// Nothing, where there is none or it is not known.
    #[serde(default)]
    effect: Option<Effect>,
    /// Why it is not known.
    #[serde(default)]
    unknown: Option<String>,
}

/// Asks about a case, in `folder`.
///
/// # Panics
/// When the command is not built, has no `analyze`, or gives no JSON.
pub(crate) async fn predict(case: &Case, dsn: &str, folder: &Path) -> Prediction {
    let (dsn_file, sql_file) = (folder.join("dsn"), folder.join("migration.sql"));
    std::fs::write(&dsn_file, dsn).expect("a file for the connection string");
    std::fs::write(&sql_file, case.file()).expect("a file for the statements");
    let output = Command::new(dbop_tests::binary("database-operator"))
        .arg("analyze")
        .arg("--dsn-file")
        .arg(&dsn_file)
        .arg("--sql")
        .arg(&sql_file)
        .arg("--large-table-rows")
        .arg(LARGE_TABLE_ROWS.to_string())
        .args(["--output", "json"])
        .output()
        .await
        .expect("the command starts");
    let said = String::from_utf8_lossy(&output.stdout);
    // 3: something blocks (contract of the command line).
    match output.status.code() {
        Some(0 | 3) => parse(&said, &case.table),
        _ => panic!(
            "analyze fails on {}: {}",
            case.name,
            String::from_utf8_lossy(&output.stderr)
        ),
    }
}

/// Reads a document about a case's table.
fn parse(json: &str, table: &str) -> Prediction {
    let document: Document = serde_json::from_str(json)
        .unwrap_or_else(|error| panic!("analyze gives JSON that cannot be read: {error}\n{json}"));
    let mut prediction = Prediction {
        findings: document.findings,
        ..Prediction::default()
    };
    let mut whole = true;
    for operation in document.operations {
        let own = operation.table.rsplit('.').next() == Some(table);
        match operation.effect {
            None => whole = false,
            Some(effect) if own => prediction.add(effect),
            Some(_) => {}
        }
        prediction.unknown.extend(operation.unknown);
    }
    let unread = document.unread.iter().chain(&document.not_judged);
    prediction.unknown.extend(unread.map(ToString::to_string));
    if !whole || !prediction.unknown.is_empty() {
        prediction.effect = None;
    }
    prediction
}

/// Locks and algorithms, the weakest and the cheapest first.
const LOCKS: [&str; 10] = [
    "NONE",
    "SHARED",
    "ACCESS SHARE",
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
];
const ALGORITHMS: [&str; 4] = ["INSTANT", "NOCOPY", "INPLACE", "COPY"];

impl Prediction {
    /// Statements of one case together: the strongest lock, the slowest way.
    fn add(&mut self, next: Effect) {
        let Some(known) = &mut self.effect else {
            self.effect = Some(next);
            return;
        };
        let rank = |lock: &str| LOCKS.iter().position(|known| *known == lock);
        if rank(&next.lock) > rank(&known.lock) {
            known.lock = next.lock;
        }
        let rank = |algorithm: &Option<String>| {
            let name = algorithm.as_deref();
            name.and_then(|name| ALGORITHMS.iter().position(|known| *known == name))
        };
        if rank(&next.algorithm) > rank(&known.algorithm) {
            known.algorithm = next.algorithm;
        }
        known.rewrite |= next.rewrite;
        known.scan |= next.scan;
        known.blocks_reads |= next.blocks_reads;
        known.blocks_writes |= next.blocks_writes;
    }

    /// Is there a finding with this verdict?
    pub(crate) fn says(&self, verdict: &str) -> bool {
        self.findings.iter().any(|said| said.verdict == verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"{
        "server": {"engine": "PostgreSQL", "version": "18.6"},
        "operations": [
            {"statement": 0, "operation": "addColumn public.t.extra", "table": "public.t",
             "effect": {"lock": "ACCESS EXCLUSIVE", "algorithm": null, "rewrite": false, "scan": false,
                        "blocksReads": false, "blocksWrites": false}},
            {"statement": 1, "operation": "createIndex public.t(b)", "table": "public.t",
             "effect": {"lock": "SHARE", "rewrite": false, "scan": true, "blocksReads": false,
                        "blocksWrites": true, "duration": "about a second"}},
            {"statement": 1, "operation": "createIndex public.u(b)", "table": "public.u",
             "effect": {"lock": "SHARE", "rewrite": true, "scan": true, "blocksReads": true, "blocksWrites": true}}
        ],
        "findings": [{"rule": "blocking-index-large-table", "verdict": "Blocks", "table": "public.t",
                      "evidence": [], "advice": ["CREATE INDEX CONCURRENTLY ..."]}]}"#;

    #[test]
    fn statements_are_taken_together_and_other_tables_are_not() {
        let prediction = parse(DOCUMENT, "t");
        let expect = Effect {
            lock: "ACCESS EXCLUSIVE".into(),
            algorithm: None,
            rewrite: false,
            scan: true,
            blocks_reads: false,
            blocks_writes: true,
        };
        assert_eq!(prediction.effect, Some(expect));
        assert!(prediction.says("Blocks") && !prediction.says("WillFail"));
    }

    #[test]
    fn an_effect_that_is_not_known_makes_the_whole_unknown() {
        let known = r#"{"lock": "SHARE", "rewrite": false, "scan": true, "blocksReads": false,
                        "blocksWrites": true, "duration": "about a second"}"#;
        for (effect, why) in [
            ("null", &[][..]),
            (r#"null, "unknown": "no facts""#, &["no facts"]),
        ] {
            let prediction = parse(&DOCUMENT.replacen(known, effect, 1), "t");
            assert_eq!(prediction.effect, None, "{effect}");
            assert_eq!(prediction.unknown, why, "{effect}");
        }
    }

    #[test]
    fn what_could_not_be_read_or_judged_is_unknown() {
        for more in [
            r#""unread": [{"line": 3, "statement": "DO ...", "reason": "a DO block"}]"#,
            r#""notJudged": [{"operation": "dropTable t", "reason": "no rule"}]"#,
        ] {
            let json = format!(r#"{{"operations": [], "findings": [], {more}}}"#);
            let prediction = parse(&json, "t");
            assert_eq!(prediction.unknown.len(), 1, "{more}");
        }
    }
}

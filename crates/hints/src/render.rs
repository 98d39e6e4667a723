//! How findings read: a few lines for a report, or one for a plan.
//!
//! Nothing of the rows' contents can be in them: findings hold none.

use jiff::Timestamp;

use dbop_model::finding::{Evidence, Finding, Verdict};
use dbop_model::table::TableName;
use dbop_model::{ServerInfo, visible};

use crate::rules::page;
use crate::size::age_in_words;

/// Wide enough for a statement, narrow enough for a terminal.
const COLUMNS: usize = 100;
/// What stands before the text of every line after the first: a label, padded.
const LABEL: usize = 11;

/// A finding as a report shows it. `subject` says whose it is, as in `crm  V8`; ages are those at `now`.
///
/// ```
/// # use dbop_model::{Engine, ServerInfo, finding::{Finding, Verdict}};
/// # let address = "db:5432/crm".to_owned();
/// # let server = ServerInfo { engine: Engine::PostgreSql, major: 18, minor: 6, address };
/// let finding = Finding {
///     rule: "missing-object".into(),
///     verdict: Verdict::WillFail,
///     operation: "addColumn emials.sent_at".into(),
///     table: "emials".parse().unwrap(),
///     claim: "there is no table emials".into(),
///     evidence: vec![],
///     effect: None,
///     advice: vec!["correct the table's name".into()],
///     accepted: None,
/// };
/// let now = "2026-01-01T12:00:00Z".parse().unwrap();
/// let text = dbop_hints::render(&finding, "crm  v8", &server, now);
/// assert!(text.starts_with("crm  v8   WILL FAIL\n  there is no table emials\n"));
/// ```
pub fn render(finding: &Finding, subject: &str, server: &ServerInfo, now: Timestamp) -> String {
    let head = format!("{subject}   {}", heading(finding));
    let mut lines = vec![visible::line(&head).into_owned()];
    wrapped(&mut lines, "  ", "  ", &finding.claim);
    labelled(&mut lines, "for", &finding.operation);
    for (at, evidence) in finding.evidence.iter().enumerate() {
        labelled(
            &mut lines,
            if at == 0 { "seen" } else { "" },
            &seen(evidence, now),
        );
    }
    if let Some(effect) = &finding.effect {
        labelled(&mut lines, "effect", &format!("{server}: {effect}"));
    }
    if let Some(reason) = &finding.accepted {
        labelled(&mut lines, "accepted", reason);
    } else if finding.stops() || finding.waits() {
        for (at, advice) in finding.advice.iter().enumerate() {
            labelled(&mut lines, if at == 0 { "do" } else { "" }, advice);
        }
        let or = if finding.advice.is_empty() {
            ("do", "")
        } else {
            ("", "or ")
        };
        labelled(
            &mut lines,
            or.0,
            &format!("{}accept it on the DatabaseMigration:", or.1),
        );
        // On a line of its own and never broken, so that it can be copied.
        let entry = accept_entry(&finding.rule, &finding.table);
        lines.push(format!("{}{entry}", " ".repeat(LABEL)));
    }
    labelled(&mut lines, "more", &page(&finding.rule));
    lines.join("\n")
}

/// A finding in one line, for a list under its operation: `clean: takes ... (about 41.2 M rows)`.
pub fn line(finding: &Finding) -> String {
    let mut line = finding.verdict.to_string().to_lowercase();
    line.push_str(": ");
    match &finding.effect {
        Some(effect) if finding.verdict == Verdict::Clean => line.push_str(&effect.to_string()),
        _ => line.push_str(&finding.claim),
    }
    let seen: Vec<&str> = finding.evidence.iter().map(|e| e.value.as_str()).collect();
    if !seen.is_empty() {
        line.push_str(&format!(" ({})", seen.join("; ")));
    }
    if let Some(reason) = &finding.accepted {
        line.push_str(&format!(", accepted: {reason}"));
    }
    visible::line(&line).into_owned()
}

fn heading(finding: &Finding) -> String {
    match finding.accepted {
        Some(_) => format!("{}, accepted", finding.verdict),
        None => finding.verdict.to_string(),
    }
}

fn seen(evidence: &Evidence, now: Timestamp) -> String {
    let age = now.duration_since(evidence.taken_at).unsigned_abs();
    let age = if age.as_secs() == 0 {
        "just now".to_owned()
    } else {
        format!("{} ago", age_in_words(age))
    };
    format!("{}: {}, {age}", evidence.value, evidence.source)
}

fn accept_entry(rule: &str, table: &TableName) -> String {
    // A JSON string is a YAML one as well, so that odd names survive the copying.
    let table = table.to_string();
    let plain = table
        .chars()
        .all(|c| c.is_alphanumeric() || "._-".contains(c));
    let table = if plain {
        table
    } else if visible::line(&table) == table {
        format!("'{}'", table.replace('\'', "''"))
    } else {
        // What is spelled out reads back in double quotes alone (YAML 1.2, section 5.7).
        let quoted = table.replace('\\', r"\\").replace('"', r#"\""#);
        format!("\"{}\"", visible::json(&quoted))
    };
    format!("accept: [{{rule: {rule}, table: {table}, reason: ...}}]")
}

fn labelled(lines: &mut Vec<String>, label: &str, text: &str) {
    let first = format!("  {label:<width$}", width = LABEL - 2);
    wrapped(lines, &first, &" ".repeat(LABEL), text);
}

/// Breaks at spaces; a word longer than a line stays whole, so that it can be copied.
fn wrapped(lines: &mut Vec<String>, first: &str, next: &str, text: &str) {
    let mut line = first.to_owned();
    let mut is_bare = true;
    for word in visible::line(text).split_whitespace() {
        if !is_bare && line.chars().count() + 1 + word.chars().count() > COLUMNS {
            lines.push(std::mem::replace(&mut line, next.to_owned()));
            is_bare = true;
        }
        if !is_bare {
            line.push(' ');
        }
        line.push_str(word);
        is_bare = false;
    }
    lines.push(line);
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use dbop_model::finding::HintPolicy;
    use dbop_model::operation::Operation;
    use dbop_model::table::TableFacts;
    use dbop_model::visible::hostile;

    use super::*;
    use crate::testing::{NOW, column, findings, large, present, server};

    fn only(rule: &str, operation: Operation, table: TableFacts) -> Finding {
        findings(rule, 18, &[operation], table, &HintPolicy::default()).remove(0)
    }

    fn alter(column_name: &str) -> Operation {
        let column = column(column_name).with_nullable(false);
        Operation::alter_column("app.users".parse().unwrap(), vec![column]).unwrap()
    }

    fn add(sql_type: &str, nullable: bool) -> Operation {
        let column = column("code")
            .with_type(sql_type.parse().unwrap())
            .with_nullable(nullable);
        Operation::add_column("app.users".parse().unwrap(), vec![column]).unwrap()
    }

    #[track_caller]
    fn check(finding: &Finding, expect: &str) {
        let now = NOW + SignedDuration::from_secs(5);
        let got = render(finding, "crm  v8", &server(18), now);
        assert_eq!(got, expect.trim_matches('\n'), "\n{got}");
    }

    #[test]
    fn whatever_a_server_or_a_manifest_says_is_harmless() {
        for text in hostile::texts() {
            let mut finding = only("not-null-over-nulls", alter("phone"), large());
            finding.table = "users\u{202e}\u{9}x".replace('\t', "'").parse().unwrap();
            finding.operation.clone_from(&text);
            finding.claim.clone_from(&text);
            finding.evidence[0].value.clone_from(&text);
            finding.evidence[0].source.clone_from(&text);
            finding.advice = vec![text.clone()];
            for accepted in [None, Some(text.clone())] {
                finding.accepted = accepted;
                let shown = render(&finding, &format!("crm  {text}"), &server(18), NOW);
                for one in shown.split('\n').chain([line(&finding).as_str()]) {
                    assert_eq!(hostile::harm(one), "", "{one}");
                    assert!(!one.starts_with(hostile::FORGED), "{shown}");
                }
                if finding.accepted.is_none() {
                    // To be copied: in double quotes YAML reads it back as what it was.
                    assert!(
                        shown.contains(r#"table: "users\u202e'x", reason"#),
                        "{shown}"
                    );
                }
            }
        }
    }

    #[test]
    fn will_fail() {
        let finding = only("not-null-over-nulls", alter("phone"), large());
        check(
            &finding,
            "
crm  v8   WILL FAIL
  NOT NULL on app.users.phone: at least one row holds NULL
  for      alterColumn app.users.phone NOT NULL
  seen     a row that holds NULL: a bounded probe of 41 ms, 5 s ago
           about 12.3 M rows, 4.1 GB: the server's statistics (2 h old), 5 s ago
  effect   PostgreSQL 18.6: takes ACCESS EXCLUSIVE, no rewrite, scans the table; reads and writes
           stop for about 4-27 s
  do       fill the rows that hold NULL, in batches; so many there are: SELECT count(*) FROM
           app.users WHERE phone IS NULL;
           or have the migration fill them in an earlier step, and accept the finding
           or accept it on the DatabaseMigration:
           accept: [{rule: not-null-over-nulls, table: app.users, reason: ...}]
  more     docs/rules/not-null-over-nulls
",
        );
    }

    #[test]
    fn blocks_and_accepted() {
        let mut finding = only("add-column-large-table", add("bigserial", true), large());
        check(
            &finding,
            "
crm  v8   BLOCKS
  adding app.users.code: serial gives every row a number, so the whole large table is written anew
  for      addColumn app.users.code bigserial NULL
  seen     about 12.3 M rows, 4.1 GB: the server's statistics (2 h old), 5 s ago
  effect   PostgreSQL 18.6: takes ACCESS EXCLUSIVE, rewrites the table, scans the table; reads and
           writes stop for about 1-4 min
  do       add it plain: ALTER TABLE app.users ADD COLUMN code bigint; set a sequence as its default
           for new rows: CREATE SEQUENCE app.users_code_seq OWNED BY app.users.code; ALTER TABLE
           app.users ALTER COLUMN code SET DEFAULT nextval('app.users_code_seq'); fill the old rows
           in batches, outside of a transaction, with an index of those that are left: CREATE INDEX
           CONCURRENTLY code_left ON app.users ((code IS NULL)) WHERE code IS NULL; by a statement
           that is repeated until it changes no row (a batch file of dbop-migrate is): UPDATE
           app.users SET code = nextval('app.users_code_seq') WHERE code IS NULL AND ctid = ANY
           (ARRAY(SELECT ctid FROM app.users WHERE code IS NULL ORDER BY (code IS NULL) LIMIT
           5000)); DROP INDEX CONCURRENTLY app.code_left; prove it first, while reads and writes go
           on: ALTER TABLE app.users ADD CONSTRAINT code_not_null CHECK (code IS NOT NULL) NOT
           VALID; then, in another transaction: ALTER TABLE app.users VALIDATE CONSTRAINT
           code_not_null; then, in an instant: ALTER TABLE app.users ALTER COLUMN code SET NOT NULL;
           ALTER TABLE app.users DROP CONSTRAINT code_not_null;
           or accept it on the DatabaseMigration:
           accept: [{rule: add-column-large-table, table: app.users, reason: ...}]
  more     docs/rules/add-column-large-table
",
        );
        finding.accepted = Some("the shop is closed tonight".to_owned());
        let text = render(&finding, "crm  v8", &server(18), NOW);
        assert!(text.starts_with("crm  v8   BLOCKS, accepted\n"), "{text}");
        assert!(
            text.contains("\n  accepted the shop is closed tonight\n"),
            "{text}"
        );
        assert!(!text.contains("\n  do "), "{text}");
    }

    #[test]
    fn lines_for_a_plan() {
        let finding = only("add-column-large-table", add("text", true), large());
        assert_eq!(
            line(&finding),
            "clean: takes ACCESS EXCLUSIVE for an instant, no rewrite, no scan (about 12.3 M rows, \
             4.1 GB)"
        );
        let finding = only("not-null-without-default", add("text", false), present());
        assert_eq!(
            line(&finding),
            "will fail: NOT NULL column code without a server default: app.users has rows, and the \
             server has no value for them (at least one row)"
        );
    }

    #[test]
    fn odd_names_can_be_copied() {
        let table = "app.\"it's.odd\"".parse().unwrap();
        assert_eq!(
            accept_entry("r", &table),
            "accept: [{rule: r, table: 'app.\"it''s.odd\"', reason: ...}]"
        );
    }

    proptest! {
        #[test]
        fn wrapping_loses_no_word_and_keeps_the_width(text in "([a-z]{1,20} ){0,40}") {
            let mut lines = Vec::new();
            wrapped(&mut lines, "  do ", "     ", &text);
            prop_assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS));
            let words: Vec<&str> = lines.iter().flat_map(|line| line.split_whitespace()).collect();
            let expect: Vec<&str> = ["do"].into_iter().chain(text.split_whitespace()).collect();
            prop_assert_eq!(words, expect);
        }
    }
}

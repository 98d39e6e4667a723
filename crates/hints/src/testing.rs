//! What the tests of the rules share: one database to judge against, and one `check`.

use std::time::Duration;

use jiff::Timestamp;

use dbop_model::dependent::RowsProbed;
use dbop_model::finding::{Finding, HintPolicy};
use dbop_model::operation::{Column, IndexPart, Operation, ServerDefault, Statement};
use dbop_model::table::{
    ColumnFacts, ColumnName, DuplicateProbe, FactRequest, NullProbe, RowEstimate, RowSource,
    Settings, Storage, TableFacts, TableFactsSet, TableKind, TableName, TableState, TypeFacts,
    Understood, UniqueKey, Volatility,
};
use dbop_model::{Engine, Fact, ServerInfo, Why};

use crate::{facts_wanted, judge};

/// Noon.
pub(crate) const NOW: Timestamp = Timestamp::constant(1_767_268_800, 0);

pub(crate) fn server(major: u32) -> ServerInfo {
    let address = "db.shop:5432/shop".to_owned();
    ServerInfo {
        engine: Engine::PostgreSql,
        major,
        minor: 6,
        address,
    }
}

/// A MySQL or MariaDB.
pub(crate) fn other(engine: Engine, major: u32, minor: u32) -> ServerInfo {
    ServerInfo {
        engine,
        major,
        minor,
        ..server(18)
    }
}

/// Statements of one operation each.
pub(crate) fn statements(operations: &[Operation]) -> Vec<Statement> {
    operations.iter().cloned().map(Statement::from).collect()
}

pub(crate) fn name(text: &str) -> ColumnName {
    text.parse().unwrap()
}

pub(crate) fn column(text: &str) -> Column {
    Column::new(name(text))
}

pub(crate) fn probed(found: bool) -> Fact<NullProbe> {
    Fact::Known(NullProbe {
        found,
        took: Duration::from_millis(41),
    })
}

pub(crate) fn unknown<T>(why: &str) -> Fact<T> {
    Fact::Unknown(Why::new(why))
}

pub(crate) fn rows(rows: u64) -> Fact<RowEstimate> {
    let age = Some(Duration::from_secs(7500));
    Fact::Known(RowEstimate {
        rows,
        source: RowSource::Statistics,
        age,
    })
}

/// A small table with rows: `id` NOT NULL, `email` nullable without NULLs, `phone` nullable with some.
pub(crate) fn present() -> TableFacts {
    let mut facts = TableFacts::new(TableKind::Ordinary);
    facts.rows = rows(4200);
    facts.bytes = Fact::Known(300_000);
    facts.any_row = Fact::Known(true);
    facts.indexes = Fact::Known(Vec::new());
    facts.constraints = Fact::Known(Vec::new());
    facts.blockers = Fact::Known(Vec::new());
    facts.dependents = Fact::Known(Vec::new());
    facts.partitioned = Fact::Known(None);
    facts.writes = unknown("writes were sampled once");
    facts.storage = Fact::Known(Storage {
        engine: "InnoDB".to_owned(),
        charset: Some("utf8mb4".to_owned()),
        row_versions: Some(0),
        ..Storage::default()
    });
    for (column, nullable) in [("id", false), ("email", true), ("phone", true)] {
        let column_facts = ColumnFacts {
            sql_type: "text".to_owned(),
            nullable,
            has_default: false,
            proven_not_null_by: None,
            charset: None,
            collation: None,
            generated: None,
            computed: None,
        };
        facts.columns.insert(name(column), column_facts);
    }
    facts.nulls.insert(name("email"), probed(false));
    facts.nulls.insert(name("phone"), probed(true));
    facts
}

/// As [`present`], with 12.3 million rows.
pub(crate) fn large() -> TableFacts {
    let mut facts = present();
    facts.rows = rows(12_345_678);
    facts.bytes = Fact::Known(4_180_000_000);
    facts
}

/// Answers everything that the statements want: every table is there as `table`, with what a server knows
/// of types and functions, and columns not mentioned in `table` probed as free of NULLs.
pub(crate) fn facts_of(statements: &[Statement], table: TableFacts) -> TableFactsSet {
    let mut set = TableFactsSet::new(NOW);
    set.settings = Fact::Known(Settings {
        lock_timeout: Some(Duration::from_secs(5)),
        strict: true,
        utc: true,
        foreign_key_checks: true,
        logs_whole_rows: true,
        collations: ["utf8mb4", "utf8mb3", "latin1"]
            .map(|charset| (charset.to_owned(), format!("{charset}_general_ci")))
            .into(),
        ..Settings::default()
    });
    for request in facts_wanted(statements) {
        match &request {
            FactRequest::IndexNamed(index) => {
                let of: TableName = "app.users".parse().unwrap();
                set.tables
                    .entry(of.clone())
                    .or_insert_with(|| Fact::Known(TableState::Present(Box::new(table.clone()))));
                set.indexes.insert(index.clone(), Fact::Known(Some(of)));
                continue;
            }
            FactRequest::Relation(name) => {
                set.relations.insert(name.clone(), Fact::Known(Vec::new()));
                continue;
            }
            FactRequest::Named { kind, name } => {
                set.named.insert((*kind, name.clone()), Fact::Known(None));
                continue;
            }
            FactRequest::Reading { reading, .. } => {
                let columns = Vec::new();
                let understood = Fact::Known(Understood::Yes { columns });
                set.readings.insert(reading.clone(), understood);
                continue;
            }
            _ => {}
        }
        let entry = set
            .tables
            .entry(request.table().clone())
            .or_insert_with(|| Fact::Known(TableState::Present(Box::new(table.clone()))));
        let Fact::Known(TableState::Present(facts)) = entry else {
            continue;
        };
        match request {
            FactRequest::Table(_) | FactRequest::Size(_) | FactRequest::AnyRow(_) => {}
            FactRequest::Nulls { column, .. } => {
                facts.nulls.entry(column).or_insert_with(|| probed(false));
            }
            FactRequest::Type { sql_type, .. } => {
                let known = TypeFacts {
                    constrained_domain: sql_type == "checked_domain",
                    domain_default: sql_type == "default_domain",
                    ..TypeFacts::default()
                };
                let fact = if sql_type == "odd_type" {
                    unknown("no type odd_type is there yet")
                } else {
                    Fact::Known(known)
                };
                facts.types.entry(sql_type).or_insert(fact);
            }
            FactRequest::Volatility { function, .. } => {
                let fact = match function.as_str() {
                    "now" => Fact::Known(Volatility::Stable),
                    "random" | "gen_random_uuid" | "nextval" => Fact::Known(Volatility::Volatile),
                    "lower" => Fact::Known(Volatility::Immutable),
                    _ => unknown("no function of this name is there yet"),
                };
                facts.functions.insert(function, fact);
            }
            FactRequest::Indexes(_)
            | FactRequest::Constraints(_)
            | FactRequest::Storage(_)
            | FactRequest::Writes(_)
            | FactRequest::Blockers(_)
            | FactRequest::Dependents(_)
            | FactRequest::IndexNamed(_)
            | FactRequest::Relation(_)
            | FactRequest::Named { .. }
            | FactRequest::Reading { .. } => {}
            FactRequest::Rows { probe, .. } => {
                facts.probed.entry(probe).or_insert_with(|| {
                    Fact::Known(RowsProbed {
                        found: false,
                        took: Duration::from_millis(12),
                    })
                });
            }
            FactRequest::Duplicates { key, .. } => {
                facts.duplicates.entry(key).or_insert_with(|| {
                    Fact::Known(DuplicateProbe {
                        found: false,
                        proven_by: None,
                        took: Duration::from_millis(273),
                    })
                });
            }
        }
    }
    set
}

/// What one rule says of operations on PostgreSQL `major`, in a database where every table is `table`.
pub(crate) fn findings(
    rule: &str,
    major: u32,
    operations: &[Operation],
    table: TableFacts,
    policy: &HintPolicy,
) -> Vec<Finding> {
    findings_on(rule, &server(major), &statements(operations), table, policy)
}

/// What one rule says of statements on a server, in a database where every table is `table`.
pub(crate) fn findings_on(
    rule: &str,
    server: &ServerInfo,
    statements: &[Statement],
    table: TableFacts,
    policy: &HintPolicy,
) -> Vec<Finding> {
    let facts = facts_of(statements, table);
    let judgement = judge(server, statements, &facts, policy, NOW);
    judgement
        .findings
        .into_iter()
        .filter(|finding| finding.rule == rule)
        .collect()
}

/// The table that most cases are about.
pub(crate) fn users() -> TableName {
    "users".parse().unwrap()
}

/// A column of this type.
pub(crate) fn typed(text: &str, sql_type: &str) -> Column {
    column(text).with_type(sql_type.parse().unwrap())
}

/// A column with this default.
pub(crate) fn default(of: Column, text: &str) -> Column {
    of.with_default(ServerDefault::new(None, Some(text)).unwrap())
}

/// The column is added to it.
pub(crate) fn add(column: Column) -> Operation {
    Operation::add_column(users(), vec![column]).unwrap()
}

/// A key over whole columns.
pub(crate) fn key(columns: &[&str]) -> UniqueKey {
    UniqueKey {
        parts: columns
            .iter()
            .map(|column| IndexPart::Column(name(column)))
            .collect(),
        predicate: None,
        nulls_equal: false,
    }
}

/// Findings as headings with their claims, a line each.
pub(crate) fn headed(found: &[Finding]) -> String {
    let lines: Vec<String> = found
        .iter()
        .map(|f| format!("{}: {}", f.verdict, f.claim))
        .collect();
    lines.join("\n")
}

/// Judges on PostgreSQL 14 and 18 with the default policy, and compares `verdict: claim` of the rule's
/// findings; no findings is the empty text.
#[track_caller]
pub(crate) fn check(rule: &str, operations: &[Operation], table: &TableFacts, expect: &str) {
    for major in [14, 18] {
        let found = findings(
            rule,
            major,
            operations,
            table.clone(),
            &HintPolicy::default(),
        );
        let got: Vec<String> = found
            .iter()
            .map(|f| format!("{}: {}", f.verdict.as_str(), f.claim))
            .collect();
        assert_eq!(
            got.join("\n"),
            expect,
            "on PostgreSQL {major}: {operations:?}"
        );
    }
}

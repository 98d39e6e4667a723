//! A snapshot says what was seen, reads back as it was, and is refused where it is not whole.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::collections::BTreeMap;
use std::time::Duration;

use dbop_model::catalogue::Catalogue;
use dbop_model::dependent::{Dependent, DependentKind, PartOf, Partition, Partitioned, Stops};
use dbop_model::operation::{Algorithm, ConstraintKind, IndexKind, IndexPart};
use dbop_model::table::{
    Blocker, ColumnFacts, ConstraintFacts, FactRequest, Generated, IndexFacts, RowEstimate,
    RowSource, Settings, Storage, TableFacts, TableFactsSet, TableKind, TableName, TableState,
    TypeFacts, UniqueKey, Volatility, WriteCount, WriteRate,
};
use dbop_model::{Engine, Fact, ServerInfo, Why};
use dbop_snapshot::{Snapshot, SnapshotError, read, write};
use jiff::Timestamp;

fn name(text: &str) -> TableName {
    text.parse().unwrap()
}

fn column(sql_type: &str, nullable: bool) -> ColumnFacts {
    ColumnFacts {
        sql_type: sql_type.to_owned(),
        nullable,
        has_default: false,
        proven_not_null_by: None,
        charset: Some("utf8mb4".to_owned()),
        collation: Some("C".to_owned()),
        generated: Some(Generated::Stored),
        computed: Some("(`a` * 2)".to_owned()),
    }
}

fn key(columns: &[&str]) -> UniqueKey {
    let part = |text: &&str| IndexPart::Column(text.parse().unwrap());
    UniqueKey {
        parts: columns.iter().map(part).collect(),
        predicate: None,
        nulls_equal: false,
    }
}

/// A table with something in every field, and with what must not get into a file.
fn users() -> TableFacts {
    let mut facts = TableFacts::new(TableKind::Ordinary);
    facts.rows = Fact::Known(RowEstimate {
        rows: 12_300_000,
        source: RowSource::Statistics,
        age: Some(Duration::from_millis(5000)),
    });
    facts.bytes = Fact::Known(4_100_000_000);
    facts.any_row = Fact::Known(true);
    facts.columns = BTreeMap::from([
        ("id".parse().unwrap(), column("bigint", false)),
        ("email".parse().unwrap(), column("text", true)),
        ("phone".parse().unwrap(), column("text", false)),
    ]);
    let odd = UniqueKey {
        parts: vec![
            IndexPart::Prefix("email".parse().unwrap(), 20),
            IndexPart::Expression("lower(email)".to_owned()),
        ],
        predicate: Some("(email IS NOT NULL)".to_owned()),
        nulls_equal: true,
    };
    let index = |name: &str, key: UniqueKey| IndexFacts {
        name: name.parse().unwrap(),
        key,
        kind: IndexKind::Unique,
        primary: false,
        valid: true,
        immediate: true,
        bytes: Some(8192),
    };
    facts.indexes = Fact::Known(vec![index("users_pkey", key(&["id"])), index("odd", odd)]);
    facts.constraints = Fact::Known(vec![ConstraintFacts {
        name: "orders_user_fk".parse().unwrap(),
        kind: ConstraintKind::ForeignKey,
        columns: vec!["id".parse().unwrap()],
        condition: Some("(id > 0)".to_owned()),
        validated: false,
        other: Some(name("app.\"odd.name\"")),
        incoming: true,
        cascades: true,
        sets_null: false,
    }]);
    facts.storage = Fact::Known(Storage {
        engine: "InnoDB".to_owned(),
        row_format: Some("Compressed".to_owned()),
        charset: Some("utf8mb3".to_owned()),
        collation: Some("utf8mb3_general_ci".to_owned()),
        auto_increment: Some("id".parse().unwrap()),
        row_versions: Some(64),
        partitions: 3,
        logged: Some(false),
        fulltext: true,
        index_bytes: Some(9),
    });
    facts.schema = Some("app".to_owned());
    facts.dependents = Fact::Known(vec![Dependent {
        kind: DependentKind::View,
        table: Some(name("app.\"odd.view\"")),
        name: Some("sees".parse().unwrap()),
        on: PartOf::Column("id".parse().unwrap()),
        stops: Stops {
            drop: true,
            change_type: false,
            rename: true,
        },
        cascade: true,
    }]);
    facts.partitioned = Fact::Known(Some(Partitioned {
        by: "RANGE (id)".to_owned(),
        partitions: vec![Partition {
            table: name("app.users_1"),
            bound: "FOR VALUES FROM (1) TO (9)".to_owned(),
            rows: Some(7),
        }],
    }));
    facts.writes = Fact::Known(WriteRate {
        per_second: 310.5,
        span: Duration::from_millis(10_000),
        source: "pg_stat_all_tables",
    });
    facts.written = Fact::Known(WriteCount {
        rows: 1,
        at: Timestamp::UNIX_EPOCH,
        counting_for: Duration::from_secs(1),
        counter: "canary-counter".to_owned(),
        source: "pg_stat_all_tables",
    });
    facts.blockers = Fact::Known(vec![Blocker {
        session: "pid 4711".to_owned(),
        login: "canary-login".to_owned(),
        age: Duration::from_secs(60),
        state: "idle in transaction".to_owned(),
    }]);
    facts.snapshots = facts.blockers.clone();
    facts
}

fn snapshot(engine: Engine) -> Snapshot {
    let server = ServerInfo {
        engine,
        major: 18,
        minor: 4,
        address: "db.shop:5432/shop".to_owned(),
    };
    let plain = TypeFacts::default();
    let catalogue = Catalogue {
        tables: vec![
            name("a.twice"),
            name("app.orders"),
            name("app.users"),
            name("b.twice"),
            name("public.users"),
            name("shop.Logs"),
        ],
        is_whole: true,
        default_schema: (engine != Engine::PostgreSql).then(|| "shop".to_owned()),
        ignores_case: engine != Engine::PostgreSql,
        types: Fact::Known(BTreeMap::from([
            (
                name("app.email"),
                TypeFacts {
                    constrained_domain: true,
                    domain_default: true,
                    domain_not_null: true,
                    base: Some("character varying(20)".to_owned()),
                    ..TypeFacts::default()
                },
            ),
            (name("pg_catalog.text"), plain),
        ])),
        functions: Fact::Known(BTreeMap::from([
            (name("app.code"), Volatility::Immutable),
            (name("pg_catalog.code"), Volatility::Volatile),
            (name("pg_catalog.now"), Volatility::Stable),
        ])),
    };
    let taken_at = "2026-01-01T12:00:00Z".parse().unwrap();
    let mut snapshot = Snapshot::new(server, taken_at, catalogue);
    let mut seen = TableFactsSet::new(taken_at);
    seen.settings = Fact::Known(Settings {
        lock_timeout: Some(Duration::from_secs(5)),
        statement_timeout: None,
        strict: true,
        zero_dates: true,
        utc: true,
        foreign_key_checks: true,
        online_log_bytes: Some(134_217_728),
        algorithm: Some(Algorithm::NoCopy),
        row_log: true,
        logs_whole_rows: true,
        collations: [("latin1".to_owned(), "latin1_swedish_ci".to_owned())].into(),
        collation_charsets: [("latin1_bin".to_owned(), "latin1".to_owned())].into(),
        engines: ["innodb".to_owned()].into(),
        substitutes_engine: true,
        disk_free_bytes: Some(1),
    });
    let present = |facts: TableFacts| Fact::Known(TableState::Present(Box::new(facts)));
    seen.tables.insert(name("app.users"), present(users()));
    let mut empty = TableFacts::new(TableKind::Partitioned);
    empty.any_row = Fact::Known(false);
    empty.columns = users().columns;
    empty.indexes = Fact::Known(Vec::new());
    seen.tables.insert(name("public.users"), present(empty));
    let why = Why::passing("another session holds a lock that is in the way");
    seen.tables.insert(name("app.orders"), Fact::Unknown(why));
    snapshot.add(seen);
    snapshot
}

fn table(set: &TableFactsSet, of: &str) -> TableFacts {
    match set.table(&name(of)) {
        Fact::Known(TableState::Present(facts)) => *facts,
        other => panic!("{of}: {other:?}"),
    }
}

#[track_caller]
fn asked(snapshot: &Snapshot, request: FactRequest) -> TableFactsSet {
    snapshot.facts(&[request].into())
}

#[track_caller]
fn why<T: std::fmt::Debug>(fact: Fact<T>) -> String {
    match fact {
        Fact::Unknown(why) => why.to_string(),
        Fact::Known(value) => panic!("{value:?}"),
    }
}

#[test]
fn what_is_written_reads_back() {
    for engine in [Engine::PostgreSql, Engine::MySql, Engine::MariaDb] {
        let snapshot = snapshot(engine);
        let text = write(&snapshot).unwrap();
        assert_eq!(read(&text).unwrap(), snapshot, "{text}");
        assert_eq!(write(&read(&text).unwrap()).unwrap(), text);
        assert!(!text.contains("canary"), "{text}");
    }
}

#[test]
fn another_file_is_refused_with_what_it_is() {
    let text = write(&snapshot(Engine::PostgreSql)).unwrap();
    let refused = |text: &str| read(text).unwrap_err().to_string();
    assert!(refused("kind: x").starts_with("it is no snapshot of a database: "));
    assert!(refused("{}").contains("missing field `kind`"));
    assert_eq!(
        refused(&text.replace("DatabaseSnapshot", "Deployment")),
        "it is no snapshot of a database, but says kind: \"Deployment\""
    );
    let later = text.replace("\"version\": 1", "\"version\": 2");
    assert_eq!(
        refused(&later),
        "it is a snapshot in version 2 of the format, and this program reads version 1"
    );
    // A later version may look like anything else.
    assert!(matches!(
        read("{\"kind\": \"DatabaseSnapshot\", \"version\": 7, \"x\": []}"),
        Err(SnapshotError::Version(7))
    ));
    let more = text.replace("\"anyRow\"", "\"anyRows\"");
    assert!(
        refused(&more).contains("unknown field `anyRows`"),
        "{}",
        refused(&more)
    );
    let less = text.replacen("\"isWhole\": true,", "", 1);
    assert!(
        refused(&less).contains("missing field `isWhole`"),
        "{}",
        refused(&less)
    );
    let odd = text.replace("\"lower(email)\"", "7");
    assert!(refused(&odd).contains("line "), "{}", refused(&odd));
    let unnamed = text.replace("\"users_pkey\"", "\"\"");
    assert!(
        refused(&unnamed).ends_with("app.users: the name  must not be empty"),
        "{}",
        refused(&unnamed)
    );
}

#[test]
fn names_lead_where_they_lead_in_the_database() {
    let snapshot = snapshot(Engine::PostgreSql);
    let state = |of: &str| asked(&snapshot, FactRequest::Table(name(of))).table(&name(of));
    // As on the server: public stands before the others, and of two others none.
    let users = table(
        &asked(&snapshot, FactRequest::Table(name("users"))),
        "users",
    );
    assert_eq!(users.kind, TableKind::Partitioned);
    assert_eq!(
        why(state("twice")),
        "twice can be any of a.twice, b.twice: write its schema in the operation"
    );
    assert_eq!(state("nowhere"), Fact::Known(TableState::Missing));
    assert_eq!(state("app.nowhere"), Fact::Known(TableState::Missing));
    assert!(why(state("pg_catalog.pg_class")).contains("leaves the server's own tables out"));
    assert_eq!(why(state("a.twice")), "the snapshot leaves a.twice out");
    assert!(why(state("orders")).contains("another session holds a lock"));
    assert!(matches!(
        snapshot.facts(&[].into()).settings,
        Fact::Unknown(_)
    ));

    let mut partial = snapshot.clone();
    partial.catalogue.is_whole = false;
    let unlisted = asked(&partial, FactRequest::Table(name("nowhere"))).table(&name("nowhere"));
    assert!(why(unlisted).contains("does not list all tables"));
}

#[test]
fn names_on_mysql_are_in_one_database() {
    let mut snapshot = snapshot(Engine::MySql);
    let facts = TableFacts::new(TableKind::Ordinary);
    snapshot
        .tables
        .insert(name("shop.Logs"), Fact::Known(facts));
    let state = |snapshot: &Snapshot, of: &str| {
        asked(snapshot, FactRequest::Table(name(of))).table(&name(of))
    };
    for of in ["Logs", "logs", "shop.Logs", "SHOP.logs"] {
        let found = state(&snapshot, of);
        assert!(
            matches!(found, Fact::Known(TableState::Present(_))),
            "{of}: {found:?}"
        );
    }
    assert_eq!(state(&snapshot, "users"), Fact::Known(TableState::Missing));
    assert!(why(state(&snapshot, "app.users")).contains("is in another database"));
    snapshot.catalogue.ignores_case = false;
    assert_eq!(state(&snapshot, "logs"), Fact::Known(TableState::Missing));
}

#[test]
fn of_rows_only_proofs_are_told() {
    let snapshot = snapshot(Engine::PostgreSql);
    let nulls = |of: &str, column: &str| {
        let column = column.parse().unwrap();
        let request = FactRequest::Nulls {
            table: name(of),
            column,
        };
        table(&asked(&snapshot, request), of)
    };
    // NOT NULL, and no row, need no probe.
    assert!(nulls("app.users", "phone").nulls.is_empty());
    assert!(nulls("public.users", "email").nulls.is_empty());
    let open = nulls("app.users", "email").nulls_in(&"email".parse().unwrap());
    assert!(why(open).contains("needs the live database"));

    let duplicates = |of: &str, columns: &[&str]| {
        let request = FactRequest::Duplicates {
            table: name(of),
            key: key(columns),
        };
        table(&asked(&snapshot, request), of).duplicates_of(&key(columns))
    };
    let proven = duplicates("app.users", &["id", "email"]);
    assert!(proven.is_known_and(|p| !p.found && p.proven_by.as_deref() == Some("users_pkey")));
    assert!(duplicates("public.users", &["email"]).is_known_and(|p| !p.found));
    assert!(why(duplicates("app.users", &["email"])).contains("needs the live database"));

    let blockers = asked(&snapshot, FactRequest::Blockers(name("app.users")));
    assert!(why(table(&blockers, "app.users").blockers).contains("needs the live database"));
}

#[test]
fn indexes_types_and_functions_are_found_by_name() {
    let mut snapshot = snapshot(Engine::PostgreSql);
    let index = |snapshot: &Snapshot, of: &str| {
        asked(snapshot, FactRequest::IndexNamed(name(of))).indexes[&name(of)].clone()
    };
    assert!(why(index(&snapshot, "odd")).contains("leaves tables out"));
    snapshot.catalogue.tables = vec![name("app.users"), name("public.users")];
    snapshot.tables.remove(&name("app.orders"));
    assert_eq!(
        index(&snapshot, "odd"),
        Fact::Known(Some(name("app.users")))
    );
    assert_eq!(
        index(&snapshot, "app.odd"),
        Fact::Known(Some(name("app.users")))
    );
    assert_eq!(index(&snapshot, "public.odd"), Fact::Known(None));
    assert_eq!(index(&snapshot, "none"), Fact::Known(None));

    let sql_type = |text: &str| {
        let request = FactRequest::Type {
            table: name("app.users"),
            sql_type: text.to_owned(),
        };
        table(&asked(&snapshot, request), "app.users").type_named(text)
    };
    assert!(sql_type("email").is_known_and(|t| t.constrained_domain && t.domain_default));
    assert!(sql_type("varchar(20)").is_known_and(|t| !t.constrained_domain));
    assert_eq!(
        why(sql_type("mood")),
        "there is no type mood in the database yet"
    );

    let volatility = |text: &str| {
        let request = FactRequest::Volatility {
            table: name("app.users"),
            function: text.to_owned(),
        };
        table(&asked(&snapshot, request), "app.users").volatility_of(text)
    };
    assert_eq!(volatility("now"), Fact::Known(Volatility::Stable));
    assert_eq!(volatility("code"), Fact::Known(Volatility::Volatile));
    assert_eq!(volatility("app.code"), Fact::Known(Volatility::Immutable));
    assert_eq!(
        why(volatility("none")),
        "there is no function none in the database yet"
    );
}

#[test]
fn what_went_away_during_the_look_is_no_table() {
    let mut snapshot = snapshot(Engine::PostgreSql);
    let mut seen = TableFactsSet::new(snapshot.taken_at);
    seen.tables
        .insert(name("a.twice"), Fact::Known(TableState::Missing));
    snapshot.add(seen);
    let left: Vec<String> = snapshot.left_out().map(ToString::to_string).collect();
    assert_eq!(left, ["b.twice", "shop.Logs"]);
    let again = read(&write(&snapshot).unwrap()).unwrap();
    assert_eq!(again, snapshot);
}

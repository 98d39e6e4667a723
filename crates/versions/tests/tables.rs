//! What each engine makes of each kind of answer, as tables.

#![expect(clippy::unwrap_used, reason = "it is a test")]

use dbop_model::{Fact, LiquibaseVersion, ObservedVersion, SchemaVersion, ToolLock, VersionSource};
use dbop_versions::{Answer, Author, Dialect, LockStep, Row, Step, locks, read};

fn alembic(table: &str) -> VersionSource {
    VersionSource::Alembic {
        table: table.parse().unwrap(),
    }
}

fn sqlx() -> VersionSource {
    VersionSource::Sqlx {
        table: "_sqlx_migrations".parse().unwrap(),
    }
}

fn query(text: &str) -> VersionSource {
    VersionSource::Query {
        query: text.into(),
        table: None,
    }
}

fn liquibase(version: LiquibaseVersion) -> VersionSource {
    VersionSource::Liquibase {
        table: "databasechangelog".parse().unwrap(),
        version,
    }
}

fn django(app: &str) -> VersionSource {
    VersionSource::Django {
        table: "django_migrations".parse().unwrap(),
        app: app.into(),
    }
}

/// Every tool that keeps a table, by the table that it makes.
fn tools() -> Vec<VersionSource> {
    let table = |name: &str| name.parse().unwrap();
    vec![
        alembic("alembic_version"),
        VersionSource::Flyway {
            table: table("flyway_schema_history"),
        },
        liquibase(LiquibaseVersion::ChangeSet),
        liquibase(LiquibaseVersion::Tag),
        VersionSource::Rails {
            table: table("schema_migrations"),
        },
        django("shop"),
        VersionSource::GolangMigrate {
            table: table("schema_migrations"),
        },
        sqlx(),
        VersionSource::Diesel {
            table: table("__diesel_schema_migrations"),
        },
        VersionSource::Goose {
            table: table("goose_db_version"),
        },
        VersionSource::Prisma {
            table: table("_prisma_migrations"),
        },
    ]
}

fn version(text: &str) -> SchemaVersion {
    SchemaVersion::new(text).unwrap()
}

fn at(text: &str) -> Fact<ObservedVersion> {
    Fact::Known(ObservedVersion::At(version(text)))
}

fn none() -> Fact<ObservedVersion> {
    Fact::Known(ObservedVersion::None)
}

fn rows(rows: &[&[Option<&str>]]) -> Answer {
    let row = |row: &&[Option<&str>]| -> Row { row.iter().map(|c| c.map(str::to_owned)).collect() };
    Answer::Rows(rows.iter().map(row).collect())
}

/// Answers the questions in turn, and gives what came of it. Every answer must be asked for.
#[track_caller]
fn told(
    source: &VersionSource,
    answers: impl IntoIterator<Item = Answer>,
) -> Fact<ObservedVersion> {
    let mut step = read(source, Dialect::PostgreSql);
    let mut answers = answers.into_iter();
    loop {
        match step {
            Step::Ask(question) => {
                step = question.answer(answers.next().expect("one question more"))
            }
            Step::Done(fact) => {
                assert_eq!(answers.next(), None, "an answer that nobody asked for");
                return fact;
            }
        }
    }
}

#[track_caller]
fn unknown(fact: Fact<ObservedVersion>, says: &str) {
    match fact {
        Fact::Unknown(why) => assert!(why.to_string().contains(says), "{why}"),
        Fact::Known(version) => panic!("{version:?} is not Unknown"),
    }
}

fn public() -> Answer {
    located("t")
}

fn located(name: &str) -> Answer {
    Answer::rows([["public", "r", name]])
}

#[test]
fn a_table_that_does_not_exist_is_no_version() {
    for source in tools() {
        assert_eq!(told(&source, [rows(&[])]), none());
        // It can go between the two questions.
        assert_eq!(told(&source, [public(), Answer::NoSuchTable]), none());
    }
    assert_eq!(
        told(&query("SELECT v FROM t"), [Answer::NoSuchTable]),
        none()
    );
}

#[test]
fn alembic_heads() {
    let of = |answer| told(&alembic("alembic_version"), [public(), answer]);
    assert_eq!(of(rows(&[])), none());
    assert_eq!(of(rows(&[&[Some("ae1027a6acf")]])), at("ae1027a6acf"));
    assert_eq!(
        of(rows(&[&[Some("a")], &[Some("b")]])),
        Fact::Known(ObservedVersion::Several(vec![version("a"), version("b")]))
    );
    unknown(of(rows(&[&[None]])), "a row without a revision");
    unknown(
        of(rows(&[&[Some("a"), Some("b")]])),
        "a row without a revision",
    );
    unknown(
        of(rows(&[&[Some("")]])),
        "a revision that must not be empty",
    );
    unknown(
        of(rows(&[[Some("a")].as_slice(); 33])),
        "more than 32 heads",
    );
}

#[test]
fn sqlx_rows() {
    let of = |answer| told(&sqlx(), [public(), answer]);
    let done = |v| [Some(v), Some("t"), Some("init")];
    assert_eq!(of(rows(&[])), none());
    assert_eq!(of(rows(&[&done("20240101000000")])), at("20240101000000"));
    assert_eq!(
        of(rows(&[
            &[Some("3"), Some("f"), Some("add email")],
            &done("2")
        ])),
        Fact::Known(ObservedVersion::Dirty {
            version: version("3"),
            detail: "sqlx began it (add email), and it did not succeed".into()
        })
    );
    unknown(of(rows(&[&done("x")])), "not a number");
    unknown(of(rows(&[&[Some("1")]])), "another shape");
}

#[test]
fn a_query_gives_one_value() {
    let of = |answer| told(&query("SELECT max(v) FROM t"), [answer]);
    assert_eq!(of(rows(&[])), none());
    assert_eq!(of(rows(&[&[None]])), none());
    assert_eq!(of(rows(&[&[Some("7")]])), at("7"));
    unknown(of(rows(&[&[Some("7")], &[Some("8")]])), "more than one row");
    unknown(of(rows(&[&[Some("7"), Some("8")]])), "2 columns");
    unknown(of(rows(&[&[]])), "0 columns");
    unknown(of(rows(&[&[Some("a\nb")]])), "control characters");
    unknown(of(rows(&[&[Some(&"9".repeat(300))]])), "300 bytes long");
    unknown(told(&query("  "), []), "empty");
}

#[test]
fn a_name_without_a_schema_means_the_one_table_of_that_name() {
    let two = Answer::rows([["app", "r", "t"], ["public", "r", "t"]]);
    unknown(
        told(&alembic("alembic_version"), [two]),
        "in the schemas app and public",
    );
    let view = Answer::rows([["public", "v", "alembic_version"]]);
    unknown(
        told(&alembic("alembic_version"), [view]),
        "public.alembic_version is not a table",
    );
    unknown(
        told(&alembic("alembic_version"), [rows(&[&[None, None, None]])]),
        "another shape",
    );
}

#[test]
fn of_names_that_differ_in_case_the_one_that_is_meant_is_read() {
    let of = |source: &VersionSource, name: &str| {
        let capitals = name.to_uppercase();
        let both = Answer::rows([["shop", "r", capitals.as_str()], ["shop", "r", name]]);
        let Step::Ask(question) = read(source, Dialect::MySql) else {
            panic!("asks")
        };
        question.answer(both)
    };
    let Step::Ask(question) = of(&alembic("alembic_version"), "alembic_version") else {
        panic!("asks")
    };
    let sql = &question.statement().sql;
    assert!(sql.contains("FROM `shop`.`alembic_version` AS t"), "{sql}");
    // Liquibase's could be either.
    let both = of(&liquibase(LiquibaseVersion::Tag), "databasechangelog");
    let Step::Done(fact) = both else {
        panic!("is told")
    };
    unknown(fact, "more than one table of the name in the schema shop");
}

#[test]
fn odd_names_are_quoted_and_long_ones_refused() {
    let source = alembic("\"a'\"\"b\"");
    let Step::Ask(question) = read(&source, Dialect::PostgreSql) else {
        panic!("asks")
    };
    assert!(question.statement().sql.contains("c.relname = 'a''\"b'"));
    let Step::Ask(question) = question.answer(Answer::rows([["we\"ird", "r", "a'\"b"]])) else {
        panic!("asks")
    };
    assert!(
        question
            .statement()
            .sql
            .contains("FROM \"we\"\"ird\".\"a'\"\"b\" AS t")
    );
    unknown(
        told(&alembic(&"x".repeat(64)), []),
        "64 bytes long, 63 are allowed",
    );
}

#[test]
fn who_wrote_a_statement_is_said() {
    let author = |source| match read(&source, Dialect::PostgreSql) {
        Step::Ask(question) => question.statement().author,
        Step::Done(fact) => panic!("{fact:?}"),
    };
    assert_eq!(author(query("SELECT 1")), Author::User);
    assert_eq!(author(sqlx()), Author::Engine);
}

/// What an engine reads, where its table is there and answers with these rows.
#[track_caller]
fn of(source: &VersionSource, answer: Answer) -> Fact<ObservedVersion> {
    told(source, [public(), answer])
}

#[track_caller]
fn dirty(fact: Fact<ObservedVersion>, version: &str, says: &str) {
    match fact {
        Fact::Known(ObservedVersion::Dirty {
            version: found,
            detail,
        }) => {
            assert_eq!(found.as_str(), version);
            assert!(detail.contains(says), "{detail}");
        }
        other => panic!("{other:?} is not dirty"),
    }
}

#[test]
fn flyway_rows() {
    let flyway = VersionSource::Flyway {
        table: "flyway_schema_history".parse().unwrap(),
    };
    assert_eq!(of(&flyway, rows(&[])), none());
    let done: &[Option<&str>] = &[Some("1.2"), Some("t"), Some("add email")];
    assert_eq!(of(&flyway, rows(&[done])), at("1.2"));
    dirty(
        of(
            &flyway,
            rows(&[&[Some("1.3"), Some("f"), Some("add phone")], done]),
        ),
        "1.3",
        "Flyway recorded it as failed (add phone), until `flyway repair`",
    );
    // A repeatable one that failed has no version, but a file.
    dirty(
        of(&flyway, rows(&[&[Some("R__views.sql"), Some("f"), None]])),
        "R__views.sql",
        "failed, until",
    );
}

#[test]
fn liquibase_rows() {
    let (sets, tags) = (
        liquibase(LiquibaseVersion::ChangeSet),
        liquibase(LiquibaseVersion::Tag),
    );
    let last: &[Option<&str>] = &[
        Some("4"),
        Some("db/log.xml::add-email::ada"),
        Some("EXECUTED"),
    ];
    let first: &[Option<&str>] = &[Some("3"), Some("db/log.xml::init::ada"), Some("EXECUTED")];
    assert_eq!(of(&sets, rows(&[])), none());
    assert_eq!(of(&sets, rows(&[first])), at("db/log.xml::init::ada"));
    assert_eq!(
        of(&sets, rows(&[last, first])),
        at("db/log.xml::add-email::ada")
    );
    let tagged = |tag| [Some("4"), Some(tag), Some("RERAN")];
    // The same order twice, and another version: somebody wrote in the table.
    unknown(
        of(&tags, rows(&[&tagged("2.0"), &tagged("1.0")])),
        "ORDEREXECUTED 4",
    );
    assert_eq!(of(&tags, rows(&[&tagged("2.0")])), at("2.0"));
    unknown(
        of(
            &sets,
            rows(&[&[Some("5"), Some("l::views::ada"), Some("RERAN")], last]),
        ),
        "schemaVersion.versionIs: Tag",
    );
    dirty(
        of(
            &sets,
            rows(&[&[Some("5"), Some("l::x::ada"), Some("FAILED")], last]),
        ),
        "l::x::ada",
        "recorded the change set as failed",
    );
    unknown(
        of(&sets, rows(&[&[None, Some("x"), None]])),
        "another shape",
    );
}

#[test]
fn tools_with_one_row_to_read() {
    let table = |name: &str| name.parse().unwrap();
    let rails = VersionSource::Rails {
        table: table("schema_migrations"),
    };
    assert_eq!(of(&rails, rows(&[])), none());
    assert_eq!(
        of(&rails, Answer::rows([["20240102030405", "t"]])),
        at("20240102030405")
    );
    unknown(of(&rails, Answer::rows([["x", "f"]])), "not a number");

    assert_eq!(of(&django("shop"), rows(&[])), none());
    assert_eq!(
        of(&django("shop"), Answer::rows([["0002_add_email"]])),
        at("0002_add_email")
    );

    let diesel = VersionSource::Diesel {
        table: table("__diesel_schema_migrations"),
    };
    assert_eq!(of(&diesel, rows(&[])), none());
    assert_eq!(
        of(&diesel, Answer::rows([["00000000000000"]])),
        at("00000000000000")
    );

    let goose = VersionSource::Goose {
        table: table("goose_db_version"),
    };
    assert_eq!(of(&goose, rows(&[])), none());
    assert_eq!(of(&goose, Answer::rows([["20240102"]])), at("20240102"));
    unknown(of(&goose, Answer::rows([["x"]])), "not a number");

    let prisma = VersionSource::Prisma {
        table: table("_prisma_migrations"),
    };
    assert_eq!(of(&prisma, rows(&[])), none());
    let done: &[Option<&str>] = &[Some("20240101_init"), Some("t"), None];
    assert_eq!(of(&prisma, rows(&[done])), at("20240101_init"));
    dirty(
        of(
            &prisma,
            rows(&[&[Some("20240102_email"), Some("f"), None], done]),
        ),
        "20240102_email",
        "`prisma migrate resolve --rolled-back 20240102_email`",
    );
}

#[test]
fn golang_migrate_has_one_row() {
    let migrate = VersionSource::GolangMigrate {
        table: "schema_migrations".parse().unwrap(),
    };
    let row = |version, clean| [Some(version), Some(clean), None];
    assert_eq!(of(&migrate, rows(&[])), none());
    assert_eq!(of(&migrate, rows(&[&row("3", "t")])), at("3"));
    assert_eq!(of(&migrate, rows(&[&row("-1", "t")])), none());
    dirty(
        of(&migrate, rows(&[&row("3", "f")])),
        "3",
        "`migrate force 3`",
    );
    unknown(of(&migrate, rows(&[&row("x", "t")])), "not a number");
    unknown(
        of(&migrate, rows(&[&row("1", "t"), &row("2", "t")])),
        "more than one row",
    );
}

#[test]
fn every_tool_is_asked_in_the_words_of_each_server() {
    for source in tools() {
        for (dialect, table, other) in [
            (Dialect::PostgreSql, "FROM \"a b\".\"T\" AS t", '`'),
            (Dialect::MySql, "FROM `a b`.`T` AS t", '"'),
        ] {
            let Step::Ask(question) = read(&source, dialect) else {
                panic!("asks")
            };
            let Step::Ask(question) = question.answer(Answer::rows([["a b", "r", "T"]])) else {
                panic!("asks")
            };
            let sql = &question.statement().sql;
            assert!(sql.contains(table), "{sql}");
            assert!(!sql.contains(other), "{sql}");
            assert_eq!(question.statement().author, Author::Engine);
        }
    }
}

#[test]
fn on_mysql_a_name_without_a_schema_is_one_of_the_database_that_is_connected_to() {
    let sql = |source: &VersionSource| match read(source, Dialect::MySql) {
        Step::Ask(question) => question.statement().sql.clone(),
        Step::Done(fact) => panic!("{fact:?}"),
    };
    let plain = sql(&sqlx());
    assert!(plain.contains("t.TABLE_NAME = '_sqlx_migrations' AND t.TABLE_SCHEMA = DATABASE()"));
    let qualified = sql(&alembic("app.v"));
    assert!(qualified.contains("t.TABLE_SCHEMA = 'app'"), "{qualified}");
    assert!(!qualified.contains("DATABASE()"), "{qualified}");
    // Liquibase writes it in capitals, and only some servers tell them apart.
    let liquibase = sql(&liquibase(LiquibaseVersion::Tag));
    assert!(liquibase.contains("LOWER(t.TABLE_NAME) = LOWER('databasechangelog')"));
}

#[test]
fn an_app_s_name_is_a_text_and_nothing_else() {
    let Step::Ask(question) = read(&django("it's"), Dialect::PostgreSql) else {
        panic!("asks")
    };
    let Step::Ask(question) = question.answer(public()) else {
        panic!("asks")
    };
    let sql = &question.statement().sql;
    assert!(sql.contains("t.\"app\" = 'it''s'"), "{sql}");
    unknown(told(&django("a\0"), [public()]), "NUL");
}

/// Answers the questions about a tool's lock in turn.
#[track_caller]
fn held(
    source: &VersionSource,
    dialect: Dialect,
    answers: impl IntoIterator<Item = Answer>,
) -> Fact<Vec<ToolLock>> {
    let mut step = locks(source, dialect);
    let mut answers = answers.into_iter();
    loop {
        match step {
            LockStep::Ask(question) => {
                step = question.answer(answers.next().expect("one question more"))
            }
            LockStep::Done(fact) => {
                assert_eq!(answers.next(), None, "an answer that nobody asked for");
                return fact;
            }
        }
    }
}

/// A lock in one line.
#[track_caller]
fn lines(locks: Fact<Vec<ToolLock>>) -> Vec<String> {
    match locks {
        Fact::Known(locks) => locks
            .iter()
            .map(|lock| {
                format!(
                    "{}, {}, by {}: {}",
                    lock.tool, lock.lock, lock.holder, lock.frees
                )
            })
            .collect(),
        Fact::Unknown(why) => vec![format!("not known: {why}")],
    }
}

#[test]
fn tools_without_a_lock_are_not_asked() {
    let none = [
        alembic("alembic_version"),
        django("shop"),
        sqlx(),
        query("SELECT 1"),
    ];
    for (source, dialect) in none
        .iter()
        .flat_map(|source| [(source, Dialect::PostgreSql), (source, Dialect::MySql)])
    {
        assert_eq!(held(source, dialect, []), Fact::Known(Vec::new()));
    }
}

#[test]
fn liquibase_s_lock_is_a_row() {
    let source = liquibase(LiquibaseVersion::Tag);
    let table = || located("databasechangeloglock");
    let of = |row| lines(held(&source, Dialect::PostgreSql, [table(), row]));
    let free = "UPDATE \"public\".\"databasechangeloglock\" SET locked = FALSE, lockgranted = NULL, \
                lockedby = NULL WHERE id = 1;";
    assert_eq!(of(rows(&[])), [""; 0]);
    assert_eq!(
        of(rows(&[&[
            Some("shop-v2-x7k2p (10.1.2.3)"),
            Some("2026-01-02 03:04:05.678")
        ]])),
        [format!(
            "Liquibase, row of public.databasechangeloglock, by shop-v2-x7k2p (10.1.2.3) since \
             2026-01-02 03:04:05.678: {free}"
        )]
    );
    assert_eq!(
        of(rows(&[&[None, None]])),
        [format!(
            "Liquibase, row of public.databasechangeloglock, by somebody who left no name: {free}"
        )]
    );
    // Before its first run there is no table.
    assert_eq!(
        lines(held(&source, Dialect::PostgreSql, [rows(&[])])),
        [""; 0]
    );
    let capitals = Answer::rows([["shop", "r", "DATABASECHANGELOGLOCK"]]);
    let row = rows(&[&[Some("db (10.1.2.3)"), None]]);
    assert_eq!(
        lines(held(&source, Dialect::MySql, [capitals, row])),
        [
            "Liquibase, row of shop.DATABASECHANGELOGLOCK, by db (10.1.2.3): UPDATE \
          `shop`.`DATABASECHANGELOGLOCK` SET locked = 0, lockgranted = NULL, lockedby = NULL WHERE id = 1;"
        ]
    );
}

#[test]
fn liquibase_s_lock_is_looked_for_by_the_name_that_follows_from_the_change_log_s_and_by_its_own() {
    let source = VersionSource::Liquibase {
        table: "app.shop_log".parse().unwrap(),
        version: LiquibaseVersion::Tag,
    };
    let LockStep::Ask(question) = locks(&source, Dialect::PostgreSql) else {
        panic!("asks")
    };
    let sql = &question.statement().sql;
    assert!(sql.contains("c.relname = 'shop_loglock' AND n.nspname = 'app'"));
    let LockStep::Ask(question) = question.answer(rows(&[])) else {
        panic!("asks for the other")
    };
    let sql = &question.statement().sql;
    assert!(sql.contains("c.relname = 'databasechangeloglock' AND n.nspname = 'app'"));
    let table = || Answer::rows([["app", "r", "databasechangeloglock"]]);
    let held = |answers: Vec<Answer>| lines(held(&source, Dialect::PostgreSql, answers));
    assert_eq!(held(vec![rows(&[]), rows(&[])]), [""; 0]);
    let locked = rows(&[&[Some("db (10.1.2.3)"), None]]);
    let found = held(vec![rows(&[]), table(), locked]);
    assert!(
        found[0].starts_with("Liquibase, row of app.databasechangeloglock, by db (10.1.2.3): "),
        "{found:?}"
    );
}

#[test]
fn locks_of_sessions_are_known_by_their_keys() {
    let table = |name: &str| name.parse().unwrap();
    let flyway = VersionSource::Flyway {
        table: table("flyway_schema_history"),
    };
    let migrate = VersionSource::GolangMigrate {
        table: table("schema_migrations"),
    };
    let row = |key| {
        rows(&[&[
            Some(key),
            Some("shop"),
            Some("public"),
            Some("4711"),
            Some("shop_migrator"),
            Some("10.1.2.3"),
            Some("PostgreSQL JDBC Driver"),
            Some("65"),
        ]])
    };
    let of = |source: &VersionSource, key| lines(held(source, Dialect::PostgreSql, [row(key)]));
    assert_eq!(
        of(&flyway, "77431708279161"),
        [
            "Flyway, advisory lock 77431708279161, by pid 4711, user shop_migrator, from 10.1.2.3, \
          PostgreSQL JDBC Driver: SELECT pg_catalog.pg_terminate_backend(4711);"
        ]
    );
    assert_eq!(of(&flyway, "12"), [""; 0]);
    assert_eq!(of(&migrate, "12"), [""; 0]);
    unknown_locks(held(&flyway, Dialect::PostgreSql, [rows(&[&[Some("x")]])]));

    // On MySQL the lock has a name, made from the database's.
    let shop = || rows(&[&[Some("shop")]]);
    let holder = || rows(&[&[Some("9"), Some("app"), Some("10.1.2.3:5000")]]);
    let of = |source| lines(held(source, Dialect::MySql, [shop(), holder()]));
    assert!(
        of(&flyway)[0].ends_with(", by pid 9, user app, from 10.1.2.3: KILL 9;"),
        "{:?}",
        of(&flyway)
    );
    assert!(of(&migrate)[0].starts_with("golang-migrate, lock named "));
    assert_eq!(
        lines(held(&migrate, Dialect::MySql, [shop(), rows(&[])])),
        [""; 0]
    );
}

#[track_caller]
fn unknown_locks(locks: Fact<Vec<ToolLock>>) {
    assert!(matches!(locks, Fact::Unknown(_)), "{locks:?}");
}

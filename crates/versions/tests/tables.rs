//! What each engine makes of each kind of answer, as tables.

#![expect(clippy::unwrap_used, reason = "it is a test")]

use dbop_model::{Fact, ObservedVersion, SchemaVersion, VersionSource};
use dbop_versions::{Answer, Author, Dialect, Row, Step, read};

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
    Answer::rows([["public", "r"]])
}

#[test]
fn a_table_that_does_not_exist_is_no_version() {
    for source in [alembic("alembic_version"), sqlx()] {
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
    let two = Answer::rows([["app", "r"], ["public", "r"]]);
    unknown(
        told(&alembic("alembic_version"), [two]),
        "in the schemas app and public",
    );
    let view = Answer::rows([["public", "v"]]);
    unknown(
        told(&alembic("alembic_version"), [view]),
        "public.alembic_version is not a table",
    );
    unknown(
        told(&alembic("alembic_version"), [rows(&[&[None, None]])]),
        "another shape",
    );
}

#[test]
fn odd_names_are_quoted_and_long_ones_refused() {
    let source = alembic("\"a'\"\"b\"");
    let Step::Ask(question) = read(&source, Dialect::PostgreSql) else {
        panic!("asks")
    };
    assert!(question.statement().sql.contains("c.relname = 'a''\"b'"));
    let Step::Ask(question) = question.answer(Answer::rows([["we\"ird", "r"]])) else {
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

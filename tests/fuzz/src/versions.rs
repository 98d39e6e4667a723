//! What a version table says: whatever its name and its rows are, what is asked is one statement, there is an end, and
//! a version reads back as itself.

use dbop_model::table::TableName;
use dbop_model::{Engine, Fact, LiquibaseVersion, ObservedVersion, SchemaVersion, VersionSource};
use dbop_versions::{Answer, Author, Dialect, Row, Step};

/// A table is found, then read.
const QUESTIONS_MAX: usize = 2;

/// The first byte is tool and server. The first line is the table, the app or the query; then a line is a row, tabs
/// part its columns, and an empty column is NULL. An empty line parts the answers.
pub(crate) fn run(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(rest);
    let (name, answers) = text.split_once('\n').unwrap_or((&text, ""));
    is_itself(name);
    let Some(source) = source(first / 2, name) else {
        return;
    };
    let engine = match first % 2 {
        0 => Engine::PostgreSql,
        _ => Engine::MySql,
    };
    let found = read(&source, engine, answers);
    if let Fact::Known(ObservedVersion::At(version)) = &found {
        is_itself(version.as_str());
    }
    // The same rows, the same version: nothing else is looked at.
    assert_eq!(read(&source, engine, answers), found);
}

fn read(source: &VersionSource, engine: Engine, answers: &str) -> Fact<ObservedVersion> {
    let dialect = match engine {
        Engine::PostgreSql => Dialect::PostgreSql,
        Engine::MySql | Engine::MariaDb => Dialect::MySql,
    };
    let mut answers = answers.split("\n\n");
    let mut step = dbop_versions::read(source, dialect);
    for _ in 0..QUESTIONS_MAX {
        step = match step {
            Step::Done(version) => return version,
            Step::Ask(question) => {
                let statement = question.statement();
                if statement.author == Author::Engine {
                    let read = dbop_sql::read(engine, &statement.sql);
                    assert_eq!(read.len(), 1, "{}", statement.sql);
                }
                question.answer(answers.next().map_or(Answer::NoSuchTable, rows))
            }
        };
    }
    match step {
        Step::Done(version) => version,
        Step::Ask(question) => panic!("it asks on: {}", question.statement().sql),
    }
}

fn rows(text: &str) -> Answer {
    let column = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let row = |line: &str| -> Row { line.split('\t').map(column).collect() };
    Answer::Rows(text.lines().map(row).collect())
}

/// What is taken for a version is kept to the letter, and shows in one line.
fn is_itself(text: &str) {
    let Ok(version) = SchemaVersion::new(text) else {
        return;
    };
    assert_eq!(version.as_str(), text);
    let shown = version.to_string();
    assert!(!shown.contains(char::is_control), "{shown:?}");
    assert_eq!(shown.parse::<SchemaVersion>().as_ref(), Ok(&version));
}

fn source(number: u8, name: &str) -> Option<VersionSource> {
    let table = || name.parse::<TableName>().ok();
    Some(match number % 12 {
        0 => VersionSource::Alembic { table: table()? },
        1 => VersionSource::Flyway { table: table()? },
        2 => VersionSource::Liquibase {
            table: table()?,
            version: LiquibaseVersion::Tag,
        },
        3 => VersionSource::Liquibase {
            table: table()?,
            version: LiquibaseVersion::ChangeSet,
        },
        4 => VersionSource::Rails { table: table()? },
        5 => VersionSource::Django {
            table: TableName::new(None, "django_migrations").ok()?,
            app: name.to_owned(),
        },
        6 => VersionSource::GolangMigrate { table: table()? },
        7 => VersionSource::Sqlx { table: table()? },
        8 => VersionSource::Diesel { table: table()? },
        9 => VersionSource::Goose { table: table()? },
        10 => VersionSource::Prisma { table: table()? },
        _ => VersionSource::Query {
            query: name.to_owned(),
            table: None,
        },
    })
}

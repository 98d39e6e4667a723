//! Reading a version, as questions and answers: the order of the statements, and nothing of their text.

use dbop_model::table::TableName;
use dbop_model::{Fact, ObservedVersion, VersionSource, Why};

use crate::dialect::{Dialect, QuoteError};
use crate::{
    alembic, diesel, django, flyway, golang_migrate, goose, liquibase, locate, prisma, query,
    rails, sqlx,
};

/// Versions read at most: more heads than this are not a state that anybody works in.
pub(crate) const VERSIONS_MAX: usize = 32;

/// A row: its columns as text, as the server writes them; `None` is NULL.
pub type Row = Vec<Option<String>>;

/// A statement to run, in a transaction that is read-only and rolled back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its text.
    pub sql: String,
    /// Who wrote it.
    pub author: Author,
    /// How many rows are worth reading; the rest changes nothing.
    pub rows_max: usize,
}

/// Who wrote a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// We did: every name in it is qualified and quoted.
    Engine,
    /// The user did: it must be held to one statement, and may name tables without a schema.
    User,
}

/// What came of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// These rows.
    Rows(Vec<Row>),
    /// A table that it names does not exist.
    NoSuchTable,
}

impl Answer {
    /// Rows without NULLs.
    pub fn rows<R, C>(rows: impl IntoIterator<Item = R>) -> Self
    where
        R: IntoIterator<Item = C>,
        C: Into<String>,
    {
        let row = |row: R| row.into_iter().map(|column| Some(column.into())).collect();
        Answer::Rows(rows.into_iter().map(row).collect())
    }
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Run a statement, and answer the question.
    Ask(Question),
    /// This is the version.
    Done(Fact<ObservedVersion>),
}

/// A statement, and what its answer will mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    statement: Statement,
    source: VersionSource,
    dialect: Dialect,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Locate,
    Read,
}

/// Starts to read the version of a database. There are at most two questions.
pub fn read(source: &VersionSource, dialect: Dialect) -> Step {
    let (stage, statement) = match (source, own_table(source)) {
        (VersionSource::Query { query, .. }, _) => (Stage::Read, query::statement(query)),
        (_, Some(table)) => {
            let statement = locate::statement(table, is_spelled_freely(source), dialect);
            (Stage::Locate, statement)
        }
        (_, None) => return Step::Done(Fact::Unknown(Why::new("no version table is named"))),
    };
    ask(source, dialect, stage, statement)
}

/// The table that a tool keeps: what must be found before it can be read.
fn own_table(source: &VersionSource) -> Option<&TableName> {
    match source {
        VersionSource::Query { .. } => None,
        _ => source.table(),
    }
}

/// Does the tool write the name in capitals?
fn is_spelled_freely(source: &VersionSource) -> bool {
    matches!(source, VersionSource::Liquibase { .. })
}

/// What to ask of a tool's table; `from` is the table, qualified and quoted.
fn statement(
    source: &VersionSource,
    from: &str,
    dialect: Dialect,
) -> Result<Statement, QuoteError> {
    Ok(match source {
        VersionSource::Alembic { .. } => alembic::statement(from, dialect),
        VersionSource::Flyway { .. } => flyway::statement(from, dialect),
        VersionSource::Liquibase { version, .. } => liquibase::statement(from, *version, dialect),
        VersionSource::Rails { .. } => rails::statement(from, dialect),
        VersionSource::Django { app, .. } => django::statement(from, app, dialect)?,
        VersionSource::GolangMigrate { .. } => golang_migrate::statement(from, dialect),
        VersionSource::Sqlx { .. } => sqlx::statement(from, dialect),
        VersionSource::Diesel { .. } => diesel::statement(from, dialect),
        VersionSource::Goose { .. } => goose::statement(from, dialect),
        VersionSource::Prisma { .. } => prisma::statement(from, dialect),
        VersionSource::Query { query, .. } => query::statement(query)?,
    })
}

/// What its rows say.
fn interpret(source: &VersionSource, rows: &[Row]) -> Result<ObservedVersion, Why> {
    match source {
        VersionSource::Alembic { .. } => alembic::interpret(rows),
        VersionSource::Flyway { .. } => flyway::interpret(rows),
        VersionSource::Liquibase { version, .. } => liquibase::interpret(*version, rows),
        VersionSource::Rails { .. } => rails::interpret(rows),
        VersionSource::Django { .. } => django::interpret(rows),
        VersionSource::GolangMigrate { .. } => golang_migrate::interpret(rows),
        VersionSource::Sqlx { .. } => sqlx::interpret(rows),
        VersionSource::Diesel { .. } => diesel::interpret(rows),
        VersionSource::Goose { .. } => goose::interpret(rows),
        VersionSource::Prisma { .. } => prisma::interpret(rows),
        VersionSource::Query { .. } => query::interpret(rows),
    }
}

impl Question {
    /// What to run.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// What follows from its answer.
    pub fn answer(self, answer: Answer) -> Step {
        let Question {
            source,
            dialect,
            stage,
            ..
        } = self;
        let rows = match answer {
            Answer::Rows(rows) => rows,
            Answer::NoSuchTable => return Step::Done(Fact::Known(ObservedVersion::None)),
        };
        let table = match (stage, own_table(&source)) {
            (Stage::Locate, Some(table)) => table,
            _ => {
                return Step::Done(match interpret(&source, &rows) {
                    Ok(version) => Fact::Known(version),
                    Err(why) => Fact::Unknown(why),
                });
            }
        };
        let located = match locate::interpret(table, is_spelled_freely(&source), &rows) {
            Ok(Some(located)) => located,
            Ok(None) => return Step::Done(Fact::Known(ObservedVersion::None)),
            Err(why) => return Step::Done(Fact::Unknown(why)),
        };
        let statement = dialect
            .table(&located.schema, &located.name)
            .and_then(|from| statement(&source, &from, dialect));
        ask(&source, dialect, Stage::Read, statement)
    }
}

fn ask(
    source: &VersionSource,
    dialect: Dialect,
    stage: Stage,
    statement: Result<Statement, QuoteError>,
) -> Step {
    match statement {
        Ok(statement) => Step::Ask(Question {
            statement,
            source: source.clone(),
            dialect,
            stage,
        }),
        Err(error) => Step::Done(Fact::Unknown(Why::new(format!(
            "the version table cannot be asked for: {error}"
        )))),
    }
}

/// A statement of ours.
pub(crate) fn engine_statement(sql: String) -> Statement {
    Statement {
        sql,
        author: Author::Engine,
        rows_max: VERSIONS_MAX + 1,
    }
}

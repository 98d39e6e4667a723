//! Reading a version, as questions and answers: the order of the statements, and nothing of their text.

use dbop_model::{Fact, ObservedVersion, VersionSource, Why};

use crate::dialect::{Dialect, QuoteError};
use crate::{alembic, locate, query, sqlx};

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
    let (stage, statement) = match source {
        VersionSource::Alembic { table } | VersionSource::Sqlx { table } => {
            (Stage::Locate, locate::statement(table, dialect))
        }
        VersionSource::Query { query, .. } => (Stage::Read, query::statement(query)),
    };
    ask(source, dialect, stage, statement)
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
        let table = match (&source, stage) {
            (VersionSource::Alembic { .. }, Stage::Read) => {
                return Step::Done(alembic::interpret(&rows).into_fact());
            }
            (VersionSource::Sqlx { .. }, Stage::Read) => {
                return Step::Done(sqlx::interpret(&rows).into_fact());
            }
            (VersionSource::Query { .. }, _) => {
                return Step::Done(query::interpret(&rows).into_fact());
            }
            (VersionSource::Alembic { table } | VersionSource::Sqlx { table }, Stage::Locate) => {
                table
            }
        };
        let schema = match locate::interpret(table, &rows) {
            Ok(Some(schema)) => schema,
            Ok(None) => return Step::Done(Fact::Known(ObservedVersion::None)),
            Err(why) => return Step::Done(Fact::Unknown(why)),
        };
        let statement = match &source {
            VersionSource::Sqlx { .. } => sqlx::statement(&schema, table, dialect),
            _ => alembic::statement(&schema, table, dialect),
        };
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

trait IntoFact {
    fn into_fact(self) -> Fact<ObservedVersion>;
}

impl IntoFact for Result<ObservedVersion, Why> {
    fn into_fact(self) -> Fact<ObservedVersion> {
        match self {
            Ok(version) => Fact::Known(version),
            Err(why) => Fact::Unknown(why),
        }
    }
}

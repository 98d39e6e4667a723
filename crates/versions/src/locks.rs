//! The locks of migration tools: who keeps the next run of a tool from beginning, and what frees it.
//!
//! Each tool lets one run at a time. Where its lock is a session's, it ends with the session, which outlives a
//! killed Pod for as long as its statement takes or the server does not notice; where it is a row, it stays until
//! somebody takes it away. Neither is ever freed here: whether its holder is still at work is a person's to judge.
//!
//! | tool | PostgreSQL | MySQL, MariaDB |
//! |---|---|---|
//! | Flyway (`PostgreSQLAdvisoryLockTemplate`, `MySQLNamedLockTemplate`) | advisory lock, "Flyway" as a number plus the hash of the history's name | `GET_LOCK('Flyway-<hash>')` |
//! | golang-migrate (`database.GenerateAdvisoryLockId`) | advisory lock from names | `GET_LOCK` of such a number |
//! | Rails (`ActiveRecord::Migrator`) | advisory lock from the database's name | `GET_LOCK` of the same number |
//! | Prisma (`acquire_lock`) | advisory lock 72707369 | `GET_LOCK('prisma_migrate')` |
//! | Liquibase (`StandardLockService`) | a row of `databasechangeloglock` | the same |
//!
//! sqlx's is a session's as well, and the migrator's sessions are looked at anyway. So are the rows of its history that
//! Flyway locks on a Galera cluster, where names are no lock. Alembic, Django and Diesel take none; goose takes one
//! where a program has it do so: a session's, or a row that it lets go by itself after half a minute.

mod holders;
mod keys;
mod row;

use dbop_model::table::TableName;
use dbop_model::{Fact, ToolLock, VersionSource, Why};

use crate::dialect::{Dialect, QuoteError};
use crate::locate;
use crate::reading::{Answer, Row, Statement};

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockStep {
    /// Run a statement, and answer the question.
    Ask(LockQuestion),
    /// These are held.
    Done(Fact<Vec<ToolLock>>),
}

/// A statement, and what its answer will mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockQuestion {
    statement: Statement,
    source: VersionSource,
    dialect: Dialect,
    stage: Stage,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// In which schema is the table of Liquibase's lock? The others are what it may be called else.
    Locate {
        table: TableName,
        others: Vec<TableName>,
    },
    /// Is its row locked? The table is qualified and quoted, and as people write it.
    Row { from: String, shown: String },
    /// Which advisory locks are held (PostgreSQL)?
    Advisory,
    /// Which database is this (MySQL)?
    Database,
    /// Who holds the named lock (MySQL)?
    Named { name: String },
}

/// Starts to look for the lock of a tool. There are at most three questions.
pub fn locks(source: &VersionSource, dialect: Dialect) -> LockStep {
    let (stage, statement) = match (source, dialect) {
        // The lock's table lies where the change log's does.
        (VersionSource::Liquibase { .. }, _) => {
            return locate(source, dialect, source.companions());
        }
        (
            VersionSource::Flyway { .. }
            | VersionSource::GolangMigrate { .. }
            | VersionSource::Rails { .. }
            | VersionSource::Prisma { .. },
            Dialect::PostgreSql,
        ) => (Stage::Advisory, holders::advisory(source)),
        (
            VersionSource::Flyway { .. }
            | VersionSource::GolangMigrate { .. }
            | VersionSource::Rails { .. }
            | VersionSource::Prisma { .. },
            Dialect::MySql,
        ) => (Stage::Database, Ok(holders::database())),
        (
            VersionSource::Alembic { .. }
            | VersionSource::Django { .. }
            | VersionSource::Sqlx { .. }
            | VersionSource::Diesel { .. }
            | VersionSource::Goose { .. }
            | VersionSource::Query { .. },
            _,
        ) => return LockStep::Done(Fact::Known(Vec::new())),
    };
    ask(source, dialect, stage, statement)
}

/// Looks for the first of these tables that there is; none: nobody has made a lock yet.
fn locate(source: &VersionSource, dialect: Dialect, names: Vec<TableName>) -> LockStep {
    let mut names = names.into_iter();
    while let Some(table) = names.next() {
        // What the server has no name for is not there.
        if let Ok(statement) = locate::statement(&table, true, dialect) {
            let others = names.collect();
            let stage = Stage::Locate { table, others };
            return ask(source, dialect, stage, Ok(statement));
        }
    }
    LockStep::Done(Fact::Known(Vec::new()))
}

impl LockQuestion {
    /// What to run.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// What follows from its answer.
    pub fn answer(self, answer: Answer) -> LockStep {
        let rows = match answer {
            Answer::Rows(rows) => rows,
            // It went between the two questions, and the lock with it.
            Answer::NoSuchTable => return LockStep::Done(Fact::Known(Vec::new())),
        };
        match self.follow(&rows) {
            Ok(step) => step,
            Err(why) => LockStep::Done(Fact::Unknown(why)),
        }
    }

    fn follow(self, rows: &[Row]) -> Result<LockStep, Why> {
        let Self {
            source,
            dialect,
            stage,
            ..
        } = self;
        let held = |locks| Ok(LockStep::Done(Fact::Known(locks)));
        match stage {
            Stage::Locate { table, others } => {
                let Some(located) = locate::interpret(&table, true, rows)? else {
                    return Ok(locate(&source, dialect, others));
                };
                let from = dialect
                    .table(&located.schema, &located.name)
                    .map_err(unquotable)?;
                let statement = row::statement(&from, dialect);
                let shown = format!("{}.{}", located.schema, located.name);
                let stage = Stage::Row { from, shown };
                Ok(ask(&source, dialect, stage, Ok(statement)))
            }
            Stage::Row { from, shown } => held(row::interpret(&from, &shown, dialect, rows)?),
            Stage::Advisory => held(holders::of_advisory(&source, rows)?),
            Stage::Database => {
                let Some(name) = keys::named(&source, &holders::name_of(rows)?) else {
                    return held(Vec::new());
                };
                let statement = holders::of_name(&name, dialect);
                Ok(ask(&source, dialect, Stage::Named { name }, statement))
            }
            Stage::Named { name } => held(holders::of_named(&source, &name, rows)?),
        }
    }
}

fn ask(
    source: &VersionSource,
    dialect: Dialect,
    stage: Stage,
    statement: Result<Statement, QuoteError>,
) -> LockStep {
    match statement {
        Ok(statement) => LockStep::Ask(LockQuestion {
            statement,
            source: source.clone(),
            dialect,
            stage,
        }),
        Err(error) => LockStep::Done(Fact::Unknown(unquotable(error))),
    }
}

fn unquotable(error: QuoteError) -> Why {
    Why::new(format!("the tool's lock cannot be asked for: {error}"))
}

fn shape() -> Why {
    Why::new("the server told of the tool's lock in another shape")
}

/// What people call the tool.
fn tool(source: &VersionSource) -> &'static str {
    match source {
        VersionSource::Alembic { .. } => "Alembic",
        VersionSource::Flyway { .. } => "Flyway",
        VersionSource::Liquibase { .. } => "Liquibase",
        VersionSource::Rails { .. } => "Rails",
        VersionSource::Django { .. } => "Django",
        VersionSource::GolangMigrate { .. } => "golang-migrate",
        VersionSource::Sqlx { .. } => "sqlx",
        VersionSource::Diesel { .. } => "Diesel",
        VersionSource::Goose { .. } => "goose",
        VersionSource::Prisma { .. } => "Prisma",
        VersionSource::Query { .. } => "the migration tool",
    }
}

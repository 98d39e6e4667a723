//! Reads what a migration's SQL does to the schema, purely: from a file's text to statements with their operations.
//!
//! PostgreSQL's DDL is read from the syntax tree of `squawk-syntax`, MySQL's and MariaDB's by a reader of our own: no
//! crate knows all of their DDL, and two readers of one dialect would disagree. What cannot be read is a statement
//! with the reason; nothing is silently left out, and no text makes this panic.
//!
//! ```
//! use dbop_model::Engine;
//!
//! let sql = "BEGIN; ALTER TABLE users ADD COLUMN email text NOT NULL; COMMIT; DO $$ ... $$;";
//! let statements = dbop_sql::read(Engine::PostgreSql, sql);
//! assert_eq!(statements[1].operations[0].to_string(), "addColumn users.email text NOT NULL");
//! assert_eq!(statements[1].transaction, Some(0));
//! assert!(statements[3].unread.is_some(), "a DO block may do anything");
//! ```

mod around;
mod lex;
mod merge;
mod mysql;
mod postgres;
mod readings;
mod session;
mod split;
mod text;
mod variables;

use dbop_model::Engine;
use dbop_model::operation::{Operation, Statement};

pub use merge::of_migration;

use session::Session;
use split::Piece;

/// The statements of a file, in its order. DML, queries, settings and grants are statements without operations.
///
/// Names are as the catalogue has them: PostgreSQL's without quotes are folded to lower case, those of MySQL and
/// MariaDB are as they are written. A name without a schema gets one where the file has set one (`SET search_path` to
/// one schema, `USE`). Each statement of a transaction that the file itself begins has its number.
pub fn read(engine: Engine, text: &str) -> Vec<Statement> {
    let mut session = Session::default();
    let mut statements: Vec<Statement> = split::split(engine, text)
        .iter()
        .map(|piece| statement(engine, piece, &mut session))
        .collect();
    readings::with_new_tables(engine, &mut statements);
    statements
}

fn statement(engine: Engine, piece: &Piece<'_>, session: &mut Session) -> Statement {
    let schema = session.schema.clone();
    let read = read_piece(engine, piece, schema.as_deref());
    let is_ddl = read.as_ref().is_ok_and(|read| !read.operations.is_empty());
    session.before(engine, piece, is_ddl);
    let (lock_timeout, set) = session.settings(piece);
    let mut statement = Statement {
        line: Some(piece.line),
        text: Some(text::one_line(piece, is_ddl)),
        transaction: session.transaction(),
        lock_timeout,
        session: set,
        ..Statement::default()
    };
    match read {
        Ok(read) => {
            statement.around = around::around(engine, piece, &read.operations, |other| {
                Some(read_piece(engine, other, None).ok()?.operations)
            });
            statement.operations = read.operations;
            statement.algorithm = read.algorithm;
            statement.locking = read.locking;
            statement.if_table_exists = read.if_table_exists;
            // What the statement itself says goes before what the session has.
            statement.lock_timeout = read.lock_timeout.or(statement.lock_timeout);
        }
        Err(why) => statement.unread = Some(why),
    }
    statement.readings = readings::of(engine, piece, &statement.operations, schema.as_deref());
    session.after(engine, piece);
    statement
}

fn read_piece(engine: Engine, piece: &Piece<'_>, schema: Option<&str>) -> Result<Read, String> {
    match (&piece.problem, engine) {
        (Some(problem), _) => Err(problem.clone()),
        (None, Engine::PostgreSql) => postgres::read(piece, schema).map(|operations| Read {
            if_table_exists: postgres::passes_without_table(piece),
            ..Read::of(operations)
        }),
        (None, Engine::MySql | Engine::MariaDb) => mysql::read(engine, piece, schema),
    }
}

/// What one statement says.
#[derive(Debug, Default)]
struct Read {
    operations: Vec<Operation>,
    algorithm: Option<dbop_model::operation::Algorithm>,
    locking: Option<dbop_model::operation::Locking>,
    lock_timeout: Option<std::time::Duration>,
    if_table_exists: bool,
}

impl Read {
    fn of(operations: Vec<Operation>) -> Self {
        Read {
            operations,
            ..Read::default()
        }
    }
}

//! MySQL and MariaDB: from one statement to operations, by a reader of our own.
//!
//! What is no DDL is told by its first words; all DDL of tables and indexes is read to its last token. What
//! cannot be read of the definitions within CREATE TABLE is passed over.

mod alter;
mod column;
mod cursor;
mod index;
mod table;

use dbop_model::Engine;
use dbop_model::operation::{Algorithm, Dropping, IndexKind, Locking, Operation, TableChange};
use dbop_model::table::TableName;

use crate::Read;
use crate::split::Piece;
use cursor::{Cursor, Unread};

/// First words of statements that do nothing to a table's definition.
const NO_DDL: [&[&str]; 71] = [
    &["analyze"],
    &["begin"],
    &["binlog"],
    &["cache"],
    &["change"],
    &["check"],
    &["checksum"],
    &["commit"],
    &["deallocate"],
    &["delete"],
    &["desc"],
    &["describe"],
    &["do"],
    &["explain"],
    &["flush"],
    &["get"],
    &["grant"],
    &["handler"],
    &["help"],
    &["insert"],
    &["install"],
    &["kill"],
    &["load"],
    &["prepare"],
    &["purge"],
    &["release"],
    &["repair"],
    &["replace"],
    &["reset"],
    &["revoke"],
    &["rollback"],
    &["savepoint"],
    &["select"],
    &["set"],
    &["show"],
    &["shutdown"],
    &["signal"],
    &["start"],
    &["stop"],
    &["table"],
    &["uninstall"],
    &["unlock"],
    &["update"],
    &["use"],
    &["values"],
    &["with"],
    &["xa"],
    &["("],
    &["alter", "database"],
    &["alter", "schema"],
    &["alter", "user"],
    &["alter", "event"],
    &["alter", "function"],
    &["alter", "procedure"],
    &["alter", "server"],
    &["alter", "sequence"],
    &["alter", "instance"],
    &["create", "database"],
    &["create", "schema"],
    &["create", "user"],
    &["create", "role"],
    &["create", "server"],
    &["create", "sequence"],
    &["drop", "user"],
    &["drop", "role"],
    &["drop", "event"],
    &["drop", "function"],
    &["drop", "procedure"],
    &["drop", "server"],
    &["drop", "sequence"],
    &["drop", "prepare"],
];

/// First words of statements that may do anything, and why they are not read.
const OPAQUE: [(&[&str], &str); 6] = [
    (&["call"], "what a procedure does is not said here"),
    (
        &["execute"],
        "what a prepared statement does is not said here",
    ),
    (
        &["begin", "not"],
        "a compound statement may do anything; write its DDL as statements of its own",
    ),
    (
        &["lock"],
        "LOCK TABLES holds its locks until they are given back",
    ),
    (&["drop", "database"], "which tables it drops is not said"),
    (&["drop", "schema"], "which tables it drops is not said"),
];

/// A query by which the columns and functions in a new table's expressions are looked up.
pub(crate) fn definition(operations: &[Operation]) -> Option<String> {
    table::definition(operations)
}

/// The operations of one statement, with what the statement says of all of them.
pub(crate) fn read(
    engine: Engine,
    piece: &Piece<'_>,
    schema: Option<&str>,
) -> Result<Read, Unread> {
    let mut at = Cursor::new(piece, schema);
    // MariaDB: SET STATEMENT variable = value, ... FOR statement; the session knows what it sets.
    if engine == Engine::MariaDb && at.take(&["set", "statement"]) {
        while !at.take(&["for"]) {
            if at.at_end() {
                return Err(at.unexpected("FOR"));
            }
            at.skip();
        }
    }
    let mut read = statement(&mut at)?;
    let online = read.locking == Some(Locking::None)
        && matches!(
            read.algorithm,
            None | Some(Algorithm::InPlace | Algorithm::NoCopy | Algorithm::Instant)
        );
    for operation in &mut read.operations {
        match operation {
            Operation::CreateIndex { index, .. } => index.online = online,
            Operation::DropIndex { online: it, .. } => *it = online,
            _ => {}
        }
    }
    Ok(read)
}

fn statement(at: &mut Cursor<'_>) -> Result<Read, Unread> {
    for (words, why) in OPAQUE {
        if at.take(words) {
            return Err(why.to_owned());
        }
    }
    if NO_DDL.iter().any(|words| match words {
        ["("] => at.is_sign("("),
        words => at.take(words),
    }) {
        return Ok(Read::default());
    }
    if at.take(&["alter"]) {
        return alter(at);
    }
    if at.take(&["create"]) {
        return create(at);
    }
    if at.take(&["drop"]) {
        return drop(at);
    }
    if at.take(&["rename", "table"]) || at.take(&["rename", "tables"]) {
        return rename(at);
    }
    if at.take(&["rename", "user"]) {
        return Ok(Read::default());
    }
    if at.take(&["truncate"]) {
        at.take(&["table"]);
        return each(at, |table| Operation::ChangeTable {
            table,
            change: TableChange::Truncate { cascade: false },
        });
    }
    if at.take(&["optimize"]) {
        at.take_any(&["no_write_to_binlog", "local"]);
        if !at.take_any(&["table", "tables"]) {
            return Err(at.unexpected("TABLE"));
        }
        return each(at, |table| Operation::ChangeTable {
            table,
            change: TableChange::Rebuild,
        });
    }
    Err(at.unexpected("a statement"))
}

/// Tables by their names, and MariaDB's `WAIT`, up to the end.
fn each(at: &mut Cursor<'_>, operation: impl Fn(TableName) -> Operation) -> Result<Read, Unread> {
    let mut read = Read::default();
    loop {
        read.operations.push(operation(at.table()?));
        if !at.sign(",") {
            break;
        }
    }
    read.lock_timeout = at.wait()?;
    at.take_any(&["restrict", "cascade"]);
    at.end()?;
    Ok(read)
}

fn alter(at: &mut Cursor<'_>) -> Result<Read, Unread> {
    // ALTER ALGORITHM = ... DEFINER = ... VIEW, and events.
    if at.is_any(&["algorithm", "definer", "sql", "view"]) {
        return altered_view(at);
    }
    let online = at.take(&["online"]);
    at.take(&["ignore"]);
    at.expect(&["table"])?;
    let mut read = alter::table(at)?;
    if online {
        read.locking.get_or_insert(Locking::None);
    }
    Ok(read)
}

fn create(at: &mut Cursor<'_>) -> Result<Read, Unread> {
    let replace = at.take(&["or", "replace"]);
    if behind_clauses(at) == Some("view") {
        return created_view(at, replace);
    }
    if at.is_any(&[
        "definer",
        "algorithm",
        "sql",
        "view",
        "function",
        "procedure",
        "event",
        "aggregate",
        "user",
        "role",
        "server",
        "sequence",
        "database",
        "schema",
        "package",
    ]) && !is_trigger(at)
    {
        return Ok(Read::default());
    }
    if is_trigger(at) {
        return trigger(at, replace);
    }
    let temporary = at.take(&["temporary"]);
    if temporary || at.is("table") {
        return table::create(at, replace, temporary);
    }
    let online = at.take(&["online"]);
    at.take(&["offline"]);
    let kind = match () {
        () if at.take(&["unique"]) => IndexKind::Unique,
        () if at.take(&["fulltext"]) => IndexKind::Fulltext,
        () if at.take(&["spatial"]) => IndexKind::Spatial,
        () => IndexKind::Plain,
    };
    at.expect(&["index"])?;
    let mut read = create_index(at, kind, replace)?;
    if online {
        read.locking.get_or_insert(Locking::None);
    }
    Ok(read)
}

fn create_index(at: &mut Cursor<'_>, kind: IndexKind, replace: bool) -> Result<Read, Unread> {
    let mut read = Read::default();
    let if_not_exists = at.take(&["if", "not", "exists"]);
    let name = at.name()?;
    index::using(at)?;
    at.expect(&["on"])?;
    let table = at.table()?;
    read.lock_timeout = at.wait()?;
    let mut made = index::body(at, kind, Some(name))?;
    made.if_not_exists = if_not_exists;
    // MariaDB: the one that is there goes first.
    if let Some(name) = made.name.clone().filter(|_| replace) {
        let dropping = Dropping {
            if_exists: true,
            cascade: false,
        };
        let dropped = alter::dropped_index(name, table.clone(), dropping);
        read.operations.push(dropped);
    }
    read.operations
        .push(Operation::CreateIndex { table, index: made });
    while alter::algorithm_or_lock(at, &mut read)? {
        at.sign(",");
    }
    at.end()?;
    Ok(read)
}

/// Does `TRIGGER` come, perhaps behind a `DEFINER = user@host`?
fn is_trigger(at: &Cursor<'_>) -> bool {
    at.is("trigger") || (at.is("definer") && at.ahead_of_name("trigger"))
}

fn trigger(at: &mut Cursor<'_>, replace: bool) -> Result<Read, Unread> {
    while !at.take(&["trigger"]) {
        at.skip();
    }
    let or_there = at.take(&["if", "not", "exists"]) || replace;
    let name = at.table()?;
    // BEFORE | AFTER, INSERT | UPDATE | DELETE, and MariaDB's several of them.
    while !at.take(&["on"]) {
        if at.at_end() {
            return Err(at.unexpected("ON"));
        }
        at.skip();
    }
    let table = at.table()?;
    // It is in its table's database.
    let name = TableName::new(name.schema().or(table.schema()), name.name()).unwrap_or(name);
    Ok(Read::of(vec![Operation::ChangeTable {
        table,
        change: TableChange::CreateTrigger { name, or_there },
    }]))
}

/// What is created or altered behind the clauses that a view shares with routines: `ALGORITHM = MERGE DEFINER = a@b SQL
/// SECURITY INVOKER VIEW`.
fn behind_clauses(at: &Cursor<'_>) -> Option<&'static str> {
    let kinds = ["view", "trigger", "function", "procedure", "event"];
    if !at.is_any(&["algorithm", "definer", "sql", "view"]) {
        return None;
    }
    at.first_of(&kinds)
}

fn created_view(at: &mut Cursor<'_>, replace: bool) -> Result<Read, Unread> {
    while !at.take(&["view"]) {
        at.skip();
    }
    let or_there = at.take(&["if", "not", "exists"]) || replace;
    let table = at.table()?;
    Ok(Read::of(vec![Operation::CreateView { table, or_there }]))
}

fn altered_view(at: &mut Cursor<'_>) -> Result<Read, Unread> {
    if behind_clauses(at) != Some("view") {
        return Ok(Read::default());
    }
    while !at.take(&["view"]) {
        at.skip();
    }
    Ok(Read::of(vec![Operation::ChangeTable {
        table: at.table()?,
        change: TableChange::AlterView,
    }]))
}

fn drop(at: &mut Cursor<'_>) -> Result<Read, Unread> {
    at.take(&["temporary"]);
    if at.take_any(&["table", "tables"]) {
        let dropping = dropping(at);
        return each(at, |table| Operation::DropTable { table, dropping });
    }
    if at.take(&["view"]) {
        let dropping = dropping(at);
        return each(at, |table| Operation::DropView { table, dropping });
    }
    if at.take(&["trigger"]) {
        let dropping = dropping(at);
        return each(at, |table| Operation::ChangeTable {
            table,
            change: TableChange::DropNamedTrigger { dropping },
        });
    }
    at.take_any(&["online", "offline"]);
    at.expect(&["index"])?;
    let dropping = dropping(at);
    let name = at.name()?;
    at.expect(&["on"])?;
    let table = at.table()?;
    let mut read = Read {
        lock_timeout: at.wait()?,
        ..Read::default()
    };
    while alter::algorithm_or_lock(at, &mut read)? {
        at.sign(",");
    }
    at.end()?;
    read.operations
        .push(alter::dropped_index(name, table, dropping));
    Ok(read)
}

/// `IF EXISTS`, where it stands.
fn dropping(at: &mut Cursor<'_>) -> Dropping {
    Dropping {
        if_exists: at.take(&["if", "exists"]),
        cascade: false,
    }
}

fn rename(at: &mut Cursor<'_>) -> Result<Read, Unread> {
    let mut read = Read {
        if_table_exists: at.take(&["if", "exists"]),
        ..Read::default()
    };
    loop {
        let table = at.table()?;
        read.lock_timeout = at.wait()?.or(read.lock_timeout);
        at.expect(&["to"])?;
        read.operations.push(Operation::RenameTable {
            table,
            to: at.table()?,
        });
        if !at.sign(",") {
            break;
        }
    }
    at.end()?;
    Ok(read)
}

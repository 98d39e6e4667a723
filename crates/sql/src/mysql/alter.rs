//! `ALTER TABLE` (MySQL 8.4 manual, section 15.1.9; MariaDB, ALTER TABLE).

use dbop_model::operation::{
    Algorithm, Column, Constraint, ConstraintKind, Dropping, Index, IndexKind, IndexPart, Locking,
    Operation, Partitioning, ServerDefault, TableChange,
};
use dbop_model::table::{ColumnName, TableName};

use super::column::{check, definition, expression, named, references};
use super::cursor::{Cursor, Unread};
use super::index;
use crate::Read;

mod option;
mod partition;

/// Behind `ALTER [ONLINE] [IGNORE] TABLE`.
pub(super) fn table(at: &mut Cursor<'_>) -> Result<Read, Unread> {
    let mut read = Read {
        if_table_exists: at.take(&["if", "exists"]),
        ..Read::default()
    };
    let table = at.table()?;
    read.lock_timeout = at.wait()?;
    let (mut said_anything, mut comma) = (false, false);
    while !at.at_end() {
        if comma && partition::comes(at) {
            return Err("partitions stand behind all else, without a comma before them".to_owned());
        }
        action(at, &table, &mut read)?;
        said_anything = true;
        // Options of the table may stand beside each other without a comma.
        comma = at.sign(",");
    }
    if !said_anything {
        return Err("it alters nothing".to_owned());
    }
    Ok(read)
}

fn action(at: &mut Cursor<'_>, table: &TableName, read: &mut Read) -> Result<(), Unread> {
    if algorithm_or_lock(at, read)? {
        return Ok(());
    }
    let changed = |change: TableChange| Operation::ChangeTable {
        table: table.clone(),
        change,
    };
    let operations = if let Some(partitions) = partition::change(at)? {
        vec![changed(TableChange::Partitioning(partitions))]
    } else if at.take(&["add"]) {
        add(at, table)?
    } else if at.take(&["drop"]) {
        vec![drop(at, table)?]
    } else if at.take(&["modify"]) {
        at.take(&["column"]);
        let if_exists = at.take(&["if", "exists"]);
        let name = at.column()?;
        redefine(at, table, name, if_exists)?
    } else if at.take(&["change"]) {
        change(at, table)?
    } else if at.take(&["alter"]) {
        vec![alter(at, table)?]
    } else if at.take(&["rename"]) {
        vec![rename(at, table)?]
    } else if at.take(&["convert", "to"]) {
        vec![changed(option::charset(at)?)]
    } else if at.take(&["force"]) {
        vec![changed(TableChange::Rebuild)]
    } else if at.take(&["order", "by"]) {
        let columns = order(at)?;
        vec![changed(TableChange::Order { columns })]
    } else if at.is_any(&["enable", "disable"]) {
        let enable = at.is("enable");
        at.skip();
        at.expect(&["keys"])?;
        vec![changed(TableChange::Keys { enable })]
    } else if at.take_any(&["with", "without"]) {
        // WITH VALIDATION: of a generated column that is added, or of a partition that is exchanged.
        at.expect(&["validation"])?;
        Vec::new()
    } else if at.is_any(&["discard", "import"]) && at.is_then("tablespace") {
        return Err(
            "its rows are put away or exchanged, and what that does is not said".to_owned(),
        );
    } else {
        vec![changed(option::option(at)?)]
    };
    read.operations.extend(operations);
    Ok(())
}

/// A change of partitions, where one comes next, and the cursor goes to the end.
pub(super) fn partitioned(at: &mut Cursor<'_>) -> Result<Option<Partitioning>, Unread> {
    partition::change(at)
}

/// `ALGORITHM [=] ...` and `LOCK [=] ...`; was it one of them?
pub(super) fn algorithm_or_lock(at: &mut Cursor<'_>, read: &mut Read) -> Result<bool, Unread> {
    if at.take(&["algorithm"]) {
        at.sign("=");
        read.algorithm = match () {
            () if at.take(&["instant"]) => Some(Algorithm::Instant),
            () if at.take(&["nocopy"]) => Some(Algorithm::NoCopy),
            () if at.take(&["inplace"]) => Some(Algorithm::InPlace),
            () if at.take(&["copy"]) => Some(Algorithm::Copy),
            () if at.take(&["default"]) => None,
            () => return Err(at.unexpected("an algorithm")),
        };
        return Ok(true);
    }
    if at.take(&["lock"]) {
        at.sign("=");
        read.locking = match () {
            () if at.take(&["none"]) => Some(Locking::None),
            () if at.take(&["shared"]) => Some(Locking::Shared),
            () if at.take(&["exclusive"]) => Some(Locking::Exclusive),
            () if at.take(&["default"]) => None,
            () => return Err(at.unexpected("a lock")),
        };
        return Ok(true);
    }
    Ok(false)
}

fn add(at: &mut Cursor<'_>, table: &TableName) -> Result<Vec<Operation>, Unread> {
    if at.take(&["system", "versioning"]) || at.take(&["period", "for"]) {
        while !at.at_end() && !at.is_sign(",") {
            at.until(&[])?;
        }
        return Ok(vec![Operation::ChangeTable {
            table: table.clone(),
            change: TableChange::Versioning { add: true },
        }]);
    }
    if let Some(operation) = indexed(at, table)? {
        return Ok(vec![operation]);
    }
    at.take(&["column"]);
    let if_not_exists = at.take(&["if", "not", "exists"]);
    if !at.sign("(") {
        let mut operation = added(at, table)?;
        if let Operation::AddColumn { columns, .. } = &mut operation {
            for column in columns {
                column.if_not_exists = if_not_exists;
            }
        }
        return Ok(vec![operation]);
    }
    // Several columns, and indexes among them.
    let mut operations = Vec::new();
    loop {
        match indexed(at, table)? {
            Some(operation) => operations.push(operation),
            None => operations.push(added(at, table)?),
        }
        if !at.sign(",") {
            break;
        }
    }
    at.expect_sign(")")?;
    Ok(operations)
}

fn added(at: &mut Cursor<'_>, table: &TableName) -> Result<Operation, Unread> {
    let name = at.column()?;
    let column = definition(at, name)?;
    Operation::add_column(table.clone(), vec![column]).map_err(|error| error.to_string())
}

/// An index or a constraint, where one comes next; else the cursor has not moved.
pub(super) fn indexed(at: &mut Cursor<'_>, table: &TableName) -> Result<Option<Operation>, Unread> {
    let created = |index| Operation::CreateIndex {
        table: table.clone(),
        index,
    };
    let constrained = |constraint| Operation::AddConstraint {
        table: table.clone(),
        constraint,
    };
    if at.is("vector") && (at.is_then("index") || at.is_then("key") || at.is_then("(")) {
        return Err("a VECTOR index is not known yet".to_owned());
    }
    let (constraint_name, constraint_passes) = named(at)?;
    if at.take(&["primary", "key"]) {
        index::using(at)?;
        let parts = index::parts(at)?;
        index::options(at)?;
        let column = |part: IndexPart| match part {
            IndexPart::Column(name) => Ok(name),
            // No rule looks at a key by what it holds of a column.
            IndexPart::Prefix(..) | IndexPart::Expression(_) => {
                Err("a primary key over a part of a column is not known yet".to_owned())
            }
        };
        let columns = parts
            .into_iter()
            .map(column)
            .collect::<Result<Vec<_>, _>>()?;
        let mut key = Constraint::new(ConstraintKind::PrimaryKey, columns)
            .map_err(|error| error.to_string())?;
        key.name = constraint_name;
        return Ok(Some(constrained(key)));
    }
    if at.take(&["foreign", "key"]) {
        let if_not_exists = at.take(&["if", "not", "exists"]);
        let name = at.name_unless(&[])?;
        let columns = at.names()?;
        let mut key = references(at, columns)?;
        key.name = constraint_name.or(name);
        key.if_not_exists = if_not_exists || constraint_passes;
        return Ok(Some(constrained(key)));
    }
    if at.is("check") && (constraint_name.is_some() || at.is_then("(")) {
        let mut check = check(at, Vec::new())?;
        check.name = constraint_name;
        check.if_not_exists = constraint_passes;
        return Ok(Some(constrained(check)));
    }
    let kind = match () {
        () if at.take(&["unique"]) => IndexKind::Unique,
        () if at.take(&["fulltext"]) => IndexKind::Fulltext,
        () if at.take(&["spatial"]) => IndexKind::Spatial,
        () if at.is_any(&["index", "key"]) => IndexKind::Plain,
        () if constraint_name.is_some() => return Err(at.unexpected("a constraint")),
        () => return Ok(None),
    };
    at.take_any(&["index", "key"]);
    let if_not_exists = at.take(&["if", "not", "exists"]);
    // TYPE is a name where parentheses follow it.
    let keywords: &[&str] = if at.is_then("(") {
        &[]
    } else {
        &["using", "type"]
    };
    let name = at.name_unless(keywords)?;
    let mut made = index::body(at, kind, name.or(constraint_name))?;
    made.if_not_exists = if_not_exists || constraint_passes;
    Ok(Some(created(made)))
}

fn drop(at: &mut Cursor<'_>, table: &TableName) -> Result<Operation, Unread> {
    let dropped = |constraint, dropping| Operation::DropConstraint {
        table: table.clone(),
        constraint,
        dropping,
    };
    if at.take(&["system", "versioning"]) || at.take(&["period", "for"]) {
        at.until(&[]).ok();
        return Ok(Operation::ChangeTable {
            table: table.clone(),
            change: TableChange::Versioning { add: false },
        });
    }
    if at.take(&["primary", "key"]) {
        let key = Constraint::without_columns(ConstraintKind::PrimaryKey);
        return Ok(dropped(key, Dropping::default()));
    }
    let kind = match () {
        () if at.take(&["foreign", "key"]) => Some(ConstraintKind::ForeignKey),
        () if at.is("check") && !at.is_then(",") => {
            at.skip();
            Some(ConstraintKind::Check)
        }
        () => None,
    };
    if kind.is_some() || at.take(&["constraint"]) {
        let dropping = super::dropping(at);
        let name = at.name()?;
        let constraint = match kind {
            None => Constraint::only_named(name),
            Some(kind) => {
                let mut constraint = Constraint::without_columns(kind);
                constraint.name = Some(name);
                constraint
            }
        };
        return Ok(dropped(constraint, dropping));
    }
    if at.take_any(&["index", "key"]) {
        let dropping = super::dropping(at);
        return Ok(dropped_index(at.name()?, table.clone(), dropping));
    }
    at.take(&["column"]);
    let dropping = super::dropping(at);
    let column = at.column()?;
    at.take_any(&["restrict", "cascade"]);
    Ok(Operation::DropColumn {
        table: table.clone(),
        columns: vec![column],
        dropping,
    })
}

/// An index by its name; that of the primary key is always `PRIMARY`.
pub(super) fn dropped_index(name: ColumnName, table: TableName, dropping: Dropping) -> Operation {
    if name.as_str().eq_ignore_ascii_case("primary") {
        let constraint = Constraint::without_columns(ConstraintKind::PrimaryKey);
        return Operation::DropConstraint {
            table,
            constraint,
            dropping,
        };
    }
    Operation::DropIndex {
        table,
        by_name: false,
        name: Some(name),
        columns: Vec::new(),
        online: false,
        dropping,
    }
}

/// A definition; keys in it are operations of their own, on a column that is there.
fn redefine(
    at: &mut Cursor<'_>,
    table: &TableName,
    name: ColumnName,
    if_exists: bool,
) -> Result<Vec<Operation>, Unread> {
    let mut column = definition(at, name)?;
    column.redefined = true;
    column.if_exists = if_exists;
    let is_key = |constraint: &Constraint| constraint.kind() != ConstraintKind::Check;
    let (keys, checks) = std::mem::take(&mut column.constraints)
        .into_iter()
        .partition(is_key);
    let keys: Vec<Constraint> = keys;
    column.constraints = checks;
    let altered = Operation::alter_column(table.clone(), vec![column]);
    let mut operations = vec![altered.map_err(|error| error.to_string())?];
    operations.extend(keys.into_iter().map(|constraint| {
        let table = table.clone();
        if constraint.kind() == ConstraintKind::Unique {
            let index = Index::new(IndexKind::Unique, constraint.columns().to_vec());
            Operation::CreateIndex { table, index }
        } else {
            Operation::AddConstraint { table, constraint }
        }
    }));
    Ok(operations)
}

/// `CHANGE old new definition`.
fn change(at: &mut Cursor<'_>, table: &TableName) -> Result<Vec<Operation>, Unread> {
    at.take(&["column"]);
    let if_exists = at.take(&["if", "exists"]);
    let (from, to) = (at.column()?, at.column()?);
    let mut operations = redefine(at, table, to.clone(), if_exists)?;
    if from.as_str() != to.as_str() {
        let renamed = Operation::RenameColumn {
            table: table.clone(),
            from,
            to,
            if_exists,
        };
        operations.insert(0, renamed);
    }
    Ok(operations)
}

fn alter(at: &mut Cursor<'_>, table: &TableName) -> Result<Operation, Unread> {
    let changed = |change: TableChange| Operation::ChangeTable {
        table: table.clone(),
        change,
    };
    if at.take_any(&["index", "key"]) {
        let if_exists = at.take(&["if", "exists"]);
        let name = at.name()?;
        let hidden = at.take_any(&["invisible", "ignored"]);
        if !(hidden || at.take(&["visible"]) || at.take(&["not", "ignored"])) {
            return Err(at.unexpected("VISIBLE or INVISIBLE"));
        }
        return Ok(changed(TableChange::HideIndex {
            name,
            hidden,
            if_exists,
        }));
    }
    if at.take_any(&["check", "constraint"]) {
        let name = at.name()?;
        if at.take(&["not", "enforced"]) {
            return Ok(changed(TableChange::Unenforce { name }));
        }
        at.expect(&["enforced"])?;
        return Ok(changed(TableChange::ValidateConstraint { name }));
    }
    at.take(&["column"]);
    let if_exists = at.take(&["if", "exists"]);
    let mut column = Column::new(at.column()?);
    column.if_exists = if_exists;
    if at.take(&["set", "default"]) {
        column.default = ServerDefault::Expression(expression(at)?);
    } else if at.take(&["drop", "default"]) {
        column.default = ServerDefault::Absent;
    } else if at.take(&["set", "visible"]) || at.take(&["set", "invisible"]) {
        return Ok(changed(TableChange::HideColumn { name: column.name }));
    } else {
        return Err(at.unexpected("SET DEFAULT or DROP DEFAULT"));
    }
    Operation::alter_column(table.clone(), vec![column]).map_err(|error| error.to_string())
}

fn rename(at: &mut Cursor<'_>, table: &TableName) -> Result<Operation, Unread> {
    if at.take(&["column"]) {
        let if_exists = at.take(&["if", "exists"]);
        let from = at.column()?;
        at.expect(&["to"])?;
        return Ok(Operation::RenameColumn {
            table: table.clone(),
            from,
            to: at.column()?,
            if_exists,
        });
    }
    if at.take_any(&["index", "key"]) {
        let if_exists = at.take(&["if", "exists"]);
        let from = at.name()?;
        at.expect(&["to"])?;
        return Ok(Operation::ChangeTable {
            table: table.clone(),
            change: TableChange::RenameOwnIndex {
                from,
                to: at.name()?,
                if_exists,
            },
        });
    }
    if !at.take_any(&["to", "as"]) {
        at.sign("=");
    }
    Ok(Operation::RenameTable {
        table: table.clone(),
        to: at.table()?,
    })
}

/// The columns of `ORDER BY`, up to the end: their commas are no ends of actions.
fn order(at: &mut Cursor<'_>) -> Result<Vec<ColumnName>, Unread> {
    let mut columns = Vec::new();
    loop {
        columns.push(at.column()?);
        at.take_any(&["asc", "desc"]);
        if !at.sign(",") {
            return Ok(columns);
        }
    }
}

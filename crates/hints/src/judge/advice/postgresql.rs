//! PostgreSQL's ways out: CONCURRENTLY; NOT VALID and VALIDATE; a CHECK before SET NOT NULL; a new column beside the old.

use dbop_model::operation::{Column, Constraint, ConstraintKind, Operation, ServerDefault};
use dbop_model::table::TableKind;

use super::prove_not_null;
use crate::case::Case;
use crate::effect::Form as AnyForm;
use crate::effect::postgresql::Form;
use crate::sql;

/// From this version on a generated column can be virtual.
const FIRST_WITH_VIRTUAL: u32 = 18;

pub(super) fn of(case: &Case<'_>) -> Vec<String> {
    let mut advice: Vec<String> = Vec::new();
    for form in &case.prediction.forms {
        if let AnyForm::PostgreSql(form) = form {
            for way in way(case, *form) {
                if !advice.contains(&way) {
                    advice.push(way);
                }
            }
        }
    }
    if case.step.statement.transaction.is_some() {
        advice.push(
            "end the transaction before the slow statement, so that no lock of it is held meanwhile"
                .to_owned(),
        );
    }
    if advice.is_empty() {
        advice.push("run the statement's actions one by one, each by itself".to_owned());
    }
    advice
}

fn way(case: &Case<'_>, form: Form) -> Vec<String> {
    let dialect = case.dialect();
    let table = dialect.table(case.table());
    let added = added(case);
    match (form, case.step.operation) {
        (Form::AddColumnVolatile, _) => added.map(|c| volatile(case, &table, c)).collect(),
        (Form::AddColumnNumbered, _) => added.map(|c| numbered(case, &table, c)).collect(),
        (Form::AddColumnStored, _) if case.server.major >= FIRST_WITH_VIRTUAL => {
            added.map(|column| as_virtual(case, &table, column)).collect()
        }
        (Form::AddColumnStored, _) => {
            vec!["add a plain column that a trigger fills, and fill the old rows in batches".to_owned()]
        }
        (Form::AddColumnDomain, _) => vec![
            "add it with the domain's base type; give the table the domain's CHECK as a constraint \
             that is NOT VALID; and validate that in another transaction"
                .to_owned(),
        ],
        (Form::AddColumnUnique, _) => added
            .map(|column| {
                let name = dialect.column(&column.name);
                let key = dialect.name(&format!(
                    "{}_{}_key",
                    sql::plain(case.table().name(), 30),
                    sql::plain(column.name.as_str(), 24)
                ));
                format!(
                    "add it without UNIQUE{}; then, outside of a transaction: CREATE UNIQUE INDEX \
                     CONCURRENTLY {key} ON {table} ({name}); then, in an instant: ALTER TABLE \
                     {table} ADD CONSTRAINT {key} UNIQUE USING INDEX {key};",
                    plain_column(case, &table, column)
                )
            })
            .collect(),
        (Form::AddColumnCheck, _) => added
            .map(|column| constrained_later(case, column, ConstraintKind::Check))
            .collect(),
        (Form::AddColumnReferencesDefault, _) => added
            .map(|column| constrained_later(case, column, ConstraintKind::ForeignKey))
            .collect(),
        (Form::SetNotNull, operation) => operation
            .becoming_not_null()
            .into_iter()
            .map(|column| prove_not_null(case, column))
            .collect(),
        (Form::PrimaryKeyReadyNullable, _) => {
            vec!["make the index's columns NOT NULL first, each by a validated CHECK".to_owned()]
        }
        (Form::Check | Form::ForeignKey, Operation::AddConstraint { constraint, .. }) => {
            vec![not_valid(case, constraint)]
        }
        (Form::IndexConstraint, Operation::AddConstraint { constraint, .. }) => {
            vec![using_index(case, constraint)]
        }
        (Form::CreateIndex, Operation::CreateIndex { index, .. }) => {
            let name = sql::index_name(case.table(), index);
            let clause = dialect.index(index, &name);
            let clause = clause.replacen("INDEX ", "INDEX CONCURRENTLY ", 1);
            let (head, tail) = clause.rsplit_once(" (").unwrap_or((&clause, ""));
            if case.present().is_some_and(|t| t.kind == TableKind::Partitioned) {
                let name = dialect.name(&name);
                vec![format!(
                    "create it on the parent alone: CREATE INDEX {name} ON ONLY {table} ({tail}; \
                     then CONCURRENTLY on each partition, and attach each of those to it"
                )]
            } else {
                let predicate = index.predicate.as_deref();
                let only = predicate.map_or_else(String::new, |text| format!(" WHERE {text}"));
                vec![format!(
                    "build it while writes go on, outside of a transaction: CREATE {head} ON \
                     {table} ({tail}{only};"
                )]
            }
        }
        (Form::Reindex, _) => vec![format!(
            "build it while reads and writes go on: REINDEX TABLE CONCURRENTLY {table};"
        )],
        (Form::TypeRewritten, Operation::AlterColumn { columns, .. }) => columns
            .iter()
            .filter(|column| column.sql_type.is_some())
            .map(|column| new_column(case, column))
            .collect(),
        (Form::TypeReindexed, _) => vec![
            "drop the indexes over the column first (DROP INDEX CONCURRENTLY), change the type, and \
             build them anew (CREATE INDEX CONCURRENTLY)"
                .to_owned(),
        ],
        (Form::TypeChecked, _) => vec![
            "drop the CHECK first, change the type, add the CHECK as NOT VALID, and VALIDATE it in \
             another transaction"
                .to_owned(),
        ],
        (Form::Rewrite, _) => vec![format!(
            "write it anew while reads and writes go on: pg_repack --table={table}"
        )],
        (Form::Attach, _) => vec![
            "give the partition a CHECK that implies its bound first, as NOT VALID, and VALIDATE it; \
             then attaching it reads nothing"
                .to_owned(),
        ],
        _ => Vec::new(),
    }
}

fn added<'a>(case: &Case<'a>) -> impl Iterator<Item = &'a Column> {
    let columns = match case.step.operation {
        Operation::AddColumn { columns, .. } => columns.as_slice(),
        _ => &[],
    };
    columns.iter()
}

/// Rows that are filled at once: enough to go on, few enough that who wants one of them waits for an instant.
const BATCH_ROWS: u32 = 5000;

fn volatile(case: &Case<'_>, table: &str, column: &Column) -> String {
    let name = case.dialect().column(&column.name);
    let (Some(sql_type), ServerDefault::Expression(default)) = (&column.sql_type, &column.default)
    else {
        return "add it without the default, set the default for new rows, and fill the old rows in \
                batches"
            .to_owned();
    };
    format!(
        "add it without the default: ALTER TABLE {table} ADD COLUMN {name} {}; set the default for \
         new rows: ALTER TABLE {table} ALTER COLUMN {name} SET DEFAULT {default}; {}{}",
        sql_type.name(),
        filled(case, &name, default, ""),
        at_last_not_null(case, column)
    )
}

fn numbered(case: &Case<'_>, table: &str, column: &Column) -> String {
    let dialect = case.dialect();
    let name = dialect.column(&column.name);
    let sql_type = column.sql_type.as_ref().map_or("bigint", |t| t.name());
    let plain = match sql_type.to_ascii_lowercase().as_str() {
        "serial" | "serial4" => "integer",
        "bigserial" | "serial8" => "bigint",
        "smallserial" | "serial2" => "smallint",
        _ => sql_type,
    };
    // It is owned by a table of its own schema alone.
    let schema = case
        .table()
        .schema()
        .map(|schema| dialect.name(schema) + ".");
    let sequence = format!(
        "{}{}_{}_seq",
        schema.unwrap_or_default(),
        sql::plain(case.table().name(), 28),
        sql::plain(column.name.as_str(), 28)
    );
    let next = format!("nextval('{sequence}')");
    format!(
        "add it plain: ALTER TABLE {table} ADD COLUMN {name} {plain}; set a sequence as its default \
         for new rows: CREATE SEQUENCE {sequence} OWNED BY {table}.{name}; ALTER TABLE {table} \
         ALTER COLUMN {name} SET DEFAULT {next}; {}; {}",
        filled(case, &name, &next, ""),
        prove_not_null(case, &column.name)
    )
}

/// Statements that fill rows: one that fills some of them, and is said again until all are, with an index meanwhile that
/// finds those that are left. They end without the last semicolon. `NULL` in `column` says that a row is left, with
/// `besides` where not every such row is.
fn filled(case: &Case<'_>, column: &str, value: &str, besides: &str) -> String {
    let table = case.dialect().table(case.table());
    let left = format!("{column} IS NULL{besides}");
    let update = |order: &str| {
        format!(
            "a statement that is repeated until it changes no row (a batch file of dbop-migrate is): \
             UPDATE {table} SET {column} = {value} WHERE {left} AND ctid = ANY (ARRAY(SELECT ctid \
             FROM {table} WHERE {left}{order} LIMIT {BATCH_ROWS}))"
        )
    };
    let is_partitioned = case
        .present()
        .is_some_and(|t| t.kind == TableKind::Partitioned);
    if is_partitioned {
        return format!("fill the old rows in batches, by {}", update(""));
    }
    let index = case
        .dialect()
        .name(&format!("{}_left", sql::plain(column, 50)));
    let schema = case.table().schema();
    let dropped = schema.map_or_else(String::new, |schema| case.dialect().name(schema) + ".");
    format!(
        "fill the old rows in batches, outside of a transaction, with an index of those that are \
         left: CREATE INDEX CONCURRENTLY {index} ON {table} (({column} IS NULL)) WHERE {left}; by {}; \
         DROP INDEX CONCURRENTLY {dropped}{index}",
        update(&format!(" ORDER BY ({column} IS NULL)"))
    )
}

/// What is left to do for a column that is to be NOT NULL, when every row has a value; with the end of what was before.
fn at_last_not_null(case: &Case<'_>, column: &Column) -> String {
    match column.nullable {
        Some(false) => format!("; {}", prove_not_null(case, &column.name)),
        Some(true) | None => ";".to_owned(),
    }
}

fn as_virtual(case: &Case<'_>, table: &str, column: &Column) -> String {
    match sql::virtual_type(column) {
        Some(sql_type) => format!(
            "make it VIRTUAL, which stores nothing: ALTER TABLE {table} ADD COLUMN {} {sql_type};",
            case.dialect().column(&column.name)
        ),
        None => "make it VIRTUAL, which stores nothing".to_owned(),
    }
}

/// A column as a statement that adds it without its constraints, after a colon; nothing, where its type is not said.
fn plain_column(case: &Case<'_>, table: &str, column: &Column) -> String {
    match column.sql_type {
        Some(_) => format!(
            ": ALTER TABLE {table} ADD COLUMN {}",
            case.dialect().definition(column)
        ),
        None => String::new(),
    }
}

/// A column first, and what holds of it afterwards.
fn constrained_later(case: &Case<'_>, column: &Column, kind: ConstraintKind) -> String {
    let table = case.dialect().table(case.table());
    let later: Vec<String> = column
        .constraints
        .iter()
        .filter(|constraint| constraint.kind() == kind)
        .map(|constraint| not_valid(case, constraint))
        .collect();
    format!(
        "add it without its constraint{}; {}",
        plain_column(case, &table, column),
        later.join(" ")
    )
}

fn not_valid(case: &Case<'_>, constraint: &Constraint) -> String {
    const HOW: &str = "add it for new rows, which takes an instant";
    let dialect = case.dialect();
    let table = dialect.table(case.table());
    let name = sql::constraint_name(case.table(), constraint);
    let added = match own_words(case, constraint) {
        Some(own) => own.to_owned(),
        None if dialect.can_write_constraint(constraint) => {
            format!(
                "ALTER TABLE {table} ADD {}",
                dialect.constraint(constraint, &name)
            )
        }
        None => {
            return format!(
                "{HOW}, as NOT VALID; then, in another transaction, while reads and writes go on, \
                 VALIDATE it"
            );
        }
    };
    let name = dialect.name(&name);
    format!(
        "{HOW}: {added} NOT VALID; \
         then, in another transaction, while reads and writes go on: ALTER TABLE {table} VALIDATE \
         CONSTRAINT {name};"
    )
}

/// A statement that does nothing but add this constraint under a name, in its own words: they say more than what is
/// kept of them (`ON DELETE CASCADE`).
fn own_words<'a>(case: &Case<'a>, constraint: &Constraint) -> Option<&'a str> {
    let statement = case.step.statement;
    let is_alone = matches!(
        statement.operations.as_slice(),
        [Operation::AddConstraint { .. }]
    );
    (is_alone && constraint.name.is_some())
        .then(|| sql::whole_text(statement))
        .flatten()
}

fn using_index(case: &Case<'_>, constraint: &Constraint) -> String {
    let dialect = case.dialect();
    let table = dialect.table(case.table());
    if constraint.kind() == ConstraintKind::Exclude {
        return "an exclusion has no way to be built while writes go on: add it while nobody uses \
                the table, or to a new table that is filled in batches"
            .to_owned();
    }
    if case
        .present()
        .is_some_and(|t| t.kind == TableKind::Partitioned)
    {
        return format!(
            "build a unique index CONCURRENTLY on each partition of {table}, create one ON ONLY the \
             parent, and attach each"
        );
    }
    let name = dialect.name(&sql::constraint_name(case.table(), constraint));
    let columns = dialect.columns(constraint.columns());
    let kind = if constraint.kind() == ConstraintKind::PrimaryKey {
        "PRIMARY KEY"
    } else {
        "UNIQUE"
    };
    let nulls = if constraint.nulls_equal {
        " NULLS NOT DISTINCT"
    } else {
        ""
    };
    format!(
        "build its index while writes go on, outside of a transaction: CREATE UNIQUE INDEX \
         CONCURRENTLY {name} ON {table} ({columns}){nulls}; then, in an instant: ALTER TABLE \
         {table} ADD CONSTRAINT {name} {kind} USING INDEX {name};"
    )
}

fn new_column(case: &Case<'_>, column: &Column) -> String {
    let dialect = case.dialect();
    let table = dialect.table(case.table());
    let sql_type = column.sql_type.as_ref().map_or("<type>", |t| t.as_str());
    let (old, new) = (
        dialect.column(&column.name),
        dialect.name(&format!("{}_new", column.name)),
    );
    format!(
        "add a column beside it: ALTER TABLE {table} ADD COLUMN {new} {sql_type}; have a trigger \
         keep both alike; {}; have the application use {new}, and drop {old} in a later migration",
        filled(case, &new, &old, &format!(" AND {old} IS NOT NULL"))
    )
}

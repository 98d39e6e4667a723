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
        (Form::AddColumnVolatile, _) => added.map(|c| volatile(&table, c)).collect(),
        (Form::AddColumnNumbered, _) => added.map(|c| numbered(case, &table, c)).collect(),
        (Form::AddColumnStored, _) if case.server.major >= FIRST_WITH_VIRTUAL => vec![
            "make it VIRTUAL, which stores nothing; or add a plain column that a trigger fills, and \
             fill the old rows in batches"
                .to_owned(),
        ],
        (Form::AddColumnStored, _) => {
            vec!["add a plain column that a trigger fills, and fill the old rows in batches".to_owned()]
        }
        (Form::AddColumnDomain, _) => vec![format!(
            "add it with the domain's base type, then its CHECK as NOT VALID (ALTER TABLE {table} \
             ADD CONSTRAINT ... CHECK (...) NOT VALID), then VALIDATE CONSTRAINT"
        )],
        (Form::AddColumnUnique, _) => added
            .map(|column| {
                let name = dialect.column(&column.name);
                let key = dialect.name(&format!(
                    "{}_{}_key",
                    sql::plain(case.table().name(), 30),
                    sql::plain(column.name.as_str(), 24)
                ));
                format!(
                    "add it without UNIQUE; then CREATE UNIQUE INDEX CONCURRENTLY {key} ON {table} \
                     ({name}); then ALTER TABLE {table} ADD CONSTRAINT {key} UNIQUE USING INDEX \
                     {key}"
                )
            })
            .collect(),
        (Form::AddColumnCheck, _) => vec![format!(
            "add it without CHECK; then ALTER TABLE {table} ADD CONSTRAINT ... CHECK (...) NOT \
             VALID; then, in another transaction, VALIDATE CONSTRAINT"
        )],
        (Form::AddColumnReferencesDefault, _) => vec![format!(
            "add it without REFERENCES; then ALTER TABLE {table} ADD CONSTRAINT ... FOREIGN KEY \
             (...) REFERENCES ... NOT VALID; then, in another transaction, VALIDATE CONSTRAINT"
        )],
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
                    "create it ON ONLY the parent (CREATE INDEX {name} ON ONLY {table} ({tail}), \
                     then CONCURRENTLY on each partition, and attach each (ALTER INDEX {name} ATTACH \
                     PARTITION ...)"
                )]
            } else {
                let predicate = index.predicate.as_deref();
                let only = predicate.map_or_else(String::new, |text| format!(" WHERE {text}"));
                vec![format!(
                    "build it while writes go on, outside of a transaction: CREATE {head} ON \
                     {table} ({tail}{only}"
                )]
            }
        }
        (Form::Reindex, _) => vec![format!(
            "build it while reads and writes go on: REINDEX TABLE CONCURRENTLY {table}"
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

fn volatile(table: &str, column: &Column) -> String {
    let name = crate::sql::Dialect::PostgreSql.column(&column.name);
    let sql_type = column.sql_type.as_ref().map_or("<type>", |t| t.name());
    let default = match &column.default {
        ServerDefault::Expression(text) => text.as_str(),
        _ => "...",
    };
    format!(
        "add it without the default (ALTER TABLE {table} ADD COLUMN {name} {sql_type}), set the \
         default for new rows (ALTER TABLE {table} ALTER COLUMN {name} SET DEFAULT {default}), and \
         fill the old rows in batches (UPDATE {table} SET {name} = {default} WHERE {name} IS NULL, \
         some thousand rows in each transaction)"
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
    let sequence = format!(
        "{}_{}_seq",
        sql::plain(case.table().name(), 28),
        sql::plain(column.name.as_str(), 28)
    );
    format!(
        "add it plain (ALTER TABLE {table} ADD COLUMN {name} {plain}), set a sequence as its \
         default for new rows (CREATE SEQUENCE {sequence} OWNED BY {table}.{name}; ALTER TABLE \
         {table} ALTER COLUMN {name} SET DEFAULT nextval('{sequence}')), fill the old rows in \
         batches, and make it NOT NULL by a validated CHECK"
    )
}

fn not_valid(case: &Case<'_>, constraint: &Constraint) -> String {
    let dialect = case.dialect();
    let table = dialect.table(case.table());
    let name = sql::constraint_name(case.table(), constraint);
    let clause = dialect.constraint(constraint, &name);
    let name = dialect.name(&name);
    format!(
        "add it for new rows, which takes an instant: ALTER TABLE {table} ADD {clause} NOT VALID; \
         then, in another transaction, while reads and writes go on, ALTER TABLE {table} VALIDATE \
         CONSTRAINT {name}"
    )
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
         CONCURRENTLY {name} ON {table} ({columns}){nulls}; then, in an instant, ALTER TABLE \
         {table} ADD CONSTRAINT {name} {kind} USING INDEX {name}"
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
        "add a column beside it (ALTER TABLE {table} ADD COLUMN {new} {sql_type}), have a trigger \
         keep both alike, fill the old rows in batches (UPDATE {table} SET {new} = {old} WHERE \
         {new} IS NULL, some thousand rows in each transaction), have the application use {new}, \
         and drop {old} in a later migration"
    )
}

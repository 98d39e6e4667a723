//! New tables whose own definition contradicts itself.

use std::collections::BTreeSet;

use dbop_model::Engine;
use dbop_model::operation::{
    Column, ConstraintKind, Filled, Index, IndexPart, Operation, ServerDefault, SqlType,
    TableChange,
};
use dbop_model::table::ColumnName;

use super::{Refusal, one, seen};
use crate::case::Case;
use crate::steps::Standing;

/// Columns that every table of PostgreSQL has (manual, section 5.6).
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

/// A column that is named twice, or as one that every table has.
pub(super) fn column_is_there_twice(case: &Case<'_>) -> Vec<Refusal> {
    let columns = match case.step.operation {
        Operation::CreateTable { columns, .. } if matches!(case.standing, Standing::Missing) => {
            columns
        }
        Operation::AddColumn { columns, .. } if case.step.statement.is_sql() => columns,
        _ => return Vec::new(),
    };
    let mut seen_before: BTreeSet<&ColumnName> = BTreeSet::new();
    let twice = columns
        .iter()
        .find(|column| !seen_before.insert(&column.name));
    let of_system = columns.iter().find(|column| {
        case.server.engine == Engine::PostgreSql && SYSTEM_COLUMNS.contains(&column.name.as_str())
    });
    let why = match (twice, of_system) {
        (Some(column), _) => format!("{} is there twice", column.name),
        (None, Some(column)) => format!("every table has a column {} of its own", column.name),
        (None, None) => return Vec::new(),
    };
    vec![seen(
        case,
        why.clone(),
        format!("{} cannot be: {why}", case.step.operation),
        vec!["give one of the two another name".to_owned()],
    )]
}

/// A unique key of a new partitioned table holds the whole partition key (manual, section 5.12.2.3).
pub(super) fn key_leaves_out(case: &Case<'_>) -> Vec<Refusal> {
    let Operation::AddConstraint { constraint, .. } = case.step.operation else {
        return Vec::new();
    };
    let is_key = matches!(
        constraint.kind(),
        ConstraintKind::Unique | ConstraintKind::PrimaryKey
    );
    if !is_key || !case.step.statement.defines(case.step.operation) {
        return Vec::new();
    }
    let split_by = case
        .step
        .statement
        .operations
        .iter()
        .find_map(|one| match one {
            Operation::CreateTable { options, .. } => Some(&options.split_by),
            _ => None,
        });
    let mut columns = split_by.into_iter().flatten();
    one(columns
        .find(|column| !constraint.columns().contains(column))
        .map(|column| {
            let why = format!("it leaves out {column}, by which the table is partitioned");
            seen(
                case,
                why.clone(),
                format!("{} cannot be: {why}", case.step.operation),
                vec!["add the columns of the partition key to it".to_owned()],
            )
        }))
}

/// A column that could not be added to a table of the others: its type, its letters, its default, what it is computed of.
pub(super) fn column_is_refused(case: &Case<'_>) -> Vec<Refusal> {
    let Operation::CreateTable { table, columns, .. } = case.step.operation else {
        return Vec::new();
    };
    if !matches!(case.standing, Standing::Missing) {
        return Vec::new();
    }
    let refused = |column: &Column| {
        let own = Column {
            // Keys and constraints are looked at by themselves.
            constraints: Vec::new(),
            // What is computed is looked at by itself, too: of a column that is added, it has to suit the rows of today.
            default: match &column.default {
                ServerDefault::Expression(text) if text.starts_with('(') => ServerDefault::NotSaid,
                default => default.clone(),
            },
            ..column.clone()
        };
        let added = Operation::add_column(table.clone(), vec![own]).ok()?;
        let of_it = case.of_column(&added, &column.name)?;
        let refusal = crate::effect::refusal(&of_it)?;
        Some(Refusal {
            claim: format!("{}: {}", column.name, refusal.why),
            evidence: Vec::new(),
            advice: refusal.advice,
        })
    };
    columns.iter().filter_map(refused).take(1).collect()
}

/// A column that counts on needs a key that begins with it, and a table has one such column (MySQL 8.4 manual, section
/// 5.6.9; error 1075).
pub(super) fn numbering(case: &Case<'_>) -> Vec<Refusal> {
    let Operation::CreateTable {
        columns,
        options,
        complete: true,
        ..
    } = case.step.operation
    else {
        return Vec::new();
    };
    if !matches!(case.standing, Standing::Missing) {
        return Vec::new();
    }
    let counts = |column: &&Column| {
        let filled = column.sql_type.as_ref().map(SqlType::filled);
        matches!(filled, Some(Filled::AutoIncrement | Filled::Serial))
    };
    let counting: Vec<&Column> = columns.iter().filter(counts).collect();
    let first_of = |one: &Operation| match one {
        Operation::AddConstraint { constraint, .. }
            if matches!(
                constraint.kind(),
                ConstraintKind::PrimaryKey | ConstraintKind::Unique
            ) =>
        {
            constraint.columns().first().cloned()
        }
        Operation::CreateIndex {
            index: Index { parts, .. },
            ..
        } => match parts.first() {
            Some(IndexPart::Column(name)) => Some(name.clone()),
            _ => None,
        },
        _ => None,
    };
    let leads = |name: &ColumnName| {
        let mut own = case.step.statement.operations.iter();
        own.any(|one| first_of(one).as_ref() == Some(name))
    };
    // Those of MyISAM and Aria may stand behind others in their key.
    let innodb = options
        .engine
        .as_ref()
        .is_none_or(|engine| engine.eq_ignore_ascii_case("innodb"));
    let (why, advice) = match counting.as_slice() {
        [one, other, ..] => (
            format!("{} and {} both count on", one.name, other.name),
            "leave AUTO_INCREMENT out of one of them",
        ),
        [one] if innodb && !leads(&one.name) => (
            format!("no index begins with {}, which counts on", one.name),
            "make it a key",
        ),
        _ => return Vec::new(),
    };
    vec![seen(case, why.clone(), why, vec![advice.to_owned()])]
}

/// A storage engine that the server has not, a character set or a collation; said as ALTER TABLE would have it.
pub(super) fn options_are_refused(case: &Case<'_>) -> Vec<Refusal> {
    let Operation::CreateTable {
        table,
        columns,
        options,
        ..
    } = case.step.operation
    else {
        return Vec::new();
    };
    let Some(first) = columns
        .first()
        .filter(|_| matches!(case.standing, Standing::Missing))
    else {
        return Vec::new();
    };
    let mut changes = Vec::new();
    if let Some(engine) = &options.engine {
        changes.push(TableChange::Engine {
            engine: engine.clone(),
        });
    }
    if options.charset.is_some() || options.collation.is_some() {
        changes.push(TableChange::DefaultCharset {
            charset: options.charset.clone(),
            collation: options.collation.clone(),
        });
    }
    let refused = |change: TableChange| {
        let altered = Operation::ChangeTable {
            table: table.clone(),
            change,
        };
        let of_it = case.of_column(&altered, &first.name)?;
        let refusal = crate::effect::refusal(&of_it)?;
        Some(Refusal {
            claim: refusal.why,
            evidence: Vec::new(),
            advice: refusal.advice,
        })
    };
    changes.into_iter().filter_map(refused).take(1).collect()
}

/// NULL in a primary key's column, where the column says so itself (error 1171; MariaDB passes over it).
pub(super) fn key_holds_null(case: &Case<'_>) -> Vec<Refusal> {
    let Operation::CreateTable { columns, .. } = case.step.operation else {
        return Vec::new();
    };
    let in_key = |column: &&Column| {
        let mut own = case.step.statement.operations.iter();
        column.nullable == Some(true)
            && own.any(|one| {
                matches!(one, Operation::AddConstraint { constraint, .. }
                    if constraint.kind() == ConstraintKind::PrimaryKey
                        && constraint.columns().contains(&column.name))
            })
    };
    let found = columns.iter().find(in_key);
    one(found
        .filter(|_| matches!(case.standing, Standing::Missing))
        .map(|column| {
            let why = format!("{} can hold NULL, and is in the primary key", column.name);
            seen(case, why.clone(), why, vec!["make it NOT NULL".to_owned()])
        }))
}

/// An identity column of a type that counts nothing (PostgreSQL manual, CREATE TABLE, GENERATED ... AS IDENTITY).
pub(super) fn identity_is_no_number(case: &Case<'_>) -> Vec<Refusal> {
    let (Operation::CreateTable { columns, .. } | Operation::AddColumn { columns, .. }) =
        case.step.operation
    else {
        return Vec::new();
    };
    let numbers = [
        "smallint", "int2", "integer", "int", "int4", "bigint", "int8",
    ];
    // Types of users may be domains over numbers.
    let others = [
        "text",
        "varchar",
        "char",
        "character",
        "uuid",
        "numeric",
        "decimal",
        "boolean",
        "date",
        "timestamp",
        "timestamptz",
        "real",
        "json",
        "jsonb",
        "bytea",
    ];
    let wrong = columns.iter().find(|column| {
        let of = column.sql_type.as_ref();
        of.filter(|of| of.filled() == Filled::Identity)
            .is_some_and(|of| {
                let lower = of.name().to_ascii_lowercase();
                let first = lower.split([' ', '(', '[']).next().unwrap_or_default();
                !numbers.contains(&first) && others.contains(&first)
            })
    });
    one(wrong.map(|column| {
        let why = format!(
            "{} is no smallint, integer or bigint, and cannot be an identity",
            column.name
        );
        seen(
            case,
            why.clone(),
            why,
            vec!["give it the type bigint".to_owned()],
        )
    }))
}

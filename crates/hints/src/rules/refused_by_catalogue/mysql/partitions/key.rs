//! What a table can be split by: columns of types that can, which every unique key has; and which tables cannot be split.

use dbop_model::Engine;
use dbop_model::operation::{
    Constraint, ConstraintKind, IndexKind, IndexPart, Operation, PartitionBy, PartitionMethod,
    Partitioning, TableChange,
};
use dbop_model::table::{ColumnName, IndexFacts, TableFacts};

use super::super::indexes::primary;
use super::{Why, bounds, foreign_key};
use crate::case::Case;
use crate::effect::mysql::Type;
use crate::steps::{ColumnStanding, Object};

/// Types of which values are neither whole numbers nor made so by themselves.
const NO_NUMBERS: [&str; 24] = [
    "char",
    "varchar",
    "binary",
    "varbinary",
    "tinytext",
    "text",
    "mediumtext",
    "longtext",
    "tinyblob",
    "blob",
    "mediumblob",
    "longblob",
    "json",
    "enum",
    "set",
    "decimal",
    "float",
    "double",
    "date",
    "datetime",
    "timestamp",
    "time",
    "uuid",
    "vector",
];
/// Types by whose values no table is split, by columns either.
const NO_COLUMNS: [&str; 9] = [
    "tinytext",
    "text",
    "mediumtext",
    "longtext",
    "tinyblob",
    "blob",
    "mediumblob",
    "longblob",
    "json",
];

/// Why a table cannot be split so.
pub(super) fn misfit(case: &Case<'_>, facts: &TableFacts, it: &Partitioning) -> Why {
    let by = it.by.as_ref()?;
    if by.method == PartitionMethod::Time {
        return None;
    }
    table(case, facts)
        .or_else(|| defined(by, it))
        .or_else(|| columns(case, facts, by))
        .or_else(|| unique_keys(case, facts, by))
}

/// Tables that have no partitions.
fn table(case: &Case<'_>, facts: &TableFacts) -> Why {
    if let Some(key) = foreign_key(case, facts) {
        let why = format!("it has a foreign key, {key}, and would be partitioned");
        return Some((why, "drop the foreign key before"));
    }
    let mysql = case.server.engine == Engine::MySql;
    let storage = facts.storage.known()?;
    if mysql && storage.fulltext && !drops_fulltext(case, facts) {
        let why = "it has a FULLTEXT index, and would be partitioned".to_owned();
        return Some((why, "drop the FULLTEXT index before"));
    }
    let becomes_innodb = case.step.statement.operations.iter().any(|one| {
        matches!(
            one,
            Operation::ChangeTable {
                change: TableChange::Rebuild,
                ..
            }
        )
    });
    if mysql && !storage.engine.eq_ignore_ascii_case("innodb") && !becomes_innodb {
        let why = format!("a table of {} has no partitions", storage.engine);
        return Some((why, "make it a table of InnoDB before"));
    }
    let shape = facts.columns.iter().find(|(name, column)| {
        let of = Type::read(&column.sql_type);
        super::keeps_geometries_whole(case)
            && of.is_some_and(|of| of.is_geometry())
            && !case.frees(name)
    });
    shape.map(|(name, _)| {
        let why = format!("{name} is a geometry, and it would be partitioned");
        (why, "leave the table in one")
    })
}

fn drops_fulltext(case: &Case<'_>, facts: &TableFacts) -> bool {
    let Some(indexes) = facts.indexes.known() else {
        return true;
    };
    let mut fulltext = indexes
        .iter()
        .filter(|index| index.kind == IndexKind::Fulltext);
    fulltext.all(|index| goes(case, index))
}

/// Partitions as the statement defines them.
fn defined(by: &PartitionBy, it: &Partitioning) -> Why {
    if by.method.has_values() && it.makes.is_empty() {
        let why = format!("partitions of a {} have to be defined", by.method.as_str());
        return Some((why, "define them: PARTITION p1 VALUES ..."));
    }
    if it.count == Some(0) {
        let why = "it would have no partition".to_owned();
        return Some((why, "say how many"));
    }
    bounds::among(by.method, &it.makes)
}

/// Columns that are not there, or of a type that no table is split by.
fn columns(case: &Case<'_>, facts: &TableFacts, by: &PartitionBy) -> Why {
    let alone = by.reads.len() == 1 && is_name(&by.over);
    for name in by.reads.iter().filter(|_| by.columns || alone) {
        let of = match case.step.column(name, facts) {
            ColumnStanding::Missing if case.gives(name) => continue,
            ColumnStanding::Missing => {
                let why = format!("there is no column {name}");
                return Some((why, "correct the column's name"));
            }
            ColumnStanding::Present(_, known) => Type::read(&known.sql_type),
            ColumnStanding::Added(added) => {
                let of = added.sql_type.as_ref().map(|of| Type::read(of.name()));
                of.flatten()
            }
        };
        let refused: &[&str] = match by.columns {
            false => &NO_NUMBERS,
            true => &NO_COLUMNS,
        };
        if let Some(of) = of.filter(|of| refused.contains(&of.base())) {
            let why = format!(
                "{name} is {}, by which no table is split in a {}",
                of.base(),
                by.method.as_str()
            );
            return Some((
                why,
                "split it by COLUMNS, or by an expression that gives whole numbers",
            ));
        }
    }
    None
}

/// Is an expression a column and nothing else?
fn is_name(text: &str) -> bool {
    let bare = text.trim().trim_matches('`');
    !bare.is_empty()
        && bare
            .chars()
            .all(|c| c.is_alphanumeric() || c == '_' || c == '$')
}

/// Every unique key has the columns that the table is split by (error 1503).
fn unique_keys(case: &Case<'_>, facts: &TableFacts, by: &PartitionBy) -> Why {
    let is_column = |name: &&ColumnName| {
        !matches!(case.step.column(name, facts), ColumnStanding::Missing) || case.gives(name)
    };
    let read: Vec<&ColumnName> = by.reads.iter().filter(is_column).collect();
    let indexes = facts.indexes.known()?;
    let stay = indexes
        .iter()
        .filter(|index| index.kind == IndexKind::Unique && !goes(case, index))
        .map(|index| (index.name.to_string(), index.key.parts.clone()));
    let made = case.step.created_indexes().iter().copied();
    let here = case
        .step
        .statement
        .operations
        .iter()
        .filter_map(|one| match one {
            Operation::CreateIndex { index, .. } => Some(index),
            _ => None,
        });
    let added = made
        .chain(here)
        .filter(|index| index.kind == IndexKind::Unique)
        .map(|index| {
            let name = index.name.as_ref().map_or("its unique key", |n| n.as_str());
            (name.to_owned(), index.parts.clone())
        });
    let constraints = constraints(case).map(|constraint| {
        let columns = constraint.columns().iter().cloned();
        let parts = columns.map(IndexPart::Column).collect();
        (constraint.kind().to_string(), parts)
    });
    let mut all = stay.chain(added).chain(constraints);
    let lacking = all.find_map(|(name, parts): (String, Vec<IndexPart>)| {
        let has = |column: &&&ColumnName| parts.contains(&IndexPart::Column((**column).clone()));
        let column = read.iter().find(|column| !has(column))?;
        Some((name, (*column).clone()))
    });
    lacking.map(|(key, column)| {
        let why = format!("the key {key} leaves out {column}, by which it would be partitioned");
        (
            why,
            "add the columns to every unique key, the primary one too, in the same statement",
        )
    })
}

/// Keys that are added by this statement, or by one before.
fn constraints<'a>(case: &'a Case<'_>) -> impl Iterator<Item = &'a Constraint> {
    let here = case
        .step
        .statement
        .operations
        .iter()
        .flat_map(|one| match one {
            Operation::AddConstraint { constraint, .. } => std::slice::from_ref(constraint),
            Operation::AddColumn { columns, .. } => columns
                .first()
                .map_or(&[][..], |column| column.constraints.as_slice()),
            _ => &[],
        });
    let before = case.step.made().iter().map(|made| made.constraint);
    here.chain(before).filter(|constraint| {
        matches!(
            constraint.kind(),
            ConstraintKind::PrimaryKey | ConstraintKind::Unique
        )
    })
}

/// Is an index dropped by this statement, or by one before?
fn goes(case: &Case<'_>, index: &IndexFacts) -> bool {
    let name = &index.name;
    let gone = Object::Index(case.step.names(), name.clone());
    let is_primary = *name == primary();
    let dropped = case.step.statement.operations.iter().any(|one| match one {
        Operation::DropIndex {
            name: Some(gone), ..
        } => gone == name,
        Operation::DropConstraint { constraint, .. } => match &constraint.name {
            Some(gone) => gone == name,
            None => is_primary && constraint.kind() == ConstraintKind::PrimaryKey,
        },
        _ => false,
    });
    dropped || case.step.is_made(&gone) == Some(false) || is_primary && case.step.has_lost_key()
}

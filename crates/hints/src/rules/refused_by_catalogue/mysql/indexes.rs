//! Indexes and AUTO_INCREMENT that MySQL and MariaDB refuse by what the columns are.

use dbop_model::operation::{
    Column, Constraint, ConstraintKind, Filled, Index, IndexKind, IndexPart, Operation, SqlType,
    TableChange,
};
use dbop_model::table::{ColumnFacts, ColumnName, Generated, IndexFacts, TableFacts};
use dbop_model::{Engine, Fact};

use super::super::{Refusal, seen};
use crate::case::Case;
use crate::effect::mysql::Type;
use crate::steps::{ColumnStanding, Object};

/// Bytes that a key may have (MySQL 8.4 manual, section 17.21; row formats REDUNDANT and COMPACT).
const KEY_BYTES_MAX: u64 = 3072;
const KEY_BYTES_MAX_OLD: u64 = 767;

/// An index that an operation brings: its kind and its parts.
fn brought(operation: &Operation) -> Option<(IndexKind, Vec<IndexPart>)> {
    match operation {
        Operation::CreateIndex { index, .. } => Some((index.kind, index.parts.clone())),
        Operation::AddConstraint { constraint, .. }
            if matches!(
                constraint.kind(),
                ConstraintKind::Unique | ConstraintKind::PrimaryKey
            ) =>
        {
            let parts = constraint.columns().iter().cloned();
            Some((IndexKind::Unique, parts.map(IndexPart::Column).collect()))
        }
        _ => None,
    }
}

/// Does the statement pass over an index that is there (`IF NOT EXISTS`)?
fn is_passed_over(index: &Index, facts: &TableFacts) -> bool {
    index.if_not_exists
        && facts.indexes.is_known_and(|indexes| {
            indexes
                .iter()
                .any(|known| Some(&known.name) == index.name.as_ref())
        })
}

/// An index of the name is there; indexes of a table share theirs.
pub(in super::super) fn index_name_is_taken(case: &Case<'_>) -> Vec<Refusal> {
    let (Some(facts), Operation::CreateIndex { index, .. }) = (case.present(), case.step.operation)
    else {
        return Vec::new();
    };
    let (Some(name), Fact::Known(indexes)) = (&index.name, &facts.indexes) else {
        return Vec::new();
    };
    if index.if_not_exists || !case.step.statement.is_sql() {
        return Vec::new();
    }
    let alike = |other: &ColumnName| other.as_str().eq_ignore_ascii_case(name.as_str());
    if alike(&primary()) {
        return vec![seen(
            case,
            "PRIMARY",
            "an index cannot be called PRIMARY, which is the primary key's name".to_owned(),
            vec!["choose another name".to_owned()],
        )];
    }
    let dropped = case
        .step
        .statement
        .operations
        .iter()
        .any(|other| match other {
            Operation::DropIndex {
                name: Some(gone), ..
            } => alike(gone),
            Operation::ChangeTable {
                change: TableChange::RenameOwnIndex { from, .. },
                ..
            } => alike(from),
            _ => false,
        });
    let object = Object::Index(case.step.names(), name.clone());
    let there = match case.step.is_made(&object) {
        Some(made) => made,
        None => indexes.iter().any(|known| alike(&known.name)),
    };
    if !there || dropped {
        return Vec::new();
    }
    vec![seen(
        case,
        format!("index {name}"),
        format!("{} has an index {name} already", case.table()),
        vec!["choose another name, or drop that index before".to_owned()],
    )]
}

pub(super) fn primary() -> ColumnName {
    ColumnName::ignoring_case("PRIMARY").unwrap_or_else(|_| unreachable!("it is a name"))
}

/// Parts that no index of the kind can have.
pub(in super::super) fn part_does_not_fit(case: &Case<'_>) -> Vec<Refusal> {
    let Some(facts) = case.present() else {
        return Vec::new();
    };
    let Some((kind, parts)) = brought(case.step.operation) else {
        return Vec::new();
    };
    if let Operation::CreateIndex { index, .. } = case.step.operation
        && is_passed_over(index, facts)
    {
        return Vec::new();
    }
    let mysql = case.server.engine == Engine::MySql;
    let refused = |why: String, advice: &str| {
        vec![seen(
            case,
            why.clone(),
            format!("{} cannot be: {why}", case.step.operation),
            vec![advice.to_owned()],
        )]
    };
    // MySQL 8.4 manual, section 10.3.6; MariaDB, Getting Started with Indexes.
    let parts_max = if mysql { 16 } else { 32 };
    if parts.len() > parts_max {
        return refused(
            format!("it has {} parts, and {parts_max} are allowed", parts.len()),
            "leave some out",
        );
    }
    let mut bytes = 0;
    let mut first_collation: Option<(&ColumnName, String)> = None;
    let old_format = facts.storage.is_known_and(|storage| {
        storage
            .row_format
            .as_deref()
            .is_some_and(|format| matches!(format.to_lowercase().as_str(), "redundant" | "compact"))
    });
    let part_max = if old_format {
        KEY_BYTES_MAX_OLD
    } else {
        KEY_BYTES_MAX
    };
    for (at, part) in parts.iter().enumerate() {
        let (name, prefix) = match part {
            IndexPart::Column(name) => (name, None),
            IndexPart::Prefix(name, length) => (name, Some(u64::from(*length))),
            IndexPart::Expression(_) => continue,
        };
        if parts[..at].iter().any(|other| named(other) == Some(name)) {
            return refused(format!("{name} is in it twice"), "name each column once");
        }
        let Some(Described {
            of,
            charset,
            collation,
            nullable,
        }) = described(case, facts, name)
        else {
            continue;
        };
        let base = of.base();
        match kind {
            IndexKind::Fulltext if !is_text(base) => {
                return refused(format!("{name} is no text"), "leave the column out");
            }
            IndexKind::Fulltext => {
                match (&first_collation, &collation) {
                    (Some((first, one)), Some(two)) if one != two => {
                        return refused(
                            format!("{first} is of the collation {one}, and {name} of {two}"),
                            "make an index for each, or give all of them one collation first",
                        );
                    }
                    (None, Some(two)) => first_collation = Some((name, two.clone())),
                    _ => {}
                }
                continue;
            }
            IndexKind::Spatial if !of.is_geometry() => {
                return refused(format!("{name} is no geometry"), "leave the column out");
            }
            IndexKind::Spatial if nullable => {
                return refused(
                    format!("{name} can hold NULL"),
                    "make the column NOT NULL first",
                );
            }
            IndexKind::Spatial => continue,
            IndexKind::Plain | IndexKind::Unique => {}
        }
        let long = is_long(base);
        if base == "json" && mysql {
            return refused(
                format!("{name} is JSON"),
                "index a generated column that takes a value out of it",
            );
        }
        if long
            && prefix.is_none()
            && (mysql
                || matches!(case.step.operation, Operation::AddConstraint { constraint, .. } if constraint.kind() == ConstraintKind::PrimaryKey))
        {
            return refused(
                format!("{name} is {base}, of which an index holds only the first characters"),
                "say how many: name(100)",
            );
        }
        if let Some(length) = prefix {
            let whole = of.characters();
            if !long && (whole.is_none() || whole.is_some_and(|whole| length > whole)) {
                return refused(
                    format!("{name}({length}) is no part of a {base}"),
                    "name the whole column",
                );
            }
        }
        let widest = if is_text(base) {
            Type::widest(charset.as_deref()).map(u64::from)
        } else {
            Some(1)
        };
        let length = match (prefix, of.characters()) {
            (Some(length), _) => Some(length),
            (None, Some(whole)) => Some(whole),
            (None, None) => None,
        };
        if let (Some(length), Some(widest)) = (length, widest) {
            let own = length * widest;
            // Of a plain index too long, MariaDB takes the first characters, and a unique one becomes a hash of the whole;
            // MySQL takes neither. A session that is not strict takes the first bytes.
            let primary = matches!(case.step.operation, Operation::AddConstraint { constraint, .. }
                if constraint.kind() == ConstraintKind::PrimaryKey);
            let cut = match kind {
                IndexKind::Plain if old_format => case.strict().is_known_and(|strict| !strict),
                IndexKind::Plain => !mysql,
                _ => !mysql && !primary,
            };
            if own > part_max && cut && kind == IndexKind::Unique {
                return hashed(case, facts, &parts);
            }
            if own > part_max && !cut {
                return refused(
                    format!("{name} takes {own} bytes of it, and {part_max} are allowed"),
                    "index its first characters: name(100)",
                );
            }
            bytes += own.min(part_max);
        }
    }
    // MariaDB makes a hash of a unique key that is too long, but of the primary one.
    let is_hashed = !mysql
        && kind == IndexKind::Unique
        && matches!(case.step.operation, Operation::CreateIndex { .. });
    if bytes > KEY_BYTES_MAX && is_hashed {
        return hashed(case, facts, &parts);
    }
    if bytes > KEY_BYTES_MAX {
        return refused(
            format!("it takes {bytes} bytes, and {KEY_BYTES_MAX} are allowed"),
            "leave a column out, or index the first characters",
        );
    }
    Vec::new()
}

/// A unique key that MariaDB makes a hash of: that cannot be over what counts on (error 4169).
fn hashed(case: &Case<'_>, facts: &TableFacts, parts: &[IndexPart]) -> Vec<Refusal> {
    let counts = facts
        .storage
        .known()
        .and_then(|storage| storage.auto_increment.as_ref())
        .filter(|name| parts.iter().any(|part| named(part) == Some(name)));
    let refusal = counts.map(|name| {
        seen(
            case,
            format!("{name} counts on (AUTO_INCREMENT)"),
            format!(
                "{} cannot be: it is so long that it becomes a hash, which is not over {name}, which counts on",
                case.step.operation
            ),
            vec!["leave the column out, or index the first characters of the others".to_owned()],
        )
    });
    refusal.into_iter().collect()
}

fn named(part: &IndexPart) -> Option<&ColumnName> {
    match part {
        IndexPart::Column(name) | IndexPart::Prefix(name, _) => Some(name),
        IndexPart::Expression(_) => None,
    }
}

fn is_text(base: &str) -> bool {
    matches!(
        base,
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext"
    )
}

fn is_long(base: &str) -> bool {
    matches!(
        base,
        "tinytext"
            | "text"
            | "mediumtext"
            | "longtext"
            | "tinyblob"
            | "blob"
            | "mediumblob"
            | "longblob"
    )
}

/// What a column is, from the catalogue or from the statement that adds it.
struct Described {
    of: Type,
    charset: Option<String>,
    /// Where it is known.
    collation: Option<String>,
    nullable: bool,
}

fn described(case: &Case<'_>, facts: &TableFacts, name: &ColumnName) -> Option<Described> {
    match case.step.column(name, facts) {
        ColumnStanding::Present(_, known) => Some(Described {
            of: Type::read(&known.sql_type)?,
            charset: known.charset,
            collation: known.collation,
            nullable: known.nullable,
        }),
        ColumnStanding::Added(column) => {
            let sql_type = column.sql_type.as_ref()?;
            let table = || {
                facts
                    .storage
                    .known()
                    .and_then(|storage| storage.charset.clone())
            };
            Some(Described {
                of: Type::read(sql_type.name())?,
                charset: column.charset.clone().or_else(table),
                collation: column.collation.clone(),
                nullable: column.nullable != Some(false),
            })
        }
        ColumnStanding::Missing => None,
    }
}

/// A primary key over a column whose values are not kept (errors 3106 and 1903).
pub(in super::super) fn key_is_virtual(case: &Case<'_>) -> Vec<Refusal> {
    let Some(facts) = case.present() else {
        return Vec::new();
    };
    let is_key = |constraint: &Constraint| constraint.kind() == ConstraintKind::PrimaryKey;
    // MariaDB has none over a stored one, either.
    let mariadb = case.server.engine == Engine::MariaDb;
    let is_new = |column: &&Column| match column.sql_type.as_ref().map(SqlType::filled) {
        Some(Filled::Virtual) => true,
        Some(Filled::Stored) => mariadb,
        _ => false,
    };
    let found = match case.step.operation {
        Operation::AddConstraint { constraint, .. } if is_key(constraint) => {
            let is_virtual = |name: &&ColumnName| match case.step.column(name, facts) {
                ColumnStanding::Present(_, known) => match known.generated {
                    Some(Generated::Virtual) => true,
                    Some(Generated::Stored) => mariadb,
                    None => false,
                },
                ColumnStanding::Added(column) => is_new(&column),
                ColumnStanding::Missing => false,
            };
            constraint.columns().iter().find(is_virtual)
        }
        Operation::AddColumn { columns, .. } => columns
            .iter()
            .filter(|column| column.constraints.iter().any(is_key))
            .find(is_new)
            .map(|column| &column.name),
        _ => None,
    };
    let refusal = found.map(|name| {
        seen(
            case,
            format!("virtual column {name}"),
            format!(
                "the primary key of {} cannot be over {name}, which is generated",
                case.table()
            ),
            vec!["make the column a plain one, or on MySQL a stored one".to_owned()],
        )
    });
    refusal.into_iter().collect()
}

/// A column that counts on needs an index that begins with it, and a table has one such column (MySQL 8.4 manual, section
/// 5.6.9).
pub(in super::super) fn numbering(case: &Case<'_>) -> Vec<Refusal> {
    let Some(facts) = case.present() else {
        return Vec::new();
    };
    let (Fact::Known(storage), Fact::Known(indexes)) = (&facts.storage, &facts.indexes) else {
        return Vec::new();
    };
    let operations = &case.step.statement.operations;
    let old = storage.auto_increment.as_ref().filter(|name| {
        // It goes, or is defined anew, in this statement.
        let goes = operations.iter().any(|operation| match operation {
            Operation::DropColumn { columns, .. } => columns.contains(name),
            Operation::AlterColumn { columns, .. } => columns
                .iter()
                .any(|column| column.name == **name && column.redefined && !counts_on(column)),
            Operation::RenameColumn { from, .. } => from == *name,
            _ => false,
        });
        !goes && !case.step.is_dropped(name)
    });
    let refused =
        |why: String, advice: &str| vec![seen(case, why.clone(), why, vec![advice.to_owned()])];
    let indexed = |name: &ColumnName, without: &[ColumnName]| {
        let leads = |parts: &[IndexPart]| matches!(parts.first(), Some(IndexPart::Column(first)) if first == name);
        let made = operations
            .iter()
            .any(|operation| brought(operation).is_some_and(|(_, parts)| leads(&parts)));
        let kept = |index: &&IndexFacts| !without.contains(&index.name) && leads(&index.key.parts);
        made || indexes.iter().any(|index| kept(&index))
            || case
                .step
                .created_indexes()
                .iter()
                .any(|index| leads(&index.parts))
    };
    match case.step.operation {
        Operation::AddColumn { columns, .. } | Operation::AlterColumn { columns, .. } => {
            for column in columns.iter().filter(|column| counts_on(column)) {
                let name = &column.name;
                if let Some(other) = old.filter(|other| *other != name) {
                    let why = format!(
                        "{} has a column that counts on already: {other}",
                        case.table()
                    );
                    return refused(why, "leave AUTO_INCREMENT out");
                }
                let of_type = column.sql_type.as_ref().and_then(|t| Type::read(t.name()));
                if of_type.is_some_and(|of| is_text(of.base()) || is_long(of.base())) {
                    return refused(
                        format!("{name} is no number, and cannot count on"),
                        "use an integer type",
                    );
                }
                let own = column.constraints.iter().any(|constraint| {
                    matches!(
                        constraint.kind(),
                        ConstraintKind::Unique | ConstraintKind::PrimaryKey
                    )
                });
                if !own && !indexed(name, &[]) {
                    return refused(
                        format!("no index begins with {name}, which counts on"),
                        "make it a key",
                    );
                }
            }
            Vec::new()
        }
        Operation::DropIndex { name: Some(_), .. } | Operation::DropConstraint { .. } => {
            let Some(column) = old else {
                return Vec::new();
            };
            let gone: Vec<ColumnName> = operations
                .iter()
                .filter_map(|operation| match operation {
                    Operation::DropIndex { name, .. } => name.clone(),
                    Operation::DropConstraint { constraint, .. } => match constraint.kind() {
                        ConstraintKind::PrimaryKey if constraint.kind_said => Some(primary()),
                        _ => constraint.name.clone(),
                    },
                    _ => None,
                })
                .collect();
            if indexed(column, &gone) || !indexes.iter().any(|index| gone.contains(&index.name)) {
                return Vec::new();
            }
            refused(
                format!("{column} counts on (AUTO_INCREMENT), and no other index begins with it"),
                "add another index that begins with it in the same statement, or take AUTO_INCREMENT away first",
            )
        }
        _ => Vec::new(),
    }
}

fn counts_on(column: &Column) -> bool {
    let filled = column.sql_type.as_ref().map(SqlType::filled);
    matches!(filled, Some(Filled::AutoIncrement | Filled::Serial))
}

/// A column in an index that becomes what no index can be over.
pub(in super::super) fn indexed_column_grows(case: &Case<'_>) -> Vec<Refusal> {
    let (Some(facts), Operation::AlterColumn { columns, .. }) =
        (case.present(), case.step.operation)
    else {
        return Vec::new();
    };
    let Fact::Known(indexes) = &facts.indexes else {
        return Vec::new();
    };
    let mysql = case.server.engine == Engine::MySql;
    let mut refusals = Vec::new();
    for column in columns {
        let ColumnStanding::Present(today, old) = case.step.column(&column.name, facts) else {
            continue;
        };
        let Some(new) = column.sql_type.as_ref().and_then(|t| Type::read(t.name())) else {
            continue;
        };
        let over = |index: &&IndexFacts| {
            index.key.parts.contains(&IndexPart::Column(today.clone()))
                && matches!(index.kind, IndexKind::Plain | IndexKind::Unique)
                && case
                    .step
                    .is_made(&Object::Index(case.step.names(), index.name.clone()))
                    != Some(false)
        };
        let Some(index) = indexes.iter().find(over) else {
            continue;
        };
        let why = if is_long(new.base()) && mysql {
            format!(
                "{} holds the whole of it, and of {} only the first characters can be held",
                index.name,
                new.base()
            )
        } else if new.base() == "json" && mysql {
            format!("the index {} is over it, and none is over JSON", index.name)
        } else if key_bytes(&new, column, &old) > Some(KEY_BYTES_MAX)
            && (mysql || index.kind == IndexKind::Unique)
        {
            format!(
                "it would take more than {KEY_BYTES_MAX} bytes of the index {}",
                index.name
            )
        } else {
            continue;
        };
        refusals.push(seen(
            case,
            format!("index {}", index.name),
            format!("{} cannot be changed: {why}", column.name),
            vec!["drop the index before, and make it anew over the first characters".to_owned()],
        ));
    }
    refusals
}

fn key_bytes(of: &Type, column: &Column, old: &ColumnFacts) -> Option<u64> {
    let charset = column.charset.as_deref().or(old.charset.as_deref());
    let widest = if is_text(of.base()) {
        Type::widest(charset)?
    } else {
        1
    };
    Some(of.characters()? * u64::from(widest))
}

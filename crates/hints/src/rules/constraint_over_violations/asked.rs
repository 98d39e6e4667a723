//! Which questions about rows an operation raises.

use dbop_model::dependent::{NewColumn, Retyped, RowProbe};
use dbop_model::operation::{
    Column, Constraint, ConstraintKind, Filled, Operation, PartitionVerb, Partitioning,
    ServerDefault, TableChange, Validity,
};
use dbop_model::table::{ColumnName, TableName};

use crate::effect::mysql::Type;
use crate::expression;
use crate::steps::Step;

use super::partitions;

/// A question about the rows of one of these tables, and what it is for, as a clause.
pub(super) struct Asked {
    pub(super) tables: Vec<TableName>,
    pub(super) probe: RowProbe,
    pub(super) what: String,
}

/// Rows of the table that changes places with a partition, and that are none of the partition's (error 1737).
fn exchanged(step: &Step<'_>, partitioning: &Partitioning) -> Vec<Asked> {
    let (Some(parent), [partition], Some(with)) = (
        step.tables().first(),
        partitioning.of.as_slice(),
        &partitioning.with,
    ) else {
        return Vec::new();
    };
    if step.has_repartitioned() || step.has_added_partitions() {
        return Vec::new();
    }
    vec![Asked {
        tables: step.others().to_vec(),
        probe: RowProbe::OutOfBound {
            parent: parent.clone(),
            bound: partition.as_str().to_owned(),
        },
        what: format!("the rows of {with} in the partition {partition}"),
    }]
}

pub(super) fn asked(step: &Step<'_>) -> Vec<Asked> {
    let own = |probe, what| Asked {
        tables: step.tables().to_vec(),
        probe,
        what,
    };
    match step.operation {
        Operation::AddConstraint { table, constraint } => {
            // Where the migration runs again, the column is there already, and counts as it is.
            let made = checked_with(step, constraint).map(Some);
            [made, Some(None)]
                .into_iter()
                .flatten()
                .filter_map(|with| probe_of(step, constraint, with))
                .map(|probe| own(probe, format!("{} on {table}", name_of(constraint))))
                .collect()
        }
        Operation::AddColumn { table, columns } => {
            let constrained = columns
                .iter()
                .flat_map(|column| column.constraints.iter().map(move |one| (column, one)))
                .filter_map(|(column, constraint)| {
                    let probe = probe_of(step, constraint, Some(new_column(column)?))?;
                    let what = format!("{} on {table}.{}", name_of(constraint), column.name);
                    Some(own(probe, what))
                });
            let valued = columns.iter().filter_map(|column| {
                let with = new_column(column).filter(|column| column.value.is_some())?;
                let what = format!("the default of {table}.{}", column.name);
                Some(own(RowProbe::NoValueOf { with }, what))
            });
            let computed = columns.iter().filter_map(|column| {
                let what = format!("what {table}.{} is computed by", column.name);
                let with = computed_column(step, column)?;
                Some(own(RowProbe::Uncomputable { with }, what))
            });
            constrained.chain(valued).chain(computed).collect()
        }
        Operation::AlterColumn { table, columns } => columns
            .iter()
            .flat_map(|column| {
                let asked = altered(step, table, column);
                asked.into_iter().map(|(probe, what)| own(probe, what))
            })
            .collect(),
        Operation::ChangeTable {
            change: TableChange::Partitioning(partitioning),
            ..
        } if partitioning.verb == PartitionVerb::Exchange && !partitioning.unchecked => {
            exchanged(step, partitioning)
        }
        Operation::ChangeTable {
            table,
            change: TableChange::Partitioning(partitioning),
        } => partitions::covered(partitioning)
            .map(|condition| {
                let probe = RowProbe::OutOfPartitions { condition };
                own(probe, format!("the new partitions of {table}"))
            })
            .into_iter()
            .collect(),
        Operation::ChangeTable {
            table,
            change: TableChange::ConvertCharset { charset, collation },
        } => {
            let every_text = Retyped {
                column: None,
                sql_type: None,
                charset: Some(charset.clone()),
                collation: collation.clone(),
            };
            let text = every_text.clone();
            vec![
                own(
                    RowProbe::Unsayable { text },
                    format!("the text of {table} in {charset}"),
                ),
                own(
                    RowProbe::Alike {
                        columns: every_text,
                    },
                    format!("unique keys of {table} in {charset}"),
                ),
            ]
        }
        Operation::ChangeTable {
            table,
            change: TableChange::ValidateConstraint { name },
        } => {
            let mut made = step.made().iter();
            let made = made.rfind(|made| made.constraint.name.as_ref() == Some(name));
            let probe = match made {
                Some(made) => probe_of_rows(step, made.constraint, None),
                None => Some(RowProbe::Unmet {
                    constraint: name.clone(),
                }),
            };
            probe
                .map(|probe| own(probe, format!("validating {table}.{name}")))
                .into_iter()
                .collect()
        }
        Operation::ChangeTable {
            table,
            change:
                TableChange::AttachPartition {
                    partition,
                    bound: Some(bound),
                },
        } => {
            let parent = step.tables().first().unwrap_or(table).clone();
            let from_default = RowProbe::InDefault {
                bound: bound.clone(),
            };
            let what = format!("what {partition} takes from the default partition of {table}");
            vec![
                own(from_default, what),
                Asked {
                    tables: step.others().to_vec(),
                    probe: RowProbe::OutOfBound {
                        parent,
                        bound: bound.clone(),
                    },
                    what: format!("attaching {partition} to {table}"),
                },
            ]
        }
        Operation::ChangeTable {
            table,
            change:
                TableChange::CreatePartition {
                    partition,
                    bound: Some(bound),
                },
        } => {
            let from_default = RowProbe::InDefault {
                bound: bound.clone(),
            };
            let what = format!("what {partition} takes from the default partition of {table}");
            vec![own(from_default, what)]
        }
        _ => Vec::new(),
    }
}

fn name_of(constraint: &Constraint) -> &'static str {
    match constraint.kind() {
        ConstraintKind::ForeignKey => "foreign key",
        _ => "CHECK",
    }
}

/// The question for a constraint that is held against the rows of today.
fn probe_of(step: &Step<'_>, constraint: &Constraint, with: Option<NewColumn>) -> Option<RowProbe> {
    if constraint.validity == Validity::AllRows {
        probe_of_rows(step, constraint, with)
    } else {
        None
    }
}

fn probe_of_rows(
    step: &Step<'_>,
    constraint: &Constraint,
    with: Option<NewColumn>,
) -> Option<RowProbe> {
    match constraint.kind() {
        ConstraintKind::Check => Some(RowProbe::Violates {
            condition: constraint.expression.clone()?,
            with,
        }),
        ConstraintKind::ForeignKey => {
            // NULL refers to nothing.
            if with.as_ref().is_some_and(|column| column.value.is_none()) {
                return None;
            }
            let references = constraint.references.as_ref()?;
            let other = step
                .others()
                .iter()
                .find(|other| other.may_be(references))
                .or(step.others().first())
                .unwrap_or(references);
            let today = |name| match &with {
                Some(column) => Some(column.name.clone()),
                None => step.column_names(name).first().cloned(),
            };
            Some(RowProbe::Orphan {
                columns: constraint
                    .columns()
                    .iter()
                    .map(today)
                    .collect::<Option<_>>()?,
                other: other.clone(),
                referenced: constraint.referenced.clone(),
                with,
            })
        }
        _ => None,
    }
}

/// The column of the same migration that a CHECK is about, with the value that it has in the rows of today.
pub(super) fn checked_with(step: &Step<'_>, constraint: &Constraint) -> Option<NewColumn> {
    let text = constraint
        .expression
        .as_deref()
        .filter(|_| constraint.kind() == ConstraintKind::Check)?;
    let names = expression::mysql::read(text)?.columns;
    let added = names
        .iter()
        .filter_map(|name| step.added(&ColumnName::new(name).ok()?));
    let mut added: Vec<&Column> = added.collect();
    added.dedup_by(|one, two| one.name == two.name);
    let [column] = added.as_slice() else {
        return None;
    };
    let sql_type = column.sql_type.as_ref()?;
    match sql_type.computed() {
        None => new_column(column),
        Some(value) => Some(NewColumn {
            name: column.name.clone(),
            sql_type: sql_type.name().to_owned(),
            value: Some(value.to_owned()),
            nullable: column.nullable != Some(false),
        }),
    }
}

/// The value that a new column has in the rows of today; `None`: the operation does not say it.
fn new_column(column: &Column) -> Option<NewColumn> {
    let sql_type = column.sql_type.as_ref()?;
    if sql_type.filled() != Filled::No {
        return None;
    }
    let value = match &column.default {
        ServerDefault::NotSaid | ServerDefault::Absent => None,
        ServerDefault::Expression(text) => Some(text.clone()),
        ServerDefault::Present => return None,
    };
    Some(NewColumn {
        name: column.name.clone(),
        sql_type: sql_type.name().to_owned(),
        value,
        nullable: column.nullable != Some(false),
    })
}

/// A new column that is computed for the rows of today, by its expression or by a default that is more than a constant. A
/// virtual one is where an index is built over it.
fn computed_column(step: &Step<'_>, column: &Column) -> Option<NewColumn> {
    let sql_type = column.sql_type.as_ref()?;
    let value = match (sql_type.filled(), &column.default) {
        (Filled::Stored, _) => sql_type.computed()?,
        (Filled::Virtual | Filled::StoredOrVirtual, _) if is_indexed(step, column) => {
            sql_type.computed()?
        }
        (Filled::No, ServerDefault::Expression(text)) if !is_plain(text) => text,
        _ => return None,
    };
    Some(NewColumn {
        name: column.name.clone(),
        sql_type: sql_type.name().to_owned(),
        value: Some(value.to_owned()),
        nullable: column.nullable != Some(false),
    })
}

/// Does the statement build an index over a new column?
fn is_indexed(step: &Step<'_>, column: &Column) -> bool {
    use ConstraintKind::{PrimaryKey, Unique};
    let is_key = |constraint: &Constraint| matches!(constraint.kind(), Unique | PrimaryKey);
    let over = |operation: &Operation| match operation {
        Operation::CreateIndex { index, .. } => index.columns().any(|name| *name == column.name),
        Operation::AddConstraint { constraint, .. } => {
            is_key(constraint) && constraint.columns().contains(&column.name)
        }
        _ => false,
    };
    column.constraints.iter().any(is_key) || step.statement.operations.iter().any(over)
}

/// Is a default a constant, or the clock? The server looks at those where it reads the statement.
fn is_plain(default: &str) -> bool {
    let text = default.trim();
    let is_word = |c: char| c.is_alphanumeric() || "_.+- ".contains(c);
    let call = text.split_once('(').map(|(name, _)| name.trim());
    text.starts_with('\'')
        || text.chars().all(is_word)
        || call.is_some_and(|name| CLOCKS.iter().any(|clock| clock.eq_ignore_ascii_case(name)))
}

const CLOCKS: [&str; 4] = ["current_timestamp", "localtime", "localtimestamp", "now"];

/// What a column that becomes another one raises.
fn altered(step: &Step<'_>, table: &TableName, column: &Column) -> Vec<(RowProbe, String)> {
    let Some(today) = step.column_names(&column.name).first().cloned() else {
        return Vec::new();
    };
    let name = &column.name;
    let sql_type = column.sql_type.as_ref().map(|of| of.name().to_owned());
    let mut asked = Vec::new();
    if let Some(sql_type) = &sql_type {
        let probe = RowProbe::Unconvertible {
            column: today.clone(),
            sql_type: sql_type.clone(),
            using: column.using.clone(),
        };
        asked.push((probe, format!("the new type of {table}.{name}")));
    }
    let lettered = column.charset.is_some() || column.collation.is_some();
    if column.redefined || lettered {
        let retyped = Retyped {
            column: Some(today),
            sql_type,
            charset: column.charset.clone(),
            collation: column.collation.clone(),
        };
        let of = column.sql_type.as_ref().map(|of| Type::read(of.name()));
        let is_text = match of {
            Some(of) => of.is_some_and(|of| of.is_text() && !of.is_list()),
            None => true,
        };
        if is_text {
            let text = retyped.clone();
            let what = format!("the text of {table}.{name} in its new character set");
            asked.push((RowProbe::Unsayable { text }, what));
        }
        let what = format!("unique keys over {table}.{name}, as it becomes");
        asked.push((RowProbe::Alike { columns: retyped }, what));
    }
    let checks = column.constraints.iter().filter_map(|constraint| {
        let what = format!("{} on {table}.{name}", name_of(constraint));
        Some((probe_of(step, constraint, None)?, what))
    });
    asked.extend(checks);
    asked
}

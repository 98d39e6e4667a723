//! What a migration makes and takes away beside tables and columns: indexes, constraints, views, triggers. In its order,
//! so that each operation knows what stands before it.

use dbop_model::operation::{
    Constraint, ConstraintKind, Index, Operation, PartitionVerb, Partitioning, ServerDefault,
    TableChange,
};
use dbop_model::table::{ColumnName, NamedKind, TableName};

use super::renamed_to;

/// Something with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Object {
    /// What shares the names of tables: tables, views, indexes.
    Relation(TableName),
    /// A constraint of a table, by any of the table's names.
    Constraint(Vec<TableName>, ColumnName),
    /// An index of a table, by any of the table's names.
    Index(Vec<TableName>, ColumnName),
    /// A column of a table.
    Column(Vec<TableName>, ColumnName),
    /// A trigger of a table.
    Trigger(Vec<TableName>, ColumnName),
    /// The default of a column of a table.
    Default(Vec<TableName>, ColumnName),
    /// How the server fills a column of a table by itself; said of it only that it was changed.
    Filling(Vec<TableName>, ColumnName),
    /// The primary key of a table, whatever its name.
    PrimaryKey(Vec<TableName>),
    /// A table as a partition.
    Partition(TableName),
    /// A partition of a table by its name there (MySQL, MariaDB).
    OwnPartition(Vec<TableName>, ColumnName),
    /// The bounds of a table's partitions, said of them only that they were changed.
    PartitionBounds(Vec<TableName>),
    /// The partitions of a table, said of them only that they were changed altogether.
    Partitions(Vec<TableName>),
    /// A part of a table whose name is its database's.
    Named(NamedKind, TableName),
}

impl Object {
    /// A part of a table whose name is its database's, whatever its letters' cases.
    pub(crate) fn named(kind: NamedKind, name: &TableName) -> Self {
        let folded = TableName::new(name.schema(), &name.name().to_lowercase());
        Object::Named(kind, folded.unwrap_or_else(|_| name.clone()))
    }

    fn is(&self, other: &Object) -> bool {
        let meet = |one: &[TableName], two: &[TableName]| {
            one.iter().any(|one| two.iter().any(|two| one.may_be(two)))
        };
        match (self, other) {
            (Object::Relation(one), Object::Relation(two))
            | (Object::Partition(one), Object::Partition(two)) => one.may_be(two),
            (Object::PrimaryKey(one), Object::PrimaryKey(two))
            | (Object::PartitionBounds(one), Object::PartitionBounds(two))
            | (Object::Partitions(one), Object::Partitions(two)) => meet(one, two),
            (Object::Named(kind, one), Object::Named(other, two)) => {
                kind == other && one.may_be(two)
            }
            (Object::Constraint(of, one), Object::Constraint(other, two))
            | (Object::Index(of, one), Object::Index(other, two))
            | (Object::OwnPartition(of, one), Object::OwnPartition(other, two))
            | (Object::Column(of, one), Object::Column(other, two))
            | (Object::Trigger(of, one), Object::Trigger(other, two))
            | (Object::Default(of, one), Object::Default(other, two))
            | (Object::Filling(of, one), Object::Filling(other, two)) => {
                one == two && meet(of, other)
            }
            _ => false,
        }
    }
}

#[derive(Debug, Clone)]
enum Event {
    Made(Object),
    Gone(Object),
    /// A constraint, an index or a trigger of a table whose name is not said.
    Unnamed(Vec<TableName>),
}

/// All of it, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    events: Vec<Event>,
}

impl Ledger {
    /// Tables that were made or taken away, or of which a column was.
    pub(super) fn tables(&self, so_far: usize) -> Vec<TableName> {
        let mut tables: Vec<TableName> = Vec::new();
        for event in &self.events[..so_far] {
            let of: &[TableName] = match event {
                Event::Made(Object::Relation(one)) | Event::Gone(Object::Relation(one)) => {
                    std::slice::from_ref(one)
                }
                Event::Made(Object::Column(of, _)) | Event::Gone(Object::Column(of, _)) => of,
                _ => &[],
            };
            let new = of.iter().filter(|one| !tables.contains(one)).cloned();
            let new: Vec<TableName> = new.collect();
            tables.extend(new);
        }
        tables
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Was it made or taken away last, among the first events?
    pub(super) fn last(&self, so_far: usize, object: &Object) -> Option<bool> {
        self.events[..so_far]
            .iter()
            .rev()
            .find_map(|event| match event {
                Event::Made(made) if made.is(object) => Some(true),
                Event::Gone(gone) if gone.is(object) => Some(false),
                _ => None,
            })
    }

    pub(super) fn has_unnamed(&self, so_far: usize, tables: &[TableName]) -> bool {
        self.events[..so_far].iter().any(|event| match event {
            Event::Unnamed(of) => of
                .iter()
                .any(|one| tables.iter().any(|two| one.may_be(two))),
            Event::Made(_) | Event::Gone(_) => false,
        })
    }

    pub(super) fn has_unnamed_anywhere(&self, so_far: usize) -> bool {
        let mut before = self.events[..so_far].iter();
        before.any(|event| matches!(event, Event::Unnamed(_)))
    }

    pub(super) fn has_changed(&self, so_far: usize, tables: &[TableName]) -> bool {
        self.has_unnamed(so_far, tables)
            || self.events[..so_far].iter().any(|event| match event {
                Event::Made(Object::Index(of, _) | Object::Constraint(of, _))
                | Event::Gone(Object::Column(of, _)) => of
                    .iter()
                    .any(|one| tables.iter().any(|two| one.may_be(two))),
                _ => false,
            })
    }

    /// Writes down what an operation does, on a table with these names.
    pub(super) fn write(&mut self, names: &[TableName], operation: &Operation) {
        let names = names.to_vec();
        match operation {
            Operation::CreateTable { table, .. } | Operation::CreateView { table, .. } => {
                self.made(Object::Relation(table.clone()));
            }
            Operation::DropTable { table, .. } | Operation::DropView { table, .. } => {
                self.gone(Object::Relation(table.clone()));
                for name in names {
                    self.gone(Object::Relation(name));
                }
            }
            Operation::RenameTable { table, to } => {
                self.gone(Object::Relation(table.clone()));
                self.made(Object::Relation(renamed_to(table, to)));
            }
            Operation::CreateIndex { table, index } => self.index(names, table, index),
            Operation::DropIndex {
                table,
                by_name,
                name,
                ..
            } => {
                if *by_name {
                    self.gone(Object::Relation(table.clone()));
                }
                if let Some(name) = name {
                    self.gone(Object::Index(names, name.clone()));
                }
            }
            Operation::AddConstraint { table, constraint } => {
                self.constraint(names, table, constraint);
            }
            Operation::DropConstraint {
                table, constraint, ..
            } => {
                if constraint.kind_said && constraint.kind() == ConstraintKind::PrimaryKey {
                    self.gone(Object::PrimaryKey(names.clone()));
                }
                if let Some(name) = &constraint.name {
                    // A foreign key or a CHECK has no index of its own, whatever bears its name.
                    let indexed = !constraint.kind_said || is_indexed(constraint.kind());
                    if indexed {
                        self.gone(Object::Relation(beside(table, name)));
                        self.gone(Object::Index(names.clone(), name.clone()));
                    }
                    for (kind, of) in NAMED {
                        if !constraint.kind_said || constraint.kind() == of {
                            self.gone(Object::named(kind, &beside(table, name)));
                        }
                    }
                    self.gone(Object::Constraint(names, name.clone()));
                }
            }
            Operation::AddColumn { table, columns } => {
                for column in columns {
                    self.made(Object::Column(names.clone(), column.name.clone()));
                    for constraint in &column.constraints {
                        self.constraint(names.clone(), table, constraint);
                    }
                }
            }
            Operation::DropColumn { columns, .. } => {
                for column in columns {
                    self.gone(Object::Column(names.clone(), column.clone()));
                }
            }
            Operation::ChangeTable { table, change } => self.change(names, table, change),
            Operation::AlterColumn { columns, .. } => {
                for column in columns {
                    let default = Object::Default(names.clone(), column.name.clone());
                    match column.default {
                        ServerDefault::NotSaid => {}
                        ServerDefault::Absent => self.gone(default),
                        ServerDefault::Present | ServerDefault::Expression(_) => self.made(default),
                    }
                }
            }
            Operation::RenameColumn { from, to, .. } => {
                self.gone(Object::Column(names.clone(), from.clone()));
                self.made(Object::Column(names, to.clone()));
            }
        }
    }

    fn change(&mut self, names: Vec<TableName>, table: &TableName, change: &TableChange) {
        match change {
            TableChange::RenameIndex { to } => {
                self.gone(Object::Relation(table.clone()));
                self.made(Object::Relation(beside(table, to)));
            }
            TableChange::RenameConstraint { from, to } => {
                self.gone(Object::Constraint(names.clone(), from.clone()));
                self.made(Object::Constraint(names, to.clone()));
            }
            TableChange::Trigger => self.events.push(Event::Unnamed(names)),
            TableChange::RenameOwnIndex { from, to, .. } => {
                self.gone(Object::Index(names.clone(), from.clone()));
                self.made(Object::Index(names, to.clone()));
            }
            TableChange::CreateTrigger { name, .. } => {
                self.made(Object::named(NamedKind::Trigger, name));
            }
            TableChange::DropNamedTrigger { .. } => {
                self.gone(Object::named(NamedKind::Trigger, table));
            }
            TableChange::DropTrigger { name, .. } => {
                self.gone(Object::Trigger(names, name.clone()));
            }
            TableChange::Partitioning(it) => self.partitions(names, it),
            TableChange::CreatePartition { partition, .. }
            | TableChange::AttachPartition { partition, .. } => {
                self.made(Object::Partition(partition.clone()));
            }
            TableChange::DetachPartition { partition, .. } => {
                self.gone(Object::Partition(partition.clone()));
            }
            TableChange::Filling { column, .. } => {
                self.made(Object::Filling(names, column.clone()));
            }
            _ => {}
        }
    }

    fn partitions(&mut self, names: Vec<TableName>, it: &Partitioning) {
        match it.verb {
            PartitionVerb::Add | PartitionVerb::Reorganize if !it.makes.is_empty() => {
                for gone in &it.of {
                    self.gone(Object::OwnPartition(names.clone(), gone.clone()));
                }
                for made in &it.makes {
                    self.made(Object::OwnPartition(names.clone(), made.name.clone()));
                }
                self.made(Object::PartitionBounds(names));
            }
            PartitionVerb::Drop => {
                for gone in &it.of {
                    self.gone(Object::OwnPartition(names.clone(), gone.clone()));
                }
            }
            PartitionVerb::Truncate
            | PartitionVerb::Rebuild
            | PartitionVerb::Optimize
            | PartitionVerb::Exchange
            | PartitionVerb::Check => {}
            PartitionVerb::Add
            | PartitionVerb::Reorganize
            | PartitionVerb::Coalesce
            | PartitionVerb::Move
            | PartitionVerb::By
            | PartitionVerb::Remove => self.made(Object::Partitions(names)),
        }
    }

    fn index(&mut self, names: Vec<TableName>, table: &TableName, index: &Index) {
        match &index.name {
            Some(name) => {
                self.made(Object::Relation(beside(table, name)));
                self.made(Object::Index(names, name.clone()));
            }
            None => self.events.push(Event::Unnamed(names)),
        }
    }

    /// A constraint has the name that it is given, and so has the index that it brings or takes.
    fn constraint(&mut self, names: Vec<TableName>, table: &TableName, constraint: &Constraint) {
        if constraint.kind() == ConstraintKind::PrimaryKey {
            self.made(Object::PrimaryKey(names.clone()));
        }
        let indexed = is_indexed(constraint.kind());
        if let Some(index) = &constraint.using_index {
            self.gone(Object::Relation(beside(table, index)));
            self.gone(Object::Index(names.clone(), index.clone()));
        }
        // USING INDEX without a name keeps the index's.
        let Some(name) = constraint.name.as_ref().or(constraint.using_index.as_ref()) else {
            self.events.push(Event::Unnamed(names));
            return;
        };
        if indexed {
            self.made(Object::Relation(beside(table, name)));
            self.made(Object::Index(names.clone(), name.clone()));
        }
        for (kind, of) in NAMED {
            if constraint.kind() == of {
                self.made(Object::named(kind, &beside(table, name)));
            }
        }
        self.made(Object::Constraint(names, name.clone()));
    }

    fn made(&mut self, object: Object) {
        self.events.push(Event::Made(object));
    }

    fn gone(&mut self, object: Object) {
        self.events.push(Event::Gone(object));
    }
}

/// Constraints whose names are their database's, on some servers.
pub(crate) const NAMED: [(NamedKind, ConstraintKind); 2] = [
    (NamedKind::ForeignKey, ConstraintKind::ForeignKey),
    (NamedKind::Check, ConstraintKind::Check),
];

fn is_indexed(kind: ConstraintKind) -> bool {
    use ConstraintKind::{Exclude, PrimaryKey, Unique};
    matches!(kind, Unique | PrimaryKey | Exclude)
}

/// A name in a table's schema.
pub(crate) fn beside(table: &TableName, name: &ColumnName) -> TableName {
    TableName::new(table.schema(), name.as_str()).unwrap_or_else(|_| table.clone())
}

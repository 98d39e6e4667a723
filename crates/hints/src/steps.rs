//! Walks a migration's operations in order, so that a table or column that an earlier one made, renamed or
//! dropped is known as such when a later one names it.
//!
//! The walk itself knows nothing of the database: it says under which names of today's catalogue a table may
//! be found, the likeliest first. A migration must be safe to run again, so the name after a rename is one.

use dbop_model::operation::{
    Column, Constraint, Index, Operation, Statement, TableChange, Validity,
};
use dbop_model::table::{
    ColumnFacts, ColumnName, TableFacts, TableFactsSet, TableName, TableState,
};
use dbop_model::{Fact, Why};

/// One operation, with what the operations before it did to its table.
#[derive(Debug, Clone)]
pub(crate) struct Step<'a> {
    pub(crate) operation: &'a Operation,
    /// The statement that it is part of.
    pub(crate) statement: &'a Statement,
    /// Which one of the migration that is, from 0.
    pub(crate) at: usize,
    place: Place<'a>,
    /// Names in today's catalogue of the table at the other end: a foreign key's, a partition.
    others: Vec<TableName>,
}

#[derive(Debug, Clone)]
struct Place<'a> {
    name: TableName,
    /// Names in today's catalogue that may be this table.
    catalogue: Vec<TableName>,
    created: bool,
    gone: bool,
    columns: Vec<ColumnPlace<'a>>,
    /// Constraints that the migration has added so far.
    constraints: Vec<Made<'a>>,
    /// Indexes that it has created so far.
    indexes: Vec<&'a Index>,
    /// Columns that it has made NOT NULL so far.
    not_null: Vec<ColumnName>,
}

/// A constraint of the same migration.
#[derive(Debug, Clone)]
pub(crate) struct Made<'a> {
    pub(crate) constraint: &'a Constraint,
    /// Is it known to hold of every row?
    pub(crate) validated: bool,
}

#[derive(Debug, Clone)]
struct ColumnPlace<'a> {
    name: ColumnName,
    catalogue: Vec<ColumnName>,
    added: Option<&'a Column>,
    gone: bool,
}

/// Where an operation's table stands before the operation.
#[derive(Debug, Clone)]
pub(crate) enum Standing {
    /// The same migration creates it.
    New,
    /// Nobody has it.
    Missing,
    /// It is in the database.
    Present(Box<TableFacts>),
    /// Whether it is there could not be seen.
    Unknown(Why),
}

/// Where a column of a present table stands before the operation.
#[derive(Debug, Clone)]
pub(crate) enum ColumnStanding<'a> {
    /// In the database, under this name.
    Present(ColumnName, ColumnFacts),
    /// The same migration adds it.
    Added(&'a Column),
    /// Nobody has it.
    Missing,
}

/// Every operation with its place.
pub(crate) fn walk(statements: &[Statement]) -> Vec<Step<'_>> {
    let mut places: Vec<Place<'_>> = Vec::new();
    let mut steps = Vec::new();
    for (number, statement) in statements.iter().enumerate() {
        for operation in &statement.operations {
            let mut others = Vec::new();
            for other in others_of(operation) {
                let at = find(&mut places, other);
                others.extend(places[at].today().iter().cloned());
            }
            let at = find(&mut places, operation.table());
            steps.push(Step {
                operation,
                statement,
                at: number,
                place: places[at].clone(),
                others,
            });
            apply(&mut places, at, operation);
        }
    }
    steps
}

/// The tables at the other end of an operation.
fn others_of(operation: &Operation) -> Vec<&TableName> {
    match operation {
        Operation::AddColumn { columns, .. } => columns
            .iter()
            .flat_map(|column| &column.constraints)
            .filter_map(|constraint| constraint.references.as_ref())
            .collect(),
        Operation::AddConstraint { constraint, .. } => constraint.references.iter().collect(),
        Operation::ChangeTable {
            change:
                TableChange::AttachPartition { partition }
                | TableChange::DetachPartition { partition, .. },
            ..
        } => vec![partition],
        _ => Vec::new(),
    }
}

/// The index of a table's place; a table that nobody named before gets one.
fn find<'a>(places: &mut Vec<Place<'a>>, name: &TableName) -> usize {
    let known = |gone: bool| {
        places
            .iter()
            .rposition(|p| p.gone == gone && p.name.may_be(name))
    };
    if let Some(at) = known(false).or_else(|| known(true)) {
        return at;
    }
    places.push(Place {
        name: name.clone(),
        catalogue: vec![name.clone()],
        created: false,
        gone: false,
        columns: Vec::new(),
        constraints: Vec::new(),
        indexes: Vec::new(),
        not_null: Vec::new(),
    });
    places.len() - 1
}

fn apply<'a>(places: &mut Vec<Place<'a>>, at: usize, operation: &'a Operation) {
    match operation {
        Operation::CreateTable { table } if places[at].gone => places.push(Place {
            name: table.clone(),
            catalogue: Vec::new(),
            created: true,
            gone: false,
            columns: Vec::new(),
            constraints: Vec::new(),
            indexes: Vec::new(),
            not_null: Vec::new(),
        }),
        Operation::CreateTable { .. } => places[at].created = true,
        Operation::DropTable { .. } => places[at].gone = true,
        Operation::RenameTable { table, to } => {
            let to = renamed_to(table, to);
            let mut renamed = places[at].clone();
            renamed.name = to.clone();
            renamed.gone = false;
            renamed.catalogue.push(to);
            places[at].gone = true;
            places.push(renamed);
        }
        Operation::AddColumn { columns, .. } => {
            for column in columns {
                let again = places[at]
                    .columns
                    .iter()
                    .any(|c| c.gone && c.name == column.name);
                places[at].columns.push(ColumnPlace {
                    name: column.name.clone(),
                    // Dropped and added again: what the catalogue has under the name is another one.
                    catalogue: if again {
                        Vec::new()
                    } else {
                        vec![column.name.clone()]
                    },
                    added: Some(column),
                    gone: false,
                });
            }
        }
        Operation::DropColumn { columns, .. } => {
            for column in columns {
                let mut dropped = places[at].column(column);
                dropped.gone = true;
                places[at].columns.push(dropped);
            }
        }
        Operation::RenameColumn { from, to, .. } => {
            let old = places[at].column(from);
            let mut renamed = ColumnPlace {
                name: to.clone(),
                ..old.clone()
            };
            renamed.catalogue.push(to.clone());
            places[at].columns.push(ColumnPlace { gone: true, ..old });
            places[at].columns.push(renamed);
        }
        Operation::AlterColumn { columns, .. } => {
            let not_null = columns.iter().filter(|c| c.nullable == Some(false));
            places[at].not_null.extend(not_null.map(|c| c.name.clone()));
            let nullable = |name: &ColumnName| {
                let of_it = columns.iter().find(|column| column.name == *name);
                of_it.is_some_and(|column| column.nullable == Some(true))
            };
            places[at].not_null.retain(|name| !nullable(name));
        }
        Operation::CreateIndex { index, .. } => places[at].indexes.push(index),
        Operation::AddConstraint { constraint, .. } => places[at].constraints.push(Made {
            constraint,
            validated: constraint.validity == Validity::AllRows,
        }),
        Operation::ChangeTable {
            change: TableChange::ValidateConstraint { name },
            ..
        } => {
            for made in &mut places[at].constraints {
                made.validated |= made.constraint.name.as_ref() == Some(name);
            }
        }
        Operation::DropConstraint { constraint, .. } => places[at].constraints.retain(|made| {
            made.constraint.name.is_none() || made.constraint.name != constraint.name
        }),
        Operation::DropIndex { .. } | Operation::ChangeTable { .. } => {}
    }
}

/// The name after a rename, which keeps the schema.
pub(crate) fn renamed_to(table: &TableName, to: &TableName) -> TableName {
    let schema = to.schema().or(table.schema());
    TableName::new(schema, to.name()).unwrap_or_else(|_| to.clone())
}

impl<'a> Place<'a> {
    /// Names in today's catalogue under which it may be found.
    fn today(&self) -> &[TableName] {
        if self.gone { &[] } else { &self.catalogue }
    }

    /// The column's place after everything before: the last that was said of it counts.
    fn column(&self, name: &ColumnName) -> ColumnPlace<'a> {
        self.columns
            .iter()
            .rfind(|column| column.name == *name)
            .cloned()
            .unwrap_or_else(|| ColumnPlace {
                name: name.clone(),
                catalogue: vec![name.clone()],
                added: None,
                gone: false,
            })
    }
}

impl<'a> Step<'a> {
    /// Names in today's catalogue under which facts about the table are wanted.
    pub(crate) fn tables(&self) -> &[TableName] {
        self.place.today()
    }

    /// Names in today's catalogue of the tables at the other end.
    pub(crate) fn others(&self) -> &[TableName] {
        &self.others
    }

    /// Constraints that the migration has added before.
    pub(crate) fn made(&self) -> &[Made<'a>] {
        &self.place.constraints
    }

    /// Indexes that the migration has created before.
    pub(crate) fn created_indexes(&self) -> &[&'a Index] {
        &self.place.indexes
    }

    /// Are both about the same table?
    pub(crate) fn is_same_table(&self, other: &Step<'_>) -> bool {
        match (self.place.today().first(), other.place.today().first()) {
            (Some(one), Some(two)) => one.may_be(two),
            _ => self.operation.table().may_be(other.operation.table()),
        }
    }

    /// Names in today's catalogue that may be this column.
    pub(crate) fn column_names(&self, name: &ColumnName) -> Vec<ColumnName> {
        let column = self.place.column(name);
        if column.gone {
            Vec::new()
        } else {
            column.catalogue
        }
    }

    /// Where the table stands, by the facts.
    pub(crate) fn standing(&self, facts: &TableFactsSet) -> Standing {
        for name in self.tables() {
            match facts.table(name) {
                Fact::Known(TableState::Present(table)) => return Standing::Present(table),
                Fact::Known(TableState::Missing) => {}
                Fact::Unknown(why) => return Standing::Unknown(why),
            }
        }
        if self.place.created && !self.place.gone {
            Standing::New
        } else {
            Standing::Missing
        }
    }

    /// Where a column of the present table stands.
    pub(crate) fn column(&self, name: &ColumnName, table: &TableFacts) -> ColumnStanding<'a> {
        let place = self.place.column(name);
        if place.gone {
            return ColumnStanding::Missing;
        }
        for name in &place.catalogue {
            if let Some(facts) = table.columns.get(name) {
                let mut facts = facts.clone();
                facts.nullable &= !self.place.not_null.contains(&place.name);
                return ColumnStanding::Present(name.clone(), facts);
            }
        }
        place
            .added
            .map_or(ColumnStanding::Missing, ColumnStanding::Added)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use dbop_model::table::TableKind;

    use super::*;

    fn table(name: &str) -> TableName {
        name.parse().unwrap()
    }

    fn add(to: &str, column: &str) -> Operation {
        let column = Column::new(column.parse().unwrap());
        Operation::add_column(table(to), vec![column]).unwrap()
    }

    fn create(name: &str) -> Operation {
        Operation::CreateTable { table: table(name) }
    }

    fn drop(name: &str) -> Operation {
        Operation::DropTable { table: table(name) }
    }

    fn rename(from: &str, to: &str) -> Operation {
        Operation::RenameTable {
            table: table(from),
            to: table(to),
        }
    }

    /// Where the last operation's table stands, in a database that has these tables.
    #[track_caller]
    fn check(operations: &[Operation], database: &[&str], expect: &str) {
        let mut facts = TableFactsSet::new(Timestamp::UNIX_EPOCH);
        let statements: Vec<Statement> = operations.iter().cloned().map(Statement::from).collect();
        let steps = walk(&statements);
        let step = steps.last().unwrap();
        for name in step.tables() {
            let state = if database.contains(&name.to_string().as_str()) {
                TableState::Present(Box::new(TableFacts::new(TableKind::Ordinary)))
            } else {
                TableState::Missing
            };
            facts.tables.insert(name.clone(), Fact::Known(state));
        }
        let got = match step.standing(&facts) {
            Standing::New => "new",
            Standing::Missing => "missing",
            Standing::Present(_) => "present",
            Standing::Unknown(_) => "unknown",
        };
        assert_eq!(got, expect, "{operations:?}");
    }

    #[test]
    fn tables_of_the_same_migration_are_known() {
        check(&[add("t", "c")], &["t"], "present");
        check(&[add("t", "c")], &[], "missing");
        check(&[create("t"), add("t", "c")], &[], "new");
        check(&[create("app.t"), add("t", "c")], &[], "new");
        check(&[create("app.t"), add("other.t", "c")], &[], "missing");
        // Half of it ran before: what is there now is looked at.
        check(&[create("t"), add("t", "c")], &["t"], "present");
        check(&[drop("t"), add("t", "c")], &["t"], "missing");
        check(&[drop("t"), create("t"), add("t", "c")], &["t"], "new");
    }

    #[test]
    fn tables_are_followed_through_renames() {
        check(&[rename("a", "b"), add("b", "c")], &["a"], "present");
        check(&[rename("a", "b"), add("b", "c")], &["b"], "present");
        check(&[rename("a", "b"), add("b", "c")], &[], "missing");
        check(&[rename("a", "b"), add("a", "c")], &["a"], "missing");
        check(
            &[rename("app.a", "b"), add("app.b", "c")],
            &["app.a"],
            "present",
        );
        let swap = [
            rename("a", "tmp"),
            rename("b", "a"),
            rename("tmp", "b"),
            add("a", "c"),
        ];
        check(&swap, &["b"], "present");
        check(&[create("a"), rename("a", "b"), add("b", "c")], &[], "new");
    }

    #[test]
    fn columns_are_followed_too() {
        let name = |text: &str| text.parse::<ColumnName>().unwrap();
        let rename = Operation::RenameColumn {
            table: table("t"),
            from: name("a"),
            to: name("b"),
        };
        let drop = Operation::drop_column(table("t"), vec![name("b")]).unwrap();
        let operations = [rename, add("t", "x"), drop, add("t", "b")];
        let statements = operations.map(Statement::from);
        let steps = walk(&statements);
        assert_eq!(steps[0].column_names(&name("a")), [name("a")]);
        assert_eq!(steps[1].column_names(&name("b")), [name("a"), name("b")]);
        assert_eq!(steps[1].column_names(&name("a")), []);
        assert_eq!(steps[3].column_names(&name("b")), []);
        let facts = TableFacts::new(TableKind::Ordinary);
        assert!(matches!(
            steps[2].column(&name("x"), &facts),
            ColumnStanding::Added(_)
        ));
        assert!(matches!(
            steps[2].column(&name("y"), &facts),
            ColumnStanding::Missing
        ));
        assert!(matches!(
            steps[3].column(&name("b"), &facts),
            ColumnStanding::Missing
        ));
    }
}

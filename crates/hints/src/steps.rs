//! Walks a migration's operations in order, so that a table or column that an earlier one made, renamed or
//! dropped is known as such when a later one names it.
//!
//! The walk itself knows nothing of the database: it says under which names of today's catalogue a table may
//! be found, the likeliest first. A migration must be safe to run again, so the name after a rename is one.

mod defined;
mod ledger;
#[cfg(test)]
mod tests;

use std::rc::Rc;

use dbop_model::operation::{
    Column, Constraint, Index, Operation, ReadingKind, Statement, TableChange, Validity,
};
use dbop_model::table::{
    ColumnFacts, ColumnName, TableFacts, TableFactsSet, TableName, TableState,
};
use dbop_model::{Engine, Fact, Why};

use defined::Definition;
use ledger::Ledger;
pub(crate) use ledger::{NAMED, Object, beside};

/// One operation, with what the operations before it did to its table.
#[derive(Debug, Clone)]
pub(crate) struct Step<'a> {
    pub(crate) operation: &'a Operation,
    /// The statement that it is part of.
    pub(crate) statement: &'a Statement,
    /// Which one of the migration that is, from 0.
    pub(crate) at: usize,
    place: Place<'a>,
    /// The same before its statement: names that go are those of before it.
    before: Place<'a>,
    /// Names in today's catalogue of the table at the other end: a foreign key's, a partition.
    others: Vec<TableName>,
    /// Constraints that the migration has added to those before.
    made_there: Vec<Made<'a>>,
    /// Columns of the first of those, where the migration creates it and says them.
    columns_there: &'a [Column],
    /// Those that the migration creates and has not altered, as they are by now.
    places_there: Vec<Place<'a>>,
    /// What statements before say, each in its own words.
    said_before: Rc<Vec<&'a str>>,
    /// How many of these there are before this one.
    said_so_far: usize,
    /// What the migration makes and takes away, all of it.
    ledger: Rc<Ledger>,
    /// How much of that happens before this operation.
    so_far: usize,
    /// How much of that happens before its statement.
    so_far_before: usize,
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
    /// Of one that the migration creates: what its statement says of it.
    definition: Definition<'a>,
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
    let mut steps: Vec<Step<'_>> = Vec::new();
    let mut ledger = Ledger::default();
    let unwritten = Rc::new(Ledger::default());
    let (mut said, nothing_said) = (Vec::new(), Rc::new(Vec::new()));
    for (number, statement) in statements.iter().enumerate() {
        let mut touched: Vec<(usize, Place<'_>)> = Vec::new();
        let so_far_before = ledger.len();
        for (nth, operation) in statement.operations.iter().enumerate() {
            let (mut others, mut made_there) = (Vec::new(), Vec::new());
            let mut columns_there: &[Column] = &[];
            let mut places_there = Vec::new();
            for other in others_of(operation) {
                let at = find(&mut places, other);
                if columns_there.is_empty() && places[at].columns.is_empty() {
                    columns_there = places[at].definition.columns;
                }
                if places[at].created && places[at].columns.is_empty() {
                    places_there.push(places[at].clone());
                }
                others.extend(places[at].today().iter().cloned());
                made_there.extend(places[at].constraints.iter().cloned());
            }
            let at = find(&mut places, operation.table());
            let before = match touched.iter().find(|(of, _)| *of == at) {
                Some((_, before)) => before.clone(),
                None => {
                    touched.push((at, places[at].clone()));
                    places[at].clone()
                }
            };
            steps.push(Step {
                operation,
                statement,
                at: number,
                place: places[at].clone(),
                before,
                others,
                made_there,
                columns_there,
                places_there,
                said_before: Rc::clone(&nothing_said),
                said_so_far: said.len(),
                ledger: Rc::clone(&unwritten),
                so_far: ledger.len(),
                so_far_before,
            });
            ledger.write(&places[at].catalogue, operation);
            match operation {
                Operation::RenameColumn { .. } => {
                    // They happen at once: a statement may swap two names.
                    let is_rename =
                        |one: &&Operation| matches!(one, Operation::RenameColumn { .. });
                    if !statement.operations[..nth]
                        .iter()
                        .any(|one| is_rename(&one))
                    {
                        rename_columns(&mut places[at], statement);
                    }
                }
                _ => apply(&mut places, at, operation),
            }
        }
        let of_it = statement.readings.iter();
        let own = of_it.filter(|reading| reading.kind == ReadingKind::Statement);
        said.extend(own.map(|reading| reading.text.as_str()));
    }
    let (ledger, said) = (Rc::new(ledger), Rc::new(said));
    for step in &mut steps {
        step.ledger = Rc::clone(&ledger);
        step.said_before = Rc::clone(&said);
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
                TableChange::AttachPartition { partition, .. }
                | TableChange::DetachPartition { partition, .. },
            ..
        } => vec![partition],
        Operation::ChangeTable {
            change: TableChange::Partitioning(partitioning),
            ..
        } => partitioning.with.iter().collect(),
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
        definition: Definition::NONE,
    });
    places.len() - 1
}

fn apply<'a>(places: &mut Vec<Place<'a>>, at: usize, operation: &'a Operation) {
    match operation {
        Operation::CreateTable { table, .. } | Operation::CreateView { table, .. }
            if places[at].gone =>
        {
            places.push(Place {
                name: table.clone(),
                catalogue: Vec::new(),
                created: true,
                gone: false,
                columns: Vec::new(),
                constraints: Vec::new(),
                indexes: Vec::new(),
                not_null: Vec::new(),
                definition: definition_of(operation),
            })
        }
        Operation::CreateTable { .. } | Operation::CreateView { .. } => {
            places[at].created = true;
            places[at].definition = definition_of(operation);
        }
        Operation::DropTable { .. } | Operation::DropView { .. } => places[at].gone = true,
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
        Operation::RenameColumn { .. }
        | Operation::DropIndex { .. }
        | Operation::ChangeTable { .. } => {}
    }
}

/// The columns that a statement renames.
fn rename_columns<'a>(place: &mut Place<'a>, statement: &'a Statement) {
    let renames = statement.operations.iter().filter_map(|one| match one {
        Operation::RenameColumn { from, to, .. } => Some((place.column(from), to)),
        _ => None,
    });
    let renames: Vec<(ColumnPlace<'a>, &ColumnName)> = renames.collect();
    for (old, _) in &renames {
        let gone = ColumnPlace {
            gone: true,
            ..old.clone()
        };
        place.columns.push(gone);
    }
    for (old, to) in renames {
        let mut renamed = ColumnPlace {
            name: to.clone(),
            ..old
        };
        renamed.catalogue.push(to.clone());
        place.columns.push(renamed);
    }
}

/// What a new table is created with, as far as it is said.
fn definition_of(operation: &Operation) -> Definition<'_> {
    match operation {
        Operation::CreateTable {
            columns,
            complete,
            options,
            ..
        } => Definition {
            columns,
            complete: *complete,
            options: Some(options),
        },
        _ => Definition::NONE,
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
        if self.is_of_no_table() {
            &[]
        } else {
            self.place.today()
        }
    }

    /// The index, where its name stands in the place of its table's.
    pub(crate) fn index_named(&self) -> Option<&'a TableName> {
        match self.operation {
            Operation::DropIndex {
                table,
                by_name: true,
                ..
            }
            | Operation::ChangeTable {
                table,
                change: TableChange::Reindex { by_name: true, .. } | TableChange::RenameIndex { .. },
            } => Some(table),
            _ => None,
        }
    }

    /// Does another name than a table's stand in its place?
    fn is_of_no_table(&self) -> bool {
        let drops_trigger = matches!(
            self.operation,
            Operation::ChangeTable {
                change: TableChange::DropNamedTrigger { .. },
                ..
            }
        );
        drops_trigger || self.index_named().is_some()
    }

    /// All names that its table has had, in this migration or before.
    pub(crate) fn names(&self) -> Vec<TableName> {
        let mut names = self.place.catalogue.clone();
        names.push(self.place.name.clone());
        names
    }

    /// Names in today's catalogue of the tables at the other end.
    pub(crate) fn others(&self) -> &[TableName] {
        &self.others
    }

    /// Columns of the table at the other end, where the migration creates it and says them.
    pub(crate) fn columns_of_others(&self) -> &'a [Column] {
        self.columns_there
    }

    /// What the table is by now, where the migration creates it and says all of it.
    pub(crate) fn defined(&self, engine: Engine) -> Option<TableFacts> {
        defined::facts(&self.place, engine)
    }

    /// What the table will be that the operation creates, where it says all of it; without one of its columns.
    pub(crate) fn defining(&self, engine: Engine, without: &ColumnName) -> Option<TableFacts> {
        let mut place = self.place.clone();
        place.created = true;
        place.gone = false;
        place.definition = definition_of(self.operation);
        place.constraints.clear();
        place.indexes.clear();
        let mut facts = defined::facts(&place, engine)?;
        facts.columns.remove(without);
        Some(facts)
    }

    /// The same step with another operation in its place.
    pub(crate) fn with_operation<'b>(&self, operation: &'b Operation) -> Step<'b>
    where
        'a: 'b,
    {
        Step {
            operation,
            ..self.clone()
        }
    }

    /// The same of a table at the other end, which the migration has not altered since.
    pub(crate) fn other_defined(&self, name: &TableName, engine: Engine) -> Option<TableFacts> {
        let place = self
            .places_there
            .iter()
            .find(|place| place.name.may_be(name))?;
        defined::facts(place, engine)
    }

    /// Tables that operations before are about, or that they rename.
    pub(crate) fn earlier_tables(&self) -> Vec<TableName> {
        self.ledger.tables(self.so_far)
    }

    /// Statements before, in their own words, as far as they change what names stand for.
    pub(crate) fn said_before(&self) -> &[&'a str] {
        &self.said_before[..self.said_so_far]
    }

    /// Is it the first operation of its statement?
    pub(crate) fn is_first(&self) -> bool {
        let first = self.statement.operations.first();
        first.is_some_and(|first| std::ptr::eq(first, self.operation))
    }

    /// Constraints that the migration has added before.
    pub(crate) fn made(&self) -> &[Made<'a>] {
        &self.place.constraints
    }

    /// Constraints that the migration has added before to the tables at the other end.
    pub(crate) fn made_there(&self) -> &[Made<'a>] {
        &self.made_there
    }

    /// Indexes that the migration has created before.
    pub(crate) fn created_indexes(&self) -> &[&'a Index] {
        &self.place.indexes
    }

    /// Was something there before the statement, after all statements before, as far as they tell?
    pub(crate) fn was_made(&self, object: &Object) -> Option<bool> {
        self.ledger.last(self.so_far_before, object)
    }

    /// Is something there after all operations before, as far as they tell? `None`: none of them says.
    pub(crate) fn is_made(&self, object: &Object) -> Option<bool> {
        self.ledger.last(self.so_far, object)
    }

    /// Has the migration given the table a constraint or an index whose name the server chooses?
    pub(crate) fn has_unnamed(&self) -> bool {
        self.ledger.has_unnamed(self.so_far, &self.place.catalogue)
    }

    /// The same of any table.
    pub(crate) fn has_unnamed_anywhere(&self) -> bool {
        self.ledger.has_unnamed_anywhere(self.so_far)
    }

    /// Has the primary key been dropped by its kind?
    pub(crate) fn has_lost_key(&self) -> bool {
        self.is_made(&Object::PrimaryKey(self.names())) == Some(false)
    }

    /// Has an operation before given another table a key or a constraint, so that the catalogue does not tell its keys?
    pub(crate) fn has_changed(&self, table: &TableName) -> bool {
        self.ledger
            .has_changed(self.so_far, std::slice::from_ref(table))
    }

    /// Has an operation before added, dropped or changed columns of the table?
    pub(crate) fn has_altered(&self) -> bool {
        !self.place.columns.is_empty() || !self.place.not_null.is_empty()
    }

    /// Has an operation before added partitions, or split some?
    pub(crate) fn has_added_partitions(&self) -> bool {
        self.is_made(&Object::PartitionBounds(self.names()))
            .is_some()
    }

    /// Has an operation before changed its partitions in a way that leaves nothing known of them?
    pub(crate) fn has_repartitioned(&self) -> bool {
        self.is_made(&Object::Partitions(self.names())).is_some()
    }

    /// Has it columns that an operation before has added?
    pub(crate) fn has_added(&self) -> bool {
        let mut columns = self.place.columns.iter();
        columns.any(|column| column.added.is_some() && !column.gone)
    }

    /// Has an operation before dropped the default of a column?
    pub(crate) fn lost_default(&self, column: &ColumnName) -> bool {
        self.is_made(&Object::Default(self.names(), column.clone())) == Some(false)
    }

    /// Has an operation before changed how the server fills a column?
    pub(crate) fn has_refilled(&self, column: &ColumnName) -> bool {
        self.is_made(&Object::Filling(self.names(), column.clone()))
            .is_some()
    }

    /// Has an operation before made a partition of a table?
    pub(crate) fn has_attached(&self, partition: &TableName) -> bool {
        self.is_made(&Object::Partition(partition.clone())) == Some(true)
    }

    /// Has an operation before taken a partition off?
    pub(crate) fn has_detached(&self, partition: &TableName) -> bool {
        self.is_made(&Object::Partition(partition.clone())) == Some(false)
    }

    /// Has an operation before taken a column away, by its name in today's catalogue?
    pub(crate) fn is_dropped(&self, column: &ColumnName) -> bool {
        let mut of_it = self.place.columns.iter();
        of_it
            .rfind(|place| place.catalogue.first() == Some(column))
            .is_some_and(|place| place.gone)
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

    /// The column as an operation before adds it, where one does.
    pub(crate) fn added(&self, name: &ColumnName) -> Option<&'a Column> {
        let column = self.place.column(name);
        column.added.filter(|_| !column.gone)
    }

    /// Where the table stands, by the facts.
    pub(crate) fn standing(&self, facts: &TableFactsSet) -> Standing {
        if let Some(index) = self.index_named() {
            return self.standing_of_index(index, facts);
        }
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

    /// Where the table of an index stands that is named alone.
    fn standing_of_index(&self, index: &TableName, facts: &TableFactsSet) -> Standing {
        if self.is_made(&Object::Relation(index.clone())).is_some() {
            return Standing::Missing;
        }
        let not_asked = Fact::Unknown(Why::new("whose index it is was not looked up"));
        match facts.indexes.get(index).unwrap_or(&not_asked) {
            Fact::Unknown(why) => Standing::Unknown(why.clone()),
            Fact::Known(None) => Standing::Missing,
            Fact::Known(Some(table)) => match facts.table(table) {
                Fact::Known(TableState::Present(table)) => Standing::Present(table),
                Fact::Known(TableState::Missing) => Standing::Missing,
                Fact::Unknown(why) => Standing::Unknown(why),
            },
        }
    }

    /// Where a column of the present table stands.
    pub(crate) fn column(&self, name: &ColumnName, table: &TableFacts) -> ColumnStanding<'a> {
        self.place.standing_of(name, table)
    }

    /// Where it stood before the statement: what a statement drops or renames is called as before it.
    pub(crate) fn column_before(
        &self,
        name: &ColumnName,
        table: &TableFacts,
    ) -> ColumnStanding<'a> {
        self.before.standing_of(name, table)
    }

    /// The columns of a table that the same migration creates, as far as it says them.
    pub(crate) fn columns_of_new(&self) -> &'a [Column] {
        match self.place.columns.is_empty() {
            true => self.place.definition.columns,
            // It was altered since.
            false => &[],
        }
    }
}

impl<'a> Place<'a> {
    fn standing_of(&self, name: &ColumnName, table: &TableFacts) -> ColumnStanding<'a> {
        let place = self.column(name);
        if place.gone {
            return ColumnStanding::Missing;
        }
        for name in &place.catalogue {
            if let Some(facts) = table.columns.get(name) {
                let mut facts = facts.clone();
                facts.nullable &= !self.not_null.contains(&place.name);
                return ColumnStanding::Present(name.clone(), facts);
            }
        }
        place
            .added
            .map_or(ColumnStanding::Missing, ColumnStanding::Added)
    }
}

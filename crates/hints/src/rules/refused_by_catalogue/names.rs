//! Names that are taken, and names that nothing bears.
//!
//! In PostgreSQL tables, views, indexes and sequences of a schema share their names; in MySQL and MariaDB indexes have
//! names of their own in each table.

use std::collections::BTreeSet;

use dbop_model::dependent::{Relation, RelationKind};
use dbop_model::operation::{Constraint, ConstraintKind, IndexKind, Operation, TableChange};
use dbop_model::table::{ColumnName, FactRequest, TableFacts, TableKind, TableName};
use dbop_model::{Engine, Fact};

use super::{Refusal, one, seen};
use crate::case::Case;
use crate::passes::{constraint_stands, index_stands};
use crate::steps::{ColumnStanding, Object, Standing, Step, renamed_to};

const ACCEPT: &str = "or accept the finding, if the migration's tool skips what it has done before";

/// A column that is added, or to whose name one is renamed, and that is there.
pub(super) fn column_is_there(case: &Case<'_>) -> Vec<Refusal> {
    let Some(facts) = case.present() else {
        return Vec::new();
    };
    let table = case.table();
    let there = |name: &ColumnName| {
        matches!(case.step.column(name, facts), ColumnStanding::Present(..))
            || matches!(case.step.column(name, facts), ColumnStanding::Added(_))
    };
    let taken = |name: &ColumnName, advice: String| {
        seen(
            case,
            format!("column {name}"),
            format!("{table} has a column {name} already"),
            vec![advice, ACCEPT.to_owned()],
        )
    };
    match case.step.operation {
        Operation::AddColumn { columns, .. } if case.step.statement.is_sql() => columns
            .iter()
            .filter(|column| {
                let name = &column.name;
                !column.if_not_exists && there(name) && !case.frees(name)
            })
            .map(|column| {
                let advice = match case.server.engine {
                    Engine::MySql => "leave it out, or give the column another name",
                    Engine::PostgreSql | Engine::MariaDb => {
                        "write ADD COLUMN IF NOT EXISTS, or give the column another name"
                    }
                };
                taken(&column.name, advice.to_owned())
            })
            .collect(),
        Operation::RenameColumn { from, to, .. } if is_renamed_to_taken(case, facts, from, to) => {
            let advice = "choose another name, or drop that column before".to_owned();
            vec![taken(to, advice)]
        }
        _ => Vec::new(),
    }
}

/// Is the name that a column gets another's, which keeps it, or one that the same statement gives a second time?
fn is_renamed_to_taken(
    case: &Case<'_>,
    facts: &TableFacts,
    from: &ColumnName,
    to: &ColumnName,
) -> bool {
    let stands = |name: &ColumnName| {
        !matches!(
            case.step.column_before(name, facts),
            ColumnStanding::Missing
        )
    };
    let given = case
        .step
        .statement
        .operations
        .iter()
        .filter(|one| match one {
            Operation::AddColumn { columns, .. } => columns.iter().any(|column| column.name == *to),
            Operation::RenameColumn { to: other, .. } => other == to,
            _ => false,
        });
    stands(from) && from != to && (stands(to) && !case.frees(to) || given.count() > 1)
}

/// A column that is dropped, or whose filling is changed, and that is not there.
pub(super) fn column_is_missing(case: &Case<'_>) -> Vec<Refusal> {
    let Some(facts) = case.present().filter(|_| case.step.statement.is_sql()) else {
        return Vec::new();
    };
    let missing =
        |name: &&ColumnName| matches!(case.step.column(name, facts), ColumnStanding::Missing);
    // What is dropped is called as before the statement, and goes once.
    let undroppable = |name: &&ColumnName| {
        let before = case.step.column_before(name, facts);
        missing(name) || matches!(before, ColumnStanding::Missing)
    };
    let refusal = |name: &ColumnName, advice: &str| {
        seen(
            case,
            format!("{} columns, none of them {name}", facts.columns.len()),
            format!("there is no column {name} in {}", case.table()),
            vec![advice.to_owned(), ACCEPT.to_owned()],
        )
    };
    match case.step.operation {
        Operation::DropColumn {
            columns, dropping, ..
        } if !dropping.if_exists => columns
            .iter()
            .filter(undroppable)
            .map(|name| refusal(name, drop_advice(case)))
            .collect(),
        Operation::ChangeTable {
            change: TableChange::Filling { column, .. },
            ..
        } if missing(&column) => vec![refusal(column, "correct the column's name")],
        _ => Vec::new(),
    }
}

fn drop_advice(case: &Case<'_>) -> &'static str {
    match case.server.engine {
        Engine::MySql => "leave it out, or correct the name",
        Engine::PostgreSql | Engine::MariaDb => "write IF EXISTS, or correct the name",
    }
}

/// A table of which something is dropped, and that is not there.
pub(super) fn table_is_missing(case: &Case<'_>) -> Vec<Refusal> {
    let drops = matches!(
        case.step.operation,
        Operation::DropColumn { .. }
            | Operation::DropIndex { by_name: false, .. }
            | Operation::DropConstraint { .. }
    );
    let missing = matches!(case.standing, Standing::Missing);
    let refused =
        drops && missing && case.step.statement.is_sql() && !case.step.statement.if_table_exists;
    let table = case.table();
    one(refused.then(|| {
        seen(
            case,
            format!("no table {table}"),
            format!("there is no table {table}"),
            vec!["correct the table's name".to_owned()],
        )
    }))
}

/// The name among those of tables that an operation gives to something: in what schema it is depends on the table.
fn new_name(step: &Step<'_>, postgresql: bool) -> Option<(TableName, bool)> {
    let beside = |table: &TableName, name: &ColumnName| {
        TableName::new(table.schema(), name.as_str()).unwrap_or_else(|_| table.clone())
    };
    match step.operation {
        Operation::CreateTable {
            table,
            if_not_exists: false,
            ..
        }
        | Operation::CreateView {
            table,
            or_there: false,
        } => Some((table.clone(), false)),
        Operation::RenameTable { table, to } => Some((renamed_to(table, to), false)),
        Operation::CreateIndex { table, index } if postgresql && !index.if_not_exists => {
            index.name.as_ref().map(|name| (beside(table, name), true))
        }
        Operation::AddConstraint { table, constraint } if postgresql => {
            index_of(constraint).map(|name| (beside(table, name), true))
        }
        Operation::ChangeTable {
            table,
            change: TableChange::RenameIndex { to },
        } if postgresql => Some((beside(table, to), true)),
        _ => None,
    }
}

/// The name of the index that a constraint brings.
fn index_of(constraint: &Constraint) -> Option<&ColumnName> {
    let indexed = matches!(
        constraint.kind(),
        ConstraintKind::Unique | ConstraintKind::PrimaryKey | ConstraintKind::Exclude
    );
    let own = constraint.using_index.is_none() || constraint.using_index != constraint.name;
    constraint.name.as_ref().filter(|_| indexed && own)
}

pub(super) fn wants_new_name(step: &Step<'_>, wanted: &mut BTreeSet<FactRequest>) {
    if let Some((name, _)) = new_name(step, true) {
        wanted.insert(FactRequest::Relation(name.clone()));
        wanted.insert(FactRequest::Table(name));
    }
}

/// Something is given a name that another bears. Of hints only a rename can be judged.
pub(super) fn name_is_taken(case: &Case<'_>) -> Vec<Refusal> {
    let is_sql = case.step.statement.is_sql();
    let rename = matches!(case.step.operation, Operation::RenameTable { .. });
    let Some((name, beside_table)) = new_name(&case.step, case.server.engine == Engine::PostgreSql)
    else {
        return Vec::new();
    };
    if !(is_sql || rename && matches!(case.standing, Standing::Present(_))) {
        return Vec::new();
    }
    let advice = match case.step.operation {
        Operation::CreateTable { .. } => "write CREATE TABLE IF NOT EXISTS, or choose another name",
        Operation::CreateView { .. } => "write CREATE OR REPLACE VIEW, or choose another name",
        Operation::CreateIndex { .. } => {
            "write CREATE INDEX IF NOT EXISTS, once it is known that the one that is there is the same"
        }
        _ => "choose another name, or drop what bears it before",
    };
    let taken = |what: String| {
        seen(
            case,
            what.clone(),
            format!("the name {name} is taken: {what} is there already"),
            vec![advice.to_owned(), ACCEPT.to_owned()],
        )
    };
    let own_table = case.present().and_then(|facts| facts.schema.as_deref());
    match case.step.is_made(&Object::Relation(name.clone())) {
        Some(true) => return vec![taken(format!("{name}, which this migration makes"))],
        Some(false) => return Vec::new(),
        None => {}
    }
    if case.server.engine != Engine::PostgreSql {
        let kind = case.facts_of(&name).map(|facts| facts.kind);
        let what = match kind {
            Some(TableKind::View) => "view",
            _ => "table",
        };
        return one(case
            .is_present(&name)
            .then(|| taken(format!("{what} {name}"))));
    }
    let Some(Fact::Known(found)) = case.relations(&name) else {
        return Vec::new();
    };
    let stands = |relation: &&Relation| {
        let schema = relation.name.schema();
        let same_schema = !beside_table || own_table.is_none() || own_table == schema;
        let goes = |of: &TableName| case.step.is_made(&Object::Relation(of.clone())) == Some(false);
        same_schema && !relation.of.as_ref().is_some_and(goes) && !index_is_gone(case, relation)
    };
    // A type of the name is in the way of tables and views alone, which have row types.
    let in_the_way = |relation: &&Relation| !beside_table || relation.kind != RelationKind::Type;
    let first = found.iter().filter(in_the_way).find(stands);
    one(first.map(|relation| taken(format!("{} {}", relation.kind.as_str(), relation.name))))
}

/// Has the migration dropped a column of an index that is looked at by its name, and so the index?
fn index_is_gone(case: &Case<'_>, relation: &Relation) -> bool {
    let Some(facts) = case.present() else {
        return false;
    };
    let (Fact::Known(indexes), RelationKind::Index) = (&facts.indexes, relation.kind) else {
        return false;
    };
    indexes
        .iter()
        .find(|index| index.name.as_str() == relation.name.name())
        .is_some_and(|index| index_lost_a_column(case, index))
}

fn index_lost_a_column(case: &Case<'_>, index: &dbop_model::table::IndexFacts) -> bool {
    use dbop_model::operation::IndexPart;
    index.key.parts.iter().any(|part| match part {
        IndexPart::Column(column) | IndexPart::Prefix(column, _) => case.step.is_dropped(column),
        IndexPart::Expression(_) => false,
    })
}

/// A constraint of a table that has another one of the name.
pub(super) fn constraint_name_is_taken(case: &Case<'_>) -> Vec<Refusal> {
    let Some(facts) = case.present().filter(|_| case.step.statement.is_sql()) else {
        return Vec::new();
    };
    let constraint = match case.step.operation {
        Operation::AddConstraint { constraint, .. } if !constraint.if_not_exists => {
            constraint.clone()
        }
        Operation::ChangeTable {
            change: TableChange::RenameConstraint { to, .. },
            ..
        } => Constraint::only_named(to.clone()),
        _ => return Vec::new(),
    };
    let goes = |one: &Operation| matches!(one, Operation::DropConstraint { constraint: gone, .. } if gone.name == constraint.name);
    let dropped = case.step.statement.operations.iter().any(goes);
    let name = constraint.name.as_ref().filter(|_| !dropped);
    let taken = name.filter(|_| constraint_stands(case, facts, &constraint) == Some(true));
    one(taken.map(|name| {
        seen(
            case,
            format!("constraint {name}"),
            format!("{} has a constraint {name} already", case.table()),
            vec![
                "choose another name, or drop that constraint before".to_owned(),
                ACCEPT.to_owned(),
            ],
        )
    }))
}

pub(super) fn wants_dropped(step: &Step<'_>, wanted: &mut BTreeSet<FactRequest>) {
    match step.operation {
        Operation::DropTable { table, .. } | Operation::DropView { table, .. } => {
            wanted.insert(FactRequest::Relation(table.clone()));
        }
        Operation::DropIndex {
            table,
            by_name: true,
            ..
        } => {
            wanted.insert(FactRequest::Relation(table.clone()));
        }
        _ => {}
    }
}

/// A table or a view that is dropped and is not there, or is something else.
pub(super) fn relation_is_missing(case: &Case<'_>) -> Vec<Refusal> {
    let (name, dropping, is_view) = match case.step.operation {
        Operation::DropTable { table, dropping } => (table, dropping, false),
        Operation::DropView { table, dropping } => (table, dropping, true),
        _ => return Vec::new(),
    };
    if !case.step.statement.is_sql() {
        return Vec::new();
    }
    let what = if is_view { "view" } else { "table" };
    let missing = || {
        let refusal = seen(
            case,
            format!("no {what} {name}"),
            format!("there is no {what} {name}"),
            vec![
                format!(
                    "write DROP {} IF EXISTS, or correct the name",
                    what.to_uppercase()
                ),
                ACCEPT.to_owned(),
            ],
        );
        one((!dropping.if_exists).then_some(refusal))
    };
    match case.step.is_made(&Object::Relation(name.clone())) {
        Some(true) => return Vec::new(),
        Some(false) => return missing(),
        None => {}
    }
    if case.server.engine != Engine::PostgreSql {
        let kind = case.present().map(|facts| facts.kind);
        let other = match (&case.standing, kind) {
            (Standing::Missing, _) => return missing(),
            (_, Some(TableKind::View)) if !is_view && !dropping.if_exists => "view",
            (_, Some(TableKind::Ordinary | TableKind::Partitioned)) if is_view => "table",
            _ => return Vec::new(),
        };
        return vec![seen(
            case,
            format!("{other} {name}"),
            format!("{name} is no {what}: it is a {other}"),
            vec![format!("write DROP {} {name}", other.to_uppercase())],
        )];
    }
    let Some(Fact::Known(found)) = case.relations(name) else {
        return Vec::new();
    };
    let kind = |kind: RelationKind| match kind {
        RelationKind::Table => !is_view,
        RelationKind::View | RelationKind::MaterializedView => is_view,
        RelationKind::Index | RelationKind::Sequence | RelationKind::Type => false,
    };
    let others = |relation: &&Relation| relation.kind != RelationKind::Type;
    match found.iter().find(others) {
        None => missing(),
        Some(_) if found.iter().any(|relation| kind(relation.kind)) => Vec::new(),
        Some(other) => vec![seen(
            case,
            format!("{} {}", other.kind.as_str(), other.name),
            format!("{name} is no {what}: it is a {}", other.kind.as_str()),
            vec![format!(
                "write DROP {} {name}",
                other.kind.as_str().to_uppercase()
            )],
        )],
    }
}

/// An index that is dropped, renamed or built anew, and is not there.
pub(super) fn index_is_missing(case: &Case<'_>) -> Vec<Refusal> {
    if !case.step.statement.is_sql() {
        return Vec::new();
    }
    let table = case.table();
    let refusal = |what: String, advice: &str| {
        seen(
            case,
            what.clone(),
            format!("there is {what}"),
            vec![advice.to_owned(), ACCEPT.to_owned()],
        )
    };
    if let Some(index) = case.step.index_named() {
        let passes = matches!(case.step.operation, Operation::DropIndex { dropping, .. } if dropping.if_exists);
        let made = case.step.is_made(&Object::Relation(index.clone()));
        let lost = || {
            let facts = case.present()?;
            let indexes = facts.indexes.known()?;
            let found = indexes
                .iter()
                .find(|known| known.name.as_str() == index.name())?;
            Some(index_lost_a_column(case, found))
        };
        let there = match (made, case.table_of_index(index)) {
            (Some(made), _) => made,
            (None, Some(Fact::Known(of))) => of.is_some() && lost() != Some(true),
            (None, _) => true,
        };
        let unnamed = made.is_none() && case.step.has_unnamed_anywhere();
        return if there || passes || unnamed {
            Vec::new()
        } else {
            vec![refusal(format!("no index {index}"), drop_advice(case))]
        };
    }
    let Some(facts) = case.present() else {
        return Vec::new();
    };
    let (name, if_exists) = match case.step.operation {
        Operation::DropIndex {
            name: Some(name),
            dropping,
            ..
        } => (name, dropping.if_exists),
        Operation::ChangeTable {
            change:
                TableChange::RenameOwnIndex {
                    from: name,
                    if_exists,
                    ..
                }
                | TableChange::HideIndex {
                    name, if_exists, ..
                },
            ..
        } => (name, *if_exists),
        _ => return Vec::new(),
    };
    if index_stands(case, facts, name) != Some(false) || if_exists {
        return Vec::new();
    }
    let what = format!("no index {name} on {table}");
    vec![refusal(what, drop_advice(case))]
}

/// A constraint that is dropped, renamed or validated, and is not there.
pub(super) fn constraint_is_missing(case: &Case<'_>) -> Vec<Refusal> {
    let Some(facts) = case.present().filter(|_| case.step.statement.is_sql()) else {
        return Vec::new();
    };
    let (constraint, passes, advice) = match case.step.operation {
        Operation::DropConstraint {
            constraint,
            dropping,
            ..
        } => (constraint.clone(), dropping.if_exists, drop_advice(case)),
        Operation::ChangeTable {
            change:
                TableChange::ValidateConstraint { name }
                | TableChange::RenameConstraint { from: name, .. }
                | TableChange::Unenforce { name },
            ..
        } => {
            let named = Constraint::only_named(name.clone());
            (named, false, "correct the constraint's name")
        }
        _ => return Vec::new(),
    };
    let missing = constraint
        .name
        .as_ref()
        .filter(|_| !passes && constraint_stands(case, facts, &constraint) == Some(false))
        // MySQL and MariaDB know a unique constraint by its index, and drop it as a constraint.
        .filter(|name| {
            !facts.indexes.is_known_and(|indexes| {
                case.server.engine != Engine::PostgreSql
                    && !constraint.kind_said
                    && indexes
                        .iter()
                        .any(|index| index.name == **name && index.kind == IndexKind::Unique)
            })
        });
    one(missing.map(|name| {
        seen(
            case,
            format!("no constraint {name} among those of {}", case.table()),
            format!("{} has no constraint {name}", case.table()),
            vec![advice.to_owned(), ACCEPT.to_owned()],
        )
    }))
}

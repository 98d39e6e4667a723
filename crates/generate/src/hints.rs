//! `schemaHints` from the SQL of a chain.
//!
//! Hints say less than SQL does. Of a step of which a line cannot be read, or does what no hint says, the hints would be
//! taken for all that it does: so they are written down as a comment, for a person to complete, and count for nothing.
//! What concerns a table that the same step creates is left out where no hint says it, as no rule looks at it.

use std::collections::{BTreeMap, BTreeSet};

use dbop_model::Engine;
use dbop_model::operation::{
    Column, Constraint, ConstraintKind, Index, IndexKind, IndexPart, Operation, ServerDefault,
    Statement, TableChange, Validity,
};
use dbop_model::table::{ColumnName, TableName};
use serde::Serialize;

use crate::chain::{Chain, Step};
use crate::text::Text;

/// More hints than a DatabaseMigration may have (`schemaHints` in docs/reference.md).
const HINTS_MAX: usize = 100;

/// What a step does to the schema.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hints {
    /// In the order of the SQL.
    pub lines: Vec<Line>,
    /// Is this all that it does?
    pub is_whole: bool,
}

/// A line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A hint.
    Hint(Hint),
    /// What is left out without harm, and why.
    LeftOut(String),
    /// What is missing, and why.
    Missing(String),
}

/// A schema operation, as a DatabaseMigration has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hint {
    pub(crate) op: &'static str,
    pub(crate) table: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) columns: Vec<HintColumn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<HintIndex>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) constraint: Option<&'static str>,
}

/// A column of a hint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HintColumn {
    pub(crate) name: String,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(crate) sql_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nullable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) has_server_default: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) default: Option<String>,
}

/// The index of a hint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HintIndex {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<&'static str>,
    pub(crate) online: bool,
}

/// The hints of each step of a chain, in its order.
pub fn of(engine: Engine, chain: &Chain) -> Vec<Hints> {
    let mut known = Known::default();
    let steps = chain.steps.iter();
    steps
        .map(|step| of_step(engine, step, &mut known))
        .collect()
}

fn of_step(engine: Engine, step: &Step, known: &mut Known) -> Hints {
    let mut lines = Vec::new();
    let mut created = BTreeSet::new();
    for part in &step.parts {
        let (file, first, sql) = match &part.text {
            Text::Sql { file, line, sql } => (file, *line, sql),
            Text::Printed { what } => {
                lines.push(Line::Missing(format!("{}: it is {what}", part.name)));
                continue;
            }
        };
        for statement in dbop_sql::read(engine, sql) {
            let line = first
                .saturating_add(statement.line.unwrap_or(1))
                .saturating_sub(1);
            let place = format!("{file} line {line}");
            of_statement(&statement, &place, known, &mut created, &mut lines);
        }
    }
    let count = |lines: &[Line]| {
        lines
            .iter()
            .filter(|line| matches!(line, Line::Hint(_)))
            .count()
    };
    if count(&lines) > HINTS_MAX {
        // No rule looks at what is done to a table that is not there yet.
        let names: BTreeSet<String> = created.iter().map(TableName::to_string).collect();
        lines.retain(|line| match line {
            Line::Hint(hint) => hint.op == "createTable" || !names.contains(&hint.table),
            _ => true,
        });
    }
    let hints = count(&lines);
    if hints > HINTS_MAX {
        let why = format!(
            "{hints} operations are more than the {HINTS_MAX} that a DatabaseMigration can have"
        );
        lines.insert(0, Line::Missing(why));
    }
    Hints {
        is_whole: !lines.iter().any(|line| matches!(line, Line::Missing(_))),
        lines,
    }
}

fn of_statement(
    statement: &Statement,
    place: &str,
    known: &mut Known,
    created: &mut BTreeSet<TableName>,
    lines: &mut Vec<Line>,
) {
    if let Some(why) = &statement.unread {
        let text = statement.text.as_deref().unwrap_or_default();
        lines.push(Line::Missing(format!("{place} is not read: {why}: {text}")));
    }
    for operation in &statement.operations {
        if let Operation::CreateTable { table, .. } = operation {
            created.insert(table.clone());
        }
        // What a table is created with is new as it is; its foreign keys concern another one.
        let foreign = matches!(operation, Operation::AddConstraint { constraint, .. }
            if constraint.kind() == ConstraintKind::ForeignKey);
        if statement.defines(operation) && !foreign {
            known.learn(operation);
            continue;
        }
        let is_new = created.contains(operation.table());
        let asks = statement.algorithm.is_some() || statement.locking.is_some();
        let hints = match operation {
            _ if asks && !is_online(operation) => Err("ALGORITHM and LOCK".to_owned()),
            _ => said(operation, known),
        };
        match hints {
            Ok(hints) => lines.extend(hints.into_iter().map(Line::Hint)),
            Err(_) if is_new => {}
            Err(_) if is_harmless(operation) => {
                lines.push(Line::LeftOut(format!("{place}: {operation}")));
            }
            Err(why) => {
                let text = format!("{place}: {operation}: no hint says {why}");
                lines.push(Line::Missing(text));
            }
        }
        known.learn(operation);
    }
}

/// Only the catalogue changes, and nothing that an application sees.
fn is_harmless(operation: &Operation) -> bool {
    let change = match operation {
        Operation::ChangeTable { change, .. } => change,
        Operation::CreateView { .. } => return true,
        _ => return false,
    };
    matches!(
        change,
        TableChange::Catalogue
            | TableChange::Parameters
            | TableChange::RenameOwnIndex { .. }
            | TableChange::HideIndex { .. }
            | TableChange::Unenforce { .. }
            | TableChange::HideColumn { .. }
            | TableChange::AlterView
            | TableChange::Template
            | TableChange::Options
            | TableChange::Keys { .. }
            | TableChange::DefaultCharset { .. }
    )
}

fn is_online(operation: &Operation) -> bool {
    match operation {
        Operation::CreateIndex { index, .. } => index.online,
        Operation::DropIndex { online, .. } => *online,
        _ => false,
    }
}

/// What earlier steps said of indexes and constraints that later ones name alone.
#[derive(Default)]
struct Known {
    indexes: BTreeMap<String, (TableName, Vec<ColumnName>)>,
    constraints: BTreeMap<(TableName, ColumnName), Constraint>,
}

impl Known {
    fn learn(&mut self, operation: &Operation) {
        match operation {
            Operation::CreateIndex { table, index } => {
                if let Some(name) = &index.name {
                    let columns = index.columns().cloned().collect();
                    self.indexes
                        .insert(name.to_string(), (table.clone(), columns));
                }
            }
            Operation::AddConstraint { table, constraint } => {
                if let Some(name) = &constraint.name {
                    self.constraints
                        .insert((table.clone(), name.clone()), constraint.clone());
                }
            }
            // What was learnt of a table under its old name is forgotten, rather than followed half way.
            Operation::RenameTable { table, .. } | Operation::DropTable { table, .. } => {
                self.indexes.retain(|_, (of, _)| of != table);
                self.constraints.retain(|(of, _), _| of != table);
            }
            Operation::RenameColumn {
                table, from, to, ..
            } => {
                for (of, columns) in self.indexes.values_mut() {
                    let renamed = columns
                        .iter_mut()
                        .filter(|column| of == table && *column == from);
                    renamed.for_each(|column| *column = to.clone());
                }
                self.constraints
                    .retain(|(of, _), known| of != table || !known.columns().contains(from));
            }
            _ => {}
        }
    }
}

/// An operation as hints; what of it no hint says, as a clause.
fn said(operation: &Operation, known: &Known) -> Result<Vec<Hint>, String> {
    let hint = |columns: Vec<HintColumn>| Hint {
        op: operation.op(),
        table: operation.table().to_string(),
        columns,
        to: None,
        index: None,
        constraint: None,
    };
    Ok(match operation {
        Operation::AddColumn { table, columns } => {
            let mut hints = vec![hint(columns.iter().map(column).collect::<Result<_, _>>()?)];
            for constraint in columns.iter().flat_map(|column| &column.constraints) {
                hints.push(constraint_hint("addConstraint", table, constraint)?);
            }
            hints
        }
        Operation::AlterColumn { columns, .. } => {
            if columns.iter().any(|column| !column.constraints.is_empty()) {
                return Err("a constraint in a column that is altered".to_owned());
            }
            vec![hint(columns.iter().map(column).collect::<Result<_, _>>()?)]
        }
        Operation::DropColumn { columns, .. } => vec![hint(names(columns))],
        Operation::RenameColumn { from, to, .. } => vec![Hint {
            to: Some(to.to_string()),
            ..hint(names(std::slice::from_ref(from)))
        }],
        Operation::CreateIndex { index, .. } => vec![Hint {
            index: Some(index_hint(index)?),
            ..hint(index.columns().map(named).collect())
        }],
        Operation::DropIndex {
            table,
            by_name,
            name,
            columns,
            online,
            // A hint to drop what is not there is no problem.
            dropping: _,
        } => {
            let index = match name {
                Some(name) => name.as_str(),
                None => table.name(),
            };
            let (table, columns) = match known.indexes.get(index).filter(|_| *by_name) {
                Some((table, columns)) => (table, columns),
                None if *by_name => {
                    return Err("an index by its name, and no earlier file creates it".to_owned());
                }
                None => (table, columns),
            };
            let kind = None;
            vec![Hint {
                table: table.to_string(),
                index: Some(HintIndex {
                    kind,
                    online: *online,
                }),
                ..hint(names(columns))
            }]
        }
        Operation::AddConstraint { table, constraint } => {
            vec![constraint_hint(operation.op(), table, constraint)?]
        }
        Operation::DropConstraint {
            table, constraint, ..
        } => {
            let named = constraint.name.clone().map(|name| (table.clone(), name));
            let is_said = constraint.kind_said && !constraint.columns().is_empty();
            match named.and_then(|key| known.constraints.get(&key)) {
                _ if is_said => vec![constraint_hint(operation.op(), table, constraint)?],
                Some(known) => vec![constraint_hint(operation.op(), table, known)?],
                None => {
                    return Err("a constraint by its name, and no earlier file adds it".to_owned());
                }
            }
        }
        Operation::CreateTable { .. } | Operation::DropTable { .. } => vec![hint(Vec::new())],
        Operation::RenameTable { to, .. } => vec![Hint {
            to: Some(to.to_string()),
            ..hint(Vec::new())
        }],
        Operation::CreateView { .. } | Operation::DropView { .. } => {
            return Err("views".to_owned());
        }
        Operation::ChangeTable { .. } => return Err("this change of a table".to_owned()),
    })
}

fn named(name: &ColumnName) -> HintColumn {
    HintColumn {
        name: name.to_string(),
        sql_type: None,
        nullable: None,
        has_server_default: None,
        default: None,
    }
}

fn names(columns: &[ColumnName]) -> Vec<HintColumn> {
    columns.iter().map(named).collect()
}

fn column(column: &Column) -> Result<HintColumn, String> {
    // Without `..`: what is new of a column is either said by a hint, or missing.
    let Column {
        name,
        sql_type,
        nullable,
        default,
        charset,
        collation,
        using,
        constraints: _,
        // A hint to add what is there is no problem.
        if_not_exists: _,
        placed,
        redefined,
        after: _,
        if_exists: _,
    } = column;
    for (is_said, what) in [
        (
            charset.is_some() || collation.is_some(),
            "a character set or collation",
        ),
        (using.is_some(), "USING"),
        (*placed, "a place among the columns"),
    ] {
        if is_said {
            return Err(what.to_owned());
        }
    }
    // What a definition does not say is dropped, and what a hint does not say stays.
    let nullable = nullable.or(redefined.then_some(true));
    let (has_server_default, default) = match default {
        ServerDefault::NotSaid => (redefined.then_some(false), None),
        ServerDefault::Absent => (Some(false), None),
        ServerDefault::Present => (Some(true), None),
        ServerDefault::Expression(text) => (None, Some(text.clone())),
    };
    Ok(HintColumn {
        name: name.to_string(),
        sql_type: sql_type.as_ref().map(|t| t.as_str().to_owned()),
        nullable,
        has_server_default,
        default,
    })
}

fn index_hint(index: &Index) -> Result<HintIndex, String> {
    let Index {
        parts,
        kind,
        online,
        name: _,
        predicate,
        nulls_equal,
        only,
        if_not_exists: _,
    } = index;
    let is_whole = parts.iter().all(|part| match part {
        IndexPart::Column(_) => true,
        IndexPart::Prefix(..) => *kind != IndexKind::Unique,
        IndexPart::Expression(_) => false,
    });
    if !is_whole || parts.is_empty() {
        return Err(
            "an index over an expression, or a unique one over a part of a column".to_owned(),
        );
    }
    if *kind == IndexKind::Unique && (predicate.is_some() || *nulls_equal) {
        return Err("a unique index over some rows, or with equal NULLs".to_owned());
    }
    if *only {
        return Err("ON ONLY".to_owned());
    }
    Ok(HintIndex {
        kind: match kind {
            IndexKind::Plain => None,
            IndexKind::Unique => Some("unique"),
            IndexKind::Fulltext => Some("fulltext"),
            IndexKind::Spatial => Some("spatial"),
        },
        online: *online,
    })
}

fn constraint_hint(
    op: &'static str,
    table: &TableName,
    constraint: &Constraint,
) -> Result<Hint, String> {
    for (is_said, what) in [
        (
            constraint.validity != Validity::AllRows,
            "NOT VALID or NOT ENFORCED",
        ),
        (constraint.using_index.is_some(), "USING INDEX"),
        (constraint.nulls_equal, "NULLS NOT DISTINCT"),
        (!constraint.kind_said, "a constraint by its name alone"),
    ] {
        if is_said && !(op == "dropConstraint" && what != "a constraint by its name alone") {
            return Err(what.to_owned());
        }
    }
    let kind = constraint.kind();
    if kind == ConstraintKind::Exclude {
        return Err("EXCLUDE".to_owned());
    }
    Ok(Hint {
        op,
        table: table.to_string(),
        columns: names(constraint.columns()),
        to: None,
        index: None,
        constraint: Some(kind.as_str()),
    })
}

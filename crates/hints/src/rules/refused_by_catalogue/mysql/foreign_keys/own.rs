//! The end of a foreign key that refers: columns of the table that has it, there or new.

use dbop_model::Engine;
use dbop_model::dependent::{DependentKind, PartOf};
use dbop_model::operation::{Column, Constraint, Filled, Operation, Referential, SqlType};
use dbop_model::table::{ColumnFacts, ColumnName, Generated, TableFacts, TableKind};

use super::super::super::dependents::known;
use crate::case::Case;
use crate::effect::mysql::Type;
use crate::steps::{ColumnStanding, Standing};

/// A column as far as a foreign key asks for it.
pub(super) struct End {
    pub(super) of: Option<Type>,
    /// As it is shown.
    pub(super) sql_type: String,
    /// Where it is known.
    pub(super) charset: Option<String>,
    pub(super) collation: Option<String>,
    pub(super) nullable: bool,
    pub(super) generated: Option<Generated>,
}

impl End {
    /// Of a column that a statement defines.
    pub(super) fn of_new(column: &Column) -> Self {
        let sql_type = column.sql_type.as_ref();
        End {
            of: sql_type.and_then(|of| Type::read(of.name())),
            sql_type: sql_type.map_or_else(String::new, |of| of.name().to_owned()),
            charset: column.charset.clone(),
            collation: column.collation.clone(),
            nullable: column.nullable != Some(false),
            generated: match sql_type.map(SqlType::filled) {
                Some(Filled::Stored) => Some(Generated::Stored),
                Some(Filled::Virtual) => Some(Generated::Virtual),
                _ => None,
            },
        }
    }

    /// Of one that is there.
    pub(super) fn of_known(facts: &ColumnFacts) -> Self {
        End {
            of: Type::read(&facts.sql_type),
            sql_type: facts.sql_type.clone(),
            charset: facts.charset.clone(),
            collation: facts.collation.clone(),
            nullable: facts.nullable,
            generated: facts.generated,
        }
    }
}

/// The referring columns, each where it is known.
pub(super) struct Ends<'a> {
    pub(super) facts: Option<&'a TableFacts>,
    pub(super) columns: Vec<(ColumnName, Option<End>)>,
}

impl<'a> Ends<'a> {
    /// `None`: nothing is held against it here, or nothing is known of the table.
    pub(super) fn own(case: &'a Case<'_>, constraint: &Constraint) -> Option<Self> {
        let facts = case.present();
        match &case.standing {
            Standing::Present(facts) => {
                let new = case.step.columns_of_new();
                let is_own = |column: &Column| column.constraints.contains(constraint);
                if super::forgets_references(case) && new.iter().any(is_own) {
                    return None;
                }
                // Other engines read a foreign key and forget it.
                let innodb = |engine: &str| engine.eq_ignore_ascii_case("innodb");
                if facts.storage.is_known_and(|it| !innodb(&it.engine)) {
                    return None;
                }
            }
            Standing::New => {
                let new = case.step.columns_of_new();
                let is_own = |column: &Column| column.constraints.contains(constraint);
                if super::forgets_references(case) && new.iter().any(is_own) {
                    return None;
                }
            }
            Standing::Missing | Standing::Unknown(_) => return None,
        }
        let end = |name: &ColumnName| match facts {
            Some(facts) => match case.step.column(name, facts) {
                ColumnStanding::Present(_, known) => Some(End::of_known(&known)),
                ColumnStanding::Added(column) => Some(End::of_new(column)),
                // The column of its own definition.
                ColumnStanding::Missing => defined_here(case, name).map(End::of_new),
            },
            None => {
                let mut new = case.step.columns_of_new().iter();
                new.find(|column| column.name == *name).map(End::of_new)
            }
        };
        let columns = constraint.columns().iter();
        Some(Ends {
            facts,
            columns: columns.map(|name| (name.clone(), end(name))).collect(),
        })
    }

    /// What is wrong with this end alone.
    pub(super) fn misfit(&self, case: &Case<'_>, constraint: &Constraint) -> Option<String> {
        if self
            .facts
            .is_some_and(|facts| facts.kind == TableKind::Partitioned)
        {
            return Some(format!("{} is partitioned", case.table()));
        }
        let (delete, update) = (constraint.on_delete, constraint.on_update);
        let writes_null = [delete, update].contains(&Referential::SetNull);
        let writes = update != Referential::Refuse || delete == Referential::SetNull;
        self.columns.iter().find_map(|(name, end)| {
            let end = end.as_ref()?;
            let is_long = end.of.as_ref().is_some_and(|of| {
                let base = of.base();
                base.ends_with("text") || base.ends_with("blob") || base == "json"
            });
            Some(match () {
                () if end.generated == Some(Generated::Virtual)
                    && case.server.engine == Engine::MySql =>
                {
                    format!("{name} is a virtual column")
                }
                () if end.generated.is_some() && writes => {
                    format!("{name} is a generated column, into which nothing is written")
                }
                () if writes_null && !end.nullable => {
                    format!("{name} cannot hold NULL, which SET NULL would write")
                }
                () if is_long => {
                    format!("{name} is {}, which no foreign key is over", end.sql_type)
                }
                () if case.server.engine == Engine::MySql
                    && (writes || delete == Referential::Cascade)
                    && self.facts.is_some_and(|facts| is_under_stored(facts, name)) =>
                {
                    format!("a stored generated column is computed of {name}, which it would write")
                }
                () => return None,
            })
        })
    }
}

/// Is a stored generated column computed of it?
fn is_under_stored(facts: &TableFacts, name: &ColumnName) -> bool {
    known(facts).iter().any(|dependent| {
        let generated = dependent
            .name
            .as_ref()
            .and_then(|name| facts.columns.get(name))
            .and_then(|column| column.generated);
        dependent.kind == DependentKind::GeneratedColumn
            && dependent.on == PartOf::Column(name.clone())
            && generated == Some(Generated::Stored)
    })
}

/// The column that the operation itself, or one beside it, adds.
fn defined_here<'a>(case: &'a Case<'_>, name: &ColumnName) -> Option<&'a Column> {
    case.step
        .statement
        .operations
        .iter()
        .find_map(|one| match one {
            Operation::AddColumn { columns, .. } => columns.iter().find(|c| c.name == *name),
            _ => None,
        })
}

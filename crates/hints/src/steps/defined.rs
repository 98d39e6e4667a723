//! Tables that the migration creates, as facts: what the catalogue will say of one once its statement is done.

use dbop_model::operation::{
    Column, ConstraintKind, Filled, IndexKind, IndexPart, ServerDefault, TableOptions,
};
use dbop_model::table::{
    ColumnFacts, ColumnName, ConstraintFacts, Generated, IndexFacts, Storage, TableFacts,
    TableKind, TableName, UniqueKey,
};
use dbop_model::{Engine, Fact};

use super::Place;

/// What a new table is, before anything else is done to its columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Definition<'a> {
    /// Its columns, as far as they are said.
    pub(super) columns: &'a [Column],
    /// Are these all of them, and are all of its keys said?
    pub(super) complete: bool,
    pub(super) options: Option<&'a TableOptions>,
}

impl Definition<'_> {
    pub(super) const NONE: Definition<'static> = Definition {
        columns: &[],
        complete: false,
        options: None,
    };
}

/// The facts of a table that is created, with the keys that it has been given so far; `None`: its statement does not say
/// all of it.
pub(super) fn facts(place: &Place<'_>, engine: Engine) -> Option<TableFacts> {
    let definition = &place.definition;
    if !(place.created && definition.complete) || place.gone {
        return None;
    }
    let mut facts = TableFacts::new(TableKind::Ordinary);
    facts.schema = place.name.schema().map(str::to_owned);
    facts.any_row = Fact::Known(false);
    facts.dependents = Fact::Known(Vec::new());
    facts.partitioned = Fact::Known(None);
    facts.columns = definition
        .columns
        .iter()
        .map(|column| (column.name.clone(), column_of(column, definition)))
        .collect();
    let mut indexes = Vec::new();
    let mut constraints = Vec::new();
    for made in &place.constraints {
        let constraint = made.constraint;
        let kind = constraint.kind();
        let name = constraint
            .name
            .clone()
            .or_else(|| named_by_server(engine, &place.name, kind, constraint.columns()));
        let Some(name) = name else { continue };
        if kind == ConstraintKind::PrimaryKey {
            for column in constraint.columns() {
                if let Some(of) = facts.columns.get_mut(column) {
                    of.nullable = false;
                }
            }
        }
        if matches!(kind, ConstraintKind::PrimaryKey | ConstraintKind::Unique) {
            let parts = constraint.columns().iter().cloned().map(IndexPart::Column);
            let own = match (engine, kind) {
                (Engine::MySql | Engine::MariaDb, ConstraintKind::PrimaryKey) => primary(),
                _ => Some(name.clone()),
            };
            let index = index(
                own.unwrap_or_else(|| name.clone()),
                parts.collect(),
                IndexKind::Unique,
            );
            indexes.push(IndexFacts {
                primary: kind == ConstraintKind::PrimaryKey,
                ..index
            });
        }
        constraints.push(ConstraintFacts {
            name,
            kind,
            columns: constraint.columns().to_vec(),
            condition: constraint.expression.clone(),
            validated: made.validated,
            other: constraint.references.clone(),
            incoming: false,
            cascades: false,
            sets_null: false,
        });
    }
    for made in &place.indexes {
        let first = made.columns().next().cloned();
        if let Some(name) = made.name.clone().or(first) {
            let own = index(name, made.parts.clone(), made.kind);
            indexes.push(IndexFacts {
                key: UniqueKey {
                    predicate: made.predicate.clone(),
                    ..own.key.clone()
                },
                ..own
            });
        }
    }
    let counts_on = definition.columns.iter().find(|column| {
        let filled = column.sql_type.as_ref().map(|of| of.filled());
        matches!(filled, Some(Filled::AutoIncrement | Filled::Serial))
    });
    let options = definition.options.cloned().unwrap_or_default();
    facts.storage = Fact::Known(Storage {
        engine: options.engine.unwrap_or_else(|| "InnoDB".to_owned()),
        row_format: options.row_format,
        charset: options.charset,
        collation: options.collation,
        auto_increment: counts_on.map(|column| column.name.clone()),
        fulltext: place
            .indexes
            .iter()
            .any(|index| index.kind == IndexKind::Fulltext),
        ..Storage::default()
    });
    facts.indexes = Fact::Known(indexes);
    facts.constraints = Fact::Known(constraints);
    Some(facts)
}

fn column_of(column: &Column, definition: &Definition<'_>) -> ColumnFacts {
    let filled = column.sql_type.as_ref().map(|of| of.filled());
    let sql_type = column.sql_type.as_ref().map_or("", |of| of.name());
    let lower = sql_type.to_ascii_lowercase();
    let is_text = ["char", "text", "enum", "set"]
        .iter()
        .any(|word| lower.contains(word));
    let of_table = || {
        definition
            .options
            .and_then(|options| options.charset.clone())
    };
    ColumnFacts {
        sql_type: sql_type.to_owned(),
        nullable: column.nullable != Some(false),
        has_default: matches!(
            column.default,
            ServerDefault::Present | ServerDefault::Expression(_)
        ) || !matches!(filled, None | Some(Filled::No)),
        proven_not_null_by: None,
        charset: column.charset.clone().or_else(of_table).filter(|_| is_text),
        collation: column.collation.clone(),
        generated: match filled {
            Some(Filled::Stored) => Some(Generated::Stored),
            Some(Filled::Virtual | Filled::StoredOrVirtual) => Some(Generated::Virtual),
            _ => None,
        },
        computed: None,
    }
}

fn index(name: ColumnName, parts: Vec<IndexPart>, kind: IndexKind) -> IndexFacts {
    IndexFacts {
        name,
        key: UniqueKey {
            parts,
            predicate: None,
            nulls_equal: false,
        },
        kind,
        primary: false,
        valid: true,
        immediate: true,
        bytes: None,
    }
}

fn primary() -> Option<ColumnName> {
    ColumnName::ignoring_case("PRIMARY").ok()
}

/// The name that a server gives what says none (PostgreSQL: `ChooseIndexName`, `ChooseConstraintName`).
fn named_by_server(
    engine: Engine,
    table: &TableName,
    kind: ConstraintKind,
    columns: &[ColumnName],
) -> Option<ColumnName> {
    let over: Vec<&str> = columns.iter().map(ColumnName::as_str).collect();
    let over = over.join("_");
    let table = table.name();
    let name = match (engine, kind) {
        (Engine::PostgreSql, ConstraintKind::PrimaryKey) => format!("{table}_pkey"),
        (Engine::PostgreSql, ConstraintKind::Unique) => format!("{table}_{over}_key"),
        (Engine::PostgreSql, ConstraintKind::ForeignKey) => format!("{table}_{over}_fkey"),
        (Engine::MySql | Engine::MariaDb, ConstraintKind::PrimaryKey) => return primary(),
        (Engine::MySql | Engine::MariaDb, ConstraintKind::Unique) => {
            return columns.first().cloned();
        }
        _ => return None,
    };
    ColumnName::new(&name).ok()
}

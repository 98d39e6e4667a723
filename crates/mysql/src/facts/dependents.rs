//! What hangs on a table and its columns, so that the servers refuse to drop or rename them whatever the rows are.
//!
//! The catalogue says what an expression reads only as text, with every column in backquotes. Views, triggers and routines
//! stop nothing here: they fail when they are used.

use dbop_database::DatabaseError;
use dbop_model::Engine;
use dbop_model::dependent::{Dependent, DependentKind, PartOf, Partitioned, Stops};
use dbop_model::operation::ConstraintKind;
use dbop_model::table::{ColumnName, ConstraintFacts};

use super::Look;
use super::parse::Located;
use crate::parse::Columns;
use crate::query::{name, text};
use dbop_database::answer::Answer;

/// Expressions of one table.
const ROWS_MAX: usize = 5000;

/// Expressions of a table that read columns: kind, name, text.
fn expressions(table: &Located, engine: Engine) -> Result<String, DatabaseError> {
    let (database, table) = (text(&table.database)?, text(table.name.name())?);
    let generated = format!(
        "SELECT 'generated', c.COLUMN_NAME, c.GENERATION_EXPRESSION FROM information_schema.COLUMNS c \
         WHERE c.TABLE_SCHEMA = {database} AND c.TABLE_NAME = {table} AND c.EXTRA LIKE '%GENERATED%' \
         AND c.GENERATION_EXPRESSION <> ''"
    );
    let partitions = format!(
        "SELECT DISTINCT 'partition', NULL, CONCAT_WS(' ', p.PARTITION_EXPRESSION, p.SUBPARTITION_EXPRESSION) \
         FROM information_schema.PARTITIONS p WHERE p.TABLE_SCHEMA = {database} AND p.TABLE_NAME = {table} \
         AND p.PARTITION_NAME IS NOT NULL"
    );
    let own = match engine {
        // MariaDB writes defaults as expressions, and has no index over one.
        Engine::MariaDb => format!(
            "SELECT 'default', c.COLUMN_NAME, c.COLUMN_DEFAULT FROM information_schema.COLUMNS c \
             WHERE c.TABLE_SCHEMA = {database} AND c.TABLE_NAME = {table} AND c.COLUMN_DEFAULT LIKE '%`%`%'"
        ),
        _ => format!(
            "SELECT 'default', c.COLUMN_NAME, c.COLUMN_DEFAULT FROM information_schema.COLUMNS c \
             WHERE c.TABLE_SCHEMA = {database} AND c.TABLE_NAME = {table} \
             AND c.EXTRA LIKE '%DEFAULT_GENERATED%' \
             UNION ALL SELECT 'index', s.INDEX_NAME, s.EXPRESSION FROM information_schema.STATISTICS s \
             WHERE s.TABLE_SCHEMA = {database} AND s.TABLE_NAME = {table} AND s.EXPRESSION IS NOT NULL"
        ),
    };
    Ok(format!(
        "{generated} UNION ALL {partitions} UNION ALL {own} LIMIT {ROWS_MAX}"
    ))
}

/// An expression of the table.
struct Reads {
    kind: DependentKind,
    name: Option<ColumnName>,
    text: String,
}

fn reads(columns: &mut Columns<'_>) -> Result<Reads, DatabaseError> {
    let kind = match columns.text()? {
        "generated" => DependentKind::GeneratedColumn,
        "partition" => DependentKind::PartitionKey,
        "index" => DependentKind::Index,
        _ => DependentKind::Other,
    };
    let name = columns
        .nullable()?
        .map(ColumnName::ignoring_case)
        .transpose();
    let name = name.map_err(|error| columns.unreadable(&format!("a name {error}")))?;
    let text = columns.nullable()?.unwrap_or_default().to_owned();
    Ok(Reads { kind, name, text })
}

impl Look<'_> {
    /// What hangs on it, and by what it is partitioned.
    pub(super) async fn dependents(
        &self,
        table: &Located,
        columns: &[ColumnName],
    ) -> Answer<(Vec<Dependent>, Option<Partitioned>)> {
        let engine = self.server.engine;
        let mut found = self.catalogue(expressions(table, engine), reads).await?;
        let partitioned = found
            .iter()
            .find(|one| one.kind == DependentKind::PartitionKey)
            .map(|one| one.text.clone());
        let partitioned = match partitioned {
            Some(_) => self.partitioned(table).await?,
            None => None,
        };
        let constraints = self.constraints(table).await?;
        found.extend(constraints.iter().filter_map(check));
        let mut dependents = Vec::new();
        for one in &found {
            let read: Vec<&ColumnName> = columns
                .iter()
                .filter(|column| {
                    Some(*column) != one.name.as_ref() || one.kind == DependentKind::Check
                })
                .filter(|column| is_read(&one.text, column))
                .collect();
            let alone = read.len() == 1;
            let stops = stops(engine, one.kind, alone);
            dependents.extend(read.into_iter().map(|column| Dependent {
                kind: one.kind,
                table: None,
                name: one.name.clone(),
                on: PartOf::Column(column.clone()),
                stops,
                cascade: false,
            }));
        }
        dependents.extend(constraints.iter().flat_map(key));
        Ok((dependents, partitioned))
    }
}

/// Does an expression name the column? Partitions by columns are listed with backquotes, too.
fn is_read(text: &str, column: &ColumnName) -> bool {
    name(column.as_str()).is_ok_and(|quoted| text.contains(&quoted))
}

fn check(constraint: &ConstraintFacts) -> Option<Reads> {
    let condition = constraint.condition.clone()?;
    // MariaDB's CHECK in a column's definition goes with the column.
    let of_column = !constraint.columns.is_empty();
    (constraint.kind == ConstraintKind::Check && !of_column).then(|| Reads {
        kind: DependentKind::Check,
        name: Some(constraint.name.clone()),
        text: condition,
    })
}

/// What an expression over columns stops (MySQL errors 3108, 3837, 3855, 3959, 3774; MariaDB 1054, 1901): `alone`, it
/// reads no other column.
fn stops(engine: Engine, kind: DependentKind, alone: bool) -> Stops {
    let mysql = engine == Engine::MySql;
    let drop = match kind {
        // A CHECK of one column goes with it.
        DependentKind::Check => !alone,
        _ => true,
    };
    // MariaDB writes the new name into what reads the column.
    Stops {
        drop,
        change_type: false,
        rename: mysql,
    }
}

/// A foreign key holds its columns at both ends, and the table that it refers to.
fn key(constraint: &ConstraintFacts) -> Vec<Dependent> {
    if constraint.kind != ConstraintKind::ForeignKey {
        return Vec::new();
    }
    let of = constraint.other.clone().filter(|_| constraint.incoming);
    let mut on: Vec<PartOf> = constraint
        .columns
        .iter()
        .cloned()
        .map(PartOf::Column)
        .collect();
    if constraint.incoming {
        on.push(PartOf::Table);
    }
    on.into_iter()
        .map(|on| Dependent {
            kind: DependentKind::ForeignKey,
            table: of.clone(),
            name: Some(constraint.name.clone()),
            on,
            stops: Stops {
                drop: true,
                change_type: false,
                rename: false,
            },
            cascade: false,
        })
        .collect()
}

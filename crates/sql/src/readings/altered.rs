//! A query made of the expressions that a statement gives a table that is there: CHECKs, defaults, generated columns,
//! what an index is over, what makes new values of old ones.

use dbop_model::Engine;
use dbop_model::operation::{Column, Filled, IndexPart, Operation, ServerDefault};
use dbop_model::table::{ColumnName, TableName};

/// `None`: it has no expression, or changes names that its own expressions may have.
/// `sorts`: its keys are sorted.
pub(super) fn of(engine: Engine, operations: &[Operation], sorts: bool) -> Option<String> {
    let table = operations.first()?.table();
    let passes = |one: &Operation| match one {
        Operation::AddColumn { columns, .. } => columns.iter().any(|one| one.if_not_exists),
        _ => false,
    };
    let renames = |one: &Operation| {
        passes(one)
            || matches!(
                one,
                Operation::RenameColumn { .. }
                    | Operation::RenameTable { .. }
                    | Operation::CreateTable { .. }
                    | Operation::CreateView { .. }
                    | Operation::DropTable { .. }
            )
    };
    if operations.iter().any(renames) || operations.iter().any(|one| one.table() != table) {
        return None;
    }
    let postgres = engine == Engine::PostgreSql;
    let quoted = |name: &str| match postgres {
        true => format!("\"{}\"", name.replace('"', "\"\"")),
        false => format!("`{}`", name.replace('`', "``")),
    };
    let (mut asked, mut added, mut constants) = (Vec::new(), Vec::new(), Vec::new());
    let mut sorted: Vec<String> = Vec::new();
    for operation in operations {
        match operation {
            Operation::AddColumn { columns, .. } => {
                for column in columns {
                    let value = value_of(column, postgres);
                    if let Some(value) = &value {
                        let into = if is_computed(column) {
                            &mut asked
                        } else {
                            &mut constants
                        };
                        into.push(value.clone());
                    }
                    let sql_type = column.sql_type.as_ref().filter(|_| postgres);
                    let null = sql_type.map_or_else(
                        || "NULL".to_owned(),
                        |of| format!("CAST(NULL AS {})", number_of(of.name())),
                    );
                    added.push((&column.name, null));
                    asked.extend(
                        column
                            .constraints
                            .iter()
                            .filter_map(|one| condition(one.expression.as_ref()?, postgres)),
                    );
                }
            }
            Operation::AlterColumn { columns, .. } => {
                for column in columns {
                    asked.extend(column.using.iter().map(|text| format!("({text})")));
                    if let ServerDefault::Expression(text) = &column.default
                        && (postgres || text.starts_with('('))
                    {
                        constants.push(format!("({text})"));
                    }
                    asked.extend(
                        column
                            .constraints
                            .iter()
                            .filter_map(|one| condition(one.expression.as_ref()?, postgres)),
                    );
                }
            }
            Operation::CreateIndex { index, .. } => {
                asked.extend(index.parts.iter().filter_map(|part| match part {
                    IndexPart::Expression(text) => Some(format!("({text})")),
                    IndexPart::Column(_) | IndexPart::Prefix(..) => None,
                }));
                if sorts {
                    sorted.extend(index.columns().map(|name| quoted(name.as_str())));
                }
                let predicate = index.predicate.as_ref();
                asked.extend(predicate.and_then(|text| condition(text, postgres)));
            }
            Operation::AddConstraint { constraint, .. }
                if constraint.kind() == dbop_model::operation::ConstraintKind::Check =>
            {
                let expression = constraint.expression.as_ref();
                asked.extend(expression.and_then(|text| condition(text, postgres)));
            }
            _ => {}
        }
    }
    // A type that is not there is told by the column alone.
    let typed = postgres && !added.is_empty();
    if asked.is_empty() && sorted.is_empty() && !typed && (constants.is_empty() || !postgres) {
        return None;
    }
    // A column cannot be in a constant (PostgreSQL); MySQL's defaults may read others.
    let constants = match (postgres, constants.is_empty()) {
        (_, true) => None,
        (true, false) => Some(format!(
            "(SELECT 1 FROM (SELECT {}) AS dbop_constants LIMIT 1)",
            constants.join(", ")
        )),
        (false, false) => Some(constants.join(", ")),
    };
    // Constants first: no table stands before them whose columns they could have.
    if let Some(constants) = constants.as_ref().filter(|_| postgres && asked.is_empty()) {
        return Some(format!("SELECT {constants}"));
    }
    asked.extend(constants.filter(|_| !postgres));
    let source = source(table, &added, &quoted);
    if postgres {
        asked.push("1".to_owned());
    }
    let order = match sorted.is_empty() {
        true => String::new(),
        false => format!(" ORDER BY {}", sorted.join(", ")),
    };
    Some(format!(
        "SELECT {} FROM {source}{order} LIMIT 1",
        asked.join(", ")
    ))
}

/// A query of columns like these; `None`: the type of one is not said.
pub(super) fn empty(engine: Engine, columns: &[Column]) -> Option<String> {
    let postgres = engine == Engine::PostgreSql;
    let of = |column: &Column| {
        let name = column.name.as_str();
        Some(match postgres {
            true => {
                let sql_type = number_of(column.sql_type.as_ref()?.name()).to_owned();
                format!(
                    "CAST(NULL AS {sql_type}) AS \"{}\"",
                    name.replace('"', "\"\"")
                )
            }
            false => format!("NULL AS `{}`", name.replace('`', "``")),
        })
    };
    let columns: Option<Vec<String>> = columns.iter().map(of).collect();
    columns.map(|columns| format!("SELECT {}", columns.join(", ")))
}

fn source(
    table: &TableName,
    added: &[(&ColumnName, String)],
    quoted: &impl Fn(&str) -> String,
) -> String {
    let name = quoted(table.name());
    let whole = match table.schema() {
        Some(schema) => format!("{}.{name}", quoted(schema)),
        None => name.clone(),
    };
    if added.is_empty() {
        return whole;
    }
    let columns: Vec<String> = added
        .iter()
        .map(|(column, null)| format!("{null} AS {}", quoted(column.as_str())))
        .collect();
    format!(
        "(SELECT dbop_old.*, {} FROM {whole} AS dbop_old) AS {name}",
        columns.join(", ")
    )
}

fn condition(text: &str, postgres: bool) -> Option<String> {
    Some(match postgres {
        true => format!("CASE WHEN {text} THEN 1 END"),
        false => format!("({text})"),
    })
}

fn is_computed(column: &Column) -> bool {
    let filled = column.sql_type.as_ref().map(|of| of.filled());
    matches!(
        filled,
        Some(Filled::Stored | Filled::Virtual | Filled::StoredOrVirtual)
    )
}

/// What every row gets in a new column.
fn value_of(column: &Column, postgres: bool) -> Option<String> {
    let sql_type = column.sql_type.as_ref()?;
    let cast = |text: &str| match postgres {
        true => format!("CAST(({text}) AS {})", number_of(sql_type.name())),
        false => format!("({text})"),
    };
    if is_computed(column) {
        let whole = sql_type.as_str();
        let lower = whole.to_ascii_lowercase();
        let at = lower.find(" as (")?;
        let end = whole.rfind(')')?;
        return Some(cast(whole.get(at + " as (".len()..end)?));
    }
    match &column.default {
        ServerDefault::Expression(text) if postgres || text.starts_with('(') => Some(cast(text)),
        _ => None,
    }
}

/// Serials stand for numbers.
fn number_of(name: &str) -> &str {
    match name.trim().to_ascii_lowercase().as_str() {
        "serial" | "serial4" => "integer",
        "bigserial" | "serial8" => "bigint",
        "smallserial" | "serial2" => "smallint",
        _ => name,
    }
}

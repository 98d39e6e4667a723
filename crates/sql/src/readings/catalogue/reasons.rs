//! Reasons why PostgreSQL refuses a statement, each as a query of the catalogue: a row where it holds.

use super::words::Name;

/// A string that means the same whatever `standard_conforming_strings` is.
pub(super) fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// A reason, where a condition holds.
pub(super) fn reason(code: &str, message: &str, condition: &str) -> String {
    format!(
        "(SELECT {}::pg_catalog.text, {}::pg_catalog.text WHERE {condition})",
        literal(code),
        literal(message)
    )
}

/// Where what belongs to a table is listed: the catalogue, its name there, its table.
pub(super) fn parts_of(kind: &str) -> (&'static str, &'static str, &'static str) {
    match kind {
        "trigger" => ("pg_trigger", "tgname", "tgrelid"),
        "policy" => ("pg_policy", "polname", "polrelid"),
        _ => ("pg_rewrite", "rulename", "ev_class"),
    }
}

pub(super) fn part_is_there(
    catalogue: &str,
    column: &str,
    of: &str,
    name: &str,
    table: &Name,
) -> String {
    format!(
        "EXISTS (SELECT FROM pg_catalog.{catalogue} x WHERE x.{column} = {} AND x.{of} = {})",
        literal(name),
        table.relation()
    )
}

/// A table that is there without a column.
pub(super) fn lacks_column(table: &Name, column: &str, asked: &mut Vec<String>) {
    let condition = format!(
        "{} IS NOT NULL AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute x WHERE x.attrelid = {} \
         AND x.attname = {} AND NOT x.attisdropped)",
        table.relation(),
        table.relation(),
        literal(column)
    );
    let message = format!("column \"{column}\" of \"{}\" does not exist", table.name);
    asked.push(reason("42703", &message, &condition));
}

pub(super) fn lacks_index(table: &Name, index: &str, asked: &mut Vec<String>) {
    let condition = format!(
        "{} IS NOT NULL AND NOT EXISTS (SELECT FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class y \
         ON y.oid = x.indexrelid WHERE x.indrelid = {} AND y.relname = {})",
        table.relation(),
        table.relation(),
        literal(index)
    );
    let message = format!("index \"{index}\" of \"{}\" does not exist", table.name);
    asked.push(reason("42704", &message, &condition));
}

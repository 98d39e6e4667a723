//! `ALTER`: values of enumerations, new names, and what actions of a table name beside its columns.

use dbop_model::operation::Operation;

use super::reasons::{lacks_column, lacks_index, literal, part_is_there, parts_of, reason};
use super::words::{Name, name, part, split, string};
use crate::split::Piece;

pub(super) fn of(piece: &Piece<'_>, operations: &[Operation], asked: &mut Vec<String>) {
    let kind = piece.written(1).to_lowercase();
    let mut at = 2;
    if kind == "materialized" {
        at = 3;
    }
    let passes = piece.are_words(at, &["if", "exists"]);
    if passes {
        at += 2;
    }
    if piece.is_word(at, "only") {
        at += 1;
    }
    let Some((named, behind)) = name(piece, at) else {
        return;
    };
    match kind.as_str() {
        "type" => enumerated(piece, &named, behind, asked),
        "view" | "materialized" | "index" | "sequence"
            if piece.are_words(behind, &["rename", "to"]) =>
        {
            let Some(to) = part(piece, behind + 2) else {
                return;
            };
            let condition = format!(
                "EXISTS (SELECT FROM pg_catalog.pg_class x JOIN pg_catalog.pg_class y \
                 ON x.relnamespace = y.relnamespace WHERE x.relname = {} AND y.oid = {})",
                literal(&to),
                named.relation()
            );
            let message = format!("relation \"{to}\" is there already");
            asked.push(reason("42P07", &message, &condition));
        }
        "policy" | "trigger" | "rule" if piece.is_word(behind, "on") => {
            if let Some((table, _)) = name(piece, behind + 1) {
                let (catalogue, column, of) = parts_of(&kind);
                let there = part_is_there(catalogue, column, of, &named.name, &table);
                let message = format!(
                    "{kind} \"{}\" of \"{}\" does not exist",
                    named.name, table.name
                );
                let lacking = format!("{} IS NOT NULL AND NOT {there}", table.relation());
                asked.push(reason("42704", &message, &lacking));
            }
        }
        "table" => of_table(piece, operations, &named, behind, asked),
        _ => {}
    }
}

/// The values of an enumeration.
fn enumerated(piece: &Piece<'_>, ty: &Name, at: usize, asked: &mut Vec<String>) {
    let has = |value: &str| {
        format!(
            "EXISTS (SELECT FROM pg_catalog.pg_enum x WHERE x.enumtypid = {} AND x.enumlabel = {})",
            ty.ty(),
            literal(value)
        )
    };
    let is_enum = format!(
        "EXISTS (SELECT FROM pg_catalog.pg_enum x WHERE x.enumtypid = {})",
        ty.ty()
    );
    let mut lacks = |value: &str| {
        let message = format!("\"{value}\" is no value of \"{}\"", ty.name);
        let condition = format!("{is_enum} AND NOT {}", has(value));
        asked.push(reason("22023", &message, &condition));
    };
    let new = if piece.are_words(at, &["add", "value"]) {
        if let Some(beside) = (at..piece.tokens.len())
            .find(|at| piece.is_word(*at, "before") || piece.is_word(*at, "after"))
            .and_then(|at| string(piece, at + 1))
        {
            lacks(&beside);
        }
        string(piece, at + 2)
    } else if piece.are_words(at, &["rename", "value"]) {
        if let Some(old) = string(piece, at + 2) {
            lacks(&old);
        }
        string(piece, at + 4)
    } else {
        None
    };
    if let Some(new) = new {
        let message = format!("\"{new}\" is a value of \"{}\" already", ty.name);
        asked.push(reason("42710", &message, &has(&new)));
    }
}

/// Actions of ALTER TABLE that name something beside the table's columns.
fn of_table(
    piece: &Piece<'_>,
    operations: &[Operation],
    table: &Name,
    from: usize,
    asked: &mut Vec<String>,
) {
    let adds = |name: &str| {
        operations.iter().any(|one| match one {
            Operation::AddColumn { columns, .. } => {
                columns.iter().any(|column| column.name.as_str() == name)
            }
            _ => false,
        })
    };
    for (start, _) in split(piece, from, piece.tokens.len()) {
        let words = |words: &[&str]| piece.are_words(start, words);
        let index = if words(&["cluster", "on"]) {
            part(piece, start + 2)
        } else if words(&["replica", "identity", "using", "index"]) {
            part(piece, start + 4)
        } else {
            None
        };
        if let Some(index) = index {
            lacks_index(table, &index, asked);
        }
        if (words(&["disable", "trigger"]) || words(&["enable", "trigger"]))
            && !["all", "user"]
                .iter()
                .any(|word| piece.is_word(start + 2, word))
            && let Some(trigger) = part(piece, start + 2)
        {
            let there = part_is_there("pg_trigger", "tgname", "tgrelid", &trigger, table);
            let condition = format!("{} IS NOT NULL AND NOT {there}", table.relation());
            let message = format!("trigger \"{trigger}\" of \"{}\" does not exist", table.name);
            asked.push(reason("42704", &message, &condition));
        }
        let parent = if piece.is_word(start, "inherit") {
            name(piece, start + 1)
        } else if words(&["no", "inherit"]) {
            name(piece, start + 2)
        } else {
            None
        };
        if let Some((parent, _)) = parent {
            let message = format!("relation \"{}\" does not exist", parent.name);
            let condition = format!("{} IS NULL", parent.relation());
            asked.push(reason("42P01", &message, &condition));
        }
        let column = if words(&["alter", "column"]) {
            Some(start + 2)
        } else if piece.is_word(start, "alter") && !words(&["alter", "constraint"]) {
            Some(start + 1)
        } else {
            None
        };
        if let Some(at) = column
            && ["statistics", "storage", "compression", "("]
                .iter()
                .any(|word| piece.written(at + 2).eq_ignore_ascii_case(word))
            && let Some(column) = part(piece, at).filter(|column| !adds(column))
        {
            lacks_column(table, &column, asked);
        }
        if piece.is_word(start, "set") && piece.written(start + 1) == "(" {
            parameters(piece, start + 1, asked);
        }
    }
}

/// Parameters of tables (PostgreSQL manual, CREATE TABLE, "Storage Parameters"), without those of autovacuum.
const PARAMETERS: [&str; 10] = [
    "fillfactor",
    "oids",
    "toast_tuple_target",
    "parallel_workers",
    "vacuum_index_cleanup",
    "vacuum_truncate",
    "vacuum_max_eager_freeze_failure_rate",
    "log_autovacuum_min_duration",
    "log_autoanalyze_min_duration",
    "user_catalog_table",
];

/// Parameters of a table that no server up to 18 knows; of a later one nothing is said.
pub(super) fn parameters(piece: &Piece<'_>, open: usize, asked: &mut Vec<String>) {
    let Some(end) = piece.closing(open) else {
        return;
    };
    for (from, _) in split(piece, open + 1, end) {
        let Some((parameter, _)) = name(piece, from) else {
            continue;
        };
        let known = PARAMETERS.contains(&parameter.name.as_str())
            || parameter.name.starts_with("autovacuum_");
        if parameter.schema.is_none() && !known {
            let message = format!("unrecognized parameter \"{}\"", parameter.name);
            let condition =
                "pg_catalog.current_setting('server_version_num')::pg_catalog.int4 < 190000";
            asked.push(reason("22023", &message, condition));
        }
    }
}

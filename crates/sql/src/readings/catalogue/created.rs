//! `CREATE`: what is there already, and what a new thing rests on.

use super::reasons::{lacks_column, literal, part_is_there, parts_of, reason};
use super::words::{Name, arguments, name, part, routine};
use crate::split::Piece;

pub(super) fn of(piece: &Piece<'_>, asked: &mut Vec<String>) {
    let mut at = 1;
    let mut replaces = false;
    if piece.are_words(1, &["or", "replace"]) {
        (at, replaces) = (3, true);
    }
    while ["temp", "temporary", "unlogged", "constraint", "trusted"]
        .iter()
        .any(|word| piece.is_word(at, word))
    {
        at += 1;
    }
    let temporary = (1..at).any(|at| piece.is_word(at, "temp") || piece.is_word(at, "temporary"));
    let kind = piece.written(at).to_lowercase();
    at += 1;
    let passes = piece.are_words(at, &["if", "not", "exists"]);
    if passes {
        at += 3;
    }
    let fresh = !replaces && !passes && !temporary;
    let Some((named, behind)) = name(piece, at) else {
        return;
    };
    let bare = &named.name;
    let mut there = |code: &str, what: &str, condition: String| {
        if fresh {
            let message = format!("{what} \"{bare}\" is there already");
            asked.push(reason(code, &message, &condition));
        }
    };
    let global = |catalogue: &str, column: &str| {
        format!(
            "EXISTS (SELECT FROM pg_catalog.{catalogue} x WHERE x.{column} = {})",
            literal(bare)
        )
    };
    let within = |catalogue: &str, column: &str, space: &str| {
        format!(
            "EXISTS (SELECT FROM pg_catalog.{catalogue} x WHERE x.{column} = {} AND x.{space} = {})",
            literal(bare),
            named.namespace()
        )
    };
    match kind.as_str() {
        "type" | "domain" => there(
            "42710",
            "type",
            format!(
                "EXISTS (SELECT FROM pg_catalog.pg_type x WHERE x.typname = {} AND x.typnamespace = {} \
                 AND x.typisdefined AND x.typelem = 0::pg_catalog.oid)",
                literal(bare),
                named.namespace()
            ),
        ),
        "sequence" => {
            there(
                "42P07",
                "relation",
                within("pg_class", "relname", "relnamespace"),
            );
            owned(piece, behind, asked);
        }
        "schema" if bare != "authorization" => {
            there("42P06", "schema", global("pg_namespace", "nspname"));
        }
        "role" | "user" | "group" => there("42710", "role", global("pg_roles", "rolname")),
        "publication" => there("42710", "publication", global("pg_publication", "pubname")),
        "extension" => {
            there("42710", "extension", global("pg_extension", "extname"));
            let lacking = format!(
                "NOT {} AND NOT {}",
                global("pg_extension", "extname"),
                global("pg_available_extensions", "name")
            );
            let message = format!("extension \"{bare}\" is not installed on the server");
            asked.push(reason("0A000", &message, &lacking));
        }
        "statistics" if !piece.is_word(at, "on") => there(
            "42710",
            "statistics object",
            within("pg_statistic_ext", "stxname", "stxnamespace"),
        ),
        "function" | "procedure" => {
            let arguments = arguments(piece, behind);
            if let Some(arguments) = arguments {
                let condition = format!(
                    "EXISTS (SELECT FROM pg_catalog.pg_proc x WHERE x.pronamespace = {} AND x.oid = {})",
                    named.namespace(),
                    routine(&named, &arguments)
                );
                there("42723", &kind, condition);
            }
        }
        "trigger" | "policy" | "rule" => {
            let word = if kind == "rule" { "to" } else { "on" };
            let table = (behind..piece.tokens.len())
                .find(|at| piece.is_word(*at, word))
                .and_then(|at| name(piece, at + 1));
            if let Some((table, _)) = table {
                let (catalogue, column, of) = parts_of(&kind);
                let condition = part_is_there(catalogue, column, of, bare, &table);
                there("42710", &kind, condition);
            }
        }
        _ => {}
    }
}

/// A sequence's owner.
fn owned(piece: &Piece<'_>, from: usize, asked: &mut Vec<String>) {
    let Some(at) = (from..piece.tokens.len()).find(|at| piece.are_words(*at, &["owned", "by"]))
    else {
        return;
    };
    if piece.is_word(at + 2, "none") {
        return;
    }
    let parts: Option<Vec<String>> = (at + 2..piece.tokens.len())
        .step_by(2)
        .map(|at| part(piece, at))
        .collect();
    let table = match parts.as_deref() {
        Some([table, column]) => (None, table, column),
        Some([schema, table, column]) => (Some(schema.clone()), table, column),
        _ => return,
    };
    let (schema, table, column) = table;
    let table = Name {
        schema,
        name: table.clone(),
    };
    lacks_column(&table, column, asked);
}

//! What a statement names, read from its words as PostgreSQL's catalogue has it.

use super::reasons::literal;
use crate::lex::Kind;
use crate::split::Piece;

/// A name as the catalogue has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) schema: Option<String>,
    pub(super) name: String,
}

impl Name {
    /// Of a relation or a type, for the functions that look one up.
    pub(super) fn whole(&self) -> String {
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        match &self.schema {
            Some(schema) => literal(&format!("{}.{}", quoted(schema), quoted(&self.name))),
            None => literal(&quoted(&self.name)),
        }
    }

    /// The number of the relation of that name.
    pub(super) fn relation(&self) -> String {
        format!("pg_catalog.to_regclass({})::pg_catalog.oid", self.whole())
    }

    pub(super) fn ty(&self) -> String {
        format!("pg_catalog.to_regtype({})::pg_catalog.oid", self.whole())
    }

    /// The schema in which it is made.
    pub(super) fn namespace(&self) -> String {
        let name = match &self.schema {
            Some(schema) => literal(schema),
            None => "pg_catalog.current_schema()".to_owned(),
        };
        format!("(SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = {name})")
    }
}

/// One part of a name, as the catalogue has it.
pub(super) fn part(piece: &Piece<'_>, at: usize) -> Option<String> {
    let token = piece.tokens.get(at)?;
    let written = piece.of(token);
    match token.kind {
        Kind::Word => Some(written.to_lowercase()),
        Kind::Quoted => {
            let inner = written.strip_prefix('"')?.strip_suffix('"')?;
            Some(inner.replace("\"\"", "\""))
        }
        _ => None,
    }
}

/// A name and the place behind it.
pub(super) fn name(piece: &Piece<'_>, at: usize) -> Option<(Name, usize)> {
    let first = part(piece, at)?;
    if piece.written(at + 1) != "." {
        let name = Name {
            schema: None,
            name: first,
        };
        return Some((name, at + 1));
    }
    let second = part(piece, at + 2)?;
    let name = Name {
        schema: Some(first),
        name: second,
    };
    (piece.written(at + 3) != ".").then_some((name, at + 3))
}

/// A string's value; only plain ones.
pub(super) fn string(piece: &Piece<'_>, at: usize) -> Option<String> {
    let token = piece.tokens.get(at)?;
    let inner = piece.of(token).strip_prefix('\'')?.strip_suffix('\'')?;
    (token.kind == Kind::Text && !inner.contains('\\')).then(|| inner.replace("''", "'"))
}

/// The place of a word outside of parentheses.
pub(super) fn find(piece: &Piece<'_>, from: usize, word: &str) -> Option<usize> {
    outside(piece, from)
        .into_iter()
        .find(|at| piece.is_word(*at, word))
}

/// The places outside of parentheses.
pub(super) fn outside(piece: &Piece<'_>, from: usize) -> Vec<usize> {
    let mut depth = 0_usize;
    let mut places = Vec::new();
    for at in from..piece.tokens.len() {
        match piece.written(at) {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ if depth == 0 => places.push(at),
            _ => {}
        }
    }
    places
}

/// The parts between commas, of what stands between two places.
pub(super) fn split(piece: &Piece<'_>, from: usize, to: usize) -> Vec<(usize, usize)> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_usize, from);
    for at in from..to {
        match piece.written(at) {
            "(" | "[" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            "," if depth == 0 => {
                parts.push((start, at));
                start = at + 1;
            }
            _ => {}
        }
    }
    if start < to {
        parts.push((start, to));
    }
    parts
}

/// The types of a routine's arguments, as they are written; `None`: they cannot be told from their names.
pub(super) fn arguments(piece: &Piece<'_>, open: usize) -> Option<String> {
    const MODES: [&str; 4] = ["in", "out", "inout", "variadic"];
    if piece.written(open) != "(" {
        return None;
    }
    let end = piece.closing(open)?;
    let mut types = Vec::new();
    for (from, to) in split(piece, open + 1, end) {
        let mut words: Vec<&str> = (from..to).map(|at| piece.written(at)).collect();
        let value = words
            .iter()
            .position(|word| word.eq_ignore_ascii_case("default") || *word == "=" || *word == ":");
        words.truncate(value.unwrap_or(words.len()));
        if words.first()?.eq_ignore_ascii_case("out") {
            continue;
        }
        if MODES.iter().any(|mode| words[0].eq_ignore_ascii_case(mode)) {
            words.remove(0);
        }
        let signs = words
            .iter()
            .skip(1)
            .any(|word| *word == "." || *word == "(");
        match words.as_slice() {
            _ if signs => return None,
            [_] | [_, "[", "]"] => types.push(words.concat()),
            [_, one] | [_, one, "[", "]"] if !is_second(one) => {
                types.push(words[1..].concat());
            }
            _ => return None,
        }
    }
    Some(types.join(", "))
}

/// Is it the second word of a type's name?
fn is_second(word: &str) -> bool {
    ["precision", "varying", "with", "without"]
        .iter()
        .any(|one| word.eq_ignore_ascii_case(one))
}

pub(super) fn routine(named: &Name, arguments: &str) -> String {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let name = match &named.schema {
        Some(schema) => format!("{}.{}", quoted(schema), quoted(&named.name)),
        None => quoted(&named.name),
    };
    let whole = literal(&format!("{name}({arguments})"));
    format!("pg_catalog.to_regprocedure({whole})::pg_catalog.oid")
}

//! A query made of the names in a statement that changes no table of PostgreSQL: what it comments on, grants, drops or
//! changes has to be there. The server turns each name into its number where it reads it (manual, section 8.19).
//!
//! Only what is plainly such a name is taken; of what has IF EXISTS nothing is.

use crate::lex::Kind;
use crate::split::Piece;

/// Kinds of objects, and the type that a name of each is turned into.
const KINDS: [(&[&str], &str); 14] = [
    (&["materialized", "view"], "regclass"),
    (&["foreign", "table"], "regclass"),
    (&["table"], "regclass"),
    (&["view"], "regclass"),
    (&["index"], "regclass"),
    (&["sequence"], "regclass"),
    (&["column"], "column"),
    (&["type"], "regtype"),
    (&["domain"], "regtype"),
    (&["schema"], "regnamespace"),
    (&["function"], "regprocedure"),
    (&["procedure"], "regprocedure"),
    (&["routine"], "regprocedure"),
    (&["role"], "regrole"),
];

pub(super) fn of(piece: &Piece<'_>) -> Option<String> {
    let mut asked = Vec::new();
    if piece.are_words(0, &["comment", "on"]) {
        asked.extend(object(piece, 2).map(|(asked, _)| asked));
    } else if piece.is_word(0, "drop") || piece.is_word(0, "alter") {
        let (first, at) = object(piece, 1)?;
        asked.push(first);
        if piece.is_word(0, "alter") {
            asked.extend(behind(piece, at));
        }
    } else if piece.is_word(0, "grant") || piece.is_word(0, "revoke") {
        asked.extend(granted(piece));
    }
    (!asked.is_empty()).then(|| format!("SELECT {}", asked.join(", ")))
}

/// What else a statement about a table names: an owner, a schema, a parent, a trigger's function.
pub(super) fn beside(piece: &Piece<'_>) -> Vec<String> {
    let mut asked = Vec::new();
    let is_table = piece.are_words(0, &["alter", "table"]);
    let is_trigger = piece.is_word(0, "create") && (1..5).any(|at| piece.is_word(at, "trigger"));
    for at in 2..piece.tokens.len() {
        if is_table && piece.written(at - 1) != "." {
            asked.extend(behind(piece, at));
        }
        if is_trigger
            && piece.is_word(at, "execute")
            && ["function", "procedure"]
                .iter()
                .any(|word| piece.is_word(at + 1, word))
        {
            let called = name(piece, at + 2);
            asked.extend(called.map(|(name, _)| literal(&format!("{name}()"), "regprocedure")));
        }
    }
    asked
}

/// The object whose kind stands at a place, and the place behind its name.
fn object(piece: &Piece<'_>, at: usize) -> Option<(String, usize)> {
    let (words, kind) = KINDS.iter().find(|(words, _)| piece.are_words(at, words))?;
    let at = at + words.len();
    if ["if", "all"].iter().any(|word| piece.is_word(at, word)) {
        return None;
    }
    let (name, behind) = name(piece, at)?;
    Some(match *kind {
        "column" => {
            let (table, column) = name.rsplit_once('.')?;
            (format!("(SELECT {column} FROM {table} LIMIT 1)"), behind)
        }
        // With its arguments; without them there may be several.
        "regprocedure" if piece.written(behind) == "(" => {
            let close = (behind..piece.tokens.len()).find(|at| piece.written(*at) == ")")?;
            let inside: Vec<&str> = (behind + 1..close).map(|at| piece.written(at)).collect();
            if inside.iter().any(|word| *word == "(" || is_mode(word)) {
                return None;
            }
            // Names of arguments are none of their types.
            let several = inside.windows(2).any(|pair| !pair.contains(&","));
            if several {
                return None;
            }
            let arguments = inside.join(" ");
            (literal(&format!("{name}({arguments})"), kind), close + 1)
        }
        "regprocedure" => return None,
        kind => (literal(&name, kind), behind),
    })
}

fn is_mode(word: &str) -> bool {
    ["in", "out", "inout", "variadic", "default", "="]
        .iter()
        .any(|mode| word.eq_ignore_ascii_case(mode))
}

/// Who owns it from now on, and in what schema it is.
fn behind(piece: &Piece<'_>, at: usize) -> Option<String> {
    if piece.are_words(at, &["owner", "to"]) {
        return role(piece, at + 2);
    }
    if piece.are_words(at, &["set", "schema"]) {
        return name(piece, at + 2).map(|(name, _)| literal(&name, "regnamespace"));
    }
    None
}

fn role(piece: &Piece<'_>, at: usize) -> Option<String> {
    let keywords = [
        "public",
        "current_user",
        "session_user",
        "current_role",
        "group",
    ];
    if keywords.iter().any(|word| piece.is_word(at, word)) {
        return None;
    }
    name(piece, at).map(|(name, _)| literal(&name, "regrole"))
}

/// `ON [TABLE] t TO role`.
fn granted(piece: &Piece<'_>) -> Vec<String> {
    let mut asked = Vec::new();
    let Some(on) = (1..piece.tokens.len()).find(|at| piece.is_word(*at, "on")) else {
        return asked;
    };
    let at = if piece.is_word(on + 1, "table") {
        on + 2
    } else {
        on + 1
    };
    if piece.is_word(at, "all") {
        return asked;
    }
    let mut end = at;
    if let Some((first, behind)) = object(piece, at) {
        asked.push(first);
        end = behind;
    } else if let Some((name, behind)) = name(piece, at)
        && ["to", "from"]
            .iter()
            .any(|word| piece.is_word(behind, word))
    {
        asked.push(literal(&name, "regclass"));
        end = behind;
    }
    let to =
        (end..piece.tokens.len()).find(|at| piece.is_word(*at, "to") || piece.is_word(*at, "from"));
    asked.extend(to.and_then(|to| role(piece, to + 1)));
    asked
}

/// A name with its schema, as it is written, and the place behind it.
fn name(piece: &Piece<'_>, at: usize) -> Option<(String, usize)> {
    let is_word = |at: usize| {
        piece
            .tokens
            .get(at)
            .is_some_and(|token| matches!(token.kind, Kind::Word | Kind::Quoted))
    };
    if !is_word(at) {
        return None;
    }
    let mut name = piece.written(at).to_owned();
    let mut at = at + 1;
    while piece.written(at) == "." && is_word(at + 1) {
        name.push('.');
        name.push_str(piece.written(at + 1));
        at += 2;
    }
    Some((name, at))
}

fn literal(name: &str, kind: &str) -> String {
    format!("'{}'::pg_catalog.{kind}", name.replace('\'', "''"))
}

//! Which character set and collation a column of text has afterwards, and what it costs to get there.

use dbop_model::operation::Column;
use dbop_model::table::{ColumnFacts, Storage, TableFacts};
use dbop_model::{Engine, Why};

use super::Form;
use crate::case::Case;
use crate::effect::Part;

/// What a column's text is written in. `None`: it has none, or which it is cannot be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Letters {
    pub(super) charset: Option<String>,
    pub(super) collation: Option<String>,
}

/// Of a column as the catalogue has it.
pub(super) fn before(old: &ColumnFacts) -> Letters {
    Letters {
        charset: old.charset.as_deref().map(utf8),
        collation: old.collation.as_deref().map(utf8),
    }
}

/// Of a column after an operation that defines it (MySQL 8.4 manual, section 12.3.4).
///
/// # Errors
/// The reason where the operation leaves it open.
pub(super) fn after(
    case: &Case<'_>,
    facts: &TableFacts,
    column: &Column,
    old: &ColumnFacts,
) -> Result<Letters, Why> {
    let own = before(old);
    let said = column.charset.as_deref().map(str::to_ascii_lowercase);
    let said = said.as_deref().map(utf8);
    if let Some(collation) = &column.collation {
        let collation = utf8(&collation.to_ascii_lowercase());
        // A collation's name begins with its character set; MariaDB's uca1400 ones may leave it out.
        let short = collation.starts_with("uca1400");
        let of_name = collation.split('_').next().filter(|_| !short);
        let charset = said.or_else(|| of_name.map(str::to_owned)).or(own.charset);
        let collation = match &charset {
            Some(charset) if short => format!("{charset}_{collation}"),
            _ => collation,
        };
        return Ok(Letters {
            charset,
            collation: Some(collation),
        });
    }
    if let Some(charset) = said {
        return Ok(Letters {
            collation: default_collation(case, &charset),
            charset: Some(charset),
        });
    }
    if column.sql_type.is_none() {
        return Ok(own);
    }
    // A definition that says neither takes the table's own.
    let storage = facts.storage.as_result().map_err(Clone::clone)?;
    let table = of_table(storage);
    if own.charset.is_none() {
        return Ok(table);
    }
    let same = (table.charset.is_none() || table.charset == own.charset)
        && (table.collation.is_none() || table.collation == own.collation);
    match (same, column.redefined) {
        (true, _) => Ok(own),
        (false, true) => Ok(table),
        (false, false) => Err(Why::new(format!(
            "{} has another character set or collation than its table, and the operation does not say \
             which it gets",
            column.name
        ))),
    }
}

/// Character sets that can say whatever any other can.
const SAY_ALL: [&str; 5] = ["gb18030", "utf16", "utf16le", "utf32", "utf8mb4"];

/// What becomes of a column's text where its letters change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Relettered {
    /// Can there be text that the new character set lacks a letter of?
    pub(crate) may_lose: bool,
    /// Is it compared in another way?
    pub(crate) compared_anew: bool,
}

/// Of a column that an operation defines; what is left open counts as changed.
pub(crate) fn relettered(
    case: &Case<'_>,
    facts: &TableFacts,
    column: &Column,
    old: &ColumnFacts,
) -> Relettered {
    match after(case, facts, column, old) {
        Ok(to) => from_to(&before(old), &to),
        Err(_) => Relettered {
            may_lose: true,
            compared_anew: true,
        },
    }
}

/// Of a column whose table is converted to a character set.
pub(crate) fn converted_to(
    case: &Case<'_>,
    old: &ColumnFacts,
    charset: &str,
    collation: Option<&str>,
) -> Relettered {
    if old.charset.is_none() {
        return Relettered {
            may_lose: false,
            compared_anew: false,
        };
    }
    from_to(&before(old), &converted(case, charset, collation))
}

fn from_to(from: &Letters, to: &Letters) -> Relettered {
    let says_all = to
        .charset
        .as_deref()
        .is_some_and(|charset| SAY_ALL.contains(&charset));
    Relettered {
        may_lose: from.charset != to.charset && !(says_all && from.charset.is_some()),
        compared_anew: from != to,
    }
}

/// Of new columns of a table.
fn of_table(storage: &Storage) -> Letters {
    Letters {
        charset: storage.charset.as_deref().map(utf8),
        collation: storage.collation.as_deref().map(utf8),
    }
}

/// The collation of a character set where none is said.
pub(super) fn default_collation(case: &Case<'_>, charset: &str) -> Option<String> {
    let settings = case.settings().known()?;
    let by_name = |name: &str| settings.collations.get(name).map(|name| utf8(name));
    by_name(charset).or_else(|| by_name(&charset.replace("utf8mb3", "utf8")))
}

/// `utf8` has meant utf8mb3 so far.
pub(super) fn utf8(name: &str) -> String {
    match name.strip_prefix("utf8") {
        Some(rest) if rest.is_empty() || rest.starts_with('_') => format!("utf8mb3{rest}"),
        _ => name.to_owned(),
    }
}

/// What it takes to get from the one to the other; `None`: nothing. An error: it cannot be said.
///
/// # Errors
/// The reason where a collation is not known.
pub(super) fn change(
    case: &Case<'_>,
    from: &Letters,
    to: &Letters,
    indexed: bool,
) -> Result<Option<Part<Form>>, Why> {
    let by_index = |with: Form, without: Form| if indexed { with } else { without };
    let sorted = || {
        if indexed {
            let why = "an index over it is sorted in another way";
            Part::new(Form::CollationIndexed, why)
        } else {
            let why = "values are stored alike, and no index is over it";
            Part::new(Form::Collation, why)
        }
    };
    if from.charset != to.charset {
        let (Some(old), Some(new)) = (from.charset.as_deref(), to.charset.as_deref()) else {
            let why = "its text gets another character set, so every value is converted";
            return Ok(Some(Part::new(Form::Convert, why)));
        };
        // What utf8mb3 can say, utf8mb4 says with the same bytes. Of no other pair do the servers know that.
        if (old, new) != ("utf8mb3", "utf8mb4") {
            let why = format!("from {old} to {new}: every value is converted");
            return Ok(Some(Part::new(Form::Convert, why)));
        }
        // Where the order of letters stays the same but for the name, an index stays as it is.
        let order = |letters: &Letters| {
            let (_, order) = letters.collation.as_deref()?.split_once('_')?;
            Some(order.to_owned())
        };
        if case.server.engine == Engine::MariaDb && indexed && order(from) != order(to) {
            return Ok(Some(sorted()));
        }
        let why = format!("from {old} to {new}, values are stored alike");
        return Ok(Some(Part::new(
            by_index(Form::CharsetIndexed, Form::Charset),
            why,
        )));
    }
    match (&from.collation, &to.collation) {
        (Some(old), Some(new)) if old != new => Ok(Some(sorted())),
        (Some(_), None) if to.charset.is_some() => Err(Why::new(format!(
            "which collation {} has by itself",
            to.charset.as_deref().unwrap_or_default()
        ))),
        _ => Ok(None),
    }
}

/// The letters of `CONVERT TO CHARACTER SET`.
pub(super) fn converted(case: &Case<'_>, charset: &str, collation: Option<&str>) -> Letters {
    let charset = utf8(&charset.to_ascii_lowercase());
    Letters {
        collation: match collation {
            Some(collation) => Some(utf8(collation)),
            None => default_collation(case, &charset),
        },
        charset: Some(charset),
    }
}

//! Another type, another character set, another way of being computed: what becomes of a column's values.

use dbop_model::operation::{Column, Filled};
use dbop_model::table::{ColumnFacts, Generated, TableFacts};
use dbop_model::{Engine, Why};

use super::Form;
use super::charset;
use super::columns::is_over;
use super::definition::ROW_BYTES_MAX;
use super::known;
use super::types::{self, Change, Type};
use crate::case::Case;
use crate::effect::{Class, Part};

/// Of one column, over which there is an index or not.
pub(super) fn change_type(
    case: &Case<'_>,
    facts: &TableFacts,
    column: &Column,
    old: &ColumnFacts,
    indexed: bool,
) -> Class<Form> {
    let new_type = column
        .sql_type
        .as_ref()
        .map_or(old.sql_type.as_str(), |t| t.name());
    if let Some(class) = change_generated(case, column, old) {
        return class;
    }
    let is_text = Type::read(new_type).is_some_and(|new| new.is_text());
    let letters = if is_text {
        charset::after(case, facts, column, old)
    } else {
        Ok(charset::before(old))
    };
    let letters = match letters {
        Ok(letters) => letters,
        Err(why) => {
            let say = "say the column's character set and collation in the operation";
            return Class::Undecided(why, Some(say));
        }
    };
    let from = charset::before(old);
    let words = format!("from {} to {new_type}", old.sql_type);
    let change = types::change(
        &old.sql_type,
        new_type,
        from.charset.as_deref(),
        letters.charset.as_deref(),
    );
    let mut parts = Vec::new();
    match change {
        Change::Unread => {
            return Class::Undecided(Why::new(format!("{words}: a type is not understood")), None);
        }
        // Any text is the same bytes as VARBINARY.
        Change::Converted
            if case.server.engine == Engine::MySql
                && !indexed
                && types::as_bytes(&old.sql_type, new_type, from.charset.as_deref()) =>
        {
            let why = format!("{words}: bytes stay as they are");
            parts.push(Part::new(Form::Longer, why));
        }
        Change::Converted => {
            let why = format!("{words}: every value is converted");
            return Class::one(Form::Convert, why);
        }
        Change::Across(bytes) => {
            let why = format!("{words}: its longest value grows beyond 255 bytes");
            let form = if bytes <= 127 {
                Form::LongerShort
            } else {
                Form::LongerAcross
            };
            parts.push(Part::new(form, why));
        }
        Change::Longer => {
            let why = format!("{words}: lengths take as many bytes as before");
            parts.push(Part::new(Form::Longer, why));
        }
        Change::Appended => {
            let why = "values appended to the list only change the catalogue";
            parts.push(Part::new(Form::EnumAppended, why));
        }
        Change::Same => {}
    }
    let is_list = Type::read(new_type).is_some_and(|new| new.is_list());
    if is_text && is_list && letters != from {
        parts.push(list_in_other_letters(case));
        return Class::Forms(parts);
    }
    if is_text {
        match charset::change(case, &from, &letters, indexed) {
            Ok(part) => parts.extend(part),
            Err(why) => return Class::Undecided(why, Some("say the collation in the operation")),
        }
    }
    Class::Forms(parts)
}

/// Rows hold places in a list, not its letters; MariaDB writes them anew all the same.
fn list_in_other_letters(case: &Case<'_>) -> Part<Form> {
    let form = match case.server.engine {
        Engine::MySql => Form::Default,
        _ => Form::Convert,
    };
    Part::new(
        form,
        "the letters of a list of values only change the catalogue",
    )
}

/// A generated column, before or afterwards.
fn change_generated(case: &Case<'_>, column: &Column, old: &ColumnFacts) -> Option<Class<Form>> {
    let new = match column.sql_type.as_ref()?.filled() {
        Filled::Stored => Some(Generated::Stored),
        Filled::Virtual | Filled::StoredOrVirtual => Some(Generated::Virtual),
        _ => None,
    };
    let name = column.sql_type.as_ref()?.name();
    let letters = old.charset.as_deref();
    let same = types::change(&old.sql_type, name, letters, letters) == Change::Same;
    Some(match (old.generated, new) {
        (None, None) => return None,
        // MySQL compares the expressions.
        (is, becomes)
            if case.server.engine == Engine::MySql
                && is == becomes
                && same
                && is_computed_alike(column, old) =>
        {
            Class::one(Form::Default, "it is computed in the same way as before")
        }
        (Some(Generated::Virtual), Some(Generated::Virtual)) => {
            let why = "a virtual generated column may be computed in another way";
            let form = if same {
                Form::ChangeVirtual
            } else {
                Form::Convert
            };
            Class::one(form, why)
        }
        // What is stored becomes an ordinary column's, and the other way round (MySQL 8.4 manual, section 15.1.9.2).
        (Some(Generated::Stored) | None, Some(Generated::Stored))
        | (Some(Generated::Stored), None) => Class::one(
            Form::Convert,
            "a stored generated column is computed anew for every row",
        ),
        (Some(Generated::Virtual), _) | (_, Some(Generated::Virtual)) => Class::refused(
            format!(
                "{} cannot begin or cease to be a virtual column",
                column.name
            ),
            "add a new column, and drop the old one",
        ),
    })
}

/// Is it the same expression but for spelling? What differs in more is another one, though it may give the same.
fn is_computed_alike(column: &Column, old: &ColumnFacts) -> bool {
    // The server puts parentheses around the whole.
    let plain = |text: &str| -> String {
        let spelling = |c: &char| !c.is_whitespace() && *c != '`';
        let text: String = text.to_lowercase().chars().filter(spelling).collect();
        match text.strip_prefix('(').and_then(|t| t.strip_suffix(')')) {
            Some(inside) if !inside.contains(['(', ')']) => inside.to_owned(),
            _ => text,
        }
    };
    let new = column.sql_type.as_ref().and_then(|of| of.computed());
    let has_text = |text: &str| text.contains(['\'', '"']);
    match (new, old.computed.as_deref()) {
        (Some(new), Some(old)) => !has_text(new) && plain(new) == plain(old),
        _ => false,
    }
}

/// `CONVERT TO CHARACTER SET`: every column of text as if it were defined anew.
pub(super) fn convert_charset(
    case: &Case<'_>,
    facts: &TableFacts,
    charset: &str,
    collation: Option<&str>,
) -> Class<Form> {
    if let Some(refused) = known::refused_letters(case, Some(charset), collation) {
        return refused;
    }
    let indexes = match facts.indexes.as_result() {
        Ok(indexes) => indexes,
        Err(why) => return Class::Undecided(why.clone(), None),
    };
    let to = charset::converted(case, charset, collation);
    let bytes = facts.columns.values().filter_map(|old| {
        let own = to.charset.as_deref().filter(|_| old.charset.is_some());
        Type::read(&old.sql_type)?.row_bytes(own.or(old.charset.as_deref()))
    });
    if bytes.sum::<u64>() > ROW_BYTES_MAX {
        return Class::refused(
            format!("in {charset} a row takes more than {ROW_BYTES_MAX} bytes (error 1118)"),
            "use TEXT or BLOB, of which a row holds a pointer",
        );
    }
    let default = Part::new(Form::Catalogue, "no text is stored in another way");
    let mut parts = vec![default];
    for (name, old) in &facts.columns {
        let Some(of) = Type::read(&old.sql_type).filter(Type::is_text) else {
            continue;
        };
        let from = charset::before(old);
        let bytes = (from.charset.as_deref(), to.charset.as_deref());
        let change = types::change(&old.sql_type, &old.sql_type, bytes.0, bytes.1);
        if of.is_list() && from != to {
            parts.push(list_in_other_letters(case));
            continue;
        }
        if change != Change::Same || of.grows(bytes.0, bytes.1) {
            let why = format!("{name}: every value is converted to {charset}");
            parts.push(Part::new(Form::Convert, why));
            continue;
        }
        let indexed = indexes.iter().any(|index| is_over(index, name));
        match charset::change(case, &from, &to, indexed) {
            Ok(Some(part)) => parts.push(Part::new(part.form, format!("{name}: {}", part.why))),
            Ok(None) => {}
            Err(why) => return Class::Undecided(why, Some("say the collation in the statement")),
        }
    }
    Class::Forms(parts)
}

//! Hints as YAML people write: a list's item in one line, `- {op: addColumn, table: users, ...}`.

use dbop_model::visible;

use crate::hints::{Hint, HintColumn, HintIndex};

/// A hint as an item of a list.
pub(crate) fn hint(hint: &Hint) -> String {
    let Hint {
        op,
        table,
        columns,
        to,
        index,
        constraint,
    } = hint;
    let mut fields = vec![field("op", scalar(op)), field("table", scalar(table))];
    if !columns.is_empty() {
        let columns: Vec<String> = columns.iter().map(column).collect();
        fields.push(field("columns", format!("[{}]", columns.join(", "))));
    }
    fields.extend(to.iter().map(|to| field("to", scalar(to))));
    fields.extend(
        index
            .iter()
            .map(|index| field("index", index_fields(index))),
    );
    fields.extend(
        constraint
            .iter()
            .map(|kind| field("constraint", scalar(kind))),
    );
    format!("- {{{}}}", fields.join(", "))
}

/// A comment, whatever is in it.
pub(crate) fn comment(text: &str) -> String {
    format!("# {}", visible::line(text))
}

fn column(column: &HintColumn) -> String {
    let HintColumn {
        name,
        sql_type,
        nullable,
        has_server_default,
        default,
    } = column;
    let mut fields = vec![field("name", scalar(name))];
    fields.extend(sql_type.iter().map(|text| field("type", scalar(text))));
    fields.extend(nullable.iter().map(|is| field("nullable", is.to_string())));
    fields.extend(
        has_server_default
            .iter()
            .map(|has| field("hasServerDefault", has.to_string())),
    );
    fields.extend(default.iter().map(|text| field("default", scalar(text))));
    format!("{{{}}}", fields.join(", "))
}

fn index_fields(index: &HintIndex) -> String {
    let HintIndex { kind, online } = index;
    let mut fields: Vec<String> = kind
        .iter()
        .map(|kind| field("kind", scalar(kind)))
        .collect();
    fields.push(field("online", online.to_string()));
    format!("{{{}}}", fields.join(", "))
}

fn field(name: &str, value: String) -> String {
    format!("{name}: {value}")
}

/// A text, in quotes where YAML could read anything else into it: the words of YAML 1.1 for truth and nothing, too.
fn scalar(text: &str) -> String {
    const WORDS: [&str; 11] = [
        "true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf",
    ];
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_plain = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
    if begins && is_plain && !WORDS.contains(&text.to_ascii_lowercase().as_str()) {
        text.to_owned()
    } else {
        // A string of JSON is one of YAML.
        serde_json::Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_reads_back_as_itself() {
        for text in [
            "users",
            "app.users",
            "no",
            "Null",
            "1e3",
            "numeric(10,2)",
            "a, b",
            "'{}'",
            "x: y",
            "# c",
            "\"odd\"",
            "tab\there",
            "größe",
            "",
            " ",
            "~",
            "- a",
        ] {
            let yaml = format!("[{}]", scalar(text));
            let read: Vec<String> = serde_saphyr::from_str(&yaml).unwrap();
            assert_eq!(read, [text], "{yaml}");
        }
    }

    #[test]
    fn a_comment_stays_one() {
        assert_eq!(comment("a\nb: c"), "# a b: c");
    }
}

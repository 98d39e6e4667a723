//! A change log in formatted SQL: `--liquibase formatted sql`, then `--changeset author:id` before each change set.
//! SQL without that first line is one change set, which Liquibase calls `raw` by `includeAll`.

use super::{ChangeSet, Entry, Log, is_true};
use crate::error::GenerateError;

pub(super) fn read(text: &str, path: &str) -> Result<Log, GenerateError> {
    let mut log = Log::default();
    let mut is_formatted = false;
    for (nth, line) in text.lines().enumerate() {
        let place = format!("{path}:{}", nth + 1);
        let open = log.entries.last_mut();
        if let Some(Entry::ChangeSet(ChangeSet {
            sql: Some((_, sql)),
            ..
        })) = open
        {
            sql.push_str(line);
            sql.push('\n');
        }
        let Some(comment) = line.trim_start().strip_prefix("--").map(str::trim_start) else {
            continue;
        };
        if let Some(rest) = after(comment, "liquibase formatted sql") {
            is_formatted = true;
            log.logical_path = attribute(rest, "logicalFilePath");
        } else if let Some(rest) = after(comment, "changeset").filter(|_| is_formatted) {
            let mut set = change_set(rest, place)?;
            // What ends a statement there is not followed.
            if attribute(rest, "endDelimiter").is_none() {
                let line = u32::try_from(nth).map_or(u32::MAX, |nth| nth.saturating_add(2));
                set.sql = Some((line, String::new()));
            }
            log.entries.push(Entry::ChangeSet(set));
        }
    }
    if !is_formatted {
        log.entries.push(Entry::ChangeSet(ChangeSet {
            id: "raw".to_owned(),
            author: "includeAll".to_owned(),
            sql: Some((1, text.to_owned())),
            place: path.to_owned(),
            ..ChangeSet::default()
        }));
    }
    Ok(log)
}

/// What follows these words, in whatever case.
fn after<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    let head = text.get(..words.len())?;
    let rest = &text[words.len()..];
    let is_whole = rest.is_empty() || rest.starts_with(char::is_whitespace);
    (head.eq_ignore_ascii_case(words) && is_whole).then_some(rest)
}

fn change_set(rest: &str, place: String) -> Result<ChangeSet, GenerateError> {
    let (author, rest) = word(rest.trim_start(), ':');
    let named = rest.strip_prefix(':').map(|rest| word(rest, ' '));
    let Some((id, attributes)) = named.filter(|(id, _)| !id.is_empty() && !author.is_empty())
    else {
        return Err(GenerateError::file(
            place,
            "a change set is not written --changeset author:id",
            "give it an author and an id",
        ));
    };
    let flag = |name| attribute(attributes, name).is_some_and(|value| is_true(&value));
    Ok(ChangeSet {
        id,
        author,
        logical_path: attribute(attributes, "logicalFilePath"),
        repeats: flag("runAlways") || flag("runOnChange"),
        is_ignored: flag("ignore"),
        is_limited: ["dbms", "context", "contextFilter", "labels"]
            .iter()
            .any(|name| attribute(attributes, name).is_some()),
        tag: None,
        is_tag_alone: false,
        sql: None,
        place,
    })
}

/// A word up to `end` or a blank, or one in double quotes; and what follows it.
fn word(text: &str, end: char) -> (String, &str) {
    if let Some(inner) = text.strip_prefix('"')
        && let Some(close) = inner.find('"')
    {
        return (inner[..close].to_owned(), &inner[close + 1..]);
    }
    let stops = |c: char| {
        if end == ' ' {
            c.is_whitespace()
        } else {
            c == end
        }
    };
    let at = text.find(stops).unwrap_or(text.len());
    (text[..at].trim().to_owned(), &text[at..])
}

/// The value of `name:value`, in quotes or up to the next blank; names are told apart by nothing but letters.
fn attribute(text: &str, name: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let wanted = format!("{}:", name.to_lowercase());
    let mut from = 0;
    while let Some(found) = lower.get(from..)?.find(&wanted) {
        let at = from + found;
        let begins = at == 0 || lower[..at].ends_with(char::is_whitespace);
        // Lower case can have another length: then the text is no attribute of Liquibase's.
        if begins && let Some(value) = text.get(at + wanted.len()..) {
            return Some(word(value, ' ').0).filter(|value| !value.is_empty());
        }
        from = at + wanted.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(text: &str) -> Vec<(String, String)> {
        let log = read(text, "a.sql").unwrap();
        let set = |entry| match entry {
            Entry::ChangeSet(set) => (set.author, set.id),
            other => panic!("{other:?}"),
        };
        log.entries.into_iter().map(set).collect()
    }

    #[test]
    fn change_sets_are_comments() {
        let text = "--liquibase formatted sql\n\n--changeset ada:1\nCREATE TABLE a (id int);\n\
                    --rollback DROP TABLE a;\n-- changeset \"ada l\":\"2 b\" runOnChange:true\nSELECT 1;\n\
                    --ChangeSet bob.smith:3-x dbms:postgresql\n";
        let pair = |one: &str, two: &str| (one.to_owned(), two.to_owned());
        assert_eq!(
            sets(text),
            [
                pair("ada", "1"),
                pair("ada l", "2 b"),
                pair("bob.smith", "3-x")
            ]
        );
        assert_eq!(
            sets("CREATE TABLE b (id int);\n"),
            [pair("includeAll", "raw")]
        );
    }

    #[test]
    fn attributes_are_read_in_any_case_and_order() {
        let rest = " ada:1 runonchange:TRUE logicalFilePath:db/x.sql context:\"a and b\"";
        assert_eq!(
            attribute(rest, "logicalFilePath").as_deref(),
            Some("db/x.sql")
        );
        assert_eq!(attribute(rest, "runOnChange").as_deref(), Some("TRUE"));
        assert_eq!(attribute(rest, "context").as_deref(), Some("a and b"));
        assert_eq!(attribute(rest, "ignore"), None);
        let error = read("--liquibase formatted sql\n--changeset 1\n", "a.sql").unwrap_err();
        assert!(error.to_string().starts_with("a.sql:2: "), "{error}");
    }
}

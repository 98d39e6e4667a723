//! A change log in XML.

use roxmltree::{Document, Node};

use super::{ChangeSet, Entry, Log, is_true};
use crate::error::GenerateError;

pub(super) fn read(text: &str, path: &str) -> Result<Log, GenerateError> {
    let document = Document::parse(text).map_err(|error| {
        let place = format!("{path}:{}", error.pos().row);
        GenerateError::file(place, format!("it is no XML: {error}"), "mend it")
    })?;
    let root = document.root_element();
    if root.tag_name().name() != "databaseChangeLog" {
        return Err(GenerateError::file(
            format!("{path}:{}", line(&document, root)),
            "it is no change log: its root is not databaseChangeLog",
            "",
        ));
    }
    let entries = root
        .children()
        .filter(Node::is_element)
        .map(|node| entry(&document, node, path))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Log {
        logical_path: root.attribute("logicalFilePath").map(str::to_owned),
        entries: entries.into_iter().flatten().collect(),
    })
}

fn entry(
    document: &Document<'_>,
    node: Node<'_, '_>,
    path: &str,
) -> Result<Option<Entry>, GenerateError> {
    let place = format!("{path}:{}", line(document, node));
    let text = |name: &str| node.attribute(name).unwrap_or_default().trim().to_owned();
    let flag = |name: &str| is_true(&text(name));
    Ok(match node.tag_name().name() {
        "changeSet" => Some(Entry::ChangeSet(ChangeSet {
            id: text("id"),
            author: text("author"),
            logical_path: node.attribute("logicalFilePath").map(str::to_owned),
            repeats: flag("runAlways") || flag("runOnChange"),
            is_ignored: flag("ignore"),
            is_limited: ["dbms", "context", "contextFilter", "labels"]
                .iter()
                .any(|name| node.has_attribute(*name)),
            tag: node
                .children()
                .find(|change| change.tag_name().name() == "tagDatabase")
                .and_then(|change| change.attribute("tag"))
                .map(|tag| tag.trim().to_owned()),
            is_tag_alone: node
                .children()
                .filter(Node::is_element)
                .all(|change| matches!(change.tag_name().name(), "tagDatabase" | "comment")),
            sql: None,
            place,
        })),
        "include" => Some(Entry::Include {
            file: text("file"),
            is_relative: flag("relativeToChangelogFile"),
            place,
        }),
        "includeAll" => {
            if node.has_attribute("filter") || node.has_attribute("resourceFilter") {
                return Err(GenerateError::file(
                    place,
                    "includeAll has a filter, which is a Java class",
                    "name the files, or use endsWithFilter",
                ));
            }
            Some(Entry::IncludeAll {
                path: text("path"),
                is_relative: flag("relativeToChangelogFile"),
                ends_with: node.attribute("endsWithFilter").map(str::to_owned),
                place,
            })
        }
        // Properties, preconditions and the like bring no change set.
        _ => None,
    })
}

fn line(document: &Document<'_>, node: Node<'_, '_>) -> u32 {
    document.text_pos_at(node.range().start).row
}

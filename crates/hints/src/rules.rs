//! The rules, one per file. A rule says which facts it needs, then judges purely from them.
//!
//! To add one: its file under `rules/`, its row in [`RULES`], what its page says under `pages/`, and `cargo xtask codegen`.

mod add_column_heavy_writes;
mod add_column_large_table;
mod alter_column_rewrite;
mod blocking_index_heavy_writes;
mod blocking_index_large_table;
mod constraint_heavy_writes;
mod constraint_large_table;
mod constraint_over_violations;
mod dropped_or_renamed_in_use;
mod invalid_index;
mod missing_lock_timeout;
mod missing_object;
mod not_null_over_nulls;
mod not_null_without_default;
mod pinned_algorithm;
mod queue_behind_transaction;
mod refused_by_catalogue;
mod refused_statement;
mod table_rewrite;
mod unique_over_duplicates;
mod words;

use std::collections::BTreeSet;

use dbop_model::finding::Finding;
use dbop_model::table::FactRequest;

use crate::case::Case;
use crate::pages::Page;
use crate::steps::Step;
pub(crate) use refused_by_catalogue::{NOT_UNDERSTOOD, is_excused_by, names_in};
pub(crate) use unique_over_duplicates::excluded_key;

/// The rule of what a server's catalogue refuses.
pub(crate) const REFUSED_BY_CATALOGUE: &str = refused_by_catalogue::RULE.id;
pub(crate) const REFUSED_STATEMENT: &str = refused_statement::RULE.id;

/// A rule.
pub struct Rule {
    /// Its id, as findings and `accept` name it.
    pub id: &'static str,
    /// What it looks for, in a line.
    pub title: &'static str,
    /// What its page says besides.
    pub(crate) page: &'static Page,
    /// The facts that it needs for an operation.
    pub(crate) wants: fn(&Step<'_>, &mut BTreeSet<FactRequest>),
    /// What it says of an operation.
    pub(crate) judge: fn(&Case<'_>) -> Vec<Finding>,
}

impl Rule {
    /// Its page in the repository, without the ending: `docs/rules/not-null-over-nulls`.
    pub fn path(&self) -> String {
        page(self.id)
    }
}

/// The page of the rule with this id.
pub(crate) fn page(id: &str) -> String {
    format!("docs/rules/{id}")
}

/// Every rule, in the order in which they judge an operation.
pub const RULES: &[Rule] = &[
    missing_object::RULE,
    refused_statement::RULE,
    refused_by_catalogue::RULE,
    pinned_algorithm::RULE,
    // What fails on today's data.
    not_null_without_default::RULE,
    not_null_over_nulls::RULE,
    unique_over_duplicates::RULE,
    constraint_over_violations::RULE,
    invalid_index::RULE,
    // What blocks for as long as the table is large.
    add_column_large_table::RULE,
    blocking_index_large_table::RULE,
    constraint_large_table::RULE,
    alter_column_rewrite::RULE,
    table_rewrite::RULE,
    // What a table under heavy writes feels.
    add_column_heavy_writes::RULE,
    blocking_index_heavy_writes::RULE,
    constraint_heavy_writes::RULE,
    // What others feel whatever the size.
    dropped_or_renamed_in_use::RULE,
    queue_behind_transaction::RULE,
    missing_lock_timeout::RULE,
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_rule_has_its_page_and_every_page_its_rule() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut ids = BTreeSet::new();
        for rule in RULES {
            let path = root.join(rule.path()).with_extension("md");
            let text = std::fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(
                text.starts_with(&format!("# {}\n", rule.id)),
                "{}",
                path.display()
            );
            assert!(
                text.contains(rule.title),
                "{} says: {}",
                path.display(),
                rule.title
            );
            assert!(
                ids.insert(rule.id.to_owned()),
                "{} stands twice in RULES",
                rule.id
            );
        }
        let pages = std::fs::read_dir(root.join("docs/rules"))
            .unwrap()
            .map(|entry| {
                entry
                    .unwrap()
                    .path()
                    .file_stem()
                    .unwrap()
                    .to_string_lossy()
                    .into_owned()
            });
        for page in pages {
            assert!(
                page == "README" || ids.contains(&page),
                "docs/rules/{page}.md has no rule"
            );
        }
    }
}

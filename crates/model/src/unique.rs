//! Which unique index proves that no two rows have the same key, so that no row has to be looked at.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::operation::{IndexKind, IndexPart};
use crate::table::{ColumnFacts, ColumnName, DuplicateProbe, IndexFacts, TableFacts, UniqueKey};

/// The index that proves that a key's values differ from row to row, where one does: it is over some of the key's
/// columns, and holds of every row that the key is about.
pub fn proof<'a>(
    indexes: &'a [IndexFacts],
    columns: &BTreeMap<ColumnName, ColumnFacts>,
    key: &UniqueKey,
) -> Option<&'a IndexFacts> {
    indexes.iter().find(|index| proves(index, columns, key))
}

/// What is known of a key's duplicates without a look at any row: an index proves that there are none, or the table is
/// empty. `None`: a probe has to find out.
pub fn settled(
    indexes: &[IndexFacts],
    facts: &TableFacts,
    key: &UniqueKey,
) -> Option<DuplicateProbe> {
    let proven_by = proof(indexes, &facts.columns, key).map(|index| index.name.to_string());
    let settled = proven_by.is_some() || facts.any_row.is_known_and(|any| !any);
    settled.then_some(DuplicateProbe {
        found: false,
        proven_by,
        took: Duration::ZERO,
    })
}

fn proves(
    index: &IndexFacts,
    columns: &BTreeMap<ColumnName, ColumnFacts>,
    key: &UniqueKey,
) -> bool {
    let holds_of_all_rows = index.kind == IndexKind::Unique
        && index.valid
        && index.immediate
        && index.key.predicate.is_none()
        && !index.key.parts.is_empty();
    // Whole columns only: what an expression or a prefix gives for equal values is not followed here.
    let is_subset = index
        .key
        .parts
        .iter()
        .all(|part| matches!(part, IndexPart::Column(_)) && key.parts.contains(part));
    // Rows with NULL are equal to the key and not to the index: then the index says nothing of them.
    let never_null = |part: &IndexPart| match part {
        IndexPart::Column(name) => columns
            .get(name)
            .is_some_and(|c| !c.nullable || c.proven_not_null_by.is_some()),
        IndexPart::Prefix(..) | IndexPart::Expression(_) => false,
    };
    let nulls_fit =
        !key.nulls_equal || index.key.nulls_equal || index.key.parts.iter().all(never_null);
    holds_of_all_rows && is_subset && nulls_fit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(text: &str) -> IndexPart {
        match text.split_once(':') {
            Some((name, "3")) => IndexPart::Prefix(name.parse().unwrap(), 3),
            Some((_, expression)) => IndexPart::Expression(expression.to_owned()),
            None => IndexPart::Column(text.parse().unwrap()),
        }
    }

    fn key(parts: &[&str], nulls_equal: bool) -> UniqueKey {
        UniqueKey {
            parts: parts.iter().map(|text| part(text)).collect(),
            predicate: None,
            nulls_equal,
        }
    }

    fn index(parts: &[&str]) -> IndexFacts {
        IndexFacts {
            name: "u".parse().unwrap(),
            key: key(parts, false),
            kind: IndexKind::Unique,
            primary: false,
            valid: true,
            immediate: true,
            bytes: None,
        }
    }

    /// `a` and `b` may hold NULL, `n` may not.
    #[track_caller]
    fn check(index: &IndexFacts, key: &UniqueKey, expect: bool) {
        let column = |nullable| ColumnFacts {
            sql_type: "int".into(),
            nullable,
            has_default: false,
            proven_not_null_by: None,
            charset: None,
            collation: None,
            generated: None,
            computed: None,
        };
        let columns = [("a", true), ("b", true), ("n", false)]
            .map(|(name, nullable)| (name.parse().unwrap(), column(nullable)));
        let found = proof(std::slice::from_ref(index), &columns.into(), key);
        assert_eq!(found.is_some(), expect, "{index:?} of {key:?}");
    }

    #[test]
    fn an_index_on_some_of_the_columns_is_proof() {
        check(&index(&["a"]), &key(&["a"], false), true);
        check(&index(&["a"]), &key(&["b", "a"], false), true);
        check(&index(&["b", "a"]), &key(&["a", "b"], false), true);
        check(&index(&["a", "b"]), &key(&["a"], false), false);
        check(&index(&["b"]), &key(&["a"], false), false);
        check(&index(&[]), &key(&["a"], false), false);
    }

    #[test]
    fn an_index_that_does_not_hold_of_all_rows_is_none() {
        let whole = key(&["a"], false);
        let not = |change: fn(&mut IndexFacts)| {
            let mut index = index(&["a"]);
            change(&mut index);
            index
        };
        check(&not(|i| i.valid = false), &whole, false);
        check(&not(|i| i.immediate = false), &whole, false);
        check(&not(|i| i.kind = IndexKind::Plain), &whole, false);
        let partial = not(|i| i.key.predicate = Some("(a > 0)".into()));
        check(&partial, &whole, false);
        // The other way round it is: a key of some rows only.
        let some_rows = UniqueKey {
            predicate: Some("a > 0".into()),
            ..whole
        };
        check(&index(&["a"]), &some_rows, true);
    }

    #[test]
    fn parts_of_columns_prove_nothing() {
        check(&index(&["a:3"]), &key(&["a:3"], false), false);
        check(&index(&["a"]), &key(&["a:3"], false), false);
        check(&index(&["x:lower(a)"]), &key(&["x:lower(a)"], false), false);
        check(&index(&["a"]), &key(&["a", "x:lower(b)"], false), true);
    }

    #[test]
    fn nulls_that_are_equal_to_the_key_must_be_to_the_index() {
        check(&index(&["a"]), &key(&["a"], true), false);
        check(&index(&["n"]), &key(&["n", "a"], true), true);
        let mut equal = index(&["a"]);
        equal.key.nulls_equal = true;
        check(&equal, &key(&["a"], true), true);
        check(&equal, &key(&["a", "b"], false), true);
    }
}

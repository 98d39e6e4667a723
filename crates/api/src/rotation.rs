//! What a person says about rotation, as an annotation holds it: `v2@2026-01-02T03:04:05Z` for one credential, the time
//! alone for all, with commas between them.
//!
//! The time says which logins are meant: those that their Secrets name since then or before. So it is said once and for
//! all: a login that was made since is not meant, whatever becomes of the annotation.

use dbop_model::MigrationName;
use dbop_plan::RotationAsked;

/// So many are read, the last of them: more than the credentials that a database has at once.
const ASKED_MAX: usize = 64;

/// Reads them; what is none of them says nothing.
///
/// ```
/// use dbop_api::rotation;
///
/// let said = rotation::read("v2@2026-01-02T03:04:05Z, 2026-01-02T00:00:00Z, soon, V2@2026-01-02T00:00:00Z");
/// assert_eq!(said.len(), 2);
/// assert_eq!(said[0].migration.as_ref().unwrap().as_str(), "v2");
/// assert_eq!(said[1].migration, None);
/// assert_eq!(rotation::written(&said), "v2@2026-01-02T03:04:05Z,2026-01-02T00:00:00Z");
/// ```
pub fn read(text: &str) -> Vec<RotationAsked> {
    let mut all: Vec<RotationAsked> = text.split(',').filter_map(one).collect();
    all.drain(..all.len().saturating_sub(ASKED_MAX));
    all
}

fn one(text: &str) -> Option<RotationAsked> {
    let (migration, until) = match text.trim().split_once('@') {
        Some((migration, until)) => (Some(MigrationName::new(migration).ok()?), until),
        None => (None, text.trim()),
    };
    let until = until.parse().ok()?;
    Some(RotationAsked { migration, until })
}

/// Writes them as [`read`] reads them.
pub fn written(all: &[RotationAsked]) -> String {
    let all: Vec<String> = all
        .iter()
        .map(|RotationAsked { migration, until }| match migration {
            Some(migration) => format!("{migration}@{until}"),
            None => until.to_string(),
        })
        .collect();
    all.join(",")
}

/// What was said before, and this: the last word about a credential counts.
pub fn and(before: &str, more: &[RotationAsked]) -> String {
    let mut all = read(before);
    all.retain(|old| more.iter().all(|new| new.migration != old.migration));
    all.extend(more.iter().cloned());
    all.drain(..all.len().saturating_sub(ASKED_MAX));
    written(&all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_add_up_and_the_last_about_a_credential_counts() {
        let said = and(
            "v1@2026-01-01T00:00:00Z,v2@2026-01-01T00:00:00Z",
            &read("v2@2026-01-02T00:00:00Z"),
        );
        assert_eq!(said, "v1@2026-01-01T00:00:00Z,v2@2026-01-02T00:00:00Z");
        assert_eq!(and("nonsense", &read(&said)), said);
        let many = vec!["2026-01-01T00:00:00Z"; 1000].join(",");
        assert_eq!(read(&many).len(), ASKED_MAX);
    }
}

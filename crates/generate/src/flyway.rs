//! Flyway's versioned migrations: `V1_2__description.sql`, and Java's of the same name, in every directory below
//! the one that is named (Flyway's documentation, "Migrations": naming; `MigrationVersion` for the order).
//!
//! A version is numbers between dots or underscores, compared as numbers, and zeros at its end count for nothing:
//! `1` and `1.0` are one version. Repeatable migrations (`R__`), undo migrations (`U`) and callbacks are no
//! versions. A baseline migration (`B`) takes an empty database straight to its version.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::Path;

use crate::chain::{Chain, Step};
use crate::error::GenerateError;
use crate::files;
use crate::text::{Part, Text};

/// Reads the migrations below `dir`.
///
/// # Errors
/// A name that is almost one of a migration, one version twice, a baseline migration among older versions
/// without a versioned one beside it.
pub fn read(dir: &Path) -> Result<Chain, GenerateError> {
    let mut versioned: BTreeMap<Number, Step> = BTreeMap::new();
    let mut baselines: BTreeMap<Number, Step> = BTreeMap::new();
    let mut passed_over = 0;
    for path in files::below(dir, true)? {
        let source = files::relative(dir, &path);
        let name = files::name(&path);
        let Some(stem) = [".sql", ".java"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
        else {
            continue;
        };
        let into = match stem.chars().next() {
            Some('V') => &mut versioned,
            Some('B') => &mut baselines,
            Some('R' | 'U') if stem.contains("__") => {
                passed_over += 1;
                continue;
            }
            _ => continue,
        };
        let Some((number, mut step)) = parse(&stem[1..], &source) else {
            // A class or a script that is called so by chance begins with no digit.
            if stem[1..].starts_with(|c: char| c.is_ascii_digit()) {
                return Err(GenerateError::file(
                    path.display().to_string(),
                    "its name is not V<version>__<description>, the version being numbers between dots or \
                     underscores",
                    "rename it to something like V1_2__add_email.sql; Flyway passes it over as it is",
                ));
            }
            continue;
        };
        step.parts.push(if name.ends_with(".sql") {
            Part::file(&source, files::text(&path)?)
        } else {
            Part {
                name: source.clone(),
                text: Text::Printed { what: "Java" },
            }
        });
        if let Some(first) = into.insert(number, step) {
            return Err(GenerateError::set(
                format!(
                    "{} and {source} have the same version {}",
                    first.source, first.version
                ),
                "give one of them the next free version; Flyway runs neither as it is",
            ));
        }
    }
    for (number, baseline) in baselines {
        let is_first = versioned.keys().next().is_none_or(|first| number < *first);
        match versioned.get_mut(&number) {
            Some(step) => step.from_empty = true,
            None if is_first => {
                let step = Step {
                    from_empty: true,
                    ..baseline
                };
                versioned.insert(number, step);
            }
            None => {
                return Err(GenerateError::set(
                    format!(
                        "{} has no versioned migration of its version, though there are older ones: a \
                         database that has those never gets there",
                        baseline.source
                    ),
                    "give it the version of the last migration that it stands for",
                ));
            }
        }
    }
    if versioned.is_empty() {
        return Err(GenerateError::Nothing {
            path: dir.to_owned(),
            what: "migration named V<version>__<description>.sql",
        });
    }
    Ok(Chain {
        steps: versioned.into_values().collect(),
        notes: match passed_over {
            0 => Vec::new(),
            1 => vec!["1 repeatable or undo migration is no version".to_owned()],
            n => vec![format!(
                "{n} repeatable and undo migrations are no versions"
            )],
        },
    })
}

/// `1_2__add_email`: the version as Flyway records it, and the description.
fn parse(rest: &str, source: &str) -> Option<(Number, Step)> {
    let (version, title) = rest.split_once("__")?;
    let version = version.replace('_', ".");
    let number = Number::parse(&version)?;
    let step = Step {
        version,
        title: title.replace('_', " "),
        source: source.to_owned(),
        from_empty: false,
        parts: Vec::new(),
    };
    Some((number, step))
}

/// A version as Flyway compares it: numbers of any length, without zeros at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Number(Vec<String>);

impl Number {
    fn parse(version: &str) -> Option<Self> {
        let mut parts = Vec::new();
        for part in version.split('.') {
            if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            parts.push(part.trim_start_matches('0').to_owned());
        }
        while parts.len() > 1 && parts.last().is_some_and(String::is_empty) {
            parts.pop();
        }
        Some(Self(parts))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let longest = self.0.len().max(other.0.len());
        let part = |number: &Self, nth: usize| number.0.get(nth).cloned().unwrap_or_default();
        (0..longest)
            .map(|nth| {
                let (one, two) = (part(self, nth), part(other, nth));
                // Without zeros before them, the longer one is the greater.
                one.len().cmp(&two.len()).then_with(|| one.cmp(&two))
            })
            .find(|ordering| ordering.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let sorted = [
            "0.1",
            "1",
            "1.0.1",
            "1.2",
            "1.10",
            "2",
            "10",
            "20240102030405123456789",
        ];
        for pair in sorted.windows(2) {
            let (one, two) = (Number::parse(pair[0]), Number::parse(pair[1]));
            assert!(one < two, "{pair:?}");
        }
        assert_eq!(Number::parse("1"), Number::parse("01.0.0"));
        assert_eq!(
            Number::parse("1").cmp(&Number::parse("1.0")),
            Ordering::Equal
        );
        for wrong in ["", "a", "1.", ".1", "1..2", "1a"] {
            assert_eq!(Number::parse(wrong), None, "{wrong}");
        }
    }
}

//! A directory of SQL files, as `dbop-migrate` and sqlx run them: `NUMBER_description.sql`, in the order of the
//! numbers. `.down.sql` files are for the way back, and none of ours.

use std::collections::BTreeMap;
use std::path::Path;

use crate::chain::{Chain, Step};
use crate::error::GenerateError;
use crate::files;
use crate::text::Part;

/// Reads the files of `dir`, not those below it.
///
/// # Errors
/// A name that is not of this form, or one number twice.
pub fn read(dir: &Path) -> Result<Chain, GenerateError> {
    let mut steps: BTreeMap<i64, Step> = BTreeMap::new();
    for path in files::below(dir, false)? {
        let name = files::name(&path);
        let Some(stem) = name.strip_suffix(".sql") else {
            continue;
        };
        let (number, title) = parse(stem).ok_or_else(|| {
            GenerateError::file(
                path.display().to_string(),
                "its name is not NUMBER_description.sql",
                "rename it to something like 0003_add_email.sql, or move it elsewhere",
            )
        })?;
        if stem.ends_with(".down") {
            continue;
        }
        let step = Step {
            version: number.to_string(),
            title: title.strip_suffix(".up").unwrap_or(title).to_owned(),
            source: name.clone(),
            from_empty: false,
            parts: vec![Part::file(&name, files::text(&path)?)],
        };
        if let Some(first) = steps.insert(number, step) {
            return Err(GenerateError::set(
                format!("{} and {name} have the same version {number}", first.source),
                "give one of them the next free number",
            ));
        }
    }
    if steps.is_empty() {
        return Err(GenerateError::Nothing {
            path: dir.to_owned(),
            what: "NUMBER_description.sql",
        });
    }
    Ok(Chain {
        steps: steps.into_values().collect(),
        notes: Vec::new(),
    })
}

/// Number and description; 0 stands for an empty database elsewhere.
fn parse(stem: &str) -> Option<(i64, &str)> {
    let (number, title) = stem.split_once('_')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse().ok().filter(|number| *number >= 1)?;
    is_number.then_some((number, title))
}

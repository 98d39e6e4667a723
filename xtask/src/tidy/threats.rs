//! Every test that docs/threat-model.md names is there. It says nothing of what the test shows.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::Violation;

const PAGE: &str = "docs/threat-model.md";
const WAY_OUT: &str = "name the test that shows it, as `path/of/file.rs::name`";

pub(crate) fn check(root: &Path) -> Result<Vec<Violation>> {
    let page = std::fs::read_to_string(root.join(PAGE))
        .with_context(|| format!("{PAGE} cannot be read"))?;
    Ok(violations(&page, |file| {
        std::fs::read_to_string(root.join(file)).ok()
    }))
}

fn violations(page: &str, text_of: impl Fn(&str) -> Option<String>) -> Vec<Violation> {
    let named: Vec<(&str, &str)> = page
        .split('`')
        .filter_map(|word| word.split_once(".rs::").map(|(_, name)| (word, name)))
        .collect();
    let wrong = named.iter().filter_map(|(word, name)| {
        let file = word.strip_suffix(&format!("::{name}"))?;
        let what = match text_of(file) {
            None => format!("names {file}, which is not there"),
            Some(text) if !text.contains(&format!("fn {name}(")) => {
                format!("names {word}, and {file} has no such function")
            }
            Some(_) => return None,
        };
        Some(Violation::new(PAGE, what, WAY_OUT))
    });
    wrong.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_is_not_there_is_told() {
        let page =
            "| a | b | `t.rs::there` |\n| a | b | `t.rs::gone` |\n| a | b | `u.rs::there` |\n";
        let text_of = |file: &str| (file == "t.rs").then(|| "fn there() {}".to_owned());
        let found: Vec<String> = violations(page, text_of)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("t.rs has no such function"), "{found:?}");
        assert!(
            found[1].contains("names u.rs, which is not there"),
            "{found:?}"
        );
    }
}

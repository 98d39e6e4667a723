//! Names of objects, made of what tools and people call their migrations.

use std::collections::BTreeSet;

use crate::chain::Step;

/// Beside its database's name, a migration's is part of a Secret's: short enough for both, and for eyes.
const CHARS_MAX: usize = 60;

/// A name for each step, all different: its version and its title, as an RFC 1123 subdomain.
pub(crate) fn names(steps: &[Step]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    steps
        .iter()
        .map(|step| {
            let wanted = subdomain(&format!("{}-{}", step.version, step.title));
            let mut name = wanted.clone();
            let mut count = 1;
            while !taken.insert(name.clone()) {
                count += 1;
                name = format!("{wanted}-{count}");
            }
            name
        })
        .collect()
}

/// Small letters, digits, `-` and `.`, each part between dots beginning and ending with a letter or digit.
fn subdomain(text: &str) -> String {
    let mut parts = Vec::new();
    for part in text.to_lowercase().split('.') {
        let mut out = String::new();
        for c in part.chars() {
            match c {
                'a'..='z' | '0'..='9' => out.push(c),
                _ if !out.is_empty() && !out.ends_with('-') => out.push('-'),
                _ => {}
            }
        }
        let out = out.trim_end_matches('-');
        if !out.is_empty() {
            parts.push(out.to_owned());
        }
    }
    let mut name = parts.join(".");
    name.truncate(CHARS_MAX);
    let name = name.trim_end_matches(['-', '.']);
    if name.is_empty() {
        "migration".to_owned()
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(version: &str, title: &str, expect: &str) {
        let step = Step {
            version: version.to_owned(),
            title: title.to_owned(),
            source: String::new(),
            from_empty: false,
            parts: Vec::new(),
        };
        let found = names(std::slice::from_ref(&step)).remove(0);
        assert_eq!(found, expect);
        assert!(dbop_model::MigrationName::new(found).is_ok());
    }

    #[test]
    fn a_name_is_a_subdomain() {
        check("1.2", "add email", "1.2-add-email");
        check("3f2a", "", "3f2a");
        check("1.2.", "__Add__E-Mail!", "1.2.add-e-mail");
        check("db/log.xml::7::ada", "", "db-log.xml-7-ada");
        check("æøå", "", "migration");
        let long = "x".repeat(80);
        check("1", &long, &format!("1-{}", "x".repeat(58)));
    }

    #[test]
    fn names_differ_where_versions_do() {
        let step = |version: &str| Step {
            version: version.to_owned(),
            title: String::new(),
            source: String::new(),
            from_empty: false,
            parts: Vec::new(),
        };
        assert_eq!(
            names(&[step("A"), step("a"), step("a!")]),
            ["a", "a-2", "a-3"]
        );
    }
}

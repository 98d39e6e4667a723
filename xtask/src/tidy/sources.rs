//! Rules about the text of the files that git tracks or would track: headers, ignored tests,
//! module files, lints, and paths of somebody's machine.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Violation;
use crate::workspace::capture;

/// Folders of single machines: what names them works on one machine alone. In two parts, so that
/// this file does not violate its own rule.
const MACHINE_FOLDERS: &[(&str, &str)] = &[("/wo", "rk/"), ("/ro", "ot/"), ("/ho", "me/")];
/// Files larger than this are data, not text that somebody writes.
const TEXT_BYTES_MAX: u64 = 2 << 20;

/// All violations, in the order of the files.
pub(crate) fn check(root: &Path) -> Result<Vec<Violation>> {
    let mut git = Command::new("git");
    git.current_dir(root)
        .args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let mut violations = Vec::new();
    for file in capture(&mut git)?.lines() {
        let path = root.join(file);
        // A deleted file is listed until its deletion is staged.
        let Ok(metadata) = path.metadata() else {
            continue;
        };
        if metadata.is_dir() || metadata.len() > TEXT_BYTES_MAX {
            continue;
        }
        let bytes = std::fs::read(&path).with_context(|| format!("{file} cannot be read"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            violations.extend(check_file(file, &text));
        }
    }
    Ok(violations)
}

fn check_file(file: &str, text: &str) -> Vec<Violation> {
    let mut violations = machine_paths(file, text);
    if file.ends_with(".rs") {
        violations.extend(rust(file, text));
    }
    if file.ends_with("Cargo.toml") && !text.contains("[workspace]") {
        violations.extend(lints(file, text));
    }
    violations
}

fn rust(file: &str, text: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    if !text.starts_with("//!") {
        let way_out = "say in it what the file does and what it deliberately does not";
        violations.push(Violation::new(
            file,
            "has no `//!` header on its first line",
            way_out,
        ));
    }
    if Path::new(file)
        .file_name()
        .is_some_and(|name| name == "mod.rs")
    {
        let way_out = "name it after its folder and put it beside that";
        violations.push(Violation::new(file, "is a mod.rs", way_out));
    }
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("#[ignore") {
            let place = format!("{file}:{}", index + 1);
            let way_out = "a tier that lacks its server fails with the command that starts it";
            violations.push(Violation::new(place, "ignores a test", way_out));
        }
    }
    violations
}

fn lints(file: &str, text: &str) -> Vec<Violation> {
    let mut in_lints = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            in_lints = line == "[lints]";
        } else if in_lints && line.replace(' ', "") == "workspace=true" {
            return Vec::new();
        }
    }
    let what = "does not take the workspace's lints";
    vec![Violation::new(
        file,
        what,
        "add `[lints]` with `workspace = true`",
    )]
}

fn machine_paths(file: &str, text: &str) -> Vec<Violation> {
    let folders: Vec<String> = MACHINE_FOLDERS
        .iter()
        .map(|(start, end)| format!("{start}{end}"))
        .collect();
    let mut violations = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(folder) = folders.iter().find(|folder| begins_a_path(line, folder)) {
            let what = format!("names a folder of one machine ({folder})");
            let place = format!("{file}:{}", index + 1);
            let way_out = "use a path that everybody has, or a relative one";
            violations.push(Violation::new(place, what, way_out));
        }
    }
    violations
}

/// Whether the folder stands in the line as the beginning of a path: `docs/work/x` is another.
fn begins_a_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(index, _)| {
        let before = line[..index].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '/' | '_' | '-' | '.' | '}'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: &str, text: &str) -> Vec<String> {
        check_file(file, text)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_file_without_header_an_ignored_test_and_a_module_file_are_told() {
        let text = format!("use std::fmt;\n    #[{}]\nfn x() {{}}\n", "ignore");
        let found = found("crates/a/src/b/mod.rs", &text);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(
            found[0].starts_with("crates/a/src/b/mod.rs: has no `//!` header"),
            "{found:?}"
        );
        assert!(
            found[1].starts_with("crates/a/src/b/mod.rs: is a mod.rs"),
            "{found:?}"
        );
        assert!(
            found[2].starts_with("crates/a/src/b/mod.rs:2: ignores a test"),
            "{found:?}"
        );
    }

    #[test]
    fn a_good_file_has_no_violation() {
        assert_eq!(
            found("a.rs", "//! Does a thing.\nfn x() {}\n"),
            Vec::<String>::new()
        );
        assert_eq!(
            found("a/Cargo.toml", "[lints]\nworkspace = true\n"),
            Vec::<String>::new()
        );
        assert_eq!(found("Cargo.toml", "[workspace]\n"), Vec::<String>::new());
    }

    #[test]
    fn a_member_without_the_lints_is_told() {
        assert_eq!(found("a/Cargo.toml", "[package]\nname = \"a\"\n").len(), 1);
        assert_eq!(
            found("a/Cargo.toml", "[lints]\n[x]\nworkspace = true\n").len(),
            1
        );
    }

    #[test]
    fn a_path_of_one_machine_is_told_and_a_path_like_it_is_not() {
        let home = format!("{}{}", MACHINE_FOLDERS[2].0, MACHINE_FOLDERS[2].1);
        assert_eq!(found("a.md", &format!("see {home}anna/x")).len(), 1);
        assert_eq!(found("a.md", &format!("`{home}anna`")).len(), 1);
        assert_eq!(
            found("a.md", &format!("see docs{home}anna")),
            Vec::<String>::new()
        );
        assert_eq!(
            found("a.md", &format!("https://x.example{home}y")),
            Vec::<String>::new()
        );
    }
}

//! Writes what is generated from code into the tree, or checks that it is in step: the CRDs.
//!
//! xtask knows nothing of their content: the operator prints them (`database-operator crds`), and
//! each document goes to the file named for its kind. So a CRD has one source, crate `dbop-api`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::progress;
use crate::tidy::Violation;
use crate::workspace;

/// Where the CRDs go.
const FOLDER: &str = "deploy/crds";
/// What each file begins with.
const HEADER: &str = "# Generated from crates/api by `cargo xtask codegen`; do not edit.\n";

/// Writes the generated files, or tells whether they are in step and prints where they are not.
pub(crate) fn run(only_check: bool) -> Result<bool> {
    let root = workspace::root()?;
    if !only_check {
        write(&root)?;
        return Ok(true);
    }
    let violations = check(&root, &build_operator(&root)?)?;
    for violation in &violations {
        println!("{violation}");
    }
    Ok(violations.is_empty())
}

/// Writes the generated files; those that are no longer generated are removed.
fn write(root: &Path) -> Result<()> {
    let operator = build_operator(root)?;
    let folder = root.join(FOLDER);
    std::fs::create_dir_all(&folder).with_context(|| format!("{FOLDER} cannot be created"))?;
    let generated = generate(&operator)?;
    for name in present(&folder)?
        .keys()
        .filter(|name| !generated.contains_key(*name))
    {
        std::fs::remove_file(folder.join(name))
            .with_context(|| format!("{FOLDER}/{name} cannot be removed"))?;
        println!("removed {FOLDER}/{name}");
    }
    for (name, text) in &generated {
        std::fs::write(folder.join(name), text)
            .with_context(|| format!("{FOLDER}/{name} cannot be written"))?;
        println!("wrote {FOLDER}/{name}");
    }
    Ok(())
}

/// Compares the generated files with the tree, using the built operator.
pub(crate) fn check(root: &Path, operator: &Path) -> Result<Vec<Violation>> {
    Ok(differences(
        &generate(operator)?,
        &present(&root.join(FOLDER))?,
    ))
}

/// Builds the operator for development, and gives its path.
pub(crate) fn build_operator(root: &Path) -> Result<PathBuf> {
    let mut cargo = workspace::cargo(root);
    cargo.args([
        "build",
        "--package",
        "database-operator",
        "--bin",
        "database-operator",
    ]);
    let outcome = progress::run("building the operator", &mut cargo)?;
    ensure!(
        outcome.succeeded,
        "the operator does not build:\n{}",
        outcome.output.join("\n")
    );
    Ok(workspace::target(root).join("debug/database-operator"))
}

fn generate(operator: &Path) -> Result<BTreeMap<String, String>> {
    split(&workspace::capture(Command::new(operator).arg("crds"))?)
}

/// One file for each document of a YAML stream: `manageddatabases.yaml` and its text.
fn split(stream: &str) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    let stream = format!("\n{stream}\n");
    for document in stream
        .split("\n---")
        .map(str::trim)
        .filter(|document| !document.is_empty())
    {
        let plural = plural(document).with_context(|| {
            let start: Vec<&str> = document.lines().take(5).collect();
            format!(
                "`database-operator crds` printed a document without a name:\n{}",
                start.join("\n")
            )
        })?;
        let text = format!("{HEADER}{document}\n");
        ensure!(
            files.insert(format!("{plural}.yaml"), text).is_none(),
            "two CRDs named {plural}"
        );
    }
    ensure!(
        !files.is_empty(),
        "`database-operator crds` printed nothing"
    );
    Ok(files)
}

/// The first part of a CRD's own name, which is `<plural>.<group>`.
fn plural(document: &str) -> Option<&str> {
    let metadata = document
        .lines()
        .skip_while(|line| line.trim_end() != "metadata:")
        .skip(1);
    let mut fields = metadata.take_while(|line| line.starts_with(' '));
    let name = fields.find_map(|line| line.strip_prefix("  name: "))?;
    name.trim_matches(['"', '\''])
        .split_once('.')
        .map(|(plural, _)| plural)
}

fn present(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.context("a folder cannot be read")?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
            && let Some(name) = path.file_name()
        {
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("{} cannot be read", path.display()))?;
            files.insert(name.to_string_lossy().into_owned(), text);
        }
    }
    Ok(files)
}

fn differences(
    generated: &BTreeMap<String, String>,
    present: &BTreeMap<String, String>,
) -> Vec<Violation> {
    let names: std::collections::BTreeSet<&String> =
        generated.keys().chain(present.keys()).collect();
    names
        .into_iter()
        .filter_map(|name| {
            let what = match (generated.get(name), present.get(name)) {
                (Some(wanted), Some(found)) if wanted == found => return None,
                (Some(_), Some(_)) => "differs from what the code says",
                (Some(_), None) => "is missing",
                (None, _) => "is not generated any more",
            };
            let file = format!("{FOLDER}/{name}");
            Some(Violation::new(
                file,
                what,
                "run `cargo xtask codegen` and commit the result",
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "---\nkind: CustomResourceDefinition\nmetadata:\n  annotations: {}\n  \
                          name: manageddatabases.database-operator.dev\nspec:\n  name: x.y\n---\n\
                          metadata:\n  name: \"databasemigrations.database-operator.dev\"\n";

    #[test]
    fn a_stream_becomes_a_file_for_each_document() {
        let files = split(STREAM).unwrap();
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(names, ["databasemigrations.yaml", "manageddatabases.yaml"]);
        assert!(files["manageddatabases.yaml"].starts_with(HEADER));
        assert!(files["manageddatabases.yaml"].ends_with("  name: x.y\n"));
    }

    #[test]
    fn a_document_without_a_name_is_refused() {
        assert!(split("spec:\n  name: x.y\n").is_err());
        assert!(split("").is_err());
    }

    #[test]
    fn each_kind_of_difference_is_named() {
        let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs
                .iter()
                .map(|(name, text)| (name.to_string(), text.to_string()))
                .collect()
        };
        let generated = map(&[("a.yaml", "1"), ("b.yaml", "1"), ("c.yaml", "1")]);
        let present = map(&[("a.yaml", "1"), ("b.yaml", "2"), ("d.yaml", "1")]);
        let found: Vec<String> = differences(&generated, &present)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(
            found[0].starts_with("deploy/crds/b.yaml: differs"),
            "{found:?}"
        );
        assert!(
            found[1].starts_with("deploy/crds/c.yaml: is missing"),
            "{found:?}"
        );
        assert!(
            found[2].starts_with("deploy/crds/d.yaml: is not generated"),
            "{found:?}"
        );
    }
}

//! Writes what is generated from code into the tree, or checks that it is in step: the CRDs, what the
//! operator may do in a cluster, and what repeats them, the Helm chart and `deploy/install.yaml`; and the pages of
//! the hint rules.
//!
//! xtask knows nothing of their content: the operator prints them (`database-operator crds`, `rbac`, `rule-pages`), and
//! each document goes to the file named for its kind. So a CRD has one source, crate `dbop-api`, a
//! permission too, crate `dbop-kubernetes`, and a rule's page, crate `dbop-hints`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::dist::install;
use crate::progress;
use crate::tidy::Violation;
use crate::workspace;

/// Where the CRDs go.
const CRDS: &str = "deploy/crds";
/// Where the chart has them: Helm reads no file outside its folder.
const CHART_CRDS: &str = "deploy/chart/files/crds";
/// What objects are checked against: the CRDs' schemas, as the program reads them.
const SHAPES: &str = "crates/api/src/shape/generated.json";
/// Where the rules of the chart's roles go.
const CHART_RULES: &str = "deploy/chart/templates/_rules.tpl";
/// The manifests of permissions, by the name that `database-operator rbac` and the folder have.
const PERMISSIONS: [&str; 3] = ["operator", "cluster", "namespaced"];
/// Where the pages of the hint rules go.
const RULE_PAGES: &str = "docs/rules";
/// The folders that hold generated files and no other of their kind, with how those end.
const FOLDERS: [(&str, &str); 3] = [(CRDS, ".yaml"), (CHART_CRDS, ".yaml"), (RULE_PAGES, ".md")];

/// Generated texts by their files, from the root of the checkout.
pub(crate) type Files = BTreeMap<String, String>;

/// Writes the generated files, or tells whether they are in step and prints where they are not.
pub(crate) fn run(only_check: bool) -> Result<bool> {
    let root = workspace::root()?;
    let operator = build_operator(&root)?;
    if !only_check {
        write(&root, &generate(&root, &operator)?)?;
        return Ok(true);
    }
    let violations = check(&root, &operator)?;
    for violation in &violations {
        println!("{violation}");
    }
    Ok(violations.is_empty())
}

/// Writes the generated files; those that are no longer generated are removed.
fn write(root: &Path, generated: &Files) -> Result<()> {
    let present = present(root, generated)?;
    for file in present.keys().filter(|file| !generated.contains_key(*file)) {
        std::fs::remove_file(root.join(file))
            .with_context(|| format!("{file} cannot be removed"))?;
        println!("removed {file}");
    }
    for (file, text) in generated {
        if present.get(file) == Some(text) {
            continue;
        }
        let place = root.join(file);
        let folder = place
            .parent()
            .context("a generated file lies in no folder")?;
        std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&place, text))
            .with_context(|| format!("{file} cannot be written"))?;
        println!("wrote {file}");
    }
    Ok(())
}

/// Compares the generated files with the tree, using the built operator.
pub(crate) fn check(root: &Path, operator: &Path) -> Result<Vec<Violation>> {
    let generated = generate(root, operator)?;
    Ok(differences(&generated, &present(root, &generated)?))
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

/// Everything that is generated.
fn generate(root: &Path, operator: &Path) -> Result<Files> {
    let mut files = Files::new();
    let crds = split(&workspace::capture(Command::new(operator).arg("crds"))?)?;
    let names: Vec<&str> = crds.keys().map(String::as_str).collect();
    files.insert(format!("{CRDS}/kustomization.yaml"), kustomization(&names));
    for (name, text) in crds {
        files.insert(format!("{CHART_CRDS}/{name}"), text.clone());
        files.insert(format!("{CRDS}/{name}"), text);
    }
    let pages = workspace::capture(Command::new(operator).arg("rule-pages"))?;
    for page in format!("\n{pages}\n").split("\n%%% ").skip(1) {
        let (name, text) = page.split_once('\n').context("a rule's page has no text")?;
        files.insert(
            format!("{RULE_PAGES}/{name}"),
            format!("{}\n", text.trim_end()),
        );
    }
    let shapes = workspace::capture(Command::new(operator).arg("shapes"))?;
    files.insert(SHAPES.into(), format!("{shapes}\n"));
    let header = header("crates/kubernetes/src/rbac.rs");
    for name in PERMISSIONS {
        let text = workspace::capture(Command::new(operator).args(["rbac", name]))?;
        let folder = format!("deploy/rbac/{name}");
        files.insert(format!("{folder}/rbac.yaml"), format!("{header}{text}\n"));
        files.insert(
            format!("{folder}/kustomization.yaml"),
            kustomization(&["rbac.yaml"]),
        );
    }
    let rules = workspace::capture(Command::new(operator).args(["rbac", "chart"]))?;
    let header = header.trim_start_matches("# ").trim_end();
    let header = format!("{{{{- /* {header} */ -}}}}\n");
    files.insert(CHART_RULES.into(), format!("{header}{rules}\n"));
    let install = install::render(root, &files, &install::default_image())?;
    files.insert(install::FILE.into(), install);
    Ok(files)
}

/// What a generated file begins with.
fn header(source: &str) -> String {
    format!("# Generated from {source} by `cargo xtask codegen`; do not edit.\n")
}

/// What lets kustomize take the files of a folder.
fn kustomization(files: &[&str]) -> String {
    let mut text = header("the files beside it");
    text += "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n";
    for file in files {
        text += &format!("- {file}\n");
    }
    text
}

/// One file for each document of a YAML stream: `manageddatabases.yaml` and its text.
fn split(stream: &str) -> Result<Files> {
    let mut files = Files::new();
    let header = header("crates/api");
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
        let text = format!("{header}{document}\n");
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

/// What is in the tree: the generated files, and others where none but generated ones may be.
fn present(root: &Path, generated: &Files) -> Result<Files> {
    let mut names: BTreeSet<String> = generated.keys().cloned().collect();
    for (folder, end) in FOLDERS {
        for entry in std::fs::read_dir(root.join(folder)).into_iter().flatten() {
            let name = entry.context("a folder cannot be read")?.file_name();
            let name = name.to_string_lossy();
            if name.ends_with(end) {
                names.insert(format!("{folder}/{name}"));
            }
        }
    }
    let mut files = Files::new();
    for name in names {
        let path = root.join(&name);
        if path.is_file() {
            let text =
                std::fs::read_to_string(&path).with_context(|| format!("{name} cannot be read"))?;
            files.insert(name, text);
        }
    }
    Ok(files)
}

fn differences(generated: &Files, present: &Files) -> Vec<Violation> {
    let names: BTreeSet<&String> = generated.keys().chain(present.keys()).collect();
    names
        .into_iter()
        .filter_map(|name| {
            let what = match (generated.get(name), present.get(name)) {
                (Some(wanted), Some(found)) if wanted == found => return None,
                (Some(_), Some(_)) => "differs from what the code says",
                (Some(_), None) => "is missing",
                (None, _) => "is not generated any more",
            };
            Some(Violation::new(
                name,
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
        assert!(files["manageddatabases.yaml"].starts_with("# Generated from crates/api by"));
        assert!(files["manageddatabases.yaml"].ends_with("  name: x.y\n"));
    }

    #[test]
    fn a_document_without_a_name_is_refused() {
        assert!(split("spec:\n  name: x.y\n").is_err());
        assert!(split("").is_err());
    }

    #[test]
    fn each_kind_of_difference_is_named() {
        let map = |pairs: &[(&str, &str)]| -> Files {
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
        assert!(found[0].starts_with("b.yaml: differs"), "{found:?}");
        assert!(found[1].starts_with("c.yaml: is missing"), "{found:?}");
        assert!(
            found[2].starts_with("d.yaml: is not generated"),
            "{found:?}"
        );
    }
}

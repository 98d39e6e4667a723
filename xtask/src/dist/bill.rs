//! The bill of materials of a program: which crates are linked into it, by CycloneDX 1.5.
//!
//! Cargo says which; the file lies in the image as `/sbom.json`, where scanners look for no name but
//! people can: `docker cp`, or `tar`.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, ensure};

use super::link::host_triple;
use crate::workspace::{capture, cargo};

/// The bill of the programs of this package.
pub(crate) fn of(root: &Path, package: &str) -> Result<String> {
    let mut tree = cargo(root);
    tree.args(["tree", "--locked", "--package", package])
        .args(["--edges", "normal", "--target", &host_triple(root)?])
        .args(["--prefix", "none", "--format", "{p}|{l}"]);
    let bill = render(package, &capture(&mut tree)?);
    ensure!(bill.contains("pkg:cargo/"), "`cargo tree` names no crate");
    Ok(bill)
}

/// A bill from lines such as `serde v1.0.1|MIT OR Apache-2.0`; crates of the workspace show a path.
fn render(package: &str, tree: &str) -> String {
    let lines: BTreeSet<&str> = tree.lines().collect();
    let components: BTreeSet<String> = lines.iter().filter_map(|line| component(line)).collect();
    let components: Vec<String> = components.into_iter().collect();
    format!(
        "{{\n  \"bomFormat\": \"CycloneDX\",\n  \"specVersion\": \"1.5\",\n  \"version\": 1,\n  \
         \"metadata\": {{\"component\": {{\"type\": \"application\", \"name\": \"{package}\", \
         \"version\": \"{}\"}}}},\n  \"components\": [\n    {}\n  ]\n}}\n",
        env!("CARGO_PKG_VERSION"),
        components.join(",\n    ")
    )
}

fn component(line: &str) -> Option<String> {
    let (crate_, licence) = line.split_once('|')?;
    let mut words = crate_.split_whitespace();
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    // `MIT/Apache-2.0` is how crates wrote it before there were expressions; `(*)` marks repetitions.
    let licence = licence.trim_end_matches(" (*)").replace('/', " OR ");
    let licences = match licence.is_empty() {
        true => String::new(),
        false => format!(", \"licenses\": [{{\"expression\": \"{licence}\"}}]"),
    };
    Some(format!(
        "{{\"type\": \"library\", \"name\": \"{name}\", \"version\": \"{version}\", \
         \"purl\": \"pkg:cargo/{name}@{version}\"{licences}}}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_crate_is_named_once_with_its_licence() {
        let tree = "database-operator v0.1.0 (/x/operator)|Apache-2.0\nserde v1.0.1|MIT/Apache-2.0\n\
                    serde v1.0.1|MIT/Apache-2.0 (*)\nbare v2.0.0|\n";
        let bill = render("database-operator", tree);
        assert_eq!(bill.matches("\"pkg:cargo/serde@1.0.1\"").count(), 1);
        assert!(bill.contains("{\"expression\": \"MIT OR Apache-2.0\"}"));
        assert!(bill.contains("\"purl\": \"pkg:cargo/bare@2.0.0\"}"));
        assert!(!bill.contains("/x/operator"));
    }
}

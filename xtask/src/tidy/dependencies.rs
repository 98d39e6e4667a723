//! Who may depend on whom: the layers of the workspace, the purity of its core, banned crates.
//!
//! `cargo tree` says what is the case, with features resolved; the tables here say what may be.
//! Only what is linked into products counts: dev-dependencies are free, except for bans.

use std::path::Path;

use anyhow::Result;

use super::Violation;
use crate::workspace::{capture, cargo};

/// The internal crates that each crate may depend on. The program and what drives tests stand on
/// top and may use everything; `dbop-migrate`, the demo's application and
/// `xtask` stand alone.
const LAYERS: &[(&str, &[&str])] = &[
    ("dbop-model", &[]),
    ("dbop-credentials", &["dbop-model"]),
    ("dbop-health", &["dbop-model"]),
    ("dbop-hints", &["dbop-model"]),
    ("dbop-sql", &["dbop-model"]),
    ("dbop-snapshot", &["dbop-model"]),
    ("dbop-versions", &["dbop-model"]),
    ("dbop-plan", &["dbop-model", "dbop-credentials"]),
    ("dbop-api", &["dbop-model", "dbop-credentials", "dbop-plan"]),
    ("dbop-generate", &["dbop-model", "dbop-sql"]),
    ("dbop-database", &["dbop-model"]),
    (
        "dbop-postgres",
        &[
            "dbop-model",
            "dbop-credentials",
            "dbop-versions",
            "dbop-database",
        ],
    ),
    (
        "dbop-mysql",
        &[
            "dbop-model",
            "dbop-credentials",
            "dbop-versions",
            "dbop-database",
        ],
    ),
    (
        "dbop-engine",
        &[
            "dbop-model",
            "dbop-credentials",
            "dbop-health",
            "dbop-hints",
            "dbop-sql",
            "dbop-plan",
            "dbop-database",
        ],
    ),
    (
        "dbop-local",
        &[
            "dbop-model",
            "dbop-api",
            "dbop-credentials",
            "dbop-engine",
            "dbop-plan",
        ],
    ),
    (
        "dbop-kubernetes",
        &[
            "dbop-model",
            "dbop-api",
            "dbop-credentials",
            "dbop-engine",
            "dbop-plan",
            "dbop-database",
        ],
    ),
    (
        "dbop-testkit",
        &[
            "dbop-model",
            "dbop-credentials",
            "dbop-hints",
            "dbop-plan",
            "dbop-database",
            "dbop-engine",
        ],
    ),
    ("dbop-migrate", &[]),
    ("dbop-demo-app", &[]),
    ("xtask", &[]),
];
/// What stands on top of the layers and may use all of them but these.
const TOP: &[(&str, &[&str])] = &[
    (
        "database-operator",
        &["dbop-testkit", "dbop-migrate", "dbop-tests", "xtask"],
    ),
    ("dbop-tests", &["xtask"]),
    ("dbop-fuzz", &["dbop-migrate", "dbop-tests", "xtask"]),
    ("dbop-bench", &["dbop-migrate", "dbop-tests", "xtask"]),
];

/// The crates that compute and do nothing else.
const PURE: &[&str] = &[
    "dbop-model",
    "dbop-credentials",
    "dbop-health",
    "dbop-hints",
    "dbop-sql",
    "dbop-snapshot",
    "dbop-versions",
    "dbop-plan",
];
/// What no pure crate may reach: runtimes, drivers, clients, TLS, sockets.
const IMPURE: &[&str] = &[
    "async-std",
    "aws-lc-rs",
    "aws-lc-sys",
    "axum",
    "hyper",
    "kube",
    "kube-client",
    "kube-core",
    "kube-runtime",
    "mio",
    "mysql_async",
    "reqwest",
    "rustls",
    "socket2",
    "sqlx",
    "sqlx-core",
    "tokio",
    "tokio-postgres",
];
/// The API crate describes objects; it talks to no cluster.
const NO_CLIENT: &[&str] = &["kube-client", "kube-runtime", "hyper", "tokio", "rustls"];

/// What nothing in the workspace may build, and why.
const BANNED: &[(&str, &str)] = &[
    (
        "ring",
        "there is one TLS stack, rustls on aws-lc-rs: choose that feature of the crate",
    ),
    (
        "openssl-sys",
        "there is one TLS stack, rustls on aws-lc-rs: choose that feature",
    ),
    (
        "native-tls",
        "there is one TLS stack, rustls on aws-lc-rs: choose that feature",
    ),
    (
        "pg_query",
        "it needs libclang to build: SQL is read by squawk-syntax",
    ),
    ("chrono", "time is jiff's: choose that feature of the crate"),
];

/// Internal dependencies that the layers do not allow.
pub(crate) fn layers(root: &Path) -> Result<Vec<Violation>> {
    let tree = tree(
        root,
        &["--workspace", "--depth", "1", "--edges", "normal,build"],
    )?;
    Ok(breaches_of_layers(&tree))
}

/// Paths from the pure crates to crates that do input and output.
pub(crate) fn purity(root: &Path) -> Result<Vec<Violation>> {
    let mut violations = Vec::new();
    let rules = PURE
        .iter()
        .map(|package| (*package, IMPURE))
        .chain([("dbop-api", NO_CLIENT)]);
    for (package, impure) in rules {
        // Without --no-dedupe a crate that was shown before would hide what is below it.
        let tree = tree(
            root,
            &[
                "--package",
                package,
                "--edges",
                "normal,build",
                "--no-dedupe",
            ],
        )?;
        violations.extend(impurities(package, impure, &tree));
    }
    Ok(violations)
}

/// Banned crates, wherever they come from.
pub(crate) fn bans(root: &Path) -> Result<Vec<Violation>> {
    Ok(banned(&tree(
        root,
        &[
            "--workspace",
            "--edges",
            "normal,build,dev",
            "--target",
            "all",
        ],
    )?))
}

fn tree(root: &Path, arguments: &[&str]) -> Result<String> {
    let mut cargo = cargo(root);
    cargo
        .args(["tree", "--locked", "--prefix", "depth", "--format", " {p}"])
        .args(arguments);
    capture(&mut cargo)
}

/// Depth and crate name of each line, such as `1 serde v1.0.229 (*)`.
fn lines(tree: &str) -> impl Iterator<Item = (usize, &str)> {
    tree.lines().filter_map(|line| {
        let (depth, package) = line.split_once(' ')?;
        Some((depth.parse().ok()?, package.split_whitespace().next()?))
    })
}

fn manifest(package: &str) -> String {
    match package.strip_prefix("dbop-") {
        Some("tests") => "tests/Cargo.toml".into(),
        Some("demo-app") => "deploy/examples/demo/app/Cargo.toml".into(),
        Some(folder) => format!("crates/{folder}/Cargo.toml"),
        None if package == "database-operator" => "operator/Cargo.toml".into(),
        None => format!("{package}/Cargo.toml"),
    }
}

fn breaches_of_layers(tree: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut member = "";
    for (depth, package) in lines(tree) {
        if depth == 0 {
            member = package;
            if !is_known(member) {
                let what = format!("{member} has no place among the layers");
                let way_out = "give it one in LAYERS of xtask/src/tidy/dependencies.rs";
                violations.push(Violation::new(manifest(member), what, way_out));
            }
            continue;
        }
        if is_known(package) && !may_use(member, package) {
            let what = format!("{member} depends on {package}, which is not below it");
            let way_out = "move the code to a lower layer, or the dependency to dev-dependencies";
            violations.push(Violation::new(manifest(member), what, way_out));
        }
    }
    violations
}

/// Whether a package is one of ours, with a place among the layers.
fn is_known(package: &str) -> bool {
    LAYERS.iter().chain(TOP).any(|(name, _)| *name == package)
}

fn may_use(member: &str, package: &str) -> bool {
    let find = |table: &[(&str, &'static [&'static str])]| {
        table
            .iter()
            .find(|(name, _)| *name == member)
            .map(|(_, packages)| *packages)
    };
    match (find(LAYERS), find(TOP)) {
        (Some(allowed), _) => allowed.contains(&package),
        (None, Some(forbidden)) => !forbidden.contains(&package),
        (None, None) => false,
    }
}

fn impurities(package: &str, impure: &[&str], tree: &str) -> Vec<Violation> {
    let mut path: Vec<&str> = Vec::new();
    let mut violations: Vec<Violation> = Vec::new();
    for (depth, name) in lines(tree) {
        path.truncate(depth);
        path.push(name);
        if impure.contains(&name) {
            let what = format!("{package} reaches {name} ({})", path.join(" -> "));
            let way_out = "a pure crate computes only: drop the dependency, or its feature";
            let violation = Violation::new(manifest(package), what, way_out);
            // Without the path's end the same impurity would be told once for each way to it.
            if !violations
                .iter()
                .any(|known| known.what.starts_with(&first_words(&violation)))
            {
                violations.push(violation);
            }
        }
    }
    violations
}

/// The part of a violation that names both crates, without the way between them.
fn first_words(violation: &Violation) -> String {
    violation
        .what
        .split('(')
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn banned(tree: &str) -> Vec<Violation> {
    BANNED
        .iter()
        .filter(|(name, _)| lines(tree).any(|(_, package)| package == *name))
        .map(|(name, reason)| {
            let way_out = format!("{reason}; `cargo tree --workspace -i {name}` says who wants it");
            Violation::new("Cargo.lock", format!("{name} is banned"), way_out)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(violations: &[Violation]) -> String {
        violations
            .iter()
            .map(|violation| format!("{violation}\n"))
            .collect()
    }

    #[test]
    fn a_dependency_upwards_is_a_breach() {
        let tree = "0 dbop-plan v0.1.0 (x)\n1 dbop-model v0.1.0 (x)\n1 dbop-engine v0.1.0 (x)\n\n\
                    0 dbop-migrate v0.1.0\n1 dbop-model v0.1.0\n\n\
                    0 database-operator v0.1.0\n1 dbop-engine v0.1.0\n1 dbop-testkit v0.1.0\n";
        let found = text(&breaches_of_layers(tree));
        assert_eq!(found.lines().count(), 3, "{found}");
        assert!(
            found.contains("database-operator depends on dbop-testkit"),
            "{found}"
        );
        assert!(
            found.contains("crates/plan/Cargo.toml: dbop-plan depends on dbop-engine"),
            "{found}"
        );
        assert!(
            found.contains("dbop-migrate depends on dbop-model"),
            "{found}"
        );
    }

    #[test]
    fn a_crate_without_a_layer_is_told() {
        let found = text(&breaches_of_layers("0 dbop-novel v0.1.0\n1 serde v1.0.0\n"));
        assert!(
            found.starts_with("crates/novel/Cargo.toml: dbop-novel has no place"),
            "{found}"
        );
    }

    #[test]
    fn an_impure_crate_is_told_once_with_the_way_to_it() {
        let tree = "0 dbop-plan v0.1.0\n1 jiff v0.2.0\n1 sqlparser v0.1.0\n2 tokio v1.0.0\n\
                    1 other v1.0.0\n2 tokio v1.0.0\n";
        let found = text(&impurities("dbop-plan", IMPURE, tree));
        assert_eq!(found.lines().count(), 1, "{found}");
        assert!(
            found.contains("(dbop-plan -> sqlparser -> tokio)"),
            "{found}"
        );
        assert!(impurities("dbop-plan", IMPURE, "0 dbop-plan v1\n1 jiff v0.2.0\n").is_empty());
    }

    #[test]
    fn a_banned_crate_is_told_with_the_reason() {
        let found = text(&banned(
            "0 dbop-postgres v0.1.0\n1 rustls v0.23.0\n2 ring v0.17.0\n",
        ));
        assert!(
            found.contains("ring is banned; there is one TLS stack"),
            "{found}"
        );
        assert!(banned("0 a v1\n1 ring-like v1\n").is_empty());
    }
}

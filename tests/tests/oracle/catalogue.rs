//! What is tried: shapes of tables and statements on them, from the files in `tests/oracle`.
//!
//! Both are data, so that whoever doubts a prediction adds a few lines of YAML and no code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A table of so many rows is large, for the oracle.
pub(crate) const LARGE_TABLE_ROWS: u64 = 2000;
/// So many rows have those that are: a server's estimate may be well below the truth.
const ROWS_LARGE: usize = 3000;
/// So many have those that are not.
const ROWS_SMALL: usize = 20;
/// The table that cases are about, where they say nothing else.
const TABLE: &str = "t";

/// A way for tables to be before a statement runs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shape {
    pub(crate) name: String,
    /// Another shape that is made first.
    #[serde(default)]
    like: Option<String>,
    /// What makes it; `$ROWS` stands for how many rows its tables have.
    #[serde(default)]
    sql: String,
    /// Has it so many rows that its tables are large, by [`LARGE_TABLE_ROWS`]?
    #[serde(default)]
    pub(crate) large: bool,
    /// Is the table without rows? Then nobody waits, however the server does it.
    #[serde(default)]
    pub(crate) empty: bool,
    /// Servers on which it can be, by the beginnings of their names; none: on all.
    #[serde(default)]
    on: Vec<String>,
}

/// A statement, or several, and the shapes on which it runs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    shapes: Vec<String>,
    /// What is done to the shape first, and is no part of what is predicted.
    #[serde(default)]
    setup: String,
    sql: Text,
    #[serde(default)]
    table: Option<String>,
    /// Servers that know this statement, by the beginnings of their names; none: all.
    #[serde(default)]
    on: Vec<String>,
    /// The first and the last major version.
    #[serde(default)]
    from: Option<u8>,
    #[serde(default)]
    until: Option<u8>,
    /// Do the statements make one transaction?
    #[serde(default)]
    transaction: bool,
    /// PostgreSQL refuses it in a transaction.
    #[serde(default)]
    outside: bool,
    #[serde(default)]
    expect: Expect,
}

/// What a server does not show, and a person knows.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    /// Does it work for as long as the table is large? Where files are replaced without a row being read.
    #[serde(default)]
    pub(crate) works: Option<bool>,
    /// The lock, where MySQL or MariaDB takes no `ALGORITHM` and `LOCK` with the statement.
    #[serde(default)]
    pub(crate) lock: Option<String>,
    /// Findings about it that are right although nothing stops, fails or is invented, and why.
    #[serde(default)]
    pub(crate) may_say: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Text {
    One(String),
    Several(Vec<String>),
}

/// One entry on one shape.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// The entry's name and the shape's.
    pub(crate) name: String,
    pub(crate) shape: Shape,
    /// What makes the shape, as one text.
    pub(crate) shape_sql: String,
    /// The same with few rows: for what does not depend on how many there are.
    pub(crate) small_sql: String,
    pub(crate) setup: String,
    pub(crate) statements: Vec<String>,
    pub(crate) table: String,
    pub(crate) transaction: bool,
    pub(crate) outside: bool,
    pub(crate) expect: Expect,
}

impl Case {
    /// The file that a migration would have.
    pub(crate) fn file(&self) -> String {
        let body: String = self.statements.iter().map(|s| format!("{s};\n")).collect();
        match self.transaction {
            true => format!("BEGIN;\n{body}COMMIT;\n"),
            false => body,
        }
    }
}

/// All cases of `family` (`postgresql`, `mysql`) that the server of this name and major version can run.
pub(crate) fn cases(family: &str, server: &str, major: u8) -> Vec<Case> {
    let shapes = shapes(family);
    let fits = |on: &[String]| on.is_empty() || on.iter().any(|prefix| server.starts_with(prefix));
    let mut cases = Vec::new();
    for entry in entries(family) {
        let covered = entry.from.is_none_or(|from| major >= from)
            && entry.until.is_none_or(|until| major <= until);
        if !covered || !fits(&entry.on) {
            continue;
        }
        for name in &entry.shapes {
            let shape = find(&shapes, name, &entry.name);
            if fits(&shape.on) {
                cases.push(entry.on_shape(shape, sql_of(&shapes, shape)));
            }
        }
    }
    cases
}

impl Entry {
    fn on_shape(&self, shape: &Shape, sql: String) -> Case {
        let with_rows = |rows: usize| sql.replace("$ROWS", &rows.to_string());
        Case {
            name: format!("{} on {}", self.name, shape.name),
            shape: shape.clone(),
            shape_sql: with_rows(if shape.large { ROWS_LARGE } else { ROWS_SMALL }),
            small_sql: with_rows(ROWS_SMALL),
            setup: self.setup.clone(),
            statements: match &self.sql {
                Text::One(one) => vec![one.trim().to_owned()],
                Text::Several(several) => several.iter().map(|s| s.trim().to_owned()).collect(),
            },
            table: self.table.clone().unwrap_or_else(|| TABLE.to_owned()),
            transaction: self.transaction,
            outside: self.outside,
            expect: self.expect.clone(),
        }
    }
}

#[track_caller]
fn find<'a>(shapes: &'a [Shape], name: &str, user: &str) -> &'a Shape {
    shapes
        .iter()
        .find(|shape| shape.name == name)
        .unwrap_or_else(|| {
            let known: Vec<&str> = shapes.iter().map(|shape| shape.name.as_str()).collect();
            panic!(
                "{user} names the shape {name:?}; there are {}",
                known.join(", ")
            )
        })
}

fn sql_of(shapes: &[Shape], shape: &Shape) -> String {
    match &shape.like {
        Some(base) => format!(
            "{}\n{}",
            sql_of(shapes, find(shapes, base, &shape.name)),
            shape.sql
        ),
        None => shape.sql.clone(),
    }
}

fn shapes(family: &str) -> Vec<Shape> {
    read(&folder().join(format!("shapes/{family}.yaml")))
}

fn entries(family: &str) -> Vec<Entry> {
    let folder = folder().join("cases").join(family);
    let files = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.iter().flat_map(|path| read::<Entry>(path)).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle")
}

fn read<T: DeserializeOwned>(path: &Path) -> Vec<T> {
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()));
    serde_saphyr::from_str(&text)
        .unwrap_or_else(|error| panic!("{} is not a list of them: {error}", path.display()))
}

#[test]
fn every_family_has_its_cases_and_no_name_twice() {
    for (family, servers) in [
        (
            "postgresql",
            &[("postgres-14", 14), ("postgres-18", 18)][..],
        ),
        ("mysql", &[("mysql-9.7", 9), ("mariadb-10.11", 10)]),
    ] {
        for (server, major) in servers {
            let cases = cases(family, server, *major);
            assert!(cases.len() >= 120, "{server} has {} cases", cases.len());
            let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
            assert_eq!(
                names.len(),
                cases.len(),
                "a name is there twice on {server}"
            );
            assert!(cases.iter().all(|case| !case.statements.is_empty()));
        }
    }
}

#[test]
fn a_transaction_is_one_in_the_file() {
    let entry: Vec<Entry> =
        serde_saphyr::from_str("- {name: x, shapes: [small], transaction: true, sql: [A, B]}")
            .unwrap();
    let shape = Shape {
        name: "small".into(),
        like: None,
        sql: String::new(),
        large: false,
        empty: false,
        on: vec![],
    };
    let case = entry[0].on_shape(&shape, String::new());
    assert_eq!(case.file(), "BEGIN;\nA;\nB;\nCOMMIT;\n");
    assert_eq!(case.name, "x on small");
}

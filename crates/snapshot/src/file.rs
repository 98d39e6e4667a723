//! The file: JSON with a kind and a version. The format is docs/snapshot.md; what the parts of a table look like is in
//! `parts.rs`.
//!
//! A field that is not known is refused: a program that passed over a fact would judge by less than was seen.

use std::collections::BTreeMap;

use dbop_model::catalogue::Catalogue;
use dbop_model::table::{TableFacts, TableName, TypeFacts, Volatility};
use dbop_model::{Engine, ServerInfo};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Snapshot;
use crate::parts::{self, Told};
use crate::types;

/// What the file says it is.
pub const KIND: &str = "DatabaseSnapshot";
/// The version of the format that is written, and the only one that is read.
pub const VERSION: u32 = 1;

/// Why a text is no snapshot that can be read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It is no JSON, or has no kind and version.
    #[error("it is no snapshot of a database: {0}")]
    NotOne(serde_json::Error),
    /// It is of another kind.
    #[error("it is no snapshot of a database, but says kind: {0:?}")]
    Kind(String),
    /// It is of another version of the format.
    #[error(
        "it is a snapshot in version {0} of the format, and this program reads version {VERSION}"
    )]
    Version(u64),
    /// It is not of the shape that its version has.
    #[error("it is no whole snapshot of version {VERSION}: {0}")]
    Shape(serde_json::Error),
    /// A value in it cannot be.
    #[error("it is no whole snapshot of version {VERSION}: {place}: {problem}")]
    Value {
        /// Where: the table, or the part of the file.
        place: String,
        /// What is wrong.
        problem: String,
    },
}

impl SnapshotError {
    /// A value that cannot be, at a place that is not known yet.
    pub(crate) fn value(problem: impl ToString) -> Self {
        SnapshotError::Value {
            place: String::new(),
            problem: problem.to_string(),
        }
    }

    /// The same, of a place.
    fn at(self, place: impl ToString) -> Self {
        match self {
            SnapshotError::Value {
                place: old,
                problem,
            } if old.is_empty() => SnapshotError::Value {
                place: place.to_string(),
                problem,
            },
            other => other,
        }
    }
}

/// What every version has.
#[derive(Deserialize)]
struct Head {
    kind: String,
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    kind: String,
    version: u32,
    taken_at: Timestamp,
    server: Server,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_schema: Option<String>,
    ignores_case: bool,
    settings: Told<parts::Settings>,
    tables: BTreeMap<String, Told<parts::Table>>,
    /// Tables that were not looked at.
    left_out: Vec<String>,
    /// Are tables and those left out all that there are?
    is_whole: bool,
    types: Told<Types>,
    functions: Told<Functions>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Server {
    engine: Words,
    major: u32,
    minor: u32,
    address: String,
}

#[derive(Serialize, Deserialize)]
enum Words {
    PostgreSQL,
    MySQL,
    MariaDB,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Types {
    /// Every type, the others too.
    all: Vec<String>,
    constrained_domains: Vec<String>,
    domains_with_default: Vec<String>,
    not_null_domains: Vec<String>,
    /// Of domains: the type below them.
    bases: BTreeMap<String, String>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Functions {
    immutable: Vec<String>,
    stable: Vec<String>,
    volatile: Vec<String>,
}

/// Writes a snapshot as JSON, the same bytes for the same facts.
///
/// # Errors
/// None but what the writer of JSON says.
pub fn write(snapshot: &Snapshot) -> Result<String, serde_json::Error> {
    let left_out = snapshot.left_out().map(TableName::to_string).collect();
    // Without `..`: a field that is new in a fact and forgotten here does not compile.
    let Snapshot {
        server:
            ServerInfo {
                engine,
                major,
                minor,
                address,
            },
        taken_at,
        catalogue:
            Catalogue {
                tables: _,
                is_whole,
                default_schema,
                ignores_case,
                types,
                functions,
            },
        settings,
        tables,
    } = snapshot;
    let file = File {
        kind: KIND.to_owned(),
        version: VERSION,
        taken_at: *taken_at,
        server: Server {
            engine: match engine {
                Engine::PostgreSql => Words::PostgreSQL,
                Engine::MySql => Words::MySQL,
                Engine::MariaDb => Words::MariaDB,
            },
            major: *major,
            minor: *minor,
            address: address.clone(),
        },
        default_schema: default_schema.clone(),
        ignores_case: *ignores_case,
        settings: Told::of(settings, parts::Settings::from),
        tables: tables
            .iter()
            .map(|(name, table)| (name.to_string(), Told::of(table, parts::Table::from)))
            .collect(),
        left_out,
        is_whole: *is_whole,
        types: Told::of(types, types_told),
        functions: Told::of(functions, functions_told),
    };
    let mut text = serde_json::to_string_pretty(&file)?;
    text.push('\n');
    Ok(text)
}

/// Reads a snapshot.
///
/// # Errors
/// [`SnapshotError`]: another kind of file, another version of the format, or a file that was changed by hand.
pub fn read(text: &str) -> Result<Snapshot, SnapshotError> {
    let head: Head = serde_json::from_str(text).map_err(SnapshotError::NotOne)?;
    if head.kind != KIND {
        return Err(SnapshotError::Kind(head.kind));
    }
    if head.version != u64::from(VERSION) {
        return Err(SnapshotError::Version(head.version));
    }
    let File {
        kind: _,
        version: _,
        taken_at,
        server:
            Server {
                engine,
                major,
                minor,
                address,
            },
        default_schema,
        ignores_case,
        settings,
        tables: told,
        left_out,
        is_whole,
        types,
        functions,
    } = serde_json::from_str(text).map_err(SnapshotError::Shape)?;
    let mut tables = BTreeMap::new();
    for (name, table) in told {
        let facts = table.try_into_fact(parts::Table::facts);
        // Of these servers letters' cases do not count in the names of a table's parts.
        let facts = facts.map(|table| match engine {
            Words::PostgreSQL => table,
            Words::MySQL | Words::MariaDB => table.map(TableFacts::ignoring_case),
        });
        tables.insert(named(&name)?, facts.map_err(|error| error.at(&name))?);
    }
    let mut listed: Vec<TableName> = tables.keys().cloned().collect();
    for name in &left_out {
        listed.push(named(name)?);
    }
    listed.sort();
    listed.dedup();
    Ok(Snapshot {
        server: ServerInfo {
            engine: match engine {
                Words::PostgreSQL => Engine::PostgreSql,
                Words::MySQL => Engine::MySql,
                Words::MariaDB => Engine::MariaDb,
            },
            major,
            minor,
            address,
        },
        taken_at,
        catalogue: Catalogue {
            tables: listed,
            is_whole,
            default_schema,
            ignores_case,
            types: types.try_into_fact(types_seen)?,
            functions: functions.try_into_fact(functions_seen)?,
        },
        settings: settings
            .try_into_fact(parts::Settings::facts)
            .map_err(|error| error.at("settings"))?,
        tables,
    })
}

fn named(text: &str) -> Result<TableName, SnapshotError> {
    text.parse()
        .map_err(|error| SnapshotError::value(format!("the name {error}")).at(text))
}

fn types_told(types: &BTreeMap<TableName, TypeFacts>) -> Types {
    let mut told = Types::default();
    for (name, facts) in types {
        let TypeFacts {
            constrained_domain,
            domain_default,
            domain_not_null,
            base,
            // Of a table's columns.
            casts: _,
        } = facts;
        told.all.push(name.to_string());
        if *constrained_domain {
            told.constrained_domains.push(name.to_string());
        }
        if *domain_default {
            told.domains_with_default.push(name.to_string());
        }
        if *domain_not_null {
            told.not_null_domains.push(name.to_string());
        }
        if let Some(base) = base {
            told.bases.insert(name.to_string(), base.clone());
        }
    }
    told
}

fn types_seen(told: Types) -> Result<BTreeMap<TableName, TypeFacts>, SnapshotError> {
    let mut types = BTreeMap::new();
    for name in &told.all {
        let facts = types::kept(TypeFacts {
            constrained_domain: told.constrained_domains.contains(name),
            domain_default: told.domains_with_default.contains(name),
            domain_not_null: told.not_null_domains.contains(name),
            base: told.bases.get(name).cloned(),
            ..TypeFacts::default()
        });
        types.insert(named(name)?, facts);
    }
    let further = [
        told.constrained_domains,
        told.domains_with_default,
        told.not_null_domains,
        told.bases.into_keys().collect(),
    ];
    match further
        .iter()
        .flatten()
        .find(|name| !told.all.contains(name))
    {
        None => Ok(types),
        Some(name) => Err(SnapshotError::value(format!("{name} is not among all")).at("types")),
    }
}

fn functions_told(functions: &BTreeMap<TableName, Volatility>) -> Functions {
    let mut told = Functions::default();
    for (name, volatility) in functions {
        let list = match volatility {
            Volatility::Immutable => &mut told.immutable,
            Volatility::Stable => &mut told.stable,
            Volatility::Volatile => &mut told.volatile,
        };
        list.push(name.to_string());
    }
    told
}

fn functions_seen(told: Functions) -> Result<BTreeMap<TableName, Volatility>, SnapshotError> {
    let Functions {
        immutable,
        stable,
        volatile,
    } = told;
    let mut functions = BTreeMap::new();
    for (list, volatility) in [
        (immutable, Volatility::Immutable),
        (stable, Volatility::Stable),
        (volatile, Volatility::Volatile),
    ] {
        for name in &list {
            // Of a name that stands twice the worst counts.
            functions.insert(named(name)?, volatility);
        }
    }
    Ok(functions)
}

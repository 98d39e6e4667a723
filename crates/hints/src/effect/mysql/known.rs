//! Types, character sets, collations and storage engines that a server has not, or that do not go together (MySQL 8.4
//! manual, chapters 12, 13 and 18; errors 1064, 1115, 1163, 1253, 1273, 1286, 1426, 4161).

use dbop_model::operation::Column;
use dbop_model::table::{Settings, TableFacts};
use dbop_model::{Engine, Fact, Why};

use super::Form;
use super::charset::utf8;
use super::types::Type;
use crate::case::Case;
use crate::effect::Class;

/// Types that both servers have, by their names whatever the spelling.
const TYPES: [&str; 45] = [
    "bigint",
    "binary",
    "bit",
    "blob",
    "char",
    "char byte",
    "char varying",
    "date",
    "datetime",
    "decimal",
    "double",
    "enum",
    "float",
    "geometry",
    "geometrycollection",
    "int",
    "json",
    "linestring",
    "long varbinary",
    "longblob",
    "longtext",
    "mediumblob",
    "mediumint",
    "mediumtext",
    "multilinestring",
    "multipoint",
    "multipolygon",
    "national char",
    "national character",
    "national varchar",
    "nchar",
    "nvarchar",
    "point",
    "polygon",
    "serial",
    "set",
    "smallint",
    "text",
    "time",
    "timestamp",
    "tinyblob",
    "tinyint",
    "tinytext",
    "varbinary",
    "varchar",
];
/// Types that one of the two has, from a version on.
const TYPES_OF_ONE: [(&str, Engine, (u32, u32)); 11] = [
    ("geomcollection", Engine::MySql, (8, 0)),
    ("inet4", Engine::MariaDb, (10, 10)),
    ("inet6", Engine::MariaDb, (10, 5)),
    ("national char varying", Engine::MySql, (8, 0)),
    ("national character varying", Engine::MySql, (8, 0)),
    ("nchar varchar", Engine::MySql, (8, 0)),
    ("nchar varying", Engine::MySql, (8, 0)),
    ("uuid", Engine::MariaDb, (10, 7)),
    ("vector", Engine::MySql, (9, 0)),
    ("vector", Engine::MariaDb, (11, 7)),
    ("xmltype", Engine::MariaDb, (12, 3)),
];
/// Types of MariaDB's sql_mode ORACLE.
const TYPES_OF_ORACLE: [&str; 4] = ["clob", "number", "raw", "varchar2"];
const YEAR: &str = "year";

/// A type that the server has not, or not so long.
pub(super) fn refused_type(case: &Case<'_>, of: &Type, written: &str) -> Option<Class<Form>> {
    let base = of.base();
    let server = case.server;
    if server.engine == Engine::MariaDb && TYPES_OF_ORACLE.contains(&base) {
        let why = format!("{written} is a type by sql_mode ORACLE alone, which is not followed");
        return Some(Class::Undecided(Why::new(why), None));
    }
    let everywhere = base == YEAR || TYPES.contains(&base);
    let version = (server.major, server.minor);
    let here = TYPES_OF_ONE.iter().any(|(name, engine, since)| {
        *name == base && *engine == server.engine && *since <= version
    });
    // Of the spellings of national text it was measured on one of the two.
    let spelled = base.starts_with("national") || base.starts_with("nchar");
    let lacks = !everywhere && !here && !spelled;
    if lacks {
        return Some(Class::refused(
            format!(
                "{} has no type {written} (errors 1064, 4161)",
                case.server.engine
            ),
            "use a type that the server has",
        ));
    }
    of.beyond_limits(server.engine).map(|why| {
        Class::refused(
            format!("{written} is no type: {why}"),
            "correct the numbers in its parentheses",
        )
    })
}

/// Character sets and collations of a column's definition.
pub(super) fn refused_column_letters(case: &Case<'_>, column: &Column) -> Option<Class<Form>> {
    refused_letters(case, column.charset.as_deref(), column.collation.as_deref())
}

/// A character set or a collation that the server has not, or that do not go together.
pub(super) fn refused_letters(
    case: &Case<'_>,
    charset: Option<&str>,
    collation: Option<&str>,
) -> Option<Class<Form>> {
    let settings = case.settings().known()?;
    let folded = |name: &str| utf8(&name.to_ascii_lowercase());
    let is_said = |name: &String| !matches!(name.as_str(), "default" | "binary");
    let charset = charset.map(folded).filter(is_said);
    let collation = collation.map(folded).filter(is_said);
    if let Some(charset) = &charset
        && !settings.collations.is_empty()
        && !settings
            .collations
            .keys()
            .any(|known| utf8(known) == *charset)
    {
        return Some(Class::refused(
            format!("the server has no character set {charset} (error 1115)"),
            "use one that SHOW CHARACTER SET lists",
        ));
    }
    let collation = collation.filter(|_| !settings.collation_charsets.is_empty())?;
    let Some(of) = charset_of(settings, &collation) else {
        return Some(Class::refused(
            format!("the server has no collation {collation} (error 1273)"),
            "use one that SHOW COLLATION lists",
        ));
    };
    let charset = charset?;
    let fits = match of.as_str() {
        // One of several: those of Unicode.
        "" => charset.starts_with("utf") || charset.starts_with("ucs"),
        of => of == charset,
    };
    (!fits).then(|| {
        Class::refused(
            format!(
                "the collation {collation} is none of the character set {charset} (error 1253)"
            ),
            format!("use a collation of {charset}"),
        )
    })
}

/// The character set of a collation; empty: one of several; `None`: the server has no such collation.
fn charset_of(settings: &Settings, collation: &str) -> Option<String> {
    let known = |name: &str| {
        let mut all = settings.collation_charsets.iter();
        all.find(|(known, _)| utf8(known) == name)
            .map(|(_, charset)| utf8(charset))
    };
    known(collation).or_else(|| {
        // With its character set before its name.
        let (charset, short) = collation.split_once('_')?;
        let of_several = known(short)?;
        of_several.is_empty().then(|| charset.to_owned())
    })
}

/// Does the server keep to the engine that it has, for want of the other?
pub(super) fn is_substituted(case: &Case<'_>, engine: &str) -> bool {
    let lacks = |settings: &Settings| {
        !settings.engines.is_empty() && !settings.engines.contains(&engine.to_ascii_lowercase())
    };
    let is_heap = engine.eq_ignore_ascii_case("heap");
    !is_heap
        && case.settings().is_known_and(lacks)
        && case.substitutes_engine() == Fact::Known(true)
}

/// A storage engine that the server has not, or that cannot hold such a table.
pub(super) fn refused_engine(
    case: &Case<'_>,
    facts: &TableFacts,
    engine: &str,
) -> Option<Class<Form>> {
    let settings = case.settings().known()?;
    let name = engine.to_ascii_lowercase();
    let name = match name.as_str() {
        "heap" => "memory",
        other => other,
    };
    if !settings.engines.is_empty() && !settings.engines.contains(name) {
        let fails = case.substitutes_engine() == Fact::Known(false);
        return fails.then(|| {
            Class::refused(
                format!("the server has no storage engine {engine} (error 1286)"),
                "use one that SHOW ENGINES lists",
            )
        });
    }
    let (why, advice) = match name {
        "memory" => {
            let long = facts.columns.iter().find(|(_, column)| {
                Type::read(&column.sql_type).is_some_and(|of| of.has_no_literal_default())
            });
            let (column, _) = long?;
            (
                format!("it holds no column as long as {column} (error 1163)"),
                "use another engine, or leave the column out",
            )
        }
        "csv" => {
            let column = facts.columns.iter().find(|(_, column)| column.nullable);
            let indexed = facts.indexes.is_known_and(|indexes| !indexes.is_empty());
            let why = match column {
                Some((column, _)) => {
                    format!("it holds no NULL, and {column} may be NULL (error 1178)")
                }
                None if indexed => "it has no indexes (error 1069)".to_owned(),
                None => return None,
            };
            (why, "use another engine")
        }
        "archive" => {
            let why = "what the storage engine ARCHIVE makes of the table's keys is not followed";
            return Some(Class::Undecided(Why::new(why), None));
        }
        _ => return None,
    };
    Some(Class::refused(
        format!("the storage engine {engine} cannot take the table: {why}"),
        advice,
    ))
}

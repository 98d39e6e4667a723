//! What MySQL's and MariaDB's own tables tell.
//!
//! Accounts are in it with the hashes of their passwords, so that a new password shows. What changes by itself is
//! left out: numbers of rows, times of the last write.

use crate::{Engine, TestDatabase};

/// Tables of the server with grants on databases and what is in them.
const GRANTS: [&str; 4] = ["db", "tables_priv", "columns_priv", "procs_priv"];

/// What there is now, one line for each fact.
pub(super) async fn facts(database: &TestDatabase, object: &str) -> Vec<String> {
    let names = database.roles().await;
    let listed: Vec<String> = names.iter().map(|name| literal(name)).collect();
    let prefix = format!("{object}_");
    // Of these names, or called after the object.
    let ours = |column: &str| {
        let (prefix, length) = (literal(&prefix), prefix.chars().count());
        format!(
            "({column} IN ({}) OR LEFT({column}, {length}) = {prefix})",
            listed.join(", ")
        )
    };
    let name = literal(database.name());
    // A grant may be on a pattern.
    let on_it = format!("REPLACE(Db, '\\\\', '') = REPLACE({name}, '\\\\', '')");
    let mut asked: Vec<(String, String)> = GRANTS
        .iter()
        .map(|table| {
            let whose = ours("User");
            let sql = format!("SELECT * FROM mysql.{table} WHERE {whose} OR {on_it}");
            ((*table).to_owned(), sql)
        })
        .collect();
    let own: Vec<(&str, String)> = match database.engine() {
        Engine::MariaDb => vec![
            (
                "account",
                format!("SELECT * FROM mysql.global_priv WHERE {}", ours("User")),
            ),
            (
                "role",
                format!(
                    "SELECT * FROM mysql.roles_mapping WHERE {} OR {}",
                    ours("User"),
                    ours("Role")
                ),
            ),
        ],
        Engine::MySql | Engine::Postgres => vec![
            (
                "account",
                format!("SELECT * FROM mysql.user WHERE {}", ours("User")),
            ),
            (
                "global grant",
                format!("SELECT * FROM mysql.global_grants WHERE {}", ours("USER")),
            ),
            (
                "role",
                format!(
                    "SELECT * FROM mysql.role_edges WHERE {} OR {}",
                    ours("FROM_USER"),
                    ours("TO_USER")
                ),
            ),
        ],
    };
    asked.extend(own.into_iter().map(|(what, sql)| (what.to_owned(), sql)));
    for (what, columns, table, schema) in SCHEMA {
        let sql =
            format!("SELECT {columns} FROM information_schema.{table} WHERE {schema} = {name}");
        asked.push(((*what).to_owned(), sql));
    }
    let person = database.person().await;
    let mut facts = Vec::new();
    for (what, sql) in asked {
        match person.read(&sql).await {
            Ok(rows) => facts.extend(rows.iter().map(|row| format!("{what}: {row}"))),
            Err(error) => panic!("`{sql}` fails on {}: {error}", database.server().title()),
        }
    }
    person.close().await;
    facts.sort();
    facts
}

/// What is in a database: what it is called, its columns, its table in `information_schema`, the column there that
/// names the database.
const SCHEMA: &[(&str, &str, &str, &str)] = &[
    (
        "database",
        "SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME",
        "SCHEMATA",
        "SCHEMA_NAME",
    ),
    (
        "table",
        "TABLE_NAME, TABLE_TYPE, ENGINE, ROW_FORMAT, TABLE_COLLATION, CREATE_OPTIONS, TABLE_COMMENT",
        "TABLES",
        "TABLE_SCHEMA",
    ),
    (
        "column",
        "TABLE_NAME, ORDINAL_POSITION, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, EXTRA, \
         COLLATION_NAME, COLUMN_COMMENT",
        "COLUMNS",
        "TABLE_SCHEMA",
    ),
    (
        "index",
        "TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX, COLUMN_NAME, NON_UNIQUE, INDEX_TYPE",
        "STATISTICS",
        "TABLE_SCHEMA",
    ),
    (
        "constraint",
        "TABLE_NAME, CONSTRAINT_NAME, CONSTRAINT_TYPE",
        "TABLE_CONSTRAINTS",
        "TABLE_SCHEMA",
    ),
    (
        "view",
        "TABLE_NAME, VIEW_DEFINITION, DEFINER, SECURITY_TYPE",
        "VIEWS",
        "TABLE_SCHEMA",
    ),
    (
        "routine",
        "ROUTINE_NAME, ROUTINE_TYPE, ROUTINE_DEFINITION, DEFINER, SECURITY_TYPE",
        "ROUTINES",
        "ROUTINE_SCHEMA",
    ),
    (
        "trigger",
        "TRIGGER_NAME, EVENT_OBJECT_TABLE, EVENT_MANIPULATION, ACTION_STATEMENT, DEFINER",
        "TRIGGERS",
        "TRIGGER_SCHEMA",
    ),
    (
        "event",
        "EVENT_NAME, EVENT_DEFINITION, DEFINER, STATUS",
        "EVENTS",
        "EVENT_SCHEMA",
    ),
];

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

//! What the server makes of a text that it only reads: a prepared statement is parsed and its names are looked up, and it
//! is never executed (MySQL 8.4 manual, section 15.5; MariaDB, PREPARE).

use dbop_database::DatabaseError;
use dbop_database::answer::{Answer, Failure, unknown};
use dbop_model::operation::{Reading, ReadingKind};
use dbop_model::table::Understood;

use super::ask::CATALOGUE_TIMEOUT;
use super::{Look, parse};

/// What a statement deserves by its words alone (server error message reference): syntax, character sets, collations, types
/// and lengths.
const OF_WORDS: [&str; 14] = [
    "4161", "1064", "1074", "1115", "1149", "1221", "1253", "1273", "1426", "1427", "1439", "1425",
    "1101", "1235",
];
/// What a query deserves, too: tables, columns and functions that are not there, names that are there twice, numbers of
/// columns.
const OF_QUERIES: [&str; 21] = [
    "1046", "1049", "1052", "1054", "1055", "1056", "1060", "1066", "1111", "1140", "1146", "1222",
    "1241", "1247", "1305", "1347", "1351", "1356", "1363", "1582", "1630",
];

/// Stands where a code would, where a question has found what it cannot tell.
const NOT_KNOWN: &str = "unknown";

impl Look<'_> {
    pub(super) async fn understood(&self, reading: &Reading) -> Answer<Understood> {
        let own = &self.server.database;
        if reading.schema.as_ref().is_some_and(|schema| schema != own) {
            return unknown("it is read in another database than the one that is connected to");
        }
        if reading.kind == ReadingKind::Catalogue {
            return self.refused_by_catalogue(&reading.text).await;
        }
        let error = match self.hold.read(&reading.text, CATALOGUE_TIMEOUT).await {
            Ok(columns) => return Ok(Understood::Yes { columns }),
            Err(error) => error,
        };
        match error {
            DatabaseError::Server { code, message, .. }
                if OF_WORDS.contains(&code.as_str())
                    || reading.kind != ReadingKind::Statement
                        && OF_QUERIES.contains(&code.as_str()) =>
            {
                Ok(Understood::No { code, message })
            }
            lost @ DatabaseError::Lost { .. } => Err(Failure::Broken(lost)),
            error => Err(Failure::Unknown(parse::refusal(&error, CATALOGUE_TIMEOUT))),
        }
    }

    /// The first reason that the catalogue has against a statement.
    async fn refused_by_catalogue(&self, sql: &str) -> Answer<Understood> {
        let rows = self.hold.rows_within(sql, CATALOGUE_TIMEOUT).await;
        let rows = match rows {
            Ok(rows) => rows,
            Err(lost @ DatabaseError::Lost { .. }) => return Err(Failure::Broken(lost)),
            Err(error) => return Err(Failure::Unknown(parse::refusal(&error, CATALOGUE_TIMEOUT))),
        };
        let text = |at: usize| rows.first()?.get(at)?.clone();
        Ok(match (text(0), text(1)) {
            (Some(code), Some(message)) if code == NOT_KNOWN => return unknown(message),
            (Some(code), Some(message)) => Understood::No { code, message },
            _ => Understood::Yes {
                columns: Vec::new(),
            },
        })
    }
}

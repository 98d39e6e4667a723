//! What there is in the database, by name: its tables, and the functions of the server that are known here.

use std::collections::BTreeMap;

use dbop_database::DatabaseError;
use dbop_database::answer::{Answer, Failure};
use dbop_model::Fact;
use dbop_model::catalogue::Catalogue;
use dbop_model::table::TableName;

use super::Look;
use super::parse;
use crate::parse::{Columns, Values as _};
use crate::query::text;

/// Tables and views of a database: the name, and whether the server takes letters of both cases for the same in names.
fn statement(database: &str, tables_max: usize) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT t.TABLE_NAME, @@lower_case_table_names > 0 FROM information_schema.TABLES t \
         WHERE t.TABLE_SCHEMA = {} AND t.TABLE_TYPE <> 'TEMPORARY' ORDER BY t.TABLE_NAME LIMIT {}",
        text(database)?,
        tables_max.saturating_add(1)
    ))
}

impl Look<'_> {
    /// # Errors
    /// As [`super::table_facts`]; also where the tables cannot be listed, for then there is nothing to go on with.
    pub(super) async fn whole(&self, tables_max: usize) -> Result<Catalogue, DatabaseError> {
        let found = match self.tables(tables_max).await {
            Ok(found) => found,
            Err(Failure::Broken(error)) => return Err(error),
            Err(Failure::Unknown(why)) => {
                return Err(DatabaseError::Unreadable {
                    operation: self.hold.operation(),
                    detail: why.to_string(),
                });
            }
        };
        let database = &self.server.database;
        let names = found.iter().take(tables_max);
        Ok(Catalogue {
            // What is no name for an operation either (control characters) cannot be asked for.
            tables: names
                .filter_map(|(name, _)| TableName::new(Some(database), name).ok())
                .collect(),
            is_whole: found.len() <= tables_max,
            default_schema: Some(database.clone()),
            ignores_case: found.iter().any(|(_, ignores)| *ignores),
            // There are no domains, and no other types of users.
            types: Fact::Known(BTreeMap::new()),
            functions: Fact::Known(
                parse::FUNCTIONS
                    .iter()
                    .filter_map(|(name, volatility)| {
                        Some((TableName::new(None, name).ok()?, *volatility))
                    })
                    .collect(),
            ),
        })
    }

    async fn tables(&self, tables_max: usize) -> Answer<Vec<(String, bool)>> {
        let sql = statement(&self.server.database, tables_max);
        let read = |c: &mut Columns<'_>| Ok((c.text()?.to_owned(), c.boolean()?));
        self.catalogue(sql, read).await
    }
}

//! What bears a name that is its whole database's: foreign keys, CHECKs of MySQL, triggers.

use dbop_database::DatabaseError;
use dbop_database::answer::Answer;
use dbop_model::Engine;
use dbop_model::table::{NamedKind, TableName};

use super::Look;
use super::ask::unasked;
use crate::parse::Columns;
use crate::query::text;

/// From MariaDB 12.1 on, foreign keys have names of their own in each table.
const OWN_FOREIGN_KEYS: (u32, u32) = (12, 1);

/// Of which table it is. `None`: such names are their tables' own.
fn statement(
    server: &crate::connect::Server,
    kind: NamedKind,
    database: &str,
    name: &str,
) -> Result<Option<String>, DatabaseError> {
    let (database, name) = (text(database)?, text(name)?);
    let mariadb = server.engine == Engine::MariaDb;
    Ok(Some(match kind {
        NamedKind::Check if mariadb => return Ok(None),
        NamedKind::ForeignKey if mariadb && (server.major, server.minor) >= OWN_FOREIGN_KEYS => {
            return Ok(None);
        }
        NamedKind::ForeignKey | NamedKind::Check => {
            let kind = match kind {
                NamedKind::Check => "CHECK",
                _ => "FOREIGN KEY",
            };
            format!(
                "SELECT t.TABLE_NAME, t.CONSTRAINT_NAME FROM information_schema.TABLE_CONSTRAINTS t \
                 WHERE t.CONSTRAINT_SCHEMA = {database} AND LOWER(t.CONSTRAINT_NAME) = LOWER({name}) \
                 AND t.CONSTRAINT_TYPE = '{kind}' LIMIT 10"
            )
        }
        NamedKind::Trigger => format!(
            "SELECT t.EVENT_OBJECT_TABLE, t.TRIGGER_NAME FROM information_schema.TRIGGERS t \
             WHERE t.TRIGGER_SCHEMA = {database} AND t.TRIGGER_NAME = {name} LIMIT 10"
        ),
    }))
}

impl Look<'_> {
    /// The table that it is of; unknown, where such names are not the database's.
    pub(super) async fn named(
        &self,
        kind: NamedKind,
        name: &TableName,
    ) -> Answer<Option<TableName>> {
        let database = name.schema().unwrap_or(&self.server.database);
        let Some(sql) = statement(self.server, kind, database, name.name()).map_err(unasked)?
        else {
            return dbop_database::answer::unknown(format!(
                "names of each {} are their tables' own on this server",
                kind.as_str()
            ));
        };
        let pair = |c: &mut Columns<'_>| Ok((c.text()?.to_owned(), c.text()?.to_owned()));
        let found = self.catalogue(Ok(sql), pair).await?;
        // The server's own comparison may have found others: letters' cases do not count, accents do.
        let of = found
            .into_iter()
            .find(|(_, found)| found.to_lowercase() == name.name().to_lowercase());
        Ok(of.and_then(|(table, _)| TableName::new(Some(database), &table).ok()))
    }
}

//! How large a table is, and how it is stored.
//!
//! The session has the server keep no old statistics (`information_schema_stats_expiry=0`): the number of rows then
//! follows each write, while the bytes are those of the last time that the server sampled the table. The file knows
//! better, where the admin may see it (PROCESS).

use dbop_database::DatabaseError;
use dbop_model::Engine;
use dbop_model::table::{RowEstimate, RowSource, Storage};

use super::Look;
use super::parse::{self, Located};
use crate::parse::{Columns, Values as _};
use crate::query::text;
use dbop_database::answer::{Answer, unknown};

/// Storage of a table: engine, row format, collation, partitions, has it a FULLTEXT index, bytes of indexes.
fn storage(table: &Located) -> Result<String, DatabaseError> {
    let (database, name) = (text(&table.database)?, text(table.name.name())?);
    Ok(format!(
        "SELECT COALESCE(t.ENGINE, ''), t.ROW_FORMAT, t.TABLE_COLLATION, \
         (SELECT COUNT(DISTINCT p.PARTITION_NAME) FROM information_schema.PARTITIONS p \
          WHERE p.TABLE_SCHEMA = {database} AND p.TABLE_NAME = {name} AND p.PARTITION_NAME IS NOT NULL), \
         EXISTS (SELECT 1 FROM information_schema.STATISTICS s WHERE s.TABLE_SCHEMA = {database} \
          AND s.TABLE_NAME = {name} AND s.INDEX_TYPE = 'FULLTEXT'), t.INDEX_LENGTH \
         FROM information_schema.TABLES t WHERE t.TABLE_SCHEMA = {database} AND t.TABLE_NAME = {name}"
    ))
}

/// The column that counts on.
fn auto_increment(table: &Located) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT c.COLUMN_NAME FROM information_schema.COLUMNS c WHERE c.TABLE_SCHEMA = {} \
         AND c.TABLE_NAME = {} AND c.EXTRA LIKE '%auto_increment%' LIMIT 1",
        text(&table.database)?,
        text(table.name.name())?
    ))
}

/// The most row versions of a table's parts (MySQL 8.0.29 and later).
fn row_versions(table: &Located) -> Option<String> {
    Some(format!(
        "SELECT MAX(t.TOTAL_ROW_VERSIONS) FROM information_schema.INNODB_TABLES t WHERE {}",
        is_file_of(table)?
    ))
}

/// Bytes of a table's files.
fn files(table: &Located, engine: Engine) -> Option<String> {
    let from = match engine {
        Engine::MariaDb => "INNODB_SYS_TABLESPACES",
        _ => "INNODB_TABLESPACES",
    };
    Some(format!(
        "SELECT SUM(t.FILE_SIZE) FROM information_schema.{from} t WHERE {}",
        is_file_of(table)?
    ))
}

/// The rows of a table and its partitions, which InnoDB knows by the names of their files. `None`: a name whose file's
/// is not known here.
fn is_file_of(table: &Located) -> Option<String> {
    let file = format!(
        "{}/{}",
        file_name(&table.database)?,
        file_name(table.name.name())?
    );
    let part = format!("{file}#p#");
    // No text of these holds a quote.
    Some(format!(
        "t.NAME = '{file}' OR LOWER(LEFT(t.NAME, {})) = LOWER('{part}')",
        part.len()
    ))
}

/// A name as a file has it (MySQL 8.4 manual, section 11.2.4). Letters beyond ASCII have a table of their own there.
fn file_name(name: &str) -> Option<String> {
    let mut file = String::new();
    for c in name.chars() {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => file.push(c),
            c if c.is_ascii() => file.push_str(&format!("@{:04x}", u32::from(c))),
            _ => return None,
        }
    }
    Some(file)
}

impl Look<'_> {
    pub(super) fn rows_of(&self, table: &Located) -> Answer<RowEstimate> {
        self.readable(table)?;
        match table.rows {
            Some(rows) => Ok(RowEstimate {
                rows,
                source: RowSource::Sample,
                age: None,
            }),
            None => unsaid(table),
        }
    }

    pub(super) async fn bytes_of(&self, table: &Located) -> Answer<u64> {
        self.readable(table)?;
        let Some(sampled) = table.bytes else {
            return unsaid(table);
        };
        let beside = table.index_bytes.unwrap_or(0) + table.free_bytes.unwrap_or(0);
        let file = self.file_bytes(table).await.unwrap_or(0);
        Ok(sampled.max(file.saturating_sub(beside)))
    }

    /// Without the privilege, or of a table in no file of its own, there is none to be had.
    async fn file_bytes(&self, table: &Located) -> Option<u64> {
        let sql = files(table, self.server.engine)?;
        let rows = self.catalogue(Ok(sql), number).await.ok()?;
        rows.into_iter().next().flatten()
    }

    pub(super) async fn storage(&self, table: &Located) -> Answer<Storage> {
        let found = self.catalogue(storage(table), stored).await?;
        let Some(mut storage) = found.into_iter().next() else {
            return unknown("the table went away while it was looked at");
        };
        let counts_on = self
            .catalogue(auto_increment(table), parse::column_name)
            .await?;
        storage.auto_increment = counts_on.into_iter().next();
        if self.server.engine == Engine::MySql
            && let Some(sql) = row_versions(table)
            && let Ok(versions) = self.catalogue(Ok(sql), number).await
        {
            let versions = versions.into_iter().next().flatten();
            storage.row_versions = versions.and_then(|versions| versions.try_into().ok());
        }
        Ok(storage)
    }
}

fn number(columns: &mut Columns<'_>) -> Result<Option<u64>, DatabaseError> {
    Ok(columns.nullable()?.and_then(|number| number.parse().ok()))
}

fn stored(columns: &mut Columns<'_>) -> Result<Storage, DatabaseError> {
    let (engine, row_format) = (columns.text()?, columns.nullable()?);
    let collation = columns.nullable()?;
    Ok(Storage {
        engine: engine.to_owned(),
        row_format: row_format.map(str::to_owned),
        charset: collation.map(charset_of).map(str::to_owned),
        collation: collation.map(str::to_owned),
        partitions: columns.number()?,
        fulltext: columns.boolean()?,
        logged: None,
        index_bytes: number(columns)?,
        ..Storage::default()
    })
}

/// Every collation's full name begins with its character set's (MySQL 8.4 manual, section 12.3.1). MariaDB's list of
/// collations does not say it of those that are of several.
fn charset_of(collation: &str) -> &str {
    collation
        .split_once('_')
        .map_or(collation, |(charset, _)| charset)
}

fn unsaid<T>(table: &Located) -> Answer<T> {
    unknown(format!("the server has no statistics of {}", table.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn character_sets() {
        for (collation, charset) in [
            ("utf8mb4_uca1400_ai_ci", "utf8mb4"),
            ("latin1_swedish_ci", "latin1"),
            ("binary", "binary"),
        ] {
            assert_eq!(charset_of(collation), charset);
        }
    }

    #[test]
    fn names_of_files() {
        for (name, file) in [
            ("users", Some("users")),
            ("dbop_9", Some("dbop_9")),
            ("it's", Some("it@0027s")),
            ("a-b.c d", Some("a@002db@002ec@0020d")),
            ("größe", None),
        ] {
            assert_eq!(file_name(name).as_deref(), file, "{name}");
        }
    }
}

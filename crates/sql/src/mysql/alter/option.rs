//! Options of a table, as `ALTER TABLE` changes them (MySQL 8.4 manual, section 15.1.20; MariaDB, CREATE TABLE).

use dbop_model::operation::TableChange;

use super::super::cursor::{Cursor, Unread};

/// What options of a table do when they are altered. Those that are not known count as what takes the longest.
const OPTIONS: [(&str, TableChange); 27] = [
    ("auto_increment", TableChange::Catalogue),
    ("comment", TableChange::Catalogue),
    ("password", TableChange::Catalogue),
    ("connection", TableChange::Catalogue),
    ("delay_key_write", TableChange::Options),
    ("insert_method", TableChange::Catalogue),
    ("engine_attribute", TableChange::Catalogue),
    ("secondary_engine_attribute", TableChange::Catalogue),
    ("secondary_engine", TableChange::Catalogue),
    ("autoextend_size", TableChange::Catalogue),
    ("stats_persistent", TableChange::Parameters),
    ("stats_auto_recalc", TableChange::Parameters),
    ("stats_sample_pages", TableChange::Parameters),
    ("avg_row_length", TableChange::Options),
    ("max_rows", TableChange::Options),
    ("min_rows", TableChange::Options),
    ("checksum", TableChange::Options),
    ("page_checksum", TableChange::Options),
    ("pack_keys", TableChange::Options),
    ("row_format", TableChange::Rebuild),
    ("key_block_size", TableChange::Rebuild),
    ("compression", TableChange::Rebuild),
    ("encryption", TableChange::Rebuild),
    ("transactional", TableChange::Options),
    ("storage", TableChange::Rebuild),
    ("tablespace", TableChange::Rebuild),
    ("union", TableChange::Catalogue),
];

/// Further options of MariaDB, each of which writes the table anew, or may.
const MARIADB_OPTIONS: [&str; 10] = [
    "page_compressed",
    "page_compression_level",
    "encrypted",
    "encryption_key_id",
    "ietf_quotes",
    "sequence",
    "itp",
    "yes",
    "table_checksum",
    "with_system_versioning",
];

/// One of them, behind which another may stand without a comma.
pub(super) fn option(at: &mut Cursor<'_>) -> Result<TableChange, Unread> {
    at.take(&["default"]);
    if names_charset(at) {
        let charset = Some(word(at)?);
        at.take(&["default"]);
        let collation = match at.take(&["collate"]) {
            true => Some(word(at)?),
            false => None,
        };
        return Ok(TableChange::DefaultCharset { charset, collation });
    }
    if at.take(&["collate"]) {
        let collation = Some(word(at)?);
        let charset = None;
        return Ok(TableChange::DefaultCharset { charset, collation });
    }
    if at.take(&["data", "directory"]) || at.take(&["index", "directory"]) {
        at.value()?;
        return Ok(TableChange::Rebuild);
    }
    if at.take_any(&["engine", "type"]) {
        let engine = word(at)?;
        return Ok(if engine.eq_ignore_ascii_case("innodb") {
            TableChange::Rebuild
        } else {
            TableChange::Engine { engine }
        });
    }
    if let Some((word, change)) = OPTIONS.iter().find(|(word, _)| at.is(word)) {
        at.take(&[word]);
        at.value()?;
        return Ok(change.clone());
    }
    let quoted = at.peek().trim_matches('`').to_ascii_lowercase();
    if MARIADB_OPTIONS.contains(&quoted.as_str()) {
        at.skip();
        at.value()?;
        return Ok(TableChange::Rebuild);
    }
    Err(at.unexpected("an action of ALTER TABLE"))
}

/// Behind `CONVERT TO`.
pub(super) fn charset(at: &mut Cursor<'_>) -> Result<TableChange, Unread> {
    if !names_charset(at) {
        return Err(at.unexpected("CHARACTER SET"));
    }
    let charset = word(at)?.to_ascii_lowercase();
    let collation = match at.take(&["collate"]) {
        true => Some(word(at)?.to_ascii_lowercase()),
        false => None,
    };
    Ok(TableChange::ConvertCharset { charset, collation })
}

fn names_charset(at: &mut Cursor<'_>) -> bool {
    at.take(&["character", "set"]) || at.take(&["char", "set"]) || at.take(&["charset"])
}

/// A value without quotes.
fn word(at: &mut Cursor<'_>) -> Result<String, Unread> {
    Ok(at.value()?.trim_matches(['\'', '"', '`']).to_owned())
}

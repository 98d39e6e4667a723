//! Options of a table, as `ALTER TABLE` changes them (MySQL 8.4 manual, section 15.1.20; MariaDB, CREATE TABLE).

use dbop_model::operation::TableChange;

use super::super::cursor::{Cursor, Unread};

/// What options of a table do when they are altered. Those that are not known count as what takes the longest.
const OPTIONS: [(&str, TableChange); 29] = [
    ("auto_increment", TableChange::Catalogue),
    ("comment", TableChange::Catalogue),
    ("charset", TableChange::Catalogue),
    ("collate", TableChange::Catalogue),
    ("password", TableChange::Catalogue),
    ("connection", TableChange::Catalogue),
    ("delay_key_write", TableChange::Catalogue),
    ("insert_method", TableChange::Catalogue),
    ("engine_attribute", TableChange::Catalogue),
    ("secondary_engine_attribute", TableChange::Catalogue),
    ("secondary_engine", TableChange::Catalogue),
    ("autoextend_size", TableChange::Catalogue),
    ("stats_persistent", TableChange::Parameters),
    ("stats_auto_recalc", TableChange::Parameters),
    ("stats_sample_pages", TableChange::Parameters),
    ("avg_row_length", TableChange::Rebuild),
    ("max_rows", TableChange::Rebuild),
    ("min_rows", TableChange::Rebuild),
    ("checksum", TableChange::Rebuild),
    ("page_checksum", TableChange::Rebuild),
    ("pack_keys", TableChange::Rebuild),
    ("row_format", TableChange::Rebuild),
    ("key_block_size", TableChange::Rebuild),
    ("compression", TableChange::Rebuild),
    ("encryption", TableChange::Rebuild),
    ("transactional", TableChange::Rebuild),
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
    if at.take(&["character", "set"]) || at.take(&["char", "set"]) {
        at.value()?;
        return Ok(TableChange::Catalogue);
    }
    if at.take(&["data", "directory"]) || at.take(&["index", "directory"]) {
        at.value()?;
        return Ok(TableChange::Rebuild);
    }
    if at.take_any(&["engine", "type"]) {
        let name = at.value()?;
        let engine = name.trim_matches(['\'', '"', '`']).to_owned();
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
    if !(at.take(&["character", "set"]) || at.take(&["char", "set"]) || at.take(&["charset"])) {
        return Err(at.unexpected("CHARACTER SET"));
    }
    let charset = at
        .value()?
        .trim_matches(['\'', '"', '`'])
        .to_ascii_lowercase();
    let collation = if at.take(&["collate"]) {
        let name = at.value()?;
        Some(name.trim_matches(['\'', '"', '`']).to_ascii_lowercase())
    } else {
        None
    };
    Ok(TableChange::ConvertCharset { charset, collation })
}

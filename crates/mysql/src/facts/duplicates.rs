//! Are there two rows with the same key? First a proof that there are none, then a bounded probe.
//!
//! The probe groups by the key, as the unique index would compare it: by the columns' own collations, by the first
//! characters where the key has only those. Rows with NULL are left out.
//!
//! **What a migration wrote is computed as the admin**, so an expression is taken apart first
//! ([`dbop_database::expression`]), and refused where it could do anything but compute: it may call the functions of
//! the list below and no others. The server looks its own functions up before those that somebody made; where somebody
//! made one of such a name all the same, it is not tried.

use std::collections::BTreeSet;

use dbop_database::DatabaseError;
use dbop_database::expression::{Grammar, read};
use dbop_model::operation::IndexPart;
use dbop_model::table::{ColumnName, DuplicateProbe, TableFacts, UniqueKey};
use dbop_model::unique;

use super::Look;
use super::ask::unasked;
use super::parse::Located;
use crate::query::{name, qualified, text};
use dbop_database::answer::{Answer, unknown};

const KEY: &str = "the key's expression";
/// The server's own functions that give the same for the same, and do nothing else (MySQL 8.4 manual, chapter 14), as
/// far as keys are made of them. Nothing that sleeps, locks, reads files or other rows; nothing that one of the two
/// servers lacks in some version (MD5 and SHA1 have left MySQL 9), for there the name is anybody's to take.
const FUNCTIONS: [&str; 136] = [
    "abs",
    "adddate",
    "ascii",
    "bin",
    "bit_count",
    "cast",
    "ceil",
    "ceiling",
    "char_length",
    "character_length",
    "coalesce",
    "concat",
    "concat_ws",
    "conv",
    "convert",
    "crc32",
    "date",
    "date_add",
    "date_format",
    "date_sub",
    "datediff",
    "dayname",
    "dayofmonth",
    "dayofweek",
    "dayofyear",
    "degrees",
    "elt",
    "exp",
    "export_set",
    "extract",
    "field",
    "find_in_set",
    "floor",
    "format",
    "from_base64",
    "from_days",
    "from_unixtime",
    "greatest",
    "hex",
    "hour",
    "if",
    "ifnull",
    "inet6_aton",
    "inet6_ntoa",
    "inet_aton",
    "inet_ntoa",
    "insert",
    "instr",
    "interval",
    "isnull",
    "json_array",
    "json_contains",
    "json_contains_path",
    "json_depth",
    "json_extract",
    "json_keys",
    "json_length",
    "json_object",
    "json_quote",
    "json_type",
    "json_unquote",
    "json_valid",
    "json_value",
    "last_day",
    "lcase",
    "least",
    "left",
    "length",
    "ln",
    "locate",
    "log",
    "log10",
    "log2",
    "lower",
    "lpad",
    "ltrim",
    "make_set",
    "makedate",
    "maketime",
    "mid",
    "minute",
    "mod",
    "month",
    "monthname",
    "nullif",
    "octet_length",
    "ord",
    "pi",
    "point",
    "position",
    "pow",
    "power",
    "quarter",
    "quote",
    "radians",
    "regexp_instr",
    "regexp_replace",
    "regexp_substr",
    "repeat",
    "replace",
    "reverse",
    "right",
    "round",
    "rpad",
    "rtrim",
    "sec_to_time",
    "second",
    "sha2",
    "sign",
    "soundex",
    "space",
    "sqrt",
    "st_geomfromtext",
    "st_x",
    "st_y",
    "str_to_date",
    "strcmp",
    "subdate",
    "substr",
    "substring",
    "time_format",
    "time_to_sec",
    "timestamp",
    "timestampdiff",
    "to_base64",
    "to_days",
    "to_seconds",
    "trim",
    "truncate",
    "ucase",
    "unhex",
    "upper",
    "week",
    "weekday",
    "weekofyear",
    "yearweek",
];
/// Those that give another value each time, and do nothing else: no key is made of them, but defaults are.
const CHANGING: [&str; 18] = [
    "connection_id",
    "curdate",
    "current_date",
    "current_time",
    "current_timestamp",
    "current_user",
    "curtime",
    "database",
    "localtime",
    "localtimestamp",
    "now",
    "rand",
    "unix_timestamp",
    "utc_date",
    "utc_time",
    "utc_timestamp",
    "uuid",
    "version",
];
/// What stands before a parenthesis and is part of the grammar, or a type with a length.
pub(super) const GRAMMAR: [&str; 24] = [
    "and",
    "as",
    "between",
    "binary",
    "case",
    "char",
    "datetime",
    "decimal",
    "div",
    "else",
    "from",
    "in",
    "is",
    "like",
    "not",
    "or",
    "then",
    "time",
    "unsigned",
    "varbinary",
    "varchar",
    "when",
    "xor",
    "year",
];

impl Look<'_> {
    /// `facts` hold what is known of the table so far.
    pub(super) async fn duplicates(
        &self,
        table: &Located,
        facts: &TableFacts,
        key: &UniqueKey,
    ) -> Answer<DuplicateProbe> {
        self.readable(table)?;
        let read;
        let indexes = match facts.indexes.known() {
            Some(indexes) => indexes,
            None => {
                read = self.indexes(table).await?;
                &read
            }
        };
        if let Some(settled) = unique::settled(indexes, facts, key) {
            return Ok(settled);
        }
        if key.predicate.is_some() {
            return unknown("an index of some rows alone (WHERE) is none of this server's");
        }
        let parts: Vec<String> = key
            .parts
            .iter()
            .map(|part| computed(facts, part))
            .collect::<Result<_, _>>()?;
        if parts.is_empty() {
            return unknown("the operation does not say over which columns");
        }
        for part in &key.parts {
            if let IndexPart::Expression(text) = part {
                self.nobody_made(KEY, text).await?;
            }
        }
        let sql = statement(table, &parts, key.nulls_equal).map_err(unasked)?;
        let (rows, took) = self.probe(&sql).await?;
        Ok(DuplicateProbe {
            found: !rows.is_empty(),
            proven_by: None,
            took,
        })
    }

    /// Refuses an expression that calls what somebody made.
    pub(super) async fn nobody_made(&self, what: &str, text: &str) -> Answer<()> {
        let calls = read(text, Grammar::MySql)
            .map(|expression| expression.calls)
            .unwrap_or_default();
        if calls.is_empty() {
            return Ok(());
        }
        let found = self
            .catalogue(made(&calls), |c| Ok(c.text()?.to_owned()))
            .await?;
        match found.first() {
            None => Ok(()),
            Some(function) => unknown(format!(
                "{what} calls {function}, and somebody made a function of that name, which could run as the admin"
            )),
        }
    }
}

/// Functions of the session's database with one of these names.
fn made(calls: &BTreeSet<String>) -> Result<String, DatabaseError> {
    let names: Vec<String> = calls
        .iter()
        .map(|call| text(call.trim_end()))
        .collect::<Result<_, _>>()?;
    Ok(format!(
        "SELECT r.ROUTINE_NAME FROM information_schema.ROUTINES r WHERE r.ROUTINE_SCHEMA = DATABASE() \
         AND r.ROUTINE_TYPE = 'FUNCTION' AND r.ROUTINE_NAME IN ({}) LIMIT 1",
        names.join(", ")
    ))
}

/// A part of a key as SQL, once nothing in it can do more than compute.
pub(super) fn computed(facts: &TableFacts, part: &IndexPart) -> Answer<String> {
    let column = |name_: &ColumnName| {
        if facts.columns.contains_key(name_) {
            let quoted = name(name_.as_str()).map_err(unasked)?;
            Ok(format!("dbop_row.{quoted}"))
        } else {
            unknown(format!("the table has no column {name_} yet"))
        }
    };
    match part {
        IndexPart::Column(name) => column(name),
        IndexPart::Prefix(name, length) => Ok(format!("LEFT({}, {length})", column(name)?)),
        IndexPart::Expression(text) => only_computes(KEY, text),
    }
}

/// A text as SQL in parentheses, once nothing in it can do more than compute.
pub(super) fn only_computes(what: &str, text: &str) -> Answer<String> {
    let expression = match read(text, Grammar::MySql) {
        Ok(expression) => expression,
        Err(why) => return unknown(format!("{what} is not tried on the server: {why}")),
    };
    // `substr (a)` calls a function that somebody made; a keyword may have a space behind it.
    let fits = |call: &&String| {
        let is_own = FUNCTIONS.contains(&call.as_str()) || CHANGING.contains(&call.as_str());
        is_own || GRAMMAR.contains(&call.trim_end())
    };
    if let Some(call) = expression.calls.iter().find(|call| !fits(call)) {
        return unknown(format!(
            "{what} calls {}, which is not among the server's own functions without effects, and would run as \
             the admin",
            call.trim_end()
        ));
    }
    if expression.words.contains("array") {
        return unknown(format!(
            "{what} gives several values of one row, which are not followed here"
        ));
    }
    Ok(format!("({})", expression.text))
}

/// Is there such a pair: any row at all?
pub(super) fn statement(
    table: &Located,
    parts: &[String],
    nulls_equal: bool,
) -> Result<String, DatabaseError> {
    let from = qualified(&table.database, table.name.name())?;
    let present: Vec<String> = parts
        .iter()
        .map(|part| format!("{part} IS NOT NULL"))
        .collect();
    let condition = match nulls_equal {
        true => "TRUE".to_owned(),
        false => present.join(" AND "),
    };
    Ok(format!(
        "SELECT 1 FROM {from} AS dbop_row WHERE {condition} GROUP BY {} HAVING COUNT(*) > 1 ORDER BY NULL LIMIT 1",
        parts.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dbop_database::answer::Failure;

    #[track_caller]
    fn check(text: &str, refused: Option<&str>) {
        match (only_computes(KEY, text), refused) {
            (Ok(sql), None) => assert_eq!(sql, format!("({text})")),
            (Err(Failure::Unknown(why)), Some(refused)) => {
                assert!(why.to_string().contains(refused), "{text}: {why}");
            }
            (Ok(sql), Some(_)) => panic!("{sql} is not refused"),
            (Err(_), None) => panic!("{text} is refused"),
            (Err(Failure::Broken(error)), _) => panic!("{error}"),
        }
    }

    #[test]
    fn expressions_that_only_compute() {
        check("lower(`a`)", None);
        check("substring(a, 1, 3) + 1", None);
        check("CASE WHEN (a IN (1, 2)) THEN b END", None);
        check("CAST(a AS CHAR(10))", None);
        check("sleep(5)", Some("calls sleep"));
        check("load_file('/etc/passwd')", Some("calls load_file"));
        check("get_lock('x', 1)", Some("calls get_lock"));
        check("evil(a)", Some("calls evil"));
        check("md5(a)", Some("calls md5"));
        check("lower (a)", Some("calls lower"));
        check("shop.evil(a)", Some("another schema"));
        check("(SELECT 1)", Some("a query"));
        check("CAST(a AS UNSIGNED ARRAY)", Some("several values"));
        check("@x", Some("character"));
    }
}

//! Turns the server's answers into facts. It never panics on them.

use std::time::Duration;

use dbop_database::DatabaseError;
use dbop_model::Why;
use dbop_model::table::{ColumnFacts, ColumnName, Generated, TableKind, TableName, Volatility};

use crate::parse::{Columns, Values as _};
use crate::query;

/// A table that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located {
    pub(super) database: String,
    /// With its database.
    pub(super) name: TableName,
    pub(super) kind: TableKind,
    /// By the statistics.
    pub(super) rows: Option<u64>,
    pub(super) bytes: Option<u64>,
    pub(super) index_bytes: Option<u64>,
    pub(super) free_bytes: Option<u64>,
    /// The server does not tell letters' cases apart in names.
    ignores_case: bool,
}

pub(super) fn located(columns: &mut Columns<'_>) -> Result<Option<Located>, DatabaseError> {
    let (database, name) = (columns.text()?, columns.text()?);
    let (kind, engine, options) = (columns.text()?, columns.text()?, columns.text()?);
    let number = |text: Option<&str>| text.and_then(|text| text.parse().ok());
    let (rows, bytes) = (number(columns.nullable()?), number(columns.nullable()?));
    let (index_bytes, free_bytes) = (number(columns.nullable()?), number(columns.nullable()?));
    let ignores_case = columns.boolean()?;
    let name = TableName::new(Some(database), name).ok();
    Ok(name.map(|name| Located {
        database: database.to_owned(),
        name,
        kind: kind_of(kind, engine, options),
        rows,
        bytes,
        index_bytes,
        free_bytes,
        ignores_case,
    }))
}

fn kind_of(kind: &str, engine: &str, options: &str) -> TableKind {
    // Their rows are elsewhere.
    let is_remote = ["FEDERATED", "CONNECT", "SPIDER", "MRG_MYISAM", "S3"]
        .iter()
        .any(|remote| engine.eq_ignore_ascii_case(remote));
    match kind {
        "BASE TABLE" | "SYSTEM VERSIONED" if is_remote => TableKind::Other,
        "BASE TABLE" | "SYSTEM VERSIONED" if options.contains("partitioned") => {
            TableKind::Partitioned
        }
        "BASE TABLE" | "SYSTEM VERSIONED" => TableKind::Ordinary,
        "VIEW" | "SYSTEM VIEW" => TableKind::View,
        _ => TableKind::Other,
    }
}

/// The table that a name means: the server's own comparison may have found others.
pub(super) fn choose(database: &str, name: &str, found: Vec<Option<Located>>) -> Option<Located> {
    let found: Vec<Located> = found.into_iter().flatten().collect();
    let is_it = |one: &&Located, of: fn(&str) -> String| {
        of(&one.database) == of(database) && of(one.name.name()) == of(name)
    };
    found
        .iter()
        .find(|one| is_it(one, str::to_owned))
        .or_else(|| {
            found
                .iter()
                .find(|one| one.ignores_case && is_it(one, str::to_lowercase))
        })
        .cloned()
}

pub(super) fn column(
    columns: &mut Columns<'_>,
    checks: &[(String, String)],
) -> Result<(ColumnName, ColumnFacts), DatabaseError> {
    let name = columns.text()?;
    let (sql_type, nullable, has_default) = (
        columns.text()?.to_owned(),
        columns.boolean()?,
        columns.boolean()?,
    );
    let (charset, collation) = (columns.nullable()?, columns.nullable()?);
    let generated = match columns.nullable()?.unwrap_or_default() {
        extra if extra.contains("STORED GENERATED") => Some(Generated::Stored),
        extra if extra.contains("VIRTUAL GENERATED") => Some(Generated::Virtual),
        _ => None,
    };
    let computed = columns.nullable()?;
    let quoted = query::name(name)?;
    let proof = checks
        .iter()
        .find(|(_, clause)| *clause == format!("({quoted} is not null)"));
    let facts = ColumnFacts {
        sql_type,
        nullable,
        has_default,
        proven_not_null_by: proof.map(|(check, _)| check.clone()),
        charset: charset.map(str::to_owned),
        collation: collation.map(str::to_owned),
        generated,
        computed: computed.map(str::to_owned),
    };
    let name = ColumnName::ignoring_case(name).map_err(|error| DatabaseError::Unreadable {
        operation: "looking at tables",
        detail: format!("a column's name {error}"),
    })?;
    Ok((name, facts))
}

/// The next column, the name of a column, an index or a constraint.
pub(super) fn column_name(columns: &mut Columns<'_>) -> Result<ColumnName, DatabaseError> {
    let name = columns.text()?;
    ColumnName::ignoring_case(name).map_err(|error| columns.unreadable(&format!("a name {error}")))
}

/// Functions that are known here, in the order of their names. Within one statement the clock stands still, chance does
/// not (MySQL 8.4 manual, chapter 14). The server has no list of its own functions; of others nothing is known.
pub(super) const FUNCTIONS: [(&str, Volatility); 42] = [
    ("concat", Volatility::Immutable),
    ("connection_id", Volatility::Stable),
    ("curdate", Volatility::Stable),
    ("current_date", Volatility::Stable),
    ("current_time", Volatility::Stable),
    ("current_timestamp", Volatility::Stable),
    ("current_user", Volatility::Stable),
    ("curtime", Volatility::Stable),
    ("database", Volatility::Stable),
    ("date", Volatility::Immutable),
    ("hex", Volatility::Immutable),
    ("json_array", Volatility::Immutable),
    ("json_object", Volatility::Immutable),
    ("localtime", Volatility::Stable),
    ("localtimestamp", Volatility::Stable),
    ("lower", Volatility::Immutable),
    ("md5", Volatility::Immutable),
    ("now", Volatility::Stable),
    ("point", Volatility::Immutable),
    // Of a default, MariaDB computes it once for all rows.
    ("rand", Volatility::Stable),
    ("random_bytes", Volatility::Volatile),
    ("schema", Volatility::Stable),
    ("session_user", Volatility::Stable),
    ("sha1", Volatility::Immutable),
    ("sha2", Volatility::Immutable),
    ("st_geomfromtext", Volatility::Immutable),
    ("str_to_date", Volatility::Immutable),
    ("sys_guid", Volatility::Volatile),
    ("sysdate", Volatility::Volatile),
    ("system_user", Volatility::Stable),
    ("unhex", Volatility::Immutable),
    ("unix_timestamp", Volatility::Stable),
    ("upper", Volatility::Immutable),
    ("user", Volatility::Stable),
    ("utc_date", Volatility::Stable),
    ("utc_time", Volatility::Stable),
    ("utc_timestamp", Volatility::Stable),
    ("uuid", Volatility::Volatile),
    ("uuid_short", Volatility::Volatile),
    ("uuid_v4", Volatility::Volatile),
    ("uuid_v7", Volatility::Volatile),
    ("version", Volatility::Stable),
];

pub(super) fn volatility(function: &str) -> Option<Volatility> {
    let name = function.to_ascii_lowercase();
    let mut known = FUNCTIONS.iter();
    known.find(|(known, _)| *known == name).map(|(_, v)| *v)
}

/// Why a fact is unknown.
pub(super) fn refusal(error: &DatabaseError, timeout: Duration) -> Why {
    match error {
        DatabaseError::Timeout { .. } => Why::new(format!(
            "the probe took longer than {}, or waited for another session's lock",
            in_words(timeout)
        )),
        DatabaseError::Server { code, message, .. } => match code.as_str() {
            "1146" => Why::passing("the table went away while it was looked at"),
            "1142" | "1143" | "1044" => Why::new(format!("{message}; let the admin read it")),
            _ => Why::new(format!("the server says: {message} ({code})")),
        },
        other => Why::new(other.to_string()),
    }
}

fn in_words(timeout: Duration) -> String {
    if timeout.subsec_millis() == 0 {
        format!("{} s", timeout.as_secs())
    } else {
        format!("{} ms", timeout.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_tables() {
        assert_eq!(kind_of("BASE TABLE", "InnoDB", ""), TableKind::Ordinary);
        let partitioned = kind_of("BASE TABLE", "InnoDB", "row_format=DYNAMIC partitioned");
        assert_eq!(partitioned, TableKind::Partitioned);
        assert_eq!(
            kind_of("SYSTEM VERSIONED", "InnoDB", ""),
            TableKind::Ordinary
        );
        assert_eq!(kind_of("BASE TABLE", "FEDERATED", ""), TableKind::Other);
        assert_eq!(kind_of("VIEW", "", ""), TableKind::View);
        for other in ["SEQUENCE", ""] {
            assert_eq!(kind_of(other, "InnoDB", ""), TableKind::Other);
        }
    }

    #[test]
    fn a_name_means_the_table_of_its_letters() {
        let at = |name: &str, ignores_case| Located {
            database: "shop".into(),
            name: TableName::new(Some("shop"), name).unwrap(),
            kind: TableKind::Ordinary,
            rows: None,
            bytes: None,
            index_bytes: None,
            free_bytes: None,
            ignores_case,
        };
        let found = vec![Some(at("Items", false)), Some(at("items", false)), None];
        assert_eq!(choose("shop", "items", found), Some(at("items", false)));
        assert_eq!(
            choose("shop", "items", vec![Some(at("Items", false))]),
            None
        );
        let folded = vec![Some(at("items", true))];
        assert_eq!(choose("shop", "Items", folded), Some(at("items", true)));
        assert_eq!(choose("shop", "items", vec![]), None);
    }

    #[test]
    fn functions_of_which_nothing_is_known() {
        assert_eq!(volatility("NOW"), Some(Volatility::Stable));
        assert_eq!(volatility("uuid"), Some(Volatility::Volatile));
        assert_eq!(volatility("app.next_code"), None);
    }
}

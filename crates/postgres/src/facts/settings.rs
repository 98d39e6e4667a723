//! Settings that decide what a migration's statements do, as its session has them.
//!
//! That session is the migrator's, which the operator lets in for a run: it begins with the server's settings, those of
//! the database, of the migrator, and of the migrator in the database, the last winning (`ALTER DATABASE ... SET`,
//! `ALTER ROLE ... [IN DATABASE ...] SET`). The operator's own session has other timeouts pinned, so that the server's
//! own are read from its configuration where the admin may see it, and else are those that it is built with.

use std::collections::BTreeMap;
use std::time::Duration;

use dbop_model::table::Settings;
use tokio_postgres::Row;

use super::Look;
use super::ask::all;
use crate::mark;
use dbop_database::answer::Answer;

/// Settings of this database and of the migrator, the weakest first: `name=value`. A role of ours is known by its
/// mark, whose beginning is `$1`; the migrator in this database by the role that it acts as there.
const OF_ROLES: &str = "
    WITH here AS (
        SELECT d.oid FROM pg_database d WHERE d.datname = current_database()
    ), migrator AS (
        SELECT s.setrole AS oid
        FROM pg_db_role_setting s
        JOIN here ON s.setdatabase = here.oid
        JOIN pg_shdescription d ON d.objoid = s.setrole AND d.classoid = 'pg_authid'::regclass
        WHERE starts_with(d.description, $1) AND d.description LIKE '%\"migrator\"%'
    )
    SELECT unnest(s.setconfig)
    FROM pg_db_role_setting s, here
    WHERE s.setdatabase IN (0, here.oid)
      AND (s.setrole = 0 OR s.setrole IN (SELECT oid FROM migrator))
    ORDER BY s.setrole <> 0, s.setdatabase <> 0";

/// The server's own: `name=value`. Of the time zone none but the admin's settings can differ from it; the timeouts are
/// those that the server is built with.
const OF_SERVER: &str = "
    SELECT s.name || '=' || CASE
               WHEN s.name = 'TimeZone' AND s.source NOT IN ('user', 'database user', 'session', 'client')
               THEN s.reset_val ELSE s.boot_val END
    FROM pg_settings s
    WHERE s.name IN ('lock_timeout', 'statement_timeout', 'TimeZone')";

/// May the admin read the server's configuration?
const MAY_READ_FILES: &str = "
    SELECT has_table_privilege('pg_file_settings', 'SELECT')
       AND has_function_privilege('pg_show_all_file_settings()', 'EXECUTE')";

/// What the configuration says: `name=value`, the last winning.
const OF_FILES: &str = "
    SELECT f.name || '=' || f.setting
    FROM pg_file_settings f
    WHERE f.applied AND lower(f.name) IN ('lock_timeout', 'statement_timeout', 'timezone')
    ORDER BY f.seqno";

impl Look<'_> {
    pub(super) async fn settings(&self) -> Answer<Settings> {
        let pair = |row: &Row| {
            let text: String = row.try_get(0).ok()?;
            let (name, value) = text.split_once('=')?;
            Some((name.to_lowercase(), value.to_owned()))
        };
        let mut values: BTreeMap<String, String> = BTreeMap::new();
        values.extend(all(&self.catalogue(OF_SERVER, &[]).await?, pair)?);
        let may_read: bool = self
            .one(MAY_READ_FILES, &[], |row| row.try_get(0).ok())
            .await?;
        if may_read {
            values.extend(all(&self.catalogue(OF_FILES, &[]).await?, pair)?);
        }
        let rows = self.catalogue(OF_ROLES, &[&mark::PREFIX]).await?;
        values.extend(all(&rows, pair)?);
        let value = |name: &str| values.get(name).map_or("", String::as_str);
        Ok(Settings {
            lock_timeout: timeout(value("lock_timeout")),
            statement_timeout: timeout(value("statement_timeout")),
            strict: true,
            utc: is_utc(value("timezone")),
            foreign_key_checks: true,
            ..Settings::default()
        })
    }
}

/// A limit as people write it (`5s`, `500 ms`, `2min`, milliseconds alone). Zero is none; nor is what cannot be read,
/// which the server itself would have refused.
fn timeout(text: &str) -> Option<Duration> {
    let text = text.trim().trim_matches('\'').trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let unit_ms = match text[digits.len()..].trim() {
        "us" => 0.001,
        "" | "ms" => 1.0,
        "s" => 1000.0,
        "min" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        _ => return None,
    };
    let number: f64 = digits.trim().parse().ok()?;
    Duration::try_from_secs_f64(number * unit_ms / 1000.0)
        .ok()
        .filter(|timeout| !timeout.is_zero())
}

/// The names of UTC (manual, appendix B.4, and the server's list of time zones). Only in these does a change to
/// timestamptz write nothing anew; others without an offset today may have had one.
fn is_utc(zone: &str) -> bool {
    let zone = zone.trim().trim_matches('\'');
    [
        "UTC",
        "Etc/UTC",
        "GMT",
        "Etc/GMT",
        "UCT",
        "Etc/UCT",
        "Zulu",
        "Etc/Zulu",
        "Universal",
        "Etc/Universal",
        "Greenwich",
        "Etc/Greenwich",
        "GMT0",
        "Etc/GMT0",
        "GMT+0",
        "GMT-0",
    ]
    .iter()
    .any(|name| name.eq_ignore_ascii_case(zone))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_the_server_reads_them() {
        for (text, ms) in [
            ("0", None),
            ("", None),
            ("5000", Some(5000)),
            ("5s", Some(5000)),
            ("500 ms", Some(500)),
            ("'2min'", Some(120_000)),
            ("1.5s", Some(1500)),
            ("1h", Some(3_600_000)),
            ("soon", None),
        ] {
            assert_eq!(timeout(text), ms.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn zones() {
        assert!(is_utc("UTC") && is_utc("etc/utc") && is_utc("'GMT'"));
        assert!(!is_utc("Europe/London") && !is_utc("") && !is_utc("UTC+1"));
    }
}

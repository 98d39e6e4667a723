//! Settings that decide what a migration's statements do, as its session has them: a session begins with the server's
//! global ones, and accounts have none of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dbop_model::operation::Algorithm;
use dbop_model::table::Settings;

use super::Look;
use dbop_database::answer::{Answer, unknown};

/// The variables that matter, and those of only one of the two servers.
const VARIABLES: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('lock_wait_timeout', \
    'max_statement_time', 'sql_mode', 'foreign_key_checks', 'time_zone', 'system_time_zone', \
    'innodb_online_alter_log_max_size', 'alter_algorithm', 'character_set_collations', 'init_connect', \
    'log_bin', 'binlog_format', 'binlog_row_image', 'binlog_legacy_event_pos')";
/// The collation of each character set where none is said.
const COLLATIONS: &str = "SELECT c.CHARACTER_SET_NAME, c.DEFAULT_COLLATE_NAME \
    FROM information_schema.CHARACTER_SETS c";
/// Every collation with its character set; MariaDB leaves the set out where it is one of several.
const CHARSETS: &str = "SELECT c.COLLATION_NAME, COALESCE(c.CHARACTER_SET_NAME, '') \
    FROM information_schema.COLLATIONS c";
/// Storage engines that can be used.
const ENGINES: &str = "SELECT LOWER(e.ENGINE) FROM information_schema.ENGINES e \
    WHERE e.SUPPORT IN ('YES', 'DEFAULT')";
/// Statements that the server runs at the start of a session could set any of these.
const SET_BY_SESSIONS: [&str; 6] = [
    "lock_wait_timeout",
    "max_statement_time",
    "sql_mode",
    "foreign_key_checks",
    "time_zone",
    "alter_algorithm",
];
/// Who waits for a day waits for ever. MariaDB's default is a day, MySQL's a year.
const FOR_EVER_S: u64 = 86_400;

impl Look<'_> {
    pub(super) async fn settings(&self) -> Answer<Settings> {
        let pair = self
            .catalogue(Ok(VARIABLES.to_owned()), |c| {
                Ok((c.text()?.to_ascii_lowercase(), c.text()?.to_owned()))
            })
            .await?;
        let values: BTreeMap<String, String> = pair.into_iter().collect();
        let value = |name: &str| values.get(name).map_or("", String::as_str);
        let at_start = value("init_connect").to_ascii_lowercase();
        if let Some(set) = SET_BY_SESSIONS
            .iter()
            .find(|name| at_start.contains(**name))
        {
            return unknown(format!(
                "the server sets {set} for each session (init_connect), which is not followed here"
            ));
        }
        let pair =
            |c: &mut crate::parse::Columns<'_>| Ok((c.text()?.to_owned(), c.text()?.to_owned()));
        let collations = self.catalogue(Ok(COLLATIONS.to_owned()), pair).await?;
        let mut collations: BTreeMap<String, String> = collations.into_iter().collect();
        collations.extend(chosen_collations(value("character_set_collations")));
        let charsets = self.catalogue(Ok(CHARSETS.to_owned()), pair).await?;
        let name = |c: &mut crate::parse::Columns<'_>| Ok(c.text()?.to_owned());
        let engines = self.catalogue(Ok(ENGINES.to_owned()), name).await?;
        Ok(Settings {
            collations,
            collation_charsets: charsets.into_iter().collect(),
            engines: engines.into_iter().collect(),
            ..read(value)
        })
    }
}

fn read<'a>(value: impl Fn(&str) -> &'a str) -> Settings {
    let lock_s: Option<u64> = value("lock_wait_timeout").parse().ok();
    let statement_s: f64 = value("max_statement_time").parse().unwrap_or(0.0);
    let zone = match value("time_zone") {
        "SYSTEM" => value("system_time_zone"),
        own => own,
    };
    Settings {
        lock_timeout: lock_s
            .filter(|seconds| *seconds < FOR_EVER_S)
            .map(Duration::from_secs),
        // MySQL's max_execution_time is for SELECT alone.
        statement_timeout: Duration::try_from_secs_f64(statement_s)
            .ok()
            .filter(|limit| !limit.is_zero()),
        strict: value("sql_mode")
            .split(',')
            .any(|mode| matches!(mode, "STRICT_ALL_TABLES" | "STRICT_TRANS_TABLES")),
        zero_dates: !value("sql_mode")
            .split(',')
            .any(|mode| mode == "NO_ZERO_DATE"),
        substitutes_engine: !value("sql_mode")
            .split(',')
            .any(|mode| mode == "NO_ENGINE_SUBSTITUTION"),
        utc: matches!(zone, "UTC" | "+00:00" | "Etc/UTC" | "GMT"),
        foreign_key_checks: matches!(value("foreign_key_checks"), "ON" | "1"),
        online_log_bytes: value("innodb_online_alter_log_max_size").parse().ok(),
        algorithm: Algorithm::named(value("alter_algorithm")),
        row_log: matches!(value("binlog_format"), "ROW" | "MIXED"),
        // MariaDB before 11.4 and MySQL have no such variable, and always write the place.
        logs_whole_rows: matches!(value("log_bin"), "ON" | "1")
            && value("binlog_format") == "ROW"
            && value("binlog_row_image") == "FULL"
            && !matches!(value("binlog_legacy_event_pos"), "OFF" | "0"),
        collations: BTreeMap::new(),
        collation_charsets: BTreeMap::new(),
        engines: BTreeSet::new(),
        disk_free_bytes: None,
    }
}

/// `utf8mb4=uca1400_ai_ci,latin1=latin1_bin`: MariaDB 11.2 and later, where a server chooses others than those that it
/// came with (`character_set_collations`). A name that leaves its character set out gets it back.
fn chosen_collations(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split(',').filter_map(|pair| {
        let (charset, collation) = pair.split_once('=')?;
        let (charset, collation) = (charset.trim(), collation.trim());
        let full = if collation.starts_with(charset) {
            collation.to_owned()
        } else {
            format!("{charset}_{collation}")
        };
        Some((charset.to_owned(), full))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read() {
        let mariadb = |name: &str| match name {
            "lock_wait_timeout" => "86400",
            "max_statement_time" => "1.500000",
            "sql_mode" => "NO_ZERO_DATE,STRICT_TRANS_TABLES",
            "foreign_key_checks" => "ON",
            "time_zone" => "SYSTEM",
            "system_time_zone" => "UTC",
            "innodb_online_alter_log_max_size" => "134217728",
            "alter_algorithm" => "NOCOPY",
            _ => "",
        };
        let expect = Settings {
            lock_timeout: None,
            statement_timeout: Some(Duration::from_millis(1500)),
            strict: true,
            zero_dates: false,
            utc: true,
            foreign_key_checks: true,
            online_log_bytes: Some(134_217_728),
            algorithm: Some(Algorithm::NoCopy),
            row_log: false,
            logs_whole_rows: false,
            collations: BTreeMap::new(),
            collation_charsets: BTreeMap::new(),
            engines: BTreeSet::new(),
            substitutes_engine: true,
            disk_free_bytes: None,
        };
        assert_eq!(read(mariadb), expect);
        let loose = read(|name| match name {
            "lock_wait_timeout" => "5",
            "time_zone" => "Europe/Berlin",
            _ => "",
        });
        let expect = Settings {
            lock_timeout: Some(Duration::from_secs(5)),
            zero_dates: true,
            substitutes_engine: true,
            ..Settings::default()
        };
        assert_eq!(loose, expect);
    }

    #[test]
    fn a_log_is_followed_where_it_has_whole_rows_and_their_places() {
        #[track_caller]
        fn check(other: (&str, &'static str), expect: bool) {
            let usual = |name: &str| match name {
                "log_bin" => "ON",
                "binlog_format" => "ROW",
                "binlog_row_image" => "FULL",
                _ => "",
            };
            let seen = read(|name| {
                if name == other.0 {
                    other.1
                } else {
                    usual(name)
                }
            });
            assert_eq!(seen.logs_whole_rows, expect, "{other:?}");
        }
        check(("sql_mode", ""), true);
        check(("binlog_legacy_event_pos", "ON"), true);
        check(("binlog_legacy_event_pos", "OFF"), false);
        check(("log_bin", "OFF"), false);
        check(("binlog_format", "MIXED"), false);
        check(("binlog_row_image", "MINIMAL"), false);
    }
}

//! What an operation does on a server, as a table of data: lock, rewrite, scan, who is shut out.
//!
//! Measured on PostgreSQL 14.23, 15.18 and 18.4 (`pg_locks`, and the rewriting and verifying messages of
//! `client_min_messages = debug1`); the manual's page on ALTER TABLE says the same. How long it takes is an
//! estimate from the table's size.

use std::ops::RangeInclusive;
use std::time::Duration;

use dbop_model::finding::{DurationRange, Effect, Lock};
use dbop_model::{Engine, ServerInfo};

/// The forms of operations that the rules tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// ADD COLUMN that only changes the catalogue.
    AddColumnInstant,
    /// ADD COLUMN that computes a value for every row.
    AddColumnRewriting,
    /// SET NOT NULL, where nothing proves it.
    SetNotNull,
    /// SET NOT NULL, where a valid CHECK proves it (PostgreSQL 12 and later).
    SetNotNullProven,
}

struct Row {
    form: Form,
    majors: RangeInclusive<u32>,
    lock: Lock,
    rewrite: bool,
    scan: bool,
}

/// Later versions are taken to be like the last one measured.
const LATER: u32 = u32::MAX;

#[rustfmt::skip]
const POSTGRESQL: [Row; 4] = [
    Row { form: Form::AddColumnInstant,   majors: 14..=LATER, lock: Lock::AccessExclusive, rewrite: false, scan: false },
    Row { form: Form::AddColumnRewriting, majors: 14..=LATER, lock: Lock::AccessExclusive, rewrite: true,  scan: true },
    Row { form: Form::SetNotNull,         majors: 14..=LATER, lock: Lock::AccessExclusive, rewrite: false, scan: true },
    Row { form: Form::SetNotNullProven,   majors: 14..=LATER, lock: Lock::AccessExclusive, rewrite: false, scan: false },
];

/// Bytes per second that a scan reads: rows from memory or a fast local disk, and from slow network storage.
const SCAN_BYTES_PER_SECOND: (u64, u64) = (1_000_000_000, 150_000_000);
/// Bytes per second of a rewrite, which also writes WAL and builds every index anew.
const REWRITE_BYTES_PER_SECOND: (u64, u64) = (100_000_000, 20_000_000);

/// The effect of a form on a server; `None` where it was never measured. `bytes` is the table's size.
pub(crate) fn effect(server: &ServerInfo, form: Form, bytes: Option<u64>) -> Option<Effect> {
    if server.engine != Engine::PostgreSql {
        return None;
    }
    let row = POSTGRESQL
        .iter()
        .find(|row| row.form == form && row.majors.contains(&server.major))?;
    let works = row.rewrite || row.scan;
    let (fast, slow) = if row.rewrite {
        REWRITE_BYTES_PER_SECOND
    } else {
        SCAN_BYTES_PER_SECOND
    };
    Some(Effect {
        lock: row.lock,
        algorithm: None,
        rewrite: row.rewrite,
        scan: row.scan,
        blocks_reads: works && row.lock == Lock::AccessExclusive,
        blocks_writes: works,
        duration: bytes.filter(|_| works).map(|bytes| DurationRange {
            from: Duration::from_secs(bytes / fast),
            to: Duration::from_secs(bytes / slow),
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(major: u32) -> ServerInfo {
        let address = "db:5432/shop".to_owned();
        ServerInfo {
            engine: Engine::PostgreSql,
            major,
            minor: 1,
            address,
        }
    }

    #[track_caller]
    fn check(form: Form, bytes: Option<u64>, expect: &str) {
        for major in [14, 15, 16, 17, 18, 19] {
            let effect = effect(&server(major), form, bytes).unwrap();
            assert_eq!(effect.to_string(), expect, "{form:?} on {major}");
        }
    }

    #[test]
    fn effects_of_postgresql() {
        let gb = Some(60_000_000_000);
        check(
            Form::AddColumnInstant,
            gb,
            "takes ACCESS EXCLUSIVE for an instant, no rewrite, no scan",
        );
        check(
            Form::AddColumnRewriting,
            gb,
            "takes ACCESS EXCLUSIVE, rewrites the table, scans the table; reads and writes stop for \
             about 10-50 min",
        );
        check(
            Form::SetNotNull,
            gb,
            "takes ACCESS EXCLUSIVE, no rewrite, scans the table; reads and writes stop for about \
             1-7 min",
        );
        check(
            Form::SetNotNull,
            None,
            "takes ACCESS EXCLUSIVE, no rewrite, scans the table; reads and writes stop",
        );
        check(
            Form::SetNotNullProven,
            gb,
            "takes ACCESS EXCLUSIVE for an instant, no rewrite, no scan",
        );
    }

    #[test]
    fn versions_never_measured_have_none() {
        assert_eq!(effect(&server(13), Form::SetNotNull, None), None);
    }
}

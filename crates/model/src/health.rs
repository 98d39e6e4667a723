//! The health of a database: what is still well ([`HealthSpec`]), what one look found ([`HealthFacts`]), and what that
//! comes to ([`Health`]).
//!
//! Checks make the one of the other (crate `dbop-health`). Nothing here decides what a migration may do.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::fact::{Fact, Why};
use crate::run::{JobFacts, RunRecord};
use crate::table::{Blocker, ColumnName, TableName};

/// Of a list, a look brings so many at most. More than there can be entries in `ignore`, so that what a person has
/// accepted hides nothing.
pub const LISTED_MAX: usize = 200;

/// A check. Its name is the reason of the condition, and a label of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// Is a run failed, or stuck?
    Migrations,
    /// Do ids run out, of tables or of transactions?
    IdExhaustion,
    /// Is there room for further sessions?
    Connections,
    /// Is the database too large for its disk, by a person's limit?
    Disk,
    /// Do replicas follow?
    ReplicationLag,
    /// Are transactions open for too long?
    LongTransactions,
    /// Are there indexes that no query may use?
    InvalidIndexes,
    /// Is much of large tables dead or free space?
    Bloat,
    /// Have all tables a primary key?
    PrimaryKeys,
}

impl Check {
    /// Every check, what is worst first.
    pub const ALL: [Check; 9] = [
        Check::Migrations,
        Check::IdExhaustion,
        Check::Connections,
        Check::Disk,
        Check::ReplicationLag,
        Check::LongTransactions,
        Check::InvalidIndexes,
        Check::Bloat,
        Check::PrimaryKeys,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Check::Migrations => "Migrations",
            Check::IdExhaustion => "IdExhaustion",
            Check::Connections => "Connections",
            Check::Disk => "Disk",
            Check::ReplicationLag => "ReplicationLag",
            Check::LongTransactions => "LongTransactions",
            Check::InvalidIndexes => "InvalidIndexes",
            Check::Bloat => "Bloat",
            Check::PrimaryKeys => "PrimaryKeys",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `spec.health`: how often is looked, and from where on it is not well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthSpec {
    /// The time from one look to the next.
    pub interval: Duration,
    /// So much of the connections that applications can have, in percent.
    pub connections_percent: u8,
    /// A replica that is so far behind.
    pub replication_lag: Duration,
    /// A transaction that is open for so long.
    pub long_transaction: Duration,
    /// So much of the ids that there are, in percent.
    pub id_percent: u8,
    /// So much of a table that is dead or free, in percent.
    pub bloat_percent: u8,
    /// Smaller tables are not judged for it, in bytes.
    pub bloat_table_bytes: u64,
    /// A run that goes on for so long.
    pub long_migration: Duration,
    /// How long a run may take before the platform ends it; one that goes on is stuck.
    pub migration_deadline: Option<Duration>,
    /// A database of so many bytes; `None`: of any, since no server tells what its disk can hold.
    pub database_bytes: Option<u64>,
    /// What a person has accepted.
    pub ignore: Vec<Ignore>,
}

impl Default for HealthSpec {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            connections_percent: 80,
            replication_lag: Duration::from_secs(30),
            long_transaction: Duration::from_secs(15 * 60),
            id_percent: 80,
            bloat_percent: 40,
            bloat_table_bytes: 100 << 20,
            long_migration: Duration::from_secs(24 * 3600),
            migration_deadline: None,
            database_bytes: None,
            ignore: Vec::new(),
        }
    }
}

impl HealthSpec {
    /// Is this check accepted as it comes out, whatever it is about?
    pub fn ignores(&self, check: Check) -> bool {
        let whole = |one: &Ignore| one.check == check && one.table.is_none();
        self.ignore.iter().any(whole)
    }

    /// Is it accepted of this table? A name without a schema means one in any.
    pub fn ignores_of(&self, check: Check, table: &TableName) -> bool {
        let of = |one: &Ignore| one.table.as_ref().is_none_or(|named| named.may_be(table));
        self.ignore.iter().any(|one| one.check == check && of(one))
    }
}

/// What a person has accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignore {
    /// The check.
    pub check: Check,
    /// Only of this table; `None`: of whatever it is about.
    pub table: Option<TableName>,
    /// Why, for everybody who reads it later.
    pub reason: String,
}

/// What one look found. What cannot be seen is unknown with its reason, and never unhealthy.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthFacts {
    /// Sessions, for each limit that there is on them.
    pub connections: Fact<Vec<Connections>>,
    /// The replicas.
    pub replicas: Fact<Vec<ReplicaLag>>,
    /// Open transactions in the database, the oldest first.
    pub transactions: Fact<Listed<Blocker>>,
    /// Columns that count by themselves, the most used first.
    pub ids: Fact<Listed<IdUse>>,
    /// Ids of transactions, by what counts them; none: the server does not run out of them.
    pub transaction_ids: Fact<Vec<TransactionIds>>,
    /// Indexes that no query may use.
    pub invalid_indexes: Fact<Listed<InvalidIndex>>,
    /// Large tables with their dead or free share, the worst first.
    pub bloat: Fact<Listed<Bloat>>,
    /// Tables without a primary key.
    pub keyless: Fact<Listed<TableName>>,
    /// Bytes of the database.
    pub bytes: Fact<u64>,
}

impl HealthFacts {
    /// Nothing is known, for this reason.
    pub fn unknown(why: &Why) -> Self {
        Self {
            connections: Fact::Unknown(why.clone()),
            replicas: Fact::Unknown(why.clone()),
            transactions: Fact::Unknown(why.clone()),
            ids: Fact::Unknown(why.clone()),
            transaction_ids: Fact::Unknown(why.clone()),
            invalid_indexes: Fact::Unknown(why.clone()),
            bloat: Fact::Unknown(why.clone()),
            keyless: Fact::Unknown(why.clone()),
            bytes: Fact::Unknown(why.clone()),
        }
    }

    /// The numbers that are shown as metrics.
    pub fn numbers(&self) -> HealthNumbers {
        let server = self.connections.known().and_then(|all| all.first());
        let lag = |replica: &ReplicaLag| match replica.lag {
            Fact::Known(Lag::Behind(lag)) => Some(lag),
            _ => None,
        };
        let seen = self.transactions.known();
        HealthNumbers {
            connections_used: server.map(|limit| limit.used),
            connections_max: server.map(Connections::room),
            replication_lag: self
                .replicas
                .known()
                .and_then(|replicas| replicas.iter().filter_map(lag).max()),
            // The oldest of those that are seen may not be the oldest of all.
            oldest_transaction: seen.filter(|seen| seen.hidden.is_none()).map(|seen| {
                seen.listed
                    .first()
                    .map_or(Duration::ZERO, |oldest| oldest.age)
            }),
            bytes: self.bytes.known().copied(),
        }
    }
}

/// Numbers of one look, for metrics; `None`: not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HealthNumbers {
    /// Sessions of the server.
    pub connections_used: Option<u64>,
    /// Those that it lets in without a privilege for more.
    pub connections_max: Option<u64>,
    /// Of the replica that is farthest behind.
    pub replication_lag: Option<Duration>,
    /// The age of the oldest transaction; zero: there is none.
    pub oldest_transaction: Option<Duration>,
    /// The size of the database.
    pub bytes: Option<u64>,
}

/// Some of many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// The worst, [`LISTED_MAX`] at most.
    pub listed: Vec<T>,
    /// How many there are besides.
    pub more: u64,
    /// Why there may be others that are not seen.
    pub hidden: Option<Why>,
}

impl<T> Listed<T> {
    /// All of them, and nothing is hidden.
    pub fn all(listed: Vec<T>) -> Self {
        Self {
            listed,
            more: 0,
            hidden: None,
        }
    }
}

/// Sessions, and how many there may be. The server's own limit is the first of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connections {
    /// Whose limit it is: "the server", "the database".
    pub of: &'static str,
    /// Sessions that count.
    pub used: u64,
    /// The limit.
    pub max: u64,
    /// Of these, so many are kept for superusers and the like.
    pub reserved: u64,
}

impl Connections {
    /// How many applications can have.
    pub fn room(&self) -> u64 {
        self.max.saturating_sub(self.reserved)
    }
}

/// How far a replica is behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaLag {
    /// Its name or address.
    pub replica: String,
    /// How far.
    pub lag: Fact<Lag>,
}

/// How far a replica is behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lag {
    /// So far.
    Behind(Duration),
    /// It does not follow any more: why, as a clause.
    Stopped(String),
}

/// A column that counts by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdUse {
    /// The table.
    pub table: TableName,
    /// The column.
    pub column: ColumnName,
    /// The id that the next row gets.
    pub next: i128,
    /// The last that there is.
    pub limit: i128,
}

impl IdUse {
    /// How much of the ids is used, 0.0 to 1.0; one that counts down has a negative limit.
    pub fn share(&self) -> f64 {
        if self.limit == 0 {
            return 1.0;
        }
        (self.next as f64 / self.limit as f64).clamp(0.0, 1.0)
    }
}

/// How old the oldest transaction id is that rows still bear (PostgreSQL manual, section 24.1.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionIds {
    /// What counts: "transaction ids", "multixact ids".
    pub what: &'static str,
    /// Where it is oldest: a database of the server.
    pub database: String,
    /// How many have been used since.
    pub age: u64,
    /// At this age the server freezes rows without being told.
    pub freeze_at: u64,
    /// Beyond this the server takes no writes.
    pub limit: u64,
}

/// An index that no query may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidIndex {
    /// Its table.
    pub table: TableName,
    /// The index, quoted where it must be.
    pub index: String,
}

/// How much of a table is dead or free.
#[derive(Debug, Clone, PartialEq)]
pub struct Bloat {
    /// The table.
    pub table: TableName,
    /// Bytes of the table.
    pub bytes: u64,
    /// The share, 0.0 to 1.0.
    pub share: f64,
    /// Of what: "rows are dead", "of its file is free".
    pub what: &'static str,
}

/// What is known of runs when health is judged.
#[derive(Debug, Clone, Copy)]
pub struct Runs<'a> {
    /// The last one whose outcome is recorded.
    pub last: Option<&'a RunRecord>,
    /// The one that is under way.
    pub live: Option<&'a JobFacts>,
    /// Is the database where it should be? Then nobody waits for the last run.
    pub at_rest: bool,
    /// The time.
    pub now: Timestamp,
}

/// The outcome of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The check.
    pub check: Check,
    /// What it came to.
    pub state: State,
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It was looked at, and is well.
    Ok,
    /// It is not.
    Degraded(Vec<Problem>),
    /// It cannot be told.
    Unknown(Why),
}

/// What is not well. Its `Display` is a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The table, where it is about one.
    pub table: Option<TableName>,
    /// What was found, with its numbers, rounded so that the same text stands for a while.
    pub message: String,
    /// What to do.
    pub advice: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message, self.advice)
    }
}

/// The health of a database: each check with what it came to, in the order of [`Check::ALL`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// The checks. One that was not looked at yet is not here.
    pub checks: Vec<Checked>,
    /// Why the database itself was not looked at; `None`: it was.
    pub unseen: Option<Unseen>,
}

/// Why a database was not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unseen {
    /// Nobody had the time yet.
    NotYet,
    /// It could not be reached, or looked at.
    Failed(Why),
}

impl Health {
    /// The checks that are not well, what is worst first.
    pub fn degraded(&self) -> impl Iterator<Item = (Check, &[Problem])> {
        self.checks.iter().filter_map(|one| match &one.state {
            State::Degraded(problems) => Some((one.check, problems.as_slice())),
            State::Ok | State::Unknown(_) => None,
        })
    }

    /// The checks that cannot be told, with their reasons.
    pub fn unknown(&self) -> impl Iterator<Item = (Check, &Why)> {
        self.checks.iter().filter_map(|one| match &one.state {
            State::Unknown(why) => Some((one.check, why)),
            State::Ok | State::Degraded(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_accepted_of_a_table_is_accepted_of_it_alone() {
        let ignore = |check, table: Option<&str>| Ignore {
            check,
            table: table.map(|name| name.parse().unwrap()),
            reason: "a log".to_owned(),
        };
        let spec = HealthSpec {
            ignore: vec![
                ignore(Check::PrimaryKeys, Some("events")),
                ignore(Check::Bloat, None),
            ],
            ..HealthSpec::default()
        };
        let of = |check, table: &str| spec.ignores_of(check, &table.parse().unwrap());
        assert!(of(Check::PrimaryKeys, "app.events"));
        assert!(!of(Check::PrimaryKeys, "app.orders"));
        assert!(of(Check::Bloat, "app.orders") && spec.ignores(Check::Bloat));
        assert!(!spec.ignores(Check::PrimaryKeys));
    }

    #[test]
    fn every_check_stands_once_in_the_list() {
        let names: std::collections::BTreeSet<&str> =
            Check::ALL.iter().map(|check| check.as_str()).collect();
        assert_eq!(names.len(), Check::ALL.len());
        let mut sorted = Check::ALL;
        sorted.sort();
        assert_eq!(sorted, Check::ALL, "the order of the enum is the list's");
    }

    #[test]
    fn ids_that_count_down_are_used_up_as_well() {
        let of = |next, limit| IdUse {
            table: "t".parse().unwrap(),
            column: "id".parse().unwrap(),
            next,
            limit,
        };
        for (next, limit, share) in [
            (50, 100, 0.5),
            (-50, -100, 0.5),
            (200, 100, 1.0),
            (-5, 100, 0.0),
        ] {
            assert!(
                (of(next, limit).share() - share).abs() < 1e-9,
                "{next} of {limit}"
            );
        }
    }
}

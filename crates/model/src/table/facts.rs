//! What was seen of tables in one look at a live database.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::{ColumnName, NamedKind, TableName, Understood, UniqueKey};
use crate::dependent::{Dependent, Partitioned, Relation, RowProbe, RowsProbed};
use crate::fact::{Fact, Why};
use crate::operation::{Algorithm, ConstraintKind, IndexKind, Reading};
use crate::trial::Trial;

/// What was seen of tables, in one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFactsSet {
    /// When the look ended, by the operator's clock: facts are as old as this.
    pub taken_at: Timestamp,
    /// By the names as they were asked for.
    pub tables: BTreeMap<TableName, Fact<TableState>>,
    /// Tables of indexes that were looked up by their own names; `None`: there is no such index.
    pub indexes: BTreeMap<TableName, Fact<Option<TableName>>>,
    /// What bears names that were looked up; without a schema in the name, in any of users'. None: nothing does.
    pub relations: BTreeMap<TableName, Fact<Vec<Relation>>>,
    /// Of which tables things of these names are, in their whole database; `None`: there is none. Where names are only
    /// their tables' own, nothing is said.
    pub named: BTreeMap<(NamedKind, TableName), Fact<Option<TableName>>>,
    /// Settings of the server, as a migration's session has them.
    pub settings: Fact<Settings>,
    /// Texts that the server has read.
    pub readings: BTreeMap<Reading, Fact<Understood>>,
    /// Statements that were tried on empty copies of their tables, by their numbers from 0; none, unless somebody asked.
    pub trials: BTreeMap<usize, Fact<Trial>>,
}

impl TableFactsSet {
    /// A look at nothing.
    pub fn new(taken_at: Timestamp) -> Self {
        Self {
            taken_at,
            tables: BTreeMap::new(),
            indexes: BTreeMap::new(),
            relations: BTreeMap::new(),
            named: BTreeMap::new(),
            settings: Fact::Unknown(not_asked()),
            readings: BTreeMap::new(),
            trials: BTreeMap::new(),
        }
    }

    /// What was seen of a table; one that nobody asked for is Unknown.
    pub fn table(&self, name: &TableName) -> Fact<TableState> {
        self.tables
            .get(name)
            .cloned()
            .unwrap_or_else(|| Fact::Unknown(not_asked()))
    }
}

fn not_asked() -> Why {
    Why::new("it was not looked up")
}

/// Whether a table is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableState {
    /// No table bears the name.
    Missing,
    /// One does.
    Present(Box<TableFacts>),
}

/// What was seen of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFacts {
    /// What stands behind the name.
    pub kind: TableKind,
    /// The schema in which it was found, where the server has schemas.
    pub schema: Option<String>,
    /// How many rows, about.
    pub rows: Fact<RowEstimate>,
    /// Bytes of the table and its TOAST data, without its indexes; a partitioned table's partitions summed.
    pub bytes: Fact<u64>,
    /// Has it any row?
    pub any_row: Fact<bool>,
    /// Its columns.
    pub columns: BTreeMap<ColumnName, ColumnFacts>,
    /// Columns that were probed for NULLs.
    pub nulls: BTreeMap<ColumnName, Fact<NullProbe>>,
    /// Types that were looked up, as they were asked for.
    pub types: BTreeMap<String, Fact<TypeFacts>>,
    /// Functions that were looked up, as they were asked for.
    pub functions: BTreeMap<String, Fact<Volatility>>,
    /// Its indexes.
    pub indexes: Fact<Vec<IndexFacts>>,
    /// Its constraints, and the foreign keys of others to it; those of NOT NULL where they have names (PostgreSQL 18).
    pub constraints: Fact<Vec<ConstraintFacts>>,
    /// How its rows are stored.
    pub storage: Fact<Storage>,
    /// Rows that were changed per second lately; [`crate::writes::WriteWatch`] makes it of `written`.
    pub writes: Fact<WriteRate>,
    /// Rows that the server has counted as changed so far.
    pub written: Fact<WriteCount>,
    /// Who a strong lock on it would wait for, the oldest transaction first.
    pub blockers: Fact<Vec<Blocker>>,
    /// Whose snapshots a change would wait for that takes no strong lock (`CONCURRENTLY`), the oldest first; on
    /// MySQL and MariaDB none.
    pub snapshots: Fact<Vec<Blocker>>,
    /// Keys that were probed for duplicates.
    pub duplicates: BTreeMap<UniqueKey, Fact<DuplicateProbe>>,
    /// What hangs on it and its parts.
    pub dependents: Fact<Vec<Dependent>>,
    /// How it is split into partitions; `None`: it is not.
    pub partitioned: Fact<Option<Partitioned>>,
    /// Questions about its rows that were asked.
    pub probed: BTreeMap<RowProbe, Fact<RowsProbed>>,
}

impl TableFacts {
    /// A table of which nothing but its kind is known yet.
    pub fn new(kind: TableKind) -> Self {
        Self {
            kind,
            schema: None,
            rows: Fact::Unknown(not_asked()),
            bytes: Fact::Unknown(not_asked()),
            any_row: Fact::Unknown(not_asked()),
            columns: BTreeMap::new(),
            nulls: BTreeMap::new(),
            types: BTreeMap::new(),
            functions: BTreeMap::new(),
            indexes: Fact::Unknown(not_asked()),
            constraints: Fact::Unknown(not_asked()),
            storage: Fact::Unknown(not_asked()),
            writes: Fact::Unknown(not_asked()),
            written: Fact::Unknown(not_asked()),
            blockers: Fact::Unknown(not_asked()),
            snapshots: Fact::Unknown(not_asked()),
            duplicates: BTreeMap::new(),
            dependents: Fact::Unknown(not_asked()),
            partitioned: Fact::Unknown(not_asked()),
            probed: BTreeMap::new(),
        }
    }

    /// What the probe for duplicates of a key found.
    pub fn duplicates_of(&self, key: &UniqueKey) -> Fact<DuplicateProbe> {
        self.duplicates
            .get(key)
            .cloned()
            .unwrap_or_else(|| Fact::Unknown(not_asked()))
    }

    /// What a probe of its rows found.
    pub fn rows_of(&self, probe: &RowProbe) -> Fact<RowsProbed> {
        self.probed
            .get(probe)
            .cloned()
            .unwrap_or_else(|| Fact::Unknown(not_asked()))
    }

    /// Is it still open whether a column holds NULL? Where it is not, a probe could scan the whole table for nothing.
    pub fn may_hold_null(&self, column: &ColumnName) -> bool {
        let declared = self.columns.get(column);
        declared.is_some_and(|c| c.nullable && c.proven_not_null_by.is_none())
            && !self.any_row.is_known_and(|any| !any)
    }

    /// What the probe for NULLs in a column found.
    pub fn nulls_in(&self, column: &ColumnName) -> Fact<NullProbe> {
        self.nulls
            .get(column)
            .cloned()
            .unwrap_or_else(|| Fact::Unknown(not_asked()))
    }

    /// What a type is.
    pub fn type_named(&self, sql_type: &str) -> Fact<TypeFacts> {
        self.types
            .get(sql_type)
            .cloned()
            .unwrap_or_else(|| Fact::Unknown(not_asked()))
    }

    /// How volatile a function is.
    pub fn volatility_of(&self, function: &str) -> Fact<Volatility> {
        self.functions
            .get(function)
            .cloned()
            .unwrap_or_else(|| Fact::Unknown(not_asked()))
    }
}

/// What stands behind a table's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// A table with storage of its own.
    Ordinary,
    /// A partitioned table: its rows are in its partitions.
    Partitioned,
    /// A view (MySQL, MariaDB).
    View,
    /// A foreign table, a view of PostgreSQL, or another relation whose rows are not looked at.
    Other,
}

/// About how many rows a table has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowEstimate {
    /// The number.
    pub rows: u64,
    /// Where it is from.
    pub source: RowSource,
    /// How old the statistics behind it were when it was read, where the server says.
    pub age: Option<Duration>,
}

/// Where an estimate of rows is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowSource {
    /// The server's statistics, brought up to the table's size of today.
    Statistics,
    /// InnoDB's statistics: from a sample of twenty pages (MySQL 8.4 manual, section 17.8.10.1). Right after `ANALYZE
    /// TABLE`, 920,000 were told of 1,600,000 rows.
    Sample,
    /// A count of the first pages of a table that was never analysed, and how many pages it has.
    FirstPages,
    /// The planner's guess from the size of a table that was never analysed: good to a factor of about 3.
    PlannerGuess,
}

impl fmt::Display for RowSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RowSource::Statistics => "the server's statistics",
            RowSource::Sample => "a sample of InnoDB's pages, which can miss half of them",
            RowSource::FirstPages => "a count of its first pages, never analysed",
            RowSource::PlannerGuess => "the planner's guess, never analysed",
        })
    }
}

/// What the catalogue says of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnFacts {
    /// Its type as the server writes it.
    pub sql_type: String,
    /// May it hold NULL, as the table is declared?
    pub nullable: bool,
    /// Does the server fill it where an INSERT does not (a default, an identity, a generated column)?
    pub has_default: bool,
    /// The name of a valid constraint that proves that no row holds NULL, where there is one.
    pub proven_not_null_by: Option<String>,
    /// Its character set (MySQL, MariaDB), where it has one.
    pub charset: Option<String>,
    /// Its collation, where it has one of its own.
    pub collation: Option<String>,
    /// Is it computed from others, and is it stored?
    pub generated: Option<Generated>,
    /// By which expression, as the server writes it (MySQL, MariaDB).
    pub computed: Option<String>,
}

/// How a generated column is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Generated {
    /// Computed when a row is written.
    Stored,
    /// Computed when a row is read.
    Virtual,
}

/// What the catalogue says of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexFacts {
    /// Its name.
    pub name: ColumnName,
    /// What it is over.
    pub key: UniqueKey,
    /// Its kind.
    pub kind: IndexKind,
    /// Is it the primary key's?
    pub primary: bool,
    /// Can it be used? A concurrent build that failed leaves one that cannot.
    pub valid: bool,
    /// Does it hold at once, rather than at the end of a transaction?
    pub immediate: bool,
    /// Its bytes, where the server says.
    pub bytes: Option<u64>,
}

/// What the catalogue says of a constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConstraintFacts {
    /// Its name.
    pub name: ColumnName,
    /// Its kind.
    pub kind: ConstraintKind,
    /// The columns that it binds.
    pub columns: Vec<ColumnName>,
    /// Of a check: its condition as the server writes it.
    pub condition: Option<String>,
    /// Is it known to hold of every row?
    pub validated: bool,
    /// Of a foreign key: the table at its other end.
    pub other: Option<TableName>,
    /// Of a foreign key: is it one of the other table to this one?
    pub incoming: bool,
    /// Of a foreign key: does a change of the one table change rows of the other (`CASCADE`, `SET NULL`)?
    pub cascades: bool,
    /// Of a foreign key: does a change of the other table write NULL into its columns (`SET NULL`: MySQL, MariaDB)?
    pub sets_null: bool,
}

/// How a table's rows are stored, where that decides what a change costs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Storage {
    /// The storage engine (MySQL, MariaDB), the access method (PostgreSQL).
    pub engine: String,
    /// The row format (MySQL, MariaDB).
    pub row_format: Option<String>,
    /// The table's own character set (MySQL, MariaDB).
    pub charset: Option<String>,
    /// The table's own collation (MySQL, MariaDB).
    pub collation: Option<String>,
    /// The column that counts on by itself (`AUTO_INCREMENT`: MySQL, MariaDB); a table has one at most.
    pub auto_increment: Option<ColumnName>,
    /// How often columns were added or dropped instantly since the table was last rebuilt (MySQL 8.0.29 and later).
    pub row_versions: Option<u32>,
    /// How many partitions it has; zero: it is not partitioned.
    pub partitions: u32,
    /// Are its changes written to the log (PostgreSQL), so that they outlive a crash?
    pub logged: Option<bool>,
    /// Has it a FULLTEXT index, so that InnoDB keeps a hidden column?
    pub fulltext: bool,
    /// Bytes of its indexes, where the server says.
    pub index_bytes: Option<u64>,
}

/// Rows that were inserted, changed or deleted per second.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteRate {
    /// The mean over the span.
    pub per_second: f64,
    /// How long was watched.
    pub span: Duration,
    /// What was counted: "pg_stat_user_tables".
    pub source: &'static str,
}

// Rates are never NaN: a difference of two counters over a span that is not zero.
impl Eq for WriteRate {}

/// How many rows of a table a server has counted as inserted, changed or deleted, since it began to count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteCount {
    /// The number.
    pub rows: u64,
    /// When it was read, by the operator's clock.
    pub at: Timestamp,
    /// How long the server had been counting.
    pub counting_for: Duration,
    /// Which counter it is: it differs between servers, between tables, and from one start of a server to the next.
    pub counter: String,
    /// What counts: "pg_stat_all_tables".
    pub source: &'static str,
}

/// A session that a strong lock on a table would wait for, and everything behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// The session: "pid 4711", "thread 12".
    pub session: String,
    /// Its login.
    pub login: String,
    /// How old its transaction is.
    pub age: Duration,
    /// What it is doing: "idle in transaction", "active", "prepared transaction".
    pub state: String,
}

/// What a probe for duplicates found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuplicateProbe {
    /// Do two rows have the same key?
    pub found: bool,
    /// The unique index that proves that there are none, where one does; then no row was looked at.
    pub proven_by: Option<String>,
    /// How long the probe took on the server.
    pub took: Duration,
}

/// Settings that decide what a statement does, as a migration's session has them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// How long a statement waits for a lock; `None`: for ever.
    pub lock_timeout: Option<Duration>,
    /// How long a statement may take; `None`: for ever.
    pub statement_timeout: Option<Duration>,
    /// Does the server refuse values that do not fit, rather than changing them (`sql_mode`)? PostgreSQL always does.
    pub strict: bool,
    /// Does the server take 0000-00-00 for a date (MySQL, MariaDB: `sql_mode` without `NO_ZERO_DATE`)?
    pub zero_dates: bool,
    /// Is the session's time zone UTC, so that a change from timestamp to timestamptz writes no row anew?
    pub utc: bool,
    /// Are foreign keys checked (`foreign_key_checks`)?
    pub foreign_key_checks: bool,
    /// How many bytes of changes an online change keeps at most (`innodb_online_alter_log_max_size`).
    pub online_log_bytes: Option<u64>,
    /// The algorithm that statements use at best where they ask for none (MariaDB's `alter_algorithm`).
    pub algorithm: Option<Algorithm>,
    /// Is the binary log written as rows, so that MySQL refuses to add defaults that differ from server to server
    /// (`binlog_format`, whether or not there is a log)?
    pub row_log: bool,
    /// Is there a binary log in which a tool can follow the rows of a table: whole ones, each with its place (`log_bin`,
    /// `binlog_format=ROW`, `binlog_row_image=FULL`; MariaDB from 11.4 on: `binlog_legacy_event_pos`)?
    pub logs_whole_rows: bool,
    /// The collation that each character set has where none is said (MySQL, MariaDB).
    pub collations: BTreeMap<String, String>,
    /// Every collation of the server with its character set; empty: one of several, which its name leaves out.
    pub collation_charsets: BTreeMap<String, String>,
    /// Storage engines that the server has, in lower case (MySQL, MariaDB); none: they were not seen.
    pub engines: BTreeSet<String>,
    /// Does the server keep to the engine that it has where a statement names one that it lacks (`sql_mode` without
    /// `NO_ENGINE_SUBSTITUTION`)?
    pub substitutes_engine: bool,
    /// Bytes that the disk still has, where the server says (MariaDB's DISKS plugin).
    pub disk_free_bytes: Option<u64>,
}

/// What a probe for NULLs found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NullProbe {
    /// Is there a row that holds NULL?
    pub found: bool,
    /// How long the probe took on the server.
    pub took: Duration,
}

/// What a type is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeFacts {
    /// A domain with constraints of its own (CHECK or NOT NULL), or over such a domain.
    pub constrained_domain: bool,
    /// A domain with a default of its own.
    pub domain_default: bool,
    /// A domain that is NOT NULL, or over such a domain.
    pub domain_not_null: bool,
    /// Of a domain: the type below all domains, as the server writes it.
    pub base: Option<String>,
    /// What becomes of the values that the table's columns hold today.
    pub casts: Fact<Casts>,
}

impl Default for TypeFacts {
    /// No domain, and a type to which the server casts whatever it is given.
    fn default() -> Self {
        Self {
            constrained_domain: false,
            domain_default: false,
            domain_not_null: false,
            base: None,
            casts: Fact::Known(Casts::default()),
        }
    }
}

/// What becomes of a table's values where a column gets a type.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Casts {
    /// Columns whose values the server does not make values of the type by itself, but by `USING` alone.
    pub needs_using: Vec<ColumnName>,
    /// Columns whose values are stored as those of the type are, lengths aside.
    pub stored_alike: Vec<ColumnName>,
}

impl TypeFacts {
    /// Is it known that the server does not cast this column's values by itself?
    pub fn needs_using(&self, column: &ColumnName) -> bool {
        let casts = self.casts.known();
        casts.is_some_and(|casts| casts.needs_using.contains(column))
    }

    /// Is it known that this column's values are stored as those of the type are, lengths aside?
    pub fn is_stored_alike(&self, column: &ColumnName) -> bool {
        let casts = self.casts.known();
        casts.is_some_and(|casts| casts.stored_alike.contains(column))
    }
}

/// Whether a function can give different values to the rows of one statement (`pg_proc.provolatile`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Volatility {
    /// Always the same.
    Immutable,
    /// The same within one statement.
    Stable,
    /// Different from row to row.
    Volatile,
}

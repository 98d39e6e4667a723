//! What the facts of a table, and the settings, look like in the file. Names are as the catalogue has them; lengths of time
//! are whole milliseconds.
//!
//! Each part is taken from its fact, and made into it, with every field named: one that is new in the model and has no
//! place here does not compile.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dbop_model::operation::Algorithm;
use dbop_model::table::{
    self, ColumnFacts, ColumnName, Generated, RowEstimate, RowSource, TableFacts, TableKind,
    WriteRate,
};
use dbop_model::{Fact, Why};
use serde::{Deserialize, Serialize};

use crate::dependents::{Dependent, Partitioned};
use crate::file::SnapshotError;
use crate::keys::{Constraint, Index};

/// A fact: what was seen, or why it could not be had.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum Told<T> {
    Known(T),
    Unknown {
        why: String,
        /// Could another look have had it?
        passing: bool,
    },
}

impl<T> Told<T> {
    pub(crate) fn of<'a, A>(fact: &'a Fact<A>, tell: impl FnOnce(&'a A) -> T) -> Self {
        match fact {
            Fact::Known(value) => Told::Known(tell(value)),
            Fact::Unknown(why) => Told::Unknown {
                why: why.to_string(),
                passing: why.is_passing(),
            },
        }
    }

    pub(crate) fn try_into_fact<A>(
        self,
        read: impl FnOnce(T) -> Result<A, SnapshotError>,
    ) -> Result<Fact<A>, SnapshotError> {
        Ok(match self {
            Told::Known(value) => Fact::Known(read(value)?),
            Told::Unknown { why, passing: true } => Fact::Unknown(Why::passing(why)),
            Told::Unknown {
                why,
                passing: false,
            } => Fact::Unknown(Why::new(why)),
        })
    }
}

/// A word of the file for each value of a type of the model; a value that is new there does not compile.
macro_rules! words {
    ($name:ident of $model:ty { $($word:ident = $value:path),+ $(,)? }) => {
        #[derive(Clone, Copy, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        enum $name { $($word),+ }

        impl From<&$model> for $name {
            fn from(value: &$model) -> Self {
                match value { $($value => $name::$word),+ }
            }
        }

        impl From<$name> for $model {
            fn from(word: $name) -> Self {
                match word { $($name::$word => $value),+ }
            }
        }
    };
}

pub(crate) use words;

words!(KindWord of TableKind {
    Ordinary = TableKind::Ordinary,
    Partitioned = TableKind::Partitioned,
    View = TableKind::View,
    Other = TableKind::Other,
});
words!(SourceWord of RowSource {
    Statistics = RowSource::Statistics,
    Sample = RowSource::Sample,
    FirstPages = RowSource::FirstPages,
    PlannerGuess = RowSource::PlannerGuess,
});
words!(GeneratedWord of Generated {
    Stored = Generated::Stored,
    Virtual = Generated::Virtual,
});
words!(AlgorithmWord of Algorithm {
    Instant = Algorithm::Instant,
    NoCopy = Algorithm::NoCopy,
    InPlace = Algorithm::InPlace,
    Copy = Algorithm::Copy,
});

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Table {
    kind: KindWord,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<String>,
    rows: Told<Rows>,
    bytes: Told<u64>,
    any_row: Told<bool>,
    writes: Told<Writes>,
    columns: BTreeMap<String, Column>,
    indexes: Told<Vec<Index>>,
    constraints: Told<Vec<Constraint>>,
    storage: Told<Storage>,
    dependents: Told<Vec<Dependent>>,
    partitioned: Told<Option<Partitioned>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rows {
    estimate: u64,
    source: SourceWord,
    #[serde(skip_serializing_if = "Option::is_none")]
    statistics_age_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Writes {
    per_second: f64,
    span_ms: u64,
    source: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Column {
    sql_type: String,
    nullable: bool,
    has_default: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    proven_not_null_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    charset: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    collation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generated: Option<GeneratedWord>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    computed: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Storage {
    engine: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    row_format: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    charset: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    collation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_increment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    row_versions: Option<u32>,
    partitions: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    logged: Option<bool>,
    fulltext: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    index_bytes: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Settings {
    #[serde(skip_serializing_if = "Option::is_none")]
    lock_timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    statement_timeout_ms: Option<u64>,
    strict: bool,
    zero_dates: bool,
    utc: bool,
    foreign_key_checks: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    online_log_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    algorithm: Option<AlgorithmWord>,
    row_log: bool,
    #[serde(default)]
    logs_whole_rows: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    collations: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    collation_charsets: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    engines: BTreeSet<String>,
    #[serde(default)]
    substitutes_engine: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_free_bytes: Option<u64>,
}

/// Of a table's facts those that the file holds.
pub(crate) fn kept(facts: TableFacts) -> TableFacts {
    TableFacts {
        kind: facts.kind,
        schema: facts.schema,
        rows: facts.rows,
        bytes: facts.bytes,
        any_row: facts.any_row,
        writes: facts.writes,
        columns: facts.columns,
        indexes: facts.indexes,
        constraints: facts.constraints,
        storage: facts.storage,
        dependents: facts.dependents,
        partitioned: facts.partitioned,
        ..TableFacts::new(facts.kind)
    }
}

impl From<&TableFacts> for Table {
    fn from(facts: &TableFacts) -> Self {
        let TableFacts {
            kind,
            schema,
            rows,
            bytes,
            any_row,
            columns,
            indexes,
            constraints,
            storage,
            writes,
            dependents,
            partitioned,
            // Answers to questions about rows, sessions and counters of the moment, and to what only one migration
            // asks: `answer.rs` says what becomes of them.
            nulls: _,
            duplicates: _,
            probed: _,
            written: _,
            blockers: _,
            snapshots: _,
            types: _,
            functions: _,
        } = facts;
        Table {
            kind: kind.into(),
            schema: schema.clone(),
            rows: Told::of(rows, |rows| {
                let RowEstimate { rows, source, age } = rows;
                Rows {
                    estimate: *rows,
                    source: source.into(),
                    statistics_age_ms: age.map(milliseconds),
                }
            }),
            bytes: Told::of(bytes, |bytes| *bytes),
            any_row: Told::of(any_row, |any| *any),
            writes: Told::of(writes, |rate| {
                let WriteRate {
                    per_second,
                    span,
                    source,
                } = rate;
                Writes {
                    per_second: *per_second,
                    span_ms: milliseconds(*span),
                    source: (*source).to_owned(),
                }
            }),
            columns: columns
                .iter()
                .map(|(name, column)| (name.to_string(), column.into()))
                .collect(),
            indexes: Told::of(indexes, |all| all.iter().map(Index::from).collect()),
            constraints: Told::of(constraints, |all| {
                all.iter().map(Constraint::from).collect()
            }),
            storage: Told::of(storage, Storage::from),
            dependents: Told::of(dependents, |all| all.iter().map(Dependent::from).collect()),
            partitioned: Told::of(partitioned, |how| how.as_ref().map(Partitioned::from)),
        }
    }
}

impl Table {
    pub(crate) fn facts(self) -> Result<TableFacts, SnapshotError> {
        let kind = self.kind.into();
        let mut columns = BTreeMap::new();
        for (name, column) in self.columns {
            columns.insert(named(&name)?, column.facts());
        }
        let nothing = TableFacts::new(kind);
        Ok(TableFacts {
            kind,
            schema: self.schema,
            rows: self.rows.try_into_fact(|rows| {
                Ok(RowEstimate {
                    rows: rows.estimate,
                    source: rows.source.into(),
                    age: rows.statistics_age_ms.map(Duration::from_millis),
                })
            })?,
            bytes: self.bytes.try_into_fact(Ok)?,
            any_row: self.any_row.try_into_fact(Ok)?,
            writes: self.writes.try_into_fact(Writes::facts)?,
            columns,
            indexes: self
                .indexes
                .try_into_fact(|all| all.into_iter().map(Index::facts).collect())?,
            constraints: self
                .constraints
                .try_into_fact(|all| all.into_iter().map(Constraint::facts).collect())?,
            storage: self.storage.try_into_fact(Storage::facts)?,
            dependents: self
                .dependents
                .try_into_fact(|all| all.into_iter().map(Dependent::facts).collect())?,
            partitioned: self
                .partitioned
                .try_into_fact(|how| how.map(Partitioned::facts).transpose())?,
            nulls: nothing.nulls,
            duplicates: nothing.duplicates,
            probed: nothing.probed,
            written: nothing.written,
            blockers: nothing.blockers,
            snapshots: nothing.snapshots,
            types: nothing.types,
            functions: nothing.functions,
        })
    }
}

/// The counters that backends read. Only the words are lost of one that is not among them.
const COUNTERS: [&str; 3] = [
    "pg_stat_all_tables",
    "TABLE_STATISTICS",
    "performance_schema",
];

impl Writes {
    fn facts(self) -> Result<WriteRate, SnapshotError> {
        if !self.per_second.is_finite() || self.per_second < 0.0 {
            return Err(SnapshotError::value("writes: perSecond is no rate"));
        }
        let known = COUNTERS.into_iter().find(|known| *known == self.source);
        Ok(WriteRate {
            per_second: self.per_second,
            span: Duration::from_millis(self.span_ms),
            source: known.unwrap_or("the server's counters"),
        })
    }
}

impl From<&ColumnFacts> for Column {
    fn from(facts: &ColumnFacts) -> Self {
        let ColumnFacts {
            sql_type,
            nullable,
            has_default,
            proven_not_null_by,
            charset,
            collation,
            generated,
            computed,
        } = facts;
        Column {
            sql_type: sql_type.clone(),
            nullable: *nullable,
            has_default: *has_default,
            proven_not_null_by: proven_not_null_by.clone(),
            charset: charset.clone(),
            collation: collation.clone(),
            generated: generated.as_ref().map(GeneratedWord::from),
            computed: computed.clone(),
        }
    }
}

impl Column {
    fn facts(self) -> ColumnFacts {
        ColumnFacts {
            sql_type: self.sql_type,
            nullable: self.nullable,
            has_default: self.has_default,
            proven_not_null_by: self.proven_not_null_by,
            charset: self.charset,
            collation: self.collation,
            generated: self.generated.map(Generated::from),
            computed: self.computed,
        }
    }
}

impl From<&table::Storage> for Storage {
    fn from(facts: &table::Storage) -> Self {
        let table::Storage {
            engine,
            row_format,
            charset,
            collation,
            auto_increment,
            row_versions,
            partitions,
            logged,
            fulltext,
            index_bytes,
        } = facts;
        Storage {
            engine: engine.clone(),
            row_format: row_format.clone(),
            charset: charset.clone(),
            collation: collation.clone(),
            auto_increment: auto_increment.as_ref().map(ToString::to_string),
            row_versions: *row_versions,
            partitions: *partitions,
            logged: *logged,
            fulltext: *fulltext,
            index_bytes: *index_bytes,
        }
    }
}

impl Storage {
    fn facts(self) -> Result<table::Storage, SnapshotError> {
        let auto_increment = self.auto_increment.as_deref().map(named);
        Ok(table::Storage {
            engine: self.engine,
            row_format: self.row_format,
            charset: self.charset,
            collation: self.collation,
            auto_increment: auto_increment.transpose()?,
            row_versions: self.row_versions,
            partitions: self.partitions,
            logged: self.logged,
            fulltext: self.fulltext,
            index_bytes: self.index_bytes,
        })
    }
}

impl From<&table::Settings> for Settings {
    fn from(settings: &table::Settings) -> Self {
        let table::Settings {
            lock_timeout,
            statement_timeout,
            strict,
            zero_dates,
            utc,
            foreign_key_checks,
            online_log_bytes,
            algorithm,
            row_log,
            logs_whole_rows,
            collations,
            collation_charsets,
            engines,
            substitutes_engine,
            disk_free_bytes,
        } = settings;
        Settings {
            lock_timeout_ms: lock_timeout.map(milliseconds),
            statement_timeout_ms: statement_timeout.map(milliseconds),
            strict: *strict,
            zero_dates: *zero_dates,
            utc: *utc,
            foreign_key_checks: *foreign_key_checks,
            online_log_bytes: *online_log_bytes,
            algorithm: algorithm.as_ref().map(AlgorithmWord::from),
            row_log: *row_log,
            logs_whole_rows: *logs_whole_rows,
            collations: collations.clone(),
            collation_charsets: collation_charsets.clone(),
            engines: engines.clone(),
            substitutes_engine: *substitutes_engine,
            disk_free_bytes: *disk_free_bytes,
        }
    }
}

impl Settings {
    pub(crate) fn facts(self) -> Result<table::Settings, SnapshotError> {
        Ok(table::Settings {
            lock_timeout: self.lock_timeout_ms.map(Duration::from_millis),
            statement_timeout: self.statement_timeout_ms.map(Duration::from_millis),
            strict: self.strict,
            zero_dates: self.zero_dates,
            utc: self.utc,
            foreign_key_checks: self.foreign_key_checks,
            online_log_bytes: self.online_log_bytes,
            algorithm: self.algorithm.map(Algorithm::from),
            row_log: self.row_log,
            logs_whole_rows: self.logs_whole_rows,
            collations: self.collations,
            collation_charsets: self.collation_charsets,
            engines: self.engines,
            substitutes_engine: self.substitutes_engine,
            disk_free_bytes: self.disk_free_bytes,
        })
    }
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn named(text: &str) -> Result<ColumnName, SnapshotError> {
    text.parse()
        .map_err(|error| SnapshotError::value(format!("the name {text} {error}")))
}

//! The families of series about databases: a table of what is read out of a row, and its encoding.
//!
//! Every series bears namespace and name, and besides them only labels whose values are names or of a fixed set.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use dbop_engine::Clock;
use dbop_model::sample::{MetricKind, MetricQuery, NextId, TableSize};
use dbop_model::{Fact, ObjectRef};
use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::book::{Book, OUTCOMES, Row, VERDICTS};
use super::text;

/// Takes a sample: labels besides namespace and name, and the value.
type Take<'a> = &'a mut dyn FnMut(&[(&'static str, &str)], f64);

struct Of {
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
    kind: MetricType,
    samples: fn(&Row, Timestamp, Take<'_>),
}

const FAMILIES: [Of; 24] = [
    Of {
        name: "dba_operator_migration_jobs_spawned",
        help: "Jobs that were started to run a migration.",
        unit: None,
        kind: MetricType::Counter,
        samples: |row, _, take| take(&[], row.jobs_spawned as f64),
    },
    Of {
        name: "dba_operator_credentials_created",
        help: "Logins that were made for applications, those of rotations among them.",
        unit: None,
        kind: MetricType::Counter,
        samples: |row, _, take| take(&[], row.credentials_created as f64),
    },
    Of {
        name: "dba_operator_credentials_revoked",
        help: "Logins of applications that were dropped.",
        unit: None,
        kind: MetricType::Counter,
        samples: |row, _, take| take(&[], row.credentials_revoked as f64),
    },
    Of {
        name: "dba_operator_migrations",
        help: "Migrations that ended, by result.",
        unit: None,
        kind: MetricType::Counter,
        samples: |row, _, take| {
            for ((_, result), count) in OUTCOMES.iter().zip(row.runs) {
                take(&[("result", result)], count as f64);
            }
        },
    },
    Of {
        name: "dba_operator_migration_run_info",
        help: "1 for the migration that is under way; job_id is the id that its logs, its Events and what it pushes bear.",
        unit: None,
        kind: MetricType::Gauge,
        samples: |row, _, take| {
            let seen = row.seen.as_ref();
            if let Some(run) = seen.and_then(|seen| seen.run.as_deref()) {
                let (migration, job) = run;
                take(
                    &[("migration", migration.as_str()), ("job_id", job.as_str())],
                    1.0,
                );
            }
        },
    },
    Of {
        name: "dba_operator_hint_findings",
        help: "Findings about the next migration, by verdict.",
        unit: None,
        kind: MetricType::Gauge,
        samples: |row, _, take| {
            let counts = row.seen.as_ref().and_then(|seen| seen.findings);
            for (verdict, count) in VERDICTS.iter().zip(counts.into_iter().flatten()) {
                take(&[("verdict", verdict)], count as f64);
            }
        },
    },
    Of {
        name: "dba_operator_credential_sessions",
        help: "Sessions of the logins of a migration's credential; absent where they cannot be seen.",
        unit: None,
        kind: MetricType::Gauge,
        samples: |row, _, take| {
            let seen = row.seen.as_ref();
            for (migration, sessions) in seen.into_iter().flat_map(|seen| &seen.sessions) {
                take(&[("migration", migration.as_str())], *sessions as f64);
            }
        },
    },
    Of {
        name: "dba_operator_database_state",
        help: "1 for the state that a database is in: at_rest, acting, waiting or blocked, with the reason of its condition.",
        unit: None,
        kind: MetricType::Gauge,
        samples: |row, _, take| {
            if let Some(seen) = &row.seen {
                take(&[("state", seen.state), ("reason", seen.reason)], 1.0);
            }
        },
    },
    Of {
        name: "dba_operator_database_reachable",
        help: "Could the database be looked at, 1 or 0.",
        unit: None,
        kind: MetricType::Gauge,
        samples: |row, _, take| {
            if let Some(seen) = &row.seen {
                take(&[], f64::from(u8::from(seen.is_reachable)));
            }
        },
    },
    Of {
        name: "dba_operator_database_look_age",
        help: "Time since the operator looked at the database last.",
        unit: Some(Unit::Seconds),
        kind: MetricType::Gauge,
        samples: |row, now, take| {
            if let Some(seen) = &row.seen {
                take(&[], age(seen.at, now));
            }
        },
    },
    Of {
        name: "dba_operator_database_healthy",
        help: "Does no check of the database's health find anything wrong, 1 or 0; absent where it is not known.",
        unit: None,
        kind: MetricType::Gauge,
        samples: |row, _, take| {
            if let Some(is_healthy) = row.seen.as_ref().and_then(|seen| seen.is_healthy) {
                take(&[], f64::from(u8::from(is_healthy)));
            }
        },
    },
    Of {
        name: "dba_operator_health_check",
        help: "Is a check of the database's health well, 1 or 0; absent where it is not known, or accepted.",
        unit: None,
        kind: MetricType::Gauge,
        samples: |row, _, take| {
            let seen = row.seen.as_ref();
            for (check, is_well) in seen.into_iter().flat_map(|seen| &seen.checks) {
                take(&[("check", check.as_str())], f64::from(u8::from(*is_well)));
            }
        },
    },
    Of {
        name: "database_connections_used",
        help: "Sessions of the database's server, at the last look at its health.",
        unit: None,
        kind: MetricType::Gauge,
        samples: |row, _, take| each_number(row.numbers.connections_used.map(|n| n as f64), take),
    },
    Of {
        name: "database_connections_max",
        help: "Sessions that the database's server lets in, without those kept for superusers.",
        unit: None,
        kind: MetricType::Gauge,
        samples: |row, _, take| each_number(row.numbers.connections_max.map(|n| n as f64), take),
    },
    Of {
        name: "database_replication_lag",
        help: "How far the replica is behind that is farthest behind; absent where none is known.",
        unit: Some(Unit::Seconds),
        kind: MetricType::Gauge,
        samples: |row, _, take| {
            each_number(
                row.numbers.replication_lag.map(|lag| lag.as_secs_f64()),
                take,
            );
        },
    },
    Of {
        name: "database_oldest_transaction",
        help: "The age of the oldest open transaction in the database, 0 where there is none.",
        unit: Some(Unit::Seconds),
        kind: MetricType::Gauge,
        samples: |row, _, take| {
            each_number(
                row.numbers.oldest_transaction.map(|age| age.as_secs_f64()),
                take,
            );
        },
    },
    Of {
        name: "database_size",
        help: "How large the database is, with its indexes.",
        unit: Some(Unit::Bytes),
        kind: MetricType::Gauge,
        samples: |row, _, take| each_number(row.numbers.bytes.map(|n| n as f64), take),
    },
    Of {
        name: "database_table_rows_estimate",
        help: "How many rows a table has, about, by the server's statistics.",
        unit: None,
        kind: MetricType::Gauge,
        samples: |row, _, take| {
            each_size(row, |table, size| {
                if let Fact::Known(rows) = &size.rows {
                    take(&[("table", table)], rows.rows as f64);
                }
            });
        },
    },
    Of {
        name: "database_table_size",
        help: "How large a table is, without its indexes.",
        unit: Some(Unit::Bytes),
        kind: MetricType::Gauge,
        samples: |row, _, take| {
            each_size(row, |table, size| {
                if let Fact::Known(bytes) = size.bytes {
                    take(&[("table", table)], bytes as f64);
                }
            });
        },
    },
    Of {
        name: "database_table_writes_per_second",
        help: "Rows of a table that were changed per second, by the server's counters at two samples.",
        unit: None,
        kind: MetricType::Gauge,
        samples: |row, _, take| {
            each_size(row, |table, size| {
                if let Some(rate) = size.writes_per_second {
                    take(&[("table", table)], rate);
                }
            });
        },
    },
    Of {
        name: "database_table_next_id",
        help: "The id that a table's next row gets.",
        unit: None,
        kind: MetricType::Gauge,
        samples: |row, _, take| each_id(row, |labels, id| take(labels, id.next as f64)),
    },
    Of {
        name: "database_table_next_id_limit",
        help: "The last id that a table's column can take.",
        unit: None,
        kind: MetricType::Gauge,
        samples: |row, _, take| each_id(row, |labels, id| take(labels, id.limit as f64)),
    },
    Of {
        name: "database_query_duration",
        help: "How long the statements of the last sample took.",
        unit: Some(Unit::Seconds),
        kind: MetricType::Gauge,
        samples: |row, _, take| {
            if let Some(sample) = &row.sample {
                let spans = [
                    (
                        "tableEstimatedSize",
                        sample.sizes.is_empty(),
                        sample.sizes_took,
                    ),
                    (
                        "tableNextId",
                        sample.next_ids.is_empty(),
                        sample.next_ids_took,
                    ),
                ];
                for (query, _, took) in spans.into_iter().filter(|(_, is_empty, _)| !is_empty) {
                    take(&[("query", query)], took.as_secs_f64());
                }
                let mut of_users: BTreeMap<&str, f64> = BTreeMap::new();
                for (query, given) in &sample.queries {
                    if let Fact::Known(given) = given {
                        *of_users.entry(&query.name).or_default() += given.took.as_secs_f64();
                    }
                }
                for (query, took) in of_users {
                    take(&[("query", query)], took);
                }
            }
        },
    },
    Of {
        name: "dba_operator_sample_age",
        help: "Time since the last sample of spec.metrics was taken.",
        unit: Some(Unit::Seconds),
        kind: MetricType::Gauge,
        samples: |row, now, take| {
            if let Some(sample) = &row.sample {
                take(&[], age(sample.taken_at, now));
            }
        },
    },
];

/// How long ago that was; a clock that was put back tells none.
fn age(at: Timestamp, now: Timestamp) -> f64 {
    now.duration_since(at).as_secs_f64().max(0.0)
}

/// A number without labels of its own, where it is known.
fn each_number(number: Option<f64>, take: Take<'_>) {
    if let Some(number) = number {
        take(&[], number);
    }
}

/// The sizes of a row's tables, as far as they are known.
fn each_size(row: &Row, mut each: impl FnMut(&str, &TableSize)) {
    let sizes = row.sample.iter().flat_map(|sample| &sample.sizes);
    for (table, size) in sizes {
        if let Fact::Known(size) = size {
            each(&table.to_string(), size);
        }
    }
}

/// The next ids of a row's tables, as far as they are known, with their labels.
fn each_id(row: &Row, mut each: impl FnMut(&[(&'static str, &str)], &NextId)) {
    let ids = row.sample.iter().flat_map(|sample| &sample.next_ids);
    for (table, ids) in ids {
        let table = table.to_string();
        for id in ids.known().into_iter().flatten() {
            each(&[("table", &table), ("column", &id.column.to_string())], id);
        }
    }
}

/// The series of all databases.
pub(super) struct Databases {
    book: Arc<Mutex<Book>>,
    clock: Arc<dyn Clock>,
}

impl Databases {
    pub(super) fn new(book: Arc<Mutex<Book>>, clock: Arc<dyn Clock>) -> Self {
        Self { book, clock }
    }
}

impl std::fmt::Debug for Databases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Databases")
    }
}

impl Collector for Databases {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let now = self.clock.now();
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        for family in &FAMILIES {
            family.encode(&book, now, &mut encoder)?;
        }
        durations(&book, &mut encoder)?;
        queries(&book, &mut encoder)
    }
}

impl Of {
    /// All samples of the family; nothing, where there are none.
    fn encode(
        &self,
        book: &Book,
        now: Timestamp,
        encoder: &mut DescriptorEncoder<'_>,
    ) -> std::fmt::Result {
        let mut is_empty = true;
        for (_, row) in book.rows() {
            (self.samples)(row, now, &mut |_, _| is_empty = false);
        }
        if is_empty {
            return Ok(());
        }
        let unit = self.unit.as_ref();
        let mut metric = encoder.encode_descriptor(self.name, self.help, unit, self.kind)?;
        let mut done = Ok(());
        for (database, row) in book.rows() {
            (self.samples)(row, now, &mut |labels, value| {
                done = done.and_then(|()| sample(&mut metric, self.kind, database, labels, value));
            });
        }
        done
    }
}

fn sample(
    metric: &mut MetricEncoder<'_>,
    kind: MetricType,
    database: &ObjectRef,
    labels: &[(&str, &str)],
    value: f64,
) -> std::fmt::Result {
    let labels = [&of(database)[..], labels].concat();
    let mut metric = metric.encode_family(&labels)?;
    match kind {
        MetricType::Counter => metric.encode_counter::<[(&str, &str); 1], _, f64>(&value, None),
        _ => metric.encode_gauge(&value),
    }
}

/// A metric that users' queries give, and its series.
struct OfUsers<'a> {
    help: &'a str,
    kind: MetricType,
    series: Vec<(&'a ObjectRef, &'a MetricQuery, f64)>,
}

/// What users' own queries give: families by the names that they have in the specs. A name says its type, so databases
/// cannot differ in it; of their helps the first one is shown.
fn queries(book: &Book, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
    let mut families: BTreeMap<&str, OfUsers<'_>> = BTreeMap::new();
    for (database, row) in book.rows() {
        let given = row.sample.iter().flat_map(|sample| &sample.queries);
        for (query, value) in given {
            let Fact::Known(value) = value else { continue };
            let kind = match query.kind {
                MetricKind::Gauge => MetricType::Gauge,
                MetricKind::Counter => MetricType::Counter,
            };
            let family = families.entry(&query.name).or_insert(OfUsers {
                help: &query.help,
                kind,
                series: Vec::new(),
            });
            family.series.push((database, query, value.value));
        }
    }
    for (name, family) in families {
        // The library adds what a counter's name ends in.
        let name = match family.kind {
            MetricType::Counter => name.strip_suffix("_total").unwrap_or(name),
            _ => name,
        };
        let help = text::escaped(family.help);
        let mut metric = encoder.encode_descriptor(name, &help, None, family.kind)?;
        for (database, query, value) in family.series {
            let labels = query.labels.iter();
            let labels: Vec<(&str, &str)> = labels.map(|(k, v)| (k.as_str(), v.as_str())).collect();
            sample(&mut metric, family.kind, database, &labels, value)?;
        }
    }
    Ok(())
}

/// How long migrations took: the one family that is no number.
fn durations(book: &Book, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
    let all = book.rows();
    let mut all = all
        .filter_map(|(database, row)| Some((database, row.durations.as_ref()?)))
        .peekable();
    if all.peek().is_none() {
        return Ok(());
    }
    let mut metric = encoder.encode_descriptor(
        "dba_operator_migration_duration",
        "How long migrations took, from the creation of their Job to its end.",
        Some(&Unit::Seconds),
        MetricType::Histogram,
    )?;
    for (database, durations) in all {
        durations.encode(metric.encode_family(&of(database))?)?;
    }
    Ok(())
}

/// The labels of a database.
fn of(database: &ObjectRef) -> [(&'static str, &str); 2] {
    [
        ("namespace", database.namespace()),
        ("name", database.name()),
    ]
}

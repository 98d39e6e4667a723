//! What was measured: as JSON for programs, as a page for people.

use std::fmt;
use std::fmt::Write as _;

use serde::Serialize;

use crate::audit::Requests;
use crate::operator::Memory;
use crate::server::Counts;

/// The version of the JSON's shape: whoever reads it can tell when it changes.
pub const SCHEMA_VERSION: u32 = 1;
const MIB: f64 = 1_048_576.0;

/// Everything.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Results {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The day, UTC.
    pub date: String,
    /// The commit that was measured.
    pub commit: String,
    /// The machine.
    pub machine: Machine,
    /// How often a database at rest is looked at.
    pub heartbeat_seconds: f64,
    /// With fake databases, by their number.
    pub fakes: Vec<Measured>,
    /// Scrapes of fake ones that have all metrics.
    pub scraped: Vec<Scraped>,
    /// With real ones.
    pub real: Vec<Real>,
}

/// The machine, and how busy it was with other things.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// Processors.
    pub cores: usize,
    /// Bytes of memory.
    pub memory: u64,
    /// Its load average (one minute) before anything was started.
    pub load_before: String,
}

/// One number of fake databases.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// How many.
    pub databases: usize,
    /// From the operator's first start to all at rest, with credentials made.
    pub adoption_seconds: f64,
    /// Right after that.
    pub memory_after_adoption: Memory,
    /// From the start of a process to the first look at the last database.
    pub restart_seconds: f64,
    /// At rest.
    pub idle: Option<Idle>,
    /// From a change of the spec to the Job.
    pub changes: Option<Times>,
    /// After something was away.
    pub outages: Option<Outages>,
}

/// What it costs while nothing is to be done.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Idle {
    /// How long was looked.
    pub seconds: f64,
    /// What the API server was asked.
    pub requests: Requests,
    /// What the databases were asked.
    pub databases: Counts,
    /// Processor time.
    pub processor_seconds: f64,
    /// At the end.
    pub memory: Memory,
}

/// Times of many.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Times {
    /// How many.
    pub count: usize,
    /// Half were faster.
    pub median_seconds: f64,
    /// 99 of a hundred were faster.
    pub p99_seconds: f64,
    /// The slowest.
    pub max_seconds: f64,
    /// Each, in the order in which they were taken.
    pub all_seconds: Vec<f64>,
}

impl Times {
    /// Of these.
    pub fn of(all: Vec<f64>) -> Self {
        let mut sorted = all.clone();
        sorted.sort_by(f64::total_cmp);
        // The nearest rank: a value that was measured.
        let rank = |part: f64| {
            let nth = (part * sorted.len() as f64).ceil() as usize;
            sorted
                .get(nth.saturating_sub(1))
                .copied()
                .unwrap_or_default()
        };
        Self {
            count: sorted.len(),
            median_seconds: rank(0.5),
            p99_seconds: rank(0.99),
            max_seconds: rank(1.0),
            all_seconds: all,
        }
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "change to Job, {} times: median {:.3} s, p99 {:.3} s, slowest {:.3} s",
            self.count, self.median_seconds, self.p99_seconds, self.max_seconds
        )
    }
}

/// After something was away for half a minute.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outages {
    /// From the leader's SIGKILL to another holder of the Lease.
    pub failover_lease_seconds: f64,
    /// From there to the Job of a change that came right after it.
    pub failover_seconds: f64,
    /// From the API server's first answer to the Job of a change that came then.
    pub api_recovery_seconds: f64,
    /// Attempts on the dead database server.
    pub database_attempts_per_second: f64,
    /// What its outage made the operator ask the API server.
    pub database_api_requests_per_second: f64,
    /// From its return to the Job of a change that came while it was away.
    pub database_recovery_seconds: f64,
    /// From its return to the first look at the last database.
    pub database_all_seen_seconds: f64,
}

/// Scrapes of `/metrics`.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scraped {
    /// How many databases.
    pub databases: usize,
    /// Tables of each that `spec.metrics` names, for sizes and for ids.
    pub tables: usize,
    /// Series in all.
    pub series: usize,
    /// Of these, series of a database.
    pub series_of_databases: usize,
    /// Bytes of an answer.
    pub bytes: usize,
    /// From the connection to the last byte.
    pub times: Times,
    /// Processor time of all of them, and of what else was done meanwhile.
    pub processor_seconds: f64,
    /// Before the first one.
    pub memory_before: Memory,
    /// After the last one.
    pub memory_after: Memory,
}

impl fmt::Display for Scraped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} scrapes of {} series, {} KiB: median {:.1} ms, p99 {:.1} ms, slowest {:.1} ms; {:.1} MiB before, {:.1} after, \
             peak {:.1}",
            self.times.count,
            self.series,
            self.bytes / 1024,
            self.times.median_seconds * 1e3,
            self.times.p99_seconds * 1e3,
            self.times.max_seconds * 1e3,
            self.memory_before.rss as f64 / MIB,
            self.memory_after.rss as f64 / MIB,
            self.memory_after.peak as f64 / MIB,
        )
    }
}

/// Real databases.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Real {
    /// How many.
    pub databases: usize,
    /// The server.
    pub server: String,
    /// From the operator's first start to all at rest, with credentials made.
    pub adoption_seconds: f64,
    /// From the start of a process to the first look at the last database.
    pub restart_seconds: f64,
    /// How long was looked.
    pub window_seconds: f64,
    /// Statements meanwhile.
    pub statements: u64,
    /// Connections meanwhile.
    pub connections: u64,
    /// The same for each database and heartbeat.
    pub statements_per_heartbeat: f64,
    /// The same for each database and heartbeat.
    pub connections_per_heartbeat: f64,
    /// Connections that had been idle for five seconds at the end.
    pub idle_connections: u64,
    /// What the API server was asked meanwhile.
    pub requests: Requests,
    /// Processor time meanwhile.
    pub processor_seconds: f64,
    /// At the end.
    pub memory: Memory,
}

impl Measured {
    /// What it costs at rest, in a line.
    pub fn idle_line(&self) -> String {
        let Some(idle) = &self.idle else {
            return "not looked at at rest".to_owned();
        };
        let (requests, databases) = (&idle.requests, &idle.databases);
        format!(
            "at rest for {:.0} s: {:.1} MiB (peak {:.1}), {} reads and {} writes of the API server, {} calls and \
             {} connections to databases, {:.1} s of processor time",
            idle.seconds,
            idle.memory.rss as f64 / MIB,
            idle.memory.peak as f64 / MIB,
            requests.total_reads(),
            requests.total_writes(),
            databases.total(),
            databases.connections,
            idle.processor_seconds
        )
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / MIB)
}

fn row(text: &mut String, cells: &[String]) {
    // A String takes whatever is written.
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

impl Results {
    /// The tables.
    pub fn tables(&self) -> String {
        let mut text = String::new();
        self.at_rest(&mut text);
        self.in_motion(&mut text);
        self.after_outages(&mut text);
        self.scrapes(&mut text);
        self.real_databases(&mut text);
        text
    }

    fn at_rest(&self, text: &mut String) {
        text.push_str("## At rest\n\n");
        head(
            text,
            &[
                "databases",
                "memory, MiB",
                "of it heap",
                "peak",
                "API reads / min",
                "API writes / min",
                "Lease / min",
                "connections / database / heartbeat",
                "calls / database / heartbeat",
                "left open",
                "CPU s / min",
            ],
        );
        for measured in &self.fakes {
            let Some(idle) = &measured.idle else { continue };
            let minute = 60.0 / idle.seconds;
            let looks = measured.databases as f64 * idle.seconds / self.heartbeat_seconds;
            let per_look = |count: u64| match measured.databases {
                0 => "-".to_owned(),
                _ => format!("{:.2}", count as f64 / looks),
            };
            let per_minute = |count: u64| format!("{:.0}", count as f64 * minute);
            row(
                text,
                &[
                    measured.databases.to_string(),
                    mib(idle.memory.rss),
                    mib(idle.memory.anonymous),
                    mib(idle.memory.peak),
                    per_minute(idle.requests.total_reads()),
                    per_minute(idle.requests.total_writes()),
                    per_minute(idle.requests.total_lease()),
                    per_look(idle.databases.connections),
                    per_look(idle.databases.total()),
                    idle.databases.open.to_string(),
                    format!("{:.1}", idle.processor_seconds * minute),
                ],
            );
        }
        text.push('\n');
    }

    fn in_motion(&self, text: &mut String) {
        text.push_str("## In motion\n\n");
        head(
            text,
            &[
                "databases",
                "adoption of all, s",
                "restart to all observed, s",
                "spec to Job, median s",
                "p99 s",
                "slowest s",
                "changes",
            ],
        );
        for measured in &self.fakes {
            let times = |of: fn(&Times) -> f64| {
                let times = measured.changes.as_ref();
                times.map_or("-".to_owned(), |times| format!("{:.3}", of(times)))
            };
            row(
                text,
                &[
                    measured.databases.to_string(),
                    format!("{:.1}", measured.adoption_seconds),
                    format!("{:.2}", measured.restart_seconds),
                    times(|times| times.median_seconds),
                    times(|times| times.p99_seconds),
                    times(|times| times.max_seconds),
                    measured.changes.as_ref().map_or(0, |t| t.count).to_string(),
                ],
            );
        }
        text.push('\n');
    }

    fn after_outages(&self, text: &mut String) {
        text.push_str("## After something was away\n\n");
        head(
            text,
            &[
                "databases",
                "leader killed: another leads, s",
                "and has acted, s",
                "API server away 30 s: acted after its return, s",
                "database server away 30 s: attempts / s",
                "API requests / s meanwhile",
                "acted after its return, s",
                "all looked at, s",
            ],
        );
        for measured in &self.fakes {
            let Some(outages) = &measured.outages else {
                continue;
            };
            row(
                text,
                &[
                    measured.databases.to_string(),
                    format!("{:.1}", outages.failover_lease_seconds),
                    format!("{:.1}", outages.failover_seconds),
                    format!("{:.1}", outages.api_recovery_seconds),
                    format!("{:.2}", outages.database_attempts_per_second),
                    format!("{:.2}", outages.database_api_requests_per_second),
                    format!("{:.1}", outages.database_recovery_seconds),
                    format!("{:.1}", outages.database_all_seen_seconds),
                ],
            );
        }
        text.push('\n');
    }

    fn scrapes(&self, text: &mut String) {
        if self.scraped.is_empty() {
            return;
        }
        text.push_str("## Scrapes of `/metrics`\n\n");
        head(
            text,
            &[
                "databases",
                "series",
                "of one database",
                "KiB",
                "median, ms",
                "p99, ms",
                "slowest, ms",
                "memory before, MiB",
                "after",
                "peak",
            ],
        );
        for scraped in &self.scraped {
            let milliseconds = |seconds: f64| format!("{:.1}", seconds * 1e3);
            let of_one = scraped.series_of_databases / scraped.databases.max(1);
            row(
                text,
                &[
                    scraped.databases.to_string(),
                    scraped.series.to_string(),
                    of_one.to_string(),
                    (scraped.bytes / 1024).to_string(),
                    milliseconds(scraped.times.median_seconds),
                    milliseconds(scraped.times.p99_seconds),
                    milliseconds(scraped.times.max_seconds),
                    mib(scraped.memory_before.rss),
                    mib(scraped.memory_after.rss),
                    mib(scraped.memory_after.peak),
                ],
            );
        }
        text.push('\n');
    }

    fn real_databases(&self, text: &mut String) {
        if self.real.is_empty() {
            return;
        }
        text.push_str("## Real databases\n\n");
        head(
            text,
            &[
                "databases",
                "server",
                "memory, MiB",
                "statements / database / heartbeat",
                "connections / database / heartbeat",
                "idle connections",
                "API writes / min",
                "restart to all observed, s",
                "adoption of all, s",
                "CPU s / min",
            ],
        );
        for real in &self.real {
            let minute = 60.0 / real.window_seconds;
            row(
                text,
                &[
                    real.databases.to_string(),
                    real.server.clone(),
                    mib(real.memory.rss),
                    format!("{:.1}", real.statements_per_heartbeat),
                    format!("{:.2}", real.connections_per_heartbeat),
                    real.idle_connections.to_string(),
                    format!("{:.0}", real.requests.total_writes() as f64 * minute),
                    format!("{:.1}", real.restart_seconds),
                    format!("{:.1}", real.adoption_seconds),
                    format!("{:.1}", real.processor_seconds * minute),
                ],
            );
        }
        text.push('\n');
    }
}

fn head(text: &mut String, columns: &[&str]) {
    let cells: Vec<String> = columns.iter().map(|cell| (*cell).to_owned()).collect();
    row(text, &cells);
    row(text, &vec!["---".to_owned(); columns.len()]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let times = Times::of((1..=100).rev().map(f64::from).collect());
        assert_eq!(times.median_seconds, 50.0);
        assert_eq!(times.p99_seconds, 99.0);
        assert_eq!(times.max_seconds, 100.0);
        assert_eq!(times.all_seconds[0], 100.0);
        let one = Times::of(vec![0.5]);
        assert_eq!((one.median_seconds, one.p99_seconds), (0.5, 0.5));
    }
}

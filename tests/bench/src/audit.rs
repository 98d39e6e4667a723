//! What the API server was asked, by its audit log.
//!
//! The operator's requests are those of its user agent. A watch is counted when it ends, which a watch at rest
//! does every few minutes.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::Value;

/// What the operator's user agent begins with.
pub const OPERATOR_AGENT: &str = "database-operator/";

/// Requests by what was asked, such as `get secrets` or `patch manageddatabases/status`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Requests {
    /// Those that read.
    pub reads: BTreeMap<String, u64>,
    /// Those that write, the Lease aside.
    pub writes: BTreeMap<String, u64>,
    /// Those about the Lease: the heartbeat of the election.
    pub lease: BTreeMap<String, u64>,
}

impl Requests {
    /// All that write, the Lease aside.
    pub fn total_writes(&self) -> u64 {
        self.writes.values().sum()
    }

    /// All that read.
    pub fn total_reads(&self) -> u64 {
        self.reads.values().sum()
    }

    /// All about the Lease.
    pub fn total_lease(&self) -> u64 {
        self.lease.values().sum()
    }
}

/// The audit log.
pub struct Audit {
    path: PathBuf,
}

impl Audit {
    /// The log of this file.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Its end as it is now.
    pub fn mark(&self) -> Result<u64> {
        let file = std::fs::metadata(&self.path);
        Ok(file
            .with_context(|| format!("{} cannot be read", self.path.display()))?
            .len())
    }

    /// What the operator asked between two marks.
    pub fn between(&self, from: u64, to: u64) -> Result<Requests> {
        let mut file = std::fs::File::open(&self.path)?;
        file.seek(SeekFrom::Start(from))?;
        let mut requests = Requests::default();
        let mut read = from;
        let mut lines = BufReader::new(file);
        let mut line = String::new();
        while read < to {
            line.clear();
            let bytes = lines.read_line(&mut line)?;
            if bytes == 0 {
                break;
            }
            read += bytes as u64;
            // A line that is being written is of the next window.
            if let Ok(entry) = serde_json::from_str(&line) {
                requests.add(&entry);
            }
        }
        Ok(requests)
    }
}

impl Requests {
    fn add(&mut self, entry: &Value) {
        let of = entry["userAgent"].as_str().unwrap_or_default();
        if !of.starts_with(OPERATOR_AGENT) {
            return;
        }
        let verb = entry["verb"].as_str().unwrap_or("?");
        let object = &entry["objectRef"];
        let resource = match (object["resource"].as_str(), object["subresource"].as_str()) {
            (Some(resource), Some(part)) => format!("{resource}/{part}"),
            (Some(resource), None) => resource.to_owned(),
            (None, _) => entry["requestURI"].as_str().unwrap_or("?").to_owned(),
        };
        let into = match (resource.as_str(), verb) {
            ("leases", _) => &mut self.lease,
            (_, "get" | "list" | "watch") => &mut self.reads,
            _ => &mut self.writes,
        };
        *into.entry(format!("{verb} {resource}")).or_default() += 1;
    }
}

//! The API server's audit log: who wrote what, when, and with what success.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

/// How often the log is looked at for something that is waited for: it is to be struck at while it is fresh.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// One request.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The ServiceAccount that sent it.
    pub by: String,
    /// What was asked: `create jobs`, `patch manageddatabases/status`.
    pub what: String,
    /// The object's name, where the request had one.
    pub name: String,
    /// The namespace.
    pub namespace: String,
    /// The status code of the answer.
    pub code: u64,
    /// When it came, in microseconds of this machine's clock.
    pub received: i64,
    /// When it was answered.
    pub answered: i64,
}

impl Entry {
    fn parse(line: &str) -> Option<Entry> {
        let entry: Value = serde_json::from_str(line).ok()?;
        let text = |at: &str| {
            entry
                .pointer(at)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let time = |at: &str| text(at).parse().ok().map(jiff::Timestamp::as_microsecond);
        let resource = match text("/objectRef/subresource") {
            "" => text("/objectRef/resource").to_owned(),
            part => format!("{}/{part}", text("/objectRef/resource")),
        };
        let by = text("/user/username");
        Some(Entry {
            by: by.rsplit(':').next().unwrap_or(by).to_owned(),
            what: format!("{} {resource}", text("/verb")),
            name: text("/objectRef/name").to_owned(),
            namespace: text("/objectRef/namespace").to_owned(),
            code: entry["responseStatus"]["code"].as_u64().unwrap_or_default(),
            received: time("/requestReceivedTimestamp")?,
            answered: time("/stageTimestamp")?,
        })
    }

    /// Whether it was a write about a database, and took effect. The Lease is nobody's database.
    #[must_use]
    pub fn is_write(&self) -> bool {
        let reads = ["get ", "list ", "watch "];
        !reads.iter().any(|verb| self.what.starts_with(verb))
            && !self.what.ends_with(" leases")
            && self.code < 300
    }
}

/// The requests to one namespace, from when this was made.
pub struct Audit {
    path: PathBuf,
    namespace: String,
    from: u64,
    /// What was read, and where to go on.
    read: Mutex<(Option<BufReader<File>>, Vec<Entry>)>,
}

impl Audit {
    /// The log of `DBOP_TEST_AUDIT_LOG`, from its end.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn new(namespace: &str) -> Audit {
        let path = std::env::var_os("DBOP_TEST_AUDIT_LOG").map(PathBuf::from);
        let path = path.expect(
            "DBOP_TEST_AUDIT_LOG is not set: run `cargo xtask cluster up --light -- cargo test ...`",
        );
        let from = std::fs::metadata(&path)
            .expect("the audit log is there")
            .len();
        Audit {
            path,
            namespace: namespace.to_owned(),
            from,
            read: Mutex::default(),
        }
    }

    /// The same, from now on.
    #[must_use]
    pub fn from_now(&self) -> Audit {
        Audit::new(&self.namespace)
    }

    /// What was asked so far.
    ///
    /// # Panics
    /// When the log cannot be read.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let (reader, entries) = &mut *read;
        let reader = reader.get_or_insert_with(|| self.reader());
        while let Some(line) = next_line(reader) {
            entries.extend(self.of_us(&line));
        }
        entries.clone()
    }

    /// Waits for a request, and gives it as soon as it is in the log, which is before its answer leaves.
    pub async fn seen(&self, wanted: impl Fn(&Entry) -> bool) -> Entry {
        let mut reader = self.reader();
        loop {
            while let Some(line) = next_line(&mut reader) {
                if let Some(entry) = self.of_us(&line).filter(&wanted) {
                    return entry;
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn reader(&self) -> BufReader<File> {
        let mut file = File::open(&self.path).expect("the audit log can be read");
        file.seek(SeekFrom::Start(self.from))
            .expect("the audit log can be read");
        BufReader::new(file)
    }

    fn of_us(&self, line: &str) -> Option<Entry> {
        // Most lines are of others, and JSON is slow to read.
        line.contains(&self.namespace)
            .then(|| Entry::parse(line))
            .flatten()
            .filter(|entry| entry.namespace == self.namespace)
    }
}

/// The next whole line; one that is being written is left for the next look.
fn next_line(reader: &mut BufReader<File>) -> Option<String> {
    let mut line = String::new();
    let read = reader.read_line(&mut line).expect("the audit log is text");
    if line.ends_with('\n') {
        return Some(line);
    }
    if read > 0 {
        let back = i64::try_from(read).expect("a line is short");
        reader
            .seek_relative(-back)
            .expect("the audit log can be read");
    }
    None
}

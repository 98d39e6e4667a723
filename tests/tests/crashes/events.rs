//! What can be seen of a walk while it goes on: the statements in the server's log, the files of the state,
//! the marks that the migrations' containers leave, and the reason in the status.
//!
//! Each is a label that is the same in every walk, so that a point of one walk is found again in another:
//! "the second time that a login is locked". Nothing of the operator is changed for it. What only looks
//! (`SELECT` and the like) is no event.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dbop_tests::local::Site;

use crate::log::{Log, Said, Tail};

/// How often the server's log is looked at: a statement takes longer.
const LOOK_EVERY: Duration = Duration::from_micros(200);
/// The files are looked at every so many looks at the log: it takes longer, and they change less often.
const LOOKS_PER_SCAN: u32 = 8;
/// Labels are cut to this, so that they can be read in a table.
const LABEL_CHARS_MAX: usize = 72;
/// A number of so many digits is how long something took, in nanoseconds.
const TIME_DIGITS_MIN: usize = 6;
/// A number in hexadecimal that is longer is a hash.
const ID_DIGITS_MAX: usize = 16;
/// Statements that begin like this change nothing.
const LOOKS: &[&str] = &[
    "SELECT", "WITH", "EXPLAIN", "SHOW", "SET", "RESET", "BEGIN", "START", "ROLLBACK", "VALUES",
    "USE", "KILL",
];

/// Something that happened: the `nth` (from 1) of its label in one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) label: String,
    pub(crate) nth: usize,
}

/// Where to strike: so much after an event.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    pub(crate) phase: usize,
    pub(crate) event: Event,
    pub(crate) delay: Duration,
}

/// What was seen while a command ran.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// All events, until it ended or was struck.
    pub(crate) events: Vec<Event>,
    /// The event that came last before the blow, where it was struck.
    pub(crate) struck_after: Option<String>,
}

/// A watch over one command.
pub(crate) struct Watch {
    log: Log,
    marks: Tail,
    files: Files,
    status: Status,
    names: Names,
    /// What the admin's open transaction has written last.
    open: Option<String>,
    counts: BTreeMap<String, usize>,
}

impl Watch {
    /// Begins with what happens from now on.
    ///
    /// # Panics
    /// When the server has no log, or it cannot be read.
    #[track_caller]
    pub(crate) fn begin(site: &Site) -> Watch {
        let log = Log::at_end(site.database.server());
        let root = site.directory.state();
        let mut files = Files {
            root: root.clone(),
            there: BTreeSet::new(),
        };
        files.changes();
        let mut status = Status {
            path: root.join(format!("status/default/ManagedDatabase/{}.yaml", site.name)),
            reason: None,
        };
        status.change();
        Watch {
            log,
            marks: Tail::at_end(&marks_path(site)),
            files,
            status,
            names: Names::of(site),
            open: None,
            counts: BTreeMap::new(),
        }
    }

    /// Follows a command until `ended`, and strikes once when `point` is reached.
    pub(crate) fn follow(
        mut self,
        point: Option<Point>,
        strike: impl FnOnce(),
        ended: &AtomicBool,
    ) -> Seen {
        let mut seen = Seen::default();
        let mut pending = point.map(|point| (point, strike));
        for look in 0_u32.. {
            // Asked first, so that nothing is missed that happens at the very end.
            let over = ended.load(Ordering::Acquire);
            for label in self.look(over || look.is_multiple_of(LOOKS_PER_SCAN)) {
                if seen.struck_after.is_some() {
                    continue;
                }
                let nth = self.counts.entry(label.clone()).or_default();
                *nth += 1;
                let event = Event { label, nth: *nth };
                seen.events.push(event.clone());
                if pending.as_ref().is_some_and(|(p, _)| p.event == event)
                    && let Some((point, strike)) = pending.take()
                {
                    std::thread::sleep(point.delay);
                    strike();
                    // What came in between is the last that was done before the blow.
                    let last = self.look(false).pop();
                    seen.struck_after = Some(last.unwrap_or(event.label));
                }
            }
            if over {
                return seen;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        seen
    }

    fn look(&mut self, whole: bool) -> Vec<String> {
        let mut labels = Vec::new();
        for said in self.log.statements() {
            labels.extend(self.statement(&said));
        }
        for line in self.marks.lines() {
            labels.push(format!("container: {}", self.names.plain(&line)));
        }
        if whole {
            for change in self.files.changes() {
                labels.push(format!("file: {}", self.names.plain(&change)));
            }
            labels.extend(
                self.status
                    .change()
                    .map(|reason| format!("status: {reason}")),
            );
        }
        labels
    }

    /// The label of a statement.
    fn statement(&mut self, said: &Said) -> Option<String> {
        let user = self.names.user(said)?;
        let sql = &said.sql;
        let sql = self.names.plain(&without_literals(sql));
        let mut label: String = sql.chars().take(LABEL_CHARS_MAX).collect();
        if label.len() < sql.len() {
            label.push_str("...");
        }
        let words = label.trim_start_matches('(');
        let first = words.split(|c: char| !c.is_ascii_alphabetic()).next()?;
        let first = first.to_owned();
        match user.as_str() {
            "admin" if says(&sql, &["pg_try_advisory_lock", "GET_LOCK("]) => {
                Some("takes the lock".to_owned())
            }
            "admin" if says(&sql, &["pg_advisory_unlock", "RELEASE_LOCK("]) => {
                Some("gives up the lock".to_owned())
            }
            "admin" if first == "BEGIN" => {
                self.open = None;
                None
            }
            "admin" if first == "COMMIT" => {
                let written = self.open.take()?;
                Some(format!("COMMIT after {written}"))
            }
            "admin" if !LOOKS.contains(&first.as_str()) => {
                self.open = Some(label.clone());
                Some(label)
            }
            "db_migrator" if !LOOKS.contains(&first.as_str()) => {
                Some(format!("migration: {label}"))
            }
            _ => None,
        }
    }
}

/// Where the containers of the migrations leave their marks: one line when one starts, one when its
/// migration is done.
pub(crate) fn marks_path(site: &Site) -> PathBuf {
    site.directory.output().join("marks")
}

/// The kind of a label: the same whichever migration it is about.
pub(crate) fn kind(label: &str) -> String {
    let mut kind = String::new();
    let mut chars = label.chars().peekable();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        kind.push(c);
        if c == 'v' && !before.is_alphanumeric() && chars.peek().is_some_and(char::is_ascii_digit) {
            while chars.next_if(char::is_ascii_digit).is_some() {}
            kind.push('N');
        }
        before = c;
    }
    kind
}

/// The names that differ from walk to walk.
pub(crate) struct Names {
    object: String,
    database: String,
    admin: String,
}

impl Names {
    pub(crate) fn of(site: &Site) -> Names {
        Names {
            object: site.name.clone(),
            database: site.database.name().to_owned(),
            admin: site.database.admin().to_owned(),
        }
    }

    /// The text as it would be in any walk: `shop-7_v1_9f31c0de` is `db_v1`.
    pub(crate) fn plain(&self, text: &str) -> String {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = text
            .replace(&self.admin, "admin")
            .replace(&self.database, "db")
            // As MySQL has it in a grant.
            .replace(&self.database.replace('_', "\\_"), "db")
            .replace(&self.object, "db");
        without_random(&text)
            .replace("_#", "")
            .replace("-#", "")
            .replace(['"', '`'], "")
    }

    /// Who said it, where it is of this walk.
    fn user(&self, said: &Said) -> Option<String> {
        let is_ours = match &said.database {
            Some(database) => *database == self.database,
            // All accounts of a walk are called after it.
            None => said.user == self.admin || said.user.starts_with(&format!("{}_", self.object)),
        };
        is_ours.then(|| self.plain(&said.user))
    }
}

fn says(sql: &str, words: &[&str]) -> bool {
    words.iter().any(|word| sql.contains(word))
}

/// `#` in the place of ids, and of hashes: 8, 10 or 16 hexadecimal digits, or a number in hexadecimal; and
/// of times.
fn without_random(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        let is_id = matches!(word.len(), 8 | 10 | 16) && word.bytes().all(is_hex);
        let is_time = word.len() >= TIME_DIGITS_MIN && word.bytes().all(|b| b.is_ascii_digit());
        if is_id || is_time || (word.starts_with("0x") && word.len() > ID_DIGITS_MAX) {
            out.push('#');
        } else {
            out.push_str(word);
        }
        let between = after.chars().next().map_or(0, char::len_utf8);
        out.push_str(&after[..between]);
        rest = &after[between..];
    }
    out
}

/// A statement without what stands between single quotes.
fn without_literals(sql: &str) -> String {
    let parts = sql.split('\'');
    parts.step_by(2).collect::<Vec<_>>().join("'...'")
}

/// The files of the state, without those that are just being written and without the status.
struct Files {
    root: PathBuf,
    there: BTreeSet<String>,
}

impl Files {
    fn changes(&mut self) -> Vec<String> {
        let now = paths(&self.root);
        let came = now
            .difference(&self.there)
            .map(|path| format!("{path} appears"));
        let went = self
            .there
            .difference(&now)
            .map(|path| format!("{path} goes"));
        let changes = came.chain(went).collect();
        self.there = now;
        changes
    }
}

/// The paths below a state directory. A Secret is one: its keys come and go together.
pub(crate) fn paths(root: &Path) -> BTreeSet<String> {
    fn walk(folder: &Path, at: &str, found: &mut BTreeSet<String>) {
        let Ok(entries) = std::fs::read_dir(folder) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') || (at.is_empty() && name == "status") {
                continue;
            }
            let path = format!("{at}{name}");
            let is_secret = path.starts_with("secrets/") && path.matches('/').count() == 2;
            if !is_secret && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                walk(&entry.path(), &format!("{path}/"), found);
            } else {
                found.insert(path);
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(root, "", &mut found);
    found
}

/// The reason in the status.
struct Status {
    path: PathBuf,
    reason: Option<String>,
}

impl Status {
    /// The reason, where it has become another.
    fn change(&mut self) -> Option<String> {
        let text = std::fs::read_to_string(&self.path).ok()?;
        // Read by hand, because it is looked at five hundred times a second: of the conditions, which are a
        // list, Ready is the one that sums up.
        let (mut of_item, mut of_ready) = (None, None);
        let mut is_ready = false;
        for line in text.lines() {
            let field = line.trim_start();
            if let Some(first) = field.strip_prefix("- ") {
                (of_item, is_ready) = (first.strip_prefix("reason: "), first == "type: Ready");
            } else if let Some(reason) = field.strip_prefix("reason: ") {
                of_item = Some(reason);
            } else {
                is_ready |= field == "type: Ready";
            }
            if is_ready && of_item.is_some() {
                of_ready = of_item.take();
                is_ready = false;
            }
        }
        let reason = of_ready?.to_owned();
        if self.reason.as_ref() == Some(&reason) {
            return None;
        }
        self.reason = Some(reason.clone());
        Some(reason)
    }
}

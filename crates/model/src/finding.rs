//! Findings: what the hint rules say of a migration's operations, and whether the migration may start.
//!
//! Rules make findings (crate `dbop-hints`); [`gate`] reads them. Neither looks at a database.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::fact::Fact;
use crate::name::MigrationName;
use crate::operation::{Algorithm, Locking};
use crate::table::TableName;

/// A Job starts only on facts younger than this: a table does not fill up with NULLs in seconds, but
/// it does in the minutes of a wait.
pub const FACTS_AGE_MAX: SignedDuration = SignedDuration::from_secs(10);

/// What is said of one operation by one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// The statement cannot succeed on today's data.
    WillFail,
    /// Reads or writes stop for as long as the statement works, because the table is large.
    Blocks,
    /// The server will invent values.
    ImplicitValue,
    /// It takes a lock that a table under writes above the threshold will feel.
    Contends,
    /// It waits behind a named session, and everything else behind it.
    Queues,
    /// The fact that decides could not be had.
    Unknown {
        /// Can looking again, with nothing else changed, have it (a lock was in the way)?
        looking_again_helps: bool,
    },
    /// It was looked at, and a fact clears it.
    Clean,
}

impl Verdict {
    /// Its name in status and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::WillFail => "WillFail",
            Verdict::Blocks => "Blocks",
            Verdict::ImplicitValue => "ImplicitValue",
            Verdict::Contends => "Contends",
            Verdict::Queues => "Queues",
            Verdict::Unknown { .. } => "Unknown",
            Verdict::Clean => "Clean",
        }
    }

    /// As a clause after the migration's name: "v8 would fail".
    pub fn clause(self) -> &'static str {
        match self {
            Verdict::WillFail => "would fail",
            Verdict::Blocks => "would stop reads or writes",
            Verdict::ImplicitValue => "would have the server invent values",
            Verdict::Contends => "would contend with writes",
            Verdict::Queues => "would queue behind a session",
            Verdict::Unknown { .. } => "cannot be judged",
            Verdict::Clean => "is clean",
        }
    }

    /// What it does to a migration in mode `Block`, unless it is accepted.
    fn consequence(self) -> Consequence {
        match self {
            Verdict::WillFail
            | Verdict::Blocks
            | Verdict::ImplicitValue
            | Verdict::Contends
            | Verdict::Unknown {
                looking_again_helps: false,
            } => Consequence::Stop,
            Verdict::Queues
            | Verdict::Unknown {
                looking_again_helps: true,
            } => Consequence::Wait,
            Verdict::Clean => Consequence::None,
        }
    }
}

#[derive(PartialEq, Eq)]
enum Consequence {
    None,
    Wait,
    Stop,
}

/// The verdict as a heading: `WILL FAIL`.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::WillFail => "WILL FAIL",
            Verdict::Blocks => "BLOCKS",
            Verdict::ImplicitValue => "IMPLICIT VALUE",
            Verdict::Contends => "CONTENDS",
            Verdict::Queues => "QUEUES",
            Verdict::Unknown { .. } => "UNKNOWN",
            Verdict::Clean => "CLEAN",
        })
    }
}

/// A fact that a finding rests on. Never a value of user data: counts, sizes and names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// What is so: "about 12.3 M rows".
    pub value: String,
    /// Where it is from: "the server's statistics".
    pub source: String,
    /// When it was seen.
    pub taken_at: Timestamp,
}

/// What one rule says of one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule's id: `not-null-over-nulls`.
    pub rule: String,
    /// What it says.
    pub verdict: Verdict,
    /// The operation as a line: "alterColumn users.email NOT NULL".
    pub operation: String,
    /// The table.
    pub table: TableName,
    /// What was found, as one clause: "NOT NULL on users.email: a row holds NULL".
    pub claim: String,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
    /// What the operation does on this very server; `None`: it does not get so far.
    pub effect: Option<Effect>,
    /// Ways out that work on this server version, the best first, each one line.
    pub advice: Vec<String>,
    /// Why a person takes responsibility for it, where one does.
    pub accepted: Option<String>,
}

impl Finding {
    /// Does it stop the migration in mode `Block`?
    pub fn stops(&self) -> bool {
        self.accepted.is_none() && self.verdict.consequence() == Consequence::Stop
    }

    /// Does it have the migration wait in mode `Block`?
    pub fn waits(&self) -> bool {
        self.accepted.is_none() && self.verdict.consequence() == Consequence::Wait
    }
}

/// One clause to stand after the migration's name: "would fail: NOT NULL on users.email: a row holds NULL".
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.verdict.clause(), self.claim)?;
        match &self.accepted {
            Some(reason) => write!(f, " (accepted: {reason})"),
            None => Ok(()),
        }
    }
}

/// What an operation does on one very server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// The strongest lock that it holds on the table while it works (not the instant that every change needs).
    pub lock: Lock,
    /// The algorithm by which MySQL and MariaDB do it; PostgreSQL has none.
    pub algorithm: Option<Algorithm>,
    /// Is the whole table written anew?
    pub rewrite: bool,
    /// Is the whole table read?
    pub scan: bool,
    /// Are readers shut out for longer than an instant?
    pub blocks_reads: bool,
    /// Are writers shut out for longer than an instant?
    pub blocks_writes: bool,
    /// How long it takes, where the table's size is known and it takes more than an instant.
    pub duration: Option<DurationRange>,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = !self.rewrite && !self.scan;
        match (self.algorithm, self.lock) {
            (Some(algorithm), Lock::Metadata(locking)) => {
                write!(f, "ALGORITHM={algorithm}, LOCK={locking}")?;
            }
            (_, lock) if instant => write!(f, "takes {lock} for an instant")?,
            (_, lock) => write!(f, "takes {lock}")?,
        }
        write!(
            f,
            ", {}, {}",
            if self.rewrite {
                "rewrites the table"
            } else {
                "no rewrite"
            },
            if self.scan {
                "scans the table"
            } else {
                "no scan"
            },
        )?;
        match (self.blocks_reads, self.blocks_writes) {
            (true, true) => f.write_str("; reads and writes stop")?,
            (false, true) => f.write_str("; writes stop")?,
            (true, false) => f.write_str("; reads stop")?,
            (false, false) => {}
        }
        match &self.duration {
            Some(range) if self.blocks_reads || self.blocks_writes => write!(f, " for {range}"),
            Some(range) => write!(f, "; it takes {range}"),
            None => Ok(()),
        }
    }
}

/// A lock on a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lock {
    /// `SHARE UPDATE EXCLUSIVE` (PostgreSQL manual, section 13.3.1): both reads and writes go on.
    ShareUpdateExclusive,
    /// `SHARE`: no writes beside it.
    Share,
    /// `SHARE ROW EXCLUSIVE`: no writes beside it.
    ShareRowExclusive,
    /// `ACCESS EXCLUSIVE`: neither reads nor writes beside it.
    AccessExclusive,
    /// What MySQL and MariaDB call `LOCK=NONE`, `SHARED` and `EXCLUSIVE` (MySQL 8.4 manual, section 15.1.9).
    Metadata(Locking),
}

impl Lock {
    /// Its name as the server writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Lock::ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            Lock::Share => "SHARE",
            Lock::ShareRowExclusive => "SHARE ROW EXCLUSIVE",
            Lock::AccessExclusive => "ACCESS EXCLUSIVE",
            Lock::Metadata(locking) => locking.as_str(),
        }
    }

    /// Can nobody read beside it?
    pub fn stops_reads(self) -> bool {
        matches!(
            self,
            Lock::AccessExclusive | Lock::Metadata(Locking::Exclusive)
        )
    }

    /// Can nobody write beside it?
    pub fn stops_writes(self) -> bool {
        !matches!(
            self,
            Lock::ShareUpdateExclusive | Lock::Metadata(Locking::None)
        )
    }
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// About how long something takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DurationRange {
    /// On a fast machine.
    pub from: Duration,
    /// On a slow one.
    pub to: Duration,
}

impl fmt::Display for DurationRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from.as_secs(), self.to.as_secs());
        match (from, to) {
            (_, 0..2) => f.write_str("about a second"),
            (_, 2..120) => write!(f, "about {}-{to} s", from.max(1)),
            (_, 120..7200) => write!(f, "about {}-{} min", (from / 60).max(1), to.div_ceil(60)),
            (_, _) => write!(f, "about {}-{} h", (from / 3600).max(1), to.div_ceil(3600)),
        }
    }
}

/// Everything that the rules say of one migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Is all known that it does? `false`: the migration does not say it, or a statement of its SQL cannot be read.
    pub analysed: bool,
    /// What each operation does on this very server, in the order of the statements.
    pub predicted: Vec<Predicted>,
    /// What was found, in the order of the operations.
    pub findings: Vec<Finding>,
    /// Operations, or parts of them, that no rule covers yet: neither safe nor unsafe.
    pub not_judged: Vec<NotJudged>,
    /// What could not be tried on a copy, and why, for people; what was predicted counts there.
    pub not_tried: Vec<String>,
    /// When the facts that it rests on were seen.
    pub taken_at: Timestamp,
}

impl Judgement {
    /// Of a migration that does not say what it does.
    pub fn not_analysed(now: Timestamp) -> Self {
        Self {
            analysed: false,
            predicted: Vec::new(),
            findings: Vec::new(),
            not_judged: Vec::new(),
            not_tried: Vec::new(),
            taken_at: now,
        }
    }

    /// Are its facts young enough for a Job to start on them?
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        now.duration_since(self.taken_at) <= FACTS_AGE_MAX
    }
}

/// What one operation does on one very server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predicted {
    /// Which statement of the migration makes it, counted from 0.
    pub statement: usize,
    /// The operation as a line.
    pub operation: String,
    /// The table.
    pub table: TableName,
    /// What its statement does to the table; the reason where that cannot be said.
    pub effect: Fact<Effect>,
}

/// An operation that no rule covers, or a statement that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotJudged {
    /// The operation as a line; of a statement, its line in the file and its text.
    pub operation: String,
    /// Why: "no rule for createIndex on PostgreSQL 18.6 yet".
    pub why: String,
    /// Is it a statement that could not be read, of which nothing is known?
    pub unread: bool,
}

/// "line 7: DO $$ ... $$ (it may do anything)".
impl fmt::Display for NotJudged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.operation, self.why)
    }
}

/// What a judgement means for the migration's start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// Nothing stands in its way.
    Clear,
    /// These findings stop it until the data, the migration or `accept` changes.
    Stop(Vec<Finding>),
    /// These pass by themselves; look again.
    Wait(Vec<Finding>),
    /// It does not say all that it does, and `requireHints` wants it to: the statements that cannot be read; none,
    /// where it says nothing at all.
    HintsRequired(Vec<NotJudged>),
}

/// May the migration start? What stops it is named before what it waits for.
pub fn gate(judgement: &Judgement, policy: &HintPolicy) -> Gate {
    if policy.mode != HintMode::Block {
        return Gate::Clear;
    }
    let those = |which: fn(&Finding) -> bool| -> Vec<Finding> {
        judgement
            .findings
            .iter()
            .filter(|finding| which(finding))
            .cloned()
            .collect()
    };
    let stop = those(Finding::stops);
    if !stop.is_empty() {
        return Gate::Stop(stop);
    }
    if !judgement.analysed && policy.require_hints {
        let unread = judgement.not_judged.iter().filter(|one| one.unread);
        return Gate::HintsRequired(unread.cloned().collect());
    }
    let wait = those(Finding::waits);
    if wait.is_empty() {
        Gate::Clear
    } else {
        Gate::Wait(wait)
    }
}

/// How hints are judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HintPolicy {
    /// What findings do.
    pub mode: HintMode,
    /// Does a migration that does not say what it does stop?
    pub require_hints: bool,
    /// A table of so many rows or more is large.
    pub large_table_rows: u64,
    /// A table of so many bytes or more is large, too; `None`: only rows count.
    pub large_table_bytes: Option<u64>,
    /// A table is under heavy writes from so many changed rows per second on.
    pub heavy_writes_per_second: u64,
    /// How long one probe may take on the server.
    pub probe_timeout: Duration,
    /// What a look at the database may do.
    pub probes: Probes,
    /// Findings that a person takes responsibility for.
    pub accept: Vec<Accept>,
}

impl Default for HintPolicy {
    fn default() -> Self {
        Self {
            mode: HintMode::Block,
            require_hints: false,
            large_table_rows: 1_000_000,
            large_table_bytes: None,
            heavy_writes_per_second: 100,
            // Half of FACTS_AGE_MAX: what was probed first is still fresh when the last is done.
            probe_timeout: Duration::from_secs(5),
            probes: Probes::ReadOnly,
            accept: Vec::new(),
        }
    }
}

impl HintPolicy {
    /// The policy for one migration: of `accept` only what holds for it, and what it accepts itself.
    #[must_use]
    pub fn for_migration(&self, migration: &MigrationName, own: &[Accept]) -> Self {
        let mut policy = self.clone();
        policy.accept.extend_from_slice(own);
        policy
            .accept
            .retain(|accept| accept.migration.as_ref().is_none_or(|m| m == migration));
        for accept in &mut policy.accept {
            accept.migration = None;
        }
        policy
    }

    /// Is a table with so many rows and bytes large?
    pub fn is_large(&self, rows: Option<u64>, bytes: Option<u64>) -> bool {
        rows.is_some_and(|rows| rows >= self.large_table_rows)
            || matches!((bytes, self.large_table_bytes), (Some(bytes), Some(large)) if bytes >= large)
    }

    /// The reason why a finding of a rule about a table is accepted, where it is. An entry for one
    /// migration counts only past [`HintPolicy::for_migration`].
    pub fn accepted(&self, rule: &str, table: &TableName) -> Option<&str> {
        self.accept
            .iter()
            .find(|accept| {
                accept.migration.is_none() && accept.rule == rule && accept.table.may_be(table)
            })
            .map(|accept| accept.reason.as_str())
    }
}

/// What a look at the database may do to know what a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probes {
    /// Read.
    ReadOnly,
    /// Try statements on an empty copy of their table, too.
    Scratch,
}

/// What findings do to a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HintMode {
    /// They stop it, or have it wait.
    Block,
    /// They are reported.
    Warn,
    /// Nothing is looked at.
    Off,
}

/// A finding that a person takes responsibility for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accept {
    /// Only for this migration; `None`: for every one, or for the one that holds the entry.
    pub migration: Option<MigrationName>,
    /// The rule's id.
    pub rule: String,
    /// The table.
    pub table: TableName,
    /// Why, for everybody who sees the finding.
    pub reason: String,
}

/// Why an `accept` entry is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// No rule.
    #[error("names no rule; write the id that the finding shows, such as not-null-over-nulls")]
    NoRule,
    /// No reason.
    #[error("gives no reason; whoever sees the finding later needs to know why it was accepted")]
    NoReason,
}

impl Accept {
    /// An entry.
    ///
    /// # Errors
    /// [`AcceptError`] without a rule or a reason.
    pub fn new(
        migration: Option<MigrationName>,
        rule: &str,
        table: TableName,
        reason: &str,
    ) -> Result<Self, AcceptError> {
        let (rule, reason) = (rule.trim(), reason.trim());
        if rule.is_empty() {
            return Err(AcceptError::NoRule);
        }
        if reason.is_empty() {
            return Err(AcceptError::NoReason);
        }
        Ok(Self {
            migration,
            rule: rule.to_owned(),
            table,
            reason: reason.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(verdict: Verdict) -> Finding {
        Finding {
            rule: "some-rule".to_owned(),
            verdict,
            operation: "dropTable users".to_owned(),
            table: "users".parse().unwrap(),
            claim: "something about users".to_owned(),
            evidence: Vec::new(),
            effect: None,
            advice: Vec::new(),
            accepted: None,
        }
    }

    fn judgement(verdicts: &[Verdict]) -> Judgement {
        let findings = verdicts.iter().map(|verdict| finding(*verdict)).collect();
        Judgement {
            analysed: true,
            predicted: Vec::new(),
            findings,
            not_judged: vec![],
            not_tried: vec![],
            taken_at: Timestamp::UNIX_EPOCH,
        }
    }

    const AGAIN: Verdict = Verdict::Unknown {
        looking_again_helps: true,
    };
    const NEVER: Verdict = Verdict::Unknown {
        looking_again_helps: false,
    };

    #[track_caller]
    fn check(verdicts: &[Verdict], expect: &str) {
        let got = match gate(&judgement(verdicts), &HintPolicy::default()) {
            Gate::Clear => "clear".to_owned(),
            Gate::HintsRequired(_) => "hints required".to_owned(),
            Gate::Stop(findings) => format!("stop {}", findings.len()),
            Gate::Wait(findings) => format!("wait {}", findings.len()),
        };
        assert_eq!(got, expect, "{verdicts:?}");
    }

    #[test]
    fn verdicts_stop_wait_or_pass() {
        check(&[], "clear");
        check(&[Verdict::Clean], "clear");
        for stop in [
            Verdict::WillFail,
            Verdict::Blocks,
            Verdict::ImplicitValue,
            Verdict::Contends,
            NEVER,
        ] {
            check(&[Verdict::Clean, stop], "stop 1");
            check(&[Verdict::Queues, stop, AGAIN], "stop 1");
        }
        check(&[Verdict::Queues, Verdict::Clean, AGAIN], "wait 2");
    }

    #[test]
    fn only_mode_block_stops() {
        for mode in [HintMode::Warn, HintMode::Off] {
            let policy = HintPolicy {
                mode,
                require_hints: true,
                ..HintPolicy::default()
            };
            assert_eq!(gate(&judgement(&[Verdict::WillFail]), &policy), Gate::Clear);
            assert_eq!(
                gate(&Judgement::not_analysed(Timestamp::UNIX_EPOCH), &policy),
                Gate::Clear
            );
        }
    }

    #[test]
    fn missing_hints_stop_where_they_are_required() {
        let none = Judgement::not_analysed(Timestamp::UNIX_EPOCH);
        assert_eq!(gate(&none, &HintPolicy::default()), Gate::Clear);
        let policy = HintPolicy {
            require_hints: true,
            ..HintPolicy::default()
        };
        assert_eq!(gate(&none, &policy), Gate::HintsRequired(Vec::new()));
        assert_eq!(
            gate(&judgement(&[]), &policy),
            Gate::Clear,
            "hints that say: nothing"
        );
    }

    #[test]
    fn what_cannot_be_read_stops_only_where_hints_are_required_and_hides_no_finding() {
        let unread = NotJudged {
            operation: "line 7: DO ...".to_owned(),
            why: "it may do anything".to_owned(),
            unread: true,
        };
        let half = |verdicts: &[Verdict]| Judgement {
            analysed: false,
            not_judged: vec![unread.clone()],
            ..judgement(verdicts)
        };
        let require = HintPolicy {
            require_hints: true,
            ..HintPolicy::default()
        };
        let required = Gate::HintsRequired(vec![unread.clone()]);
        for (verdicts, policy, expect) in [
            (&[][..], HintPolicy::default(), Gate::Clear),
            (&[], require.clone(), required.clone()),
            (&[Verdict::Queues], require.clone(), required),
        ] {
            assert_eq!(gate(&half(verdicts), &policy), expect, "{verdicts:?}");
        }
        for policy in [HintPolicy::default(), require] {
            let stopped = gate(&half(&[Verdict::WillFail]), &policy);
            assert!(matches!(stopped, Gate::Stop(_)), "{stopped:?}");
        }
        assert_eq!(unread.to_string(), "line 7: DO ... (it may do anything)");
    }

    #[test]
    fn accepted_findings_neither_stop_nor_wait() {
        let mut judgement = judgement(&[Verdict::WillFail, Verdict::Queues]);
        for finding in &mut judgement.findings {
            finding.accepted = Some("rows are removed by hand tonight".to_owned());
        }
        assert_eq!(gate(&judgement, &HintPolicy::default()), Gate::Clear);
        assert_eq!(
            judgement.findings[0].to_string(),
            "would fail: something about users (accepted: rows are removed by hand tonight)"
        );
    }

    #[test]
    fn accept_entries_are_narrowed_to_their_migration() {
        let name = |text: &str| text.parse::<MigrationName>().unwrap();
        let entry = |migration: Option<&str>, rule: &str| {
            Accept::new(
                migration.map(name),
                rule,
                "users".parse().unwrap(),
                "because",
            )
            .unwrap()
        };
        let accept = vec![
            entry(Some("v1"), "a"),
            entry(Some("v2"), "b"),
            entry(None, "c"),
        ];
        let policy = HintPolicy {
            accept,
            ..HintPolicy::default()
        };
        let users: TableName = "app.users".parse().unwrap();
        assert_eq!(policy.accepted("a", &users), None, "not narrowed yet");
        let v1 = policy.for_migration(&name("v1"), &[entry(None, "d")]);
        let accepted: Vec<&str> = ["a", "b", "c", "d"]
            .into_iter()
            .filter(|r| v1.accepted(r, &users).is_some())
            .collect();
        assert_eq!(accepted, ["a", "c", "d"]);
        assert_eq!(v1.accepted("a", &"app.other".parse().unwrap()), None);
    }

    #[test]
    fn facts_grow_stale() {
        let judgement = judgement(&[]);
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        assert!(judgement.is_fresh(at(10)));
        assert!(!judgement.is_fresh(at(11)));
    }

    #[test]
    fn effects_read_as_a_clause() {
        let instant = Effect {
            lock: Lock::AccessExclusive,
            algorithm: None,
            rewrite: false,
            scan: false,
            blocks_reads: false,
            blocks_writes: false,
            duration: None,
        };
        assert_eq!(
            instant.to_string(),
            "takes ACCESS EXCLUSIVE for an instant, no rewrite, no scan"
        );
        let range = |from, to| DurationRange {
            from: Duration::from_secs(from),
            to: Duration::from_secs(to),
        };
        let rewrite = Effect {
            rewrite: true,
            scan: true,
            blocks_reads: true,
            blocks_writes: true,
            duration: Some(range(120, 400)),
            ..instant
        };
        assert_eq!(
            rewrite.to_string(),
            "takes ACCESS EXCLUSIVE, rewrites the table, scans the table; reads and writes stop for \
             about 2-7 min"
        );
        assert_eq!(range(0, 1).to_string(), "about a second");
        assert_eq!(range(0, 9).to_string(), "about 1-9 s");
        assert_eq!(range(30, 119).to_string(), "about 30-119 s");
        assert_eq!(range(3000, 12_000).to_string(), "about 1-4 h");
    }
}

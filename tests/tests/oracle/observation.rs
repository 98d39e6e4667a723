//! What a server did when a case ran on it: what is seen from outside, and what follows for those who use the table.

use crate::catalogue::Case;

/// What one case did on one server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Observation {
    /// The strongest lock on the table that the case is about, or on one of its partitions, as the server calls it.
    pub(crate) lock: Option<String>,
    /// The same of other tables that were there before.
    pub(crate) other_locks: Vec<(String, String)>,
    /// The cheapest algorithm that MySQL or MariaDB accepts.
    pub(crate) algorithm: Option<String>,
    /// Was the table written anew?
    pub(crate) rewrite: bool,
    /// Was the table read?
    pub(crate) scan: bool,
    /// Indexes that were made anew, on a table that was there before.
    pub(crate) indexes: usize,
    /// Could nobody read while it worked, for longer the more rows there are?
    pub(crate) blocks_reads: bool,
    /// The same of writing.
    pub(crate) blocks_writes: bool,
    /// Is it a table that may be large whose rows that takes, and not the small one beside it?
    pub(crate) long: bool,
    /// The code with which it failed.
    pub(crate) error: Option<String>,
    /// Rows that hold a value afterwards that nobody gave.
    pub(crate) invented: bool,
    /// What else is worth a look: messages, counts.
    pub(crate) notes: Vec<String>,
}

/// What a finding should have said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Truth {
    /// The statement fails.
    Fails,
    /// Readers or writers of a large table wait while it works.
    Blocks,
    /// The server invents values.
    Invents,
    /// Nothing of these.
    Harmless,
}

impl Truth {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Truth::Fails => "fails",
            Truth::Blocks => "blocks",
            Truth::Invents => "invents",
            Truth::Harmless => "harmless",
        }
    }
}

impl Observation {
    /// What it means on this shape; what is worse comes first.
    pub(crate) fn truth(&self, case: &Case) -> Truth {
        if self.error.is_some() {
            Truth::Fails
        } else if self.invented {
            Truth::Invents
        } else if case.shape.large && self.long && (self.blocks_reads || self.blocks_writes) {
            Truth::Blocks
        } else {
            Truth::Harmless
        }
    }

    /// The columns of [`HEADER`].
    pub(crate) fn line(&self, server: &str, version: &str, case: &Case) -> String {
        let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let others: Vec<String> = self
            .other_locks
            .iter()
            .map(|(table, lock)| format!("{table}: {lock}"))
            .collect();
        [
            server.to_owned(),
            version.to_owned(),
            case.name.clone(),
            case.statements.join("; ").replace(['\n', '\t'], " "),
            or_none(&self.algorithm),
            or_none(&self.lock),
            others.join(", "),
            yes(self.rewrite),
            self.indexes.to_string(),
            yes(self.scan),
            yes(self.blocks_reads),
            yes(self.blocks_writes),
            yes(self.invented),
            or_none(&self.error),
            self.truth(case).as_str().to_owned(),
            self.notes.join(" | ").replace(['\n', '\t'], " "),
        ]
        .join("\t")
    }
}

/// The columns of a line.
pub(crate) const HEADER: &str = "server\tversion\tcase and shape\tstatement\talgorithm\tlock\tother locks\trewrite\t\
     indexes built\tscan\tblocks reads\tblocks writes\tinvented\terror\tthat is\tnotes";

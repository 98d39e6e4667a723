//! What would happen: a forecast as numbered steps, for people and as JSON.
//!
//! A step is a migration with the credentials that it retires before and creates after, or one thing that
//! is done besides. Nothing is judged here; the words of waits and blocks are the planner's own.

mod build;
#[cfg(test)]
mod tests;
mod text;

use serde::Serialize;

pub(crate) use build::build;

/// The plan of one database.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlanView {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Engine and version of the server.
    pub(crate) server: String,
    /// `host:port/database`.
    pub(crate) address: String,
    /// Where the database stands; absent: empty, or off the chain.
    pub(crate) current: Option<String>,
    /// The version as the tool recorded it; absent: none, or not one.
    pub(crate) version: Option<String>,
    pub(crate) desired: String,
    /// The migrations still to run, whether or not there is a step for each.
    pub(crate) path: Vec<String>,
    pub(crate) steps: Vec<Step>,
    /// What has to happen before the first step can start; absent: nothing.
    pub(crate) first_step_waits_for: Option<String>,
    /// Why the steps end before the desired version; absent: they do not.
    pub(crate) blocked: Option<Stop>,
    /// What the steps, or what comes after them, wait for, where no step can end it.
    pub(crate) waits: Option<Stop>,
    /// Findings that stop the first migration or that it waits for, as a report shows them.
    #[serde(skip)]
    pub(crate) reports: Vec<String>,
    /// The database is newer than desired, and compatible.
    pub(crate) ahead: bool,
}

/// Why nothing goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Stop {
    /// In one word.
    pub(crate) reason: &'static str,
    /// For people.
    pub(crate) text: String,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Step {
    /// What is done, and why.
    #[serde(flatten)]
    pub(crate) what: What,
    /// Findings stop it: it would be next.
    pub(crate) blocked: bool,
    pub(crate) retire: Vec<Retire>,
    pub(crate) create: Vec<Create>,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    tag = "kind"
)]
pub(crate) enum What {
    /// It runs a migration.
    Migration {
        migration: String,
        from: Option<String>,
        because: String,
        hints: HintsView,
    },
    /// It retires or creates credentials, and nothing else.
    Credentials,
    /// Anything else.
    Other { action: String, because: String },
}

/// What a migration does to the schema, and what is found about it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", tag = "judged")]
pub(crate) enum HintsView {
    /// Against the database as it is now.
    Now { operations: Vec<OperationView> },
    /// It cannot be yet.
    WhenReached {
        operations: Vec<OperationView>,
        because: String,
    },
    /// Not at all.
    No { because: String },
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperationView {
    pub(crate) operation: String,
    pub(crate) findings: Vec<FindingView>,
    /// Why no rule says anything of it; absent: one does.
    pub(crate) not_judged: Option<String>,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FindingView {
    pub(crate) rule: String,
    pub(crate) verdict: &'static str,
    pub(crate) table: String,
    /// The finding in one line.
    pub(crate) text: String,
    pub(crate) evidence: Vec<String>,
    pub(crate) effect: Option<String>,
    pub(crate) advice: Vec<String>,
    pub(crate) accepted: Option<String>,
}

/// A credential that goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Retire {
    pub(crate) migration: String,
    /// Who uses it now; absent: nobody.
    pub(crate) used_by: Option<String>,
    /// What is said of its use otherwise.
    pub(crate) note: String,
}

/// A credential that comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Create {
    pub(crate) migration: String,
    /// `namespace/name` of its Secret.
    pub(crate) secret: String,
}

impl Step {
    /// A step that only retires and creates credentials: none yet.
    fn credentials() -> Self {
        Self {
            what: What::Credentials,
            blocked: false,
            retire: Vec::new(),
            create: Vec::new(),
        }
    }
}

impl PlanView {
    /// Is there anything that would be done?
    pub(crate) fn has_steps(&self) -> bool {
        self.steps.iter().any(|step| !step.blocked)
    }
}

impl std::fmt::Display for PlanView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&text::lines(self).join("\n"))
    }
}

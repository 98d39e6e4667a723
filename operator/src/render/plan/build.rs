//! From the planner's forecast to steps.

use std::collections::BTreeMap;

use dbop_credentials::names;
use dbop_engine::worker::Plan;
use dbop_hints::{line, render};
use dbop_model::finding::{Finding, HintMode, Judgement, Verdict};
use dbop_model::{Fact, MigrationName, ObservedVersion, ServerInfo};
use dbop_plan::forecast::{self, Forecast};
use dbop_plan::{Action, Because, Blocker, Decision, Use, WaitingOn, Watched};
use jiff::Timestamp;

use super::{Create, FindingView, HintsView, OperationView, PlanView, Retire, Step, Stop, What};
use crate::render::{text, usage};

/// The rule whose findings about a later step only mean that an earlier step has not run yet.
const MISSING_OBJECT: &str = "missing-object";

/// A plan as steps. The database was reached: `server` is what it said of itself.
pub(crate) fn build(plan: &Plan, server: &ServerInfo, now: Timestamp) -> PlanView {
    let spec = &plan.desired.database;
    let (forecast, held_by) = without_hold(plan, now);
    let mut builder = Builder {
        plan,
        steps: Vec::new(),
        pending: BTreeMap::new(),
        first_wait: None,
    };
    let (mut blocked, mut waits, mut ahead) = (None, held_by, false);
    for (index, decision) in forecast.decisions.iter().enumerate() {
        let is_last = index + 1 == forecast.decisions.len();
        match decision {
            Decision::Act { action, because } => builder.act(action, because),
            Decision::Wait { on, .. } => {
                builder.wait(on);
                if let WaitingOn::Hints { migration, .. } = on {
                    builder.held(migration);
                }
                if is_last {
                    waits = Some(Stop {
                        reason: on.reason(),
                        text: on.to_string(),
                    });
                }
            }
            Decision::Blocked { by } => {
                if let Blocker::Hints { migration, .. } | Blocker::HintsRequired { migration, .. } =
                    by
                {
                    builder.held(migration);
                }
                blocked = Some(Stop {
                    reason: by.reason(),
                    text: by.to_string(),
                });
            }
            Decision::Converged { ahead: newer, .. } => ahead = *newer,
        }
    }
    builder.flush();
    let path = forecast::path(&plan.desired, &plan.facts, now);
    let current = forecast::current(&plan.desired, &plan.facts, now);
    PlanView {
        namespace: spec.id.namespace().to_owned(),
        name: spec.id.name().to_owned(),
        server: server.to_string(),
        address: server.address.clone(),
        current: current.map(|name| name.to_string()),
        desired: spec.desired.to_string(),
        version: version(plan),
        path: path.iter().map(ToString::to_string).collect(),
        reports: reports(plan, server, builder.steps.first(), now),
        steps: builder.steps,
        first_step_waits_for: builder.first_wait,
        blocked,
        waits,
        ahead,
    }
}

/// The version as the tool recorded it.
fn version(plan: &Plan) -> Option<String> {
    let version = plan.facts.database.known()?.version.known()?;
    match version {
        ObservedVersion::At(version) => Some(version.to_string()),
        ObservedVersion::Dirty { version, .. } => Some(format!("{version}, half applied")),
        ObservedVersion::None | ObservedVersion::Several(_) => None,
    }
}

/// `paused` and `readOnly` hold everything back; a plan shows what would happen without them, and says so.
fn without_hold(plan: &Plan, now: Timestamp) -> (Forecast, Option<Stop>) {
    let held = plan
        .forecast
        .decisions
        .last()
        .and_then(|decision| match decision {
            Decision::Wait {
                on: on @ (WaitingOn::Paused | WaitingOn::ReadOnly),
                ..
            } => Some(Stop {
                reason: on.reason(),
                text: on.to_string(),
            }),
            _ => None,
        });
    if held.is_none() {
        return (plan.forecast.clone(), None);
    }
    let mut desired = plan.desired.clone();
    desired.database.paused = false;
    desired.database.read_only = false;
    (
        forecast::forecast(&desired, &plan.facts, &BTreeMap::new(), now),
        held,
    )
}

struct Builder<'a> {
    plan: &'a Plan,
    steps: Vec<Step>,
    /// Retirements that belong to the next migration, if there is one.
    pending: BTreeMap<MigrationName, Retire>,
    first_wait: Option<String>,
}

impl Builder<'_> {
    fn act(&mut self, action: &Action, because: &Because) {
        match action {
            Action::Retire(retirement) => self.retire(&retirement.migration, None),
            Action::CreateCredential { migration } => self.create(migration),
            Action::StartRun(run) => {
                let from = run.from.as_ref().map(ToString::to_string);
                self.migration(&run.to, from, because.to_string(), false);
            }
            // They end a run that is over already; nobody plans them.
            Action::ReleaseJob { .. } => {}
            other => {
                self.flush();
                let what = What::Other {
                    action: other.to_string(),
                    because: because.to_string(),
                };
                self.steps.push(Step {
                    what,
                    ..Step::credentials()
                });
            }
        }
    }

    fn migration(
        &mut self,
        to: &MigrationName,
        from: Option<String>,
        because: String,
        blocked: bool,
    ) {
        let migration = to.to_string();
        let what = What::Migration {
            migration,
            from,
            because,
            hints: self.hints(to),
        };
        let retire = std::mem::take(&mut self.pending).into_values().collect();
        self.steps.push(Step {
            what,
            blocked,
            retire,
            create: Vec::new(),
        });
    }

    /// The migration that findings keep from starting.
    fn held(&mut self, migration: &MigrationName) {
        let from = self
            .plan
            .desired
            .chain
            .get(migration)
            .and_then(|m| m.previous.clone());
        self.migration(
            migration,
            from.map(|name| name.to_string()),
            "it is next".to_owned(),
            true,
        );
    }

    fn wait(&mut self, on: &WaitingOn) {
        let first = match on {
            WaitingOn::CredentialInUse { credentials, .. } => {
                for (migration, used) in credentials {
                    self.retire(migration, Some(used));
                }
                let names: Vec<String> = credentials.iter().map(|(m, _)| m.to_string()).collect();
                let (noun, verb) = if names.len() == 1 {
                    ("credential", "is")
                } else {
                    ("credentials", "are")
                };
                format!("{noun} {} {verb} unused", text::list(&names))
            }
            WaitingOn::QuietWindow {
                login,
                watched: Watched::Replaced,
                ..
            } => {
                let window = text::span(self.plan.desired.database.credentials.quiet_window);
                format!("login {login} has been unused for {window}")
            }
            WaitingOn::ReplacedInUse { logins } => {
                let names: Vec<String> = logins.iter().map(|one| one.login.to_string()).collect();
                format!("nobody holds login {}", text::list(&names))
            }
            WaitingOn::QuietWindow { migration, .. } => {
                self.retire(migration, None);
                let window = text::span(self.plan.desired.database.credentials.quiet_window);
                format!("credential {migration} has been unused for {window}")
            }
            WaitingOn::Slot { limit, .. } => format!("fewer than {limit} other migrations run"),
            other => other.to_string(),
        };
        // What comes after a migration is not in the way of the first one.
        if self.steps.is_empty() && self.first_wait.is_none() {
            self.first_wait = Some(first);
        }
    }

    fn retire(&mut self, migration: &MigrationName, used: Option<&Use>) {
        let window = text::span(self.plan.desired.database.credentials.quiet_window);
        let entry = self
            .pending
            .entry(migration.clone())
            .or_insert_with(|| Retire {
                migration: migration.to_string(),
                used_by: None,
                note: format!("once it has been unused for {window}"),
            });
        if let Some(used) = used {
            entry.used_by.get_or_insert_with(|| usage::whole(used));
        }
    }

    fn create(&mut self, migration: &MigrationName) {
        let id = &self.plan.desired.database.id;
        let create = Create {
            migration: migration.to_string(),
            secret: format!("{}/{}", id.namespace(), names::secret(id, migration)),
        };
        self.flush();
        match self.steps.last_mut() {
            Some(step) if !matches!(step.what, What::Other { .. }) => step.create.push(create),
            _ => self.steps.push(Step {
                create: vec![create],
                ..Step::credentials()
            }),
        }
    }

    /// Retirements that no migration follows are a step of their own.
    fn flush(&mut self) {
        if !self.pending.is_empty() {
            let retire = std::mem::take(&mut self.pending).into_values().collect();
            self.steps.push(Step {
                retire,
                ..Step::credentials()
            });
        }
    }

    fn hints(&self, migration: &MigrationName) -> HintsView {
        let no = |because: &str| HintsView::No {
            because: because.to_owned(),
        };
        if self.plan.desired.database.hints.mode == HintMode::Off {
            return no("hints.mode is Off");
        }
        let Some(wanted) = self.plan.desired.chain.get(migration) else {
            return no("the migration does not exist");
        };
        if wanted.hints.is_none() && wanted.sql.is_none() {
            return no("it does not say what it does to the schema (neither schemaHints nor sql)");
        }
        let of_hints = || {
            let hints = wanted.hints.iter().flatten();
            hints.map(ToString::to_string).collect::<Vec<String>>()
        };
        let Some(judgement) = self.plan.judgements.get(migration) else {
            let why = self
                .plan
                .facts
                .hints
                .as_ref()
                .filter(|hints| &hints.migration == migration);
            return match why.map(|hints| &hints.judged) {
                Some(Fact::Unknown(why)) => no(&format!("facts could not be had: {why}")),
                _ => unjudged(of_hints(), "judged when reached"),
            };
        };
        // What SQL says is known where it was read, in the server's own language.
        let operations = match wanted.sql {
            Some(_) => read_from(judgement),
            None => of_hints(),
        };
        let is_later = self
            .steps
            .iter()
            .any(|step| matches!(step.what, What::Migration { .. }));
        let missing = judgement
            .findings
            .iter()
            .find(|finding| finding.rule == MISSING_OBJECT);
        match missing {
            Some(finding) if is_later => unjudged(
                operations,
                &format!("judged when reached: {}", finding.claim),
            ),
            _ => HintsView::Now {
                operations: judged(operations, judgement),
            },
        }
    }
}

/// The operations of a migration with SQL, and the statements that could not be read.
fn read_from(judgement: &Judgement) -> Vec<String> {
    let predicted = judgement.predicted.iter().map(|one| &one.operation);
    let unread = judgement.not_judged.iter().filter(|one| one.unread);
    predicted
        .chain(unread.map(|one| &one.operation))
        .cloned()
        .collect()
}

fn unjudged(operations: Vec<String>, because: &str) -> HintsView {
    let operations = operations.into_iter().map(|operation| OperationView {
        operation,
        findings: Vec::new(),
        not_judged: None,
    });
    HintsView::WhenReached {
        operations: operations.collect(),
        because: because.to_owned(),
    }
}

fn judged(operations: Vec<String>, judgement: &Judgement) -> Vec<OperationView> {
    let view = |operation: String| {
        let findings = judgement
            .findings
            .iter()
            .filter(|f| f.operation == operation);
        let not_judged = judgement
            .not_judged
            .iter()
            .find(|not| not.operation == operation);
        OperationView {
            findings: findings.map(finding_view).collect(),
            not_judged: not_judged.map(|not| not.why.clone()),
            operation,
        }
    };
    operations.into_iter().map(view).collect()
}

fn finding_view(finding: &Finding) -> FindingView {
    FindingView {
        rule: finding.rule.clone(),
        verdict: finding.verdict.as_str(),
        table: finding.table.to_string(),
        text: line(finding),
        evidence: finding
            .evidence
            .iter()
            .map(|e| format!("{} ({})", e.value, e.source))
            .collect(),
        effect: finding.effect.as_ref().map(ToString::to_string),
        advice: finding.advice.clone(),
        accepted: finding.accepted.clone(),
    }
}

/// Full reports of what stands against the migration that comes next.
fn reports(plan: &Plan, server: &ServerInfo, first: Option<&Step>, now: Timestamp) -> Vec<String> {
    let next = forecast::next(&plan.desired, &plan.facts, now);
    let judgement = next
        .as_ref()
        .and_then(|next| plan.judgements.get(next).map(|j| (next, j)));
    let Some((next, judgement)) = judgement else {
        return Vec::new();
    };
    // Where the first step is another thing, its hints are not in the way yet.
    let in_the_way = match first.map(|step| &step.what) {
        Some(What::Migration { migration, .. }) => migration == next.as_str(),
        _ => true,
    };
    if !in_the_way {
        return Vec::new();
    }
    let subject = format!("{}  {next}", plan.desired.database.id.name());
    judgement
        .findings
        .iter()
        .filter(|finding| finding.verdict != Verdict::Clean && finding.accepted.is_none())
        .map(|finding| render(finding, &subject, server, now))
        .collect()
}

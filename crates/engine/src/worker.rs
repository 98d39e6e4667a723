//! The worker: one database, one pass after the other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dbop_database::Connector;
use dbop_model::finding::Judgement;
use dbop_model::health::{Checked, Health, Runs, Unseen};
use dbop_model::{Fact, MigrationName, ObjectRef, Why};
use dbop_plan::{Action, Decision, DeletionStep, Desired, Facts, Use, WaitingOn, decide, forecast};
use futures_util::future::join;
use jiff::Timestamp;

use crate::error::StepError;
use crate::execute;
use crate::judge::{Look, judge};
use crate::memory::Memory;
use crate::observe::{Freshness, Seen, observe};
use crate::observer::Observer;
use crate::platform::{Clock, Entropy, Platform, PlatformError, Report};
use crate::servers::Servers;
use crate::vitals::Vitals;

/// Steps of one reconcile: a hundred migrations in a row, then others get their turn.
const STEPS_MAX: usize = 500;
/// While a login is watched, its sessions are looked at this often: a client that connects for 200 ms is
/// seen, and the server is asked ten times a second at most.
const WATCH_STEP: Duration = Duration::from_millis(100);
/// The first failure waits this long ...
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// ... and none longer than this: a repaired database is found within a minute.
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// What may pass by itself is looked at more often: a database that is back is worked on within 15 seconds.
const BACKOFF_PASSING_MAX: Duration = Duration::from_secs(10);
/// Blocked databases are looked at after this, besides every event (data may have been put right by hand),
/// then after twice as long each time, up to the heartbeat.
const BLOCKED_LOOK: Duration = Duration::from_secs(15);
/// A run, or a credential in use, is looked at every second for so many looks ...
const EAGER_LOOKS: u32 = 60;
/// ... and then after this: it is a long migration, or somebody has to move an application. What the platform
/// sees of either wakes the worker at once.
const PATIENT_LOOK: Duration = Duration::from_secs(5);

/// What a worker works with.
#[derive(Clone)]
pub struct Engine {
    /// Where objects, Secrets and Jobs live.
    pub platform: Arc<dyn Platform>,
    /// The way to databases.
    pub connector: Arc<dyn Connector>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// How often is looked without an occasion.
    pub pace: Pace,
    /// Servers that do not answer, for all databases together.
    pub servers: Arc<Servers>,
    /// What was found beside the passes, for all databases together.
    pub vitals: Arc<Vitals>,
    /// Whoever looks on.
    pub observer: Arc<dyn Observer>,
}

impl Engine {
    /// An engine at the usual pace.
    pub fn new(
        platform: Arc<dyn Platform>,
        connector: Arc<dyn Connector>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            platform,
            connector,
            clock,
            entropy,
            pace: Pace::default(),
            servers: Arc::default(),
            vitals: Arc::default(),
            observer: Arc::new(()),
        }
    }
}

/// How often a database is looked at without an occasion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The slow look at a database where nothing is to be done: it finds what no event tells, such as a
    /// restored backup or a login that was dropped by hand. Each costs one connection and a dozen statements.
    pub heartbeat: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(30),
        }
    }
}

impl Pace {
    /// The heartbeat of this database: up to a tenth shorter by its name, so that a thousand databases that
    /// were found together do not stay together.
    fn heartbeat_of(self, database: &ObjectRef) -> Duration {
        const STEPS: u32 = 64;
        let text = database.to_string();
        let hash = text.bytes().fold(0_u32, |hash, byte| {
            hash.wrapping_mul(31).wrapping_add(u32::from(byte))
        });
        self.heartbeat - self.heartbeat / 10 * (hash % STEPS) / STEPS
    }
}

/// One database's worker.
pub struct Worker {
    engine: Engine,
    database: ObjectRef,
    memory: Memory,
}

/// Where a reconcile left a database.
#[derive(Debug, Clone, PartialEq)]
pub struct Next {
    /// The last decision; `None`: the object does not exist, or cannot be read.
    pub decision: Option<Decision>,
    /// What the last step failed with.
    pub failure: Option<StepError>,
    /// When to come back at the latest.
    pub wake_at: Timestamp,
}

/// How long to wait after so many failures in a row: doubling, bounded.
pub fn backoff(failures: u32) -> Duration {
    BACKOFF_FIRST
        .saturating_mul(1 << failures.saturating_sub(1).min(16))
        .min(BACKOFF_MAX)
}

impl Worker {
    /// A worker for this database.
    pub fn new(engine: Engine, database: ObjectRef) -> Self {
        Self {
            engine,
            database,
            memory: Memory::default(),
        }
    }

    /// The database.
    pub fn database(&self) -> &ObjectRef {
        &self.database
    }

    /// Goes as far as it can: observes, decides, acts, and again, until there is something to wait for.
    pub async fn reconcile(&mut self) -> Next {
        let began = self.engine.clock.now();
        let next = self.go().await;
        // A clock that was put back meanwhile tells no span.
        let took = self.engine.clock.now().duration_since(began);
        let took = Duration::try_from(took).unwrap_or_default();
        self.engine.observer.rested(&self.database, &next, took);
        next
    }

    async fn go(&mut self) -> Next {
        for _ in 0..STEPS_MAX {
            match self.pass().await {
                Pass::GoOn => {}
                Pass::Rest(next) => {
                    self.memory.told_late = false;
                    self.leave(&next);
                    return *next;
                }
            }
        }
        Next {
            decision: None,
            failure: None,
            wake_at: self.engine.clock.now(),
        }
    }

    /// What is seen, and what comes next. `None`: the object does not exist.
    ///
    /// A block calls for a person, so it is told only once it was seen live: of a database and its migrations,
    /// applied together, the database may be the first that is heard of.
    async fn decided(&mut self) -> Result<Option<Decided>, PlatformError> {
        let freshness = match self.memory.told_late {
            true => Freshness::Live,
            false => Freshness::Recent,
        };
        match self.look(freshness).await? {
            Some((_, decision, _))
                if matches!(decision, Decision::Blocked { .. })
                    && self.memory.is_news(&decision) =>
            {
                // What is live may want something else, and a step towards it is looked at by what is live as well.
                self.memory.told_late = true;
                self.look(Freshness::Live).await
            }
            decided => Ok(decided),
        }
    }

    async fn look(&mut self, freshness: Freshness) -> Result<Option<Decided>, PlatformError> {
        let (engine, database) = (&self.engine, &self.database);
        let seen = observe(engine, &mut self.memory, database, freshness, None).await?;
        let now = engine.clock.now();
        Ok(seen.map(|seen| {
            let decision = decide(&seen.desired, &seen.facts, now);
            (seen, decision, now)
        }))
    }

    async fn pass(&mut self) -> Pass {
        let (seen, decision, now) = match self.decided().await {
            Ok(Some(decided)) => decided,
            Ok(None) => {
                return Pass::rest(Next {
                    decision: None,
                    failure: None,
                    wake_at: Timestamp::MAX,
                });
            }
            Err(error) => return Pass::rest(self.failed(None, error.into())),
        };
        let shown = publish(&self.engine, &self.database, &seen, &decision, None);
        let Decision::Act { action, because } = &decision else {
            shown.await;
            let wake_at = self.wake_at(&decision, now);
            return Pass::rest(Next {
                decision: Some(decision),
                failure: None,
                wake_at,
            });
        };
        let job = decision.job().map(tracing::field::display);
        tracing::info!(database = %self.database, reason = decision.reason(), job, "{decision}");
        // It begins with a Job that is suspended, and writes nothing to the object: nobody waits for the status.
        let is_light = matches!(action, Action::StartRun(_)) && seen.is_prepared();
        let freshness = if is_light && !self.memory.told_late {
            Freshness::Recent
        } else {
            Freshness::Live
        };
        let (engine, memory) = (&self.engine, &mut self.memory);
        let executed = execute::execute(engine, memory, &self.database, action, freshness);
        let executed = if is_light {
            join(shown, executed).await.1
        } else {
            shown.await;
            executed.await
        };
        match executed {
            Ok(done) => {
                self.memory.failures = 0;
                self.memory.looks = 0;
                self.memory.told_late |= done == execute::Done::Not;
                if done == execute::Done::Whole {
                    let platform = &self.engine.platform;
                    platform.acted(&self.database, action, because).await;
                    self.engine.observer.acted(&self.database, action, because);
                }
                match action {
                    Action::Delete(DeletionStep::Finish { .. }) => Pass::rest(Next {
                        decision: Some(decision),
                        failure: None,
                        wake_at: Timestamp::MAX,
                    }),
                    _ => Pass::GoOn,
                }
            }
            Err(error) => {
                // What failed may have broken the connection, the lock with it.
                self.memory.disconnect();
                let text = error.to_string();
                publish(&self.engine, &self.database, &seen, &decision, Some(&text)).await;
                Pass::rest(self.failed(Some(decision), error))
            }
        }
    }

    fn failed(&mut self, decision: Option<Decision>, failure: StepError) -> Next {
        let (reason, job) = (
            decision.as_ref().map(Decision::reason),
            decision.as_ref().and_then(Decision::job),
        );
        let job = job.map(tracing::field::display);
        tracing::warn!(database = %self.database, reason, job, error = %failure, "the step failed");
        let wake_at = self.after_failure(failure.is_transient());
        Next {
            decision,
            failure: Some(failure),
            wake_at,
        }
    }

    fn after_failure(&mut self, passing: bool) -> Timestamp {
        self.memory.failures += 1;
        let pause = backoff(self.memory.failures);
        let pause = if passing {
            pause.min(BACKOFF_PASSING_MAX)
        } else {
            pause
        };
        later(self.engine.clock.now(), pause)
    }

    /// When to look again, where no event comes before. Looks that find the same become rarer.
    fn wake_at(&mut self, decision: &Decision, now: Timestamp) -> Timestamp {
        let heartbeat = self.engine.pace.heartbeat_of(&self.database);
        if let Decision::Wait {
            on: WaitingOn::Database { why },
            ..
        } = decision
        {
            return self.after_failure(why.is_passing());
        }
        self.memory.failures = 0;
        let looks = self.memory.looks_like(decision);
        match decision {
            Decision::Act { .. } => now,
            Decision::Converged { .. } => later(now, heartbeat),
            Decision::Blocked { .. } => {
                let pause = BLOCKED_LOOK.saturating_mul(1 << looks.min(16));
                later(now, pause.min(heartbeat.max(BLOCKED_LOOK)))
            }
            Decision::Wait {
                on: WaitingOn::CredentialInUse { .. } | WaitingOn::Run { .. },
                ..
            } if looks > EAGER_LOOKS => later(now, PATIENT_LOOK),
            // Nothing waits for it, and it may take until the next release: the platform tells of Pods.
            Decision::Wait {
                on: WaitingOn::ReplacedInUse { .. },
                ..
            } if looks > EAGER_LOOKS => later(now, heartbeat),
            Decision::Wait { wake_at, .. } => (*wake_at).min(later(now, heartbeat)),
        }
    }

    /// Leaves the database alone until there is something to do: no connection stays open at rest, or where a
    /// person or another server is waited for.
    fn leave(&mut self, next: &Next) {
        let soon = later(self.engine.clock.now(), PATIENT_LOOK);
        let is_watching = match &next.decision {
            // Its sessions are looked at all the time.
            Some(Decision::Wait {
                on: WaitingOn::QuietWindow { .. },
                ..
            }) => true,
            Some(Decision::Wait { on, .. }) => {
                let somebody_else = match on {
                    WaitingOn::Paused | WaitingOn::ReadOnly | WaitingOn::Database { .. } => true,
                    // For want of a right, perhaps, and one that a person grants shows in a new session alone: on
                    // MySQL and MariaDB a session keeps those that it began with.
                    WaitingOn::Unknown { .. } => true,
                    WaitingOn::ReplacedInUse { logins } => logins
                        .iter()
                        .any(|one| matches!(one.usage, Use::Unknown(_))),
                    WaitingOn::CredentialInUse { credentials, .. } => credentials
                        .iter()
                        .any(|(_, usage)| matches!(usage, Use::Unknown(_))),
                    _ => false,
                };
                // The server ends a session that is idle for longer.
                !somebody_else && next.wake_at <= soon
            }
            Some(Decision::Act { .. }) => next.failure.is_some(),
            Some(Decision::Blocked { .. } | Decision::Converged { .. }) | None => false,
        };
        if !is_watching {
            self.memory.disconnect();
        }
    }

    /// Rests until `next` says to come back, keeping an eye on the logins that are waited for. Returns
    /// early when one that was unused is used again, or when sessions cannot be looked at. The caller races
    /// it against the platform's events.
    pub async fn rest(&mut self, next: &Next) {
        // Only the look just made says so: one that finds no object, or cannot read it, asks no server.
        if let Some(address) = &self.memory.dead_server.take() {
            let (servers, clock) = (&self.engine.servers, self.engine.clock.as_ref());
            self.memory.may_try = servers.wait(address, clock).await;
            return;
        }
        let watched = matches!(
            &next.decision,
            Some(Decision::Wait {
                on: WaitingOn::QuietWindow { .. },
                ..
            })
        );
        if !watched {
            self.sleep_until(next.wake_at).await;
            return;
        }
        let before = self.memory.watch.quiet();
        while self.engine.clock.now() < next.wake_at {
            self.engine.clock.sleep(WATCH_STEP).await;
            if !self.look_at_sessions().await {
                return;
            }
            let now = self.memory.watch.quiet();
            if before.iter().any(|(m, quiet)| now.get(m) != Some(quiet)) {
                return;
            }
        }
    }

    /// One look at the sessions of the logins that were seen unused. False: it cannot be had.
    async fn look_at_sessions(&mut self) -> bool {
        let Some(connection) = &self.memory.connection else {
            return false;
        };
        let logins = self.memory.logins.clone();
        let (replicas, primary) = (&self.memory.replicas, connection.admin.as_ref());
        let in_use = replicas.in_use_anywhere(primary, &logins).await;
        let now = self.engine.clock.now();
        let in_use = match in_use {
            Ok(Some(in_use)) => in_use,
            failed => {
                let error = failed.err().map(|error| error.to_string());
                let error = error.unwrap_or_else(|| "a replica cannot be asked".to_owned());
                tracing::warn!(database = %self.database, error, "sessions could not be looked at");
                self.memory.disconnect();
                return false;
            }
        };
        let quiet = self.memory.watch.quiet();
        let unused = logins
            .into_iter()
            .filter(|login| quiet.contains_key(login) && !in_use.contains(login))
            .collect();
        self.memory.watch.look(&unused, now);
        true
    }

    async fn sleep_until(&self, wake_at: Timestamp) {
        let span = wake_at.duration_since(self.engine.clock.now());
        if let Ok(span) = Duration::try_from(span) {
            self.engine.clock.sleep(span).await;
        }
    }

    /// What would happen now, step by step, without writing anything anywhere.
    ///
    /// # Errors
    /// Where the object cannot be read.
    pub async fn plan(&mut self) -> Result<Option<Plan>, PlatformError> {
        let seen = observe(
            &self.engine,
            &mut self.memory,
            &self.database,
            Freshness::Live,
            None,
        )
        .await?;
        let Some(seen) = seen else { return Ok(None) };
        let now = self.engine.clock.now();
        let mut judgements = BTreeMap::new();
        if let Some(admin) = &seen.admin {
            for migration in forecast::path(&seen.desired, &seen.facts, now) {
                let look = Look {
                    engine: &self.engine,
                    admin: admin.as_ref(),
                    desired: &seen.desired,
                    facts: &seen.facts,
                    may_try: false,
                };
                let judged = judge(&look, &migration).await;
                if let Fact::Known(judgement) = judged {
                    judgements.insert(migration, judgement);
                }
            }
        }
        // Later migrations are judged when they are reached: their tables may be made on the way.
        let forecast = forecast::forecast(&seen.desired, &seen.facts, &BTreeMap::new(), now);
        Ok(Some(Plan {
            desired: seen.desired,
            facts: seen.facts,
            judgements,
            forecast,
        }))
    }
}

/// What would happen now.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What is wanted.
    pub desired: Desired,
    /// What was seen.
    pub facts: Facts,
    /// What the hints of each migration on the way come to against the database as it is now.
    pub judgements: BTreeMap<MigrationName, Judgement>,
    /// The steps, as if each succeeded.
    pub forecast: forecast::Forecast,
}

/// A look, what comes next by it, and when that was.
type Decided = (Seen, Decision, Timestamp);

enum Pass {
    GoOn,
    Rest(Box<Next>),
}

impl Pass {
    fn rest(next: Next) -> Self {
        Pass::Rest(Box::new(next))
    }
}

/// Shows where things stand. A status that cannot be written holds nothing up: the next pass writes it.
async fn publish(
    engine: &Engine,
    database: &ObjectRef,
    seen: &Seen,
    decision: &Decision,
    failure: Option<&str>,
) {
    let now = engine.clock.now();
    let vital = engine.vitals.of(database);
    let health = health(seen, decision, vital.looked.as_ref(), now);
    let report = Report {
        desired: &seen.desired,
        facts: &seen.facts,
        decision,
        failure,
        health: &health,
        unsampled: vital.unsampled.as_deref(),
        now,
    };
    engine.observer.published(database, &report);
    if let Err(error) = engine.platform.publish(database, &report).await {
        tracing::warn!(%database, %error, "the status could not be written");
    }
}

/// The health by the last look beside the passes, as long as the database can be reached, and by what runs say now.
fn health(
    seen: &Seen,
    decision: &Decision,
    looked: Option<&Result<Vec<Checked>, Why>>,
    now: Timestamp,
) -> Health {
    let facts = &seen.facts;
    let jobs = facts.jobs.known();
    let runs = Runs {
        last: facts.object.last_run.as_ref(),
        live: jobs.and_then(|jobs| jobs.iter().find(|job| job.is_live())),
        at_rest: matches!(decision, Decision::Converged { .. }),
        now,
    };
    let (checks, unseen) = match (&facts.database, looked) {
        (Fact::Unknown(why), _) | (Fact::Known(_), Some(Err(why))) => {
            (&[][..], Some(Unseen::Failed(why.clone())))
        }
        (Fact::Known(_), None) => (&[][..], Some(Unseen::NotYet)),
        (Fact::Known(_), Some(Ok(checks))) => (checks.as_slice(), None),
    };
    Health {
        unseen,
        ..dbop_health::whole(checks, &seen.desired.database.health, &runs)
    }
}

fn later(from: Timestamp, span: Duration) -> Timestamp {
    from.checked_add(span).unwrap_or(Timestamp::MAX)
}

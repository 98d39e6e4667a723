//! One database's task: reconcile, then rest until there is something to look at.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use dbop_engine::{Engine, Examiner, Next, Worker};
use dbop_model::{JobName, JobPhase, ObjectRef};
use dbop_plan::{Decision, WaitingOn};
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::sync::watch::Receiver;

use super::board::Board;
use super::end::{DatabaseEnd, end_of, says};
use super::patience::{Patience, Verdict};
use crate::observer::Progress;
use crate::platform::LocalPlatform;

/// A Job's lock is looked at this often: its end is noticed before a person does.
const JOB_LOOK_EVERY: Duration = Duration::from_millis(100);
/// Progress is worth a status in steps of this many percent; onlookers hear of every change.
const PROGRESS_STEP_PERCENT: f64 = 5.0;
/// When told to quit, a step under way may take so long to end by itself.
pub(super) const QUIT_GRACE: Duration = Duration::from_secs(5);

/// One database's task.
pub(super) struct Task {
    platform: Arc<LocalPlatform>,
    database: ObjectRef,
    worker: Worker,
    examiner: Examiner,
    /// When its health is looked at again.
    examined_until: Timestamp,
    engine: Engine,
    board: Arc<Board>,
    changes: Receiver<u64>,
    quit: Receiver<bool>,
    told: Option<(JobName, Progress)>,
}

impl Task {
    pub(super) fn new(
        platform: Arc<LocalPlatform>,
        engine: Engine,
        database: ObjectRef,
        board: Arc<Board>,
        changes: Receiver<u64>,
        quit: Receiver<bool>,
    ) -> Self {
        let worker = Worker::new(engine.clone(), database.clone());
        let alone = Arc::new(Semaphore::new(1));
        let examiner = Examiner::new(engine.clone(), database.clone(), alone);
        Self {
            platform,
            database,
            worker,
            examiner,
            examined_until: Timestamp::MIN,
            engine,
            board,
            changes,
            quit,
            told: None,
        }
    }

    /// Works until it is told to quit, or the manifest is gone.
    pub(super) async fn run(mut self) {
        let mut patience = Patience::default();
        loop {
            // What changes from here on is not seen by this reconcile.
            self.changes.mark_unchanged();
            let next = tokio::select! {
                next = pass(&mut self.worker, &self.examiner, &mut self.examined_until, &self.engine) => next,
                () = overdue(&mut self.quit) => return,
            };
            if is_gone(&next) {
                self.board.forget(&self.database);
                return;
            }
            let verdict = patience.judge(&next, self.engine.clock.now());
            self.tell(&next, verdict == Verdict::Settled);
            if !self.rest(&next, verdict).await {
                return;
            }
        }
    }

    fn tell(&self, next: &Next, settled: bool) {
        let last_run = self.platform.last_run(&self.database).ok().flatten();
        let end = DatabaseEnd {
            database: self.database.clone(),
            end: end_of(next, last_run.map(|run| run.outcome)),
            says: says(next),
        };
        self.board.stands(end, settled);
    }

    /// Rests until there is something to look at. False: it is told to quit.
    async fn rest(&mut self, next: &Next, verdict: Verdict) -> bool {
        let Self {
            platform,
            database,
            worker,
            engine,
            changes,
            quit,
            told,
            ..
        } = self;
        let judged_again = async {
            match verdict {
                Verdict::Going(Some(at)) => engine.clock.sleep(until(engine, at)).await,
                Verdict::Going(None) | Verdict::Settled => pending().await,
            }
        };
        tokio::select! {
            () = worker.rest(next) => true,
            () = judged_again => true,
            // The driver is gone where nobody can change anything any more.
            changed = changes.changed() => changed.is_ok(),
            () = moves(platform, database, next, told) => true,
            _ = quit.wait_for(|quit| *quit) => false,
        }
    }
}

/// Goes as far as it can. At rest, where it holds nobody up, the database's health is looked at, once in its interval,
/// and shown by one more pass.
async fn pass(
    worker: &mut Worker,
    examiner: &Examiner,
    examined_until: &mut Timestamp,
    engine: &Engine,
) -> Next {
    let next = worker.reconcile().await;
    let is_at_rest = matches!(next.decision, Some(Decision::Converged { .. }));
    if !is_at_rest || engine.clock.now() < *examined_until {
        return next;
    }
    let Some(pause) = examiner.turn().await else {
        return next;
    };
    let until = engine.clock.now().checked_add(pause);
    *examined_until = until.unwrap_or(Timestamp::MAX);
    worker.reconcile().await
}

/// The object does not exist any more; nothing else leaves nothing to come back for.
fn is_gone(next: &Next) -> bool {
    next.decision.is_none() && next.failure.is_none() && next.wake_at == Timestamp::MAX
}

fn until(engine: &Engine, at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(engine.clock.now())).unwrap_or_default()
}

/// Returns some time after it is told to quit.
async fn overdue(quit: &mut Receiver<bool>) {
    // An error says that the driver is gone, which is as good as being told.
    let _ = quit.wait_for(|quit| *quit).await;
    tokio::time::sleep(QUIT_GRACE).await;
}

/// Returns when the run that is waited for ends, or has come far enough to be shown.
async fn moves(
    platform: &LocalPlatform,
    database: &ObjectRef,
    next: &Next,
    told: &mut Option<(JobName, Progress)>,
) {
    let Some(Decision::Wait {
        on: WaitingOn::Run { job, .. },
        ..
    }) = &next.decision
    else {
        return pending().await;
    };
    let start = told
        .clone()
        .filter(|(of, _)| of == job)
        .map(|(_, progress)| progress);
    loop {
        tokio::time::sleep(JOB_LOOK_EVERY).await;
        // What cannot be read is for the next pass to tell.
        if !matches!(
            platform.job_phase(database, job),
            Ok(Some(JobPhase::Running))
        ) {
            return;
        }
        let Some(progress) = platform.job_progress(job) else {
            continue;
        };
        if told
            .as_ref()
            .is_some_and(|(of, before)| of == job && *before == progress)
        {
            continue;
        }
        platform.observer().progress(database, job, progress);
        *told = Some((job.clone(), progress));
        if step(Some(progress)) != step(start) {
            return;
        }
    }
}

/// Which step of progress this is; `None`: it is not known.
fn step(progress: Option<Progress>) -> Option<i64> {
    let completion = progress?
        .completion
        .filter(|completion| completion.is_finite())?;
    Some((completion.clamp(0.0, 1.0) * 100.0 / PROGRESS_STEP_PERCENT) as i64)
}

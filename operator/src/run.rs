//! `run`: the operator in a cluster. Watches fill the caches, the Lease says who works, and the driver works on
//! every database for as long as this process leads.
//!
//! A lost lease does not end the process: all work stops at once, and it follows again. To stop, not to be
//! restarted, is what safety asks for, and it is had without: each term has a client of its own whose gate never
//! opens again, and the lease is sought anew only when nothing of the last term is at work. So an API server that
//! was away costs no start from nothing, and no growing pauses between starts.

mod setup;

use std::sync::Arc;
use std::time::Duration;

use dbop_database::Connector;
use dbop_engine::{Engine, Pace};
use dbop_kubernetes::access::Cluster;
use dbop_kubernetes::election::{Election, Leadership, Terms};
use dbop_kubernetes::gate::Connections;
use dbop_kubernetes::{Caches, KubernetesPlatform, ProgressSource, Settings, drive};
use dbop_model::JobName;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::cli::RunArgs;
use crate::commands::cluster::{access as way, failure};
use crate::commands::{Done, Exit};
use crate::http::{Health, Server};
use crate::memory;
use crate::metrics::{Census, Series};
use crate::receiver::{Gateways, Metrics, Relay};
use crate::render::Failure;
use crate::shell::{SystemClock, SystemEntropy};

/// The loop turns this often, for `/livez`.
const TURN_EVERY: Duration = Duration::from_secs(1);
/// After so many turns free memory is given back.
const TURNS_OF_MEMORY: u32 = 15;
/// How long the driver may take to stop when it is told to: its own limit, and some. A Pod has thirty seconds.
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// A second signal ends the program at once, with the status of a program that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// Works until told to stop.
pub(crate) async fn run(args: RunArgs, connector: Arc<dyn Connector>) -> Done {
    let stop = signals()?;
    let health = Health::new();
    let (mut turns, mut turn) = (tokio::time::interval(TURN_EVERY), 0_u32);
    // In the same task: where the work hangs the task, the loop does not turn.
    let mut work = std::pin::pin!(work(args, connector, health.clone(), stop));
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = turns.tick() => {
                health.turn();
                turn = turn.wrapping_add(1);
                if turn.is_multiple_of(TURNS_OF_MEMORY) {
                    memory::give_back();
                }
            }
        }
    }
}

async fn work(
    args: RunArgs,
    connector: Arc<dyn Connector>,
    health: Health,
    stop: watch::Receiver<bool>,
) -> Done {
    let cluster = Cluster::find(&way(&args.cluster)).await;
    let cluster = cluster.map_err(|e| failure(&e))?;
    let Some(settings) = unless_stopped(&stop, setup::settings(&args, &cluster)).await else {
        return Ok(Exit::Done);
    };
    let settings = settings?;
    let seat = setup::seat(&args, &cluster).await;

    let client = cluster.unguarded().map_err(|e| failure(&e))?;
    let (seated, clock) = (seat.clone(), Arc::new(SystemClock));
    let election = Election::start(client, seated, Terms::DEFAULT, clock);
    let metrics = Metrics::default();
    let relay = Relay::new(election.leader_address());
    let caches = Caches::new();
    let census = Counted {
        caches: caches.clone(),
        leadership: election.leadership(),
    };
    let series = Series::new(Box::new(census), Arc::new(SystemClock));
    let server = Server::start(
        args.listen,
        health.clone(),
        metrics.clone(),
        relay,
        series.clone(),
    );
    let server = server.await;
    let server = server.map_err(|error| {
        let what = format!("{} cannot be listened on: {error}", args.listen);
        Failure::new(what).or("name another address and port with --listen")
    })?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        server = cluster.server(),
        cluster = settings.cluster,
        identity = seat.identity,
        listens = %server.address(),
        push_address = settings.push_address,
        "database-operator starts"
    );

    let looking = cluster.looking().map_err(|e| failure(&e))?;
    let watches = caches.start(&looking, &args.namespaces);
    let operator = Operator {
        cluster,
        connector,
        caches,
        settings,
        metrics,
        series,
        pace: Pace {
            heartbeat: args.heartbeat,
        },
    };
    operator.lead(election, watches, &health, stop).await
}

/// What every term works with.
struct Operator {
    cluster: Cluster,
    connector: Arc<dyn Connector>,
    caches: Arc<Caches>,
    settings: Settings,
    metrics: Metrics,
    series: Series,
    pace: Pace,
}

/// How a term ended.
enum TermEnd {
    /// The lease is lost.
    Lost,
    /// The process is told to stop.
    Stopped,
}

impl Operator {
    /// Fills the caches, and works whenever it leads.
    async fn lead(
        self,
        mut election: Election,
        mut watches: JoinSet<()>,
        health: &Health,
        stop: watch::Receiver<bool>,
    ) -> Done {
        if unless_stopped(&stop, self.caches.filled()).await.is_none() {
            return Ok(Exit::Done);
        }
        health.filled();
        let (databases, migrations) = self.caches.counts();
        tracing::info!(databases, migrations, "everything is listed");
        let fault =
            |what: &str| Failure::new(format!("a fault of the program itself: {what} ended"));
        loop {
            let won = tokio::select! {
                won = unless_stopped(&stop, election.won()) => won,
                _ = watches.join_next() => return Err(fault("a watch").into()),
            };
            match won {
                None => break,
                Some(Err(ended)) => return Err(fault(&ended.to_string()).into()),
                Some(Ok(())) => {}
            }
            let term = election.leadership().this_term();
            let driving = self.drive(term.clone())?;
            let end = tokio::select! {
                end = follow(driving, &term, &stop) => end,
                _ = watches.join_next() => return Err(fault("a watch").into()),
            };
            self.series.clear();
            match end {
                Some(TermEnd::Lost) => {
                    tracing::warn!(
                        "the lease is lost: all work is stopped, and this operator waits"
                    );
                }
                Some(TermEnd::Stopped) => break,
                None => return Err(fault("the driver").into()),
            }
        }
        tracing::info!("database-operator stops");
        election.release().await;
        Ok(Exit::Done)
    }

    /// Starts the work of one term, with a client of its own.
    fn drive(&self, term: Leadership) -> Result<Driving, Failure> {
        let connector = Connections::new(self.connector.clone(), term.clone());
        let connector = Arc::new(connector);
        let client = self.cluster.leading(term).map_err(|e| failure(&e))?;
        let (progress, clock) = (
            Arc::new(Progress(self.metrics.clone(), Gateways::default())),
            Arc::new(SystemClock),
        );
        let (caches, settings) = (self.caches.clone(), self.settings.clone());
        let platform =
            KubernetesPlatform::new(client, caches.clone(), settings, progress, clock.clone());
        let platform = Arc::new(platform);
        let engine = Engine {
            pace: self.pace,
            observer: Arc::new(self.series.clone()),
            ..Engine::new(platform.clone(), connector, clock, Arc::new(SystemEntropy))
        };
        let (quit, quitting) = watch::channel(false);
        Ok(Driving {
            task: tokio::spawn(drive::run(platform, caches, engine, quitting)),
            quit,
        })
    }
}

/// A driver at work. Dropped, it is stopped where it is, which is as safe as a crash.
struct Driving {
    task: JoinHandle<()>,
    quit: watch::Sender<bool>,
}

impl Drop for Driving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits for the end of a term, and ends its work with it; `None`: the work ended by itself.
async fn follow(
    mut driving: Driving,
    term: &Leadership,
    stop: &watch::Receiver<bool>,
) -> Option<TermEnd> {
    tokio::select! {
        biased;
        () = term.lost() => {
            driving.task.abort();
            // What a task of it has in hand still, its gate does not let out: not now, and not in the next term.
            let _ = (&mut driving.task).await;
            Some(TermEnd::Lost)
        }
        () = stopped(stop) => {
            driving.quit.send_replace(true);
            let ended = tokio::select! {
                _ = &mut driving.task => true,
                () = term.lost() => false,
                () = tokio::time::sleep(STOP_LIMIT) => false,
            };
            if !ended {
                driving.task.abort();
                let _ = (&mut driving.task).await;
            }
            Some(TermEnd::Stopped)
        }
        _ = &mut driving.task => None,
    }
}

/// How many objects the caches hold, as long as this operator leads.
struct Counted {
    caches: Arc<Caches>,
    leadership: Leadership,
}

impl Census for Counted {
    fn count(&self) -> Option<(usize, usize)> {
        self.leadership.may_write().then(|| self.caches.counts())
    }
}

/// How far migrations are, by what they push.
struct Progress(Metrics, Gateways);

impl ProgressSource for Progress {
    fn completion(&self, job: &JobName, gateway: Option<&str>) -> Option<f64> {
        match gateway {
            None => self.0.run(job.as_str())?.completion,
            Some(address) => self.1.completion(job.as_str(), address),
        }
    }

    fn forget(&self, job: &JobName, gateway: Option<&str>) {
        match gateway {
            None => self.0.forget(job.as_str()),
            Some(address) => self.1.forget(job.as_str(), address),
        }
    }
}

/// Something that is waited for, unless the process is told to stop.
async fn unless_stopped<T>(
    stop: &watch::Receiver<bool>,
    wanted: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        got = wanted => Some(got),
        () = stopped(stop) => None,
    }
}

async fn stopped(stop: &watch::Receiver<bool>) {
    let mut stop = stop.clone();
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Becomes true at the first SIGTERM or Ctrl-C; the second ends the program at once.
fn signals() -> Result<watch::Receiver<bool>, Failure> {
    let wrong = |error| Failure::new(format!("signals cannot be listened to: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(wrong)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(wrong)?;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        for is_second in [false, true] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if is_second {
                std::process::exit(INTERRUPTED);
            }
            stop.send_replace(true);
        }
    });
    Ok(stopped)
}

//! What becomes of walks when the operator fails, or what it stands on does: on a real API server and a real
//! PostgreSQL server, with operators as processes, seen from outside alone.
//!
//! A slice of it runs in `cargo xtask test`, with a seed; the whole is `cargo xtask prove replicas`. Whoever takes
//! the API server away has it alone.

#[path = "replicas/caches.rs"]
mod caches;
#[path = "replicas/dashboards.rs"]
mod dashboards;
#[path = "replicas/gateway.rs"]
mod gateway;
#[path = "replicas/metrics.rs"]
mod metrics;
#[path = "replicas/moments.rs"]
mod moments;
#[path = "replicas/outages.rs"]
mod outages;
#[path = "replicas/servers.rs"]
mod servers;
#[path = "replicas/strikes.rs"]
mod strikes;
#[path = "replicas/takeover.rs"]
mod takeover;

use std::time::Duration;

use dbop_tests::kubernetes::{End, Stage};
use dbop_tests::{TestServer, server};
use tokio::sync::{OnceCell, RwLock, Semaphore};
use tokio::task::LocalSet;

/// The server's version: which one it is makes no difference here.
const MAJOR: u8 = 18;
/// The API server: tests that need it share it, those that take it away have it alone.
static API_SERVER: RwLock<()> = RwLock::const_new(());
/// Stages at once: they mostly wait, and a machine has two cores.
static STAGES: Semaphore = Semaphore::const_new(6);
/// A killed leader is replaced within this (README, `run --help`).
const TAKEOVER: Duration = Duration::from_secs(20);
/// How long a walk of one migration may take on a machine that does other things too.
const WALK: Duration = Duration::from_secs(180);
/// How long each migration of most tests takes: long enough to be struck at.
const MIGRATION: Duration = Duration::from_millis(300);

/// Runs walks side by side, all of them to their end.
async fn side_by_side<F: Future<Output = ()> + 'static>(walks: impl IntoIterator<Item = F>) {
    let local = LocalSet::new();
    let walks: Vec<_> = walks
        .into_iter()
        .map(|walk| local.spawn_local(walk))
        .collect();
    let failed = local.run_until(async {
        let mut failed = 0;
        for walk in walks {
            // The panic itself is among the output.
            failed += usize::from(walk.await.is_err());
        }
        failed
    });
    let failed = failed.await;
    assert!(failed == 0, "{failed} walks did not end as they should");
}

fn postgres() -> TestServer {
    server(MAJOR)
}

/// A stage whose database is at rest at `v2` by the hand of the operator `a`, which leads.
async fn at_v2(what: &str) -> (Stage, dbop_tests::kubernetes::Operator) {
    let stage = Stage::new(&postgres(), what, MIGRATION).await;
    stage.manage("v2").await;
    let a = stage.operator("a").await;
    stage.at_rest("v2", WALK).await;
    (stage, a)
}

/// How an undisturbed walk by way of `v2` to `v3` ends.
async fn undisturbed() -> End {
    static UNDISTURBED: OnceCell<End> = OnceCell::const_new();
    let end = UNDISTURBED.get_or_init(async || {
        let (stage, a) = at_v2("undisturbed").await;
        stage.desire("v3").await;
        stage.at_rest("v3", WALK).await;
        a.stop().await;
        stage.ran_once();
        let end = stage.end().await;
        assert_eq!(end.credentials, ["v2", "v3"], "{end:?}");
        assert_eq!(end.steps, [1, 2, 3], "{end:?}");
        assert_eq!(end.held_jobs, 0, "{end:?}");
        stage.leave().await;
        end
    });
    end.await.clone()
}

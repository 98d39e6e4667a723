//! The port of `run`: probes, metrics, and the pushes of migrations.
//!
//! `/livez`: the program's own loop turns. `/readyz`: the caches are filled; a replica that waits for the lease is
//! ready too, as it could lead at once. `/metrics` and pushes are the [`receiver`](crate::receiver)'s, what it shows besides them
//! the [`metrics`](crate::metrics)'. Whoever
//! reaches the port is bounded: so many connections, each silent for so long at most.

mod listener;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::metrics::Series;
use crate::receiver::{self, Metrics, Relay};
use listener::Bounded;

/// The loop turns every second; one that has not for so long hangs. Kubernetes asks several times before it acts.
const SILENT_MAX: Duration = Duration::from_secs(20);

/// How the program is.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    base: Instant,
    /// When the loop turned last, in milliseconds after `base`.
    turned: AtomicU64,
    filled: watch::Sender<bool>,
}

impl Health {
    pub(crate) fn new() -> Self {
        let shared = Shared {
            base: Instant::now(),
            turned: AtomicU64::new(0),
            filled: watch::Sender::new(false),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The loop turns.
    pub(crate) fn turn(&self) {
        let now = self.shared.base.elapsed().as_millis();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        self.shared.turned.store(now, Ordering::Relaxed);
    }

    /// The caches are filled.
    pub(crate) fn filled(&self) {
        self.shared.filled.send_replace(true);
    }

    fn silent_for(&self) -> Duration {
        let turned = Duration::from_millis(self.shared.turned.load(Ordering::Relaxed));
        self.shared.base.elapsed().saturating_sub(turned)
    }
}

/// What listens, until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Server {
    /// Listens.
    pub(crate) async fn start(
        address: SocketAddr,
        health: Health,
        metrics: Metrics,
        relay: Relay,
        series: Series,
    ) -> io::Result<Self> {
        let listener = Bounded::bind(address).await?;
        let address = listener.address()?;
        let router = router(health).merge(receiver::router(metrics, Some(relay), Some(series)));
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "probes are no longer answered");
            }
        });
        Ok(Self { address, serving })
    }

    /// Where.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn router(health: Health) -> Router {
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .with_state(health)
}

async fn live(State(health): State<Health>) -> (StatusCode, String) {
    let silent = health.silent_for();
    if silent < SILENT_MAX {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    let text = format!("the loop has not turned for {} s\n", silent.as_secs());
    (StatusCode::SERVICE_UNAVAILABLE, text)
}

async fn ready(State(health): State<Health>) -> (StatusCode, &'static str) {
    if *health.shared.filled.borrow() {
        (StatusCode::OK, "ok\n")
    } else {
        let text = "not everything that is watched has been listed yet\n";
        (StatusCode::SERVICE_UNAVAILABLE, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::testing;
    use crate::receiver::testing::http;

    async fn server(health: &Health, leader: Option<String>) -> (Server, Metrics) {
        let metrics = Metrics::default();
        // The sender may go: what it said last stands.
        let relay = Relay::new(watch::channel(leader).1);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let series = testing::series();
        let server = Server::start(any, health.clone(), metrics.clone(), relay, series).await;
        (server.unwrap(), metrics)
    }

    #[tokio::test]
    async fn probes_tell_how_it_is() {
        let health = Health::new();
        let (server, _) = server(&health, None).await;
        let get = async |path| http(server.address(), "GET", path, "", "").await;
        assert_eq!(get("/livez").await, (200, "ok\n".to_owned()));
        assert_eq!(get("/readyz").await.0, 503);
        health.filled();
        assert_eq!(get("/readyz").await, (200, "ok\n".to_owned()));
        assert_eq!(get("/elsewhere").await.0, 404);
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_hangs_is_told() {
        let health = Health::new();
        tokio::time::advance(SILENT_MAX).await;
        let (status, text) = live(State(health.clone())).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(text, "the loop has not turned for 20 s\n");
        health.turn();
        assert_eq!(live(State(health)).await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn a_push_under_a_name_of_ours_does_not_spoil_the_answer() {
        let health = Health::new();
        let (server, _) = server(&health, None).await;
        let body = "# TYPE dba_operator_leader counter\ndba_operator_leader 7\nmigration_items_complete_total 5\n\
                    # TYPE reconciles gauge\nreconciles 1\ndba_operator_anything 1\n";
        let push = http(server.address(), "PUT", "/metrics/job/m/job_id/a", "", body).await;
        assert_eq!(push.0, 200);
        let (status, text) = http(server.address(), "GET", "/metrics", "", "").await;
        assert_eq!(status, 200);
        let lines_with = |what: &str| text.lines().filter(|line| line.contains(what)).count();
        assert_eq!(lines_with("# TYPE dba_operator_leader "), 1, "{text}");
        assert!(text.contains("\ndba_operator_leader 1\n"), "{text}");
        assert_eq!(lines_with("dba_operator_anything"), 0);
        assert_eq!(lines_with("migration_items_complete_total{"), 1);
    }

    #[tokio::test]
    async fn pushes_reach_the_leader_by_way_of_another() {
        let health = Health::new();
        let (leader, kept) = server(&health, None).await;
        let (follower, not_kept) = server(&health, Some(leader.address().to_string())).await;
        let path = "/metrics/job/m/job_id/a";
        let body = "migration_completion_percent 0.5\n";
        let push = async |method| http(follower.address(), method, path, "", body).await;
        assert_eq!(push("PUT").await.0, 200);
        assert_eq!(kept.run("a").unwrap().completion, Some(0.5));
        assert_eq!(not_kept.run("a"), None);
        assert_eq!(push("DELETE").await.0, 202);
        assert_eq!(kept.run("a"), None);
        let bad = http(follower.address(), "PUT", path, "", "a\n").await;
        assert_eq!(bad.0, 400, "what is no push goes no further");

        drop(leader);
        tokio::task::yield_now().await;
        let (status, text) = push("PUT").await;
        assert_eq!(status, 503, "{text}");
        assert!(text.ends_with("; push again later\n"), "{text}");
    }

    #[tokio::test]
    async fn two_that_take_each_other_for_the_leader_hand_on_once() {
        let health = Health::new();
        let (a, _) = server(&health, None).await;
        let (b, b_keeps) = server(&health, Some(a.address().to_string())).await;
        // To b, as if a had handed it on: b keeps it.
        let handed_on = "x-database-operator-handed-on: 1\r\n";
        let path = "/metrics/job/m/job_id/a";
        let body = "migration_completion_percent 0.5\n";
        assert_eq!(http(b.address(), "PUT", path, handed_on, body).await.0, 200);
        assert!(b_keeps.run("a").is_some());
    }
}

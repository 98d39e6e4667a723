//! Leader election and the gate against a real API server.
//!
//! `cargo xtask cluster up --light -- cargo test -p dbop-kubernetes --test election`

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, which is its use"
)]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use dbop_engine::Clock;
use dbop_kubernetes::election::{Election, Leadership, Seat, Terms};
use dbop_kubernetes::gate::{self, Gate, GateError};
use http::Request;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ObjectMeta, PostParams};
use kube::client::{Body, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use tokio::time::{Instant, sleep, timeout};
use tower::{BoxError, Layer, Service};

/// The operator's own times, five times as fast.
const TERMS: Terms = Terms {
    lease: Duration::from_millis(3000),
    renew_deadline: Duration::from_millis(2000),
    renew_every: Duration::from_millis(600),
    retry_every: Duration::from_millis(400),
    call_timeout: Duration::from_millis(800),
};
/// What takes longer than this does not come.
const LIMIT: Duration = Duration::from_secs(30);
const NAMESPACE: &str = "default";

/// A clock that stands still: the times in a Lease decide nothing.
struct Stopped;

#[async_trait]
impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    async fn sleep(&self, span: Duration) {
        sleep(span).await;
    }
}

async fn config() -> Config {
    let path = std::env::var("DBOP_TEST_KUBECONFIG").expect(
        "DBOP_TEST_KUBECONFIG is not set: cargo xtask cluster up --light -- \
         cargo test -p dbop-kubernetes --test election",
    );
    let kubeconfig = Kubeconfig::read_from(path).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    let mut config = config.unwrap();
    config.default_retry = false;
    config
}

/// The way between one elector and the API server.
#[derive(Clone, Default)]
struct Way(Arc<AtomicU8>);

const OPEN: u8 = 0;
/// Requests do not arrive.
const CUT: u8 = 1;
/// Requests arrive, answers do not.
const ONE_WAY: u8 = 2;

impl Way {
    fn set(&self, state: u8) {
        self.0.store(state, Ordering::SeqCst);
    }
}

impl<S> Layer<S> for Way {
    type Service = OnTheWay<S>;

    fn layer(&self, inner: S) -> OnTheWay<S> {
        OnTheWay(self.clone(), inner)
    }
}

struct OnTheWay<S>(Way, S);

type Answer<R> = Pin<Box<dyn Future<Output = Result<R, BoxError>> + Send>>;

impl<S> Service<Request<Body>> for OnTheWay<S>
where
    S: Service<Request<Body>, Error = BoxError>,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Answer<S::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.1.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let state = self.0.0.load(Ordering::SeqCst);
        if state == CUT {
            return Box::pin(std::future::pending());
        }
        let answer = self.1.call(request);
        Box::pin(async move {
            let answer = answer.await;
            if state == ONE_WAY {
                std::future::pending::<()>().await;
            }
            answer
        })
    }
}

/// One Lease of a test, gone afterwards.
struct Stage {
    config: Config,
    leases: Api<Lease>,
    name: String,
}

impl Stage {
    async fn new(name: &str) -> Self {
        let config = config().await;
        let client = Client::try_from(config.clone()).unwrap();
        let stage = Self {
            config,
            leases: Api::namespaced(client, NAMESPACE),
            name: format!("dbop-test-{name}-{}", std::process::id()),
        };
        stage.delete().await;
        stage
    }

    async fn delete(&self) {
        let _ = self.leases.delete(&self.name, &Default::default()).await;
    }

    fn elector(&self, identity: &str, way: &Way) -> Election {
        let builder = ClientBuilder::try_from(self.config.clone()).unwrap();
        let client = builder.with_layer(way).build();
        let seat = Seat {
            namespace: NAMESPACE.to_owned(),
            name: self.name.clone(),
            identity: identity.to_owned(),
            address: Some(format!("{identity}:8080")),
        };
        Election::start(client, seat, TERMS, Arc::new(Stopped))
    }

    async fn holder(&self) -> (String, i32) {
        let lease = self.leases.get(&self.name).await.unwrap();
        let spec = lease.spec.unwrap();
        (
            spec.holder_identity.unwrap_or_default(),
            spec.lease_transitions.unwrap_or_default(),
        )
    }
}

async fn wins(election: &mut Election) {
    let won = timeout(LIMIT, election.won()).await;
    won.expect("it does not lead in time").unwrap();
}

/// Watches two at every millisecond: they never lead at the same time.
fn watch_both(a: &Leadership, b: &Leadership) -> tokio::task::JoinHandle<()> {
    let (a, b) = (a.clone(), b.clone());
    tokio::spawn(async move {
        loop {
            assert!(!(a.may_write() && b.may_write()), "both lead");
            sleep(Duration::from_millis(1)).await;
        }
    })
}

async fn ends(watching: tokio::task::JoinHandle<()>) {
    watching.abort();
    let end = watching.await.unwrap_err();
    assert!(end.is_cancelled(), "both led");
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_one_leads() {
    let stage = Stage::new("dead").await;
    let ways = [Way::default(), Way::default()];
    let (mut a, mut b) = (stage.elector("a", &ways[0]), stage.elector("b", &ways[1]));
    let watching = watch_both(&a.leadership(), &b.leadership());
    let (name, mut other) = tokio::select! {
        won = a.won() => { won.unwrap(); ("a", b) }
        won = b.won() => { won.unwrap(); ("b", a) }
    };
    // Renewals go on beyond a term, and the other does not get it.
    let early = timeout(2 * TERMS.lease, other.won()).await;
    assert!(early.is_err(), "both lead");
    assert_eq!(stage.holder().await, (name.to_owned(), 0));
    let address = other.leader_address().borrow().clone();
    assert_eq!(address, Some(format!("{name}:8080")));
    ends(watching).await;
    stage.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_leader_is_replaced_when_its_lease_has_run_out() {
    let stage = Stage::new("dropped").await;
    let way = Way::default();
    let (mut a, mut b) = (stage.elector("a", &way), stage.elector("b", &way));
    wins(&mut a).await;
    let waiting = tokio::spawn(async move {
        wins(&mut b).await;
        (b, Instant::now())
    });
    sleep(TERMS.renew_every).await;
    let leadership = a.leadership();
    drop(a);
    let dropped = Instant::now();
    // The task ends when it is next at rest.
    timeout(LIMIT, leadership.lost()).await.unwrap();
    let (_b, began) = waiting.await.unwrap();
    let took = began - dropped;
    assert!(
        took > TERMS.lease - TERMS.renew_every - TERMS.call_timeout,
        "{took:?}"
    );
    assert!(
        took < TERMS.lease + 2 * TERMS.retry_every + TERMS.call_timeout,
        "{took:?}"
    );
    assert_eq!(stage.holder().await, ("b".to_owned(), 1));
    stage.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_released_lease_is_taken_at_once() {
    let stage = Stage::new("released").await;
    let way = Way::default();
    let (mut a, mut b) = (stage.elector("a", &way), stage.elector("b", &way));
    wins(&mut a).await;
    let waiting = tokio::spawn(async move {
        wins(&mut b).await;
        (b, Instant::now())
    });
    sleep(TERMS.retry_every).await;
    let leadership = a.leadership();
    let asked = Instant::now();
    a.release().await;
    assert!(!leadership.may_write());
    let (b, began) = waiting.await.unwrap();
    let took = began - asked;
    assert!(took < TERMS.retry_every + TERMS.call_timeout, "{took:?}");
    b.release().await;
    assert_eq!(stage.holder().await, (String::new(), 1));
    stage.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_cut_off_stops_before_the_other_starts() {
    for state in [CUT, ONE_WAY] {
        let stage = Stage::new(&format!("cut-{state}")).await;
        let ways = [Way::default(), Way::default()];
        let (mut a, mut b) = (stage.elector("a", &ways[0]), stage.elector("b", &ways[1]));
        let (first, second) = (a.leadership(), b.leadership());
        wins(&mut a).await;
        let watching = watch_both(&first, &second);
        let waiting = tokio::spawn(async move {
            wins(&mut b).await;
            (b, Instant::now())
        });
        sleep(TERMS.renew_every).await;
        ways[0].set(state);
        if state == CUT {
            timeout(LIMIT, first.lost()).await.unwrap();
            let stopped = Instant::now();
            let (b, began) = waiting.await.unwrap();
            // A call that it had begun at the last moment has ended, too.
            assert!(began - stopped > TERMS.call_timeout - Duration::from_millis(200));
            // Back again, it follows.
            ways[0].set(OPEN);
            assert!(timeout(2 * TERMS.lease, a.won()).await.is_err());
            b.release().await;
            wins(&mut a).await;
            assert_eq!(stage.holder().await, ("a".to_owned(), 2));
        } else {
            // Its renewals arrive: it may not lead by them, as it does not know, and nobody else may either.
            timeout(LIMIT, first.lost()).await.unwrap();
            let _ = waiting.await.unwrap();
        }
        ends(watching).await;
        stage.delete().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_leave_while_we_lead_and_not_after() {
    let stage = Stage::new("gate").await;
    let way = Way::default();
    let mut election = stage.elector("a", &way);
    let gate = Gate::leading(election.leadership());
    let client = gate::client(stage.config.clone(), &gate).unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client, NAMESPACE);
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some(stage.name.clone()),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    };
    let create = async || maps.create(&PostParams::default(), &map).await;
    let kept_back = async || {
        let error = create().await.unwrap_err();
        let error = gate::kept_back(&error)
            .expect("the gate's own error")
            .clone();
        assert!(matches!(error, GateError::NotLeading { .. }), "{error}");
        assert_eq!(maps.get_opt(&stage.name).await.unwrap(), None);
    };
    kept_back().await;
    wins(&mut election).await;
    create().await.unwrap();
    maps.delete(&stage.name, &Default::default()).await.unwrap();
    way.set(CUT);
    timeout(LIMIT, election.leadership().lost()).await.unwrap();
    kept_back().await;
    stage.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_lease_ends_the_term_and_is_sought_anew() {
    let stage = Stage::new("deleted").await;
    let way = Way::default();
    let (mut a, mut b) = (stage.elector("a", &way), stage.elector("b", &way));
    let watching = watch_both(&a.leadership(), &b.leadership());
    wins(&mut a).await;
    let waiting = tokio::spawn(async move {
        wins(&mut b).await;
        b
    });
    sleep(2 * TERMS.renew_every).await;
    stage.delete().await;
    timeout(LIMIT, a.leadership().lost()).await.unwrap();
    let _b = waiting.await.unwrap();
    assert_eq!(stage.holder().await, ("b".to_owned(), 0));
    ends(watching).await;
    stage.delete().await;
}

//! What databases at rest cost: requests to the API server, calls and connections to their server. Counts, not
//! seconds: those are the benchmark's (`docs/bench.md`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use dbop_database::{
    Administer, Connector, DatabaseError, Endpoint, Introspect, Look, Reader, Replica, Scope,
    Target,
};
use dbop_model::catalogue::Catalogue;
use dbop_model::health::HealthFacts;
use dbop_model::table::{FactRequest, TableFactsSet};
use dbop_model::{DatabaseFacts, LoginName, LoginTurn, MigrationName, Proof, ServerInfo, Session};
use dbop_testkit::fake_database::FakeDatabase;
use http::{Method, Request};
use kube::Client;
use kube::client::{Body, ClientBuilder};
use secrecy::SecretString;
use tower::{Layer, Service};

use crate::site::{Site, config, eventually};

const DATABASES: usize = 20;
/// Looks at each of them that are counted; the site's heartbeat is two seconds.
const HEARTBEATS: usize = 5;

/// How often what was done, by name.
#[derive(Clone, Default)]
struct Tally(Arc<Mutex<BTreeMap<String, usize>>>);

impl Tally {
    fn add(&self, what: &str) {
        *self.0.lock().unwrap().entry(what.to_owned()).or_default() += 1;
    }

    fn take(&self) -> BTreeMap<String, usize> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// Counts requests, below everything else.
impl<S> Layer<S> for Tally {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted {
            tally: self.clone(),
            inner,
        }
    }
}

#[derive(Clone)]
struct Counted<S> {
    tally: Tally,
    inner: S,
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for Counted<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> S::Future {
        let kind = match *request.method() {
            Method::GET => "read",
            _ => "write",
        };
        self.tally.add(kind);
        self.inner.call(request)
    }
}

/// Fake databases whose calls are counted.
struct Databases {
    server: FakeDatabase,
    calls: Tally,
    open: Arc<()>,
}

struct Connection {
    inner: Box<dyn Administer>,
    calls: Tally,
    _open: Arc<()>,
}

#[async_trait]
impl Connector for Databases {
    fn endpoint(&self, target: &Target) -> Result<Endpoint, DatabaseError> {
        self.server.endpoint(target)
    }

    async fn connect(&self, target: &Target) -> Result<Box<dyn Administer>, DatabaseError> {
        self.calls.add("connect");
        Ok(Box::new(Connection {
            inner: self.server.connect(target).await?,
            calls: self.calls.clone(),
            _open: self.open.clone(),
        }))
    }

    async fn connect_replica(&self, target: &Target) -> Result<Box<dyn Replica>, DatabaseError> {
        self.server.connect_replica(target).await
    }

    async fn connect_reader(
        &self,
        target: &Target,
        login: &LoginName,
        password: &SecretString,
    ) -> Result<Box<dyn Reader>, DatabaseError> {
        self.server.connect_reader(target, login, password).await
    }

    async fn prove(&self, target: &Target, login: &LoginName, password: &SecretString) -> Proof {
        self.calls.add("prove");
        self.server.prove(target, login, password).await
    }
}

#[async_trait]
impl Introspect for Connection {
    fn server_info(&self) -> ServerInfo {
        self.inner.server_info()
    }

    async fn observe(&self, look: &Look) -> Result<DatabaseFacts, DatabaseError> {
        self.calls.add("observe");
        self.inner.observe(look).await
    }

    async fn sessions(
        &self,
        logins: &BTreeSet<LoginName>,
    ) -> Result<BTreeMap<LoginName, Vec<Session>>, DatabaseError> {
        self.calls.add("sessions");
        self.inner.sessions(logins).await
    }

    async fn table_facts(
        &self,
        wanted: &BTreeSet<FactRequest>,
        probe_timeout: Duration,
    ) -> Result<TableFactsSet, DatabaseError> {
        self.calls.add("table_facts");
        self.inner.table_facts(wanted, probe_timeout).await
    }

    async fn health(&self) -> Result<HealthFacts, DatabaseError> {
        self.calls.add("health");
        self.inner.health().await
    }

    async fn catalogue(&self, tables_max: usize) -> Result<Catalogue, DatabaseError> {
        self.calls.add("catalogue");
        self.inner.catalogue(tables_max).await
    }
}

#[async_trait]
impl Administer for Connection {
    async fn try_lock(&self) -> Result<bool, DatabaseError> {
        self.calls.add("try_lock");
        self.inner.try_lock().await
    }

    async fn unlock(&self) -> Result<(), DatabaseError> {
        self.calls.add("unlock");
        self.inner.unlock().await
    }

    async fn claim(&self, scope: &Scope) -> Result<(), DatabaseError> {
        self.calls.add("claim");
        self.inner.claim(scope).await
    }

    async fn take_over(&self, scope: &Scope) -> Result<(), DatabaseError> {
        self.calls.add("take_over");
        self.inner.take_over(scope).await
    }

    async fn prepare(&self, scope: &Scope) -> Result<(), DatabaseError> {
        self.calls.add("prepare");
        self.inner.prepare(scope).await
    }

    async fn ensure_login(
        &self,
        scope: &Scope,
        migration: &MigrationName,
        turn: LoginTurn,
        password: &SecretString,
    ) -> Result<LoginName, DatabaseError> {
        self.calls.add("ensure_login");
        self.inner
            .ensure_login(scope, migration, turn, password)
            .await
    }

    async fn lock_login(
        &self,
        scope: &Scope,
        migration: &MigrationName,
        turn: LoginTurn,
    ) -> Result<(), DatabaseError> {
        self.calls.add("lock_login");
        self.inner.lock_login(scope, migration, turn).await
    }

    async fn unlock_login(
        &self,
        scope: &Scope,
        migration: &MigrationName,
        turn: LoginTurn,
    ) -> Result<(), DatabaseError> {
        self.calls.add("unlock_login");
        self.inner.unlock_login(scope, migration, turn).await
    }

    async fn drop_login(
        &self,
        scope: &Scope,
        migration: &MigrationName,
        turn: LoginTurn,
    ) -> Result<(), DatabaseError> {
        self.calls.add("drop_login");
        self.inner.drop_login(scope, migration, turn).await
    }

    async fn open_migrator(
        &self,
        scope: &Scope,
        password: &SecretString,
    ) -> Result<LoginName, DatabaseError> {
        self.calls.add("open_migrator");
        self.inner.open_migrator(scope, password).await
    }

    async fn close_migrator(&self, scope: &Scope) -> Result<(), DatabaseError> {
        self.calls.add("close_migrator");
        self.inner.close_migrator(scope).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_rest_nothing_is_asked_of_the_api_server_and_nothing_stays_connected() {
    let mut site = Site::new("idle").await;
    site.migrations(2).await;
    let names: Vec<String> = (0..DATABASES).map(|nth| format!("shop-{nth}")).collect();
    for name in &names {
        site.database(name, "v1").await;
        let version = dbop_model::SchemaVersion::new("v1").unwrap();
        let database = site.server.named(name);
        database.set_version(dbop_model::ObservedVersion::At(version));
    }
    let requests = Tally::default();
    let plain = site.client.clone();
    let builder = ClientBuilder::try_from(config().await).unwrap();
    site.client = builder.with_layer(&requests).build();
    let databases = Arc::new(Databases {
        server: site.server.clone(),
        calls: Tally::default(),
        open: Arc::default(),
    });
    site.start_with(databases.clone()).await;
    let looking: Client = std::mem::replace(&mut site.client, plain);
    for name in &names {
        site.at_rest(name, "v1").await;
    }
    // What the start leaves behind: the statuses of the migrations, the Events, and the first look at the health of each
    // within ten seconds, which shows a heartbeat later.
    tokio::time::sleep(Duration::from_secs(14)).await;

    let before = (requests.take(), databases.calls.take());
    assert!(
        before.0["write"] >= DATABASES,
        "the counter counts: {before:?}"
    );
    tokio::time::sleep(Duration::from_secs(2) * HEARTBEATS as u32).await;
    let (asked, called) = (requests.take(), databases.calls.take());

    assert_eq!(asked, BTreeMap::new(), "requests to the API server");
    let count = |what: &str| called.get(what).copied().unwrap_or_default();
    let looks = count("observe");
    assert!(
        (DATABASES * (HEARTBEATS - 1)..=DATABASES * (HEARTBEATS + 1)).contains(&looks),
        "one look a heartbeat: {called:?}"
    );
    assert!(count("connect").abs_diff(looks) <= DATABASES, "{called:?}");
    // The health is looked at once a minute.
    assert!(count("health") <= DATABASES, "{called:?}");
    // A credential that worked is tried anew after half a minute: at most once here.
    assert!(count("prove") <= DATABASES, "{called:?}");
    let others = called.keys().map(String::as_str);
    let others: Vec<&str> = others
        .filter(|what| !["connect", "observe", "prove", "health"].contains(what))
        .collect();
    assert!(others.is_empty(), "a look only looks: {called:?}");
    eventually("no connection is open", async || {
        Arc::strong_count(&databases.open) == 1
    })
    .await;
    drop(looking);
    site.stop().await;
}

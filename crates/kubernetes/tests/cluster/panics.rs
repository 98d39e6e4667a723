//! A pass that panics harms its own database alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dbop_database::{Administer, Connector, DatabaseError, Endpoint, Reader, Replica, Target};
use dbop_model::{LoginName, Proof};
use dbop_testkit::fake_database::FakeDatabase;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;

use crate::kubelet::Kubelet;
use crate::site::Site;

/// After a panic a database is left alone for so long at least (`drive/task.rs`).
const PAUSE: Duration = Duration::from_secs(5);

/// A way to databases that panics on the way to one of them, and counts how often it was gone.
struct Poisoned {
    server: FakeDatabase,
    panics: Arc<AtomicU32>,
}

#[async_trait]
impl Connector for Poisoned {
    fn endpoint(&self, target: &Target) -> Result<Endpoint, DatabaseError> {
        self.server.endpoint(target)
    }

    async fn connect(&self, target: &Target) -> Result<Box<dyn Administer>, DatabaseError> {
        if target.dsn.expose_secret().ends_with("/poison") {
            self.panics.fetch_add(1, Ordering::Relaxed);
            panic!("the poison object");
        }
        self.server.connect(target).await
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
        self.server.prove(target, login, password).await
    }
}

#[tokio::test]
async fn one_that_panics_leaves_twenty_at_work() {
    let mut site = Site::new("panics").await;
    let _kubelet = Kubelet::start(&site);
    site.migrations(2).await;
    site.database("poison", "v1").await;
    let names: Vec<String> = (1..=20).map(|nth| format!("shop{nth}")).collect();
    for name in &names {
        site.database(name, "v1").await;
    }
    let panics = Arc::new(AtomicU32::new(0));
    let connector = Poisoned {
        server: site.server.clone(),
        panics: panics.clone(),
    };
    let begun = Instant::now();
    site.start_with(Arc::new(connector)).await;
    for name in &names {
        site.at_rest(name, "v1").await;
    }
    // They go on to the next version, too, with the poison still among them.
    for name in &names {
        site.desire(name, "v2").await;
    }
    for name in &names {
        site.at_rest(name, "v2").await;
    }
    assert_eq!(site.status("poison").await.current_version, None);
    let panics = panics.load(Ordering::Relaxed);
    // Whoever looks at its health beside the worker panics as well, and is begun again with a pass.
    let most = 2 * (1 + begun.elapsed().as_secs() / PAUSE.as_secs());
    assert!(
        (1..=most).contains(&u64::from(panics)),
        "it is taken up again with pauses, and not {panics} times in {:?}",
        begun.elapsed()
    );
}

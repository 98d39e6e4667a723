//! A pass that panics harms its own database alone.

use std::sync::Arc;

use async_trait::async_trait;
use dbop_database::{Administer, Connector, DatabaseError, Endpoint, Target};
use dbop_model::{LoginName, Proof};
use dbop_testkit::fake_database::FakeDatabase;
use secrecy::{ExposeSecret as _, SecretString};

use crate::kubelet::Kubelet;
use crate::site::Site;

/// A way to databases that panics on the way to one of them.
struct Poisoned(FakeDatabase);

#[async_trait]
impl Connector for Poisoned {
    fn endpoint(&self, target: &Target) -> Result<Endpoint, DatabaseError> {
        self.0.endpoint(target)
    }

    async fn connect(&self, target: &Target) -> Result<Box<dyn Administer>, DatabaseError> {
        assert!(
            !target.dsn.expose_secret().ends_with("/poison"),
            "the poison object"
        );
        self.0.connect(target).await
    }

    async fn prove(&self, target: &Target, login: &LoginName, password: &SecretString) -> Proof {
        self.0.prove(target, login, password).await
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
    let connector = Poisoned(site.server.clone());
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
}

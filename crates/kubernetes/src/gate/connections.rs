//! The same gate for databases: none is connected to by an operator that no longer leads.
//!
//! The lock and the live look keep its writes away already; this keeps it from knocking at doors that are the
//! next leader's to open.

use std::future::pending;
use std::sync::Arc;

use async_trait::async_trait;
use dbop_database::{Administer, Connector, DatabaseError, Endpoint, Reader, Replica, Target};
use dbop_model::{LoginName, Proof};
use secrecy::SecretString;

use crate::election::Leadership;

/// A connector that connects for as long as this leadership lasts. What asks it later gets no answer: whoever
/// works without leading is being stopped.
pub struct Connections {
    inner: Arc<dyn Connector>,
    leadership: Leadership,
}

impl Connections {
    /// Of this connector, for one term.
    pub fn new(inner: Arc<dyn Connector>, leadership: Leadership) -> Self {
        Self { inner, leadership }
    }

    async fn while_leading<T>(&self, wanted: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            () = self.leadership.lost() => pending().await,
            got = wanted => got,
        }
    }
}

#[async_trait]
impl Connector for Connections {
    fn endpoint(&self, target: &Target) -> Result<Endpoint, DatabaseError> {
        self.inner.endpoint(target)
    }

    async fn connect(&self, target: &Target) -> Result<Box<dyn Administer>, DatabaseError> {
        self.while_leading(self.inner.connect(target)).await
    }

    async fn connect_replica(&self, target: &Target) -> Result<Box<dyn Replica>, DatabaseError> {
        self.while_leading(self.inner.connect_replica(target)).await
    }

    async fn connect_reader(
        &self,
        target: &Target,
        login: &LoginName,
        password: &SecretString,
    ) -> Result<Box<dyn Reader>, DatabaseError> {
        let opened = self.inner.connect_reader(target, login, password);
        self.while_leading(opened).await
    }

    async fn prove(&self, target: &Target, login: &LoginName, password: &SecretString) -> Proof {
        let proof = self.inner.prove(target, login, password);
        self.while_leading(proof).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::election::leadership::lasting;

    /// A server that answers after a second, and counts whoever comes.
    #[derive(Default)]
    struct Slow(AtomicU32);

    #[async_trait]
    impl Connector for Slow {
        fn endpoint(&self, _: &Target) -> Result<Endpoint, DatabaseError> {
            Err(DatabaseError::Dsn {
                reason: "is nobody's".to_owned(),
            })
        }

        async fn connect(&self, _: &Target) -> Result<Box<dyn Administer>, DatabaseError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            Err(DatabaseError::Lost {
                operation: "a test",
            })
        }

        async fn connect_replica(&self, _: &Target) -> Result<Box<dyn Replica>, DatabaseError> {
            Err(DatabaseError::Lost {
                operation: "a test",
            })
        }

        async fn connect_reader(
            &self,
            _: &Target,
            _: &LoginName,
            _: &SecretString,
        ) -> Result<Box<dyn Reader>, DatabaseError> {
            Err(DatabaseError::Lost {
                operation: "a test",
            })
        }

        async fn prove(&self, _: &Target, _: &LoginName, _: &SecretString) -> Proof {
            self.0.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            Proof::Works
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_connected_to_after_a_term() {
        let slow = Arc::new(Slow::default());
        let (_keeper, leadership) = lasting(Duration::from_millis(3_500));
        let connections = Connections::new(slow.clone(), leadership);
        let target = Target {
            dsn: SecretString::from("a"),
            tls: None,
            ca_certificate: None,
        };
        let login = LoginName::new("app").unwrap();
        let answers = async || {
            let patience = Duration::from_secs(60);
            let proof = connections.prove(&target, &login, &target.dsn);
            let proved = tokio::time::timeout(patience, proof).await.is_ok();
            let connected = tokio::time::timeout(patience, connections.connect(&target));
            (proved, connected.await.is_ok())
        };
        assert_eq!(answers().await, (true, true));
        // The term ends in the middle of the second answer, and of nothing after it.
        assert_eq!(answers().await, (true, false));
        assert_eq!(answers().await, (false, false));
        assert_eq!(slow.0.load(Ordering::Relaxed), 4);
    }
}

//! The Lease itself: what an elector reads of it, what it writes into it, and the three calls about it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};

use super::{Seat, Terms};

/// How long a released Lease says that it holds: it is nobody's, and the field must not be zero.
const RELEASED_SECONDS: i32 = 1;
/// The annotation that says where the holder receives pushes.
const ADDRESS: &str = "database-operator.dev/address";
/// The smallest step of the times in a Lease.
const TICK: Duration = Duration::from_micros(1);
/// The API server's word for "the object is not what your write was based on".
const CONFLICT: u16 = 409;
const NOT_FOUND: u16 = 404;
const FORBIDDEN: u16 = 403;

/// What an elector reads of a Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// Who holds it.
    pub(crate) holder: Option<String>,
    /// How long others leave it alone.
    pub(crate) duration: Duration,
    /// Its resourceVersion: it changes with every renewal.
    pub(crate) version: String,
}

/// Why a call about the Lease failed.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// A rule is missing.
    #[error(
        "the Lease {namespace}/{name} may not be used: {reason}; it takes a Role in {namespace} with the verbs \
         get, create and update on leases in coordination.k8s.io"
    )]
    Forbidden {
        /// Where.
        namespace: String,
        /// Which.
        name: String,
        /// What the API server says.
        reason: String,
    },
    /// No answer in time.
    #[error("the Lease {namespace}/{name}: no answer of the API server within {} ms", limit.as_millis())]
    Timeout {
        /// Where.
        namespace: String,
        /// Which.
        name: String,
        /// How long was waited.
        limit: Duration,
    },
    /// Anything else.
    #[error("the Lease {namespace}/{name}: {reason}")]
    Failed {
        /// Where.
        namespace: String,
        /// Which.
        name: String,
        /// What went wrong.
        reason: String,
    },
}

/// What became of a write.
pub(crate) enum Written {
    /// It was taken.
    Taken(Box<Lease>),
    /// The Lease is not what it was based on.
    Refused,
}

/// The Lease behind the API server.
pub(crate) struct Remote {
    api: Api<Lease>,
    seat: Seat,
    limit: Duration,
}

impl Remote {
    pub(crate) fn new(client: Client, seat: Seat, limit: Duration) -> Self {
        Self {
            api: Api::namespaced(client, &seat.namespace),
            seat,
            limit,
        }
    }

    /// Reads it; `None`: there is none.
    pub(crate) async fn read(&self) -> Result<Option<Lease>, LeaseError> {
        self.bounded(self.api.get_opt(&self.seat.name)).await
    }

    /// Creates it.
    pub(crate) async fn create(&self, lease: &Lease) -> Result<Written, LeaseError> {
        self.write(self.api.create(&PostParams::default(), lease))
            .await
    }

    /// Replaces it, as it was read: the resourceVersion in it says what that was.
    pub(crate) async fn replace(&self, lease: &Lease) -> Result<Written, LeaseError> {
        let name = &self.seat.name;
        self.write(self.api.replace(name, &PostParams::default(), lease))
            .await
    }

    async fn write(
        &self,
        call: impl Future<Output = kube::Result<Lease>>,
    ) -> Result<Written, LeaseError> {
        // A Lease that is gone was not replaced; what is there now, if anything, the next look says.
        let taken = async {
            match call.await {
                Ok(lease) => Ok(Written::Taken(Box::new(lease))),
                Err(kube::Error::Api(status)) if [CONFLICT, NOT_FOUND].contains(&status.code) => {
                    Ok(Written::Refused)
                }
                Err(error) => Err(error),
            }
        };
        self.bounded(taken).await
    }

    async fn bounded<T>(
        &self,
        call: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, LeaseError> {
        let (namespace, name) = (self.seat.namespace.clone(), self.seat.name.clone());
        match tokio::time::timeout(self.limit, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(kube::Error::Api(status))) if status.code == FORBIDDEN => {
                Err(LeaseError::Forbidden {
                    namespace,
                    name,
                    reason: status.message.clone(),
                })
            }
            Ok(Err(error)) => Err(LeaseError::Failed {
                namespace,
                name,
                reason: crate::explained(&error),
            }),
            Err(_) => Err(LeaseError::Timeout {
                namespace,
                name,
                limit: self.limit,
            }),
        }
    }
}

/// What an elector reads of it.
pub(crate) fn record(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.unwrap_or_default();
    Record {
        holder: spec.holder_identity.filter(|name| !name.is_empty()),
        duration: Duration::from_secs(u64::try_from(seconds).unwrap_or_default()),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
    }
}

/// A Lease that there is none of yet, held by us.
pub(crate) fn new(seat: &Seat, terms: &Terms, now: Timestamp) -> Lease {
    let lease = Lease {
        metadata: ObjectMeta {
            namespace: Some(seat.namespace.clone()),
            name: Some(seat.name.clone()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            lease_transitions: Some(-1),
            ..LeaseSpec::default()
        }),
    };
    held(&lease, seat, terms, now)
}

/// This Lease, held by us. The times in it are for people to read; but a renewal always changes it, whatever
/// the clock says: the API server keeps the resourceVersion of an object that a write leaves as it was.
pub(crate) fn held(lease: &Lease, seat: &Seat, terms: &Terms, now: Timestamp) -> Lease {
    let identity = seat.identity.as_str();
    let mut lease = lease.clone();
    let annotations = lease.metadata.annotations.get_or_insert_default();
    match &seat.address {
        Some(address) => drop(annotations.insert(ADDRESS.to_owned(), address.clone())),
        None => drop(annotations.remove(ADDRESS)),
    }
    let spec = lease.spec.get_or_insert_default();
    let next = spec.renew_time.as_ref();
    let next = next.and_then(|MicroTime(last)| last.checked_add(TICK).ok());
    let now = next.map_or(now, |next| now.max(next));
    if spec.holder_identity.as_deref() != Some(identity) {
        spec.holder_identity = Some(identity.to_owned());
        spec.acquire_time = Some(MicroTime(now));
        spec.lease_transitions = Some(spec.lease_transitions.unwrap_or_default().saturating_add(1));
    }
    let seconds = terms.lease.as_millis().div_ceil(1000);
    spec.lease_duration_seconds = Some(i32::try_from(seconds).unwrap_or(i32::MAX));
    spec.renew_time = Some(MicroTime(now));
    lease
}

/// Where its holder can be reached.
pub(crate) fn address(lease: &Lease) -> Option<String> {
    lease.metadata.annotations.as_ref()?.get(ADDRESS).cloned()
}

/// This Lease, held by nobody.
pub(crate) fn released(lease: &Lease, now: Timestamp) -> Lease {
    let mut lease = lease.clone();
    if let Some(annotations) = &mut lease.metadata.annotations {
        annotations.remove(ADDRESS);
    }
    let spec = lease.spec.get_or_insert_default();
    spec.holder_identity = Some(String::new());
    spec.lease_duration_seconds = Some(RELEASED_SECONDS);
    spec.acquire_time = None;
    spec.renew_time = Some(MicroTime(now));
    lease
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat() -> Seat {
        Seat {
            namespace: "dbop".to_owned(),
            name: "database-operator".to_owned(),
            identity: "pod-a_1".to_owned(),
            address: Some("10.1.2.3:8080".to_owned()),
        }
    }

    fn summary(lease: &Lease) -> (String, i32, i32, bool) {
        let spec = lease.spec.clone().unwrap();
        (
            spec.holder_identity.unwrap(),
            spec.lease_duration_seconds.unwrap(),
            spec.lease_transitions.unwrap(),
            spec.acquire_time.is_some(),
        )
    }

    #[test]
    fn a_lease_goes_from_hand_to_hand() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut lease = new(&seat(), &Terms::DEFAULT, at(1));
        assert_eq!(summary(&lease), ("pod-a_1".to_owned(), 15, 0, true));
        lease.metadata.labels = Some([("a".to_owned(), "b".to_owned())].into());
        lease.metadata.resource_version = Some("7".to_owned());

        let renewed = held(&lease, &seat(), &Terms::DEFAULT, at(4));
        assert_eq!(summary(&renewed), ("pod-a_1".to_owned(), 15, 0, true));
        assert_eq!(
            renewed.metadata, lease.metadata,
            "labels of others stay, and the version guards"
        );
        let spec = renewed.spec.as_ref().unwrap();
        assert_eq!(spec.acquire_time, Some(MicroTime(at(1))));
        assert_eq!(spec.renew_time, Some(MicroTime(at(4))));

        let free = released(&renewed, at(5));
        assert_eq!(summary(&free), (String::new(), 1, 0, false));
        assert_eq!(record(&free).holder, None);
        let other = Seat {
            identity: "pod-b_2".to_owned(),
            address: None,
            ..seat()
        };
        assert_eq!(
            (address(&renewed).as_deref(), address(&free)),
            (Some("10.1.2.3:8080"), None)
        );
        let taken = held(&free, &other, &Terms::DEFAULT, at(6));
        assert_eq!(summary(&taken), ("pod-b_2".to_owned(), 15, 1, true));
        assert_eq!(record(&taken).version, "7");
    }

    #[test]
    fn every_renewal_changes_the_lease() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let lease = new(&seat(), &Terms::DEFAULT, at(5));
        // The clock stands, or goes back.
        for now in [at(5), at(3)] {
            let renewed = held(&lease, &seat(), &Terms::DEFAULT, now);
            let MicroTime(time) = renewed.spec.unwrap().renew_time.unwrap();
            assert_eq!(time, at(5) + Duration::from_micros(1));
        }
    }

    #[test]
    fn a_part_of_a_second_is_rounded_up() {
        let terms = Terms {
            lease: Duration::from_millis(2100),
            ..Terms::DEFAULT
        };
        let lease = new(&seat(), &terms, Timestamp::UNIX_EPOCH);
        assert_eq!(record(&lease).duration, Duration::from_secs(3));
    }

    #[test]
    fn one_that_somebody_emptied_is_nobodys() {
        let empty = record(&Lease::default());
        assert_eq!((empty.holder, empty.duration), (None, Duration::ZERO));
    }
}

//! Leader election: a Lease guarded by its resourceVersion, judged by the local monotonic clock.
//!
//! One of several replicas works; the others wait, with everything ready. Who leads is written in a Lease, and
//! each write of it names the resourceVersion that was read, so that the API server takes one of two. Whether
//! another's lease has run out is told by how long *this* process has seen it unchanged, never by the times in
//! it: clocks of machines differ. The leader counts from before it sent its last renewal, the others from after
//! they saw it, so the loser has stopped before the winner begins, whatever the network does.
//!
//! [`Leadership`] answers whether writes may leave *now*, from a deadline and the clock: a process that was
//! stopped and goes on after its lease has no right to write any more, though no code of it has run meanwhile.
//! The monotonic clock of Linux stands still while the whole machine sleeps: there the database's own lock and
//! the resourceVersions of writes are what holds. They hold always; a Lease alone is no fence.
//!
//! After a lost lease nothing is sought until [`Election::won`] is called again: whoever leads anew says by that
//! that nothing of the earlier term is at work.

mod elector;
mod keep;
pub(crate) mod leadership;
mod lease;

use std::sync::Arc;
use std::time::Duration;

use dbop_engine::Clock;
use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use leadership::Leadership;
pub use lease::LeaseError;

/// How long others leave a Lease alone that they see unchanged. With the wait between two looks, a killed
/// leader is replaced within 20 s.
pub const LEASE_DURATION: Duration = Duration::from_secs(15);
/// How long after its last renewal a leader may begin a write. It must be over, reply and all, before
/// [`LEASE_DURATION`] is.
pub const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Between two renewals: two of them may fail before the leader has to stop.
pub const RENEW_EVERY: Duration = Duration::from_secs(3);
/// Between two looks of those that wait, and after a renewal that failed.
pub const RETRY_EVERY: Duration = Duration::from_secs(2);
/// How long one call about the Lease may take, and how long one write that the leader began.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(4);

/// The times of an election. All replicas use the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// See [`LEASE_DURATION`].
    pub lease: Duration,
    /// See [`RENEW_DEADLINE`].
    pub renew_deadline: Duration,
    /// See [`RENEW_EVERY`].
    pub renew_every: Duration,
    /// See [`RETRY_EVERY`].
    pub retry_every: Duration,
    /// See [`CALL_TIMEOUT`].
    pub call_timeout: Duration,
}

impl Terms {
    /// What the operator uses.
    pub const DEFAULT: Terms = Terms {
        lease: LEASE_DURATION,
        renew_deadline: RENEW_DEADLINE,
        renew_every: RENEW_EVERY,
        retry_every: RETRY_EVERY,
        call_timeout: CALL_TIMEOUT,
    };

    /// Has the loser stopped before the winner may begin, and can a renewal be tried more than once?
    pub const fn are_safe(&self) -> bool {
        let call = self.call_timeout.as_millis();
        self.renew_deadline.as_millis() + call < self.lease.as_millis()
            && self.renew_every.as_millis() + call < self.renew_deadline.as_millis()
    }
}

const _: () = assert!(Terms::DEFAULT.are_safe());

/// Which Lease, and who we are in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// The Lease's namespace.
    pub namespace: String,
    /// The Lease's name.
    pub name: String,
    /// Our name in it: another one for each process, so that none takes another's lease for its own.
    pub identity: String,
    /// `host:port` at which those who wait can reach us while we lead.
    pub address: Option<String>,
}

/// Why an election has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the leader election has ended")]
pub struct Ended;

/// Taking part in an election. Dropped, it stops at once and leaves its lease to run out.
#[derive(Debug)]
pub struct Election {
    leadership: Leadership,
    others: watch::Receiver<Option<String>>,
    campaign: watch::Sender<u64>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Election {
    /// Takes part. Nothing is sought before [`Election::won`] is called.
    ///
    /// `client` is one that no [`Gate`](crate::gate::Gate) is in, and that repeats no request by itself.
    pub fn start(client: Client, seat: Seat, terms: Terms, clock: Arc<dyn Clock>) -> Self {
        let (keeper, leadership) = leadership::pair();
        let (campaign, campaigning) = watch::channel(0);
        let (stop, stopped) = watch::channel(false);
        let (others, others_seen) = watch::channel(None);
        let keep = keep::Keep::new(client, seat, terms, clock, keeper, others);
        let task = tokio::spawn(keep.run(campaigning, stopped));
        Self {
            leadership,
            others: others_seen,
            campaign,
            stop,
            task,
        }
    }

    /// Whether we lead, now.
    pub fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// Where the replica that leads can be reached, where it is another and has said so.
    pub fn leader_address(&self) -> watch::Receiver<Option<String>> {
        self.others.clone()
    }

    /// Seeks the lease, and returns when we lead. The caller has nothing of an earlier term at work.
    ///
    /// # Errors
    /// [`Ended`]: the task behind it is gone.
    pub async fn won(&mut self) -> Result<(), Ended> {
        self.campaign.send_modify(|count| *count += 1);
        tokio::select! {
            () = self.leadership.won() => Ok(()),
            _ = &mut self.task => Err(Ended),
        }
    }

    /// Stops leading, and empties the Lease so that another goes on at once. The caller has stopped its work.
    pub async fn release(mut self) {
        self.stop.send_replace(true);
        // The task tells by itself what goes wrong, and each of its calls ends.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Election {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_that_overlap_are_told() {
        let unsafe_ones = [
            Terms {
                renew_deadline: Duration::from_secs(11),
                ..Terms::DEFAULT
            },
            Terms {
                call_timeout: Duration::from_secs(5),
                ..Terms::DEFAULT
            },
            Terms {
                renew_every: Duration::from_secs(6),
                ..Terms::DEFAULT
            },
        ];
        for terms in unsafe_ones {
            assert!(!terms.are_safe(), "{terms:?}");
        }
    }
}

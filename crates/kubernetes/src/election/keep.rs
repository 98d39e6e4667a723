//! Keeping the lease: does what the elector says, and tells everybody how long we lead.

use std::sync::Arc;

use dbop_engine::Clock;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use tokio::sync::watch;
use tokio::time::Instant;

use super::elector::{Elector, Step};
use super::leadership::Keeper;
use super::lease::{self, LeaseError, Remote, Written};
use super::{Seat, Terms};

/// The task behind an election.
pub(crate) struct Keep {
    remote: Remote,
    seat: Seat,
    terms: Terms,
    clock: Arc<dyn Clock>,
    keeper: Keeper,
    others: watch::Sender<Option<String>>,
    elector: Elector,
    /// The Lease that the next write is based on.
    lease: Option<Lease>,
    /// What was told last, so that the same is not told every two seconds.
    told: Option<String>,
}

impl Keep {
    pub(crate) fn new(
        client: Client,
        seat: Seat,
        terms: Terms,
        clock: Arc<dyn Clock>,
        keeper: Keeper,
        others: watch::Sender<Option<String>>,
    ) -> Self {
        Self {
            remote: Remote::new(client, seat.clone(), terms.call_timeout),
            elector: Elector::new(seat.identity.clone(), terms),
            seat,
            terms,
            clock,
            keeper,
            others,
            lease: None,
            told: None,
        }
    }

    /// Takes part until told to stop, and then releases what it holds.
    pub(crate) async fn run(
        mut self,
        mut campaign: watch::Receiver<u64>,
        mut stop: watch::Receiver<bool>,
    ) {
        // A wish from before this task began to run is a wish.
        campaign.mark_changed();
        if *campaign.borrow() == 0 {
            campaign.mark_unchanged();
        }
        while !*stop.borrow() {
            let wait = match self.elector.next(Instant::now()) {
                Step::Rest => None,
                Step::Wait(until) => Some(until),
                Step::Lost => {
                    self.keeper.ends();
                    tracing::warn!(lease = %self.name(), "this operator does not lead any more");
                    continue;
                }
                Step::Look => {
                    self.look().await;
                    continue;
                }
                Step::Create | Step::Replace => {
                    self.write().await;
                    continue;
                }
            };
            let passed = async {
                match wait {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = passed => {}
                Ok(()) = campaign.changed() => self.elector.campaign(),
                told = stop.changed() => if told.is_err() { return },
            }
        }
        self.release().await;
    }

    async fn look(&mut self) {
        let began = Instant::now();
        match self.remote.read().await {
            Ok(found) => {
                let record = found.as_ref().map(lease::record);
                self.elector.observed(record, began, Instant::now());
                let leader = self.elector.other().and(found.as_ref());
                self.others.send_replace(leader.and_then(lease::address));
                self.lease = found;
                if let Some(other) = self.elector.other() {
                    let text = format!("{other} leads; this operator waits");
                    self.tell(text, |lease, text| tracing::info!(%lease, "{text}"));
                }
            }
            Err(error) => self.failed(began, &error),
        }
    }

    async fn write(&mut self) {
        let began = Instant::now();
        let now = self.clock.now();
        let written = match &self.lease {
            None => {
                let lease = lease::new(&self.seat, &self.terms, now);
                self.remote.create(&lease).await
            }
            Some(lease) => {
                let lease = lease::held(lease, &self.seat, &self.terms, now);
                self.remote.replace(&lease).await
            }
        };
        match written {
            Ok(Written::Taken(lease)) => {
                let led = self.elector.leads_until().is_some();
                let record = lease::record(&lease);
                self.elector.written(record, began, Instant::now());
                self.lease = Some(*lease);
                if !led {
                    self.keeper.begins();
                }
                if let Some(until) = self.elector.leads_until() {
                    self.keeper.leads_until(until);
                }
                self.others.send_replace(None);
                if !led {
                    self.told = None;
                    tracing::info!(lease = %self.name(), identity = self.seat.identity, "this operator leads");
                }
            }
            Ok(Written::Refused) => self.elector.refused(began),
            Err(error) => self.failed(began, &error),
        }
    }

    fn failed(&mut self, began: Instant, error: &LeaseError) {
        self.elector.failed(began);
        let text = error.to_string();
        self.tell(text, |lease, text| tracing::warn!(%lease, "{text}"));
    }

    /// Stops leading first, and then says so.
    async fn release(mut self) {
        self.keeper.ends();
        if !self.elector.resign() {
            return;
        }
        let ours = match self.lease.take() {
            Some(lease) if self.empty(&lease).await => return,
            // It has changed, or an answer was lost: is it still ours?
            _ => self.remote.read().await.ok().flatten(),
        };
        if let Some(lease) = ours
            && lease::record(&lease).holder.as_deref() == Some(self.seat.identity.as_str())
        {
            self.empty(&lease).await;
        }
    }

    async fn empty(&self, lease: &Lease) -> bool {
        let name = self.name();
        match self
            .remote
            .replace(&lease::released(lease, self.clock.now()))
            .await
        {
            Ok(Written::Taken(_)) => {
                tracing::info!(lease = %name, "the lease is released");
                true
            }
            Ok(Written::Refused) => false,
            Err(error) => {
                tracing::warn!(lease = %name, "the lease is not released and runs out by itself: {error}");
                false
            }
        }
    }

    fn tell(&mut self, text: String, say: impl Fn(&str, &str)) {
        if self.told.as_deref() != Some(text.as_str()) {
            say(&self.name(), &text);
            self.told = Some(text);
        }
    }

    fn name(&self) -> String {
        format!("{}/{}", self.seat.namespace, self.seat.name)
    }
}

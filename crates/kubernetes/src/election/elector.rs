//! The elector: what was seen and written, and what is to be done next. A value; it reads no clock and calls
//! nobody.

use tokio::time::Instant;

use super::Terms;
use super::lease::Record;

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing, until somebody wants to lead.
    Rest,
    /// Nothing, until then.
    Wait(Instant),
    /// Read the Lease.
    Look,
    /// Create the Lease, as ours.
    Create,
    /// Replace the Lease that was seen last, as ours.
    Replace,
    /// We led and do not any more: told once.
    Lost,
}

/// What is known of the Lease.
#[derive(Debug, Clone, PartialEq)]
enum Sight {
    /// Nothing that a write could be based on.
    Unknown,
    /// There is none.
    Absent,
    /// This one.
    Held(Record),
}

/// Another's lease, as it was seen to change last.
#[derive(Debug)]
struct Others {
    version: String,
    /// When it has run out, if it does not change any more.
    until: Instant,
}

/// The state of one that takes part.
#[derive(Debug)]
pub(crate) struct Elector {
    identity: String,
    terms: Terms,
    wants: bool,
    /// Whoever sees by the clock that a term is over may say so before we do: it is wanted again.
    wants_again: bool,
    sight: Sight,
    /// It outlives the Lease: one that is deleted under its holder is not free before the holder must have
    /// stopped.
    others: Option<Others>,
    leads_until: Option<Instant>,
    /// When the last look, or write that was taken, began.
    called: Option<Instant>,
    /// After a call that failed, nothing is done before then.
    paused: Option<Instant>,
}

impl Elector {
    pub(crate) fn new(identity: String, terms: Terms) -> Self {
        Self {
            identity,
            terms,
            wants: false,
            wants_again: false,
            sight: Sight::Unknown,
            others: None,
            leads_until: None,
            called: None,
            paused: None,
        }
    }

    /// Somebody wants to lead, with nothing of an earlier term at work.
    pub(crate) fn campaign(&mut self) {
        if self.leads_until.is_some() {
            self.wants_again = true;
        } else {
            self.wants = true;
        }
    }

    /// Until when we lead.
    pub(crate) fn leads_until(&self) -> Option<Instant> {
        self.leads_until
    }

    /// What is to be done now.
    pub(crate) fn next(&mut self, now: Instant) -> Step {
        match self.leads_until {
            Some(until) if now >= until || self.is_taken() => {
                self.leads_until = None;
                self.wants = std::mem::take(&mut self.wants_again);
                Step::Lost
            }
            Some(until) => match self.keep(now) {
                Step::Wait(at) => Step::Wait(at.min(until)),
                step => step,
            },
            None if self.wants => self.seek(now),
            None => Step::Rest,
        }
    }

    fn keep(&self, now: Instant) -> Step {
        let renewal = self
            .leads_until
            .map(|until| until - self.terms.renew_deadline + self.terms.renew_every);
        let due = self.paused.or(renewal).unwrap_or(now);
        match self.sight {
            _ if now < due && self.sight != Sight::Unknown => Step::Wait(due),
            _ if self.paused.is_some_and(|paused| now < paused) => Step::Wait(due),
            // Somebody has written it: whether it is still ours is asked at once.
            Sight::Unknown => Step::Look,
            _ => Step::Replace,
        }
    }

    fn seek(&self, now: Instant) -> Step {
        if let Some(paused) = self.paused
            && now < paused
        {
            return Step::Wait(paused);
        }
        let others_until = self.others.as_ref().map_or(now, |others| others.until);
        let (free_at, take) = match &self.sight {
            Sight::Unknown => return Step::Look,
            Sight::Absent => (others_until, Step::Create),
            Sight::Held(record) if self.is_free(record) => (now, Step::Replace),
            Sight::Held(_) => (others_until, Step::Replace),
        };
        let look_at = self.called.map_or(now, |at| at + self.terms.retry_every);
        if now >= free_at {
            take
        } else if now >= look_at {
            Step::Look
        } else {
            Step::Wait(free_at.min(look_at))
        }
    }

    /// The Lease was read; `now` is after the answer came.
    pub(crate) fn observed(&mut self, record: Option<Record>, began: Instant, now: Instant) {
        self.answered(began);
        let Some(record) = record else {
            self.sight = Sight::Absent;
            return;
        };
        if self.is_free(&record) {
            self.others = None;
        } else if self
            .others
            .as_ref()
            .is_none_or(|others| others.version != record.version)
        {
            // A holder whose Lease says less than our own terms may go by them all the same.
            self.others = Some(Others {
                version: record.version.clone(),
                until: now + record.duration.max(self.terms.lease),
            });
        }
        self.sight = Sight::Held(record);
    }

    /// Our write was taken: the Lease is this now, and ours. The right to write counts from before it was sent.
    pub(crate) fn written(&mut self, record: Record, began: Instant, now: Instant) {
        self.answered(began);
        self.others = None;
        self.sight = Sight::Held(record);
        match self.leads_until {
            // Too late: this term is over, and a next one begins with whoever wants it.
            Some(until) if now >= until => {}
            _ => self.leads_until = Some(began + self.terms.renew_deadline),
        }
    }

    /// Our write was refused, because the Lease is not what we took it for.
    pub(crate) fn refused(&mut self, began: Instant) {
        self.answered(began);
        self.sight = Sight::Unknown;
    }

    /// A call failed; whether a write was taken nobody knows. A leader tries the same again: where it was taken
    /// after all, that is refused.
    pub(crate) fn failed(&mut self, began: Instant) {
        self.paused = Some(began + self.terms.retry_every);
        if self.leads_until.is_none() {
            self.sight = Sight::Unknown;
        }
    }

    /// We stop by ourselves. True: the Lease may be ours, and should be released.
    pub(crate) fn resign(&mut self) -> bool {
        (self.wants, self.wants_again) = (false, false);
        let led = self.leads_until.take().is_some();
        match &self.sight {
            Sight::Held(record) => record.holder.as_deref() == Some(self.identity.as_str()),
            Sight::Unknown => led,
            Sight::Absent => false,
        }
    }

    /// Who else holds the Lease, as far as is known.
    pub(crate) fn other(&self) -> Option<&str> {
        match &self.sight {
            Sight::Held(record) if !self.is_free(record) => record.holder.as_deref(),
            _ => None,
        }
    }

    fn answered(&mut self, began: Instant) {
        self.called = Some(began);
        self.paused = None;
    }

    /// Has the Lease that we lead by gone to another, or gone altogether?
    fn is_taken(&self) -> bool {
        match &self.sight {
            Sight::Unknown => false,
            Sight::Absent => true,
            Sight::Held(record) => record.holder.as_deref() != Some(self.identity.as_str()),
        }
    }

    /// Is it nobody's, or our own?
    fn is_free(&self, record: &Record) -> bool {
        record
            .holder
            .as_deref()
            .is_none_or(|name| name == self.identity)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Two electors on one Lease and one clock, without any IO.
    struct Stage {
        base: Instant,
        lease: Option<Record>,
        writes: u32,
    }

    impl Stage {
        fn new() -> Self {
            Self {
                base: Instant::now(),
                lease: None,
                writes: 0,
            }
        }

        fn at(&self, seconds: u64) -> Instant {
            self.base + Duration::from_secs(seconds)
        }

        fn write(&mut self, holder: Option<&str>) -> Record {
            self.writes += 1;
            let record = Record {
                holder: holder.map(str::to_owned),
                duration: Duration::from_secs(15),
                version: self.writes.to_string(),
            };
            self.lease = Some(record.clone());
            record
        }

        /// Lets one do what it has to at this second, until it waits.
        fn run(&mut self, elector: &mut Elector, second: u64) -> Step {
            let now = self.at(second);
            for _ in 0..10 {
                let step = elector.next(now);
                match step {
                    Step::Look => elector.observed(self.lease.clone(), now, now),
                    Step::Create if self.lease.is_some() => elector.refused(now),
                    Step::Create | Step::Replace => {
                        let seen = match &elector.sight {
                            Sight::Held(record) => Some(record.version.clone()),
                            _ => None,
                        };
                        if seen == self.lease.as_ref().map(|lease| lease.version.clone()) {
                            let record = self.write(Some(&elector.identity.clone()));
                            elector.written(record, now, now);
                        } else {
                            elector.refused(now);
                        }
                    }
                    Step::Rest | Step::Wait(_) | Step::Lost => return step,
                }
            }
            panic!("it does not come to rest");
        }
    }

    fn elector(name: &str) -> Elector {
        let mut elector = Elector::new(name.to_owned(), Terms::DEFAULT);
        elector.campaign();
        elector
    }

    fn leads(elector: &Elector, now: Instant) -> bool {
        elector.leads_until().is_some_and(|until| now < until)
    }

    #[test]
    fn nothing_is_sought_before_somebody_wants_to_lead() {
        let mut stage = Stage::new();
        let mut a = Elector::new("a".to_owned(), Terms::DEFAULT);
        assert_eq!(stage.run(&mut a, 0), Step::Rest);
        assert_eq!(stage.lease, None);
        a.campaign();
        assert_eq!(stage.run(&mut a, 1), Step::Wait(stage.at(4)));
        assert!(leads(&a, stage.at(10)) && !leads(&a, stage.at(11)));
    }

    #[test]
    fn one_leads_and_renews_while_the_other_waits() {
        let mut stage = Stage::new();
        let (mut a, mut b) = (elector("a"), elector("b"));
        for second in 0..100 {
            stage.run(&mut a, second);
            stage.run(&mut b, second);
            assert!(leads(&a, stage.at(second)), "{second}");
            assert!(!leads(&b, stage.at(second)), "{second}");
        }
        assert_eq!(b.other(), Some("a"));
        assert_eq!(stage.writes, 34, "one every three seconds");
    }

    #[test]
    fn a_dead_leader_is_replaced_and_never_before_it_must_have_stopped() {
        for died_at in 1..20 {
            let mut stage = Stage::new();
            let (mut a, mut b) = (elector("a"), elector("b"));
            let mut began = None;
            for second in 0..60 {
                if second < died_at {
                    stage.run(&mut a, second);
                }
                stage.run(&mut b, second);
                let now = stage.at(second);
                if leads(&b, now) && began.is_none() {
                    began = Some(second);
                    let last = a.leads_until().unwrap() + Terms::DEFAULT.call_timeout;
                    assert!(now > last, "a died at {died_at}, b began at {second}");
                }
            }
            let began = began.unwrap_or(u64::MAX);
            assert!(
                began < died_at + 20,
                "a died at {died_at}, b began at {began}"
            );
        }
    }

    #[test]
    fn one_that_was_stopped_past_its_lease_has_lost_it() {
        let mut stage = Stage::new();
        let (mut a, mut b) = (elector("a"), elector("b"));
        stage.run(&mut a, 0);
        for second in 1..40 {
            stage.run(&mut b, second);
        }
        assert!(leads(&b, stage.at(39)));
        assert_eq!(stage.run(&mut a, 40), Step::Lost);
        assert_eq!(
            stage.run(&mut a, 41),
            Step::Rest,
            "until it is ready for a new term"
        );
        a.campaign();
        assert!(matches!(stage.run(&mut a, 42), Step::Wait(_)));
        assert!(!leads(&a, stage.at(42)));
    }

    #[test]
    fn a_next_term_may_be_wanted_before_the_end_of_the_last_is_told() {
        let mut stage = Stage::new();
        let mut a = elector("a");
        stage.run(&mut a, 0);
        // Everybody has the same clock, and nobody is always the first to look at it.
        assert!(!leads(&a, stage.at(10)));
        a.campaign();
        assert_eq!(a.next(stage.at(10)), Step::Lost, "it is told all the same");
        assert!(!leads(&a, stage.at(10)));
        stage.run(&mut a, 11);
        assert!(
            leads(&a, stage.at(11)),
            "one that waits for ever leads nobody"
        );
    }

    #[test]
    fn a_renewal_that_is_answered_too_late_gives_nothing_back() {
        let mut stage = Stage::new();
        let mut a = elector("a");
        stage.run(&mut a, 0);
        assert_eq!(a.next(stage.at(9)), Step::Replace);
        let record = stage.write(Some("a"));
        a.written(record, stage.at(9), stage.at(10));
        assert!(!leads(&a, stage.at(10)));
        assert_eq!(a.next(stage.at(10)), Step::Lost);
        // Nobody else had it meanwhile: the next term begins at once.
        a.campaign();
        stage.run(&mut a, 11);
        assert!(leads(&a, stage.at(11)));
    }

    #[test]
    fn a_released_lease_is_taken_at_the_next_look() {
        let mut stage = Stage::new();
        let (mut a, mut b) = (elector("a"), elector("b"));
        stage.run(&mut a, 0);
        stage.run(&mut b, 0);
        assert!(a.resign());
        stage.write(None);
        assert_eq!(stage.run(&mut b, 1), Step::Wait(stage.at(2)));
        stage.run(&mut b, 2);
        assert!(leads(&b, stage.at(2)));
        assert_eq!(a.next(stage.at(2)), Step::Rest);
        assert!(!leads(&a, stage.at(2)));
    }

    #[test]
    fn a_lease_deleted_under_its_holder_is_not_free_before_its_time() {
        let mut stage = Stage::new();
        let (mut a, mut b) = (elector("a"), elector("b"));
        stage.run(&mut a, 0);
        stage.run(&mut b, 0);
        stage.lease = None;
        for second in 1..15 {
            stage.run(&mut b, second);
            assert!(!leads(&b, stage.at(second)), "{second}");
        }
        stage.run(&mut b, 15);
        assert!(leads(&b, stage.at(15)));
    }

    #[test]
    fn a_leader_whose_lease_is_gone_or_anothers_stops_at_once() {
        for lease in [None, Some("c")] {
            let mut stage = Stage::new();
            let mut a = elector("a");
            stage.run(&mut a, 0);
            match lease {
                None => stage.lease = None,
                Some(holder) => drop(stage.write(Some(holder))),
            }
            assert_eq!(stage.run(&mut a, 3), Step::Lost, "{lease:?}");
        }
    }

    #[test]
    fn somebody_elses_label_on_our_lease_costs_nothing() {
        let mut stage = Stage::new();
        let mut a = elector("a");
        stage.run(&mut a, 0);
        stage.write(Some("a"));
        assert_eq!(stage.run(&mut a, 3), Step::Wait(stage.at(6)));
        assert!(leads(&a, stage.at(12)));
    }

    #[test]
    fn failed_calls_are_tried_again_and_not_all_the_time() {
        let stage = Stage::new();
        let mut a = elector("a");
        assert_eq!(a.next(stage.at(0)), Step::Look);
        a.failed(stage.at(0));
        assert_eq!(a.next(stage.at(1)), Step::Wait(stage.at(2)));
        assert_eq!(a.next(stage.at(2)), Step::Look);
        a.observed(None, stage.at(2), stage.at(2));
        assert_eq!(a.next(stage.at(2)), Step::Create);
        // The answer was lost, and it was taken.
        a.failed(stage.at(2));
        assert_eq!(a.next(stage.at(4)), Step::Look);
        let mut stage = stage;
        let record = stage.write(Some("a"));
        a.observed(Some(record), stage.at(4), stage.at(4));
        assert_eq!(a.next(stage.at(4)), Step::Replace);
        let record = stage.write(Some("a"));
        a.written(record, stage.at(4), stage.at(4));
        // As the leader it renews at once, without a look before.
        assert_eq!(a.next(stage.at(7)), Step::Replace);
        a.failed(stage.at(7));
        assert_eq!(a.next(stage.at(8)), Step::Wait(stage.at(9)));
        assert_eq!(a.next(stage.at(9)), Step::Replace);
        a.failed(stage.at(13));
        assert_eq!(
            a.next(stage.at(13)),
            Step::Wait(stage.at(14)),
            "the end of the term"
        );
        assert_eq!(a.next(stage.at(14)), Step::Lost);
    }
}

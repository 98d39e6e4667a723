//! What a worker remembers between passes. A restart loses it, and only looks anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dbop_database::{Administer, Target};
use dbop_model::finding::{FACTS_AGE_MAX, HintPolicy};
use dbop_model::{LoginName, Migration, MigrationName};
use dbop_plan::{Decision, Hints, Quiet};
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;

use crate::replicas::Replicas;

/// Two looks at a login's sessions further apart than this do not make one unbroken row: a client that
/// connects briefly could have come and gone. Ten sampling steps, so that a busy machine does not break it.
pub const LOOK_GAP_MAX: SignedDuration = SignedDuration::from_secs(1);
/// A credential that worked is not tried again for this long, unless its Secret changed.
const PROOF_AGE_MAX: SignedDuration = SignedDuration::from_secs(30);

/// What a worker remembers between passes.
#[derive(Default)]
pub struct Memory {
    pub(crate) connection: Option<Box<Connection>>,
    /// The connections to the replicas that the spec leads to.
    pub(crate) replicas: Replicas,
    pub(crate) watch: Watch,
    /// The logins of the last look, for watching between looks.
    pub(crate) logins: BTreeSet<LoginName>,
    /// The credentials that worked. A list, for there are two or three.
    pub(crate) proofs: Vec<Worked>,
    pub(crate) judged: Option<Box<Judged>>,
    pub(crate) failures: u32,
    /// How many looks in a row came to a decision of this kind.
    pub(crate) looks: u32,
    pub(crate) decided: &'static str,
    /// What was told turned out not to be so when it was looked at live: until the worker rests every look is live,
    /// or the same would be decided again, at once.
    pub(crate) told_late: bool,
    /// The server (`host:port`) that did not answer at the last look.
    pub(crate) dead_server: Option<String>,
    /// It is this database's turn to try that server.
    pub(crate) may_try: bool,
}

impl Memory {
    /// Closes the connection. What was watched or judged over it ends with it: the next one may lead elsewhere.
    pub(crate) fn disconnect(&mut self) {
        self.connection = None;
        self.replicas.clear();
        self.watch.clear();
        self.logins.clear();
        self.judged = None;
    }

    /// Is it of another kind than what the looks before came to?
    pub(crate) fn is_news(&self, decision: &Decision) -> bool {
        self.decided != decision.reason()
    }

    /// How many looks before this one came to the same kind of decision.
    pub(crate) fn looks_like(&mut self, decision: &Decision) -> u32 {
        let decided = decision.reason();
        if self.decided != decided {
            self.decided = decided;
            self.looks = 0;
        }
        self.looks = self.looks.saturating_add(1);
        self.looks - 1
    }
}

/// A connection as the admin, and what it was opened with.
pub(crate) struct Connection {
    pub(crate) target: Target,
    pub(crate) admin: Arc<dyn Administer>,
}

impl Connection {
    /// Is it still the way to the database, or has the DSN changed?
    pub(crate) fn is_to(&self, target: &Target) -> bool {
        is_same(&self.target, target)
    }
}

/// Do both lead to the same server, in the same way?
pub(crate) fn is_same(one: &Target, other: &Target) -> bool {
    one.dsn.expose_secret() == other.dsn.expose_secret()
        && one.tls == other.tls
        && one.ca_certificate == other.ca_certificate
}

/// Hints that were judged: of what, by what, when.
pub(crate) struct Judged {
    pub(crate) migration: Migration,
    pub(crate) policy: HintPolicy,
    pub(crate) hints: Hints,
    pub(crate) at: Timestamp,
}

impl Judged {
    /// Does it still hold of this migration under this policy, neither of them edited, and is it fresh?
    pub(crate) fn holds(&self, migration: &Migration, policy: &HintPolicy, now: Timestamp) -> bool {
        &self.migration == migration
            && &self.policy == policy
            && is_recent(self.at, now, FACTS_AGE_MAX)
    }
}

/// A credential that was tried and worked, with what.
pub(crate) struct Worked {
    pub(crate) migration: MigrationName,
    pub(crate) secret: crate::platform::Revision,
    pub(crate) login: LoginName,
    pub(crate) at: Timestamp,
}

impl Worked {
    /// Is it so recent that it need not be tried again?
    pub(crate) fn holds(&self, now: Timestamp) -> bool {
        is_recent(self.at, now, PROOF_AGE_MAX)
    }
}

/// Was that at most so long ago? What a clock that was put back makes lie in the future is of no known age.
fn is_recent(at: Timestamp, now: Timestamp, age_max: SignedDuration) -> bool {
    let age = now.duration_since(at);
    !age.is_negative() && age <= age_max
}

/// Logins watched for disuse: the unbroken row of looks that found nobody.
#[derive(Default)]
pub(crate) struct Watch {
    unused: BTreeMap<LoginName, Row>,
}

#[derive(Clone, Copy)]
struct Row {
    since: Timestamp,
    last: Timestamp,
}

impl Watch {
    /// One look: `unused` are the logins that were *known* to have no session, and nobody that holds them.
    pub(crate) fn look(&mut self, unused: &BTreeSet<LoginName>, now: Timestamp) {
        self.unused.retain(|login, _| unused.contains(login));
        for login in unused {
            self.unused.entry(login.clone()).or_insert(Row {
                since: now,
                last: now,
            });
        }
        self.go_on(unused, now);
    }

    /// A look at some logins alone, which found them without a session: their rows go on, and the others wait.
    pub(crate) fn go_on(&mut self, unused: &BTreeSet<LoginName>, now: Timestamp) {
        for login in unused {
            let Some(row) = self.unused.get_mut(login) else {
                continue;
            };
            if now.duration_since(row.last) > LOOK_GAP_MAX || now < row.last {
                row.since = now;
            }
            row.last = now;
        }
    }

    /// Since when each has been seen unused.
    pub(crate) fn quiet(&self) -> BTreeMap<LoginName, Quiet> {
        self.unused
            .iter()
            .map(|(login, row)| (login.clone(), Quiet { since: row.since }))
            .collect()
    }

    /// Somebody was seen to use it.
    pub(crate) fn forget(&mut self, login: &LoginName) {
        self.unused.remove(login);
    }

    /// Forgets everything: the looks were of something else.
    pub(crate) fn clear(&mut self) {
        self.unused.clear();
    }
}

#[cfg(test)]
mod tests {
    use dbop_model::{Fact, Why};

    use super::*;

    #[test]
    fn a_judgement_holds_until_it_is_old_or_what_it_is_of_is_edited() {
        let desired = dbop_plan::example::desired(1).unwrap();
        let migration = desired.chain.iter().next().unwrap();
        let at = |s| Timestamp::from_second(s).unwrap();
        let judged = Judged {
            migration: migration.clone(),
            policy: HintPolicy::default(),
            hints: Hints {
                migration: migration.name.clone(),
                judged: Fact::Unknown(Why::new("nobody looked")),
            },
            at: at(0),
        };
        let policy = HintPolicy::default();
        assert!(judged.holds(migration, &policy, at(10)));
        assert!(!judged.holds(migration, &policy, at(11)), "too old");
        assert!(
            !judged.holds(migration, &policy, at(-1)),
            "a clock that was put back tells no age"
        );
        let edited = Migration {
            hints: Some(Vec::new()),
            ..migration.clone()
        };
        assert!(
            !judged.holds(&edited, &policy, at(1)),
            "its hints were edited"
        );
        let stricter = HintPolicy {
            require_hints: true,
            ..policy
        };
        assert!(
            !judged.holds(migration, &stricter, at(1)),
            "the policy was edited"
        );
    }

    #[test]
    fn a_proof_holds_for_a_while_and_not_from_the_future() {
        let worked = Worked {
            migration: MigrationName::new("v1").unwrap(),
            secret: crate::platform::Revision("1".to_owned()),
            login: LoginName::new("shop_v1").unwrap(),
            at: Timestamp::UNIX_EPOCH,
        };
        let holds = |s| worked.holds(Timestamp::from_second(s).unwrap());
        assert!(holds(0) && holds(30));
        assert!(!holds(31), "too old");
        assert!(!holds(-1), "a clock that was put back tells no age");
    }

    #[test]
    fn a_row_goes_on_by_looks_at_some_logins_alone() {
        let logins = ["v1", "v2", "v3"].map(|name| LoginName::new(name).unwrap());
        let [v1, v2, v3] = &logins;
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        let mut watch = Watch::default();
        let both = BTreeSet::from([v1.clone(), v2.clone()]);
        watch.look(&both, at(0));
        for ms in [900, 1800, 2700] {
            watch.go_on(&BTreeSet::from([v1.clone(), v3.clone()]), at(ms));
        }
        watch.look(&both, at(2800));
        let quiet = watch.quiet();
        assert_eq!(quiet[v1].since, at(0));
        assert_eq!(quiet[v2].since, at(2800), "nobody looked at it meanwhile");
        assert!(!quiet.contains_key(v3), "a row begins with a whole look");
    }

    #[test]
    fn a_row_breaks_at_a_use_and_at_a_gap() {
        let v1 = LoginName::new("v1").unwrap();
        let unused = BTreeSet::from([v1.clone()]);
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        let mut watch = Watch::default();
        let since = |watch: &Watch| watch.quiet().get(&v1).map(|q| q.since.as_millisecond());
        for ms in [0, 500, 1500] {
            watch.look(&unused, at(ms));
        }
        assert_eq!(since(&watch), Some(0));
        watch.look(&BTreeSet::new(), at(1600));
        assert_eq!(since(&watch), None, "a use ends the row");
        watch.look(&unused, at(1700));
        watch.look(&unused, at(2701));
        assert_eq!(since(&watch), Some(2701), "a gap ends the row");
        watch.look(&unused, at(2000));
        assert_eq!(
            since(&watch),
            Some(2000),
            "a clock that jumps back ends the row"
        );
    }
}

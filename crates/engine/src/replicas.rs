//! Replicas: sessions are looked for there as well, and a login is unused only where each of them shows nobody.
//!
//! What cannot be asked is unknown. So is what is on a replica that the server reports and the spec does not lead to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dbop_database::{Administer, DatabaseError, Replica, ReplicaFacts, Target};
use dbop_model::{DatabaseFacts, DatabaseSpec, Fact, LoginFacts, LoginName, ServerRole, Why};
use futures_util::future::{join, join_all};
use jiff::{SignedDuration, Timestamp};

use crate::memory::is_same;
use crate::observe::dsn_error;
use crate::platform::Read;
use crate::worker::Engine;

/// A replica that could not be reached is tried again after this: each attempt may take as long as a connection
/// may take to come about, and the database is looked at meanwhile.
const TRY_AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(15);
/// How long a replica may take to replay that a login is locked: what it still lets in would not be seen to come. The
/// login is of no use meanwhile, so this is short.
const REPLAY_MAX: Duration = Duration::from_secs(3);
/// Whether it has is asked this often.
const REPLAY_LOOK: Duration = Duration::from_millis(100);
/// After a replica took longer, no login is locked for this long.
const BEHIND_PAUSE: SignedDuration = SignedDuration::from_mins(1);

/// The connections to the replicas of one database.
#[derive(Default)]
pub(crate) struct Replicas {
    links: BTreeMap<usize, Link>,
    /// The one that took too long to replay that a login is locked, and when that was.
    behind: Option<(String, Timestamp)>,
}

/// What became of the last attempt to reach a replica.
enum Link {
    Open {
        target: Target,
        /// `host:port`.
        address: String,
        replica: Arc<dyn Replica>,
    },
    Failed {
        target: Target,
        why: Why,
        at: Timestamp,
    },
}

/// What a replica showed.
pub(crate) struct Seen {
    /// `host:port`.
    pub(crate) address: String,
    pub(crate) facts: ReplicaFacts,
}

impl Replicas {
    /// Closes the connections.
    pub(crate) fn clear(&mut self) {
        self.links.clear();
    }

    /// What each replica that the spec leads to shows of these logins, in its order.
    pub(crate) async fn look(
        &mut self,
        engine: &Engine,
        spec: &DatabaseSpec,
        logins: &BTreeSet<LoginName>,
        read: Read,
    ) -> Vec<Fact<Seen>> {
        let mut before = std::mem::take(&mut self.links);
        let looks = (0..spec.replicas.len()).map(|nth| {
            let link = before.remove(&nth);
            look(engine, spec, nth, link, logins, read)
        });
        let mut seen = Vec::new();
        for (nth, (link, one)) in join_all(looks).await.into_iter().enumerate() {
            if let Some(link) = link {
                self.links.insert(nth, link);
            }
            seen.push(one);
        }
        seen
    }

    /// Those of the logins that are connected to a replica now; `None`: one that was reached before cannot be asked.
    pub(crate) async fn in_use(&self, logins: &BTreeSet<LoginName>) -> Option<BTreeSet<LoginName>> {
        let looks = self.links.values().map(async |link| match link {
            Link::Open { replica, .. } => replica.look(logins).await.ok(),
            Link::Failed { .. } => None,
        });
        let mut in_use = BTreeSet::new();
        for facts in join_all(looks).await {
            let connected = facts?.sessions.into_iter();
            in_use.extend(connected.filter(|(_, s)| !s.is_empty()).map(|(l, _)| l));
        }
        Some(in_use)
    }

    /// Those of the logins that are connected now, to the primary or to a replica; `None` as above.
    pub(crate) async fn in_use_anywhere(
        &self,
        primary: &dyn Administer,
        logins: &BTreeSet<LoginName>,
    ) -> Result<Option<BTreeSet<LoginName>>, DatabaseError> {
        let (sessions, on_replicas) = join(primary.sessions(logins), self.in_use(logins)).await;
        let here = sessions?.into_iter().filter(|(_, found)| !found.is_empty());
        Ok(on_replicas.map(|mut in_use| {
            in_use.extend(here.map(|(login, _)| login));
            in_use
        }))
    }

    /// Waits until no replica lets this login in any more; false: one still does after [`REPLAY_MAX`]. One that cannot
    /// be asked is not waited for: that it is unknown stops a retirement anyway.
    pub(crate) async fn replayed(
        &mut self,
        engine: &Engine,
        spec: &DatabaseSpec,
        login: &LoginName,
    ) -> bool {
        let logins = BTreeSet::from([login.clone()]);
        let mut waited = Duration::ZERO;
        loop {
            let seen = self.look(engine, spec, &logins, Read::Cached).await;
            let mut known = seen.iter().filter_map(Fact::known);
            let Some(behind) = known.find(|seen| seen.facts.open.contains(login)) else {
                return true;
            };
            if waited >= REPLAY_MAX {
                self.behind = Some((behind.address.clone(), engine.clock.now()));
                return false;
            }
            engine.clock.sleep(REPLAY_LOOK).await;
            waited += REPLAY_LOOK;
        }
    }

    /// Puts what the replicas show beside what the server itself does.
    pub(crate) fn merge(
        &self,
        database: &mut DatabaseFacts,
        seen: &[Fact<Seen>],
        spec: &DatabaseSpec,
        now: Timestamp,
    ) {
        let unseen = unseen(database, seen, spec).or_else(|| self.lagged(now));
        let logins = database.logins.values_mut();
        for login in logins.chain(database.replaced.values_mut()) {
            if let Fact::Known(sessions) = &mut login.sessions {
                for one in seen.iter().filter_map(Fact::known) {
                    let there = one.facts.sessions.get(&login.name).into_iter().flatten();
                    sessions.extend(there.cloned().map(|mut session| {
                        session.replica = Some(one.address.clone());
                        session
                    }));
                }
            }
            // Who is seen is seen; only "nobody" needs every server.
            if login.sessions.is_known_and(Vec::is_empty)
                && let Some(why) = unseen.clone().or_else(|| not_replayed(login, seen))
            {
                login.sessions = Fact::Unknown(why);
            }
        }
    }

    /// Why no login is locked just now.
    fn lagged(&self, now: Timestamp) -> Option<Why> {
        let (address, at) = self.behind.as_ref()?;
        let since = now.duration_since(*at);
        (since < BEHIND_PAUSE && !since.is_negative()).then(|| {
            Why::passing(format!(
                "replica {address} had not replayed after {} s that the login is locked, so it was unlocked again; \
                 it is tried again after a minute",
                REPLAY_MAX.as_secs()
            ))
        })
    }
}

async fn look(
    engine: &Engine,
    spec: &DatabaseSpec,
    nth: usize,
    link: Option<Link>,
    logins: &BTreeSet<LoginName>,
    read: Read,
) -> (Option<Link>, Fact<Seen>) {
    let role = ServerRole::Replica(nth);
    let target = match engine.platform.target(spec, role, read).await {
        Ok(target) => target,
        Err(error) => return (None, Fact::Unknown(Why::passing(error.to_string()))),
    };
    let link = link.filter(|link| match link {
        Link::Open { target: old, .. } => is_same(old, &target),
        Link::Failed {
            target: old, at, ..
        } => {
            let since = engine.clock.now().duration_since(*at);
            is_same(old, &target) && since < TRY_AGAIN_AFTER && !since.is_negative()
        }
    });
    let failed = |error: &DatabaseError, address: Option<&str>| {
        let of = address.map_or_else(String::new, |address| format!("replica {address}: "));
        Why::passing(format!("{of}{}", dsn_error(spec, role, error)))
    };
    let (address, replica) = match link {
        Some(Link::Open {
            address, replica, ..
        }) => (address, replica),
        Some(Link::Failed { target, why, at }) => {
            let seen = Fact::Unknown(why.clone());
            return (Some(Link::Failed { target, why, at }), seen);
        }
        None => {
            let address = match engine.connector.endpoint(&target) {
                Ok(endpoint) => format!("{}:{}", endpoint.host, endpoint.port),
                Err(error) => return (None, Fact::Unknown(failed(&error, None))),
            };
            match engine.connector.connect_replica(&target).await {
                Ok(replica) => (address, Arc::from(replica)),
                Err(error) => {
                    let why = failed(&error, Some(&address));
                    let at = engine.clock.now();
                    let seen = Fact::Unknown(why.clone());
                    return (Some(Link::Failed { target, why, at }), seen);
                }
            }
        }
    };
    match replica.look(logins).await {
        Ok(facts) => {
            let seen = Seen {
                address: address.clone(),
                facts,
            };
            let link = Link::Open {
                target,
                address,
                replica,
            };
            (Some(link), Fact::Known(seen))
        }
        // A connection that failed once may be broken; the next look opens a new one.
        Err(error) => (None, Fact::Unknown(failed(&error, Some(&address)))),
    }
}

/// Why there may be sessions that were not looked for.
fn unseen(database: &DatabaseFacts, seen: &[Fact<Seen>], spec: &DatabaseSpec) -> Option<Why> {
    if let Some(why) = seen.iter().find_map(Fact::unknown) {
        return Some(why.clone());
    }
    if spec.credentials.ignore_replicas {
        return None;
    }
    let primary = match &database.replication {
        Fact::Known(primary) => primary,
        Fact::Unknown(why) => return Some(why.clone()),
    };
    // Two DSNs may lead to one server, and one to the server itself.
    let named: BTreeMap<&str, _> = seen
        .iter()
        .filter_map(Fact::known)
        .map(|one| &one.facts.replication)
        .filter(|replica| replica.server != primary.server)
        .map(|replica| (replica.server.as_str(), replica))
        .collect();
    let mut reported: Vec<String> = Vec::new();
    for server in std::iter::once(primary).chain(named.values().copied()) {
        reported.extend(server.replicas.iter().map(ToString::to_string));
    }
    (reported.len() > named.len()).then(|| {
        Why::new(format!(
            "the server has {} replicas ({}), and spec.connection.replicas leads to {} of them: name each there, or \
             set spec.credentials.ignoreReplicas where nobody logs in to them",
            reported.len(),
            reported.join(", "),
            named.len()
        ))
    })
}

/// A login that is locked, and that a replica lets in all the same.
fn not_replayed(login: &LoginFacts, seen: &[Fact<Seen>]) -> Option<Why> {
    let mut known = seen.iter().filter_map(Fact::known);
    let behind = known.find(|one| login.locked && one.facts.open.contains(&login.name))?;
    Some(Why::passing(format!(
        "replica {} has not yet replayed that login {} is locked",
        behind.address, login.name
    )))
}

#[cfg(test)]
mod tests {
    use dbop_model::{Replication, ReportedReplica, Session};

    use super::*;

    fn server(name: &str, replicas: &[&str]) -> Replication {
        let replicas = replicas.iter().map(|address| ReportedReplica {
            address: Some((*address).to_owned()),
            name: None,
        });
        Replication {
            server: name.to_owned(),
            replicas: replicas.collect(),
        }
    }

    fn seen(address: &str, replication: Replication) -> Fact<Seen> {
        Fact::Known(Seen {
            address: address.to_owned(),
            facts: ReplicaFacts {
                replication,
                sessions: BTreeMap::new(),
                open: BTreeSet::new(),
            },
        })
    }

    /// Why sessions may be where nobody looked, with these replicas of the primary, and these looked at.
    fn why(reported: &[&str], seen: &[Fact<Seen>], ignore: bool) -> Option<String> {
        let mut spec = dbop_plan::example::desired(1).unwrap().database;
        spec.credentials.ignore_replicas = ignore;
        let facts = dbop_plan::example::facts().unwrap();
        let mut database = facts.database.known().unwrap().clone();
        database.replication = Fact::Known(server("primary", reported));
        unseen(&database, seen, &spec).map(|why| why.to_string())
    }

    #[track_caller]
    fn check_says(why: Option<String>, expect: &str) {
        let why = why.unwrap_or_default();
        assert!(why.contains(expect), "{why:?} does not say {expect:?}");
    }

    #[test]
    fn each_replica_that_is_reported_has_to_be_looked_at() {
        let one = || seen("a:1", server("one", &[]));
        let two = || seen("b:1", server("two", &[]));
        assert_eq!(why(&[], &[], false), None);
        assert_eq!(why(&["x"], &[one()], false), None);
        assert_eq!(why(&["x", "y"], &[one(), two()], false), None);
        assert_eq!(why(&["x", "y"], &[], true), None);
        check_says(
            why(&["x", "y"], &[one()], false),
            "has 2 replicas (x, y), and spec.connection.replicas leads to 1 of them",
        );
    }

    #[test]
    fn two_ways_to_one_server_are_one_and_the_primary_is_no_replica() {
        let one = || seen("a:1", server("one", &[]));
        let primary = seen("db:1", server("primary", &["x"]));
        check_says(why(&["x", "y"], &[one(), one()], false), "leads to 1 of");
        check_says(why(&["x"], &[primary], false), "leads to 0 of");
    }

    #[test]
    fn replicas_of_replicas_count() {
        let first = seen("a:1", server("one", &["z"]));
        check_says(why(&["x"], &[first], false), "has 2 replicas (x, z)");
    }

    #[test]
    fn one_that_cannot_be_asked_is_unknown_also_where_others_are_ignored() {
        let away = || Fact::Unknown(Why::new("it is away"));
        check_says(why(&["x"], &[away()], false), "it is away");
        check_says(why(&["x"], &[away()], true), "it is away");
    }

    #[test]
    fn who_is_seen_anywhere_is_seen_and_nobody_needs_all() {
        let spec = dbop_plan::example::desired(1).unwrap().database;
        let facts = dbop_plan::example::facts().unwrap();
        let name = LoginName::new("shop_v1").unwrap();
        let merged = |locked: bool, here: &[i64], there: &[i64], open: bool| {
            let session = |pid: &i64| Session {
                pid: *pid,
                user: name.clone(),
                address: None,
                application: None,
                age: None,
                replica: None,
            };
            let mut database = facts.database.known().unwrap().clone();
            let login = LoginFacts {
                turn: dbop_model::LoginTurn::First,
                name: name.clone(),
                locked,
                granted: true,
                sessions: Fact::Known(here.iter().map(session).collect()),
            };
            database.logins = [("v1".parse().unwrap(), login)].into();
            let Fact::Known(mut one) = seen("a:1", server("one", &[])) else {
                unreachable!("it was made known")
            };
            let there = there.iter().map(session).collect();
            one.facts.sessions.insert(name.clone(), there);
            one.facts.open.extend(open.then(|| name.clone()));
            let replicas = Replicas::default();
            replicas.merge(
                &mut database,
                &[Fact::Known(one)],
                &spec,
                Timestamp::UNIX_EPOCH,
            );
            let login = database.logins.into_values().next().unwrap();
            match login.sessions {
                Fact::Known(sessions) => sessions.iter().map(ToString::to_string).collect(),
                Fact::Unknown(why) => vec![why.to_string()],
            }
        };
        assert_eq!(merged(false, &[], &[], true), [""; 0]);
        assert_eq!(merged(true, &[], &[], false), [""; 0]);
        assert_eq!(
            merged(false, &[1], &[7], true),
            [
                "pid 1, user shop_v1, address not shown",
                "pid 7, user shop_v1, address not shown, on replica a:1"
            ]
        );
        assert_eq!(
            merged(true, &[], &[], true),
            ["replica a:1 has not yet replayed that login shop_v1 is locked"]
        );
    }
}

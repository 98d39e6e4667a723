//! Who is connected. Sessions in every database of the server count: a login can log in to any of them.
//!
//! Who may not see the sessions of others is told so by an error: none seen is not none. Where the server counts
//! connections by account, one that came and went between two looks is seen as well.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dbop_database::DatabaseError;
use dbop_model::{LoginName, MissingPrivilege, Session};

use crate::connect::Server;
use crate::link::Hold;
use crate::{parse, query, roles};

/// The sessions of logins; one without sessions has an empty list.
///
/// # Errors
/// [`DatabaseError::Privilege`] where this session may not see those of others.
pub(crate) async fn of(
    hold: &Hold<'_>,
    logins: &BTreeSet<LoginName>,
    server: &Server,
    counters: &Counters,
) -> Result<BTreeMap<LoginName, Vec<Session>>, DatabaseError> {
    let mut found: BTreeMap<LoginName, Vec<Session>> = logins
        .iter()
        .map(|login| (login.clone(), Vec::new()))
        .collect();
    if logins.is_empty() {
        return Ok(found);
    }
    may_see(hold).await?;
    // What is counted is read first: a session that comes between the two is seen, and counted in the next look.
    let counted = counted(hold, logins, server).await?;
    let rows = hold.rows(&query::sessions(logins)?).await?;
    for session in parse::all(hold.operation(), &rows, parse::session)? {
        if let Some(of_login) = found.get_mut(&session.user) {
            of_login.push(session);
        }
    }
    for (login, total) in counted {
        if let Some(of_login) = found.get_mut(&login) {
            let ended = counters.ended_unseen(server.place(), &login, total, of_login);
            if ended > 0 {
                of_login.push(Session {
                    pid: 0,
                    user: login,
                    address: None,
                    application: Some(format!("{ended} that ended since the last look")),
                    age: None,
                    replica: None,
                });
            }
        }
    }
    Ok(found)
}

async fn may_see(hold: &Hold<'_>) -> Result<(), DatabaseError> {
    match hold.rows(query::PROCESS).await {
        Ok(_) => Ok(()),
        // ER_SPECIFIC_ACCESS_DENIED_ERROR.
        Err(DatabaseError::Server { code, .. }) if code == "1227" => {
            let admin = roles::admin(hold).await?;
            Err(DatabaseError::Privilege(MissingPrivilege {
                needed_for: "see the sessions of logins".to_owned(),
                grant: format!("GRANT PROCESS ON *.* TO {}", admin.shown()),
            }))
        }
        Err(error) => Err(error),
    }
}

/// How many connections there have been, by login, where the server says.
async fn counted(
    hold: &Hold<'_>,
    logins: &BTreeSet<LoginName>,
    server: &Server,
) -> Result<BTreeMap<LoginName, u64>, DatabaseError> {
    if !server.counts {
        return Ok(BTreeMap::new());
    }
    let rows = match hold.rows(&query::connections(server.engine, logins)?).await {
        Ok(rows) => rows,
        // Not readable: sessions are watched all the same, as on a server that does not count.
        Err(DatabaseError::Server { code, .. }) if matches!(code.as_str(), "1142" | "1227") => {
            return Ok(BTreeMap::new());
        }
        Err(error) => return Err(error),
    };
    let rows = parse::all(hold.operation(), &rows, |c| {
        Ok((c.text()?.to_owned(), c.number()?))
    })?;
    let mut counted: BTreeMap<LoginName, u64> =
        logins.iter().map(|login| (login.clone(), 0)).collect();
    for (login, total) in rows {
        if let Some(of_login) = LoginName::new(login).ok().and_then(|l| counted.get_mut(&l)) {
            *of_login = total;
        }
    }
    Ok(counted)
}

/// More logins than all databases of all servers have; beyond, counting begins anew.
const LOGINS_MAX: usize = 100_000;

/// What servers counted at the last look, by server and login; the operator's own proofs are told apart.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    last: Mutex<BTreeMap<(String, LoginName), Counted>>,
}

#[derive(Debug, Default)]
struct Counted {
    /// What the server said, and the sessions that were there; `None`: nobody has looked yet.
    seen: Option<(u64, BTreeSet<i64>)>,
    /// Proofs of ours under way, and those that were let in since.
    proving: u32,
    proven: u64,
}

impl Counters {
    fn locked(&self) -> MutexGuard<'_, BTreeMap<(String, LoginName), Counted>> {
        // A panic elsewhere leaves numbers that are numbers all the same.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, place: &str, login: &LoginName, act: impl FnOnce(&mut Counted) -> T) -> T {
        let mut last = self.locked();
        if last.len() >= LOGINS_MAX {
            last.clear();
        }
        act(last.entry((place.to_owned(), login.clone())).or_default())
    }

    /// A proof of ours begins: until it ends, what the server counts says nothing about others.
    pub(crate) fn begin_ours<'a>(&'a self, place: &'a str, login: &'a LoginName) -> Ours<'a> {
        self.with(place, login, |counted| counted.proving += 1);
        Ours {
            counters: self,
            place,
            login,
            is_in: false,
        }
    }

    /// Connections that came and went since the last look, seen by nobody.
    fn ended_unseen(
        &self,
        place: &str,
        login: &LoginName,
        total: u64,
        sessions: &[Session],
    ) -> u64 {
        let now: BTreeSet<i64> = sessions.iter().map(|session| session.pid).collect();
        self.with(place, login, |counted| {
            if counted.proving > 0 {
                return 0;
            }
            let proven = std::mem::take(&mut counted.proven);
            let ended = match &counted.seen {
                // A server that started anew counts anew: what was before it is not known.
                Some((before, _)) if total < *before => 0,
                Some((before, pids)) => {
                    let new = now.difference(pids).count() as u64;
                    (total - before).saturating_sub(proven + new)
                }
                None => 0,
            };
            counted.seen = Some((total, now));
            ended
        })
    }
}

/// A proof of ours.
pub(crate) struct Ours<'a> {
    counters: &'a Counters,
    place: &'a str,
    login: &'a LoginName,
    /// The server let it in, and so counted it.
    pub(crate) is_in: bool,
}

impl Drop for Ours<'_> {
    fn drop(&mut self) {
        let is_in = self.is_in;
        self.counters.with(self.place, self.login, |counted| {
            counted.proving = counted.proving.saturating_sub(1);
            counted.proven += u64::from(is_in);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(pids: &[i64]) -> Vec<Session> {
        let session = |pid: &i64| Session {
            pid: *pid,
            user: LoginName::new("u").unwrap(),
            address: None,
            application: None,
            age: None,
            replica: None,
        };
        pids.iter().map(session).collect()
    }

    #[test]
    fn what_came_and_went_is_counted() {
        let (counters, login) = (Counters::default(), LoginName::new("u").unwrap());
        let look =
            |total, pids: &[i64]| counters.ended_unseen("db:3306", &login, total, &sessions(pids));
        assert_eq!(
            look(7, &[1]),
            0,
            "what was before the first look is not known"
        );
        assert_eq!(look(7, &[1]), 0);
        assert_eq!(look(8, &[1, 2]), 0, "it is seen");
        assert_eq!(look(8, &[]), 0, "it was seen");
        assert_eq!(look(11, &[9]), 2);
        assert_eq!(look(11, &[9]), 0, "said once");
        assert_eq!(look(3, &[]), 0, "counted anew");
        assert_eq!(look(4, &[]), 1);
    }

    #[test]
    fn proofs_of_ours_are_not_an_applications() {
        let (counters, login) = (Counters::default(), LoginName::new("u").unwrap());
        let look = |total| counters.ended_unseen("db:3306", &login, total, &[]);
        assert_eq!(look(1), 0);
        let mut ours = counters.begin_ours("db:3306", &login);
        assert_eq!(look(2), 0, "it is under way");
        ours.is_in = true;
        drop(ours);
        assert_eq!(look(3), 1, "one of the two was another's");
        drop(counters.begin_ours("db:3306", &login));
        assert_eq!(look(4), 1, "one that was refused is not counted");
    }
}

//! Users' queries of one database: the login that they run as, their session, and their limits.
//!
//! Nobody but this process knows the login's password: it is drawn anew by each, and stands nowhere. Queries of a sample run
//! one after the other; one that is refused, fails or is slow costs the others nothing but time. While a migration runs
//! none is asked: what it reads would be locked for the migration, and what it gave last stands.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use dbop_credentials::password;
use dbop_database::{Administer, DatabaseError, Look, Reader, Scope, Target};
use dbop_model::sample::{MetricQuery, QueryValue};
use dbop_model::{Fact, LoginName, Why};
use jiff::Timestamp;
use secrecy::SecretString;

use crate::observe::claim_owner;
use crate::platform::{Clock, PlatformError, Read, Subject};
use crate::worker::Engine;

/// No query takes longer: so long at most does it hold up a statement that wants its table for itself.
const QUERY_TIME_MAX: Duration = Duration::from_secs(5);
/// All queries of a sample together.
const ALL_TIME_MAX: Duration = Duration::from_secs(20);
/// Where a query fails for the same reason each time, the login is made sure of so rarely: that writes to the database.
const ENSURED_AGAIN: Duration = Duration::from_secs(600);

/// What queries gave, in the order of the spec.
type Given = Vec<(Arc<MetricQuery>, Fact<QueryValue>)>;

/// Why no query could be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unasked {
    #[error(transparent)]
    Platform(#[from] PlatformError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("{0}")]
    Because(&'static str),
}

/// What is kept between samples.
#[derive(Default)]
pub(crate) struct Queries {
    /// The login, with its password. Dropped, it is made sure of again.
    login: Option<(LoginName, SecretString)>,
    ensured_at: Option<Timestamp>,
    last: Given,
}

/// What queries are asked with.
pub(crate) struct Asking<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) subject: &'a Subject,
    pub(crate) admin: &'a dyn Administer,
    pub(crate) target: &'a Target,
}

impl Queries {
    /// Asks all of them. That they cannot be asked is what each of them gave.
    pub(crate) async fn ask(&mut self, with: &Asking<'_>, wanted: &[Arc<MetricQuery>]) -> Given {
        if wanted.is_empty() {
            return Vec::new();
        }
        let given = match self.asked(with, wanted).await {
            Ok(given) => given,
            Err(why) => {
                let why = Why::new(why.to_string());
                let unknown =
                    |query: &Arc<MetricQuery>| (query.clone(), Fact::Unknown(why.clone()));
                wanted.iter().map(unknown).collect()
            }
        };
        if self.may_help(&*with.engine.clock, &given) {
            self.login = None;
        }
        self.last.clone_from(&given);
        given
    }

    /// May it help to make sure of the login? It may lack a table that came since, or a person has changed it.
    fn may_help(&self, clock: &dyn Clock, given: &Given) -> bool {
        let mut failed = given.iter().filter(|(_, value)| value.unknown().is_some());
        match self.ensured_at {
            Some(at) if since(clock, at) < ENSURED_AGAIN => {
                failed.any(|failed| !self.last.iter().any(|last| is_same(last, failed)))
            }
            _ => failed.next().is_some(),
        }
    }

    async fn asked(
        &mut self,
        with: &Asking<'_>,
        wanted: &[Arc<MetricQuery>],
    ) -> Result<Given, Unasked> {
        let platform = &with.engine.platform;
        let jobs = platform
            .jobs(&with.subject.desired.database.id, Read::Cached)
            .await?;
        if jobs.iter().any(dbop_model::JobFacts::is_live) {
            let is_of_these = self.last.iter().map(|(query, _)| query).eq(wanted);
            return match is_of_these {
                true => Ok(self.last.clone()),
                false => Err(Unasked::Because("it is asked when the migration has ended")),
            };
        }
        let mut session = None;
        let clock = &with.engine.clock;
        let began = clock.now();
        let mut given = Vec::with_capacity(wanted.len());
        for query in wanted {
            let left = ALL_TIME_MAX.saturating_sub(since(&**clock, began));
            let value = if left.is_zero() {
                let text = "the queries before it took the time of the whole sample";
                Fact::Unknown(Why::new(text))
            } else {
                self.number(with, &mut session, query, left.min(QUERY_TIME_MAX))
                    .await?
            };
            given.push((query.clone(), value));
        }
        Ok(given)
    }

    /// What one query gives; a session that it has ended is opened again for the next.
    async fn number(
        &mut self,
        with: &Asking<'_>,
        session: &mut Option<Box<dyn Reader>>,
        query: &MetricQuery,
        limit: Duration,
    ) -> Result<Fact<QueryValue>, Unasked> {
        let reader = match session.take() {
            Some(reader) => reader,
            None => self.session(with).await?,
        };
        let clock = &with.engine.clock;
        let began = clock.now();
        let given = match reader.number(&query.sql, limit).await {
            Ok(given) => {
                *session = Some(reader);
                given
            }
            Err(DatabaseError::Lost { .. }) => {
                Fact::Unknown(Why::new("the session ended while the query ran"))
            }
            Err(error) => return Err(error.into()),
        };
        let took = since(&**clock, began);
        Ok(given.map(|value| QueryValue { value, took }))
    }

    async fn session(&mut self, with: &Asking<'_>) -> Result<Box<dyn Reader>, Unasked> {
        let connector = &with.engine.connector;
        if let Some((login, password)) = &self.login {
            match connector.connect_reader(with.target, login, password).await {
                // Another operator has made it anew, or a person has changed it.
                Err(DatabaseError::Refused { .. }) => {}
                opened => return Ok(opened?),
            }
        }
        let (login, password) = ensured(with).await?;
        self.ensured_at = Some(with.engine.clock.now());
        let opened = connector
            .connect_reader(with.target, &login, &password)
            .await;
        self.login = Some((login, password));
        Ok(opened?)
    }
}

/// Did the same query fail for the same reason?
fn is_same(
    (last, before): &(Arc<MetricQuery>, Fact<QueryValue>),
    (query, now): &(Arc<MetricQuery>, Fact<QueryValue>),
) -> bool {
    last == query && before.unknown() == now.unknown()
}

/// Makes sure of the login: the one thing that sampling writes.
async fn ensured(with: &Asking<'_>) -> Result<(LoginName, SecretString), Unasked> {
    let spec = &with.subject.desired.database;
    if spec.read_only {
        let text = "spec.readOnly is set, so that the login that it would run as is not made";
        return Err(Unasked::Because(text));
    }
    if spec.paused {
        let text = "spec.paused is set, so that the login that it would run as is not made";
        return Err(Unasked::Because(text));
    }
    if with.subject.object.deleting {
        return Err(Unasked::Because("the object is being deleted"));
    }
    let owner = claim_owner(with.engine, &spec.id);
    let look = Look {
        owner: owner.clone(),
        version_source: spec.version_source.clone(),
        access: spec.access(),
        migrations: BTreeSet::new(),
    };
    let facts = with.admin.observe(&look).await?;
    let Some(claim) = facts.claim.ours() else {
        let text = "the database is not this object's yet, so that nothing is made in it";
        return Err(Unasked::Because(text));
    };
    let scope = Scope {
        owner,
        claim: claim.clone(),
        access: spec.access(),
    };
    let mut random = [0; password::PASSWORD_BYTES];
    with.engine.entropy.fill(&mut random);
    let password = password::password(random);
    let login = with.admin.ensure_reader(&scope, &password).await?;
    Ok((login, password))
}

fn since(clock: &dyn Clock, began: Timestamp) -> Duration {
    Duration::try_from(clock.now().duration_since(began)).unwrap_or_default()
}

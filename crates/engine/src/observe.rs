//! Observe: all that one decision needs, gathered in one look.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dbop_credentials::{Binding, names};
use dbop_database::{Administer, DatabaseError, Endpoint, Look, Target};
use dbop_model::{
    ClaimOwner, DatabaseFacts, DatabaseSpec, DsnSource, Fact, ForeignObject, LoginFacts, LoginName,
    LoginTurn, MigrationName, ObjectRef, Proof, SecretName, SecretTemplate, ServerInfo, ServerRole,
    TlsMode, Why,
};
use dbop_plan::{Action, Decision, DeletionStep, Desired, Facts, SecretFacts, decide};
use futures_util::future::join;
use secrecy::{ExposeSecret, SecretString};

use crate::judge::judged;
use crate::memory::{Connection, Memory, Worked};
use crate::platform::{PlatformError, Read, SecretSeen, Subject, Workloads};
use crate::servers::Admission;
use crate::wanted::Wanted;
use crate::worker::Engine;

/// How fresh a look must be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// What was proven or judged moments ago may be used again.
    Recent,
    /// Everything is looked at now: an action begins with it.
    Live,
    /// As live as that, in the course of the action. Only the hints are not judged anew while their facts
    /// are fresh: their probes read tables, and the database's lock is held meanwhile.
    Again,
}

impl Freshness {
    fn read(self) -> Read {
        match self {
            Freshness::Recent => Read::Cached,
            Freshness::Live | Freshness::Again => Read::Live,
        }
    }
}

/// One look at the surroundings, with what a step needs to carry on from it.
pub(crate) struct Seen {
    pub(crate) desired: Desired,
    pub(crate) facts: Facts,
    /// Our finalizer holds the object.
    pub(crate) held: bool,
    /// The Secrets behind `facts.secrets`, content and revision.
    pub(crate) secrets: BTreeMap<MigrationName, SecretSeen>,
    /// The connection as the admin, where there is one.
    pub(crate) admin: Option<Arc<dyn Administer>>,
    /// Where the database is.
    pub(crate) place: Option<Place>,
}

impl Seen {
    /// Are claim, roles and grants there, under our finalizer, so that preparing a step writes nothing?
    pub(crate) fn is_prepared(&self) -> bool {
        let database = self.facts.database.known();
        self.held && database.is_some_and(|seen| seen.roles_ready && seen.claim.ours().is_some())
    }
}

/// Where a database is: for credentials that are made or tried.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) target: Target,
    pub(crate) endpoint: Endpoint,
}

/// A server as its databases share it: `host:port`.
fn server(endpoint: &Endpoint) -> String {
    format!("{}:{}", endpoint.host, endpoint.port)
}

impl Place {
    /// Where a server was found that says what it is: a DSN of scheme `mysql` may lead to a MariaDB, whose drivers
    /// must be told.
    fn found(target: Target, endpoint: Endpoint, server: &ServerInfo) -> Self {
        let endpoint = Endpoint {
            engine: server.engine,
            ..endpoint
        };
        Place { target, endpoint }
    }

    /// The server that it is on: `host:port`.
    pub(crate) fn server(&self) -> String {
        server(&self.endpoint)
    }

    /// What a login's Secret holds here.
    pub(crate) fn binding(&self, login: &LoginName, password: &SecretString) -> Binding {
        let endpoint = &self.endpoint;
        let verified = matches!(endpoint.tls, TlsMode::VerifyCa | TlsMode::VerifyFull);
        Binding {
            engine: endpoint.engine,
            host: endpoint.host.clone(),
            port: endpoint.port,
            database: endpoint.database.clone(),
            username: login.clone(),
            password: password.clone(),
            tls: endpoint.tls,
            ca_certificate: self.target.ca_certificate.clone().filter(|_| verified),
        }
    }
}

/// Whose claims are ours.
pub(crate) fn claim_owner(engine: &Engine, database: &ObjectRef) -> ClaimOwner {
    ClaimOwner {
        cluster: engine.platform.cluster(),
        object: database.clone(),
    }
}

/// Looks at everything. `None`: the object does not exist.
///
/// `action` is the step that the look is for, where it is for one: who refers to a credential decides about
/// its retirement alone, and only then is worth asking for anew.
///
/// # Errors
/// Only where the object itself cannot be read; everything else becomes an unknown fact.
pub(crate) async fn observe(
    engine: &Engine,
    memory: &mut Memory,
    database: &ObjectRef,
    freshness: Freshness,
    action: Option<&Action>,
) -> Result<Option<Seen>, PlatformError> {
    let platform = &engine.platform;
    let read = freshness.read();
    // They are of different places, and each takes a round trip: what waits for nothing goes first.
    let (subject, jobs) = join(
        platform.subject(database, read),
        platform.jobs(database, read),
    )
    .await;
    let Some(subject) = subject? else {
        return Ok(None);
    };
    let Subject {
        desired,
        object,
        held,
    } = subject;
    let connected: BTreeSet<MigrationName> = desired
        .chain
        .connected(&desired.database.desired)
        .into_iter()
        .cloned()
        .collect();
    let secret_names: BTreeMap<MigrationName, SecretName> = connected
        .iter()
        .map(|m| (m.clone(), names::secret(database, m)))
        .collect();
    let look = Look {
        owner: claim_owner(engine, database),
        version_source: desired.database.version_source.clone(),
        access: desired.database.access(),
        migrations: connected,
    };
    let (seen_secrets, reached) = join(
        platform.secrets(database, &secret_names, read),
        reach(engine, memory, &desired.database, &look, read),
    )
    .await;
    let server = reached.as_ref().ok().map(|(_, place, _)| place.server());
    let slots = platform.slots(database, server.as_deref()).await;
    let jobs = Fact::from(jobs);
    let now = engine.clock.now();

    let mut facts = Facts {
        object,
        jobs,
        secrets: Fact::Known(BTreeMap::new()),
        references: Fact::Known(BTreeMap::new()),
        admin_references: Vec::new(),
        declared: Fact::Known(Vec::new()),
        foreign: Vec::new(),
        database: Fact::Unknown(Why::new("it has not been looked at")),
        proofs: BTreeMap::new(),
        quiet: BTreeMap::new(),
        quiet_replaced: BTreeMap::new(),
        hints: None,
        slots,
    };
    let (admin, place) = match reached {
        Ok((admin, place, mut seen)) => {
            let spec = &desired.database;
            let logins = seen.all_logins().map(|(_, l)| l.name.clone()).collect();
            let beside = memory.replicas.look(engine, spec, &logins, read).await;
            memory.replicas.merge(&mut seen, &beside, spec, now);
            facts.database = Fact::Known(seen);
            (Some(admin), Some(place))
        }
        Err(why) => {
            facts.database = Fact::Unknown(why);
            (None, None)
        }
    };
    let secrets = match seen_secrets {
        Ok(seen) => {
            sort_logins(&seen, &mut facts, database);
            let template = &desired.database.credentials.secret_template;
            sort_secrets(seen, &mut facts, place.as_ref(), template)
        }
        Err(error) => {
            facts.secrets = Fact::Unknown(Why::new(error.to_string()));
            BTreeMap::new()
        }
    };
    let retires = matches!(
        action,
        Some(
            Action::Retire(_)
                | Action::RetireReplaced { .. }
                | Action::Delete(DeletionStep::Revoke(_))
        )
    );
    let read_references = if retires { read } else { Read::Cached };
    refer(engine, &desired.database, &mut facts, read_references).await;
    if let Some(place) = &place {
        facts.proofs = prove(engine, memory, place, &secrets, &facts, freshness).await;
    }
    memory.logins = logins(&facts);
    memory.watch.look(&unused(&facts), now);
    let quiet = memory.watch.quiet();
    let quiet_of = |logins: fn(&DatabaseFacts) -> &BTreeMap<MigrationName, LoginFacts>| {
        let logins = facts.database.known().into_iter().flat_map(logins);
        let quiet = logins.filter_map(|(m, login)| Some((m.clone(), *quiet.get(&login.name)?)));
        quiet.collect()
    };
    (facts.quiet, facts.quiet_replaced) = (
        quiet_of(|seen| &seen.logins),
        quiet_of(|seen| &seen.replaced),
    );
    if let Some(admin) = &admin {
        facts.hints = judged(engine, memory, admin.as_ref(), &desired, &facts, freshness).await;
    }
    if let Decision::Act {
        action: Action::StartRun(run),
        ..
    } = decide(&desired, &facts, now)
        && platform.is_foreign_job(database, &run.job).await
    {
        facts.foreign.push(ForeignObject {
            kind: "Job".to_owned(),
            name: run.job.to_string(),
        });
    }
    Ok(Some(Seen {
        desired,
        facts,
        held,
        secrets,
        admin,
        place,
    }))
}

/// Connects where that is needed, and looks at the database.
async fn reach(
    engine: &Engine,
    memory: &mut Memory,
    spec: &DatabaseSpec,
    look: &Look,
    read: Read,
) -> Result<(Arc<dyn Administer>, Place, DatabaseFacts), Why> {
    let why = |error: &dyn std::fmt::Display| Why::new(error.to_string());
    let of_dsn = |error: &DatabaseError| {
        let reason = dsn_error(spec, ServerRole::Primary, error);
        // Whoever waits for a person need not try again meanwhile.
        if error.is_transient() {
            Why::passing(reason)
        } else {
            Why::new(reason)
        }
    };
    let may_try = std::mem::take(&mut memory.may_try);
    memory.dead_server = None;
    let target = engine
        .platform
        .target(spec, ServerRole::Primary, read)
        .await;
    let target = target.map_err(|e| why(&e))?;
    let endpoint = engine.connector.endpoint(&target).map_err(|e| of_dsn(&e))?;
    if memory
        .connection
        .as_ref()
        .is_some_and(|connection| !connection.is_to(&target))
    {
        memory.disconnect();
    }
    let admin = match &memory.connection {
        Some(connection) => connection.admin.clone(),
        None => {
            let server = server(&endpoint);
            if let Admission::Dead { why } = engine.servers.admit(&server, may_try) {
                memory.dead_server = Some(server);
                return Err(Why::passing(dsn_error(spec, ServerRole::Primary, &why)));
            }
            let connected = engine.connector.connect(&target).await;
            if let Err(error @ DatabaseError::Unreachable { .. }) = &connected {
                let now = engine.clock.now();
                engine.servers.failed(&server, error.to_string(), now);
                memory.dead_server = Some(server);
            } else {
                engine.servers.answered(&server);
            }
            if let Err(error) = &connected {
                engine.observer.out_of_reach(&spec.id, error);
            }
            let admin: Arc<dyn Administer> = connected.map_err(|e| of_dsn(&e))?.into();
            memory.connection = Some(Box::new(Connection {
                target: target.clone(),
                admin: admin.clone(),
            }));
            admin
        }
    };
    match admin.observe(look).await {
        Ok(seen) => Ok((admin, Place::found(target, endpoint, &seen.server), seen)),
        Err(error) => {
            engine.observer.out_of_reach(&spec.id, &error);
            // A connection that failed once may be broken; the next pass opens a new one.
            memory.disconnect();
            Err(Why::passing(error.to_string()))
        }
    }
}

/// What is wrong with the DSN or its login is mended in the Secret that holds it: its name belongs to the
/// message.
pub(crate) fn dsn_error(
    spec: &DatabaseSpec,
    role: ServerRole,
    error: &dyn std::fmt::Display,
) -> String {
    match spec.dsn_of(role) {
        Some(DsnSource { secret, keys }) => {
            format!("{error} (DSN from Secret {secret}, {keys})")
        }
        None => error.to_string(),
    }
}

/// Who refers to the Secrets of credentials, and to those that hold DSNs; who says which schema it is for.
async fn refer(engine: &Engine, spec: &DatabaseSpec, facts: &mut Facts, read: Read) {
    // A credential whose Secret is just deleted may still be referred to: every login counts.
    let with_secret = facts.secrets.known().into_iter().flat_map(BTreeMap::keys);
    let database = facts.database.known();
    let with_login = database.into_iter().flat_map(DatabaseFacts::all_logins);
    let with_login = with_login.map(|(migration, _)| migration);
    let of_credentials: BTreeMap<MigrationName, SecretName> = with_secret
        .chain(with_login)
        .map(|migration| (migration.clone(), names::secret(&spec.id, migration)))
        .collect();
    let of_admin: BTreeSet<SecretName> = std::iter::once(&spec.dsn)
        .chain(&spec.replicas)
        // A Pod refers to Secrets of its own namespace alone.
        .filter(|dsn| dsn.secret.namespace() == spec.id.namespace())
        .filter_map(|dsn| SecretName::new(dsn.secret.name()).ok())
        .collect();
    let wanted = of_credentials.values().chain(&of_admin).cloned().collect();
    let found = engine.platform.workloads(&spec.id, &wanted, read).await;
    (facts.references, facts.declared) = match found {
        Fact::Unknown(why) => (Fact::Unknown(why.clone()), Fact::Unknown(why)),
        Fact::Known(Workloads {
            mut references,
            declared,
        }) => {
            let of_admin = of_admin.iter().filter_map(|one| references.remove(one));
            facts.admin_references = of_admin.flatten().collect();
            let by_migration = of_credentials
                .into_iter()
                .filter_map(|(migration, secret)| Some((migration, references.remove(&secret)?)));
            (Fact::Known(by_migration.collect()), Fact::Known(declared))
        }
    };
}

/// Of two logins of a credential, its Secret says which is the published one.
fn sort_logins(
    seen: &BTreeMap<MigrationName, SecretSeen>,
    facts: &mut Facts,
    database: &ObjectRef,
) {
    let Fact::Known(there) = &mut facts.database else {
        return;
    };
    let all: BTreeSet<MigrationName> = there.all_logins().map(|(m, _)| m.clone()).collect();
    for migration in all {
        let secret = seen.get(&migration).filter(|secret| secret.ours);
        let turn = published_turn(there, database, &migration, secret);
        there.publish(&migration, turn);
    }
}

/// The login that a credential publishes: the one that its Secret names, there or gone. A Secret that names neither, or
/// is gone itself, says nothing: then it is the only one that there is, or the first.
pub(crate) fn published_turn(
    there: &DatabaseFacts,
    database: &ObjectRef,
    migration: &MigrationName,
    secret: Option<&SecretSeen>,
) -> LoginTurn {
    let logins = [there.logins.get(migration), there.replaced.get(migration)];
    let logins: Vec<&LoginFacts> = logins.into_iter().flatten().collect();
    let username = secret.and_then(|secret| secret.data.get("username"));
    let username = username.map(ExposeSecret::expose_secret);
    let named = logins
        .iter()
        .find(|login| Some(login.name.as_str()) == username)
        .map(|login| login.turn);
    let gone = || {
        let (engine, claim) = (there.server.engine, there.claim.ours()?);
        LoginTurn::ALL.into_iter().find(|turn| {
            let name = names::login_in_turn(engine, database, migration, claim, *turn);
            Some(name.as_str()) == username
        })
    };
    named.or_else(gone).unwrap_or(match logins[..] {
        [only] => only.turn,
        _ => LoginTurn::First,
    })
}

/// Ours by migration, with what the planner needs to know of each; foreign ones are only named.
fn sort_secrets(
    seen: BTreeMap<MigrationName, SecretSeen>,
    facts: &mut Facts,
    place: Option<&Place>,
    template: &SecretTemplate,
) -> BTreeMap<MigrationName, SecretSeen> {
    let (ours, foreign): (BTreeMap<_, _>, BTreeMap<_, _>) =
        seen.into_iter().partition(|(_, secret)| secret.ours);
    facts
        .foreign
        .extend(foreign.into_values().map(|secret| ForeignObject {
            kind: "Secret".to_owned(),
            name: secret.name.to_string(),
        }));
    let database = facts.database.known();
    let secret_facts = ours
        .iter()
        .map(|(migration, secret)| {
            let login = database.and_then(|seen| seen.logins.get(migration));
            let login = login.map(|login| &login.name);
            // Of two logins, it has to say since when it names the one: by that is told who holds the other.
            let has_other = database.is_some_and(|seen| seen.replaced.contains_key(migration));
            let is_dated = secret.issued_at.is_some() || !has_other;
            // Without a login to compare with there is nothing that a changed Secret could differ from.
            let intact = match (place, login) {
                (Some(place), Some(login)) => is_dated && is_intact(secret, place, template, login),
                _ => true,
            };
            let issued_at = secret.issued_at.or(secret.created_at);
            (migration.clone(), SecretFacts { intact, issued_at })
        })
        .collect();
    facts.secrets = Fact::Known(secret_facts);
    ours
}

/// Is the Secret as we would write it, given its own password?
fn is_intact(
    secret: &SecretSeen,
    place: &Place,
    template: &SecretTemplate,
    login: &LoginName,
) -> bool {
    let password = secret.data.get("password");
    password.is_some_and(|password| Wanted::new(place, template, login, password).is_met_by(secret))
}

/// Tries each credential that has both a login and a Secret, by logging in with it.
async fn prove(
    engine: &Engine,
    memory: &mut Memory,
    place: &Place,
    secrets: &BTreeMap<MigrationName, SecretSeen>,
    facts: &Facts,
    freshness: Freshness,
) -> BTreeMap<MigrationName, Proof> {
    let Some(database) = facts.database.known() else {
        return BTreeMap::new();
    };
    let mut before = std::mem::take(&mut memory.proofs);
    let mut proofs = BTreeMap::new();
    for (migration, secret) in secrets {
        // A locked login is being retired: that it refuses us is no news.
        let Some(login) = database.logins.get(migration).filter(|login| !login.locked) else {
            continue;
        };
        let now = engine.clock.now();
        let recent = before.iter().position(|worked| {
            freshness == Freshness::Recent
                && worked.migration == *migration
                && worked.secret == secret.revision
                && worked.login == login.name
                && worked.holds(now)
        });
        let proof = match (recent, secret.data.get("password")) {
            (Some(nth), _) => {
                memory.proofs.push(before.swap_remove(nth));
                Proof::Works
            }
            (None, Some(password)) => {
                let prove = engine.connector.prove(&place.target, &login.name, password);
                let proof = prove.await;
                if proof == Proof::Works {
                    memory.proofs.push(Worked {
                        migration: migration.clone(),
                        secret: secret.revision.clone(),
                        login: login.name.clone(),
                        at: now,
                    });
                }
                proof
            }
            (None, None) => Proof::Refused,
        };
        proofs.insert(migration.clone(), proof);
    }
    memory.proofs.shrink_to_fit();
    proofs
}

/// The logins that are *known* to have no session, and nobody who refers to them (or holds one that was replaced), and
/// could be used.
pub(crate) fn unused(facts: &Facts) -> BTreeSet<LoginName> {
    let (Some(database), Some(references)) = (facts.database.known(), facts.references.known())
    else {
        return BTreeSet::new();
    };
    let published = database
        .logins
        .iter()
        .filter(|(migration, _)| references.get(*migration).is_none_or(Vec::is_empty));
    let replaced = database.replaced.iter().filter(|(migration, _)| {
        let holders = facts.holders_of_replaced(migration);
        holders.is_known_and(Vec::is_empty)
    });
    published
        .chain(replaced)
        // Nobody could come while it was locked: that time proves nothing.
        .filter(|(_, login)| !login.locked && login.sessions.is_known_and(Vec::is_empty))
        .map(|(_, login)| login.name.clone())
        .collect()
}

fn logins(facts: &Facts) -> BTreeSet<LoginName> {
    let database = facts.database.known().into_iter();
    let logins = database.flat_map(DatabaseFacts::all_logins);
    logins.map(|(_, login)| login.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use dbop_model::Engine;

    use super::*;

    #[test]
    fn a_binding_is_in_the_words_of_the_server_that_was_found() {
        let found = |server: Engine| {
            let target = Target {
                dsn: "mysql://admin:x@db/shop".to_owned().into(),
                tls: None,
                ca_certificate: None,
            };
            let endpoint = Endpoint {
                engine: Engine::MySql,
                host: "db".to_owned(),
                port: 3306,
                database: "shop".to_owned(),
                tls: TlsMode::Require,
            };
            let server = ServerInfo {
                engine: server,
                major: 11,
                minor: 4,
                address: "db:3306/shop".to_owned(),
            };
            let login = LoginName::new("shop_v1").unwrap();
            Place::found(target, endpoint, &server)
                .binding(&login, &"p".to_owned().into())
                .jdbc_url()
        };
        assert_eq!(
            found(Engine::MySql),
            "jdbc:mysql://db:3306/shop?sslMode=REQUIRED"
        );
        assert_eq!(
            found(Engine::MariaDb),
            "jdbc:mariadb://db:3306/shop?sslMode=trust"
        );
    }
}

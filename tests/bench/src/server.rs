//! The server of the fake databases: the behaving fakes of `dbop-testkit`, each on a server of its own, reached
//! over TCP and counted.
//!
//! It can be taken away: then whoever comes is turned away without a word, and counted.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, anyhow};
use dbop_database::{Administer, Connector as _, Look, Scope};
use dbop_model::{
    AccessPolicy, Claim, ClaimId, ClaimOwner, Fact, LoginName, LoginTurn, MigrationName, ObjectRef,
    ObservedVersion, Proof, SchemaVersion, Session, VersionSource,
};
use dbop_testkit::fake_database::FakeDatabase;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::wire::turn_of;

/// What was asked of the server.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counts {
    /// Connections that were opened.
    pub connections: u64,
    /// Connections that are open.
    pub open: u64,
    /// Attempts that were turned away while the server was down.
    pub turned_away: u64,
    /// Calls, by name.
    pub calls: BTreeMap<String, u64>,
}

impl Counts {
    /// What came after `before`.
    pub fn since(&self, before: &Counts) -> Counts {
        let calls = self.calls.iter().map(|(name, count)| {
            let earlier = before.calls.get(name).copied().unwrap_or_default();
            (name.clone(), count - earlier)
        });
        Counts {
            connections: self.connections - before.connections,
            open: self.open,
            turned_away: self.turned_away - before.turned_away,
            calls: calls.filter(|(_, count)| *count > 0).collect(),
        }
    }

    /// All calls.
    pub fn total(&self) -> u64 {
        self.calls.values().sum()
    }
}

/// The server.
pub struct FakeServer {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    databases: Mutex<BTreeMap<String, FakeDatabase>>,
    source: VersionSource,
    access: AccessPolicy,
    up: watch::Sender<bool>,
    counts: Mutex<Counts>,
    seen: Mutex<BTreeMap<String, Instant>>,
}

impl FakeServer {
    /// Listens on a free port of this machine. All databases have this version source and these grants.
    pub async fn start(source: VersionSource, access: AccessPolicy) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            databases: Mutex::default(),
            source,
            access,
            up: watch::Sender::new(true),
            counts: Mutex::default(),
            seen: Mutex::default(),
        });
        let of_all = shared.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(of_all.clone().attend(stream));
            }
        });
        Ok(Self { shared, address })
    }

    /// Adds a database that stands at this version; gives the admin's DSN.
    pub fn add(&self, name: &str, version: &str) -> Result<String> {
        let database = FakeDatabase::new(name);
        database.set_version(ObservedVersion::At(SchemaVersion::new(version)?));
        let dsn = database.target().dsn.expose_secret().to_owned();
        let (credentials, _) = dsn.split_once('@').context("the fake's DSN has no host")?;
        locked(&self.shared.databases).insert(name.to_owned(), database);
        Ok(format!("{credentials}@{}/{name}", self.address))
    }

    /// Takes all databases away.
    pub fn clear(&self) {
        locked(&self.shared.databases).clear();
    }

    /// A database.
    pub fn database(&self, name: &str) -> Option<FakeDatabase> {
        locked(&self.shared.databases).get(name).cloned()
    }

    /// What was asked so far.
    pub fn counts(&self) -> Counts {
        locked(&self.shared.counts).clone()
    }

    /// Forgets which databases were looked at.
    pub fn forget_looks(&self) {
        locked(&self.shared.seen).clear();
    }

    /// How many databases were looked at since, and when the last of them was looked at for the first time.
    pub fn looks(&self) -> (usize, Option<Instant>) {
        let seen = locked(&self.shared.seen);
        (seen.len(), seen.values().max().copied())
    }

    /// Turns everybody away, or lets them in again.
    pub fn set_up(&self, up: bool) {
        self.shared.up.send_replace(up);
    }
}

impl Shared {
    async fn attend(self: Arc<Self>, stream: TcpStream) {
        let mut up = self.up.subscribe();
        if !*up.borrow() {
            locked(&self.counts).turned_away += 1;
            return;
        }
        {
            let mut counts = locked(&self.counts);
            counts.connections += 1;
            counts.open += 1;
        }
        tokio::select! {
            // Whoever goes away has asked all it wanted to ask.
            _ = self.converse(stream) => {}
            _ = up.wait_for(|up| !up) => {}
        }
        locked(&self.counts).open -= 1;
    }

    async fn converse(&self, stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        say(&mut stream, &json!({ "hello": true })).await?;
        let hello = hear(&mut stream).await?;
        let name = text(&hello["database"])?.to_owned();
        let database = locked(&self.databases).get(&name).cloned();
        let Some(database) = database else {
            return say(&mut stream, &json!({ "error": "no such database" })).await;
        };
        let password: SecretString = text(&hello["password"])?.to_owned().into();
        if let Some(login) = hello["prove"].as_str() {
            self.count("prove");
            let login = LoginName::new(login)?;
            let proof = match database.prove(&database.target(), &login, &password).await {
                Proof::Works => "works".to_owned(),
                Proof::Refused => "refused".to_owned(),
                Proof::Unknown(why) => why.to_string(),
            };
            return say(&mut stream, &json!({ "proof": proof })).await;
        }
        let admin = database.connect(&database.target()).await?;
        say(&mut stream, &json!({ "ok": true })).await?;
        loop {
            let question = hear(&mut stream).await?;
            let answer = match self.answer(&name, admin.as_ref(), &question).await {
                Ok(answer) => answer,
                Err(error) => json!({ "error": error.to_string() }),
            };
            say(&mut stream, &answer).await?;
        }
    }

    fn count(&self, call: &str) {
        let mut counts = locked(&self.counts);
        *counts.calls.entry(call.to_owned()).or_default() += 1;
    }

    fn look(&self, name: &str) {
        let mut seen = locked(&self.seen);
        seen.entry(name.to_owned()).or_insert_with(Instant::now);
    }

    async fn answer(&self, name: &str, admin: &dyn Administer, question: &Value) -> Result<Value> {
        let operation = text(&question["do"])?;
        self.count(operation);
        match operation {
            "observe" => {
                self.look(name);
                return self.observe(admin, question).await;
            }
            "sessions" => return sessions(admin, question).await,
            // What tables are like is made up on the other side.
            "table_facts" | "next_ids" | "health" => return Ok(json!({})),
            "try_lock" => return Ok(json!({ "locked": admin.try_lock().await? })),
            "unlock" => {
                admin.unlock().await?;
                return Ok(json!({}));
            }
            _ => {}
        }
        let scope = Scope {
            owner: owner(&question["owner"])?,
            claim: ClaimId::new(text(&question["claim"])?)?,
            access: self.access.clone(),
        };
        let migration = question["migration"]
            .as_str()
            .map(MigrationName::new)
            .transpose()?;
        let migration = || migration.as_ref().context("no migration was named");
        let password = question["password"]
            .as_str()
            .map(|text| SecretString::from(text.to_owned()));
        let password = || password.as_ref().context("no password was given");
        let turn = turn_of(&question["second"]);
        let mut login = None;
        match operation {
            "claim" => admin.claim(&scope).await?,
            "take_over" => admin.take_over(&scope).await?,
            "prepare" => admin.prepare(&scope).await?,
            "ensure_login" => {
                login = Some(
                    admin
                        .ensure_login(&scope, migration()?, turn, password()?)
                        .await?,
                );
            }
            "lock_login" => admin.lock_login(&scope, migration()?, turn).await?,
            "unlock_login" => admin.unlock_login(&scope, migration()?, turn).await?,
            "drop_login" => admin.drop_login(&scope, migration()?, turn).await?,
            "open_migrator" => login = Some(admin.open_migrator(&scope, password()?).await?),
            "close_migrator" => admin.close_migrator(&scope).await?,
            other => return Err(anyhow!("there is no call {other}")),
        }
        Ok(json!({ "login": login.as_ref().map(LoginName::as_str) }))
    }

    async fn observe(&self, admin: &dyn Administer, question: &Value) -> Result<Value> {
        let mut migrations = BTreeSet::new();
        for one in question["migrations"].as_array().into_iter().flatten() {
            migrations.insert(MigrationName::new(text(one)?)?);
        }
        let look = Look {
            owner: owner(&question["owner"])?,
            version_source: self.source.clone(),
            access: self.access.clone(),
            migrations,
        };
        let facts = admin.observe(&look).await?;
        let claim = match &facts.claim {
            Claim::None => json!({}),
            Claim::Ours(id) => json!({ "id": id.as_str(), "ours": true }),
            Claim::Elsewhere { id, owner } => json!({
                "id": id.as_str(),
                "owner": [owner.cluster, owner.object.namespace(), owner.object.name()],
            }),
        };
        let version = match facts.version.known() {
            Some(ObservedVersion::At(version)) => Some(version.to_string()),
            _ => None,
        };
        let logins = facts.all_logins().map(|(migration, login)| {
            json!({
                "migration": migration.as_str(),
                "name": login.name.as_str(),
                "second": login.turn == LoginTurn::Second,
                "locked": login.locked,
                "granted": login.granted,
                "sessions": shown(&login.sessions),
            })
        });
        let migrator = facts.migrator.as_ref().map(|migrator| {
            json!({
                "name": migrator.name.as_str(),
                "open": migrator.open,
                "sessions": shown(&migrator.sessions),
            })
        });
        Ok(json!({
            "claim": claim,
            "version": version,
            "hasTables": facts.has_tables,
            "rolesReady": facts.roles_ready,
            "logins": logins.collect::<Vec<_>>(),
            "migrator": migrator,
        }))
    }
}

async fn sessions(admin: &dyn Administer, question: &Value) -> Result<Value> {
    let mut logins = BTreeSet::new();
    for one in question["logins"].as_array().into_iter().flatten() {
        logins.insert(LoginName::new(text(one)?)?);
    }
    let all = admin.sessions(&logins).await?;
    let all = all.into_iter().map(|(login, sessions)| {
        let sessions: Vec<Value> = sessions.iter().map(session).collect();
        (login.as_str().to_owned(), Value::from(sessions))
    });
    Ok(Value::Object(all.collect()))
}

fn shown(sessions: &Fact<Vec<Session>>) -> Vec<Value> {
    sessions
        .known()
        .into_iter()
        .flatten()
        .map(session)
        .collect()
}

fn session(session: &Session) -> Value {
    json!({ "pid": session.pid, "user": session.user.as_str() })
}

fn owner(value: &Value) -> Result<ClaimOwner> {
    Ok(ClaimOwner {
        cluster: text(&value[0])?.to_owned(),
        object: ObjectRef::new(text(&value[1])?, text(&value[2])?)?,
    })
}

fn text(value: &Value) -> Result<&str> {
    value
        .as_str()
        .with_context(|| format!("{value} is no text"))
}

async fn say(stream: &mut BufReader<TcpStream>, answer: &Value) -> Result<()> {
    let mut text = answer.to_string();
    text.push('\n');
    Ok(stream.write_all(text.as_bytes()).await?)
}

async fn hear(stream: &mut BufReader<TcpStream>) -> Result<Value> {
    let mut text = String::new();
    if stream.read_line(&mut text).await? == 0 {
        return Err(anyhow!("the other side has gone"));
    }
    Ok(serde_json::from_str(&text)?)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

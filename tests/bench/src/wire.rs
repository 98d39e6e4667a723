//! The operator's side of the way to the fake databases: a line of JSON for each call, over TCP.
//!
//! One connection for each, and another for each credential that is tried, as with PostgreSQL; without TLS. What
//! the database is and does is decided on the other side ([`crate::server`]).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use dbop_database::Target;
use dbop_database::{
    Administer, Connector, DatabaseError, Endpoint, Introspect, Look, Reader, Replica, Scope,
};
use dbop_model::catalogue::Catalogue;
use dbop_model::health::{Connections, HealthFacts, Lag, Listed, ReplicaLag};
use dbop_model::sample::NextId;
use dbop_model::table::{
    FactRequest, RowEstimate, RowSource, TableFacts, TableFactsSet, TableKind, TableName,
    TableState, WriteCount,
};
use dbop_model::{
    Claim, ClaimId, ClaimOwner, DatabaseFacts, Engine, Fact, LoginFacts, LoginName, LoginTurn,
    MigrationName, MigratorFacts, ObjectRef, ObservedVersion, Proof, Replication, SchemaVersion,
    ServerInfo, Session, TlsMode, Why,
};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

/// A server on this machine that has not greeted within this is taken for absent.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);
/// What the names of a database's tables begin with.
pub const TABLE: &str = "table_";
/// The fakes' answers are short.
const BUFFER_BYTES: usize = 1024;

/// The way to fake databases in another process: `fake://admin:PASSWORD@127.0.0.1:PORT/NAME`.
pub struct Remote;

struct Dsn<'a> {
    password: &'a str,
    address: &'a str,
    database: &'a str,
}

fn parsed(target: &Target) -> Result<Dsn<'_>, DatabaseError> {
    let parse = |dsn: &'static str| DatabaseError::Dsn { reason: dsn.into() };
    let text = target.dsn.expose_secret();
    let rest = text
        .strip_prefix("fake://admin:")
        .ok_or_else(|| parse("is not of the form fake://admin:..."))?;
    let (password, place) = rest.split_once('@').ok_or_else(|| parse("has no host"))?;
    let (address, database) = place
        .split_once('/')
        .ok_or_else(|| parse("has no database"))?;
    Ok(Dsn {
        password,
        address,
        database,
    })
}

/// One line to the server, one back.
struct Line {
    stream: BufReader<TcpStream>,
}

impl Line {
    async fn open(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut line = Self {
            stream: BufReader::with_capacity(BUFFER_BYTES, stream),
        };
        // A server that is down closes without a word.
        line.receive().await?;
        Ok(line)
    }

    async fn ask(&mut self, question: &Value) -> std::io::Result<Value> {
        let mut text = question.to_string();
        text.push('\n');
        self.stream.write_all(text.as_bytes()).await?;
        self.receive().await
    }

    async fn receive(&mut self) -> std::io::Result<Value> {
        let mut text = String::new();
        if self.stream.read_line(&mut text).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_str(&text)?)
    }
}

async fn open(address: &str) -> Result<Line, DatabaseError> {
    let unreachable = |reason: String| DatabaseError::Unreachable {
        address: address.to_owned(),
        reason,
    };
    match tokio::time::timeout(GREETING_TIMEOUT, Line::open(address)).await {
        Ok(line) => line.map_err(|error| unreachable(error.to_string())),
        Err(_) => Err(unreachable("it does not greet".to_owned())),
    }
}

#[async_trait]
impl Connector for Remote {
    fn endpoint(&self, target: &Target) -> Result<Endpoint, DatabaseError> {
        let dsn = parsed(target)?;
        let (host, port) = dsn.address.split_once(':').unwrap_or((dsn.address, ""));
        Ok(Endpoint {
            engine: Engine::PostgreSql,
            host: host.to_owned(),
            port: port.parse().map_err(|_| DatabaseError::Dsn {
                reason: "has no port".to_owned(),
            })?,
            database: dsn.database.to_owned(),
            tls: target.tls.unwrap_or(TlsMode::Disable),
        })
    }

    async fn connect(&self, target: &Target) -> Result<Box<dyn Administer>, DatabaseError> {
        let dsn = parsed(target)?;
        let mut line = open(dsn.address).await?;
        let hello = json!({ "database": dsn.database, "password": dsn.password });
        let answer = line.ask(&hello).await.map_err(|_| DatabaseError::Lost {
            operation: "logging in",
        })?;
        if answer["ok"] != true {
            return Err(DatabaseError::NotNow {
                address: dsn.address.to_owned(),
                reason: answer.to_string(),
            });
        }
        Ok(Box::new(Connection {
            line: Mutex::new(line),
            address: dsn.address.to_owned(),
        }))
    }

    async fn connect_replica(&self, _: &Target) -> Result<Box<dyn Replica>, DatabaseError> {
        Err(DatabaseError::Lost {
            operation: "a bench, which has none",
        })
    }

    async fn connect_reader(
        &self,
        _: &Target,
        _: &LoginName,
        _: &SecretString,
    ) -> Result<Box<dyn Reader>, DatabaseError> {
        Err(DatabaseError::Lost {
            operation: "a bench, which has none",
        })
    }

    async fn prove(&self, target: &Target, login: &LoginName, password: &SecretString) -> Proof {
        let unknown = |error: &dyn std::fmt::Display| Proof::Unknown(Why::new(error.to_string()));
        let dsn = match parsed(target) {
            Ok(dsn) => dsn,
            Err(error) => return unknown(&error),
        };
        let mut line = match open(dsn.address).await {
            Ok(line) => line,
            Err(error) => return unknown(&error),
        };
        let question = json!({
            "database": dsn.database,
            "prove": login.as_str(),
            "password": password.expose_secret(),
        });
        match line.ask(&question).await {
            Ok(answer) if answer["proof"] == "works" => Proof::Works,
            Ok(answer) if answer["proof"] == "refused" => Proof::Refused,
            Ok(answer) => unknown(&answer),
            Err(error) => unknown(&error),
        }
    }
}

struct Connection {
    line: Mutex<Line>,
    address: String,
}

impl Connection {
    async fn ask(&self, operation: &'static str, question: Value) -> Result<Value, DatabaseError> {
        let answer = self.line.lock().await.ask(&question).await;
        let answer = answer.map_err(|_| DatabaseError::Lost { operation })?;
        match answer["error"].as_str() {
            None => Ok(answer),
            Some(message) => Err(DatabaseError::Server {
                operation,
                code: "XX000".to_owned(),
                message: message.to_owned(),
            }),
        }
    }

    async fn write(
        &self,
        operation: &'static str,
        scope: &Scope,
        login: Option<(&MigrationName, LoginTurn)>,
        password: Option<&SecretString>,
    ) -> Result<Value, DatabaseError> {
        let question = json!({
            "do": operation,
            "owner": owner(&scope.owner),
            "claim": scope.claim.as_str(),
            "migration": login.map(|(migration, _)| migration.as_str()),
            "second": login.is_some_and(|(_, turn)| turn == LoginTurn::Second),
            "password": password.map(|password| password.expose_secret()),
        });
        self.ask(operation, question).await
    }
}

/// Which of its credential's logins: is it the second?
pub(crate) fn turn_of(second: &Value) -> LoginTurn {
    match second.as_bool() {
        Some(true) => LoginTurn::Second,
        _ => LoginTurn::First,
    }
}

fn owner(owner: &ClaimOwner) -> Value {
    json!([owner.cluster, owner.object.namespace(), owner.object.name()])
}

/// What came is not what was agreed on: the benchmark itself is wrong.
fn unreadable(detail: &str) -> DatabaseError {
    DatabaseError::Unreadable {
        operation: "reading an answer",
        detail: detail.to_owned(),
    }
}

fn text<'a>(value: &'a Value, what: &str) -> Result<&'a str, DatabaseError> {
    value.as_str().ok_or_else(|| unreadable(what))
}

fn login_name(value: &Value) -> Result<LoginName, DatabaseError> {
    LoginName::new(text(value, "a login")?).map_err(|error| unreadable(&error.to_string()))
}

fn sessions_of(value: &Value) -> Result<Vec<Session>, DatabaseError> {
    let all = value.as_array().into_iter().flatten();
    all.map(|one| {
        Ok(Session {
            pid: one["pid"].as_i64().unwrap_or_default(),
            user: login_name(&one["user"])?,
            address: None,
            application: None,
            age: None,
            replica: None,
        })
    })
    .collect()
}

fn claim_of(value: &Value) -> Result<Claim, DatabaseError> {
    let wrong = |error: &dyn std::fmt::Display| unreadable(&error.to_string());
    let Some(id) = value["id"].as_str() else {
        return Ok(Claim::None);
    };
    let id = ClaimId::new(id).map_err(|e| wrong(&e))?;
    if value["ours"] == true {
        return Ok(Claim::Ours(id));
    }
    let of = &value["owner"];
    let object = ObjectRef::new(text(&of[1], "an owner")?, text(&of[2], "an owner")?);
    Ok(Claim::Elsewhere {
        id,
        owner: ClaimOwner {
            cluster: text(&of[0], "an owner")?.to_owned(),
            object: object.map_err(|e| wrong(&e))?,
        },
    })
}

#[async_trait]
impl Introspect for Connection {
    fn server_info(&self) -> ServerInfo {
        ServerInfo {
            engine: Engine::PostgreSql,
            major: 18,
            minor: 0,
            address: self.address.clone(),
        }
    }

    async fn observe(&self, look: &Look) -> Result<DatabaseFacts, DatabaseError> {
        let migrations: Vec<&str> = look.migrations.iter().map(MigrationName::as_str).collect();
        let question = json!({
            "do": "observe",
            "owner": owner(&look.owner),
            "migrations": migrations,
        });
        let answer = self.ask("observe", question).await?;
        let version = match answer["version"].as_str() {
            None => ObservedVersion::None,
            Some(version) => ObservedVersion::At(
                SchemaVersion::new(version).map_err(|error| unreadable(&error.to_string()))?,
            ),
        };
        let mut logins = Vec::new();
        for one in answer["logins"].as_array().into_iter().flatten() {
            let migration = MigrationName::new(text(&one["migration"], "a migration")?)
                .map_err(|error| unreadable(&error.to_string()))?;
            let login = LoginFacts {
                turn: turn_of(&one["second"]),
                name: login_name(&one["name"])?,
                locked: one["locked"] == true,
                granted: one["granted"] == true,
                sessions: Fact::Known(sessions_of(&one["sessions"])?),
            };
            logins.push((migration, login));
        }
        let migrator = match &answer["migrator"] {
            Value::Null => None,
            one => Some(MigratorFacts {
                name: login_name(&one["name"])?,
                open: one["open"] == true,
                sessions: Fact::Known(sessions_of(&one["sessions"])?),
            }),
        };
        let mut facts = DatabaseFacts {
            server: self.server_info(),
            admin: "admin".to_owned(),
            claim: claim_of(&answer["claim"])?,
            version: Fact::Known(version),
            locks: Fact::Known(Vec::new()),
            has_tables: answer["hasTables"] == true,
            logins: BTreeMap::new(),
            replaced: BTreeMap::new(),
            migrator,
            roles_ready: answer["rolesReady"] == true,
            replication: Fact::Known(Replication::default()),
            unmanaged: Fact::Known(Vec::new()),
            reader: None,
            missing: Vec::new(),
            foreign: Vec::new(),
        };
        for (migration, login) in logins {
            facts.add_login(migration, login);
        }
        Ok(facts)
    }

    async fn sessions(
        &self,
        logins: &BTreeSet<LoginName>,
    ) -> Result<BTreeMap<LoginName, Vec<Session>>, DatabaseError> {
        let names: Vec<&str> = logins.iter().map(LoginName::as_str).collect();
        let question = json!({ "do": "sessions", "logins": names });
        let answer = self.ask("sessions", question).await?;
        logins
            .iter()
            .map(|login| Ok((login.clone(), sessions_of(&answer[login.as_str()])?)))
            .collect()
    }

    async fn table_facts(
        &self,
        wanted: &BTreeSet<FactRequest>,
        _probe_timeout: Duration,
    ) -> Result<TableFactsSet, DatabaseError> {
        if !wanted.is_empty() {
            self.ask("table_facts", json!({ "do": "table_facts" }))
                .await?;
        }
        let mut facts = TableFactsSet::new(now());
        for request in wanted {
            // The benchmark's migrations bear no hints, and metrics ask for nothing else.
            let (FactRequest::Size(table) | FactRequest::Writes(table)) = request else {
                return Err(unreadable(&format!("{request:?} was asked for")));
            };
            let state = TableState::Present(Box::new(table_like(table)));
            facts.tables.insert(table.clone(), Fact::Known(state));
        }
        Ok(facts)
    }

    async fn next_ids(
        &self,
        tables: &BTreeSet<TableName>,
    ) -> Result<BTreeMap<TableName, Fact<Vec<NextId>>>, DatabaseError> {
        if !tables.is_empty() {
            self.ask("next_ids", json!({ "do": "next_ids" })).await?;
        }
        let id = |table: &TableName| {
            let id = NextId {
                column: "id".parse().map_err(|_| unreadable("a column"))?,
                next: 1_000_001,
                limit: i128::from(i32::MAX),
            };
            Ok((table.clone(), Fact::Known(vec![id])))
        };
        tables.iter().map(id).collect()
    }

    async fn health(&self) -> Result<HealthFacts, DatabaseError> {
        self.ask("health", json!({ "do": "health" })).await?;
        Ok(HealthFacts {
            connections: Fact::Known(vec![Connections {
                of: "the server",
                used: 40,
                max: 100,
                reserved: 3,
            }]),
            replicas: Fact::Known(vec![ReplicaLag {
                replica: "replica:5432".to_owned(),
                lag: Fact::Known(Lag::Behind(Duration::from_millis(20))),
            }]),
            transactions: Fact::Known(Listed::all(Vec::new())),
            ids: Fact::Known(Listed::all(Vec::new())),
            transaction_ids: Fact::Known(Vec::new()),
            invalid_indexes: Fact::Known(Listed::all(Vec::new())),
            bloat: Fact::Known(Listed::all(Vec::new())),
            keyless: Fact::Known(Listed::all(Vec::new())),
            bytes: Fact::Known(1 << 30),
        })
    }

    async fn catalogue(&self, _tables_max: usize) -> Result<Catalogue, DatabaseError> {
        Err(unreadable("a list of tables was asked for"))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "facts bear the time of their server, which is this machine's"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

/// A table of a million rows that is written to.
fn table_like(table: &TableName) -> TableFacts {
    let mut facts = TableFacts::new(TableKind::Ordinary);
    facts.rows = Fact::Known(RowEstimate {
        rows: 1_000_000,
        source: RowSource::Statistics,
        age: None,
    });
    facts.bytes = Fact::Known(1 << 27);
    let at = now();
    let seconds = u64::try_from(at.as_second()).unwrap_or_default();
    facts.written = Fact::Known(WriteCount {
        rows: seconds * 10,
        at,
        counting_for: Duration::from_secs(seconds),
        counter: table.to_string(),
        source: "the benchmark",
    });
    facts
}

#[async_trait]
impl Administer for Connection {
    async fn try_lock(&self) -> Result<bool, DatabaseError> {
        Ok(self.ask("try_lock", json!({ "do": "try_lock" })).await?["locked"] == true)
    }

    async fn unlock(&self) -> Result<(), DatabaseError> {
        self.ask("unlock", json!({ "do": "unlock" })).await?;
        Ok(())
    }

    async fn claim(&self, scope: &Scope) -> Result<(), DatabaseError> {
        self.write("claim", scope, None, None).await?;
        Ok(())
    }

    async fn take_over(&self, scope: &Scope) -> Result<(), DatabaseError> {
        self.write("take_over", scope, None, None).await?;
        Ok(())
    }

    async fn prepare(&self, scope: &Scope) -> Result<(), DatabaseError> {
        self.write("prepare", scope, None, None).await?;
        Ok(())
    }

    async fn ensure_login(
        &self,
        scope: &Scope,
        migration: &MigrationName,
        turn: LoginTurn,
        password: &SecretString,
    ) -> Result<LoginName, DatabaseError> {
        let answer = self.write(
            "ensure_login",
            scope,
            Some((migration, turn)),
            Some(password),
        );
        login_name(&answer.await?["login"])
    }

    async fn lock_login(
        &self,
        scope: &Scope,
        migration: &MigrationName,
        turn: LoginTurn,
    ) -> Result<(), DatabaseError> {
        self.write("lock_login", scope, Some((migration, turn)), None)
            .await?;
        Ok(())
    }

    async fn unlock_login(
        &self,
        scope: &Scope,
        migration: &MigrationName,
        turn: LoginTurn,
    ) -> Result<(), DatabaseError> {
        self.write("unlock_login", scope, Some((migration, turn)), None)
            .await?;
        Ok(())
    }

    async fn drop_login(
        &self,
        scope: &Scope,
        migration: &MigrationName,
        turn: LoginTurn,
    ) -> Result<(), DatabaseError> {
        self.write("drop_login", scope, Some((migration, turn)), None)
            .await?;
        Ok(())
    }

    async fn open_migrator(
        &self,
        scope: &Scope,
        password: &SecretString,
    ) -> Result<LoginName, DatabaseError> {
        let answer = self.write("open_migrator", scope, None, Some(password));
        login_name(&answer.await?["login"])
    }

    async fn close_migrator(&self, scope: &Scope) -> Result<(), DatabaseError> {
        self.write("close_migrator", scope, None, None).await?;
        Ok(())
    }
}

//! Real databases on a real server, and the operator as it is released.
//!
//! Statements are counted in the server's own log, which it writes for every one; connections by its statistics.

use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;
use tokio::time::{Instant, sleep};
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls};

use crate::cluster::{LOOK_EVERY, Site};
use crate::measure::{Bench, at_rest, say};
use crate::operator::Operator;
use crate::report::Real;

/// The admin of all databases: it may make roles, and owns them, as managed services have it.
const ADMIN: &str = "bench_admin";
/// Its password: the server is this machine's, and gone afterwards.
const PASSWORD: &str = "bench";
/// Databases are copied from this one at the same time.
const PARALLEL: usize = 4;
/// What a start leaves behind is over after this.
const SETTLE: Duration = Duration::from_secs(20);
/// Longer than this a restart must not take.
const LIMIT: Duration = Duration::from_secs(300);

/// The server.
struct Server {
    superuser: Config,
    log: Option<PathBuf>,
}

impl Server {
    fn of_environment() -> Result<Self> {
        let variable = "DBOP_TEST_POSTGRES_18";
        let dsn = std::env::var(variable).with_context(|| format!("{variable} is not set"))?;
        // The text of the error could repeat the password.
        let superuser = Config::from_str(&dsn).ok();
        Ok(Self {
            superuser: superuser.with_context(|| format!("{variable} is no DSN"))?,
            log: std::env::var_os(format!("{variable}_LOG")).map(PathBuf::from),
        })
    }

    async fn connect(&self, database: &str) -> Result<Client> {
        let mut config = self.superuser.clone();
        let (client, connection) = config.dbname(database).connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    fn dsn(&self, database: &str) -> Result<String> {
        let host = self.superuser.get_hosts().first();
        let Some(Host::Tcp(host)) = host else {
            anyhow::bail!("the server has no address");
        };
        let port = self.superuser.get_ports().first().copied().unwrap_or(5432);
        Ok(format!(
            "postgresql://{ADMIN}:{PASSWORD}@{host}:{port}/{database}"
        ))
    }

    fn mark(&self) -> Result<u64> {
        Ok(std::fs::metadata(self.log()?)?.len())
    }

    fn log(&self) -> Result<&PathBuf> {
        self.log.as_ref().context("the server's log is not known")
    }

    /// Statements that the databases with this prefix were given since a mark.
    fn statements(&self, prefix: &str, from: u64) -> Result<u64> {
        let mut file = std::fs::File::open(self.log()?)?;
        file.seek(SeekFrom::Start(from))?;
        let (mut count, database) = (0, format!("@{prefix}"));
        for line in BufReader::new(file).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            let is_one = line.contains("LOG:  statement: ") || line.contains("LOG:  execute ");
            count += u64::from(is_one && line.contains(&database));
        }
        Ok(count)
    }
}

async fn make(server: &Server, names: &[String]) -> Result<()> {
    let client = server.connect("postgres").await?;
    // The role and the template may be there from the number before.
    for sql in [
        format!(
            "DO $$ BEGIN CREATE ROLE {ADMIN} LOGIN CREATEROLE PASSWORD '{PASSWORD}'; \
             EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        ),
        "DROP DATABASE IF EXISTS bench_template".to_owned(),
        format!("CREATE DATABASE bench_template OWNER {ADMIN}"),
    ] {
        client.batch_execute(&sql).await?;
    }
    let template = server.connect("bench_template").await?;
    template
        .batch_execute(&format!(
            "CREATE TABLE alembic_version (version_num text PRIMARY KEY);
             INSERT INTO alembic_version VALUES ('v1');
             ALTER TABLE alembic_version OWNER TO {ADMIN};
             CREATE TABLE item (id bigint PRIMARY KEY);
             ALTER TABLE item OWNER TO {ADMIN}"
        ))
        .await?;
    drop(template);
    let mut clients = Vec::new();
    for _ in 0..PARALLEL {
        clients.push(server.connect("postgres").await?);
    }
    let parts = clients.iter().enumerate().map(|(nth, client)| async move {
        for name in names.iter().skip(nth).step_by(PARALLEL) {
            client
                .batch_execute(&format!(
                    "CREATE DATABASE \"{name}\" TEMPLATE bench_template OWNER {ADMIN}"
                ))
                .await?;
        }
        anyhow::Ok(())
    });
    stream::iter(parts)
        .buffer_unordered(PARALLEL)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

/// Sessions that each of the databases with this prefix has had so far.
async fn sessions(client: &Client, prefix: &str) -> Result<Vec<(String, i64)>> {
    let sql = format!(
        "SELECT datname::text, sessions FROM pg_stat_database WHERE starts_with(datname, '{prefix}')"
    );
    let rows = client.simple_query(&sql).await?;
    let mut all = Vec::new();
    for row in rows {
        if let tokio_postgres::SimpleQueryMessage::Row(row) = row {
            let count = row.get(1).unwrap_or("0").parse()?;
            all.push((row.get(0).unwrap_or_default().to_owned(), count));
        }
    }
    all.sort();
    Ok(all)
}

/// Everything about so many real databases.
pub async fn real(bench: &Bench, count: usize) -> Result<Real> {
    let server = Server::of_environment()?;
    let prefix = &format!("real-{count}-");
    let names: Vec<String> = (0..count).map(|nth| format!("{prefix}{nth:05}")).collect();
    say(&format!("{count} real databases: they are made"));
    make(&server, &names).await?;
    let site = Site::new(bench.client.clone(), &format!("bench-real-{count}")).await?;
    let mut all = Vec::new();
    for name in &names {
        all.push((name.clone(), server.dsn(name)?));
    }
    site.create_databases(&all, &json!({})).await?;
    let program = bench.program(&bench.real_operator, &site.namespace);
    let mut operator = Operator::start(&program)?;
    let adoption = at_rest(&site, &mut operator, "v1", count).await?;
    say(&format!(
        "{count} real databases: all at rest after {adoption:.1?}"
    ));

    operator.stop().await?;
    let client = server.connect("postgres").await?;
    // Sessions are counted when they end.
    sleep(Duration::from_secs(2)).await;
    let before = sessions(&client, prefix).await?;
    let mut operator = Operator::start(&program)?;
    let restart = loop {
        let now = sessions(&client, prefix).await?;
        let seen = now
            .iter()
            .zip(&before)
            .filter(|(now, before)| now.1 > before.1);
        if seen.count() >= count {
            break operator.started.elapsed();
        }
        operator.lives()?;
        ensure!(
            operator.started.elapsed() < LIMIT,
            "not all were looked at within {LIMIT:?}"
        );
        sleep(10 * LOOK_EVERY).await;
    };
    say(&format!(
        "{count} real databases: all observed {restart:.2?} after a restart"
    ));

    sleep(SETTLE).await;
    let total = |all: &[(String, i64)]| all.iter().map(|(_, count)| count).sum::<i64>();
    let (before, mark, from) = (
        sessions(&client, prefix).await?,
        server.mark()?,
        bench.audit.mark()?,
    );
    let (begin, processor) = (Instant::now(), operator.processor()?);
    sleep(bench.window).await;
    let after = sessions(&client, prefix).await?;
    let statements = server.statements(prefix, mark)?;
    let connections = u64::try_from(total(&after) - total(&before))?;
    let looks = begin.elapsed().as_secs_f64() / bench.heartbeat.as_secs_f64() * count as f64;
    operator.lives()?;
    let open = client
        .query_one(
            "SELECT count(*) FROM pg_stat_activity WHERE starts_with(datname, $1) AND state LIKE 'idle%' \
             AND state_change < now() - interval '5 s'",
            &[prefix],
        )
        .await?;
    let open: i64 = open.get(0);
    let real = Real {
        databases: count,
        server: format!("PostgreSQL {}", version(&client).await?),
        adoption_seconds: adoption.as_secs_f64(),
        restart_seconds: restart.as_secs_f64(),
        window_seconds: bench.window.as_secs_f64(),
        statements,
        connections,
        statements_per_heartbeat: statements as f64 / looks,
        connections_per_heartbeat: connections as f64 / looks,
        idle_connections: u64::try_from(open)?,
        requests: bench.audit.between(from, bench.audit.mark()?)?,
        processor_seconds: operator.processor()? - processor,
        memory: operator.memory()?,
    };
    say(&format!(
        "{count} real databases: {:.1} statements and {:.2} connections per look, {:.1} MiB",
        real.statements_per_heartbeat,
        real.connections_per_heartbeat,
        real.memory.rss as f64 / 1_048_576.0
    ));
    operator.stop().await?;
    site.remove().await?;
    Ok(real)
}

async fn version(client: &Client) -> Result<String> {
    let row = client.query_one("SHOW server_version", &[]).await?;
    Ok(row.get(0))
}

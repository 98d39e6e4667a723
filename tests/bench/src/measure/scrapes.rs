//! What a scrape costs: databases with everything on `/metrics` that there is for one, each with some tables.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use super::{Bench, at_rest, create, say};
use crate::cluster::Site;
use crate::operator::Operator;
use crate::report::{Scraped, Times};
use crate::wire::TABLE;

/// Tables of each database that are measured, for sizes and for ids.
pub const TABLES: usize = 10;
/// Scrapes that are timed.
const SCRAPES: usize = 100;
/// Between two of them; a Prometheus comes more rarely.
const PAUSE: Duration = Duration::from_millis(200);
/// Until all have been sampled once: their first look is within ten seconds, eight at a time.
const SAMPLED_WITHIN: Duration = Duration::from_secs(300);
/// A scrape that takes longer has failed, as a Prometheus sees it (`scrape_timeout`, 10 s by default).
const SCRAPE_LIMIT: Duration = Duration::from_secs(10);

impl Bench {
    /// Scrapes an operator of so many databases.
    pub async fn scrapes(&self, count: usize) -> Result<Scraped> {
        let server = self.fake_server().await?;
        let site = Site::new(self.client.clone(), &format!("bench-scrapes-{count}")).await?;
        let names: Vec<String> = (0..count).map(|nth| format!("db-{nth:05}")).collect();
        create(&site, &server, &names, &measured_tables()).await?;
        let mut program = self.program(&self.fake_operator, &site.namespace);
        program.listen = free_address().await?;
        let mut operator = Operator::start(&program)?;
        at_rest(&site, &mut operator, "v1", count).await?;
        all_sampled(&program.listen, &mut operator, count).await?;

        let memory_before = operator.memory()?;
        let processor = operator.processor()?;
        let mut times = Vec::new();
        let mut last = String::new();
        for _ in 0..SCRAPES {
            let begin = Instant::now();
            last = scrape(&program.listen).await?;
            times.push(begin.elapsed().as_secs_f64());
            sleep(PAUSE).await;
        }
        operator.lives()?;
        let series = last.lines().filter(|line| !line.starts_with('#')).count();
        let of_databases = last
            .lines()
            .filter(|line| line.contains(",name=\""))
            .count();
        let scraped = Scraped {
            databases: count,
            tables: TABLES,
            series,
            series_of_databases: of_databases,
            bytes: last.len(),
            times: Times::of(times),
            processor_seconds: operator.processor()? - processor,
            memory_before,
            memory_after: operator.memory()?,
        };
        say(&format!("{count} databases: {scraped}"));
        operator.stop().await?;
        server.clear();
        site.remove().await?;
        Ok(scraped)
    }
}

/// `spec.metrics` of a database.
fn measured_tables() -> Value {
    let tables: Vec<String> = (0..TABLES).map(|nth| format!("{TABLE}{nth}")).collect();
    json!({ "metrics": { "tableEstimatedSize": tables, "tableNextId": tables } })
}

/// Waits until each has been sampled, and its health looked at.
async fn all_sampled(address: &str, operator: &mut Operator, count: usize) -> Result<()> {
    let begin = Instant::now();
    loop {
        let text = scrape(address).await?;
        let of = |family: &str| {
            let lines = text.lines();
            lines.filter(|line| line.starts_with(family)).count()
        };
        let seen = (
            of("database_table_next_id{") / TABLES,
            of("database_connections_used{"),
        );
        if seen == (count, count) {
            return Ok(());
        }
        operator.lives()?;
        ensure!(
            begin.elapsed() < SAMPLED_WITHIN,
            "only {} of {count} databases were sampled, and {} looked at, within {SAMPLED_WITHIN:?}",
            seen.0,
            seen.1
        );
        sleep(Duration::from_secs(1)).await;
    }
}

/// An address that nobody listens at.
async fn free_address() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    Ok(listener.local_addr()?.to_string())
}

async fn scrape(address: &str) -> Result<String> {
    let answer = timeout(SCRAPE_LIMIT, get(address)).await;
    let answer = answer.context("/metrics does not answer")??;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("/metrics answers no HTTP")?;
    ensure!(head.contains(" 200 "), "/metrics answers {head}");
    Ok(body.to_owned())
}

/// One request on a connection of its own; HTTP/1.0 has the answer end with the connection.
async fn get(address: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

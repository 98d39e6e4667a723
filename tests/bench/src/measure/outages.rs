//! What happens after something was away: the leader, the API server, the database server.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use tokio::time::{Instant, sleep};

use super::{Bench, say};
use crate::cluster::{ApiServer, LOOK_EVERY, Site};
use crate::operator::{Operator, Program};
use crate::report::Outages;
use crate::server::FakeServer;

/// The Lease of an operator that was told nothing else.
const LEASE: &str = "database-operator";
/// How long things are away.
const AWAY: Duration = Duration::from_secs(30);
/// Longer than this it must not take.
const LIMIT: Duration = Duration::from_secs(90);
/// After an outage began, attempts are counted from here: not what was under way.
const ATTEMPTS_AFTER: Duration = Duration::from_secs(5);

/// All three, one after the other. `count`: the databases of the site.
pub async fn all(
    bench: &Bench,
    site: &Site,
    server: &FakeServer,
    program: &Program,
    operator: Operator,
    count: usize,
) -> Result<(Operator, Outages)> {
    let mut outages = Outages::default();
    let operator = failover(site, program, operator, &mut outages).await?;
    database_server(bench, site, server, count, &mut outages).await?;
    api_server(site, &mut outages).await?;
    Ok((operator, outages))
}

/// The leader is killed; the other has to create the Job of a change that comes right then.
async fn failover(
    site: &Site,
    program: &Program,
    leader: Operator,
    outages: &mut Outages,
) -> Result<Operator> {
    let other = Operator::start(program)?;
    // It has filled its caches, and waits.
    sleep(Duration::from_secs(10)).await;
    let leases: Api<Lease> = Api::namespaced(site.client.clone(), &site.namespace);
    let holder = async || -> Result<String> {
        let lease = leases.get(LEASE).await?;
        let spec = lease.spec.context("a Lease has a spec")?;
        Ok(spec.holder_identity.unwrap_or_default())
    };
    let before = holder().await?;
    let killed = Instant::now();
    leader.kill().await?;
    site.desire("mover-000", "v3").await?;
    while holder().await? == before {
        ensure!(killed.elapsed() < LIMIT, "nobody else takes the Lease");
        sleep(LOOK_EVERY).await;
    }
    outages.failover_lease_seconds = killed.elapsed().as_secs_f64();
    let job = site.await_job("mover-000", "v3", LIMIT).await?;
    outages.failover_seconds = (job - killed).as_secs_f64();
    say(&format!(
        "  leader killed: another leads after {:.1} s, and has acted after {:.1} s",
        outages.failover_lease_seconds, outages.failover_seconds
    ));
    Ok(other)
}

/// The database server turns everybody away for a while; a change comes meanwhile.
async fn database_server(
    bench: &Bench,
    site: &Site,
    server: &FakeServer,
    count: usize,
    outages: &mut Outages,
) -> Result<()> {
    sleep(Duration::from_secs(5)).await;
    server.set_up(false);
    sleep(ATTEMPTS_AFTER).await;
    site.desire("mover-001", "v3").await?;
    let (before, from) = (server.counts(), bench.audit.mark()?);
    sleep(AWAY - ATTEMPTS_AFTER).await;
    let (after, to) = (server.counts(), bench.audit.mark()?);
    let span = (AWAY - ATTEMPTS_AFTER).as_secs_f64();
    outages.database_attempts_per_second = after.since(&before).turned_away as f64 / span;
    let requests = bench.audit.between(from, to)?;
    outages.database_api_requests_per_second =
        (requests.total_reads() + requests.total_writes()) as f64 / span;
    server.forget_looks();
    server.set_up(true);
    let back = Instant::now();
    let job = site.await_job("mover-001", "v3", LIMIT).await?;
    outages.database_recovery_seconds = (job - back).as_secs_f64();
    loop {
        let (seen, last) = server.looks();
        if seen >= count {
            outages.database_all_seen_seconds = (last.unwrap_or(back) - back).as_secs_f64();
            break;
        }
        ensure!(
            back.elapsed() < LIMIT,
            "only {seen} of {count} were looked at again"
        );
        sleep(LOOK_EVERY).await;
    }
    say(&format!(
        "  database server away for {} s: {:.1} attempts and {:.1} API requests a second; acted {:.1} s after \
         its return, all looked at after {:.1} s",
        AWAY.as_secs(),
        outages.database_attempts_per_second,
        outages.database_api_requests_per_second,
        outages.database_recovery_seconds,
        outages.database_all_seen_seconds
    ));
    Ok(())
}

/// The API server is stopped for a while; a change comes as soon as it answers again.
async fn api_server(site: &Site, outages: &mut Outages) -> Result<()> {
    let api = ApiServer::new()?;
    // What the database server's return made everybody do is over.
    sleep(Duration::from_secs(10)).await;
    api.stop().await?;
    sleep(AWAY).await;
    let answers = async {
        let ready = || http::Request::get("/readyz").body(Vec::new());
        loop {
            if site.client.request_text(ready()?).await.is_ok() {
                return anyhow::Ok(Instant::now());
            }
            sleep(LOOK_EVERY).await;
        }
    };
    let (started, back) = futures_util::future::join(api.start(), answers).await;
    started?;
    let back = back?;
    loop {
        match site.desire("mover-002", "v3").await {
            Ok(_) => break,
            Err(error) => ensure!(back.elapsed() < LIMIT, "no change is taken: {error}"),
        }
        sleep(LOOK_EVERY).await;
    }
    let job = site.await_job("mover-002", "v3", LIMIT).await?;
    outages.api_recovery_seconds = (job - back).as_secs_f64();
    say(&format!(
        "  API server away for {} s: acted {:.1} s after it answered again",
        AWAY.as_secs(),
        outages.api_recovery_seconds
    ));
    Ok(())
}

//! The story, act by act. Each act says what will happen, does it, and checks that it did.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::stage::Stage;
use super::{CLUSTER_ID, NAMESPACE, OPERATOR_NAMESPACE};
use crate::clock;
use crate::demo::facts::{
    CUSTOMERS, Seen, Waited, grouped, next_migration, of_applications, release_to_deploy,
};
use crate::demo::tell;

/// How long the operator is watched while it waits for the old application: it must not give up.
const WAIT_SHOWN: Duration = Duration::from_secs(2);
/// How long Pods are watched that have no Secret yet: they must not run.
const START_SHOWN: Duration = Duration::from_secs(1);
/// A release counts as rolled out when it has made this many queries.
const QUERIES_OF_A_ROLL_OUT: u64 = 100;
/// The last walk has two steps that wait for an application; more would be a circle.
const WAITS_MAX: usize = 3;
/// The two applications that are there in the beginning.
const SHOP: &str = "shop";
const REPORTS: &str = "reports";
/// `plan`, by the operator's own program and with its rights.
const PLAN: [&str; 11] = [
    "exec",
    "-n",
    OPERATOR_NAMESPACE,
    "deploy/database-operator",
    "--",
    "database-operator",
    "plan",
    "-n",
    NAMESPACE,
    "--cluster-id",
    CLUSTER_ID,
];

/// Pods that waited for their Secret by themselves, as `shop v1`.
pub(super) type Waiting = Vec<String>;

/// Plays all acts.
pub(super) fn play(stage: &mut Stage) -> Result<(Seen, Waiting)> {
    let mut waiting = Vec::new();
    first(stage, &mut waiting)?;
    let logins_before = application_logins(stage)?;
    expand(stage, &mut waiting)?;
    mistake(stage)?;
    let old_uri = stage.uri("v1")?;
    let (named, since) = in_the_way(stage, &mut waiting)?;
    let (took, backfill) = backfill(stage, since)?;
    let refusal = stage.log_in(&[old_uri])?.remove(0);
    ensure!(
        refusal.starts_with("refused"),
        "the password of release v1 still works"
    );
    tell::after(&format!(
        "The Pod of release v3 found its Secret and took over. During the backfill the application made {} \
         queries. We kept a copy of the Secret shop-v1 and tried it; {refusal}.",
        grouped(backfill.0)
    ));
    tell::see("kubectl get jobs; kubectl describe mdb shop");
    let mut waits = vec![Waited {
        migration: "v3".to_owned(),
        holder: format!("{REPORTS} v1"),
        named,
        took,
    }];
    waits.extend(onward(stage)?);
    let seen = Seen {
        logins_before,
        waits,
        refusal,
        backfill,
    };
    Ok((seen, waiting))
}

fn first(stage: &mut Stage, waiting: &mut Waiting) -> Result<()> {
    tell::act(
        "Act 1 of 6: from nothing to v1",
        "The database is empty. Two Deployments of release v1, shop and reports, are there first. Each mounts \
         the Secret shop-v1, which does not exist: Kubernetes itself makes their Pods wait. The operator runs \
         the migration as a Job, and publishes that Secret when the schema is at v1 and the login in it works.",
    );
    let files = [
        stage.bring_release(SHOP, "v1")?,
        stage.bring_release(REPORTS, "v1")?,
    ];
    stage.apply(&files)?;
    waits_for_its_secret(stage, SHOP, "v1", waiting)?;
    waits_for_its_secret(stage, REPORTS, "v1", waiting)?;
    let files = [
        stage.bring("shop/v1.yaml")?,
        stage.bring("cluster/shop.yaml")?,
    ];
    stage.apply(&files)?;
    let ready = [
        "wait",
        "mdb",
        "shop",
        "--for=condition=Ready",
        "--timeout=90s",
    ];
    stage.type_in(&ready, 0)?;
    stage.until("v1", |status| {
        status.ready() && status.current() == Some("v1")
    })?;
    rolled_out(stage, SHOP, "v1")?;
    rolled_out(stage, REPORTS, "v1")?;
    stage.sql(&["import", &CUSTOMERS.to_string()])?;
    stage.type_in(&["get", "mdb"], 0)?;
    expect(stage, "v1", &["v1"])?;
    let user = stage
        .running(SHOP, "v1")
        .and_then(|one| one.tally.user.clone());
    tell::after(&format!(
        "The Secret appeared, and both Pods started by themselves and work with it, as {}. Now {} customers \
         were imported.",
        user.context("release v1 has no login")?,
        grouped(CUSTOMERS)
    ));
    tell::see("kubectl get secret shop-v1 -o yaml");
    Ok(())
}

fn expand(stage: &mut Stage, waiting: &mut Waiting) -> Result<()> {
    tell::act(
        "Act 2 of 6: phase 1, a new column beside the old one",
        "Release v2 of the shop is rolled out in the usual way, before its migration: nobody has to get the \
         order right. Its new Pod waits for the Secret shop-v2, and the old Pod works on. Then we ask for v2, \
         whose migration adds the column full_name.",
    );
    let file = stage.bring_release(SHOP, "v2")?;
    let before = stage.queries();
    stage.apply(&[file])?;
    waits_for_its_secret(stage, SHOP, "v2", waiting)?;
    stage.type_in(&["get", "pods", "-l", "app", "-L", "release"], 0)?;
    let file = stage.bring("shop/v2.yaml")?;
    stage.apply(&[file])?;
    stage.desire("v2")?;
    stage.until("v2", |status| {
        status.ready() && status.current() == Some("v2")
    })?;
    stage.type_in(&["get", "mdb"], 0)?;
    rolled_out(stage, SHOP, "v2")?;
    gone(stage, SHOP, "v1")?;
    stage.type_in(&["get", "pods", "-l", "app", "-L", "release"], 0)?;
    expect(stage, "v2", &["v1", "v2"])?;
    tell::after(&format!(
        "The Secret appeared, the new Pod started, and the Deployment ended the old one: {} queries meanwhile, \
         none failed. Nobody thought of reports: it is still release v1, which can live with v2.",
        grouped(stage.queries() - before)
    ));
    tell::see("kubectl get jobs,secrets -l database-operator.dev/database=shop");
    Ok(())
}

fn mistake(stage: &mut Stage) -> Result<()> {
    tell::act(
        "Act 3 of 6: a mistake that does not start",
        "Somebody is in a hurry and makes full_name NOT NULL in v3. Nobody has filled the old rows yet, so the \
         server would refuse it, but only after the login of release v1 had been taken away for it. The \
         operator looks at the rows first; `plan` tells more, and changes nothing.",
    );
    let file = stage.bring("mistake/v3.yaml")?;
    stage.apply(&[file])?;
    stage.desire("v3")?;
    let status = stage.until("the mistake's discovery", |status| {
        status.reason() == Some("HintsBlocked")
    })?;
    ensure!(
        status.rules().contains(&"not-null-over-nulls"),
        "the mistake was not found by its hint: {}",
        status.message().unwrap_or("nothing is said")
    );
    stage.type_in(&["get", "mdb"], 0)?;
    stage.type_in(&PLAN, 3)?;
    expect(stage, "v2", &["v1", "v2"])?;
    tell::after(
        "No Job was started and no login was touched, and the reason is a fact about the rows, not a guess \
         from the SQL. `plan` ended with exit status 3, where a CI job stops.",
    );
    tell::see("cat deploy/examples/demo/mistake/v3.yaml");
    Ok(())
}

/// How the operator named what was in the way, and since when it was waited for.
fn in_the_way(stage: &mut Stage, waiting: &mut Waiting) -> Result<(String, Instant)> {
    tell::act(
        "Act 4 of 6: phase 2 waits for the forgotten application",
        "v3 becomes what it should have been: the backfill, which copies name to full_name. Release v1 writes \
         name alone, and a row that it changed behind the backfill's back would stay wrong. So v3 starts when \
         nobody can connect as release v1, and no earlier. And there still is reports.",
    );
    let file = stage.bring("shop/v3.yaml")?;
    stage.news.clear();
    stage.apply(&[file])?;
    stage.until("the wait for release v1", |status| {
        status.reason() == Some("CredentialInUse")
    })?;
    let since = clock::now();
    let named = holder(stage, REPORTS, "v1")?;
    stage.type_in(&["get", "mdb"], 0)?;
    stage.tend_for(WAIT_SHOWN)?;
    expect(stage, "v2", &["v1", "v2"])?;
    tell::after(&format!(
        "It waits, names the Deployment and its session ({named}, which is what reports itself knows), and \
         says the way on. So reports gets release v2, whose Secret is there already; and the shop gets \
         release v3, whose Secret is not.",
    ));
    tell::see("kubectl get mdb shop -o yaml");
    roll_out(stage, REPORTS, "v2", "v1")?;
    let file = stage.bring_release(SHOP, "v3")?;
    stage.apply(&[file])?;
    waits_for_its_secret(stage, SHOP, "v3", waiting)?;
    Ok((named, since))
}

/// How long the wait took, the queries during the backfill, and how long that took.
fn backfill(stage: &mut Stage, since: Instant) -> Result<(Duration, (u64, Duration))> {
    tell::act(
        "Act 5 of 6: the old login goes, and the backfill runs",
        "Nothing refers to release v1's Secret any more. Its login is watched for three more seconds \
         (quietWindow; the default is one minute) while it still works, so that a client which comes and goes \
         is seen and not shut out. Then it is locked, looked at twice more, and dropped, the Secret with it, \
         and the backfill begins as a Job: small batches, beside an application that works on the same rows.",
    );
    stage.until("the start of the backfill", |status| {
        status.reason() == Some("MigrationRunning")
    })?;
    let wait = since.elapsed();
    let (started, before) = (clock::now(), stage.queries());
    stage.until("the end of the backfill", |status| {
        status.ready() && status.current() == Some("v3")
    })?;
    let (took, queries) = (started.elapsed(), stage.queries() - before);
    stage.type_in(&["get", "mdb"], 0)?;
    rolled_out(stage, SHOP, "v3")?;
    gone(stage, SHOP, "v2")?;
    expect(stage, "v3", &["v2", "v3"])?;
    stage.type_in(&["get", "pods", "-l", "app", "-L", "release"], 0)?;
    let rows = stage.sql(&["rows"])?;
    ensure!(
        rows.contains(" wrong=0 columns=name+full_name"),
        "after the backfill the columns do not agree: {rows}"
    );
    Ok((wait, (queries, took)))
}

/// What waited.
fn onward(stage: &mut Stage) -> Result<Vec<Waited>> {
    tell::act(
        "Act 6 of 6: phases 3 and 4, in one go",
        "Now the impatient way: we ask for v5 at once. v4 makes full_name NOT NULL and name optional; v5 drops \
         name. reports, now release v2, can live with neither, and the shop, release v3, not with v5. The \
         operator walks as far as they allow, says who is in the way, and we do as it says.",
    );
    let files = [stage.bring("shop/v4.yaml")?, stage.bring("shop/v5.yaml")?];
    stage.apply(&files)?;
    stage.desire("v5")?;
    let mut waits: Vec<Waited> = Vec::new();
    // Who is in the way of each step, as it turns out: the Deployment and its release.
    let mut in_the_way = [(REPORTS, "v2"), (SHOP, "v3")].into_iter();
    for _ in 0..=WAITS_MAX {
        let asked_for = waits.last().map(|waited| waited.migration.clone());
        let status = stage.until("v5", |status| {
            let next = status.message().and_then(next_migration);
            let in_use = status.reason() == Some("CredentialInUse");
            (in_use && next.is_some() && next != asked_for)
                || (status.ready() && status.current() == Some("v5"))
        })?;
        if status.ready() {
            ensure!(waits.len() == 2, "{} steps waited, not two", waits.len());
            finish(stage)?;
            return Ok(waits);
        }
        let (deployment, release) = in_the_way.next().context("a third step waits")?;
        let message = status.message().unwrap_or_default();
        let migration = next_migration(message).context("the operator names no migration")?;
        let wanted = release_to_deploy(message).context("the operator names no release")?;
        let since = clock::now();
        let named = holder(stage, deployment, release)?;
        stage.type_in(&["get", "mdb"], 0)?;
        match deployment {
            REPORTS => remove_reports(stage)?,
            _ => roll_out(stage, deployment, &wanted, release)?,
        }
        stage.until("the next step", |status| {
            status.reason() != Some("CredentialInUse") && status.reason() != Some("QuietWindow")
        })?;
        waits.push(Waited {
            migration,
            holder: format!("{deployment} {release}"),
            named,
            took: since.elapsed(),
        });
    }
    bail!("the walk to v5 did not end after {WAITS_MAX} waits")
}

/// Nobody needs the reports. Scaled to zero, they could come back at any time: that is no end.
fn remove_reports(stage: &mut Stage) -> Result<()> {
    tell::edit("nobody needs the reports: away with them");
    stage.type_in(&["scale", "deployment", REPORTS, "--replicas=0"], 0)?;
    gone(stage, REPORTS, "v2")?;
    // The status is written anew for other users of a credential only now and then; `plan` looks for itself.
    let told = stage.type_in(&PLAN, 2)?.join(" ");
    ensure!(
        told.contains("scaled to zero") && stage.status()?.current() == Some("v3"),
        "a Deployment that is scaled to zero does not count: {told}"
    );
    tell::edit(
        "scaled to zero it could come back at any time, and would not find its schema: it is deleted",
    );
    stage.type_in(&["delete", "deployment", REPORTS], 0)?;
    Ok(())
}

fn finish(stage: &mut Stage) -> Result<()> {
    expect(stage, "v5", &["v4", "v5"])?;
    let rows = stage.sql(&["rows"])?;
    ensure!(
        rows.contains(" wrong=0 ") && rows.ends_with("columns=full_name"),
        "the rename is not complete: {rows}"
    );
    roll_out(stage, SHOP, "v5", "v4")?;
    stage.type_in(&["get", "mdb"], 0)?;
    stage.type_in(&["get", "jobs"], 0)?;
    tell::after(
        "The column name is gone, and no release ever met a schema that it cannot live with. The login of v4 \
         stays, so that the application can go back one release.",
    );
    tell::see("kubectl get events --field-selector involvedObject.kind=ManagedDatabase");
    Ok(())
}

/// The Pod of a release must be there, and must not run.
fn waits_for_its_secret(
    stage: &mut Stage,
    deployment: &str,
    release: &str,
    waiting: &mut Waiting,
) -> Result<()> {
    let what = format!("a Pod of {deployment}, release {release}");
    stage.until_true(&what, |stage| stage.phase(deployment, release).is_some())?;
    stage.tend_for(START_SHOWN)?;
    ensure!(
        stage.phase(deployment, release) == Some("Pending"),
        "{what} started without a Secret"
    );
    waiting.push(format!("{deployment} {release}"));
    Ok(())
}

/// The process id by which the operator names the session of a release, which must be the one that the
/// release itself knows; it must name the Deployment, too.
fn holder(stage: &mut Stage, deployment: &str, release: &str) -> Result<String> {
    let pid = stage
        .running(deployment, release)
        .and_then(|one| one.tally.pid)
        .with_context(|| format!("{deployment}, release {release}, has no session"))?;
    let status = stage.status()?;
    let message = status.message().unwrap_or_default();
    for name in [format!("pid {pid}"), format!("Deployment {deployment}")] {
        ensure!(
            message.contains(&name),
            "the operator does not name {name}: {message}"
        );
    }
    Ok(format!("pid {pid}"))
}

/// Updates a Deployment, waits until the new release works and the one before is gone.
fn roll_out(stage: &mut Stage, deployment: &str, release: &str, before: &str) -> Result<()> {
    let file = stage.bring_release(deployment, release)?;
    stage.apply(&[file])?;
    rolled_out(stage, deployment, release)?;
    let old = gone(stage, deployment, before)?;
    let new = stage.running(deployment, release);
    let new = &new.context("the new release is gone")?.tally;
    tell::edit(&format!(
        "{deployment}: {release} works ({}, pid {}), {before} ended after {} queries, failed: {}",
        new.user.as_deref().unwrap_or("-"),
        new.pid.unwrap_or_default(),
        grouped(old.0),
        old.1
    ));
    Ok(())
}

fn rolled_out(stage: &mut Stage, deployment: &str, release: &str) -> Result<()> {
    let queries = move |stage: &Stage| {
        let found = stage.running(deployment, release);
        found.map_or(0, |one| one.tally.queries)
    };
    let before = queries(stage);
    stage.until_true(
        &format!("the work of {deployment}, release {release}"),
        |stage| queries(stage) >= before + QUERIES_OF_A_ROLL_OUT,
    )
}

/// Waits until a release of a Deployment has ended in good order; its queries, and those that failed.
fn gone(stage: &mut Stage, deployment: &str, release: &str) -> Result<(u64, u64)> {
    let what = format!("the end of {deployment}, release {release}");
    stage.until_true(&what, |stage| stage.ended(deployment, release).is_some())?;
    let tally = stage.ended(deployment, release).context(what)?;
    Ok((tally.queries, tally.failed))
}

/// The database must be at this version, with exactly these credentials, by the operator's status and by
/// the server's own list of logins; the Secret of each must let one in.
fn expect(stage: &mut Stage, current: &str, credentials: &[&str]) -> Result<()> {
    let logins = application_logins(stage)?;
    stage.status()?.agrees(current, credentials, &logins)?;
    let mut uris = Vec::new();
    for credential in credentials {
        uris.push(stage.uri(credential)?);
    }
    for (credential, said) in credentials.iter().zip(stage.log_in(&uris)?) {
        ensure!(said == "works", "the login of {credential} is {said}");
    }
    Ok(())
}

/// The logins of applications, by the server itself.
pub(super) fn application_logins(stage: &Stage) -> Result<Vec<String>> {
    let logins = stage.sql(&["logins"])?;
    Ok(of_applications(&logins))
}

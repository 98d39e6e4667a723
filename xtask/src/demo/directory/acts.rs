//! The story, act by act. Each act says what will happen, does it, and checks that it did.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::stage::{DIRECTORY, Stage};
use crate::clock;
use crate::demo::facts::{
    CUSTOMERS, Seen, Waited, grouped, next_migration, of_applications, release_to_deploy,
};
use crate::demo::tell;

/// How long the operator is watched while it waits for the old application: it must not give up.
const WAIT_SHOWN: Duration = Duration::from_secs(2);
/// How long the first release is watched while it waits for its Secret.
const START_SHOWN: Duration = Duration::from_millis(500);
/// A release counts as rolled out when it has made this many queries.
const QUERIES_OF_A_ROLL_OUT: u64 = 100;
/// The last walk has two steps that wait for a release; more would be a circle.
const ROLL_OUTS_MAX: usize = 3;

/// Plays all acts.
pub(super) fn play(stage: &mut Stage) -> Result<Seen> {
    first(stage)?;
    let logins_before = application_logins(stage)?;
    expand(stage)?;
    mistake(stage)?;
    let old_uri = stage.copy_uri("v1")?;
    let (release, pid, since) = in_the_way(stage)?;
    let (wait, backfill) = backfill(stage, since)?;
    let refusal = stage.log_in(&old_uri)?;
    ensure!(
        refusal.starts_with("refused"),
        "the password of release v1 still works"
    );
    tell::after(&format!(
        "Every row has its full_name. During the backfill release v2 made {} queries, and each got the \
         name that was written last. We kept a copy of release v1's Secret and tried it; {refusal}.",
        grouped(backfill.0)
    ));
    tell::see("cat shop/.dbop/jobs/default/shop-v3-*/log");
    let mut waits = vec![Waited {
        migration: "v3".to_owned(),
        holder: format!("release {release}"),
        named: format!("pid {pid}"),
        took: wait,
    }];
    waits.extend(onward(stage)?);
    Ok(Seen {
        logins_before,
        waits,
        refusal,
        backfill,
    })
}

fn first(stage: &mut Stage) -> Result<()> {
    tell::act(
        "Act 1 of 6: from nothing to v1",
        "The database is empty. Release v1 of the application starts first; it has no password yet, and \
         waits for the Secret of its version, as a Pod waits for a Secret that it mounts. The operator \
         publishes that Secret when the schema is at v1 and the login in it works, and not before: an \
         application never meets a schema that is not ready for it.",
    );
    stage.bring(&["shop/v1.yaml", "shop/migrations/0001_create_customers.sql"])?;
    tell::edit("release v1 of the application is started");
    stage.start_release("v1")?;
    stage.tend_for(START_SHOWN)?;
    stage.operate(&["local", DIRECTORY], 0)?;
    stage.until_true("a session of release v1", |stage| {
        Ok(stage.tally("v1").is_some_and(|tally| tally.pid.is_some()))
    })?;
    expect(stage, "v1", &["v1"])?;
    stage.sql(&["import", &CUSTOMERS.to_string()], &[])?;
    rolled_out(stage, "v1")?;
    let tally = stage.tally("v1").context("release v1 is gone")?;
    tell::after(&format!(
        "The Secret appeared, and release v1 works with it, as {}. Now {} customers were imported.",
        tally.user.as_deref().unwrap_or("-"),
        grouped(CUSTOMERS)
    ));
    tell::see("ls -l shop/.dbop/secrets/default/*");
    Ok(())
}

fn expand(stage: &mut Stage) -> Result<()> {
    tell::act(
        "Act 2 of 6: phase 1, a new column beside the old one",
        "Migration v2 adds the column full_name. Its manifest says so as a hint (schemaHints), and the \
         operator judges the hint against this very table on this very server before anything starts. \
         `plan` shows what would happen, and changes nothing.",
    );
    stage.bring(&["shop/v2.yaml", "shop/migrations/0002_add_full_name.sql"])?;
    stage.desire("v1", "v2")?;
    stage.operate(&["plan", "--local", DIRECTORY], 2)?;
    tell::line("");
    tell::pause();
    let before = stage.queries();
    stage.operate(&["local", DIRECTORY], 0)?;
    expect(stage, "v2", &["v1", "v2"])?;
    let meanwhile = stage.queries() - before;
    tell::after(&format!(
        "v2 is there, with a login of its own. Release v1 worked on: {meanwhile} queries meanwhile, none \
         failed. Its login stays, because its code can live with v2.",
    ));
    tell::see("database-operator status --local shop");
    Ok(())
}

fn mistake(stage: &mut Stage) -> Result<()> {
    tell::act(
        "Act 3 of 6: a mistake that does not start",
        "Somebody is in a hurry and makes full_name NOT NULL in v3. Nobody has filled the old rows yet, \
         so the server would refuse it, but only after the login of release v1 had been taken away for \
         it. The operator looks at the rows first.",
    );
    stage.bring(&["mistake/v3.yaml", "mistake/0003_require_full_name.sql"])?;
    stage.desire("v2", "v3")?;
    stage.operate(&["plan", "--local", DIRECTORY], 3)?;
    tell::line("");
    tell::pause();
    stage.operate(&["local", DIRECTORY], 3)?;
    let status = stage.status()?;
    ensure!(
        status.reason() == Some("HintsBlocked") && status.rules().contains(&"not-null-over-nulls"),
        "the mistake was not found by its hint: {}",
        status.message().unwrap_or("nothing is said")
    );
    expect(stage, "v2", &["v1", "v2"])?;
    tell::after(
        "It ended with exit status 3, where a CI job stops. No migration was started and no login was \
         touched, and the reason is a fact about the rows, not a guess from the SQL.",
    );
    tell::see("cat deploy/examples/demo/mistake/v3.yaml");
    Ok(())
}

/// The release in the way, the process id of its session, and since when it is waited for.
fn in_the_way(stage: &mut Stage) -> Result<(String, u64, Instant)> {
    tell::act(
        "Act 4 of 6: phase 2 waits for the old application",
        "v3 becomes what it should have been: the backfill, which copies name to full_name. Release v1 \
         writes name alone, and a row that it changed behind the backfill's back would stay wrong. So v3 \
         starts when nobody is connected as release v1, and no earlier. The operator now watches.",
    );
    let mistaken = stage
        .manifests()
        .join("migrations/0003_require_full_name.sql");
    std::fs::remove_file(mistaken).context("the mistaken migration cannot be removed")?;
    stage.bring(&[
        "shop/migrations/0003_backfill_full_name.sql",
        "shop/v3.yaml",
    ])?;
    tell::edit("shop/v3.yaml and its SQL file: the backfill, in the place of NOT NULL");
    stage.watch()?;
    stage.until("the wait for release v1", |status| {
        status.reason() == Some("CredentialInUse")
    })?;
    let since = clock::now();
    let pid = session_waited_for(stage, "v1")?;
    stage.tend_for(WAIT_SHOWN)?;
    expect(stage, "v2", &["v1", "v2"])?;
    tell::after(&format!(
        "It waits, says for whom (release v1 itself calls pid {pid} its session), and says the way on: \
         deploy the application of v2. Its Secret is there already, so that is what we do now."
    ));
    tell::see("database-operator status --local shop");
    roll_out(stage, "v2", "v1")?;
    Ok(("v1".to_owned(), pid, since))
}

/// How long the wait took, the queries during the backfill, and how long that took.
fn backfill(stage: &mut Stage, since: Instant) -> Result<(Duration, (u64, Duration))> {
    tell::act(
        "Act 5 of 6: the old login goes, and the backfill runs",
        "No session of release v1 is left. Its login is watched for three more seconds (quietWindow; the \
         default is one minute) while it still works, so that a client which comes and goes is seen and \
         not shut out. Then it is locked, looked at twice more, and dropped, and the backfill begins: \
         small batches, beside an application that reads and writes the same rows.",
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
    expect(stage, "v3", &["v2", "v3"])?;
    let rows = stage.sql(&["rows"], &[])?;
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
        "Now the impatient way: we ask for v5 at once. v4 makes full_name NOT NULL and name optional; v5 \
         drops name. The running release v2 can live with neither. The operator walks as far as the running \
         release allows, and where it does not, it says which release to deploy; we do as it says.",
    );
    stage.bring(&[
        "shop/migrations/0004_require_full_name.sql",
        "shop/migrations/0005_drop_name.sql",
        "shop/v4.yaml",
        "shop/v5.yaml",
    ])?;
    stage.desire("v3", "v5")?;
    let mut waits: Vec<Waited> = Vec::new();
    let mut running = "v2".to_owned();
    for _ in 0..=ROLL_OUTS_MAX {
        let told = waits.len();
        let status = stage.until("v5", |status| {
            let in_use = status.reason() == Some("CredentialInUse");
            let newly = status
                .message()
                .and_then(release_to_deploy)
                .is_some_and(|release| release != running);
            (in_use && newly) || (status.ready() && status.current() == Some("v5"))
        })?;
        if status.ready() {
            expect(stage, "v5", &["v4", "v5"])?;
            ensure!(told == 2, "{told} steps waited for an application, not two");
            let rows = stage.sql(&["rows"], &[])?;
            ensure!(
                rows.contains(" wrong=0 ") && rows.ends_with("columns=full_name"),
                "the rename is not complete: {rows}"
            );
            roll_out(stage, "v5", &running)?;
            tell::after(
                "The column name is gone, and no release ever met a schema that it cannot live with. The \
                 login of v4 stays, so that the application can go back one release.",
            );
            tell::see("database-operator status --local shop");
            return Ok(waits);
        }
        let message = status.message().unwrap_or_default();
        let release = release_to_deploy(message).context("the operator names no release")?;
        let migration = next_migration(message).context("the operator names no migration")?;
        let since = clock::now();
        let pid = session_waited_for(stage, &running)?;
        roll_out(stage, &release, &running)?;
        stage.until("the next step", |status| {
            status.reason() != Some("CredentialInUse") && status.reason() != Some("QuietWindow")
        })?;
        waits.push(Waited {
            migration,
            holder: format!("release {}", std::mem::replace(&mut running, release)),
            named: format!("pid {pid}"),
            took: since.elapsed(),
        });
    }
    bail!("the walk to v5 did not end after {ROLL_OUTS_MAX} releases")
}

/// The process id by which the operator names the session of a release: it must be the one that the
/// release itself knows.
fn session_waited_for(stage: &mut Stage, release: &str) -> Result<u64> {
    let pid = stage
        .tally(release)
        .and_then(|tally| tally.pid)
        .with_context(|| format!("release {release} has no session"))?;
    let status = stage.status()?;
    let message = status.message().unwrap_or_default();
    ensure!(
        message.contains(&format!("pid {pid}")),
        "the operator does not name pid {pid}, the session of release {release}: {message}"
    );
    Ok(pid)
}

/// Starts a release, waits until it works, and stops the one before.
fn roll_out(stage: &mut Stage, release: &str, before: &str) -> Result<()> {
    stage.start_release(release)?;
    rolled_out(stage, release)?;
    let old = stage.stop_release(before)?;
    let new = stage.tally(release).context("the new release is gone")?;
    tell::edit(&format!(
        "release {release} deployed ({}, pid {}), {before} stopped after {} queries, failed: {}",
        new.user.as_deref().unwrap_or("-"),
        new.pid.unwrap_or_default(),
        grouped(old.queries),
        old.failed
    ));
    Ok(())
}

fn rolled_out(stage: &mut Stage, release: &str) -> Result<()> {
    let queries = |stage: &Stage| stage.tally(release).map_or(0, |tally| tally.queries);
    let before = queries(stage);
    stage.until_true(&format!("the work of release {release}"), |stage| {
        Ok(queries(stage) >= before + QUERIES_OF_A_ROLL_OUT)
    })
}

/// The database must be at this version, with exactly these credentials, by the operator's status
/// and by the server's own list of logins; the Secret of each must let one in.
fn expect(stage: &mut Stage, current: &str, credentials: &[&str]) -> Result<()> {
    let logins = application_logins(stage)?;
    stage.status()?.agrees(current, credentials, &logins)?;
    for credential in credentials {
        let said = stage.log_in(&stage.secret(credential).join("uri"))?;
        ensure!(said == "works", "the login of {credential} is {said}");
    }
    Ok(())
}

/// The logins of applications, by the server itself.
pub(super) fn application_logins(stage: &Stage) -> Result<Vec<String>> {
    let logins = stage.sql(&["logins"], &[])?;
    Ok(of_applications(&logins))
}

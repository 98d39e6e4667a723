//! The API server is away in the middle of walks: stopped, or silent.

use std::path::{Path, PathBuf};
use std::time::Duration;

use dbop_tests::kubernetes::{now, seconds};
use dbop_tests::{is_full_proof, seed};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::{API_SERVER, WALK, at_v2, undisturbed};
use dbop_tests::random::Random;

/// How long it is away.
const AWAY: Duration = Duration::from_secs(30);
/// Walks that it goes away from, each begun at another moment before it does.
const WALKS: usize = 5;
/// The first of them begins so long before.
const BEFORE_MS: u64 = 2500;
/// When it is back, walks go on within this: a lease to be had again, and watches that wait up to half a minute
/// between their attempts.
const GOES_ON: Duration = Duration::from_secs(120);

/// What becomes of it, and how it comes back.
const WAYS: [(&str, &str); 2] = [("stop", "start"), ("pause", "continue")];

#[tokio::test(flavor = "multi_thread")]
async fn walks_outlive_an_api_server_that_is_away() {
    let _alone = API_SERVER.write().await;
    let mut random = Random::new(seed() ^ 2);
    println!("seed: {}", seed());
    let mut ways = WAYS.to_vec();
    if !is_full_proof() {
        // Half a minute each: one of them, and another in the next run.
        ways.swap_remove(usize::try_from(random.below(2)).expect("an index fits"));
    }
    for (goes, comes) in ways {
        away(goes, comes, &mut random).await;
    }
}

async fn away(goes: &str, comes: &str, random: &mut Random) {
    let undisturbed = undisturbed().await;
    let mut stages = Vec::new();
    for _ in 0..WALKS {
        stages.push(at_v2("away").await);
    }
    let mut begins = JoinSet::new();
    let mut walks = Vec::new();
    for (stage, operator) in stages {
        let delay = Duration::from_millis(random.below(BEFORE_MS));
        let (api, at) = (stage.api.clone(), stage.path("manageddatabases"));
        begins.spawn(async move {
            sleep(delay).await;
            let change = serde_json::json!({ "spec": { "desiredSchemaVersion": "v3" } });
            api.change(&format!("{at}/shop"), &change).await;
        });
        walks.push((stage, operator));
    }
    begins.join_all().await;
    sleep(Duration::from_millis(random.below(BEFORE_MS / 2))).await;
    tell(goes).await;
    let left = now();
    sleep(AWAY).await;
    tell(comes).await;
    let back = now();
    let (mut latest, mut first): (f64, f64) = (0.0, 0.0);
    for (stage, operator) in &mut walks {
        stage.at_rest("v3", GOES_ON).await;
        latest = latest.max(seconds(back, now()));
        let wrote = stage.first_write(operator, back).unwrap_or(back);
        first = first.max(seconds(back, wrote));
        operator.lives();
    }
    println!(
        "proof: API server away ({goes}) for {:.0} s from {WALKS} walks: each operator wrote again \
         within {first:.1} s of its return, all were at rest after {latest:.1} s",
        seconds(left, back)
    );
    for (stage, operator) in walks {
        stage.at_rest("v3", WALK).await;
        stage.ran_once();
        assert_eq!(stage.end().await, undisturbed);
        operator.stop().await;
        stage.leave().await;
    }
}

async fn tell(what: &str) {
    let xtask = std::env::var_os("DBOP_XTASK").map(PathBuf::from);
    let xtask = xtask
        .expect("DBOP_XTASK is not set: run `cargo xtask cluster up --light -- cargo test ...`");
    let folder = std::env::var_os("DBOP_TEST_CLUSTER").map(PathBuf::from);
    let name = folder.as_deref().and_then(Path::file_name);
    let name = name.expect("DBOP_TEST_CLUSTER names no cluster of xtask's");
    let status = Command::new(xtask)
        .args(["cluster", what, "kube-apiserver", "--name"])
        .arg(name)
        .status()
        .await
        .expect("xtask can be run");
    assert!(status.success(), "the API server was not told to {what}");
}

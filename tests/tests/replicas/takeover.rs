//! Two replicas: the leader is killed, or told to stop, and the other goes on.

use std::time::Duration;

use dbop_tests::kubernetes::{now, seconds};

use crate::{API_SERVER, STAGES, TAKEOVER, WALK, at_v2, undisturbed};

/// The successor of a leader that was told to stop leads within this: a look at the Lease, and some.
const AT_ONCE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn when_the_leader_is_killed_the_other_goes_on() {
    let (_api, _turn) = (API_SERVER.read().await, STAGES.acquire().await);
    let undisturbed = undisturbed().await;
    let (stage, a) = at_v2("killed").await;
    let b = stage.operator("b").await;
    b.waits(WALK).await;
    let killed = now();
    a.kill().await;
    stage.desire("v3").await;
    let first = stage.wait_first_write(&b, killed, WALK).await;
    let taken = seconds(killed, stage.took_lease(&b, killed));
    println!(
        "proof: leader killed: the other leads {taken:.1} s later, and writes first after {:.1} s",
        seconds(killed, first)
    );
    assert!(taken < TAKEOVER.as_secs_f64());
    stage.at_rest("v3", WALK).await;
    stage.ran_once();
    assert_eq!(stage.end().await, undisturbed);
    b.stop().await;
    stage.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_leader_is_told_to_stop_the_other_goes_on_at_once() {
    let (_api, _turn) = (API_SERVER.read().await, STAGES.acquire().await);
    let undisturbed = undisturbed().await;
    let (stage, a) = at_v2("stopped").await;
    let b = stage.operator("b").await;
    b.waits(WALK).await;
    // In the middle of the walk: the step under way ends first.
    let audit = stage.audit.from_now();
    stage.desire("v3").await;
    audit.seen(|entry| entry.what == "create jobs").await;
    let told = now();
    a.stop().await;
    let stopped = now();
    let first = stage.wait_first_write(&b, told, WALK).await;
    let taken = seconds(stopped, stage.took_lease(&b, told));
    println!(
        "proof: leader told to stop in mid-walk: it ended after {:.1} s, the other leads {taken:.1} s after that, and \
         writes first after {:.1} s",
        seconds(told, stopped),
        seconds(stopped, first)
    );
    assert!(taken < AT_ONCE.as_secs_f64());
    stage.at_rest("v3", WALK).await;
    stage.ran_once();
    assert_eq!(stage.end().await, undisturbed);
    b.stop().await;
    stage.leave().await;
}

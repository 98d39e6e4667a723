//! A leader that is stopped (SIGSTOP) past its lease and goes on, or is killed, at moments of a walk.

use std::time::Duration;

use dbop_tests::kubernetes::{Operator, Stage, freeze, now, seconds, shoot};
use dbop_tests::local::until;
use dbop_tests::random::Random;
use dbop_tests::{is_full_proof, seed};
use tokio::time::sleep;

use crate::moments::{MOMENTS, Moment};
use crate::{API_SERVER, STAGES, WALK, at_v2, side_by_side, undisturbed};

/// After it goes on, the one that was stopped is watched for so long at least.
const WATCHED: Duration = Duration::from_secs(4);
/// Random moments of a full proof, for each blow: beside one for every write of every action, half an hour in all.
const AT_RANDOM: usize = 30;
/// Random moments come within this after the beginning of a walk.
const WALK_MS: u64 = 2500;
/// A process that was stopped for less than its lease may hold it still.
const SHORT_MS: u64 = 14_500;

/// When a leader that was stopped goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resume {
    /// In the midst of its successor's work: after the first write of it.
    Amid,
    /// When its successor has nothing left to do.
    Late,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    /// SIGSTOP until the other has taken over, then SIGCONT.
    Stop(Resume),
    /// SIGSTOP for so long.
    Nap(Duration),
    /// SIGKILL.
    Kill,
}

/// A moment of a walk, in words and as a time after its beginning.
fn any_moment(random: &mut Random) -> (String, Moment) {
    let delay = Duration::from_millis(random.below(WALK_MS));
    (
        format!("{delay:?} after the beginning"),
        Moment::After(delay),
    )
}

fn any_resume(random: &mut Random) -> Resume {
    random.pick(&[Resume::Amid, Resume::Late])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_stopped_writes_nothing_more() {
    let mut random = Random::new(seed());
    println!("seed: {}", seed());
    let mut strikes = Vec::new();
    for (name, moment) in MOMENTS {
        let resumes = match is_full_proof() {
            true => vec![Resume::Amid, Resume::Late],
            false => vec![any_resume(&mut random)],
        };
        for resume in resumes {
            strikes.push(((*name).to_owned(), *moment, Blow::Stop(resume)));
        }
    }
    for _ in 0..if is_full_proof() { AT_RANDOM / 2 } else { 1 } {
        let (name, moment) = any_moment(&mut random);
        strikes.push((name, moment, Blow::Stop(any_resume(&mut random))));
        let (name, moment) = any_moment(&mut random);
        let nap = Duration::from_millis(random.below(SHORT_MS));
        strikes.push((name, moment, Blow::Nap(nap)));
    }
    strike_all(strikes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_killed_leaves_nothing_that_the_other_does_not_finish() {
    let mut random = Random::new(seed() ^ 1);
    println!("seed: {}", seed());
    let mut strikes = Vec::new();
    let of_kinds = &MOMENTS[1..];
    let chosen = if is_full_proof() { of_kinds.len() } else { 3 };
    let from = random.below(of_kinds.len() as u64) as usize;
    for (name, moment) in of_kinds.iter().cycle().skip(from).step_by(5).take(chosen) {
        strikes.push(((*name).to_owned(), *moment, Blow::Kill));
    }
    for _ in 0..if is_full_proof() { AT_RANDOM } else { 2 } {
        let (name, moment) = any_moment(&mut random);
        strikes.push((name, moment, Blow::Kill));
    }
    strike_all(strikes).await;
}

async fn strike_all(strikes: Vec<(String, Moment, Blow)>) {
    let walks = strikes.into_iter().map(|(name, moment, blow)| async move {
        let (_api, _turn) = (API_SERVER.read().await, STAGES.acquire().await);
        // A panic's message does not say it.
        println!("begins: {blow:?} at {name}");
        let account = strike(moment, blow).await;
        println!("proof: {blow:?} at {name}: {account}");
    });
    side_by_side(walks).await;
}

async fn strike(moment: Moment, blow: Blow) -> String {
    let undisturbed = undisturbed().await;
    let (stage, mut a) = at_v2("struck").await;
    let mut b = stage.operator("b").await;
    b.waits(WALK).await;
    let pid = a.id();
    let hit = move || match blow {
        Blow::Kill => shoot(pid),
        Blow::Stop(_) | Blow::Nap(_) => freeze(pid),
    };
    let came = moment.strike(&stage, &a, hit).await;
    assert!(came, "{moment:?} did not come");
    let struck = now();
    let account = match blow {
        Blow::Kill => {
            let first = stage.wait_first_write(&b, struck, WALK).await;
            format!(
                "the other's first write {:.1} s later",
                seconds(struck, first)
            )
        }
        Blow::Nap(nap) => {
            sleep(nap).await;
            a.thaw();
            String::new()
        }
        Blow::Stop(resume) => overtaken(&stage, &a, &b, struck, resume).await,
    };
    stage.at_rest("v3", WALK).await;
    if blow != Blow::Kill {
        a.lives();
    }
    b.lives();
    stage.ran_once();
    assert_eq!(stage.end().await, undisturbed, "{moment:?}, {blow:?}");
    a.kill().await;
    b.kill().await;
    stage.leave().await;
    account
}

/// The stopped one loses its session and its lease, the other takes over, and what the first would still do has
/// no effect.
async fn overtaken(
    stage: &Stage,
    a: &Operator,
    b: &Operator,
    struck: i64,
    resume: Resume,
) -> String {
    let sessions = stage.door.open_of(a.id());
    let first = stage.wait_first_write(b, struck, WALK).await;
    let left = stage.door.open_of(a.id());
    assert_eq!(
        left, 0,
        "sessions of the stopped one when the other began to write"
    );
    let ended = stage
        .door
        .ended_by_server(a.id())
        .into_iter()
        .filter(|at| *at > struck);
    let ended = ended.max().map_or_else(String::new, |at| {
        format!(
            ", its session was ended {:.1} s after the stop",
            seconds(struck, at)
        )
    });
    if resume == Resume::Late {
        stage.at_rest("v3", WALK).await;
    }
    let resumed = now();
    a.thaw();
    until("the one that was stopped follows", WALK, async || {
        a.log().contains("the lease is lost")
    })
    .await;
    sleep(WATCHED).await;
    stage.at_rest("v3", WALK).await;
    let (requests, statements) = stage.writes_of(a);
    let requests: Vec<_> = requests
        .iter()
        .filter(|entry| entry.answered > first)
        .collect();
    let statements: Vec<_> = statements.iter().filter(|said| said.at > first).collect();
    assert!(
        requests.is_empty() && statements.is_empty(),
        "the other's first write was at {first}, this one went on at {resumed}, and wrote \
         {requests:#?} {statements:#?}"
    );
    format!(
        "{sessions} open{ended}; the other's first write {:.1} s after the stop, then none of its own",
        seconds(struck, first)
    )
}

//! The nine scenarios of the hints on a real server of each engine: each is found on a large table or under real writes,
//! nothing is said of its small quiet twin, and what is advised, run as it is printed, is not found itself and keeps no
//! writer waiting.
//!
//! All of it is `cargo xtask prove scenarios`; `cargo xtask test` runs it with fewer rows on one engine, which the seed
//! chooses.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod stage;
mod table;

use std::time::Duration;

use dbop_tests::advice::Way;
use dbop_tests::writer::Writer;
use dbop_tests::{Engine, TestServer, is_full_proof, newest, seed};
use serde_json::Value;

use stage::{Ran, Stage};
use table::{Change, LARGE, SCENARIOS, Scenario};

/// A writer who never waits longer than this is not shut out, on a machine that has other work to do.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// One who waits for less than this part of what the plain statement costs is not, either.
const PAUSE_PART: u32 = 4;
/// Rows of the large table, and from how many on a table is large, in the proof and in a slice of it.
const ROWS: (u64, u64) = (1_200_000, 1_000_000);
/// PostgreSQL makes rows, and indexes over them, many times as fast.
const ROWS_POSTGRES: (u64, u64) = (4_000_000, 1_000_000);
const ROWS_OF_SLICE: (u64, u64) = (40_000, 20_000);
/// Data are repaired, and then the size is in the way: more is not needed.
const ROUNDS_MAX: usize = 3;

#[tokio::test]
async fn nine_scenarios() {
    let servers = newest();
    if is_full_proof() {
        for server in servers {
            let rows = match server.engine() {
                Engine::Postgres => ROWS_POSTGRES,
                Engine::MySql | Engine::MariaDb => ROWS,
            };
            all_on(&server, rows).await;
        }
        return;
    }
    let seed = seed();
    let chosen = (seed % servers.len() as u64) as usize;
    println!("seed {seed} chooses {}", servers[chosen].title());
    all_on(&servers[chosen], ROWS_OF_SLICE).await;
}

async fn all_on(server: &TestServer, (rows, large): (u64, u64)) {
    let stage = Stage::new(server, rows, large).await;
    println!(
        "proof: {} with {rows} rows: time, and the writer's longest pause, of the statement as people write it and of \
         what is advised",
        server.title()
    );
    println!("proof: | | scenario | statement | takes | pause | advice | takes | pause |");
    println!("proof: |---|---|---|---|---|---|---|---|");
    for scenario in &SCENARIOS {
        println!("proof: {}", on(&stage, scenario).await);
    }
}

/// Goes through one scenario, and gives its line in the table.
async fn on(stage: &Stage, scenario: &Scenario) -> String {
    let change = scenario.on(stage.database.engine());
    let of = |text: &str| text.replace("$T", LARGE);
    let sql = of(change.sql);

    let twin = change.sql.replace("$T", scenario.twin);
    let (said, stops) = stage.judged(&twin, false).await;
    assert!(!stops && speaking(&said).is_empty(), "`{twin}`: {said:#}");

    found(stage, scenario, change, &sql).await;

    let plain = stage.beside_a_writer(&[Way::Sql(vec![sql.clone()])]).await;
    assert_eq!(
        plain.refused.is_some(),
        change.verdict == "WillFail",
        "`{sql}` ends as is said: {:?}",
        plain.refused
    );
    if plain.refused.is_none() {
        stage.undo(&of(change.undo)).await;
    }

    let (way, advised) = way_out(stage, scenario, change, &sql).await;
    assert_eq!(advised.refused, None, "`{way}` works");
    assert!(stage.count(&of(change.made)).await >= 1, "`{way}` makes it");
    let (pause, at_worst) = (advised.pauses.longest, plain.pauses.longest);
    assert!(
        pause <= PAUSE_MAX || pause * PAUSE_PART <= at_worst,
        "`{way}` keeps a writer waiting for {pause:?}; `{sql}` for {at_worst:?}"
    );
    stage.undo(&of(change.undo)).await;
    format!(
        "| {} | {} | `{sql}` | {} | {} | {way} | {} | {} |",
        scenario.number,
        scenario.title,
        if plain.refused.is_some() {
            "it fails".to_owned()
        } else {
            seconds(plain.took)
        },
        seconds(at_worst),
        seconds(advised.took),
        seconds(pause),
    )
}

/// The rule speaks of the large table, with its verdict.
async fn found(stage: &Stage, scenario: &Scenario, change: &Change, sql: &str) {
    let writer = scenario.heavy.then(|| stage.writer());
    let (said, stops) = stage.judged(sql, scenario.heavy).await;
    let _ = writer.map(Writer::end);
    let is_it = |finding: &&Value| finding["rule"] == scenario.rule;
    let finding = speaking(&said).into_iter().find(is_it);
    let finding =
        finding.unwrap_or_else(|| panic!("{} speaks of `{sql}`: {said:#}", scenario.rule));
    assert_eq!(finding["verdict"], change.verdict, "{said:#}");
    assert_eq!(finding["blocks"], true, "{said:#}");
    assert!(stops);
}

/// Does what the findings advise until nothing is in the way. Gives in words what was run at last, and how it went.
async fn way_out(stage: &Stage, scenario: &Scenario, change: &Change, sql: &str) -> (String, Ran) {
    let mut repaired = false;
    for _ in 0..ROUNDS_MAX {
        let writer = scenario.heavy.then(|| stage.writer());
        let (said, stops) = stage.judged(sql, scenario.heavy).await;
        let _ = writer.map(Writer::end);
        if !stops {
            let way = Way::Sql(vec![sql.to_owned()]);
            return ("the same".to_owned(), stage.beside_a_writer(&[way]).await);
        }
        let ways = ways(&said);
        if let [Way::Sql(statements)] = ways.as_slice()
            && statements.iter().all(|one| one.starts_with("SELECT "))
        {
            // It shows which data are in the way; what becomes of them, a person decides.
            assert!(!repaired, "after the repair nothing is left: {said:#}");
            let looked = stage.beside_a_writer(&ways).await;
            assert_eq!(looked.refused, None, "{statements:?} can be run");
            stage.run(&change.repair.replace("$T", LARGE)).await;
            repaired = true;
            continue;
        }
        let statements: Vec<String> = ways.iter().flat_map(statements_of).cloned().collect();
        if !statements.is_empty() {
            let file = statements.join(";\n");
            let writer = scenario.heavy.then(|| stage.writer());
            let (said, stops) = stage.judged(&file, scenario.heavy).await;
            let _ = writer.map(Writer::end);
            assert!(!stops, "`{file}` is advised and found itself: {said:#}");
        }
        let told: Vec<String> = ways.iter().map(in_words).collect();
        return (told.join(" "), stage.beside_a_writer(&ways).await);
    }
    panic!("`{sql}` finds no way out in {ROUNDS_MAX} rounds")
}

/// What can be run of the findings' advice: what a session needs first, and then the first way of the first finding
/// that has one.
fn ways(said: &Value) -> Vec<Way> {
    let of = |finding: &Value| -> Vec<Way> {
        let advice = finding["advice"].as_array().into_iter().flatten();
        let texts = advice.filter_map(Value::as_str);
        texts.filter_map(Way::of).collect()
    };
    let is_setting = |way: &Way| {
        let statements: Vec<&String> = statements_of(way).collect();
        !statements.is_empty() && statements.iter().all(|one| one.starts_with("SET "))
    };
    let all: Vec<Way> = speaking(said).into_iter().flat_map(of).collect();
    let first = |settings: bool| {
        all.iter()
            .find(move |way| is_setting(way) == settings)
            .cloned()
    };
    let ways: Vec<Way> = [first(true), first(false)].into_iter().flatten().collect();
    assert!(!ways.is_empty(), "something is advised: {said:#}");
    ways
}

fn statements_of(way: &Way) -> impl Iterator<Item = &String> {
    match way {
        Way::Sql(statements) => statements.as_slice(),
        Way::Command(_) => &[],
    }
    .iter()
}

fn in_words(way: &Way) -> String {
    match way {
        Way::Sql(statements) => statements
            .iter()
            .map(|one| format!("`{one}`;"))
            .collect::<Vec<_>>()
            .join(" "),
        Way::Command(command) => format!("`{command}`"),
    }
}

/// The findings that say more than that all is well.
fn speaking(said: &Value) -> Vec<&Value> {
    let findings = said["findings"].as_array().unwrap();
    let speaks = |finding: &&Value| finding["verdict"] != "Clean";
    findings.iter().filter(speaks).collect()
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f32())
}

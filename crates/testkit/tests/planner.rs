//! The planner, proven over a small model of its surroundings: what it never does, and that it comes to rest.
//!
//! `DBOP_PROVE=full` searches the larger scenarios. A failure prints the shortest story that leads to it.

use dbop_testkit::surroundings::{Size, scenarios, search};

#[test]
fn every_scenario_keeps_the_invariants_and_comes_to_rest() {
    let size = match std::env::var("DBOP_PROVE").as_deref() {
        Ok("full") => Size::Full,
        _ => Size::Small,
    };
    // One scenario alone, by a part of its name.
    let only = std::env::var("DBOP_SCENARIO").unwrap_or_default();
    let mut states = 0;
    let mut stories = Vec::new();
    for scenario in scenarios(size) {
        if !scenario.name.contains(&only) {
            continue;
        }
        match search(&scenario) {
            Ok(proof) => {
                println!("{:9} states: {}", proof.states, scenario.name);
                states += proof.states;
            }
            Err(story) => stories.push(story.to_string()),
        }
    }
    assert!(stories.is_empty(), "\n{}\n", stories.join("\n\n"));
    println!(
        "proof: planner: {} states, no invariant broken",
        thousands(states)
    );
}

/// `412,345`.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

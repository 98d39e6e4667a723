//! The search: every state that can be reached, breadth first, so that the first story found is a shortest.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use super::cooperation;
use super::event::{Event, apply, events, line};
use super::facts::Lens;
use super::invariants::{self, Broken};
use super::scenario::Scenario;
use super::world::World;

/// A scenario larger than this is too large to be searched in a test: it is a mistake in its bounds.
pub const STATES_MAX: usize = 20_000_000;

/// What a search found: that nothing is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// States that can be reached.
    pub states: usize,
    /// States on the way to rest, beyond those.
    pub cooperating: usize,
    /// Decisions that were acted on or waited for, by their first word and reason, each with how often.
    pub longest: usize,
}

/// The shortest way to what should never be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// The scenario's name.
    pub scenario: &'static str,
    /// What is wrong.
    pub broken: String,
    /// What happened, in order, each with the state after it.
    pub steps: Vec<String>,
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "scenario: {}", self.scenario)?;
        for (number, step) in self.steps.iter().enumerate() {
            writeln!(f, "{number:3}. {step}")?;
        }
        write!(f, "broken: {}", self.broken)
    }
}

/// A state, how it was reached, and how deep it lies.
struct Found {
    world: World,
    parent: u32,
    event: Event,
}

/// Worlds by a hash of 64 bits: among a million of them, two different ones share it once in thirty million
/// searches.
type Seen = HashMap<u64, u32, BuildHasherDefault<DefaultHasher>>;

/// Searches a scenario to the end.
///
/// # Errors
/// The shortest story that breaks an invariant, or that does not come to rest.
pub fn search(scenario: &Scenario) -> Result<Proof, Box<Story>> {
    let lens = Lens::new(scenario);
    let mut found = vec![Found {
        world: scenario.start.settled(),
        parent: 0,
        event: Event::Operator,
    }];
    let mut seen = Seen::default();
    seen.insert(hash(&found[0].world), 0);
    let mut at = 0;
    while at < found.len() {
        let world = found[at].world;
        let story = |broken: Broken, last: Option<Event>, found: &[Found]| {
            Box::new(tell(&lens, found, at, last, broken))
        };
        invariants::state(&lens, &world).map_err(|broken| story(broken, None, &found))?;
        for event in events(scenario, &world) {
            let next =
                apply(&lens, &world, event).map_err(|broken| story(broken, Some(event), &found))?;
            let Some(next) = next else { continue };
            let index = found.len();
            if index >= STATES_MAX {
                let broken = Broken::new("more states than can be searched");
                return Err(story(broken, Some(event), &found));
            }
            if let std::collections::hash_map::Entry::Vacant(entry) = seen.entry(hash(&next)) {
                entry.insert(narrow(index));
                found.push(Found {
                    world: next,
                    parent: narrow(at),
                    event,
                });
            }
        }
        at += 1;
    }
    let mut good = Seen::default();
    let mut longest = 0;
    for at in 0..found.len() {
        let steps =
            comes_to_rest(&lens, &found[at].world, &mut good).map_err(|(broken, way)| {
                let mut story = tell(&lens, &found, at, None, broken);
                story.steps.push("from here all cooperate".to_owned());
                story.steps.extend(way.iter().map(line));
                Box::new(story)
            })?;
        longest = longest.max(steps);
    }
    Ok(Proof {
        states: found.len(),
        cooperating: good.len(),
        longest,
    })
}

/// From this state to rest, or to a state of which that is known. Gives the number of steps.
fn comes_to_rest(
    lens: &Lens,
    world: &World,
    good: &mut Seen,
) -> Result<usize, (Broken, Vec<World>)> {
    let mut way = vec![cooperation::begins(world)];
    loop {
        let here = way[way.len() - 1];
        if good.contains_key(&hash(&here)) {
            break;
        }
        if way.len() > cooperation::STEPS_MAX {
            way.truncate(60);
            return Err((Broken::new("it never comes to rest"), way));
        }
        match cooperation::next(lens, &here) {
            Ok(Some(next)) => way.push(next),
            Ok(None) => break,
            Err(broken) => return Err((broken, way)),
        }
    }
    let known = way
        .last()
        .and_then(|last| good.get(&hash(last)).copied())
        .unwrap_or(0);
    for (back, world) in way.iter().rev().enumerate() {
        good.entry(hash(world)).or_insert(known + narrow(back));
    }
    Ok(usize::try_from(known).unwrap_or(usize::MAX) + way.len() - 1)
}

/// The way to a state, in words.
fn tell(lens: &Lens, found: &[Found], at: usize, last: Option<Event>, broken: Broken) -> Story {
    let mut way = Vec::new();
    let mut here = at;
    while here != 0 {
        way.push(here);
        here = usize::try_from(found[here].parent).unwrap_or(0);
    }
    let mut steps = vec![format!("at first: {}", line(&found[0].world))];
    let mut before = 0;
    for index in way.into_iter().rev() {
        steps.push(format!(
            "{}\n       {}",
            told(lens, &found[before].world, found[index].event),
            line(&found[index].world)
        ));
        before = index;
    }
    steps.extend(last.map(|event| told(lens, &found[before].world, event)));
    Story {
        scenario: lens.scenario().name,
        broken: broken.to_string(),
        steps,
    }
}

fn told(lens: &Lens, world: &World, event: Event) -> String {
    match (event, world.underway) {
        (Event::Operator, Some(underway)) => {
            format!(
                "the operator goes on: {:?}, write {}",
                underway.work, underway.step
            )
        }
        (Event::Operator, None) => format!("the operator decides: {}", lens.decide(world)),
        _ => event.to_string(),
    }
}

fn hash(world: &World) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(world)
}

/// Places are counted in 32 bits: `STATES_MAX` is far below.
fn narrow(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

//! The choice of points to strike at: spread over every kind of event, the rest by chance, all from a seed.

use std::collections::BTreeMap;
use std::time::Duration;

use dbop_tests::random::Random;

use crate::events::{Event, Point, Seen, kind};

/// A blow comes at most so much after its event: other statements follow within this.
const DELAY_MS_MAX: u64 = 15;

/// The kinds of events of a walk, and for each where it came.
pub(crate) fn kinds(walk: &[Seen]) -> BTreeMap<String, Vec<(usize, Event)>> {
    let mut kinds: BTreeMap<String, Vec<(usize, Event)>> = BTreeMap::new();
    for (phase, seen) in walk.iter().enumerate() {
        for event in &seen.events {
            let of = kinds.entry(kind(&event.label)).or_default();
            of.push((phase, event.clone()));
        }
    }
    kinds
}

/// `count` points, of as many kinds as there are; `fits` says which kinds.
pub(crate) fn choose(
    walk: &[Seen],
    count: usize,
    random: &mut Random,
    fits: impl Fn(&str) -> bool,
) -> Vec<Point> {
    let mut kinds: Vec<(String, Vec<(usize, Event)>)> = kinds(walk).into_iter().collect();
    kinds.retain(|(kind, _)| fits(kind));
    random.shuffle(&mut kinds);
    let mut points = Vec::new();
    for (_, events) in kinds.iter().cycle().take(count) {
        let (phase, event) = random.pick(events);
        let delay = match random.below(2) {
            0 => 0,
            _ => 1 + random.below(DELAY_MS_MAX),
        };
        points.push(Point {
            phase,
            event,
            delay: Duration::from_millis(delay),
        });
    }
    points
}

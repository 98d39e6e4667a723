//! The choice of points to strike at: spread over every kind of event, the rest by chance, all from a seed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::events::{Event, Point, Seen, kind};

/// A blow comes at most so much after its event: other statements follow within this.
const DELAY_MS_MAX: u64 = 15;

/// Numbers that follow from a seed (splitmix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end.max(1)
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        let at = usize::try_from(self.below(from.len() as u64)).expect("an index fits");
        from[at].clone()
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for end in (1..list.len()).rev() {
            let at = usize::try_from(self.below(end as u64 + 1)).expect("an index fits");
            list.swap(end, at);
        }
    }
}

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

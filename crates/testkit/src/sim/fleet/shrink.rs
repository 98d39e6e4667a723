//! A failing history made short: whatever can be left out while it still fails in the same way is left out.

use super::{Failure, Story};
use crate::sim::World;

/// Histories that are tried for a shorter one, at most.
const TRIES_MAX: usize = 400;

/// The shortest history that was found on the way from `story`, and how it fails. `prepare` as in
/// [`Story::run_with`].
pub fn shrink(
    story: &Story,
    failure: &Failure,
    prepare: impl Fn(&mut World) + Copy,
) -> (Story, Failure) {
    let mut best = Shrinking {
        story: story.clone(),
        failure: failure.clone(),
        tries: 0,
        prepare,
    };
    while best.tries < TRIES_MAX && best.round() {}
    (best.story, best.failure)
}

struct Shrinking<P> {
    story: Story,
    failure: Failure,
    tries: usize,
    prepare: P,
}

impl<P: Fn(&mut World)> Shrinking<P> {
    /// One attempt at everything. True: something became shorter.
    fn round(&mut self) -> bool {
        let fewer = self.leave_out();
        let simpler = self.simplify();
        let sooner = self.come_sooner();
        fewer || simpler || sooner
    }

    /// Leaves happenings out: halves first, then ever smaller pieces, at last each by itself.
    fn leave_out(&mut self) -> bool {
        let mut shorter = false;
        let mut piece = self.story.entries.len().div_ceil(2);
        while piece > 0 {
            let mut at = 0;
            while at < self.story.entries.len() {
                let mut story = self.story.clone();
                let end = (at + piece).min(story.entries.len());
                story.entries.drain(at..end);
                if self.accept(story) {
                    shorter = true;
                } else {
                    at += piece;
                }
            }
            piece /= 2;
        }
        shorter
    }

    /// Takes away what a history begins with.
    fn simplify(&mut self) -> bool {
        let mut simpler = false;
        for at in (0..self.story.setup.databases.len()).rev() {
            simpler |= self.without_database(at);
        }
        if self.story.setup.slow {
            let mut story = self.story.clone();
            story.setup.slow = false;
            simpler |= self.accept(story);
        }
        if self.story.setup.jobs_max.is_some() {
            let mut story = self.story.clone();
            story.setup.jobs_max = None;
            simpler |= self.accept(story);
        }
        for at in 0..self.story.setup.databases.len() {
            if self.story.setup.databases[at].wide.is_some() {
                let mut story = self.story.clone();
                story.setup.databases[at].wide = None;
                simpler |= self.accept(story);
            }
        }
        simpler
    }

    fn without_database(&mut self, at: usize) -> bool {
        let mut story = self.story.clone();
        let databases = &mut story.setup.databases;
        let is_needed = databases.iter().any(|one| one.same_as == Some(at));
        if databases.len() == 1 || is_needed {
            return false;
        }
        let gone = databases.remove(at);
        for one in databases.iter_mut() {
            one.same_as = one.same_as.map(|same| same - usize::from(same > at));
        }
        // Numbers of servers without gaps.
        if !databases.iter().any(|one| one.server == gone.server) {
            let above = databases.iter_mut().filter(|one| one.server > gone.server);
            above.for_each(|one| one.server -= 1);
        }
        story.entries.retain(|entry| entry.at != at);
        for entry in &mut story.entries {
            entry.at -= usize::from(entry.at > at);
        }
        self.accept(story)
    }

    /// Round numbers, and less waiting.
    fn come_sooner(&mut self) -> bool {
        let mut sooner = false;
        for at in 0..self.story.entries.len() {
            let after = self.story.entries[at].after_ms;
            for less in [0, 1000, after / 2 / 1000 * 1000, after / 1000 * 1000] {
                let mut story = self.story.clone();
                story.entries[at].after_ms = less;
                if less < after && self.accept(story) {
                    sooner = true;
                    break;
                }
            }
        }
        sooner
    }

    /// Keeps a history that fails in the same way.
    fn accept(&mut self, story: Story) -> bool {
        if self.tries >= TRIES_MAX {
            return false;
        }
        self.tries += 1;
        match story.run_with(&self.prepare) {
            Err(failure) if failure.invariant == self.failure.invariant => {
                self.story = story;
                self.failure = failure;
                true
            }
            _ => false,
        }
    }
}

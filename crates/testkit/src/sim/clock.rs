//! Time that passes only when the operator sleeps, and randomness from a seed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dbop_engine::{Clock, Entropy};
use jiff::Timestamp;

use super::Shared;
use super::actors;

/// While the operator sleeps, the world goes on in steps of this: fine enough for a client that connects
/// for 200 ms.
const STEP: Duration = Duration::from_millis(100);

/// The clock of a simulated world.
pub struct SimClock(Shared);

impl SimClock {
    /// The clock of this world.
    pub fn new(world: &Shared) -> Self {
        Self(world.clone())
    }
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).now
    }

    async fn sleep(&self, span: Duration) {
        let mut left = span;
        // An operator that was killed does not sleep on.
        while !left.is_zero() && !self.0.lock().unwrap_or_else(PoisonError::into_inner).dead {
            let mut world = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Where nobody acts, time passes in one go.
            let step = if actors::anybody_acts(&world) {
                left.min(STEP)
            } else {
                left
            };
            left -= step;
            world.now += step;
            if let Some(mut act) = world.meanwhile.take()
                && !act(&mut world)
            {
                world.meanwhile = Some(act);
            }
            actors::act(&mut world);
        }
    }
}

/// A small generator of pseudo-random numbers (SplitMix64, public domain, Sebastiano Vigna).
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound.max(1)
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// Randomness from a seed.
pub struct SimEntropy(Mutex<Rng>);

impl SimEntropy {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(Rng::new(seed)))
    }
}

impl Entropy for SimEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        let mut rng = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in bytes.chunks_mut(8) {
            let random = rng.bits().to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
    }
}

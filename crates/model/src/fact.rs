//! `Fact`: something the operator looked for in the world, and either has or does not.
//!
//! *Unknown is never safe*: "cannot see sessions" is not "no sessions". The type has no `unwrap_or`, so that
//! a caller says what an unknown fact means to it.

use std::fmt;

/// A fact about the surroundings: known, or unknown with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact<T> {
    /// It was looked up, and this is what was found.
    Known(T),
    /// It could not be had.
    Unknown(Why),
}

impl<T> Fact<T> {
    /// The value, where it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Fact::Known(value) => Some(value),
            Fact::Unknown(_) => None,
        }
    }

    /// The reason, where it is unknown.
    pub fn unknown(&self) -> Option<&Why> {
        match self {
            Fact::Known(_) => None,
            Fact::Unknown(why) => Some(why),
        }
    }

    /// The value or the reason, both by reference, for use with `?`.
    pub fn as_result(&self) -> Result<&T, &Why> {
        match self {
            Fact::Known(value) => Ok(value),
            Fact::Unknown(why) => Err(why),
        }
    }

    /// Applies `f` to a known value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Fact<U> {
        match self {
            Fact::Known(value) => Fact::Known(f(value)),
            Fact::Unknown(why) => Fact::Unknown(why),
        }
    }

    /// Is it known, and does `f` hold of it? An unknown fact is never so.
    pub fn is_known_and(&self, f: impl FnOnce(&T) -> bool) -> bool {
        self.known().is_some_and(f)
    }
}

impl<T, E: fmt::Display> From<Result<T, E>> for Fact<T> {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(value) => Fact::Known(value),
            Err(error) => Fact::Unknown(Why::new(error.to_string())),
        }
    }
}

/// Why a fact is unknown: one clause a person can read, without a trailing period and without secrets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Why {
    reason: String,
    passing: bool,
}

impl Why {
    /// A reason in words.
    pub fn new(reason: impl Into<String>) -> Self {
        Why {
            reason: reason.into(),
            passing: false,
        }
    }

    /// A reason that passes by itself: looking again, with nothing else changed, can have the fact.
    pub fn passing(reason: impl Into<String>) -> Self {
        Why {
            reason: reason.into(),
            passing: true,
        }
    }

    /// Can looking again, with nothing else changed, have the fact?
    pub fn is_passing(&self) -> bool {
        self.passing
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

//! The planner: one pure function that decides the next step.
//!
//! [`decide()`] reads what is wanted ([`Desired`]) and what was seen ([`Facts`]) and gives one [`Decision`]: act,
//! wait, blocked, or converged, each with the evidence a person needs. It has no memory: after a crash, an
//! upgrade or a restored backup it is simply asked again. [`forecast`] runs it forward on facts that it
//! changes itself: that is what `plan` shows.
//!
//! ```
//! use dbop_plan::{Decision, decide, example};
//!
//! // An empty database, two migrations wanted: the first run starts.
//! let (desired, facts, now) = example::empty_database();
//! let decision = decide(&desired, &facts, now);
//! assert!(matches!(decision, Decision::Act { .. }));
//! assert_eq!(decision.to_string(), "run v1 on the empty database: v1 is on the way to v2");
//! ```

pub mod decide;
pub mod decision;
pub mod example;
pub mod facts;
pub mod forecast;

mod retire;
mod rotate;
mod situation;
mod text;
mod walk;

pub use decide::decide;
pub use decision::{
    Action, Because, Blocker, Decision, Defect, DeletionStep, HeldLock, JobEnd, ReplacedInUse,
    Retirement, Run, Undo, Use, WaitingOn, Watched,
};
pub use facts::{
    Declared, Desired, Facts, Hints, ObjectFacts, Quiet, Reference, RotationAsked, SecretFacts,
    Slots,
};

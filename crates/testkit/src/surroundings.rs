//! A small model of everything around the planner, searched to the end.
//!
//! [`World`](world::World) is all that the planner can see and a little that it cannot (which run was already
//! made, what an action holds in its hands): a database with a few migrations, applications, a person, a Job,
//! and the operator, whose actions are broken into their single writes. [`search::search`] follows every order
//! in which these can happen, from a [`Scenario`]'s start to the last state that can be
//! reached: a write may be the last before a crash, its reply may be lost, anybody may do anything in between.
//! On the way it holds what the planner does against the [`invariants`]; from every state it lets the
//! surroundings [cooperate](cooperation) and wants to see the database come to rest.
//!
//! It is bounded by construction: a handful of migrations, one or two applications, and a budget for what a
//! person does and for what goes wrong. It knows no server, no network and no clock: what those can do to the
//! operator is in the list of its events.

pub mod cooperation;
pub mod event;
pub mod facts;
pub mod invariants;
pub mod operator;
pub mod scenario;
pub mod search;
pub mod world;

pub use scenario::{Scenario, Size, scenarios};
pub use search::{Proof, Story, search};

//! How results look: words and layout alone, each a function of values, with no terminal in it.
//!
//! Every text makes sense without colour and at 100 columns; colour is a pass over finished lines.

pub mod failure;
pub mod text;

pub(crate) mod analysis;
pub(crate) mod paint;
pub(crate) mod plan;
pub(crate) mod status;
pub(crate) mod told;
pub(crate) mod usage;
pub(crate) mod walk;

pub use failure::Failure;

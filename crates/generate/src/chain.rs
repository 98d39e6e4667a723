//! What every tool's files come down to: versions, one after the other.

use crate::text::Part;

/// The versions that a tool's files bring, the first one first. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The steps, each following the one before it.
    pub steps: Vec<Step>,
    /// What people should know of files that are in no step.
    pub notes: Vec<String>,
}

/// A version, and what brings it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The version, as the tool's table will say it.
    pub version: String,
    /// What the tool's author called it; empty: nothing.
    pub title: String,
    /// Where it stands, below the directory that was read.
    pub source: String,
    /// Does the tool take an empty database straight here?
    pub from_empty: bool,
    /// What it runs, in this order.
    pub parts: Vec<Part>,
}

//! What reads text that anybody may have written (connection strings, versions, SQL, manifests), each as a function of
//! bytes that panics where a promise is broken.
//!
//! `cargo xtask prove fuzz` runs them under libFuzzer (`libfuzzer/`, a workspace of its own). `corpus/` holds what they
//! begin with and what was found; every test run reads it, and changes of it ([`mutate`]). Nothing here connects to
//! anything.

mod dsn;
mod manifests;
pub mod mutate;
mod sql;
mod versions;

/// A function that is fuzzed.
pub type Target = fn(&[u8]);

/// What is fuzzed, by the name of its folder in `corpus/`.
pub const TARGETS: [(&str, Target); 4] = [
    ("dsn", dsn::run),
    ("versions", versions::run),
    ("sql", sql::run),
    ("manifests", manifests::run),
];

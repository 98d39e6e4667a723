//! The operator on a real node: it runs in a Pod, migrations and applications do, and PostgreSQL 18 is real.
//!
//! `cargo xtask test node` makes the images, the cluster and the server, and names them in `DBOP_TEST_*`. Tests run
//! side by side, each in a namespace that enforces Pod Security `restricted`; some of them kill the operator, and
//! the others must come to their end all the same. What is in `after` looks back at the whole run, or needs the
//! operator for itself: it runs alone, afterwards. What fakes can show is in `crates/kubernetes/tests`.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod after;
mod api;
mod audit;
mod deletion;
mod install;
mod interruptions;
mod mishaps;
mod record;
mod runs;
mod site;
mod story;

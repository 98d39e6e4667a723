//! The platform and its driver against a real API server, with behaving fakes as databases.
//!
//! `cargo xtask cluster up --light -- cargo test -p dbop-kubernetes --test cluster`
//!
//! The API server, its controllers and its garbage collector are real. No node is there, so each test's site plays
//! the kubelet: it "runs" a migration's Pod by what stands in the Job's own Secret.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, which is its use"
)]

mod claims;
mod deletion;
mod foreign;
mod hijack;
mod idle;
mod kubelet;
mod lent;
mod panics;
mod parts;
mod references;
mod rotation;
mod runs;
mod site;
mod template;
mod walk;

//! The project's automation: `cargo xtask <command>`.

fn main() {}

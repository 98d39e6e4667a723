//! The `database-operator` binary.

fn main() {}

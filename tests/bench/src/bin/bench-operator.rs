//! The operator as it is, command line and all, with fake databases behind it that live in another process.

use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    database_operator::main_with(std::env::args_os(), Arc::new(dbop_bench::wire::Remote))
}

//! The `database-operator` binary: the library's command line, and nothing besides.

use std::process::ExitCode;

fn main() -> ExitCode {
    database_operator::main(std::env::args_os())
}

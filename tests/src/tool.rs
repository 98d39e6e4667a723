//! Migration tools that `cargo xtask tools` provides, found through the environment.

use std::path::PathBuf;

/// The folder with the programs of a tool, by the name that `cargo xtask tools` has for it.
///
/// # Panics
/// When the environment does not name it.
#[must_use]
#[track_caller]
pub fn programs(tool: &str) -> PathBuf {
    let variable = format!("DBOP_TEST_TOOL_{}", tool.to_uppercase().replace('-', "_"));
    let folder = std::env::var_os(&variable).unwrap_or_else(|| {
        panic!(
            "{variable} is not set, so there is no {tool} to test with: run `cargo xtask test tools` or `cargo \
             xtask prove tools`, or `cargo xtask tools {tool} -- cargo test ...`"
        )
    });
    PathBuf::from(folder).join("bin")
}

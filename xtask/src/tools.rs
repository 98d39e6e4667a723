//! Real migration tools, and Prometheus, for the tests that drive one: fetched or built once, into the cache outside of
//! the checkout.
//!
//! | family | how | what the machine must have |
//! |---|---|---|
//! | Python | an environment with packages of PyPI | `python3` with `venv` |
//! | Java | jars from Maven Central | `java` |
//! | Go | built from modules | `go` |
//! | Rust | `cargo install`, apart from this workspace's dependencies | - |
//! | Perl, Prometheus | packages of Debian, unpacked beside the system | `apt-get`, `dpkg-deb` |
//!
//! A tool is a folder with its programs in `bin`. How a project of it is laid out and what it is called with is
//! none of this module's business: tests know that.

mod go;
mod java;
mod percona;
mod prometheus;
mod rust;

pub(crate) use rust::CARGO_MUTANTS;

use std::fmt;
use std::path::PathBuf;
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context as _, Result};

use crate::cache::Cache;
use crate::process;
use crate::python;

/// A tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Alembic,
    Django,
    Flyway,
    Liquibase,
    GolangMigrate,
    Goose,
    Sqlx,
    Diesel,
    PerconaToolkit,
    GhOst,
    Prometheus,
}

/// One migration tool of each family, both that copy a table, and Prometheus: what `cargo xtask test` walks with.
pub(crate) const ONE_PER_FAMILY: [Tool; 7] = [
    Tool::Django,
    Tool::Flyway,
    Tool::GolangMigrate,
    Tool::Sqlx,
    Tool::PerconaToolkit,
    Tool::GhOst,
    Tool::Prometheus,
];

impl Tool {
    /// All of them.
    pub(crate) const ALL: [Tool; 11] = [
        Tool::Alembic,
        Tool::Django,
        Tool::Flyway,
        Tool::Liquibase,
        Tool::GolangMigrate,
        Tool::Goose,
        Tool::Sqlx,
        Tool::Diesel,
        Tool::PerconaToolkit,
        Tool::GhOst,
        Tool::Prometheus,
    ];

    /// Its folder; what is not in the cache is fetched or built.
    fn provide(self, cache: &Cache) -> Result<PathBuf> {
        match self {
            Tool::Alembic => python::ALEMBIC.provide(cache),
            Tool::Django => python::DJANGO.provide(cache),
            Tool::Flyway => java::FLYWAY.provide(cache),
            Tool::Liquibase => java::LIQUIBASE.provide(cache),
            Tool::GolangMigrate | Tool::Goose => go::MIGRATORS.provide(cache),
            Tool::Sqlx => rust::SQLX.provide(cache),
            Tool::Diesel => rust::DIESEL.provide(cache),
            Tool::PerconaToolkit => percona::provide(cache),
            Tool::GhOst => go::GH_OST.provide(cache),
            Tool::Prometheus => prometheus::provide(cache),
        }
        .with_context(|| format!("no {self} to test with"))
    }

    /// The name by which tests know it.
    fn name(self) -> &'static str {
        match self {
            Tool::Alembic => "alembic",
            Tool::Django => "django",
            Tool::Flyway => "flyway",
            Tool::Liquibase => "liquibase",
            Tool::GolangMigrate => "golang-migrate",
            Tool::Goose => "goose",
            Tool::Sqlx => "sqlx",
            Tool::Diesel => "diesel",
            Tool::PerconaToolkit => "percona-toolkit",
            Tool::GhOst => "gh-ost",
            Tool::Prometheus => "prometheus",
        }
    }

    /// What chooses its tests: their module.
    pub(crate) fn filter(self) -> String {
        format!("{}::", self.name().replace('-', "_"))
    }

    /// The variable that tells tests its folder.
    fn variable(self) -> String {
        let name = self.name().to_uppercase().replace('-', "_");
        format!("DBOP_TEST_TOOL_{name}")
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Tool {
    type Err = String;

    fn from_str(text: &str) -> Result<Tool, String> {
        let known = || {
            format!(
                "no such tool; there are {}",
                Tool::ALL.map(Tool::name).join(", ")
            )
        };
        let mut all = Tool::ALL.into_iter();
        all.find(|tool| tool.name() == text).ok_or_else(known)
    }
}

/// Provides tools and prints their variables, or runs a command with them; tells whether it succeeded.
pub(crate) fn run(names: &[Tool], command: &[String]) -> Result<bool> {
    let names = if names.is_empty() {
        &ONE_PER_FAMILY
    } else {
        names
    };
    let environment = environment(names, &Cache::open()?)?;
    let Some((program, arguments)) = command.split_first() else {
        for (name, value) in environment {
            println!("export {name}='{value}'");
        }
        return Ok(true);
    };
    let mut command = Command::new(program);
    command.args(arguments).envs(environment);
    Ok(process::run_shared(&mut command, &mut || {})?.success())
}

/// Provides these tools, and gives the variables by which tests find them.
pub(crate) fn environment(tools: &[Tool], cache: &Cache) -> Result<Vec<(String, String)>> {
    let mut variables = Vec::new();
    for tool in tools {
        let folder = tool.provide(cache)?;
        variables.push((tool.variable(), folder.display().to_string()));
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_has_a_name_and_a_variable_of_its_own() {
        let mut names: Vec<String> = Tool::ALL.iter().map(|tool| tool.variable()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), Tool::ALL.len());
        assert_eq!(
            Tool::GolangMigrate.variable(),
            "DBOP_TEST_TOOL_GOLANG_MIGRATE"
        );
    }
}

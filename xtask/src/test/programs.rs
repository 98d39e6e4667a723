//! Builds the workspace once, with everything that tests need, and lists the programs it gives.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::clock;
use crate::process::{self, Event};
use crate::progress::{Building, Progress};
use crate::workspace::cargo;

/// One built program.
pub(crate) struct Program {
    /// The package that it belongs to.
    pub(crate) package: String,
    /// Cargo's kind of target: `lib`, `bin`, `test`.
    kind: String,
    /// Cargo's name of the target.
    name: String,
    /// Whether it runs tests.
    is_test: bool,
    /// The package's folder, where its tests expect to run.
    folder: PathBuf,
    path: PathBuf,
}

impl Program {
    /// Whether it is the integration test of this package and name.
    pub(crate) fn is(&self, (package, name): (&str, &str)) -> bool {
        self.is_integration() && self.package == package && self.name == name
    }

    /// Whether it is a file of a `tests` folder, and not the unit tests of a crate.
    pub(crate) fn is_integration(&self) -> bool {
        self.kind == "test"
    }

    /// Its name for people.
    pub(crate) fn label(&self) -> String {
        match self.is_integration() {
            true => format!("{} tests/{}", self.package, self.name),
            false => format!("{} {}", self.package, self.kind),
        }
    }

    /// The command that runs it as `cargo test` would.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command
            .current_dir(&self.folder)
            .env("CARGO_MANIFEST_DIR", &self.folder)
            .env("CARGO_PKG_NAME", &self.package)
            // A panic names its place. Behind it, the calls of an asynchronous test are sixty lines of the runtime,
            // which hide the other failures in a log that is cut.
            .env("RUST_BACKTRACE", "0");
        command
    }
}

/// All programs of one build.
pub(crate) struct Programs(Vec<Program>);

impl Programs {
    /// Builds libraries, binaries, examples and tests of the whole workspace.
    pub(crate) fn build(root: &Path) -> Result<Programs> {
        let arguments = ["build", "--workspace", "--all-targets"];
        Self::built("the workspace", cargo(root).args(arguments))
    }

    /// Builds one test program, given by its package and name, as fast as it can be.
    pub(crate) fn optimised(root: &Path, (package, test): (&str, &str)) -> Result<Programs> {
        let arguments = [
            "build",
            "--profile=proof",
            "--package",
            package,
            "--test",
            test,
        ];
        Self::built(&format!("{test}, optimised"), cargo(root).args(arguments))
    }

    fn built(what: &str, command: &mut Command) -> Result<Programs> {
        command.args(["--locked", "--message-format=json-render-diagnostics"]);
        let mut progress = Progress::new(format!("building {what}"));
        let mut building = Building::default();
        let (mut programs, mut output) = (Vec::new(), Vec::new());
        let status = process::run(command, &mut |event| match event {
            Event::Line(line) if line.starts_with("{\"reason\":") => {
                programs.extend(parse(line));
            }
            Event::Line(line) if building.notice(line) => {}
            Event::Line(line) => output.push(line.to_owned()),
            Event::Tick => progress.tick(&building.to_string()),
        })?;
        let took = clock::spell(progress.elapsed());
        if !status.success() {
            for line in &output {
                progress.line(&format!("    {line}"));
            }
            bail!("{what} does not build");
        }
        progress.line(&format!("  built {what} in {took}"));
        programs.sort_by_key(Program::label);
        Ok(Programs(programs))
    }

    /// The programs that run tests.
    pub(crate) fn tests(&self) -> impl Iterator<Item = &Program> {
        self.0.iter().filter(|program| program.is_test)
    }

    /// The program of this name that is no test.
    pub(crate) fn binary(&self, name: &str) -> Result<PathBuf> {
        self.0
            .iter()
            .find(|program| !program.is_test && program.kind == "bin" && program.name == name)
            .map(|program| program.path.clone())
            .with_context(|| format!("the workspace has no program {name}"))
    }
}

/// A program in a line of cargo's messages. The few fields that are needed are cut out by hand: a
/// JSON reader would be a third of what xtask takes to build.
fn parse(line: &str) -> Option<Program> {
    if !line.starts_with("{\"reason\":\"compiler-artifact\"") {
        return None;
    }
    let path = PathBuf::from(text_after(line, "\"executable\":\"")?);
    let manifest = PathBuf::from(text_after(line, "\"manifest_path\":\"")?);
    let target = &line[line.find("\"target\":{")?..];
    let profile = &line[line.find("\"profile\":{")?..];
    Some(Program {
        package: package_in(text_after(line, "\"package_id\":\"")?)?.to_owned(),
        kind: text_after(target, "\"kind\":[\"")?.to_owned(),
        name: text_after(target, "\"name\":\"")?.to_owned(),
        is_test: profile[..profile.find('}')?].contains("\"test\":true"),
        folder: manifest.parent()?.to_path_buf(),
        path,
    })
}

/// The package in `path+file:///x/tests#dbop-tests@0.1.0`, or `...///x/xtask#0.1.0`.
fn package_in(id: &str) -> Option<&str> {
    let (path, end) = id.split_once('#')?;
    Some(match end.split_once('@') {
        Some((name, _)) => name,
        None => path.rsplit('/').next()?,
    })
}

fn text_after<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let rest = &line[line.find(key)? + key.len()..];
    Some(&rest[..rest.find('"')?])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST: &str = r#"{"reason":"compiler-artifact","package_id":"path+file:///x/tests#dbop-tests@0.1.0","manifest_path":"/x/tests/Cargo.toml","target":{"kind":["test"],"crate_types":["bin"],"name":"support","src_path":"/x/tests/tests/support.rs","test":true},"profile":{"opt_level":"0","test":true},"features":[],"executable":"/x/target/debug/deps/support-0f","fresh":true}"#;

    #[test]
    fn a_test_and_a_binary_are_told_apart() {
        let test = parse(TEST).unwrap();
        assert!(test.is_test && test.is(("dbop-tests", "support")));
        assert_eq!(test.label(), "dbop-tests tests/support");
        assert_eq!(test.path, Path::new("/x/target/debug/deps/support-0f"));
        assert_eq!(test.folder, Path::new("/x/tests"));

        let binary = TEST
            .replace("[\"test\"]", "[\"bin\"]")
            .replace("\"opt_level\":\"0\",\"test\":true", "\"test\":false");
        assert!(!parse(&binary).unwrap().is_test);
    }

    #[test]
    fn other_messages_are_no_programs() {
        assert!(parse(&TEST.replace("\"/x/target/debug/deps/support-0f\"", "null")).is_none());
        assert!(parse("{\"reason\":\"build-finished\",\"success\":true}").is_none());
        assert_eq!(package_in("path+file:///x/xtask#0.1.0"), Some("xtask"));
    }
}

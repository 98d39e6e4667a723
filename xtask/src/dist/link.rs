//! Static builds: programs with the C library inside, which run in an image that holds nothing else.
//!
//! The GNU C library resolves names without a file of its own since 2.34, static or not.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::progress;
use crate::workspace::{self, capture};

/// How a program is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// As it is given to others.
    Release,
    /// For tests: compiled in a fraction of the time, and stripped, since an image is copied around.
    Debug,
}

/// Builds these packages, and gives the folder of their programs.
pub(crate) fn build(root: &Path, profile: Profile, packages: &[&str]) -> Result<PathBuf> {
    let mut cargo = command(root, profile, packages)?;
    let outcome = progress::run("the static build", &mut cargo)?;
    ensure!(
        outcome.succeeded,
        "the static build failed:\n{}",
        outcome.output.join("\n")
    );
    programs(root, profile)
}

/// The command that builds these packages.
pub(crate) fn command(root: &Path, profile: Profile, packages: &[&str]) -> Result<Command> {
    ensure!(
        cfg!(target_os = "linux"),
        "images hold programs for Linux: build them there, or by deploy/Dockerfile"
    );
    let mut cargo = workspace::cargo(root);
    // A target that is named keeps the flags away from build scripts and macros, which cannot be static.
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags(root)).args([
        "build",
        "--locked",
        "--target",
        &host_triple(root)?,
    ]);
    match profile {
        Profile::Release => cargo.arg("--release"),
        Profile::Debug => cargo
            .args(["--config", "profile.dev.debug=false"])
            .args(["--config", "profile.dev.strip='symbols'"]),
    };
    for package in packages {
        cargo.args(["--package", package]);
    }
    Ok(cargo)
}

/// Where the programs of such a build are.
pub(crate) fn programs(root: &Path, profile: Profile) -> Result<PathBuf> {
    let folder = match profile {
        Profile::Release => "release",
        Profile::Debug => "debug",
    };
    Ok(workspace::target(root)
        .join(host_triple(root)?)
        .join(folder))
}

/// The compiler's flags, as cargo takes them from its environment: nobody's folders get into the
/// program, where messages of panics would show them and make each machine's build another one.
fn flags(root: &Path) -> String {
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    let library = capture(Command::new("getconf").arg("GNU_LIBC_VERSION")).unwrap_or_default();
    if applies_packed_relocations(&library) {
        flags.push("-Clink-arg=-Wl,-z,pack-relative-relocs".to_owned());
    }
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| {
            let home = std::env::var_os("HOME")?;
            Some(PathBuf::from(home).join(".cargo"))
        });
    let folders = [(home, "/cargo"), (Some(root.to_owned()), "/src")];
    for (folder, name) in folders {
        if let Some(folder) = folder {
            flags.push(format!("--remap-path-prefix={}={name}", folder.display()));
        }
    }
    flags.join("\u{1f}")
}

/// Does this C library, as `getconf` names it, apply relative relocations that are packed (`DT_RELR`) to a static
/// program? The GNU C library does since 2.36, and a program on an older one would end before its first line. Packed,
/// they are half a megabyte less of the file, and of the memory at rest, for all of them are read at the start.
fn applies_packed_relocations(library: &str) -> bool {
    let version = library.strip_prefix("glibc ").and_then(|version| {
        let (major, minor) = version.split_once('.')?;
        Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
    });
    version.is_some_and(|version| version >= (2, 36))
}

/// What this machine's compiler builds for.
pub(crate) fn host_triple(root: &Path) -> Result<String> {
    let facts = capture(Command::new("rustc").current_dir(root).arg("-vV"))?;
    let triple = facts.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(triple
        .context("rustc does not say what it builds for")?
        .to_owned())
}

/// Whether no loader is needed to run the binary.
pub(crate) fn is_static(binary: &Path) -> Result<bool> {
    let output = Command::new("ldd")
        .arg(binary)
        .output()
        .context("ldd cannot be started")?;
    // It says one on stdout or the other on stderr, for position-independent programs and others.
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    Ok(said.contains("statically linked") || said.contains("not a dynamic executable"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relocations_are_packed_where_the_c_library_applies_them() {
        for (library, expect) in [
            ("glibc 2.35", false),
            ("glibc 2.36", true),
            ("glibc 2.41", true),
            ("glibc 3.0", true),
            ("musl 1.2", false),
            ("", false),
        ] {
            assert_eq!(applies_packed_relocations(library), expect, "{library}");
        }
    }
}

//! Programs from Debian's mirrors: packages with all their libraries, unpacked beside the system.
//!
//! Nothing of the system changes: apt gets a configuration, lists and a status of its own, by which
//! nothing is installed yet, so that every library comes along. Debian's signature over its lists, and
//! the hashes in them, stand for the hashes that are pinned elsewhere: a suite moves on, and its files
//! with it, so none of them could be named here for long.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::progress;
use crate::workspace::capture;

/// Where Debian is, unless `DBOP_DEBIAN_MIRROR` or the system names a mirror of it.
const DEBIAN: &str = "http://deb.debian.org/debian";
/// What a mirror's lists are signed with.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// The suite that has the newest versions.
pub(crate) const SUITE: &str = "sid";

/// The loader of programs from packages that were unpacked beside the system, below their `usr`: with it they find the
/// libraries that they were built with, and not the system's.
pub(crate) const LOADERS: &[&str] = &["lib64/ld-linux-x86-64.so.2", "lib/ld-linux-aarch64.so.1"];

/// What is fetched, and which of it is of no use.
pub(crate) struct Wanted<'a> {
    /// What it is, for people.
    pub(crate) title: &'a str,
    /// The package, which brings those that it needs.
    pub(crate) package: &'a str,
    /// The beginnings of names of packages that come along and are not unpacked.
    pub(crate) without: &'a [&'a str],
    /// What one does where it cannot be fetched, as the end of a sentence.
    pub(crate) instead: &'a str,
}

/// Where libraries are, below `usr`.
pub(crate) fn libraries() -> String {
    format!("lib/{}-linux-gnu", std::env::consts::ARCH)
}

/// Writes `bin/NAME` in a folder of packages: a script that sets variables, and runs a command by the loader and the
/// libraries that came with it. `$usr` stands for their `usr`.
pub(crate) fn make_script(folder: &Path, name: &str, variables: &str, command: &str) -> Result<()> {
    let loader = LOADERS
        .iter()
        .find(|loader| folder.join("usr").join(loader).exists())
        .context("Debian's packages hold no loader")?;
    let text = format!(
        "#!/bin/sh\nusr=$(dirname \"$0\")/../usr\n{variables}\
         exec \"$usr/{loader}\" --library-path \"$usr/{}\" {command} \"$@\"\n",
        libraries()
    );
    let script = folder.join("bin").join(name);
    std::fs::create_dir_all(folder.join("bin")).context("the cache cannot be written")?;
    std::fs::write(&script, text).context("the cache cannot be written")?;
    let mode = PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).context("the cache cannot be written")
}

/// Fetches a package with all that it needs, and unpacks it into a folder.
pub(crate) fn fetch(wanted: &Wanted<'_>, folder: &Path) -> Result<()> {
    let Wanted {
        title,
        package,
        without,
        instead,
    } = wanted;
    let there = |program: &str| capture(Command::new(program).arg("--version")).is_ok();
    ensure!(
        there("apt-get") && there("dpkg-deb") && Path::new(KEYRING).is_file(),
        "{title} is fetched from Debian's mirrors, with apt-get, dpkg-deb and {KEYRING}, which are not all here; \
         {instead}"
    );
    let apt = folder.join("apt");
    let configuration = configure(&apt)?;
    let run = |what: &str, arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(arguments).env("APT_CONFIG", &configuration);
        let outcome = progress::run(what, &mut command)?;
        ensure!(
            outcome.succeeded,
            "{what} failed; with another mirror: DBOP_DEBIAN_MIRROR=http://... cargo xtask ...:\n{}",
            outcome.output.join("\n")
        );
        Ok(())
    };
    eprintln!("fetching {title} from Debian's suite {SUITE}");
    run("reading Debian's lists", &["update", "--error-on=any"])?;
    let download = [
        "install",
        "--yes",
        "--download-only",
        "--no-install-recommends",
        package,
    ];
    run(&format!("fetching {title}"), &download)?;
    unpack(&apt.join("cache/archives"), without, folder)?;
    std::fs::remove_dir_all(&apt).context("downloads cannot be removed")
}

/// Writes apt's configuration, in a folder with all that it reads and writes.
fn configure(apt: &Path) -> Result<PathBuf> {
    for folder in ["state/lists/partial", "cache/archives/partial", "none"] {
        std::fs::create_dir_all(apt.join(folder)).context("a folder for apt cannot be created")?;
    }
    let place = apt.display();
    let mut text = format!(
        "Dir::State \"{place}/state\";\nDir::State::status \"{place}/status\";\n\
         Dir::Cache \"{place}/cache\";\nDir::Etc::SourceList \"{place}/sources.list\";\n"
    );
    // The system's own configuration may run programs after a download: of it, only how things are fetched.
    for folder in ["SourceParts", "PreferencesParts", "Parts"] {
        text.push_str(&format!("Dir::Etc::{folder} \"{place}/none\";\n"));
    }
    let acquire = capture(Command::new("apt-config").args(["dump", "Acquire"])).unwrap_or_default();
    for line in acquire.lines() {
        if !line.starts_with("Acquire::IndexTargets") && !line.ends_with("\"\";") {
            text.push_str(line);
            text.push('\n');
        }
    }
    // Lists of packages alone, and no other user who could not read this folder.
    text.push_str("Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\nAcquire::Languages \"none\";\n");
    text.push_str("APT::Sandbox::User \"\";\nAcquire::Retries \"4\";\n");
    let source = format!("deb [signed-by={KEYRING}] {} {SUITE} main\n", mirror());
    let configuration = apt.join("apt.conf");
    for (file, text) in [
        (apt.join("status"), ""),
        (apt.join("sources.list"), source.as_str()),
        (configuration.clone(), text.as_str()),
    ] {
        std::fs::write(&file, text)
            .with_context(|| format!("{} cannot be written", file.display()))?;
    }
    Ok(configuration)
}

/// The mirror that is named, else the system's own, else Debian's.
fn mirror() -> String {
    let named = std::env::var("DBOP_DEBIAN_MIRROR").unwrap_or_default();
    if !named.is_empty() {
        return named;
    }
    let mut targets = Command::new("apt-get");
    targets.args(["indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)"]);
    let known = capture(&mut targets).unwrap_or_default();
    known
        .lines()
        .find_map(|line| line.strip_prefix("Debian Debian "))
        .unwrap_or(DEBIAN)
        .to_owned()
}

fn unpack(archives: &Path, without: &[&str], folder: &Path) -> Result<()> {
    let packages = archives
        .read_dir()
        .context("the downloads cannot be read")?;
    for package in packages {
        let package = package.context("the downloads cannot be read")?;
        let name = package.file_name().to_string_lossy().into_owned();
        if !name.ends_with(".deb") || without.iter().any(|begin| name.starts_with(begin)) {
            continue;
        }
        let mut unpack = Command::new("dpkg-deb");
        unpack.arg("--extract").arg(package.path()).arg(folder);
        capture(&mut unpack)?;
    }
    // The half of it that nothing here reads.
    for folder in ["doc", "locale", "man"].map(|name| folder.join("usr/share").join(name)) {
        if folder.is_dir() {
            std::fs::remove_dir_all(&folder)
                .with_context(|| format!("{} cannot be removed", folder.display()))?;
        }
    }
    Ok(())
}

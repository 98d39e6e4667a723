//! pt-online-schema-change of the Percona Toolkit, from Debian's package, with the Perl and the driver that it needs:
//! nothing of the system is used, so that its version of Perl does not matter.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::cache::Cache;
use crate::debian::{self, LOADERS, SUITE, Wanted};

/// What the package wants for its other programs.
const FOR_OTHERS: &[&str] = &["gdb_", "libpython", "libdebuginfod", "fdisk", "debconf"];
/// The program.
const PROGRAM: &str = "pt-online-schema-change";
/// Where modules of Perl are, below `usr`: those of the distribution, and Perl's own.
const MODULES: &[&str] = &["share/perl5"];
/// Of these folders, each below one that is called after the version.
const MODULES_BY_VERSION: &[&str] = &[
    "lib/ARCH-linux-gnu/perl5",
    "lib/ARCH-linux-gnu/perl",
    "share/perl",
];

/// From the cache, or fetched now: 70 MB.
pub(super) fn provide(cache: &Cache) -> Result<PathBuf> {
    let entry = format!("tools-percona-debian-{SUITE}-{}", std::env::consts::ARCH);
    cache.folder(&entry, fill)
}

fn fill(folder: &Path) -> Result<()> {
    let wanted = Wanted {
        title: "the Percona Toolkit",
        package: "percona-toolkit",
        without: FOR_OTHERS,
        instead: "leave its tests out",
    };
    debian::fetch(&wanted, folder)?;
    let usr = folder.join("usr");
    keep_one_program(&usr)?;
    let script = folder.join("bin").join(PROGRAM);
    std::fs::create_dir_all(folder.join("bin")).context("the cache cannot be written")?;
    std::fs::write(&script, text(&usr)?).context("the cache cannot be written")?;
    let mode = PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).context("the cache cannot be written")
}

/// The other programs of the package are large, and nothing here runs them.
fn keep_one_program(usr: &Path) -> Result<()> {
    for entry in usr.join("bin").read_dir().context("the package is empty")? {
        let entry = entry.context("the cache cannot be read")?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("pt-") && name != PROGRAM {
            std::fs::remove_file(entry.path()).context("the cache cannot be written")?;
        }
    }
    Ok(())
}

/// A script that runs the program by the loader, the Perl and the modules that came with it.
fn text(usr: &Path) -> Result<String> {
    let here = "$(dirname \"$0\")/../usr";
    let loader = LOADERS
        .iter()
        .find(|loader| usr.join(loader).exists())
        .context("Debian's packages hold no loader")?;
    let mut modules: Vec<String> = MODULES.iter().map(|folder| (*folder).to_owned()).collect();
    for folder in MODULES_BY_VERSION {
        let folder = folder.replace("ARCH", std::env::consts::ARCH);
        for entry in usr.join(&folder).read_dir().into_iter().flatten() {
            let name = entry.context("the cache cannot be read")?.file_name();
            modules.push(format!("{folder}/{}", name.to_string_lossy()));
        }
    }
    let libraries = format!("lib/{}-linux-gnu", std::env::consts::ARCH);
    modules.push(format!("{libraries}/perl-base"));
    let modules: Vec<String> = modules
        .iter()
        .map(|folder| format!("$usr/{folder}"))
        .collect();
    Ok(format!(
        "#!/bin/sh\nusr={here}\nexport PERL5LIB=\"{}\"\n\
         export MARIADB_PLUGIN_DIR=\"$usr/{libraries}/libmariadb3/plugin\"\n\
         exec \"$usr/{loader}\" --library-path \"$usr/{libraries}\" \"$usr/bin/perl\" \"$usr/bin/{PROGRAM}\" \"$@\"\n",
        modules.join(":")
    ))
}

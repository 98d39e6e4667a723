//! pt-online-schema-change of the Percona Toolkit, from Debian's package, with the Perl and the driver that it needs:
//! nothing of the system is used, so that its version of Perl does not matter.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::cache::Cache;
use crate::debian::{self, SUITE, Wanted};

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
    let (variables, command) = text(&usr)?;
    debian::make_script(folder, PROGRAM, &variables, &command)
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

/// Where the modules are, as variables of a script, and what runs the program in it.
fn text(usr: &Path) -> Result<(String, String)> {
    let mut modules: Vec<String> = MODULES.iter().map(|folder| (*folder).to_owned()).collect();
    for folder in MODULES_BY_VERSION {
        let folder = folder.replace("ARCH", std::env::consts::ARCH);
        for entry in usr.join(&folder).read_dir().into_iter().flatten() {
            let name = entry.context("the cache cannot be read")?.file_name();
            modules.push(format!("{folder}/{}", name.to_string_lossy()));
        }
    }
    let libraries = debian::libraries();
    modules.push(format!("{libraries}/perl-base"));
    let modules: Vec<String> = modules
        .iter()
        .map(|folder| format!("$usr/{folder}"))
        .collect();
    let variables = format!(
        "export PERL5LIB=\"{}\"\nexport MARIADB_PLUGIN_DIR=\"$usr/{libraries}/libmariadb3/plugin\"\n",
        modules.join(":")
    );
    Ok((
        variables,
        format!("\"$usr/bin/perl\" \"$usr/bin/{PROGRAM}\""),
    ))
}

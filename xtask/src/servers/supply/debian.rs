//! Servers from Debian's packages.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::super::layout::Layout;
use super::super::name::Name;
use crate::cache::Cache;
use crate::debian::{self, SUITE, Wanted};

/// Packages that a server's package wants for its scripts, which are not run here.
const FOR_SCRIPTS: &[&str] = &["perl", "libperl", "libgdbm", "libdb5"];

/// Which package has which server.
const PACKAGES: &[(&str, &str)] = &[
    ("mariadb-11.8", "mariadb-server-core"),
    ("mysql-9.7", "mysql-server-core"),
];

/// The folder of this server's files, in the cache; absent where no package has it.
pub(super) fn fetch(name: Name, cache: &Cache) -> Option<Result<PathBuf>> {
    let text = name.to_string();
    let (_, package) = PACKAGES.iter().find(|(of, _)| *of == text)?;
    let entry = format!("{name}-debian-{SUITE}-{}", std::env::consts::ARCH);
    Some(cache.folder(&entry, |folder| fill(name, package, folder)))
}

fn fill(name: Name, package: &str, folder: &Path) -> Result<()> {
    let instead = format!(
        "install it, or name a server of yours in {}",
        name.variable()
    );
    let wanted = Wanted {
        title: &name.title(),
        package,
        without: FOR_SCRIPTS,
        instead: &instead,
    };
    debian::fetch(&wanted, folder)?;
    let layout = Layout::find(name.engine, folder)
        .with_context(|| format!("Debian's {package} holds no server"))?;
    let version = super::version(name.engine, &layout)
        .with_context(|| format!("Debian's {package} does not run here"))?;
    ensure!(
        name.covers(&version),
        "Debian's suite {SUITE} has moved on to {} {version}; install {}, or name a server of yours in {}",
        name.engine.traits().title,
        name.title(),
        name.variable()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_is_of_a_known_server() {
        for (name, _) in PACKAGES {
            assert!(name.parse::<Name>().is_ok(), "{name}");
        }
    }
}

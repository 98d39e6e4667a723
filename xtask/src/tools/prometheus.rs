//! Prometheus with its promtool, and the Pushgateway, from Debian's packages.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::cache::Cache;
use crate::debian::{self, SUITE, Wanted};

/// Each package and the programs of it that are kept.
const PACKAGES: [(&str, &[&str]); 2] = [
    ("prometheus", &["prometheus", "promtool"]),
    ("prometheus-pushgateway", &["prometheus-pushgateway"]),
];
/// What the packages want for their pages, and for being services of a system.
const FOR_OTHERS: &[&str] = &[
    "adduser",
    "debconf",
    "fonts-",
    "init-system",
    "libjs-",
    "node-",
    "passwd",
    "perl",
    "sysuser",
];

/// From the cache, or fetched now: 60 MB.
pub(super) fn provide(cache: &Cache) -> Result<PathBuf> {
    let entry = format!("tools-prometheus-debian-{SUITE}-{}", std::env::consts::ARCH);
    cache.folder(&entry, fill)
}

fn fill(folder: &Path) -> Result<()> {
    for (package, programs) in PACKAGES {
        let wanted = Wanted {
            title: package,
            package,
            without: FOR_OTHERS,
            instead: "leave its tests out",
        };
        debian::fetch(&wanted, folder)?;
        for program in programs {
            debian::make_script(folder, program, "", &format!("\"$usr/bin/{program}\""))?;
        }
    }
    Ok(())
}

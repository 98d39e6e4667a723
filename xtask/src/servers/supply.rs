//! Finds the files of a server: an installed one's, else pinned ones that are fetched into the cache.

mod debian;
mod maven;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::layout::Layout;
use super::name::{Engine, Name};
use super::user::RunAs;
use crate::cache::Cache;
use crate::workspace::capture;

/// The files of one server.
pub(crate) struct Installation {
    /// The folder that all of them are in.
    pub(crate) root: PathBuf,
    /// The version and where it comes from, for people.
    pub(crate) version: String,
}

/// An installed server of this name, else a downloaded one.
pub(crate) fn locate(name: Name, cache: &Cache) -> Result<Installation> {
    let name = name.alone();
    match installed(name) {
        Some(installation) => Ok(installation),
        None => downloaded(name, cache),
    }
}

fn installed(name: Name) -> Option<Installation> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let known = known_folders(name).into_iter().map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(known)
        .find_map(|folder| {
            let root = folder.parent()?;
            let layout = Layout::find(name.engine, root)?;
            // Another program of this name may stand in another folder of the same root.
            if layout.program.parent()? != folder || !is_complete(name.engine, &layout) {
                return None;
            }
            let version = version(name.engine, &layout)?;
            name.covers(&version).then(|| Installation {
                version: format!("{version} ({})", folder.display()),
                root: root.to_path_buf(),
            })
        })
}

/// Where distributions install a server without putting it on the PATH.
fn known_folders(name: Name) -> Vec<String> {
    let series = name.series;
    match name.engine {
        Engine::Postgres => vec![
            format!("/usr/lib/postgresql/{series}/bin"),
            format!("/usr/pgsql-{series}/bin"),
            format!("/opt/homebrew/opt/postgresql@{series}/bin"),
            format!("/usr/local/opt/postgresql@{series}/bin"),
        ],
        Engine::MariaDb | Engine::MySql => {
            let brewed = name.to_string().replace('-', "@");
            vec![
                "/usr/sbin".to_owned(),
                "/usr/libexec".to_owned(),
                format!("/opt/homebrew/opt/{brewed}/bin"),
                format!("/usr/local/opt/{brewed}/bin"),
            ]
        }
    }
}

/// Whether what makes a server's first data is there too.
fn is_complete(engine: Engine, layout: &Layout) -> bool {
    match engine {
        Engine::Postgres => layout.beside("initdb").is_file(),
        Engine::MariaDb | Engine::MySql => layout.share().is_some(),
    }
}

fn downloaded(name: Name, cache: &Cache) -> Result<Installation> {
    let (origin, root) = if let Some(root) = maven::fetch(name, cache) {
        ("Maven Central", root?)
    } else if let Some(root) = debian::fetch(name, cache) {
        ("Debian", root?)
    } else {
        bail!(
            "there is no {} to download for {} on {}; install it, or name a server of yours in {}",
            name.title(),
            std::env::consts::OS,
            std::env::consts::ARCH,
            name.variable()
        )
    };
    let version = Layout::find(name.engine, &root)
        .and_then(|layout| version(name.engine, &layout))
        .with_context(|| {
            format!(
                "{} from {origin} does not run on this machine; install it, or name a server of yours in {}",
                name.title(),
                name.variable()
            )
        })?;
    Ok(Installation {
        root,
        version: format!("{version} ({origin})"),
    })
}

/// The version that a server's program says it has; absent where it does not run or is another's.
fn version(engine: Engine, layout: &Layout) -> Option<String> {
    let mut ask: Command = layout.command(RunAs::Ourselves);
    let banner = capture(ask.arg("--version")).ok()?;
    version_in(engine, &banner).map(str::to_owned)
}

/// The version in `postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)` and in
/// `/usr/sbin/mysqld  Ver 11.4.5-MariaDB for Linux on x86_64 (MariaDB Server)`.
fn version_in(engine: Engine, banner: &str) -> Option<&str> {
    let words = match engine {
        Engine::Postgres => banner.strip_prefix("postgres (PostgreSQL) ")?,
        Engine::MariaDb | Engine::MySql => {
            if banner.contains("MariaDB") != (engine == Engine::MariaDb) {
                return None;
            }
            banner.split_once(" Ver ")?.1
        }
    };
    words.split_whitespace().next()?.split('-').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_the_banners_of_distributions() {
        let read = |engine, banner| version_in(engine, banner);
        let postgres = "postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)";
        assert_eq!(read(Engine::Postgres, postgres), Some("15.8"));
        let beta = "postgres (PostgreSQL) 18beta1";
        assert_eq!(read(Engine::Postgres, beta), Some("18beta1"));
        let mariadb = "mariadbd  Ver 11.4.5-MariaDB for linux-systemd on x86_64 (MariaDB Server)";
        assert_eq!(read(Engine::MariaDb, mariadb), Some("11.4.5"));
        let mysql = "/x/usr/sbin/mysqld  Ver 9.7.4-2 for Linux on x86_64 ((Debian))";
        assert_eq!(read(Engine::MySql, mysql), Some("9.7.4"));
        // MariaDB answers to MySQL's name too.
        assert_eq!(read(Engine::MySql, mariadb), None);
        assert_eq!(read(Engine::Postgres, "something else"), None);
    }
}

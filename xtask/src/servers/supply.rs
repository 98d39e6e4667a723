//! Finds the binaries of a PostgreSQL server: installed ones, else pinned ones from Maven Central.
//!
//! A newer minor version is pinned by adding its line here, with the SHA-256 of the file; the
//! versions that exist are listed in `maven-metadata.xml` beside the files.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::archive;
use crate::cache::Cache;
use crate::workspace::capture;

/// Where Maven Central is, unless `DBOP_MAVEN_MIRROR` names a mirror of it.
const MAVEN_CENTRAL: &str = "https://repo1.maven.org/maven2";
/// What all files of this kind are named after.
const ARTIFACT: &str = "embedded-postgres-binaries";

/// The binaries of one server.
pub(crate) struct Installation {
    /// The folder with `postgres` and `initdb`.
    pub(crate) bin: PathBuf,
    /// The version and where it comes from, for people.
    pub(crate) version: String,
}

/// Installed binaries of this major version, else downloaded ones.
pub(crate) fn locate(major: u8, cache: &Cache) -> Result<Installation> {
    match installed(major) {
        Some(installation) => Ok(installation),
        None => downloaded(major, cache),
    }
}

fn installed(major: u8) -> Option<Installation> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let known = [
        format!("/usr/lib/postgresql/{major}/bin"),
        format!("/usr/pgsql-{major}/bin"),
        format!("/opt/homebrew/opt/postgresql@{major}/bin"),
        format!("/usr/local/opt/postgresql@{major}/bin"),
    ];
    std::env::split_paths(&path)
        .chain(known.iter().map(PathBuf::from))
        .filter(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
        .find_map(|bin| {
            let banner = capture(Command::new(bin.join("postgres")).arg("--version")).ok()?;
            let version = version_in(&banner)?;
            (major_of(version) == Some(major)).then(|| Installation {
                version: format!("{version} ({})", bin.display()),
                bin,
            })
        })
}

fn downloaded(major: u8, cache: &Cache) -> Result<Installation> {
    let platform = platform().with_context(|| {
        format!(
            "there are no PostgreSQL binaries to download for {} on {}; install PostgreSQL \
             {major}, or name a server of yours in DBOP_TEST_POSTGRES_{major}",
            std::env::consts::OS,
            std::env::consts::ARCH
        )
    })?;
    let pin = PINS
        .iter()
        .find(|pin| pin.major == major && pin.platform == platform)
        .with_context(|| format!("PostgreSQL {major} is not pinned for {platform}"))?;
    let name = format!("postgres-{}-{platform}", pin.version);
    let folder = cache.folder(&name, |folder| {
        let jar = folder.join("download.jar");
        let what = format!("PostgreSQL {}", pin.short_version());
        cache.download(&what, &pin.url(), pin.sha256, &jar)?;
        archive::unpack(&jar, folder)?;
        std::fs::remove_file(&jar).context("a download cannot be removed")
    })?;
    Ok(Installation {
        bin: folder.join("bin"),
        version: format!("{} (Maven Central)", pin.short_version()),
    })
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

/// The version in `postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)`.
fn version_in(banner: &str) -> Option<&str> {
    banner
        .strip_prefix("postgres (PostgreSQL) ")?
        .split_whitespace()
        .next()
}

/// The major version in `15.8`, `18beta1` and the like.
fn major_of(version: &str) -> Option<u8> {
    version
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

/// One pinned file.
struct Pin {
    major: u8,
    platform: &'static str,
    version: &'static str,
    sha256: &'static str,
}

impl Pin {
    fn url(&self) -> String {
        let base = std::env::var("DBOP_MAVEN_MIRROR").unwrap_or_default();
        let base = if base.is_empty() {
            MAVEN_CENTRAL
        } else {
            base.trim_end_matches('/')
        };
        let (platform, version) = (self.platform, self.version);
        let artifact = format!("{ARTIFACT}-{platform}");
        format!("{base}/io/zonky/test/postgres/{artifact}/{version}/{artifact}-{version}.jar")
    }

    /// PostgreSQL's own version: Maven's has one more zero at the end.
    fn short_version(&self) -> &str {
        Path::new(self.version)
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or(self.version)
    }
}

const fn pin(
    major: u8,
    platform: &'static str,
    version: &'static str,
    sha256: &'static str,
) -> Pin {
    Pin {
        major,
        platform,
        version,
        sha256,
    }
}

/// The newest versions at the time of writing that exist for each platform.
#[rustfmt::skip]
const PINS: &[Pin] = &[
    pin(14, "linux-amd64", "14.24.0", "2722d05eb22c671104c9918d59d8ba9f5656898f5452a0207bb4cce21eef5dc4"),
    pin(14, "linux-arm64v8", "14.23.0", "a55b93f67051a602be033b298461709f88789dccee925236f2fb5a4eaf9dd526"),
    pin(14, "darwin-amd64", "14.22.0", "846e5bb797f372c8e370df51e4151f4e4237058e8c27cfcaf62aa93203a4c5b0"),
    pin(14, "darwin-arm64v8", "14.23.0", "b3afa06270a5db96748ded366b9af590b29035ce16677e88c8ab65d0c455f613"),
    pin(15, "linux-amd64", "15.19.0", "95f0b66fe72d4ca66c815773c44cb1196ea38552463e89a35f18114b3ed1565f"),
    pin(15, "linux-arm64v8", "15.19.0", "95baf4bd4af31b91b3050118df59388ed0064756b556b850669e0300aa7b9911"),
    pin(15, "darwin-amd64", "15.19.0", "11d0a55e26f4c74c6ea6c72c5e4e6ac959b29a06cc6da5e5ac8162f9fd9f8055"),
    pin(15, "darwin-arm64v8", "15.19.0", "9bfc44d3f50298bb14fa125da4b67a36f382f8134ab2fc95349b72bcd5ec4e87"),
    pin(16, "linux-amd64", "16.15.0", "653abc065c682b85d3da50168fb95dc524bd85426cdec9ce3695a550ef431df2"),
    pin(16, "linux-arm64v8", "16.15.0", "f846a9989d686b7977d6eca9bc9d8b2b69e3f70c7eb60e032197d9c574a6136c"),
    pin(16, "darwin-amd64", "16.15.0", "1229188b99515d2160d5cb6222bc96d9c5f3a248268df3bc2dfe0047e6c233d8"),
    pin(16, "darwin-arm64v8", "16.15.0", "65b953905f0a4d46030767a6b44a52360170d69a7985f1b02aa435f2f6256a83"),
    pin(17, "linux-amd64", "17.11.0", "0dd7b72b6f335b8ecfb355fa24c5781e8a93edd09880bb77eb52ebbf29b3e96d"),
    pin(17, "linux-arm64v8", "17.11.0", "8b042e0ea418b1927d95399207950da0734d27fe01e29503ade3bdc464ad4c2b"),
    pin(17, "darwin-amd64", "17.11.0", "d464ff178e9860ba204662ac23fa547504b7fd392392ff2fb92e3fd73b5bdb64"),
    pin(17, "darwin-arm64v8", "17.11.0", "a1c2786acb0c398f9b2d76806fc52f5dc8b222cbc8e9383a9b9702084daaf3a5"),
    pin(18, "linux-amd64", "18.6.0", "008ee189eaa7ca2b58bd01dd950291e638b998392cf982297acd4779ec898ac1"),
    pin(18, "linux-arm64v8", "18.6.0", "5f54e016723afa6213925a8acb939bac52944b1d348f65c7a20f0cd2928c31be"),
    pin(18, "darwin-amd64", "18.6.0", "690941008aac9ee360820fde9bb7870a4f3dcac5e9e2f9e45e42333a436ad0f9"),
    pin(18, "darwin-arm64v8", "18.6.0", "8f6ed6f38195b50a40712ada8b2a12060b6193c1a6977a6eb5cff053bb5a1b89"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::MAJORS;

    #[test]
    fn versions_are_read_from_the_banners_of_distributions() {
        let debian = "postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)";
        assert_eq!(version_in(debian).and_then(major_of), Some(15));
        assert_eq!(
            version_in("postgres (PostgreSQL) 18beta1").and_then(major_of),
            Some(18)
        );
        assert_eq!(version_in("something else"), None);
    }

    #[test]
    fn every_platform_has_every_major_version_pinned() {
        for platform in [
            "linux-amd64",
            "linux-arm64v8",
            "darwin-amd64",
            "darwin-arm64v8",
        ] {
            for major in MAJORS {
                let pins: Vec<&Pin> = PINS
                    .iter()
                    .filter(|pin| pin.platform == platform && pin.major == major)
                    .collect();
                assert_eq!(pins.len(), 1, "{platform} {major}");
                assert_eq!(major_of(pins[0].version), Some(major));
                assert_eq!(pins[0].sha256.len(), 64);
            }
        }
    }

    #[test]
    fn a_pin_names_its_version_as_postgres_does() {
        assert_eq!(pin(18, "linux-amd64", "18.6.0", "").short_version(), "18.6");
    }
}

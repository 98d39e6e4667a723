//! Flyway and Liquibase as their jars from Maven Central, with the drivers of the three servers, and a script in `bin`
//! that starts the tool's own command line.
//!
//! Flyway's distribution has 270 MB for databases that are not ours: only what its command line needs here is named.
//! (Without `flyway-reports` it would exit with 0 after a migration that failed.)
//! Liquibase is the last with an open-source licence.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::cache::{Cache, hex};
use crate::maven;
use crate::workspace::capture;

/// A tool of jars.
pub(super) struct Program {
    name: &'static str,
    version: &'static str,
    /// The class with its command line.
    main: &'static str,
    jars: &'static [Jar],
}

/// One pinned file.
struct Jar {
    group: &'static str,
    artifact: &'static str,
    version: &'static str,
    sha256: &'static str,
}

/// It needs Java 17.
pub(super) const FLYWAY: Program = Program {
    name: "flyway",
    version: "11.20.3",
    main: "org.flywaydb.commandline.Main",
    jars: FLYWAY_JARS,
};

/// It needs Java 8.
pub(super) const LIQUIBASE: Program = Program {
    name: "liquibase",
    version: "4.33.0",
    main: "liquibase.integration.commandline.LiquibaseCommandLine",
    jars: LIQUIBASE_JARS,
};

impl Program {
    /// From the cache, or fetched now: ten megabytes.
    pub(super) fn provide(&self, cache: &Cache) -> Result<PathBuf> {
        if capture(Command::new("java").arg("-version")).is_err() {
            bail!(
                "it runs on Java, and there is no `java` (Debian: apt-get install default-jre-headless)"
            );
        }
        // A jar more is another entry.
        let mut hash = Sha256::new();
        for jar in self.jars.iter().chain(DRIVERS) {
            hash.update(jar.sha256);
        }
        let pins = hex(&hash.finalize()[..4]);
        let entry = format!("tools-{}-{}-{pins}", self.name, self.version);
        cache.folder(&entry, |folder| self.fill(cache, folder))
    }

    fn fill(&self, cache: &Cache, folder: &Path) -> Result<()> {
        let (jars, programs) = (folder.join("jars"), folder.join("bin"));
        for folder in [&jars, &programs] {
            std::fs::create_dir(folder).context("the cache cannot be written")?;
        }
        for jar in self.jars.iter().chain(DRIVERS) {
            let Jar {
                group,
                artifact,
                version,
                sha256,
            } = jar;
            let what = format!("{artifact} {version}");
            let place = jars.join(format!("{artifact}-{version}.jar"));
            cache.download(&what, &maven::jar(group, artifact, version), sha256, &place)?;
        }
        let script = programs.join(self.name);
        std::fs::write(&script, self.script()).context("the cache cannot be written")?;
        let mode = PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, mode).context("the cache cannot be written")
    }

    /// Java takes longest to start: it need not compile for speed.
    fn script(&self) -> String {
        format!(
            "#!/bin/sh\nexec java -XX:TieredStopAtLevel=1 -cp \"$(dirname \"$0\")/../jars/*\" {} \"$@\"\n",
            self.main
        )
    }
}

const fn jar(
    group: &'static str,
    artifact: &'static str,
    version: &'static str,
    sha256: &'static str,
) -> Jar {
    Jar {
        group,
        artifact,
        version,
        sha256,
    }
}

#[rustfmt::skip]
const DRIVERS: &[Jar] = &[
    jar("org/mariadb/jdbc", "mariadb-java-client", "3.5.6", "a129703efd7b0f334564d46753de999f09b3a361489a2eb647e6020390981cc9"),
    jar("com/mysql", "mysql-connector-j", "9.7.0", "0353648eaa1c91e0f4020c959abf756bc866ffd583df22ae6b6f6e0cbd43eb44"),
    jar("org/postgresql", "postgresql", "42.7.14", "73914527305a40cce504b0d3d90b23caf565136912d607ae8ae7c5895512332c"),
];

#[rustfmt::skip]
const FLYWAY_JARS: &[Jar] = &[
    jar("org/flywaydb", "flyway-commandline", "11.20.3", "5fd1b1310e9cbb5d5495e4713c70f1306a6291dded5c532178715f095e77a346"),
    jar("org/flywaydb", "flyway-core", "11.20.3", "71dc5aba396aa4636f29f2124fe715fa799e6fd8126ce1bcdf162b4166efab4b"),
    jar("org/flywaydb", "flyway-database-postgresql", "11.20.3", "c03f1b2a00fd57ff65df3656f0f18fbe511a82389c6c0b98a3f0a09f9a8cb22f"),
    jar("org/flywaydb", "flyway-mysql", "11.20.3", "eb5050577ae271d93f8e0f1f0c3908e959447e0ea0d51a200eb0de448b04a07a"),
    jar("org/flywaydb", "flyway-nc-callbacks", "11.20.3", "95540fd1ca82886c8f674dbb673a3dc0c0275196972e2a9ef5f70741328b60a5"),
    jar("org/flywaydb", "flyway-nc-core", "11.20.3", "ec15c92d8cbc59496b24943f2409e6ef9f5579bf9552f9e5d60b92c701e9f83a"),
    jar("org/flywaydb", "flyway-nc-scanners", "11.20.3", "d4fde5860fba97bd914520e42270c7c77de76a6905a4caa8aa63af5b3260fcf6"),
    jar("org/flywaydb", "flyway-reports", "11.20.3", "6cafb03ab0764fd9bc85d0bad332e08ddb318ad07cbb03eee5e5a36ff5e7ce6a"),
    jar("org/flywaydb", "flyway-verb-baseline", "11.20.3", "037945ff09efc6972b71aacb319f26b23d9a97fa33113802432f537d01316c93"),
    jar("org/flywaydb", "flyway-verb-info", "11.20.3", "c43759d5658d65de1a823434492dc9df41b8728f831a2542a8940912dbb69fb8"),
    jar("org/flywaydb", "flyway-verb-migrate", "11.20.3", "6a8cc7d09848d11177f8c8dd13273668cb31b8277f0584ac2c65cbe3792f3b11"),
    jar("org/flywaydb", "flyway-verb-repair", "11.20.3", "995ad8046bfa076e6457389ebf42efb9a37cab621077b8766fb9c683742f883b"),
    jar("org/flywaydb", "flyway-verb-schemas", "11.20.3", "2c25bad4a11496a2752bf822373fdace173a4f0fa6d59a3cd34adf53ef746c8a"),
    jar("org/flywaydb", "flyway-verb-validate", "11.20.3", "9e26aeee47d45bee42c3a13e6c1173011fcc4df2c44213d329bde675bd49f92a"),
    jar("com/google/code/gson", "gson", "2.12.1", "ebee13d5fb7477cd7f1cc010e0c356df8ca80709715248da97f79e35ccb4fbec"),
    jar("com/fasterxml/jackson/core", "jackson-annotations", "2.19.1", "5a3cd7211ab26b36213f43a2a94bc052a3385af780c5c135329741b2d79a9730"),
    jar("com/fasterxml/jackson/core", "jackson-core", "2.19.1", "c46369e1a21810100adbc92503b62f15a9ef1640427932f4fe1588ef7ce7e480"),
    jar("com/fasterxml/jackson/core", "jackson-databind", "2.19.1", "0bc539401d52c6b14e668947c851dcc49f78a4ada3d1fc8e8f71440613fc26ce"),
    jar("com/fasterxml/jackson/dataformat", "jackson-dataformat-toml", "2.19.1", "bc4bdf52c92beae62168fdb43aad7bc9f47b759cb1fbffb09e5c6c452665fa62"),
    jar("com/fasterxml/jackson/datatype", "jackson-datatype-jsr310", "2.19.1", "366eb89065d568a7c0ede73c26a343f293f076d2f8efd0dc69cbe574ca01220e"),
];

#[rustfmt::skip]
const LIQUIBASE_JARS: &[Jar] = &[
    jar("org/apache/commons", "commons-collections4", "4.5.0", "00f93263c267be201b8ae521b44a7137271b16688435340bf629db1bac0a5845"),
    jar("commons-io", "commons-io", "2.19.0", "824268919b4b62f9f40f08c54381de5993b078f58667e332d17348ae019d72b9"),
    jar("org/apache/commons", "commons-lang3", "3.17.0", "6ee731df5c8e5a2976a1ca023b6bb320ea8d3539fbe64c8a1d5cb765127c33b4"),
    jar("org/apache/commons", "commons-text", "1.13.1", "76434bd2dd778ab140d84b3c6ffa40c40fe6219909f5ed1d8b8977c5ae8e50c8"),
    jar("javax/xml/bind", "jaxb-api", "2.3.1", "88b955a0df57880a26a74708bc34f74dcaf8ebf4e78843a28b50eae945732b06"),
    jar("org/liquibase", "liquibase-core", "4.33.0", "729691fdd26761f6264e4332a6a657e907c626863da8b4a0bf3bd22dbeebdc6b"),
    jar("com/opencsv", "opencsv", "5.11.2", "690daad9014f23afd3ab6f1b0c45a5e0b738ac37a8d2e810e196193aab521245"),
    jar("info/picocli", "picocli", "4.7.7", "f86e30fffd10d2b13b8caa8d4b237a7ee61f2ffccf5b1941de718b765d235bf8"),
    jar("org/yaml", "snakeyaml", "2.4", "ef779af5d29a9dde8cc70ce0341f5c6f7735e23edff9685ceaa9d35359b7bb7f"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_jar_is_pinned_whole_and_once() {
        for program in [FLYWAY, LIQUIBASE] {
            let mut names: Vec<&str> = Vec::new();
            for jar in program.jars.iter().chain(DRIVERS) {
                assert_eq!(jar.sha256.len(), 64, "{}", jar.artifact);
                assert!(!names.contains(&jar.artifact), "{}", jar.artifact);
                names.push(jar.artifact);
            }
            let own = format!("{}-core", program.name);
            let core = program.jars.iter().find(|jar| jar.artifact == own).unwrap();
            assert_eq!(core.version, program.version);
        }
    }
}

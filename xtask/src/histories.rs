//! Published applications with their own migrations, for the tests that walk their histories: pinned, and fetched
//! once into the cache outside of the checkout.
//!
//! | application | from | its migrations are for |
//! |---|---|---|
//! | mlflow | PyPI | Alembic, which comes into the same environment |
//! | Cloud Foundry's UAA | Maven Central | Flyway |
//!
//! How they are run is none of this module's business: tests know that.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::cache::Cache;
use crate::maven;
use crate::python;
use crate::tools::{self, Tool};
use crate::zip;

/// The version of UAA: the newest that Maven Central has.
const UAA: &str = "4.10.0";
const UAA_SHA256: &str = "4bf8a65bf52540bbe225477698f002b319b8312849a755a01e06ff052a14da15";
/// Where its jar has its migrations, one folder for each kind of server.
const UAA_MIGRATIONS: &str = "org/cloudfoundry/identity/uaa/db/";
/// They have 90 kB.
const UAA_BYTES_MAX: u64 = 10 << 20;

/// A published application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum History {
    Mlflow,
    Uaa,
}

impl History {
    /// All of them.
    pub(crate) const ALL: [History; 2] = [History::Mlflow, History::Uaa];

    /// Its folder, named after its version; what is not in the cache is fetched.
    fn provide(self, cache: &Cache) -> Result<PathBuf> {
        match self {
            History::Mlflow => python::MLFLOW.provide(cache),
            History::Uaa => uaa(cache),
        }
    }

    /// The variable that tells tests its folder.
    fn variable(self) -> &'static str {
        match self {
            History::Mlflow => "DBOP_TEST_HISTORY_MLFLOW",
            History::Uaa => "DBOP_TEST_HISTORY_UAA",
        }
    }

    /// The tool that does not come with it.
    fn tool(self) -> Option<Tool> {
        match self {
            History::Mlflow => None,
            History::Uaa => Some(Tool::Flyway),
        }
    }
}

/// Provides these, with their tools, and gives the variables by which tests find them.
pub(crate) fn environment(histories: &[History], cache: &Cache) -> Result<Vec<(String, String)>> {
    let needed: Vec<Tool> = histories.iter().filter_map(|one| one.tool()).collect();
    let mut variables = tools::environment(&needed, cache)?;
    for history in histories {
        let folder = history.provide(cache)?;
        variables.push((history.variable().to_owned(), folder.display().to_string()));
    }
    Ok(variables)
}

fn uaa(cache: &Cache) -> Result<PathBuf> {
    cache.folder(&format!("history-uaa-{UAA}"), |folder| {
        let jar = folder.join("download.jar");
        let group = "org/cloudfoundry/identity";
        let url = maven::jar(group, "cloudfoundry-identity-server", UAA);
        cache.download(&format!("UAA {UAA}"), &url, UAA_SHA256, &jar)?;
        let bytes = std::fs::read(&jar).context("a download cannot be read")?;
        unpack(&bytes, folder).with_context(|| format!("{} cannot be unpacked", jar.display()))?;
        std::fs::remove_file(&jar).context("a download cannot be removed")
    })
}

/// The SQL below its folder of migrations.
fn unpack(jar: &[u8], folder: &Path) -> Result<()> {
    let mut count = 0;
    zip::files(
        jar,
        UAA_BYTES_MAX,
        |path| path.starts_with(UAA_MIGRATIONS) && path.ends_with(".sql"),
        |path, bytes| {
            let file = folder.join(&path[UAA_MIGRATIONS.len()..]);
            if let Some(above) = file.parent() {
                std::fs::create_dir_all(above)?;
            }
            count += 1;
            Ok(std::fs::write(&file, bytes)?)
        },
    )?;
    ensure!(count > 0, "it holds no migrations");
    Ok(())
}

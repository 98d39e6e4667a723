//! Where what is seen is written to, while it is: one file of tab-separated lines for each server.

use std::io::Write as _;
use std::path::PathBuf;

use dbop_tests::TestServer;

use crate::catalogue::Case;
use crate::observation::{HEADER, Observation};

/// The lines of one server.
pub(crate) struct Lines {
    server: String,
    version: String,
    /// None, where nobody wants them.
    file: Option<PathBuf>,
}

impl Lines {
    /// Begins them.
    pub(crate) async fn of(server: &TestServer) -> Lines {
        let folder = std::env::var_os("DBOP_ORACLE_LINES").map(PathBuf::from);
        let file = folder.map(|folder| folder.join(format!("{}.tsv", server.name())));
        if let Some(file) = &file {
            std::fs::write(file, format!("{HEADER}\n"))
                .unwrap_or_else(|error| panic!("{} cannot be written: {error}", file.display()));
        }
        Lines {
            server: server.name().to_owned(),
            version: version(server).await,
            file,
        }
    }

    /// Adds a case.
    pub(crate) fn write(&self, case: &Case, seen: &Observation) {
        if let Some(path) = &self.file {
            let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
            writeln!(file, "{}", seen.line(&self.server, &self.version, case)).unwrap();
        }
    }

    /// The server and its whole version, for people.
    pub(crate) fn title(&self, server: &TestServer) -> String {
        format!("{} {}", server.engine().title(), self.version)
    }
}

async fn version(server: &TestServer) -> String {
    let version = server.read("SELECT version()").await.remove(0);
    // PostgreSQL says its name first, and MariaDB its own behind a dash.
    let mut words = version.split([' ', '-']);
    let number = words.find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    number.unwrap_or_default().to_owned()
}

//! The oracle: what real servers do with a statement, compared with what `database-operator analyze` says of it.
//!
//! Cases are data in `tests/oracle`; the observers know nothing of predictions, and predictions come through the
//! public command alone. All of it is `cargo xtask prove oracle`; `cargo xtask test` runs a part with a printed seed.
//! `DBOP_ORACLE=observe` compares nothing, and `DBOP_ORACLE_LINES=DIR` writes what was seen there.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod catalogue;
mod observation;
mod on_mysql;
mod on_postgres;

use std::io::Write as _;
use std::path::PathBuf;

use dbop_tests::{Engine, TestServer};

use catalogue::Case;
use observation::{HEADER, Observation};

/// A server on which cases run.
enum Observed {
    Postgres(on_postgres::Postgres),
    MySql(on_mysql::MySql),
}

impl Observed {
    async fn new(server: &TestServer) -> Observed {
        match server.engine() {
            Engine::Postgres => Observed::Postgres(on_postgres::Postgres::new(server).await),
            Engine::MariaDb | Engine::MySql => Observed::MySql(on_mysql::MySql::new(server).await),
        }
    }

    /// Makes the shape of a case, and gives the connection string by which it is judged.
    async fn prepare(&mut self, case: &Case) -> String {
        match self {
            Observed::Postgres(postgres) => postgres.prepare(case).await,
            Observed::MySql(mysql) => mysql.prepare(case).await,
        }
    }

    /// Runs a case that is prepared.
    async fn observe(&mut self, case: &Case) -> Observation {
        match self {
            Observed::Postgres(postgres) => postgres.observe(case).await,
            Observed::MySql(mysql) => mysql.observe(case).await,
        }
    }
}

/// The observations of one server, in the order of the cases.
async fn observe(server: &TestServer) -> Vec<(Case, Observation)> {
    let family = match server.engine() {
        Engine::Postgres => "postgresql",
        Engine::MariaDb | Engine::MySql => "mysql",
    };
    let only = std::env::var("DBOP_ORACLE_ONLY").unwrap_or_default();
    let lines = Lines::of(server).await;
    let mut seen = Vec::new();
    let mut observed = Observed::new(server).await;
    for case in catalogue::cases(family, server.name(), server.major()) {
        if !case.name.contains(&only) {
            continue;
        }
        observed.prepare(&case).await;
        let observation = observed.observe(&case).await;
        lines.write(&case, &observation);
        seen.push((case, observation));
    }
    seen
}

/// Where what is seen is written to, while it is.
struct Lines {
    server: String,
    version: String,
    file: Option<PathBuf>,
}

impl Lines {
    async fn of(server: &TestServer) -> Lines {
        let folder = std::env::var_os("DBOP_ORACLE_LINES").map(PathBuf::from);
        let file = folder.map(|folder| folder.join(format!("{}.tsv", server.name())));
        if let Some(file) = &file {
            std::fs::write(file, format!("{HEADER}\n")).expect("the file for lines can be written");
        }
        Lines {
            server: server.name().to_owned(),
            version: version(server).await,
            file,
        }
    }

    fn write(&self, case: &Case, seen: &Observation) {
        if let Some(file) = &self.file {
            let mut file = std::fs::OpenOptions::new().append(true).open(file).unwrap();
            writeln!(file, "{}", seen.line(&self.server, &self.version, case)).unwrap();
        }
    }
}

async fn version(server: &TestServer) -> String {
    let version = server.read("SELECT version()").await.remove(0);
    let words: Vec<&str> = version.split([' ', '-']).collect();
    // PostgreSQL says its name first, and MariaDB itself later.
    let number = words
        .iter()
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    (*number.unwrap_or(&"")).to_owned()
}

async fn watch(postgres: bool) {
    dbop_tests::on_each_engine(move |server| watch_on(server, postgres)).await;
}

async fn watch_on(server: TestServer, postgres: bool) {
    if (server.engine() == Engine::Postgres) != postgres {
        return;
    }
    observe(&server).await;
}

//! Servers that somebody else runs, found through the environment, and their superusers' hands.

use dbop_model::Engine;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error, Opts, OptsBuilder};

/// The variables that name servers: superusers' DSNs with commas between them.
const VARIABLES: [&str; 2] = ["DBOP_TEST_MYSQL", "DBOP_TEST_MARIADB"];
/// A server that somebody else runs, and its superuser.
#[derive(Clone)]
pub(crate) struct TestServer {
    superuser: Opts,
    pub(crate) engine: Engine,
    pub(crate) version: String,
}

/// The servers that the environment names.
pub(crate) async fn servers() -> Vec<TestServer> {
    let mut servers = Vec::new();
    for variable in VARIABLES {
        let named = std::env::var(variable).unwrap_or_default();
        for dsn in named.split(',').filter(|dsn| !dsn.trim().is_empty()) {
            // The text of a parse error could repeat a part of the DSN, which holds a password.
            let dsn = dsn.trim().replace("mariadb://", "mysql://");
            let opts = Opts::from_url(&dsn)
                .unwrap_or_else(|_| panic!("{variable} is not a list of mysql://user:...@host/db"));
            let opts: Opts = OptsBuilder::from_opts(opts).prefer_socket(false).into();
            let mut conn = Conn::new(opts.clone()).await.unwrap();
            let version: String = conn.query_first("SELECT VERSION()").await.unwrap().unwrap();
            conn.disconnect().await.unwrap();
            let engine = if version.contains("MariaDB") {
                Engine::MariaDb
            } else {
                Engine::MySql
            };
            servers.push(TestServer {
                superuser: opts,
                engine,
                version,
            });
        }
    }
    assert!(
        !servers.is_empty(),
        "neither DBOP_TEST_MYSQL nor DBOP_TEST_MARIADB names a server: run `cargo xtask test`, or \
         `cargo xtask servers mysql-9.7 mariadb-11.4 -- cargo test ...`"
    );
    servers
}

/// Runs a test on each server, one after the other: which it was is shown where it fails.
pub(crate) async fn on_each(test: impl AsyncFn(TestServer)) {
    for server in servers().await {
        println!("{} {}", server.engine, server.version);
        test(server).await;
    }
}

impl TestServer {
    pub(crate) fn address(&self) -> (String, u16) {
        let (host, port) = (self.superuser.ip_or_hostname(), self.superuser.tcp_port());
        (host.to_owned(), port)
    }

    pub(crate) async fn superuser(&self) -> Conn {
        Conn::new(OptsBuilder::from_opts(self.superuser.clone()).db_name(None::<String>))
            .await
            .unwrap()
    }

    /// A person with every right runs statements, in no database.
    pub(crate) async fn runs(&self, sql: &str) {
        let mut conn = self.superuser().await;
        if let Err(error) = conn.query_drop(sql).await {
            panic!("{sql}: {error}");
        }
        conn.disconnect().await.unwrap();
    }

    /// The first column of all rows that a superuser reads.
    pub(crate) async fn reads(&self, sql: &str) -> Vec<String> {
        let mut conn = self.superuser().await;
        let rows: Result<Vec<Option<String>>, Error> = conn.query(sql).await;
        conn.disconnect().await.unwrap();
        let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
        rows.into_iter().map(Option::unwrap_or_default).collect()
    }
}

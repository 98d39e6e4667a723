//! The servers of the tests' own crate that are no PostgreSQL, with a superuser's hands by the driver.

use dbop_model::Engine;
use mysql_async::Conn;

/// A server that somebody else runs.
#[derive(Clone)]
pub(crate) struct TestServer {
    pub(crate) known: dbop_tests::TestServer,
    pub(crate) engine: Engine,
}

/// Runs a test on each server, one after the other: which it was is shown where it fails.
pub(crate) async fn on_each(test: impl AsyncFn(TestServer)) {
    let servers: Vec<TestServer> = dbop_tests::servers()
        .into_iter()
        .filter_map(TestServer::of)
        .collect();
    assert!(
        !servers.is_empty(),
        "DBOP_TEST_SERVERS names neither a MySQL nor a MariaDB"
    );
    for server in servers {
        println!("{}", server.known.title());
        test(server).await;
    }
}

impl TestServer {
    fn of(known: dbop_tests::TestServer) -> Option<TestServer> {
        let engine = match known.engine() {
            dbop_tests::Engine::Postgres => return None,
            dbop_tests::Engine::MariaDb => Engine::MariaDb,
            dbop_tests::Engine::MySql => Engine::MySql,
        };
        Some(TestServer { known, engine })
    }

    pub(crate) fn address(&self) -> (String, u16) {
        self.known.address()
    }

    pub(crate) async fn superuser(&self) -> Conn {
        self.known.mysql_superuser().await
    }

    /// A person with every right runs statements, in no database.
    pub(crate) async fn runs(&self, sql: &str) {
        self.known.run(sql).await;
    }

    /// The first column of all rows that a superuser reads.
    pub(crate) async fn reads(&self, sql: &str) -> Vec<String> {
        self.known.read(sql).await
    }
}

//! What goes wrong: each time one sentence that names what and where, then the way out; the exit status of
//! the contract; and nothing changed that should not be.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod manifests;
mod reach;
mod runs;
mod strangers;
mod versions;

use dbop_tests::local::{Finished, Site, Step};
use dbop_tests::{TestServer, majors, server};
use tokio_postgres::{Client, Config, NoTls};

const CREATE: &str = "CREATE TABLE customers (id bigserial PRIMARY KEY, name text);";
const ADD_PHONE: &str = "ALTER TABLE customers ADD COLUMN phone text;";

/// A site with two steps, on one server: what follows does not depend on the server's version.
async fn site(prefix: &str) -> Site {
    let newest = majors().into_iter().max().expect("there is a server");
    site_on(&server(newest), prefix).await
}

async fn site_on(server: &TestServer, prefix: &str) -> Site {
    let site = Site::new(server, prefix).await;
    site.steps(0, &[Step::new(CREATE), Step::new(ADD_PHONE)]);
    site
}

/// Runs `local`, which must end with this status, say this, and change nothing.
async fn refused(site: &Site, status: i32, sentence: &str) -> Finished {
    let before = site.snapshot().await;
    let ended = site.directory.local().await;
    ended.exits(status).says(sentence);
    before.is_still(&site.snapshot().await);
    ended
}

/// Once what was wrong is put right, the same directory walks.
async fn goes_on(site: &Site, to: &str) {
    site.directory.local().await.exits(0);
    assert_eq!(site.status()["currentVersion"], to, "{:#}", site.status());
}

/// A connection as the admin, by whom a database was used before the operator came.
async fn as_admin(site: &Site) -> Client {
    let config: Config = site.database.admin_dsn().parse().unwrap();
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn address(site: &Site) -> String {
    let (host, port) = site.database.server().address();
    format!("{host}:{port}")
}

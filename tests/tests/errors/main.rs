//! What goes wrong: each time one sentence that names what and where, then the way out; the exit status of
//! the contract; and nothing changed that should not be. Nearly all of it is the same on every engine.

mod manifests;
mod reach;
mod runs;
mod strangers;
mod versions;

use dbop_tests::local::{Finished, Site, Step};
use dbop_tests::{TestServer, newest};

const CREATE: &str = "CREATE TABLE customers (id serial PRIMARY KEY, name text);";
const ADD_PHONE: &str = "ALTER TABLE customers ADD COLUMN phone text;";

/// A site with two steps, on one server: what follows does not depend on the server.
async fn site(prefix: &str) -> Site {
    site_on(&newest()[0], prefix).await
}

/// A site with two steps.
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

fn address(site: &Site) -> String {
    let (host, port) = site.database.server().address();
    format!("{host}:{port}")
}

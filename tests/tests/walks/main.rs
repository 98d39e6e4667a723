//! Walks of a real database with an application at work: who is waited for, who is not, what stops a walk
//! before anything is revoked, and what is at rest.

mod applications;
mod changes;
mod databases;
mod hints;
mod on_mysql;
mod on_postgres;
mod restores;
mod rotation;
mod secrets;

use std::time::Duration;

use dbop_tests::TestServer;
use dbop_tests::local::{Site, Step};

const CREATE: &str =
    "CREATE TABLE customers (id serial PRIMARY KEY, name text NOT NULL, email text);
    INSERT INTO customers (name)
    WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 200)
    SELECT concat('customer ', n) FROM counted;";
const ADD_PHONE: &str = "ALTER TABLE customers ADD COLUMN phone text;";
const ADD_CITY: &str = "ALTER TABLE customers ADD COLUMN city text;";
/// What the application of `v1` does: it reads and writes.
const WORK: &str =
    "INSERT INTO customers (name) VALUES ('new'); SELECT id, name FROM customers LIMIT 5";
const PATIENCE: Duration = Duration::from_secs(30);

/// How many runs there have been.
fn runs(site: &Site) -> usize {
    site.directory.job_logs().len()
}

/// A site with these steps.
async fn site(server: &TestServer, prefix: &str, steps: &[Step]) -> Site {
    let site = Site::new(server, prefix).await;
    site.steps(0, steps);
    site
}

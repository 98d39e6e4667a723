//! Walks of a real database with an application at work: who is waited for, who is not, what stops a walk
//! before anything is revoked, and what is at rest.

mod applications;
mod changes;
mod databases;
mod hints;

use std::time::Duration;

use dbop_tests::local::{Site, Step};
use dbop_tests::{majors, server};

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
/// A migration tool of somebody's own: it runs the statements that it is given.
const SCRIPT: &str = "import os, sys, psycopg
with psycopg.connect(os.environ['DBA_OP_CONNECTION_STRING']) as connection:
    connection.execute(sys.argv[1])";
const PATIENCE: Duration = Duration::from_secs(30);

/// How many runs there have been.
fn runs(site: &Site) -> usize {
    site.directory.job_logs().len()
}

/// The newest server, for what does not depend on the server's version.
async fn site(prefix: &str, steps: &[Step]) -> Site {
    let newest = majors().into_iter().max().expect("there is a server");
    let site = Site::new(&server(newest), prefix).await;
    site.steps(0, steps);
    site
}

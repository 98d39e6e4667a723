//! Looks at tables of real servers, as the least admin.

#![expect(clippy::unwrap_used, reason = "it is for tests")]
#![allow(dead_code, reason = "not every test file needs every hand")]

#[path = "site.rs"]
mod site_;

use std::collections::BTreeSet;
use std::time::Duration;

use dbop_database::{Administer, Connector as _};
use dbop_model::Fact;
use dbop_model::table::{FactRequest, TableFacts, TableFactsSet, TableName, TableState};
use dbop_mysql::MySql;
use dbop_testkit::conformance::Site as _;
use jiff::Timestamp;
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

pub(crate) use site_::{MySite, TestServer, on_each, quoted};

/// Makes many rows of the eight that are in the table `big`.
pub(crate) const ROWS: &str =
    "INSERT INTO big SELECT x.a FROM big x, big y, big z, big u, big v, big w";

pub(crate) fn table(name: &str) -> TableName {
    name.parse().unwrap()
}

pub(crate) async fn run(conn: &mut Conn, statements: &[&str]) {
    for statement in statements {
        if let Err(error) = conn.query_drop(*statement).await {
            panic!("{statement}: {error}");
        }
    }
}

/// A superuser in the database.
pub(crate) async fn person(site: &MySite) -> Conn {
    let mut conn = site.server.superuser().await;
    run(&mut conn, &[&format!("USE {}", quoted(&site.name))]).await;
    conn
}

pub(crate) async fn site(
    server: &TestServer,
    statements: &[&str],
) -> (MySite, Box<dyn Administer>) {
    let site = MySite::on(server).await;
    let mut conn = person(&site).await;
    run(&mut conn, statements).await;
    conn.disconnect().await.unwrap();
    let admin = connected(&site).await;
    (site, admin)
}

/// As the least admin, with a clock that runs.
#[allow(clippy::disallowed_methods, reason = "real servers have a real time")]
pub(crate) async fn connected(site: &MySite) -> Box<dyn Administer> {
    let mysql = MySql::new(Timestamp::now);
    mysql.connect(&site.target()).await.unwrap()
}

pub(crate) async fn look(
    admin: &dyn Administer,
    wanted: impl IntoIterator<Item = FactRequest>,
) -> TableFactsSet {
    let wanted: BTreeSet<FactRequest> = wanted.into_iter().collect();
    admin
        .table_facts(&wanted, Duration::from_secs(5))
        .await
        .unwrap()
}

#[track_caller]
pub(crate) fn present(facts: &TableFactsSet, name: &str) -> TableFacts {
    match facts.table(&table(name)) {
        Fact::Known(TableState::Present(facts)) => *facts,
        other => panic!("{name}: {other:?}"),
    }
}

pub(crate) async fn asked(admin: &dyn Administer, request: FactRequest) -> TableFacts {
    let name = request.table().to_string();
    present(&look(admin, [request]).await, &name)
}

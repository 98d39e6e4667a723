//! Looks at tables of real servers, as the least admin.

#![allow(dead_code, reason = "not every test file needs every hand")]

use std::collections::BTreeSet;
use std::time::Duration;

use dbop_model::Fact;
use dbop_model::table::{FactRequest, TableFacts, TableFactsSet, TableName, TableState};
use dbop_postgres::facts::table_facts;
use dbop_tests::{TestDatabase, majors, server};
use jiff::Timestamp;
use tokio_postgres::{Client, NoTls};

pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);

/// The tests' clock stands still: ages are the server's, and the operator's time is only passed through.
pub(crate) fn noon() -> Timestamp {
    Timestamp::constant(1_767_268_800, 0)
}

pub(crate) fn name(text: &str) -> TableName {
    text.parse().unwrap()
}

pub(crate) async fn connect(dsn: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(dsn, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A database on each server, with a connection of its least admin, after it ran `setup`.
pub(crate) async fn each(setup: &str) -> Vec<(u8, TestDatabase, Client)> {
    let mut each = Vec::new();
    for major in majors() {
        let database = server(major).database("facts").await;
        let client = connect(&database.admin_dsn()).await;
        client.batch_execute(setup).await.unwrap();
        each.push((major, database, client));
    }
    each
}

pub(crate) async fn look(
    client: &Client,
    wanted: impl IntoIterator<Item = FactRequest>,
) -> TableFactsSet {
    let wanted: BTreeSet<FactRequest> = wanted.into_iter().collect();
    let facts = table_facts(client, &wanted, TIMEOUT, noon).await.unwrap();
    assert_eq!(facts.taken_at, noon());
    facts
}

#[track_caller]
pub(crate) fn present(facts: &TableFactsSet, table: &str) -> TableFacts {
    match facts.table(&name(table)) {
        Fact::Known(TableState::Present(facts)) => *facts,
        other => panic!("{table}: {other:?}"),
    }
}

#[track_caller]
pub(crate) fn why<T: std::fmt::Debug>(fact: &Fact<T>) -> String {
    fact.as_result().unwrap_err().to_string()
}

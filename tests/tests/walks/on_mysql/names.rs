//! Names that are each other's patterns, and names that are hard to quote: what one walk does to a server is seen in
//! its own tables of accounts and grants, and shows on nothing else.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use dbop_tests::local::{Directory, Site, Snapshot, Step};
use dbop_tests::{TestServer, on_newest};

use super::super::{ADD_CITY, ADD_PHONE, CREATE, WORK};

/// A walk's object and directory, for a database of this name.
async fn named(server: &TestServer, database: &str, object: &str) -> Site {
    let database = server.database_named(database).await;
    Site::called(object, database, Directory::new("names"))
}

/// What the server tells of a walk's database.
async fn told(site: &Site) -> Snapshot {
    Snapshot::of_database(&site.database, &site.name).await
}

/// Lines that tell of these are about a table, all others about accounts and what they may do.
const OF_TABLES: [&str; 4] = ["table: ", "column: ", "index: ", "constraint: "];

/// Checks that all that changed between two pictures is about one of these accounts, or this table.
#[track_caller]
fn only_about(before: &Snapshot, now: &Snapshot, accounts: &[&str], table: &str, what: &str) {
    let (new, gone) = before.difference(now);
    assert!(
        !new.is_empty() || !gone.is_empty(),
        "{what}: nothing changed"
    );
    for line in new.iter().chain(&gone) {
        let is_it = if OF_TABLES.iter().any(|head| line.starts_with(head)) {
            line.contains(table)
        } else {
            accounts.iter().any(|account| line.contains(account))
        };
        assert!(
            is_it,
            "{what} was to be about {accounts:?} and {table}, and changed\n{line}"
        );
    }
}

#[tokio::test]
async fn databases_whose_names_are_each_others_patterns_leave_each_other_alone() {
    on_newest(async |server| {
        let pid = std::process::id();
        let mut sites = Vec::new();
        for (at, name) in ["_b", "xb", "%b"].iter().enumerate() {
            // The objects' names are alike as well, as far as names of objects can be.
            let object = ["a-b", "axb", "a-b-b"][at];
            let site = named(&server, &format!("p{pid}{name}"), object).await;
            site.steps(
                0,
                &[Step::new(CREATE), Step::new(ADD_PHONE), Step::new(ADD_CITY)],
            );
            site.desire("v2");
            sites.push(site);
        }
        // All from empty to v2, at the same time.
        let [one, two, three] = &sites[..] else {
            panic!("there are three");
        };
        let (a, b, c) = tokio::join!(
            one.directory.local(),
            two.directory.local(),
            three.directory.local()
        );
        for ended in [a, b, c] {
            ended.exits(0);
        }
        // Then one after the other to v3: the credential of v1 is retired, and nothing of the others'.
        for (at, site) in sites.iter().enumerate() {
            let mut before = Vec::new();
            for each in &sites {
                before.push(each.snapshot().await);
            }
            site.desire("v3");
            site.directory.local().await.exits(0);
            site.has_credentials(&["v2", "v3"]).await;
            for (other, (neighbour, before)) in sites.iter().zip(&before).enumerate() {
                if other != at {
                    before.is_still(&neighbour.snapshot().await);
                }
            }
        }
        for (at, site) in sites.iter().enumerate() {
            let application = site.published("v3").connect().await.unwrap();
            application.run(WORK).await.unwrap();
            for (other, neighbour) in sites.iter().enumerate() {
                let table = server.engine().quoted(neighbour.database.name());
                let read = application
                    .read(&format!("SELECT 1 FROM {table}.customers LIMIT 1"))
                    .await;
                assert_eq!(read.is_ok(), other == at, "{table} from {}", site.name);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn names_that_are_hard_to_quote_are_those_that_change_and_no_others() {
    on_newest(async |server| {
        let pid = std::process::id();
        let long = "x".repeat(64 - pid.to_string().len());
        let wide = format!(
            "{}{}",
            "ü".repeat(20),
            "x".repeat(44 - pid.to_string().len())
        );
        for (database, object, table) in [
            (
                format!("it's `{pid}` \"odd\" %_ ü"),
                "odd",
                "it's `a` \"t\" %_ ü".to_owned(),
            ),
            (format!("back\\slash{pid}"), "o", "back\\slash\\".to_owned()),
            (
                format!("{pid}{long}"),
                "an-object-with-a-name-that-is-as-long-as-a-label-of-dns-may-bee",
                "y".repeat(64),
            ),
            (
                format!("{wide}{pid}"),
                "wide",
                format!("{}z", "ß".repeat(31)),
            ),
        ] {
            walk_of(&server, &database, object, &table).await;
        }
    })
    .await;
}

async fn walk_of(server: &TestServer, database: &str, object: &str, table: &str) {
    let engine = server.engine();
    let site = named(server, database, object).await;
    let (of_database, of_table) = (engine.quoted(database), engine.quoted(table));
    let column = |n: usize| engine.quoted(&format!("c'`\"\\%_ü{n}"));
    let create = format!(
        "CREATE TABLE {of_table} (id serial PRIMARY KEY, {} text)",
        column(1)
    );
    let add = |n| {
        Step::new(&format!(
            "ALTER TABLE {of_table} ADD COLUMN {} text",
            column(n)
        ))
    };
    site.steps(0, &[Step::new(&create), add(2), add(3)]);
    site.directory.local().await.exits(0);
    let login = |version: &str| site.published(version).get("username").to_owned();
    let of_v1 = login("v1");
    let migrator = site.database.migrators().await.remove(0).0;

    // Accounts of other people, whose names are like ours in a pattern or in small letters, with rights here.
    let mut others = vec![of_v1.replace('_', "x"), of_v1.to_uppercase()];
    others.dedup();
    for other in &others {
        let account = site.database.account(other);
        site.database
            .run(&format!(
                "CREATE USER {account}; GRANT SELECT, DELETE ON {of_database}.{of_table} TO {account}"
            ))
            .await;
    }

    // One more version: one more login, a column, and the migrator's password of that run.
    let before = told(&site).await;
    site.desire("v2");
    site.directory.local().await.exits(0);
    let of_v2 = login("v2");
    let after = told(&site).await;
    only_about(
        &before,
        &after,
        &[&of_v2, &migrator],
        table,
        "the walk to v2",
    );
    let (new, gone) = before.difference(&after);
    let columns = new.iter().filter(|line| line.starts_with("column: "));
    assert_eq!(columns.count(), 1, "one column is new: {new:#?}");
    assert!(
        gone.iter().all(|line| line.contains(&migrator)),
        "{gone:#?}"
    );

    // What a person does to one login is mended on that login.
    for damage in [
        format!("ALTER USER {} ACCOUNT LOCK", site.database.account(&of_v2)),
        format!(
            "REVOKE SELECT, INSERT ON {of_database}.{of_table} FROM {}",
            site.database.account(&of_v2)
        ),
        format!("DROP USER {}", site.database.account(&of_v2)),
    ] {
        let before = told(&site).await;
        site.database.run(&damage).await;
        let damaged = told(&site).await;
        only_about(&before, &damaged, &[&of_v2], "no table", &damage);
        site.directory.local().await.exits(0);
        let mended = told(&site).await;
        // The password of another login of ours may be set once more, to what it was.
        only_about(
            &damaged,
            &mended,
            &[&of_v2, &format!("account: % {of_v1} ")],
            "no table",
            "mending",
        );
        let of_another = before.difference(&mended).0.into_iter();
        let of_another: Vec<String> = of_another.filter(|line| !line.contains(&of_v2)).collect();
        assert!(
            of_another.iter().all(|line| line.starts_with("account: ")),
            "{of_another:#?}"
        );
        site.published("v1").connect().await.unwrap().close().await;
        let application = site.published("v2").connect().await.unwrap();
        let insert = format!("INSERT INTO {of_table} ({}) VALUES ('it')", column(2));
        application.run(&insert).await.unwrap();
        application.close().await;
    }

    // The credential of v1 goes, and one for v3 comes.
    let before = told(&site).await;
    site.desire("v3");
    site.directory.local().await.exits(0);
    let of_v3 = login("v3");
    let after = told(&site).await;
    only_about(
        &before,
        &after,
        &[&of_v1, &of_v3, &migrator],
        table,
        "the walk to v3",
    );
    let (_, gone) = before.difference(&after);
    assert!(
        gone.iter()
            .all(|line| line.contains(&of_v1) || line.contains(&migrator)),
        "{gone:#?}"
    );
    site.has_credentials(&["v2", "v3"]).await;
    for other in &others {
        assert_eq!(
            site.database.is_open(other).await,
            Some(true),
            "{other} stays"
        );
    }
}

//! Names that are a whole database's, names in other letters, and the partitions of a table, on real servers.

#[path = "support/look.rs"]
mod support;

use dbop_model::table::{ColumnName, FactRequest, NamedKind};
use dbop_model::{Engine, Fact};
use support::{asked, look, present, site, table};

#[tokio::test]
async fn names_of_the_database_are_found() {
    support::on_each(async |server| {
        let (_site, admin) = site(
            &server,
            &[
                "CREATE TABLE parent (Id int PRIMARY KEY)",
                "CREATE TABLE t (a int, b int, CONSTRAINT the_key FOREIGN KEY (a) REFERENCES parent (id) ON DELETE SET NULL, \
                 CONSTRAINT the_check CHECK (b > 0))",
                "CREATE TRIGGER the_trigger BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1",
            ],
        )
        .await;
        let kinds = [
            (NamedKind::ForeignKey, "THE_KEY"),
            (NamedKind::Check, "the_check"),
            (NamedKind::Trigger, "the_trigger"),
            (NamedKind::Trigger, "the_key"),
        ];
        let wanted = kinds.map(|(kind, name)| FactRequest::Named {
            kind,
            name: table(name),
        });
        let facts = look(admin.as_ref(), wanted).await;
        let of = |at: usize| match &facts.named[&(kinds[at].0, table(kinds[at].1))] {
            Fact::Known(found) => found.as_ref().map(|found| found.name().to_owned()),
            Fact::Unknown(_) => Some("unknown".to_owned()),
        };
        assert_eq!(of(0).as_deref(), Some("t"));
        // MariaDB's CHECKs have names of their own in each table.
        let check = match server.engine {
            Engine::MariaDb => "unknown",
            _ => "t",
        };
        assert_eq!(of(1).as_deref(), Some(check));
        assert_eq!(of(2).as_deref(), Some("t"));
        assert_eq!(of(3), None);

        let facts = asked(admin.as_ref(), FactRequest::Constraints(table("t"))).await;
        let constraints = facts.constraints.known().unwrap();
        let key = constraints.iter().find(|one| one.name.as_str() == "the_key");
        assert!(key.unwrap().sets_null);
        let facts = look(admin.as_ref(), [FactRequest::Table(table("parent"))]).await;
        let id = ColumnName::ignoring_case("ID").unwrap();
        assert!(present(&facts, "parent").columns.contains_key(&id));
    })
    .await;
}

#[tokio::test]
async fn partitions_are_listed_in_their_order() {
    support::on_each(async |server| {
        let (_site, admin) = site(
            &server,
            &[
                "CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id) \
               (PARTITION zero VALUES LESS THAN (10), PARTITION one VALUES LESS THAN MAXVALUE)",
            ],
        )
        .await;
        let facts = asked(admin.as_ref(), FactRequest::Dependents(table("t"))).await;
        let how = facts.partitioned.known().unwrap().as_ref().unwrap();
        assert_eq!(how.by.to_lowercase(), "range (`id`)");
        let parts: Vec<String> = how
            .partitions
            .iter()
            .map(|part| format!("{} {}", part.table, part.bound))
            .collect();
        assert_eq!(parts, ["zero 10", "one MAXVALUE"]);
    })
    .await;
}

//! Where a walk has ended: all that must be the same after every history, as lines that can be compared.
//!
//! Passwords, ids and times differ from walk to walk and are left out.

mod mysql;
mod postgres;

use std::collections::BTreeSet;

use dbop_tests::Engine;
use dbop_tests::local::Site;

use crate::events::{Names, paths};
use crate::walk::WORK;

/// Where a walk has ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct End(BTreeSet<String>);

impl End {
    /// What there is now. Every published credential is tried, too.
    pub(crate) async fn of(site: &Site) -> End {
        let names = Names::of(site);
        let mut lines = BTreeSet::new();
        for (what, sql) in [
            (
                "version table",
                "SELECT version, description, success FROM _sqlx_migrations",
            ),
            (
                "applied",
                "SELECT migration, count(*) AS times FROM runs GROUP BY migration",
            ),
        ] {
            for row in site.database.read(sql).await {
                lines.insert(format!("{what}: {row}"));
            }
        }
        let facts = match site.engine() {
            Engine::Postgres => postgres::facts(site).await,
            Engine::MariaDb | Engine::MySql => mysql::facts(site).await,
        };
        for fact in facts {
            lines.insert(names.plain(&fact));
        }
        for name in site.directory.secrets() {
            lines.insert(secret(site, &names, &name).await);
        }
        let status = site.status();
        for path in [
            "/currentVersion",
            "/desiredVersion",
            "/summary",
            "/lastRun/migration",
            "/lastRun/from",
            "/lastRun/outcome",
            "/migration",
            "/binding",
            "/path",
            "/findings",
            "/unmanagedLogins",
        ] {
            let value = status.pointer(path);
            let value = value.map_or_else(|| "nothing".to_owned(), ToString::to_string);
            lines.insert(format!("status {path}: {}", names.plain(&value)));
        }
        for credential in status["credentials"].as_array().into_iter().flatten() {
            let (of, state) = (&credential["migration"], &credential["state"]);
            lines.insert(names.plain(&format!("status of credential {of}: {state}")));
        }
        for path in paths(&site.directory.state()) {
            lines.insert(format!("file {}", names.plain(&path)));
        }
        End(lines)
    }

    /// Checks what is the same in every walk, undisturbed ones too, however the catalogue came about.
    ///
    /// # Panics
    /// When something of it is not so.
    #[track_caller]
    pub(crate) fn is_complete(&self) {
        let mut expected = vec![
            "status /currentVersion: v4".to_owned(),
            "status /lastRun/migration: v4".to_owned(),
            "status /lastRun/outcome: Completed".to_owned(),
            "role db_migrator login f ".to_owned(),
        ];
        for n in 1..=4 {
            expected.push(format!("version table: {n} "));
            expected.push(format!("applied: v{n} 1"));
        }
        for credential in ["v3", "v4"] {
            expected.push(format!("role db_{credential} login t "));
            expected.push(format!("Secret db-{credential}: "));
            expected.push(format!("status of credential {credential}: Ready"));
        }
        for beginning in &expected {
            let times = self
                .0
                .iter()
                .filter(|line| line.starts_with(beginning))
                .count();
            assert!(
                times == 1,
                "`{beginning}` stands {times} times in {:#?}",
                self.0
            );
        }
        for gone in [
            "role db_v1 ",
            "role db_v2 ",
            "Secret db-v1:",
            "Secret db-v2:",
        ] {
            let is_there = self.0.iter().any(|line| line.starts_with(gone));
            assert!(!is_there, "`{gone}` stands in {:#?}", self.0);
        }
    }

    /// Checks that it is the same. What a person had to say is kept, and so is what it was said about: that
    /// alone may differ.
    ///
    /// # Panics
    /// When it is not; `history` says after what.
    #[track_caller]
    pub(crate) fn is_like(&self, undisturbed: &End, word: Option<&str>, history: &str) {
        let may_differ = |line: &str| match word {
            None => false,
            Some("accept-run") => {
                line.starts_with("file requests/")
                    || (line.starts_with("file jobs/") && line.ends_with("/exit"))
                    || line == "status /lastRun/outcome: Completed"
                    || line == "status /lastRun/outcome: Accepted"
            }
            Some(_) => line.starts_with("file requests/"),
        };
        let differ = |one: &End, other: &End| -> Vec<String> {
            let lines = one.0.difference(&other.0);
            lines.filter(|line| !may_differ(line)).cloned().collect()
        };
        let (lost, more) = (differ(undisturbed, self), differ(self, undisturbed));
        assert!(
            lost.is_empty() && more.is_empty(),
            "{history}: it did not end like an undisturbed walk\n--- lost\n{lost:#?}\n--- more\n{more:#?}"
        );
    }
}

/// A published Secret: which keys it has, what they say, and that it works in both of its forms.
async fn secret(site: &Site, names: &Names, name: &str) -> String {
    let credential = site
        .directory
        .secret(name)
        .expect("a listed Secret is there");
    for connected in [
        credential.connect().await,
        credential.connect_by_uri().await,
    ] {
        let client = connected.unwrap_or_else(|error| {
            panic!("{credential:?} is published and does not work: {error:?}")
        });
        let worked = client.run(WORK).await;
        worked.unwrap_or_else(|error| panic!("{credential:?} may not do its work: {error:?}"));
    }
    let shown: Vec<String> = credential
        .data()
        .iter()
        .map(|(key, value)| match key.as_str() {
            "password" | "uri" => key.clone(),
            _ => format!("{key}={}", names.plain(value)),
        })
        .collect();
    format!("Secret {}: {}", names.plain(name), shown.join(" "))
}

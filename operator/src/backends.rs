//! The ways to databases: each DSN goes to the backend that its scheme names.
//!
//! The backends know one kind of server each, and nothing of each other; which of them this program has is the
//! table [`BACKENDS`]. It deliberately reads no more of a DSN than its scheme.

use std::sync::Arc;

use async_trait::async_trait;
use dbop_database::{Administer, Connector, DatabaseError, Endpoint, Reader, Replica, Target};
use dbop_engine::Clock as _;
use dbop_model::{LoginName, Proof, Why};
use dbop_mysql::MySql;
use dbop_postgres::Postgres;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};

use crate::shell::SystemClock;

/// The clock that says when facts were seen.
type Now = fn() -> Timestamp;

/// A kind of server: the schemes of its DSNs, in any case of letters, and what makes its connector.
struct Backend {
    schemes: &'static [&'static str],
    connector: fn(Now) -> Arc<dyn Connector>,
}

/// The kinds of servers that this program knows.
const BACKENDS: &[Backend] = &[
    Backend {
        schemes: &["postgresql", "postgres"],
        connector: |now| Arc::new(Postgres::new(now)),
    },
    Backend {
        schemes: &["mysql", "mariadb"],
        connector: |now| Arc::new(MySql::new(now)),
    },
];

/// Schemes that a refusal may name: what stands before `://` in any other text could be part of a secret.
const OTHER_SCHEMES: &[&str] = &[
    "sqlite",
    "sqlserver",
    "oracle",
    "mongodb",
    "redis",
    "jdbc:postgresql",
    "jdbc:mysql",
    "jdbc:mariadb",
];

/// The connector of every kind of server that this program knows, with the machine's clock.
pub(crate) fn connector() -> Arc<dyn Connector> {
    let now = || SystemClock.now();
    let opened = |backend: &Backend| (backend.schemes, (backend.connector)(now));
    Arc::new(ByScheme(BACKENDS.iter().map(opened).collect()))
}

/// Connectors, each with the schemes that are its own.
struct ByScheme(Vec<(&'static [&'static str], Arc<dyn Connector>)>);

impl ByScheme {
    fn of(&self, target: &Target) -> Result<&dyn Connector, DatabaseError> {
        let text = target.dsn.expose_secret().trim();
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        let is_it = |known: &&str| scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(known));
        let chosen = self.0.iter().find(|(schemes, _)| schemes.iter().any(is_it));
        if let Some((_, connector)) = chosen {
            return Ok(&**connector);
        }
        let supported: Vec<String> = self
            .0
            .iter()
            .flat_map(|(schemes, _)| schemes.iter().map(|scheme| format!("{scheme}://")))
            .collect();
        let supported = alternatives(&supported);
        let reason = match OTHER_SCHEMES.iter().find(|known| is_it(known)) {
            Some(known) => format!("names scheme '{known}'; it must start with {supported}"),
            None if text.is_empty() => "is empty".to_owned(),
            None => format!("does not start with {supported}"),
        };
        Err(DatabaseError::Dsn { reason })
    }
}

#[async_trait]
impl Connector for ByScheme {
    fn endpoint(&self, target: &Target) -> Result<Endpoint, DatabaseError> {
        self.of(target)?.endpoint(target)
    }

    async fn connect(&self, target: &Target) -> Result<Box<dyn Administer>, DatabaseError> {
        self.of(target)?.connect(target).await
    }

    async fn connect_replica(&self, target: &Target) -> Result<Box<dyn Replica>, DatabaseError> {
        self.of(target)?.connect_replica(target).await
    }

    async fn connect_reader(
        &self,
        target: &Target,
        login: &LoginName,
        password: &SecretString,
    ) -> Result<Box<dyn Reader>, DatabaseError> {
        self.of(target)?
            .connect_reader(target, login, password)
            .await
    }

    async fn prove(&self, target: &Target, login: &LoginName, password: &SecretString) -> Proof {
        match self.of(target) {
            Ok(connector) => connector.prove(target, login, password).await,
            Err(error) => Proof::Unknown(Why::new(error.to_string())),
        }
    }
}

/// `a`, `a or b`, `a, b or c`.
fn alternatives(words: &[String]) -> String {
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(dsn: &str) -> Result<Endpoint, DatabaseError> {
        connector().endpoint(&Target {
            dsn: dsn.to_owned().into(),
            tls: None,
            ca_certificate: None,
        })
    }

    #[test]
    fn a_known_scheme_finds_its_backend() {
        for scheme in BACKENDS.iter().flat_map(|backend| backend.schemes) {
            let found = endpoint(&format!("{scheme}://u:p@db.shop:1234/shop")).unwrap();
            assert_eq!(
                (found.host.as_str(), found.port),
                ("db.shop", 1234),
                "{scheme}"
            );
        }
    }

    #[test]
    fn any_other_is_refused_with_those_that_there_are() {
        let refused = |dsn: &str| endpoint(dsn).unwrap_err().to_string();
        assert_eq!(
            refused("oracle://u:s3cret@h/d"),
            "the DSN names scheme 'oracle'; it must start with postgresql://, postgres://, mysql:// or mariadb://"
        );
        assert_eq!(
            refused("s3cret://u:p@h/d"),
            "the DSN does not start with postgresql://, postgres://, mysql:// or mariadb://"
        );
        assert_eq!(refused(" "), "the DSN is empty");
    }

    #[test]
    fn alternatives_read_well() {
        let words = |count: usize| ["a", "b", "c"].map(str::to_owned)[..count].to_vec();
        assert_eq!(alternatives(&words(1)), "a");
        assert_eq!(alternatives(&words(2)), "a or b");
        assert_eq!(alternatives(&words(3)), "a, b or c");
    }
}

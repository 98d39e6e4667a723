//! What an application Secret holds: a Service Binding (servicebinding.io, specification 1.1) with the
//! well-known keys of a database, and nothing that would have to be assembled by the application.
//!
//! How a connection uses TLS is said in the words of the engine's own clients:
//!
//! | server | URI | JDBC URL |
//! |---|---|---|
//! | PostgreSQL | `sslmode`, libpq's | the same |
//! | MySQL | `ssl-mode`, MySQL Shell's | `sslMode` of Connector/J |
//! | MariaDB | the same | `sslMode` of MariaDB Connector/J, whose URLs begin with `jdbc:mariadb:` |
//!
//! What other drivers make of it is in docs/applications.md; there is no word that all of them take.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use dbop_model::{Engine, LoginName, TlsMode};
use secrecy::{ExposeSecret, SecretString};

/// Where and how an application connects. Its `data` is a Secret's content.
#[derive(Debug, Clone)]
pub struct Binding {
    /// The engine, as the server says: it gives `type`, and the words for TLS.
    pub engine: Engine,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The database's name on the server.
    pub database: String,
    /// The login.
    pub username: LoginName,
    /// Its password.
    pub password: SecretString,
    /// How to use TLS.
    pub tls: TlsMode,
    /// The CA certificate, PEM, where TLS is verified.
    pub ca_certificate: Option<String>,
}

/// The names of [`Binding::variables`], in the order in which they are told.
pub const MIGRATOR_VARIABLES: [&str; 7] = [
    "DBA_OP_CONNECTION_STRING",
    "DBA_OP_JDBC_URL",
    "DBA_OP_HOST",
    "DBA_OP_PORT",
    "DBA_OP_DATABASE",
    "DBA_OP_USERNAME",
    "DBA_OP_PASSWORD",
];
/// Those of [`MIGRATOR_VARIABLES`] whose values may be shown.
pub const MIGRATOR_VARIABLES_SHOWN: [&str; 5] = [
    "DBA_OP_JDBC_URL",
    "DBA_OP_HOST",
    "DBA_OP_PORT",
    "DBA_OP_DATABASE",
    "DBA_OP_USERNAME",
];

/// `provider` of every binding.
pub const PROVIDER: &str = "database-operator";

impl Binding {
    /// `type` of the binding: `postgresql` or `mysql`.
    pub fn kind(&self) -> &'static str {
        scheme(self.engine)
    }

    /// The connection URI, percent-encoded (RFC 3986): `postgresql://user:password@host:port/db?sslmode=...`,
    /// `mysql://user:password@host:port/db?ssl-mode=...`.
    pub fn uri(&self) -> SecretString {
        let tls = match self.engine {
            Engine::PostgreSql => format!("sslmode={}", self.tls.libpq()),
            Engine::MySql | Engine::MariaDb => format!("ssl-mode={}", self.tls.mysql()),
        };
        format!(
            "{}://{}:{}@{}:{}/{}?{tls}",
            self.kind(),
            encoded(self.username.as_str()),
            encoded(self.password.expose_secret()),
            self.url_host(),
            self.port,
            encoded(&self.database),
        )
        .into()
    }

    /// The JDBC URL of the engine's own driver, without login and password: drivers take these apart
    /// (PostgreSQL JDBC, "Connecting to the Database"; Connector/J, "Connection URL Syntax"; MariaDB
    /// Connector/J, "About").
    pub fn jdbc_url(&self) -> String {
        let (scheme, tls) = match self.engine {
            Engine::PostgreSql => ("postgresql", format!("sslmode={}", self.tls.libpq())),
            Engine::MySql => ("mysql", format!("sslMode={}", self.tls.mysql())),
            // It takes no jdbc:mysql, unless told to (permitMysqlScheme).
            Engine::MariaDb => ("mariadb", format!("sslMode={}", self.tls.mariadb_jdbc())),
        };
        // Without TLS, `caching_sha2_password` sends a password that the server has not in its cache encrypted by
        // the server's key. Connector/J asks for that key only when told to: else nobody can log in. Whoever stands
        // in the way could send a key of his own; the spec's Disable says that nobody does.
        let key = match (self.engine, self.tls) {
            (Engine::MySql, TlsMode::Disable) => "&allowPublicKeyRetrieval=true",
            _ => "",
        };
        format!(
            "jdbc:{scheme}://{}:{}/{}?{tls}{key}",
            self.url_host(),
            self.port,
            encoded(&self.database),
        )
    }

    /// The host as URLs have it: an IPv6 address in brackets.
    pub(crate) fn url_host(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            encoded(&self.host)
        }
    }

    /// The environment of a migration's container that logs in as the migrator, in the forms that migration
    /// tools take.
    pub fn variables(&self) -> BTreeMap<String, SecretString> {
        BTreeMap::from(
            [
                ("DBA_OP_CONNECTION_STRING", self.uri()),
                ("DBA_OP_JDBC_URL", self.jdbc_url().into()),
                ("DBA_OP_HOST", self.host.clone().into()),
                ("DBA_OP_PORT", self.port.to_string().into()),
                ("DBA_OP_DATABASE", self.database.clone().into()),
                ("DBA_OP_USERNAME", self.username.to_string().into()),
                ("DBA_OP_PASSWORD", self.password.clone()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        )
    }

    /// The keys and values of the Secret.
    pub fn data(&self) -> BTreeMap<String, SecretString> {
        let mut data: BTreeMap<String, SecretString> = [
            ("type", self.kind().to_owned()),
            ("provider", PROVIDER.to_owned()),
            ("host", self.host.clone()),
            ("port", self.port.to_string()),
            ("database", self.database.clone()),
            ("username", self.username.as_str().to_owned()),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect();
        data.insert("password".into(), self.password.clone());
        data.insert("uri".into(), self.uri());
        if let Some(ca) = &self.ca_certificate {
            data.insert("ca.crt".into(), ca.clone().into());
        }
        data
    }
}

/// What a URI of an engine begins with.
pub(crate) fn scheme(engine: Engine) -> &'static str {
    match engine {
        Engine::PostgreSql => "postgresql",
        Engine::MySql | Engine::MariaDb => "mysql",
    }
}

/// Percent-encodes all but RFC 3986's unreserved characters.
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_has_all_keys_and_a_uri_that_survives_odd_characters() {
        let binding = Binding {
            engine: Engine::PostgreSql,
            host: "db.shop".into(),
            port: 5432,
            database: "shop/1".into(),
            username: LoginName::new("shop_v2").unwrap(),
            password: "p@ss:w/rd%".to_owned().into(),
            tls: TlsMode::Require,
            ca_certificate: None,
        };
        assert_eq!(
            binding.uri().expose_secret(),
            "postgresql://shop_v2:p%40ss%3Aw%2Frd%25@db.shop:5432/shop%2F1?sslmode=require"
        );
        let keys: Vec<String> = binding.data().into_keys().collect();
        assert_eq!(
            keys,
            [
                "database", "host", "password", "port", "provider", "type", "uri", "username"
            ]
        );
        assert!(!format!("{binding:?}").contains("p@ss"));
        let variables = binding.variables();
        assert_eq!(variables.len(), MIGRATOR_VARIABLES.len());
        for name in MIGRATOR_VARIABLES {
            let shown = !variables[name].expose_secret().contains("p%40ss")
                && !variables[name].expose_secret().contains("p@ss");
            assert_eq!(shown, MIGRATOR_VARIABLES_SHOWN.contains(&name), "{name}");
        }
    }

    #[test]
    fn tls_is_said_in_the_words_of_each_engine_s_drivers() {
        const MODES: [TlsMode; 4] = [
            TlsMode::Disable,
            TlsMode::Require,
            TlsMode::VerifyCa,
            TlsMode::VerifyFull,
        ];
        #[track_caller]
        fn check(engine: Engine, uri: [&str; 4], jdbc: [&str; 4]) {
            for ((tls, uri), jdbc) in MODES.into_iter().zip(uri).zip(jdbc) {
                let binding = Binding {
                    engine,
                    host: "db".into(),
                    port: 1,
                    database: "s".into(),
                    username: LoginName::new("u").unwrap(),
                    password: "p".to_owned().into(),
                    tls,
                    ca_certificate: None,
                };
                let kind = binding.kind();
                let expect = format!("{kind}://u:p@db:1/s?{uri}");
                assert_eq!(binding.uri().expose_secret(), expect);
                assert_eq!(binding.jdbc_url(), format!("jdbc:{jdbc}"));
            }
        }
        check(
            Engine::PostgreSql,
            [
                "sslmode=disable",
                "sslmode=require",
                "sslmode=verify-ca",
                "sslmode=verify-full",
            ],
            [
                "postgresql://db:1/s?sslmode=disable",
                "postgresql://db:1/s?sslmode=require",
                "postgresql://db:1/s?sslmode=verify-ca",
                "postgresql://db:1/s?sslmode=verify-full",
            ],
        );
        let mysql = [
            "ssl-mode=DISABLED",
            "ssl-mode=REQUIRED",
            "ssl-mode=VERIFY_CA",
            "ssl-mode=VERIFY_IDENTITY",
        ];
        check(
            Engine::MySql,
            mysql,
            [
                "mysql://db:1/s?sslMode=DISABLED&allowPublicKeyRetrieval=true",
                "mysql://db:1/s?sslMode=REQUIRED",
                "mysql://db:1/s?sslMode=VERIFY_CA",
                "mysql://db:1/s?sslMode=VERIFY_IDENTITY",
            ],
        );
        check(
            Engine::MariaDb,
            mysql,
            [
                "mariadb://db:1/s?sslMode=disable",
                "mariadb://db:1/s?sslMode=trust",
                "mariadb://db:1/s?sslMode=verify-ca",
                "mariadb://db:1/s?sslMode=verify-full",
            ],
        );
    }
}

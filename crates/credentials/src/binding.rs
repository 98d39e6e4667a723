//! What an application Secret holds: a Service Binding (servicebinding.io, specification 1.1) with the
//! well-known keys of a database, and nothing that would have to be assembled by the application.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use dbop_model::{Engine, LoginName};
use secrecy::{ExposeSecret, SecretString};

/// Where and how an application connects. Its `data` is a Secret's content.
#[derive(Debug, Clone)]
pub struct Binding {
    /// The engine, which gives `type`.
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
    /// `sslmode` of the URI (libpq's name of the mode).
    pub sslmode: &'static str,
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
        match self.engine {
            Engine::PostgreSql => "postgresql",
            Engine::MySql | Engine::MariaDb => "mysql",
        }
    }

    /// The connection URI, percent-encoded (RFC 3986): `postgresql://user:password@host:port/db?sslmode=...`.
    pub fn uri(&self) -> SecretString {
        format!(
            "{}://{}:{}@{}:{}/{}?sslmode={}",
            self.kind(),
            encoded(self.username.as_str()),
            encoded(self.password.expose_secret()),
            if self.host.contains(':') {
                format!("[{}]", self.host)
            } else {
                encoded(&self.host)
            },
            self.port,
            encoded(&self.database),
            self.sslmode,
        )
        .into()
    }

    /// The JDBC URL, without login and password: drivers take these apart (PostgreSQL JDBC, "Connecting to
    /// the Database").
    pub fn jdbc_url(&self) -> String {
        format!(
            "jdbc:{}://{}:{}/{}?sslmode={}",
            self.kind(),
            self.url_host(),
            self.port,
            encoded(&self.database),
            self.sslmode
        )
    }

    fn url_host(&self) -> String {
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
            sslmode: "require",
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
}

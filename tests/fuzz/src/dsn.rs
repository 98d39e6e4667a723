//! Connection strings: no error shows a password; what is read can be written and is read as the same; and no part
//! of one that is put together from a Secret's keys reaches into another.

use std::net::Ipv6Addr;

use dbop_credentials::parts;
use dbop_database::{Connector, Endpoint, Target};
use dbop_model::{DsnKeys, Engine, PartKeys, TlsMode};
use dbop_mysql::MySql;
use dbop_postgres::Postgres;
use jiff::Timestamp;
use secrecy::SecretString;

/// It is in the connection strings, and no error may show it.
const PASSWORD: &str = "kAnArY-0815";

/// The text as a whole, as what follows a password, and its lines as the parts of a Secret.
pub(crate) fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for engine in [Engine::PostgreSql, Engine::MySql] {
        let connector = connector(engine);
        let scheme = match engine {
            Engine::PostgreSql => "postgresql",
            Engine::MySql | Engine::MariaDb => "mysql",
        };
        for dsn in [
            text.to_string(),
            format!("{scheme}://user:{PASSWORD}{text}"),
            format!("{scheme}://user:{PASSWORD}@{text}"),
            format!("{scheme}://user:{PASSWORD}@host/shop?{text}"),
        ] {
            if let Some(endpoint) = endpoint(&*connector, dsn.into()) {
                is_read_again(&*connector, &endpoint);
            }
        }
        of_parts(&*connector, engine, &text);
    }
}

fn connector(engine: Engine) -> Box<dyn Connector> {
    let now = || Timestamp::UNIX_EPOCH;
    match engine {
        Engine::PostgreSql => Box::new(Postgres::new(now)),
        Engine::MySql | Engine::MariaDb => Box::new(MySql::new(now)),
    }
}

/// Where a connection string leads, and that what is said of a wrong one holds no password.
fn endpoint(connector: &dyn Connector, dsn: SecretString) -> Option<Endpoint> {
    let target = Target {
        dsn,
        // What the string says of TLS would be refused where the mode says another thing.
        tls: None,
        ca_certificate: None,
    };
    let shown = format!("{target:?}");
    assert!(!shown.contains(PASSWORD), "{shown}");
    match connector.endpoint(&target) {
        Ok(endpoint) => Some(endpoint),
        Err(error) => {
            let said = format!("{error} {error:?}");
            assert!(!said.contains(PASSWORD), "{said}");
            assert!(!said.contains(char::is_control), "{said:?}");
            None
        }
    }
}

/// The same place, written with each part encoded.
fn is_read_again(connector: &dyn Connector, endpoint: &Endpoint) {
    assert!(endpoint.port > 0 && !endpoint.host.is_empty() && !endpoint.database.is_empty());
    let port = endpoint.port.to_string();
    let Endpoint {
        engine,
        host,
        database,
        ..
    } = endpoint;
    let dsn = put_together(*engine, [host, &port, database, "user", PASSWORD]);
    let again = self::endpoint(connector, dsn).expect("what was read can be written");
    assert_eq!(
        (again.port, &again.database),
        (endpoint.port, &endpoint.database)
    );
    is_host(&again, host);
}

/// The lines as host, port, database, user and password.
fn of_parts(connector: &dyn Connector, engine: Engine, text: &str) {
    let mut lines = text.split('\n');
    let mut part = || lines.next().unwrap_or_default();
    let [host, port, database, user] = [part(), part(), part(), part()];
    let password = format!("{PASSWORD}{}", part());
    let dsn = put_together(engine, [host, port, database, user, &password]);
    let Some(endpoint) = endpoint(connector, dsn) else {
        return;
    };
    is_host(&endpoint, host);
    // An empty port is the engine's own.
    if !port.is_empty() {
        assert_eq!(port.parse(), Ok(endpoint.port));
    }
    assert_eq!(endpoint.database, database);
    // No part turned TLS off.
    let without = ["localhost", "127.", "::1", "/"];
    if endpoint.tls == TlsMode::Disable {
        let is_local = |begin: &&str| endpoint.host.to_ascii_lowercase().starts_with(begin);
        assert!(without.iter().any(is_local), "{endpoint:?}");
    }
}

/// The same host; an address of IPv6 may be spelled in many ways.
#[track_caller]
fn is_host(endpoint: &Endpoint, host: &str) {
    match host.parse::<Ipv6Addr>() {
        Ok(address) => assert_eq!(endpoint.host.parse(), Ok(address)),
        Err(_) => assert_eq!(endpoint.host, host),
    }
}

fn put_together(engine: Engine, values: [&str; 5]) -> SecretString {
    let names = ["host", "port", "database", "username", "password"];
    let [host, port, database, username, password] = names.map(str::to_owned);
    let keys = DsnKeys::Parts(PartKeys {
        engine,
        host,
        port,
        database,
        username,
        password,
    });
    let value = |key: &str| {
        let at = names.iter().position(|name| *name == key);
        at.map(|at| SecretString::from(values[at])).ok_or(())
    };
    parts::dsn(&keys, value).expect("every key is there")
}

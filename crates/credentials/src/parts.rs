//! The admin's DSN, whole in one key of a Secret or put together from the parts in several.
//!
//! What is wrong with a part is found where every DSN is read, since each is encoded: no value ends its part, or begins
//! another.

use dbop_model::{DsnKeys, PartKeys};
use secrecy::{ExposeSecret as _, SecretString};

use crate::binding::{encoded, scheme};

/// The DSN that stands under these keys; `value` has what stands under one.
///
/// ```
/// use dbop_credentials::parts::dsn;
/// use dbop_model::{DsnKeys, Engine, PartKeys};
/// use secrecy::ExposeSecret as _;
///
/// let keys = DsnKeys::Parts(PartKeys {
///     engine: Engine::PostgreSql,
///     host: "host".into(),
///     port: "port".into(),
///     database: "database".into(),
///     username: "username".into(),
///     password: "password".into(),
/// });
/// let value = |key: &str| match key {
///     "host" => Ok("fd00::1".into()),
///     "port" => Ok("5432".into()),
///     "password" => Ok("a/b@c".into()),
///     other => Ok::<_, ()>(other.into()),
/// };
/// let dsn = dsn(&keys, value).unwrap();
/// assert_eq!(dsn.expose_secret(), "postgresql://username:a%2Fb%40c@[fd00::1]:5432/database");
/// ```
///
/// # Errors
/// What `value` gives.
pub fn dsn<E>(
    keys: &DsnKeys,
    value: impl Fn(&str) -> Result<SecretString, E>,
) -> Result<SecretString, E> {
    let PartKeys {
        engine,
        host,
        port,
        database,
        username,
        password,
    } = match keys {
        DsnKeys::Whole(key) => return value(key),
        DsnKeys::Parts(parts) => parts,
    };
    let part = |key: &str| Ok(encoded(value(key)?.expose_secret()));
    let address = value(host)?;
    let address = match address.expose_secret().parse::<std::net::Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) => encoded(address.expose_secret()),
    };
    Ok(format!(
        "{}://{}:{}@{address}:{}/{}",
        scheme(*engine),
        part(username)?,
        part(password)?,
        part(port)?,
        part(database)?,
    )
    .into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use dbop_model::Engine;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever they hold, there are as many delimiters as there are between parts.
        #[test]
        fn no_part_ends_or_begins_another(parts in proptest::array::uniform5("([a-z0-9]|[:/@?#&=%,\\[\\] ]|.){0,16}")) {
            let names = ["host", "port", "database", "username", "password"];
            let held: BTreeMap<_, _> = names.into_iter().zip(&parts).collect();
            let [host, port, database, username, password] = names.map(str::to_owned);
            let engine = Engine::MySql;
            let keys = DsnKeys::Parts(PartKeys { engine, host, port, database, username, password });
            let dsn = dsn(&keys, |key| Ok::<_, ()>(held[key].clone().into())).unwrap();
            let rest = dsn.expose_secret().strip_prefix("mysql://").unwrap();
            let (login, place) = rest.split_once('@').unwrap();
            let (username, password) = login.split_once(':').unwrap();
            let (address, database) = place.split_once('/').unwrap();
            let (host, port) = address.rsplit_once(':').unwrap();
            let read = [host, port, database, username, password];
            for (name, (encoded, text)) in names.iter().zip(read.into_iter().zip(&parts)) {
                if *name == "host" && encoded.starts_with('[') {
                    prop_assert!(text.parse::<std::net::Ipv6Addr>().is_ok());
                    continue;
                }
                prop_assert!(!encoded.contains([':', '/', '@', '?', '#', '&', ',']), "{}", name);
                prop_assert_eq!(encoded, &super::encoded(text));
            }
        }
    }
}

//! The further keys of an application Secret: ready-made ones, in the words of one client each, and those that a user
//! writes as templates.
//!
//! A key whose value its reader could not read back is left out, and a Pod that needs it waits: that is seen, and a
//! connection string that logs in with half a password, or without the check of a certificate, is not. What such
//! values are is said with each format. Passwords that the operator makes have no such characters.
//!
//! | preset | read by | its rules are those of |
//! |---|---|---|
//! | `Jdbc` | PostgreSQL JDBC, Connector/J, MariaDB Connector/J | a URL; MariaDB's driver takes values as they stand, and decodes nothing |
//! | `SqlAlchemy` | SQLAlchemy, with PyMySQL on MySQL and MariaDB | a URL, whose database is not decoded before 2.1 |
//! | `DotNet` | Npgsql; MySqlConnector, Connector/NET | `DbConnectionStringBuilder` |
//! | `PgPass`, `PgService` | libpq, and drivers that read its files | PostgreSQL manual, sections 32.16 and 32.17 |

use std::collections::BTreeMap;
use std::fmt::Write as _;

use dbop_model::{
    Encoder, Engine, KeyTemplate, Part, Preset, SecretTemplate, TemplateValue, TlsMode,
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::Binding;
use crate::binding::encoded;

/// Bytes of one further key. With as many keys as a template may have, a Secret stays below the 1 MiB that Kubernetes
/// lets it have, however often a template names the CA.
pub const VALUE_BYTES_MAX: usize = 16 << 10;
/// Bytes of a line that libpq reads of a service file (`parseServiceFile`: a buffer of 1024, its end included).
const SERVICE_LINE_BYTES_MAX: usize = 1022;
/// The section of `pg_service.conf`: the same for every credential, so that an application's configuration is.
pub const SERVICE: &str = "app";
/// The name of the CA's key, and so of its file.
const CA_FILE: &str = "ca.crt";

/// The further keys of a Secret, with their values. One that cannot be written for this server and password is not
/// among them.
pub fn keys(template: &SecretTemplate, binding: &Binding) -> BTreeMap<String, SecretString> {
    let presets = template.presets.iter().map(|preset| {
        let value = in_words_of(*preset, template, binding);
        let value = value.filter(|value| bounded(value).is_some());
        (preset.key().to_owned(), value)
    });
    let own = template
        .keys
        .iter()
        .map(|(key, template)| (key.clone(), filled_in(template, binding)));
    presets
        .chain(own)
        .filter_map(|(key, value)| Some((key, value?)))
        .map(|(key, value)| (key, value.into()))
        .collect()
}

/// A template with the parts of a connection in it; `None`: one of them is not there, or cannot be written so.
fn filled_in(template: &KeyTemplate, binding: &Binding) -> Option<String> {
    let mut out = String::new();
    for part in template.parts() {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Value(value, encoders) => out.push_str(&one(*value, encoders, binding)?),
        }
        // A template may name the CA a thousand times.
        bounded(&out)?;
    }
    Some(out)
}

/// `None`: it is longer than a key may be.
fn bounded(value: &str) -> Option<&str> {
    (value.len() <= VALUE_BYTES_MAX).then_some(value)
}

fn one(value: TemplateValue, encoders: &[Encoder], binding: &Binding) -> Option<String> {
    if let (TemplateValue::Host, [Encoder::Url, behind @ ..]) = (value, encoders) {
        return encode(binding.url_host(), behind);
    }
    let text = match value {
        TemplateValue::Host => binding.host.clone(),
        TemplateValue::Port => binding.port.to_string(),
        TemplateValue::Database => binding.database.clone(),
        TemplateValue::Username => binding.username.to_string(),
        TemplateValue::Password => binding.password.expose_secret().to_owned(),
        TemplateValue::Uri => binding.uri().expose_secret().to_owned(),
        TemplateValue::JdbcUrl => binding.jdbc_url(),
        TemplateValue::Ca => binding.ca_certificate.clone()?,
    };
    encode(text, encoders)
}

fn encode(text: String, encoders: &[Encoder]) -> Option<String> {
    encoders
        .iter()
        .try_fold(text, |text, encoder| encode_once(*encoder, &text))
}

fn encode_once(encoder: Encoder, text: &str) -> Option<String> {
    match encoder {
        Encoder::Url => Some(encoded(text)),
        Encoder::PgPass => pgpass(text),
        Encoder::PgService => pgservice(text),
        Encoder::DotNet => dotnet(text),
        Encoder::ConnInfo => Some(conninfo(text)),
        Encoder::Json => Some(json(text)),
    }
}

/// A field of a password file. A line is a line, and a `*` by itself would be any.
fn pgpass(text: &str) -> Option<String> {
    match text {
        _ if text.contains(['\n', '\r', '\0']) => None,
        "*" => Some("\\*".to_owned()),
        _ => Some(text.replace('\\', "\\\\").replace(':', "\\:")),
    }
}

/// A value in a service file: it stands as it is, and white space at its end is cut off.
fn pgservice(text: &str) -> Option<String> {
    let is_cut = text.ends_with(|last: char| last.is_ascii_whitespace() || last == '\x0b');
    (!is_cut && !text.contains(['\n', '\0'])).then(|| text.to_owned())
}

/// A value in a connection string of .NET: in double quotes unless it is plain (`DbConnectionStringBuilder`, remarks).
fn dotnet(text: &str) -> Option<String> {
    match text {
        _ if text.contains('\0') => None,
        _ if is_plain(text) => Some(text.to_owned()),
        _ => Some(format!("\"{}\"", text.replace('"', "\"\""))),
    }
}

/// A value in a `keyword=value` string (PostgreSQL manual, section 32.1.1.1).
fn conninfo(text: &str) -> String {
    match is_plain(text) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
    }
}

/// The inside of a text in JSON (RFC 8259, section 7).
fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for one in text.chars() {
        match one {
            '"' | '\\' => out.extend(['\\', one]),
            '\n' => out.push_str("\\n"),
            '\0'..='\x1f' => {
                let _ = write!(out, "\\u{:04x}", u32::from(one));
            }
            _ => out.push(one),
        }
    }
    out
}

/// Does a text need no quoting anywhere?
fn is_plain(text: &str) -> bool {
    !text.is_empty() && encoded(text) == text
}

fn in_words_of(preset: Preset, template: &SecretTemplate, binding: &Binding) -> Option<String> {
    let ca = format!("{}/{CA_FILE}", template.mount_path);
    let ca = matches!(binding.tls, TlsMode::VerifyCa | TlsMode::VerifyFull).then_some(ca);
    match preset {
        Preset::Jdbc => jdbc(binding, ca.as_deref()),
        Preset::SqlAlchemy => sqlalchemy(binding, ca.as_deref()),
        Preset::DotNet => ado_net(binding, ca.as_deref()),
        Preset::PgPass => of_postgresql(binding, password_file),
        Preset::PgService => of_postgresql(binding, |binding| service_file(binding, ca.as_deref())),
    }
}

/// What only clients of PostgreSQL read.
fn of_postgresql(
    binding: &Binding,
    write: impl FnOnce(&Binding) -> Option<String>,
) -> Option<String> {
    match binding.engine {
        Engine::PostgreSql => write(binding),
        Engine::MySql | Engine::MariaDb => None,
    }
}

/// A JDBC URL with login and password in it.
fn jdbc(binding: &Binding, ca: Option<&str>) -> Option<String> {
    let (user, password) = (binding.username.as_str(), binding.password.expose_secret());
    let ca = match (binding.engine, ca) {
        (Engine::PostgreSql, Some(ca)) => format!("&sslrootcert={ca}"),
        (Engine::MariaDb, Some(ca)) => format!("&serverSslCert={ca}"),
        // Connector/J takes no PEM: the application says where its key store is.
        (Engine::MySql, _) | (_, None) => String::new(),
    };
    let as_it_stands = [user, password, &binding.database]
        .into_iter()
        .all(is_plain);
    if binding.engine == Engine::MariaDb && !as_it_stands {
        return None;
    }
    Some(format!(
        "{}&user={}&password={}{ca}",
        binding.jdbc_url(),
        encoded(user),
        encoded(password),
    ))
}

/// A URL for `create_engine`: for SQLAlchemy's default driver of PostgreSQL, and for PyMySQL.
fn sqlalchemy(binding: &Binding, ca: Option<&str>) -> Option<String> {
    let (scheme, query) = match (binding.engine, binding.tls, ca) {
        (Engine::PostgreSql, tls, None) => ("postgresql", format!("?sslmode={}", tls.libpq())),
        (Engine::PostgreSql, tls, Some(ca)) => (
            "postgresql",
            format!("?sslmode={}&sslrootcert={ca}", tls.libpq()),
        ),
        (_, TlsMode::VerifyFull, Some(ca)) => ("mysql+pymysql", format!("?ssl_ca={ca}")),
        (_, _, Some(ca)) => (
            "mysql+pymysql",
            format!("?ssl_ca={ca}&ssl_check_hostname=false"),
        ),
        (_, TlsMode::Disable, None) => ("mysql+pymysql", String::new()),
        // Any word about TLS makes PyMySQL use it; without a CA nothing is checked.
        (_, _, None) => ("mysql+pymysql", "?ssl_check_hostname=false".to_owned()),
    };
    // The database stands as it is before 2.1, and percent-encoded from then on: these are the same in both.
    if binding.database.contains(['%', '?', '#']) {
        return None;
    }
    Some(format!(
        "{scheme}://{}:{}@{}:{}/{}{query}",
        encoded(binding.username.as_str()),
        encoded(binding.password.expose_secret()),
        binding.url_host(),
        binding.port,
        binding.database,
    ))
}

/// A connection string of Npgsql, or one that both MySqlConnector and Connector/NET take.
fn ado_net(binding: &Binding, ca: Option<&str>) -> Option<String> {
    let (host, user, tls, ca_file) = match binding.engine {
        Engine::PostgreSql => ("Host", "Username", "SSL Mode", "Root Certificate"),
        Engine::MySql | Engine::MariaDb => ("Server", "User ID", "SslMode", "SslCa"),
    };
    let mode = match (binding.engine, binding.tls) {
        (Engine::PostgreSql, TlsMode::Disable) => "Disable",
        (Engine::PostgreSql, TlsMode::Require) => "Require",
        (_, TlsMode::Disable) => "Disabled",
        (_, TlsMode::Require) => "Required",
        (_, TlsMode::VerifyCa) => "VerifyCA",
        (_, TlsMode::VerifyFull) => "VerifyFull",
    };
    // As in `Binding::jdbc_url`: without TLS nobody could log in otherwise.
    let key = match (binding.engine, binding.tls) {
        (Engine::MySql, TlsMode::Disable) => ";AllowPublicKeyRetrieval=true",
        _ => "",
    };
    let ca = match ca {
        Some(ca) => format!(";{ca_file}={ca}"),
        None => String::new(),
    };
    Some(format!(
        "{host}={};Port={};Database={};{user}={};Password={};{tls}={mode}{ca}{key}",
        dotnet(&binding.host)?,
        binding.port,
        dotnet(&binding.database)?,
        dotnet(binding.username.as_str())?,
        dotnet(binding.password.expose_secret())?,
    ))
}

/// A password file of one line.
fn password_file(binding: &Binding) -> Option<String> {
    // A line that begins so is a comment.
    if binding.host.starts_with('#') {
        return None;
    }
    Some(format!(
        "{}:{}:{}:{}:{}\n",
        pgpass(&binding.host)?,
        binding.port,
        pgpass(&binding.database)?,
        pgpass(binding.username.as_str())?,
        pgpass(binding.password.expose_secret())?,
    ))
}

/// A service file of one service.
fn service_file(binding: &Binding, ca: Option<&str>) -> Option<String> {
    let port = binding.port.to_string();
    let mut values = vec![
        ("host", binding.host.as_str()),
        ("port", &port),
        ("dbname", &binding.database),
        ("user", binding.username.as_str()),
        ("password", binding.password.expose_secret()),
        ("sslmode", binding.tls.libpq()),
    ];
    values.extend(ca.map(|ca| ("sslrootcert", ca)));
    let mut file = format!("[{SERVICE}]\n");
    for (keyword, value) in values {
        let line = format!("{keyword}={}", pgservice(value)?);
        if line.len() > SERVICE_LINE_BYTES_MAX {
            return None;
        }
        file.push_str(&line);
        file.push('\n');
    }
    Some(file)
}

#[cfg(test)]
mod tests;

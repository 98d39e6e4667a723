//! What a user adds to the Secrets of credentials: labels, annotations, a type, and further keys whose values are
//! written out of a template.
//!
//! A template is text in which `{name}` stands for a part of the connection and `{name|encoder}` for that part as some
//! format needs it; `{{` and `}}` are braces. It is parsed here and filled in by `dbop-credentials`, so that no
//! template that could not be filled in gets past the way into the model.

use std::collections::{BTreeMap, BTreeSet};

/// Encoders behind one value: a connection string in a JSON file takes two, and nothing in use takes three.
pub const ENCODERS_MAX: usize = 3;
/// Where applications mount a Secret unless they say otherwise: as the documentation does.
pub const MOUNT_PATH: &str = "/credential";

/// The keys that every Secret of a credential has, and `ca.crt` where TLS is verified. They are never a user's.
pub const STANDARD_KEYS: [&str; 9] = [
    "type", "provider", "host", "port", "database", "username", "password", "uri", "ca.crt",
];

/// What a user adds to the Secrets of a database's credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretTemplate {
    /// Labels beside the operator's marks.
    pub labels: BTreeMap<String, String>,
    /// Annotations beside the operator's marks.
    pub annotations: BTreeMap<String, String>,
    /// The type of Secrets that are made from now on; `None`: that of a service binding.
    pub kind: Option<String>,
    /// Ready-made keys.
    pub presets: BTreeSet<Preset>,
    /// Keys of the user's own.
    pub keys: BTreeMap<String, KeyTemplate>,
    /// The directory in which applications find the Secret's keys as files, without a slash at its end.
    pub mount_path: String,
}

impl Default for SecretTemplate {
    fn default() -> Self {
        Self {
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            kind: None,
            presets: BTreeSet::new(),
            keys: BTreeMap::new(),
            mount_path: MOUNT_PATH.to_owned(),
        }
    }
}

/// A ready-made key, in the words of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "they are the clients' own names")]
pub enum Preset {
    Jdbc,
    SqlAlchemy,
    DotNet,
    PgPass,
    PgService,
}

impl Preset {
    /// Every one of them.
    pub const ALL: [Preset; 5] = [
        Preset::Jdbc,
        Preset::SqlAlchemy,
        Preset::DotNet,
        Preset::PgPass,
        Preset::PgService,
    ];

    /// The key that it adds.
    pub fn key(self) -> &'static str {
        match self {
            Preset::Jdbc => "jdbc-url",
            Preset::SqlAlchemy => "sqlalchemy-url",
            Preset::DotNet => "ado-net",
            Preset::PgPass => "pgpass",
            Preset::PgService => "pg_service.conf",
        }
    }
}

/// A part of the connection that a template can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are called as in templates")]
pub enum TemplateValue {
    Host,
    Port,
    Database,
    Username,
    Password,
    Uri,
    JdbcUrl,
    Ca,
}

impl TemplateValue {
    /// Every one of them, in the order in which people are told.
    pub const ALL: [TemplateValue; 8] = [
        TemplateValue::Host,
        TemplateValue::Port,
        TemplateValue::Database,
        TemplateValue::Username,
        TemplateValue::Password,
        TemplateValue::Uri,
        TemplateValue::JdbcUrl,
        TemplateValue::Ca,
    ];

    /// As templates call it.
    pub fn name(self) -> &'static str {
        match self {
            TemplateValue::Host => "host",
            TemplateValue::Port => "port",
            TemplateValue::Database => "database",
            TemplateValue::Username => "username",
            TemplateValue::Password => "password",
            TemplateValue::Uri => "uri",
            TemplateValue::JdbcUrl => "jdbcUrl",
            TemplateValue::Ca => "ca",
        }
    }
}

/// How a value is written so that the reader of a format gets it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoder {
    /// Percent-encoded for any part of a URL; of `host`, an IPv6 address in brackets.
    Url,
    /// A field of libpq's password file.
    PgPass,
    /// A value in libpq's service file, which knows no quoting.
    PgService,
    /// A value in a connection string of .NET.
    DotNet,
    /// A value in a `keyword=value` connection string of libpq.
    ConnInfo,
    /// Inside of the quotes of a JSON text.
    Json,
}

impl Encoder {
    /// Every one of them, in the order in which people are told.
    pub const ALL: [Encoder; 6] = [
        Encoder::Url,
        Encoder::PgPass,
        Encoder::PgService,
        Encoder::DotNet,
        Encoder::ConnInfo,
        Encoder::Json,
    ];

    /// As templates call it.
    pub fn name(self) -> &'static str {
        match self {
            Encoder::Url => "url",
            Encoder::PgPass => "pgpass",
            Encoder::PgService => "pgservice",
            Encoder::DotNet => "dotnet",
            Encoder::ConnInfo => "conninfo",
            Encoder::Json => "json",
        }
    }
}

/// A parsed template.
///
/// ```
/// use dbop_model::KeyTemplate;
/// assert!(KeyTemplate::parse("user={username} password={password|conninfo}").is_ok());
/// let wrong = KeyTemplate::parse("user={user}").unwrap_err();
/// assert!(wrong.to_string().starts_with("at character 6: there is no value user; "));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyTemplate(Vec<Part>);

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text that stands as it is.
    Text(String),
    /// A part of the connection, through these encoders from left to right.
    Value(TemplateValue, Vec<Encoder>),
}

/// Why a text is no template, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {at}: {problem}")]
pub struct TemplateError {
    /// Which character, counted from 1.
    pub at: usize,
    /// What is wrong, and what there is.
    pub problem: String,
}

impl KeyTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// An unknown value or encoder, a brace without its other: by its place.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let at = text[..text.len() - rest.len()].chars().count() + 1;
            let wrong = |problem: String| TemplateError { at, problem };
            if let Some(behind) = rest.strip_prefix("{{").or(rest.strip_prefix("}}")) {
                plain.push(next);
                rest = behind;
            } else if let Some(behind) = rest.strip_prefix('{') {
                let (within, behind) = behind
                    .split_once('}')
                    .filter(|(within, _)| !within.contains('{'))
                    .ok_or_else(|| {
                        wrong("{ has no }; write {{ for a brace that is to stay".to_owned())
                    })?;
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(value(within).map_err(wrong)?);
                rest = behind;
            } else if next == '}' {
                return Err(wrong(
                    "} has no {; write }} for a brace that is to stay".to_owned(),
                ));
            } else {
                plain.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self(parts))
    }

    /// Its parts, in order.
    pub fn parts(&self) -> &[Part] {
        &self.0
    }
}

/// What stands between braces.
fn value(within: &str) -> Result<Part, String> {
    let mut words = within.split('|');
    let name = words.next().unwrap_or_default();
    let value = TemplateValue::ALL
        .into_iter()
        .find(|one| one.name() == name);
    let value = value.ok_or_else(|| {
        let all = TemplateValue::ALL.map(TemplateValue::name).join(", ");
        format!("there is no value {}; the values are {all}", shown(name))
    })?;
    let mut encoders = Vec::new();
    for word in words {
        let encoder = Encoder::ALL.into_iter().find(|one| one.name() == word);
        encoders.push(encoder.ok_or_else(|| {
            let all = Encoder::ALL.map(Encoder::name).join(", ");
            format!(
                "there is no encoder {}; the encoders are {all}",
                shown(word)
            )
        })?);
    }
    if encoders.len() > ENCODERS_MAX {
        return Err(format!(
            "{} encoders follow one value, {ENCODERS_MAX} are allowed",
            encoders.len()
        ));
    }
    Ok(Part::Value(value, encoders))
}

/// Characters of a misspelt name that are shown.
const SHOWN_CHARS_MAX: usize = 20;

fn shown(name: &str) -> String {
    let short: String = name.chars().take(SHOWN_CHARS_MAX).collect();
    match short.is_empty() {
        true => "without a name".to_owned(),
        false => short.escape_debug().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let shown = match KeyTemplate::parse(text) {
            Ok(template) => {
                let parts = template.parts().iter().map(|part| match part {
                    Part::Text(text) => format!("'{text}'"),
                    Part::Value(value, encoders) => {
                        let encoders = encoders.iter().map(|one| one.name());
                        std::iter::once(value.name())
                            .chain(encoders)
                            .collect::<Vec<_>>()
                            .join("|")
                    }
                });
                parts.collect::<Vec<_>>().join(" ")
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expect, "{text}");
    }

    #[test]
    fn templates_are_read_or_refused_with_the_place() {
        check("", "");
        check("plain", "'plain'");
        check("{host}:{port}", "host ':' port");
        check("{password|dotnet|json}", "password|dotnet|json");
        check(
            "{{\"u\": \"{username|json}\"}}",
            "'{\"u\": \"' username|json '\"}'",
        );
        check("{{{host}}}", "'{' host '}'");
        check("ä{ca}\n", "'ä' ca '\n'");
        let values = "the values are host, port, database, username, password, uri, jdbcUrl, ca";
        let encoders = "the encoders are url, pgpass, pgservice, dotnet, conninfo, json";
        check(
            "ä{hots}",
            &format!("at character 2: there is no value hots; {values}"),
        );
        check(
            "{}",
            &format!("at character 1: there is no value without a name; {values}"),
        );
        check(
            "{ host}",
            &format!("at character 1: there is no value  host; {values}"),
        );
        check(
            "{host|uri}",
            &format!("at character 1: there is no encoder uri; {encoders}"),
        );
        check(
            "{host|}",
            &format!("at character 1: there is no encoder without a name; {encoders}"),
        );
        check(
            "{host|url|url|url|url}",
            "at character 1: 4 encoders follow one value, 3 are allowed",
        );
        let open = "{ has no }; write {{ for a brace that is to stay";
        check("a{host", &format!("at character 2: {open}"));
        check("{ho{st}", &format!("at character 1: {open}"));
        let close = "} has no {; write }} for a brace that is to stay";
        check("{host}}", &format!("at character 7: {close}"));
        check("{{host}", &format!("at character 7: {close}"));
    }

    #[test]
    fn presets_and_standard_keys_never_share_a_name() {
        for preset in Preset::ALL {
            assert!(!STANDARD_KEYS.contains(&preset.key()));
        }
    }
}

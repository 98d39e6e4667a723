//! The admin DSN in libpq's form, with the downgrades left out.

use dbop_database::DatabaseError;
use dbop_database::dsn::{self, Form, SslMode, wrong};
use dbop_model::TlsMode;
use secrecy::SecretString;
use tokio_postgres::config::ChannelBinding;

static FORM: Form = Form {
    schemes: ["postgresql://", "postgres://"],
    other_schemes: &[
        "mysql",
        "mariadb",
        "sqlite",
        "sqlserver",
        "oracle",
        "mongodb",
        "redis",
        "jdbc:postgresql",
    ],
    port: 5432,
    known_keys: "sslmode, connect_timeout, application_name, channel_binding",
    key_joints: &['_'],
    tls_key: "sslmode",
    tls_modes: "require, verify-ca, verify-full or disable",
    tls_word: TlsMode::libpq,
};

/// A DSN, taken apart.
#[derive(Debug, Clone)]
pub(crate) struct Dsn {
    /// What every engine's DSN says.
    pub(crate) common: dsn::Dsn,
    pub(crate) application_name: Option<String>,
    pub(crate) channel_binding: Option<ChannelBinding>,
}

/// Takes a DSN apart.
///
/// # Errors
/// [`DatabaseError::Dsn`], which shows nothing of the text.
pub(crate) fn parse(dsn: &SecretString) -> Result<Dsn, DatabaseError> {
    let (mut application_name, mut channel_binding) = (None, None);
    let common = dsn::Dsn::parse(dsn, &FORM, |common, key, value| {
        match key {
            "sslmode" => common.ssl_mode = Some(sslmode(&value)?),
            "application_name" => application_name = Some(value).filter(|name| !name.is_empty()),
            "channel_binding" => {
                channel_binding = Some(match value.as_str() {
                    "disable" => ChannelBinding::Disable,
                    "prefer" => ChannelBinding::Prefer,
                    "require" => ChannelBinding::Require,
                    _ => return Err(wrong("has a channel_binding that is none of libpq's")),
                });
            }
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(Dsn {
        common,
        application_name,
        channel_binding,
    })
}

fn sslmode(value: &str) -> Result<SslMode, DatabaseError> {
    match value {
        "disable" => Ok(SslMode::Mode(TlsMode::Disable)),
        "allow" => Ok(SslMode::Downgradable("allow")),
        "prefer" => Ok(SslMode::Downgradable("prefer")),
        "require" => Ok(SslMode::Mode(TlsMode::Require)),
        "verify-ca" => Ok(SslMode::Mode(TlsMode::VerifyCa)),
        "verify-full" => Ok(SslMode::Mode(TlsMode::VerifyFull)),
        _ => Err(wrong("has an sslmode that is none of libpq's")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dbop_database::dsn::CONNECT_TIMEOUT_MAX;
    use proptest::prelude::*;
    use secrecy::ExposeSecret as _;

    use super::*;

    fn parsed(text: &str) -> Result<Dsn, DatabaseError> {
        parse(&text.to_owned().into())
    }

    #[track_caller]
    fn check(text: &str, expect: (&str, Option<&str>, &str, u16, &str)) {
        let dsn = parsed(text).unwrap().common;
        let password = dsn.password.as_ref().map(|p| p.expose_secret());
        assert_eq!(
            (
                dsn.user.as_str(),
                password,
                dsn.host.as_str(),
                dsn.port,
                dsn.database.as_str()
            ),
            expect
        );
    }

    #[track_caller]
    fn refused(text: &str, says: &str) {
        let error = parsed(text).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        for secret in ["s3cret", "hunter"] {
            assert!(!error.contains(secret), "{error}");
        }
    }

    #[test]
    fn dsns_are_read() {
        check(
            "postgresql://u:p@db:6432/shop",
            ("u", Some("p"), "db", 6432, "shop"),
        );
        check("postgres://u@db/shop", ("u", None, "db", 5432, "shop"));
        check("postgres://u:@db:/shop", ("u", None, "db", 5432, "shop"));
        check(
            "postgresql://u:p@[::1]:1/s",
            ("u", Some("p"), "::1", 1, "s"),
        );
        check(
            "postgresql://u:p@[fe80::1]/s",
            ("u", Some("p"), "fe80::1", 5432, "s"),
        );
        check(
            "postgresql://a%40b:p%2F%3a%25%C3%BC@db/s%2F1?connect_timeout=5",
            ("a@b", Some("p/:%ü"), "db", 5432, "s/1"),
        );
        check(
            " postgresql://u:p@db/s \n",
            ("u", Some("p"), "db", 5432, "s"),
        );
    }

    #[test]
    fn what_is_wrong_is_named_and_nothing_shown() {
        refused("", "is empty");
        refused("hunter2", "does not start with postgresql://");
        refused("s3cret://u:p@h/d", "does not start with");
        refused("mysql://u:s3cret@h/d", "names scheme 'mysql'");
        refused("postgresql://h/d", "has no user");
        refused("postgresql://:s3cret@h/d", "empty user");
        refused("postgresql://u:s3c@ret@h/d", "more than one '@'");
        refused("postgresql://u:s3cret%@h/d", "'%' in its password");
        refused("postgresql://u:s3cret%ff@h/d", "password that is not UTF-8");
        refused(
            "postgresql://u:s3cret%00@h/d",
            "NUL character in its password",
        );
        refused("postgresql://u:s3c?ret@h/d", "has no user");
        refused("postgresql://u:s3c#ret@h/d", "'#'");
        refused("postgresql://u:s3c/ret@h/d", "has no user");
        refused("postgresql://u:s3cret@/d", "has no host");
        refused("postgresql://u:s3cret@h,i/d", "several hosts");
        refused("postgresql://u:s3cret@%2Fvar%2Frun/d", "socket's directory");
        refused("postgresql://u:s3cret@h:x/d", "port");
        refused("postgresql://u:s3cret@h:0/d", "port");
        refused("postgresql://u:s3cret@h:70000/d", "port");
        refused("postgresql://u:s3cret@[::1/d", "closing ']'");
        refused("postgresql://u:s3cret@[hunter]/d", "no IPv6 address");
        refused("postgresql://u:s3cret@[::1]x/d", "after the ']'");
        refused("postgresql://u:s3cret@h", "names no database");
        refused("postgresql://u:s3cret@h/d/e", "'/' in the database");
        refused(
            "postgresql://u:s3cret@h/d?sslmode=s3cret",
            "none of libpq's",
        );
        refused(
            "postgresql://u:s3cret@h/d?options=-csearch_path%3Dx",
            "the parameter 'options'",
        );
        refused(
            "postgresql://u:s3cret@h/d?password=s3cret",
            "the parameter 'password'",
        );
        refused(
            "postgresql://u:s3cret@h/d?s3cret=1",
            "a parameter that is not known",
        );
        refused("postgresql://u:s3cret@h/d?s3cret", "without a value");
        refused(
            "postgresql://u:s3cret@h/d?connect_timeout=s3cret",
            "number of seconds",
        );
    }

    #[test]
    fn parameters_are_taken() {
        let text = "postgresql://u@h/d?application_name=shop%20ops&channel_binding=require\
                    &connect_timeout=3&sslmode=require";
        let dsn = parsed(text).unwrap();
        assert_eq!(dsn.application_name.as_deref(), Some("shop ops"));
        assert_eq!(dsn.channel_binding, Some(ChannelBinding::Require));
        assert_eq!(dsn.common.connect_timeout, Some(Duration::from_secs(3)));
        let timeout = |seconds: &str| {
            parsed(&format!("postgresql://u@h/d?connect_timeout={seconds}"))
                .unwrap()
                .common
                .connect_timeout
        };
        assert_eq!(timeout("0"), None);
        assert_eq!(timeout("100000"), Some(CONNECT_TIMEOUT_MAX));
    }

    #[test]
    fn tls_is_the_specs_then_the_dsns_then_required() {
        let tls = |text: &str, wanted| parsed(text).unwrap().common.tls(wanted);
        assert_eq!(tls("postgresql://u@db/s", None), Ok(TlsMode::Require));
        for here in ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "[::1]"] {
            assert_eq!(
                tls(&format!("postgresql://u@{here}/s"), None),
                Ok(TlsMode::Disable)
            );
        }
        assert_eq!(
            tls("postgresql://u@localhost/s", Some(TlsMode::VerifyFull)),
            Ok(TlsMode::VerifyFull)
        );
        let with = |mode: &str| format!("postgresql://u@db/s?sslmode={mode}");
        assert_eq!(tls(&with("verify-ca"), None), Ok(TlsMode::VerifyCa));
        assert_eq!(tls(&with("disable"), None), Ok(TlsMode::Disable));
        assert_eq!(
            tls(&with("require"), Some(TlsMode::Require)),
            Ok(TlsMode::Require)
        );
        let conflict = tls(&with("disable"), Some(TlsMode::VerifyFull)).unwrap_err();
        assert!(
            conflict
                .to_string()
                .contains("sslmode=disable, and connection.tls.mode is VerifyFull"),
            "{conflict}"
        );
        for weak in ["allow", "prefer"] {
            assert!(tls(&with(weak), None).is_err());
            assert_eq!(
                tls(&with(weak), Some(TlsMode::Require)),
                Ok(TlsMode::Require)
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_or_speak(text in "(postgresql://)?[a-z0-9:@/?#%&=\\[\\]., é]{0,40}") {
            if let Err(error) = parsed(&text) {
                let shown = error.to_string();
                let secret = text.trim_start_matches("postgresql://");
                prop_assert!(secret.len() < 8 || !shown.contains(secret));
            }
        }

        #[test]
        fn every_encoded_part_reads_back(user in ".{1,12}", password in ".{1,24}", database in ".{1,12}") {
            prop_assume!(!format!("{user}{password}{database}").contains('\0'));
            let encode = |part: &str| percent_encoding::utf8_percent_encode(
                part, percent_encoding::NON_ALPHANUMERIC).to_string();
            let text = format!(
                "postgresql://{}:{}@h/{}", encode(&user), encode(&password), encode(&database));
            let dsn = parsed(&text).unwrap().common;
            let read = dsn.password.unwrap();
            prop_assert_eq!(read.expose_secret(), password.as_str());
            prop_assert_eq!((dsn.user, dsn.database), (user, database));
        }
    }
}

//! The admin DSN: `mysql://user:password@host:port/database?...`, with the downgrades left out.

use dbop_database::DatabaseError;
use dbop_database::dsn::{Form, SslMode, wrong};
use dbop_model::{Engine, TlsMode};
use secrecy::SecretString;

pub(crate) use dbop_database::dsn::Dsn;

const MARIADB: &str = "mariadb://";
static FORM: Form = Form {
    schemes: ["mysql://", MARIADB],
    other_schemes: &[
        "postgresql",
        "postgres",
        "sqlite",
        "sqlserver",
        "oracle",
        "mongodb",
        "jdbc:mysql",
        "jdbc:mariadb",
    ],
    port: 3306,
    known_keys: "ssl-mode, connect_timeout",
    key_joints: &['_', '-'],
    tls_key: "ssl-mode",
    tls_modes: "REQUIRED, VERIFY_CA, VERIFY_IDENTITY or DISABLED",
    tls_word: TlsMode::mysql,
};

/// Takes a DSN apart.
///
/// # Errors
/// [`DatabaseError::Dsn`], which shows nothing of the text.
pub(crate) fn parse(dsn: &SecretString) -> Result<Dsn, DatabaseError> {
    Dsn::parse(dsn, &FORM, |dsn, key, value| {
        if !matches!(key, "ssl-mode" | "sslmode") {
            return Ok(false);
        }
        dsn.ssl_mode = Some(ssl_mode(&value)?);
        Ok(true)
    })
}

/// As the scheme says; which of the two it is, the server says.
pub(crate) fn engine(dsn: &Dsn) -> Engine {
    match dsn.scheme {
        MARIADB => Engine::MariaDb,
        _ => Engine::MySql,
    }
}

/// The names of MySQL's own programs, and those that other drivers have for the same.
fn ssl_mode(value: &str) -> Result<SslMode, DatabaseError> {
    match value.to_ascii_lowercase().replace('-', "_").as_str() {
        "disabled" | "disable" => Ok(SslMode::Mode(TlsMode::Disable)),
        "preferred" | "prefer" => Ok(SslMode::Downgradable("PREFERRED")),
        "required" | "require" => Ok(SslMode::Mode(TlsMode::Require)),
        "verify_ca" => Ok(SslMode::Mode(TlsMode::VerifyCa)),
        "verify_identity" | "verify_full" => Ok(SslMode::Mode(TlsMode::VerifyFull)),
        _ => Err(wrong("has an ssl-mode that is none of MySQL's")),
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
        let dsn = parsed(text).unwrap();
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
            "mysql://u:p@db:6432/shop",
            ("u", Some("p"), "db", 6432, "shop"),
        );
        check("mariadb://u@db/shop", ("u", None, "db", 3306, "shop"));
        check("mariadb://u:@db:/shop", ("u", None, "db", 3306, "shop"));
        check("mysql://u:p@[::1]:1/s", ("u", Some("p"), "::1", 1, "s"));
        check(
            "mysql://u:p@[fe80::1]/s",
            ("u", Some("p"), "fe80::1", 3306, "s"),
        );
        check(
            "mysql://a%40b:p%2F%3a%25%C3%BC@db/s%2F1?connect_timeout=5",
            ("a@b", Some("p/:%ü"), "db", 3306, "s/1"),
        );
        check(" mysql://u:p@db/s \n", ("u", Some("p"), "db", 3306, "s"));
    }

    #[test]
    fn what_is_wrong_is_named_and_nothing_shown() {
        refused("", "is empty");
        refused("hunter2", "does not start with mysql://");
        refused("s3cret://u:p@h/d", "does not start with");
        refused("postgresql://u:s3cret@h/d", "names scheme 'postgresql'");
        refused("mysql://h/d", "has no user");
        refused("mysql://:s3cret@h/d", "empty user");
        refused("mysql://u:s3c@ret@h/d", "more than one '@'");
        refused("mysql://u:s3cret%@h/d", "'%' in its password");
        refused("mysql://u:s3cret%ff@h/d", "password that is not UTF-8");
        refused("mysql://u:s3cret%00@h/d", "NUL character in its password");
        refused("mysql://u:s3c?ret@h/d", "has no user");
        refused("mysql://u:s3c#ret@h/d", "'#'");
        refused("mysql://u:s3c/ret@h/d", "has no user");
        refused("mysql://u:s3cret@/d", "has no host");
        refused("mysql://u:s3cret@h,i/d", "several hosts");
        refused("mysql://u:s3cret@%2Fvar%2Frun/d", "socket's directory");
        refused("mysql://u:s3cret@h:x/d", "port");
        refused("mysql://u:s3cret@h:0/d", "port");
        refused("mysql://u:s3cret@h:70000/d", "port");
        refused("mysql://u:s3cret@[::1/d", "closing ']'");
        refused("mysql://u:s3cret@[hunter]/d", "no IPv6 address");
        refused("mysql://u:s3cret@[::1]x/d", "after the ']'");
        refused("mysql://u:s3cret@h", "names no database");
        refused("mysql://u:s3cret@h/d/e", "'/' in the database");
        refused("mysql://u:s3cret@h/d?ssl-mode=s3cret", "none of MySQL's");
        refused(
            "mysql://u:s3cret@h/d?options=-csearch_path%3Dx",
            "the parameter 'options'",
        );
        refused(
            "mysql://u:s3cret@h/d?password=s3cret",
            "the parameter 'password'",
        );
        refused(
            "mysql://u:s3cret@h/d?s3cret=1",
            "a parameter that is not known",
        );
        refused("mysql://u:s3cret@h/d?s3cret", "without a value");
        refused(
            "mysql://u:s3cret@h/d?connect_timeout=s3cret",
            "number of seconds",
        );
    }

    #[test]
    fn parameters_are_taken() {
        let timeout = |seconds: &str| {
            parsed(&format!(
                "mysql://u@h/d?ssl-mode=REQUIRED&connect_timeout={seconds}"
            ))
            .unwrap()
            .connect_timeout
        };
        assert_eq!(timeout("3"), Some(Duration::from_secs(3)));
        assert_eq!(timeout("0"), None);
        assert_eq!(timeout("100000"), Some(CONNECT_TIMEOUT_MAX));
        assert_eq!(engine(&parsed("mysql://u@h/d").unwrap()), Engine::MySql);
        assert_eq!(engine(&parsed("mariadb://u@h/d").unwrap()), Engine::MariaDb);
    }

    #[test]
    fn tls_is_the_specs_then_the_dsns_then_required() {
        let tls = |text: &str, wanted| parsed(text).unwrap().tls(wanted);
        assert_eq!(tls("mysql://u@db/s", None), Ok(TlsMode::Require));
        for here in ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "[::1]"] {
            assert_eq!(
                tls(&format!("mysql://u@{here}/s"), None),
                Ok(TlsMode::Disable)
            );
        }
        assert_eq!(
            tls("mysql://u@localhost/s", Some(TlsMode::VerifyFull)),
            Ok(TlsMode::VerifyFull)
        );
        let with = |mode: &str| format!("mysql://u@db/s?ssl-mode={mode}");
        assert_eq!(tls(&with("VERIFY_CA"), None), Ok(TlsMode::VerifyCa));
        assert_eq!(tls(&with("disable"), None), Ok(TlsMode::Disable));
        assert_eq!(
            tls(&with("require"), Some(TlsMode::Require)),
            Ok(TlsMode::Require)
        );
        let conflict = tls(&with("disable"), Some(TlsMode::VerifyFull)).unwrap_err();
        assert!(
            conflict
                .to_string()
                .contains("ssl-mode=DISABLED, and connection.tls.mode is VerifyFull"),
            "{conflict}"
        );
        for weak in ["PREFERRED", "prefer"] {
            assert!(tls(&with(weak), None).is_err());
            assert_eq!(
                tls(&with(weak), Some(TlsMode::Require)),
                Ok(TlsMode::Require)
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_or_speak(text in "(mysql://)?[a-z0-9:@/?#%&=\\[\\]., é]{0,40}") {
            if let Err(error) = parsed(&text) {
                let shown = error.to_string();
                let secret = text.trim_start_matches("mysql://");
                prop_assert!(secret.len() < 8 || !shown.contains(secret));
            }
        }

        #[test]
        fn every_encoded_part_reads_back(user in ".{1,12}", password in ".{1,24}", database in ".{1,12}") {
            prop_assume!(!format!("{user}{password}{database}").contains('\0'));
            let encode = |part: &str| percent_encoding::utf8_percent_encode(
                part, percent_encoding::NON_ALPHANUMERIC).to_string();
            let text = format!(
                "mysql://{}:{}@h/{}", encode(&user), encode(&password), encode(&database));
            let dsn = parsed(&text).unwrap();
            let read = dsn.password.unwrap();
            prop_assert_eq!(read.expose_secret(), password.as_str());
            prop_assert_eq!((dsn.user, dsn.database), (user, database));
        }
    }
}

//! Rows into model values. Whatever a server answers, nothing here panics: what does not fit is an error.

use std::collections::BTreeSet;

use dbop_database::DatabaseError;
pub(crate) use dbop_database::columns::{Columns, all, one, unmanaged};
use dbop_model::{LoginName, Session};
use dbop_versions::Row;

/// How these servers write values.
pub(crate) trait Values {
    /// The next column, a boolean.
    fn boolean(&mut self) -> Result<bool, DatabaseError>;
    /// The next column, names of privileges with commas between them, in capitals.
    fn privileges(&mut self) -> Result<BTreeSet<String>, DatabaseError>;
}

impl Values for Columns<'_> {
    fn boolean(&mut self) -> Result<bool, DatabaseError> {
        self.either("0", "1")
    }

    fn privileges(&mut self) -> Result<BTreeSet<String>, DatabaseError> {
        let words = self.words()?;
        Ok(words.iter().map(|word| word.to_ascii_uppercase()).collect())
    }
}

/// The only column of the only row, a boolean.
pub(crate) fn boolean(operation: &'static str, rows: &[Row]) -> Result<bool, DatabaseError> {
    one(operation, rows, |columns| columns.boolean())
}

/// A session, from [`crate::query::sessions`].
pub(crate) fn session(columns: &mut Columns<'_>) -> Result<Session, DatabaseError> {
    let pid = columns.number()?;
    let user = columns.text()?;
    let user = LoginName::new(user)
        .map_err(|error| columns.unreadable(&format!("a login's name {error}")))?;
    let address = address(columns)?;
    Ok(Session {
        pid,
        user,
        address,
        application: None,
        age: None,
        replica: None,
    })
}

/// Where a client is, where the server shows it. Its port, which says nothing to people, stands behind the last
/// colon.
pub(crate) fn address(columns: &mut Columns<'_>) -> Result<Option<String>, DatabaseError> {
    let from = columns.nullable()?.filter(|from| !from.is_empty());
    Ok(from.map(|from| match from.rsplit_once(':') {
        Some((address, port)) if port.chars().all(|c| c.is_ascii_digit()) => address.to_owned(),
        _ => from.to_owned(),
    }))
}

/// An account, from [`crate::query::accounts_named`].
#[derive(Debug, Clone)]
pub(crate) struct KnownAccount {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) is_locked: bool,
    /// It was made by us, and has no mark yet.
    pub(crate) is_blank: bool,
}

pub(crate) fn known_account(columns: &mut Columns<'_>) -> Result<KnownAccount, DatabaseError> {
    Ok(KnownAccount {
        name: columns.text()?.to_owned(),
        host: columns.text()?.to_owned(),
        is_locked: columns.boolean()?,
        is_blank: columns.boolean()?,
    })
}

/// What a line of SHOW GRANTS gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    /// In capitals; those on columns alone are left out.
    pub(crate) privileges: BTreeSet<String>,
    pub(crate) on: On,
    /// May it be given on?
    pub(crate) can_grant: bool,
}

/// What a privilege is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum On {
    /// `*.*`
    Everything,
    /// All of a database, whose name may be a pattern.
    Database(String),
    /// A table, a routine, and so on.
    Other,
}

/// The word for all privileges that there are.
pub(crate) const ALL: &str = "ALL PRIVILEGES";

/// Reads a line of SHOW GRANTS; `None`: it gives a role, or something else that is of no use here.
pub(crate) fn held(line: &str) -> Option<Held> {
    let rest = line.strip_prefix("GRANT ")?;
    let at = outside_quotes(rest, " ON ")?;
    let (given, rest) = (&rest[..at], &rest[at + " ON ".len()..]);
    let to = outside_quotes(rest, " TO ")?;
    let (object, rest) = (&rest[..to], &rest[to..]);
    let on = match object.strip_suffix(".*") {
        Some("*") => On::Everything,
        Some(name) => On::Database(unquoted(name)?),
        None => On::Other,
    };
    let privileges = given
        .split(',')
        .map(str::trim)
        // `SELECT (a, b)` is torn apart by this, and left out.
        .filter(|word| !word.is_empty() && !word.contains(['(', ')', '`']))
        .map(str::to_ascii_uppercase)
        .collect();
    Some(Held {
        privileges,
        on,
        can_grant: rest.contains(" WITH GRANT OPTION"),
    })
}

/// Where `wanted` stands outside of quoted names.
fn outside_quotes(text: &str, wanted: &str) -> Option<usize> {
    let mut is_quoted = false;
    for (at, c) in text.char_indices() {
        if c == '`' {
            is_quoted = !is_quoted;
        }
        if !is_quoted && text[at..].starts_with(wanted) {
            return Some(at);
        }
    }
    None
}

fn unquoted(name: &str) -> Option<String> {
    let inner = name.strip_prefix('`')?.strip_suffix('`')?;
    Some(inner.replace("``", "`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(columns: &[Option<&str>]) -> Row {
        columns
            .iter()
            .map(|column| column.map(str::to_owned))
            .collect()
    }

    #[test]
    fn sessions_are_read_with_what_the_server_shows() {
        for (from, expect) in [
            (Some("10.0.0.7:51234"), Some("10.0.0.7")),
            (Some("fe80::1:51234"), Some("fe80::1")),
            (Some("localhost"), Some("localhost")),
            (Some(""), None),
            (None, None),
        ] {
            let row = row(&[Some("42"), Some("shop_v1"), from]);
            let seen = session(&mut Columns::of("test", &row)).unwrap();
            assert_eq!((seen.pid, seen.user.as_str()), (42, "shop_v1"));
            assert_eq!(seen.address.as_deref(), expect);
        }
    }

    #[test]
    fn rows_of_another_shape_are_errors() {
        for columns in [
            &[][..],
            &[None][..],
            &[Some("x")][..],
            &[Some("1")][..],
            &[Some("1"), Some("")][..],
        ] {
            assert!(session(&mut Columns::of("test", &row(columns))).is_err());
        }
        assert!(boolean("test", &[row(&[Some("maybe")])]).is_err());
        assert!(boolean("test", &[]).is_err());
    }

    #[track_caller]
    fn check(line: &str, expect: Option<(&[&str], On, bool)>) {
        let expect = expect.map(|(privileges, on, can_grant)| Held {
            privileges: privileges.iter().map(|p| (*p).to_owned()).collect(),
            on,
            can_grant,
        });
        assert_eq!(held(line), expect, "{line}");
    }

    #[test]
    fn grants_are_read() {
        check(
            "GRANT PROCESS, CREATE USER ON *.* TO `adm`@`%` IDENTIFIED BY PASSWORD '*00'",
            Some((&["CREATE USER", "PROCESS"], On::Everything, false)),
        );
        check(
            "GRANT ALL PRIVILEGES ON `p\\_x`.* TO `adm`@`%` WITH GRANT OPTION",
            Some((&[ALL], On::Database("p\\_x".into()), true)),
        );
        check(
            "GRANT SELECT ON `a`` ON *.* TO `.* TO `x`@`%`",
            Some((&["SELECT"], On::Database("a` ON *.* TO ".into()), false)),
        );
        check(
            "GRANT SELECT (`Host`, `User`), INSERT ON `mysql`.`user` TO `adm`@`%`",
            Some((&["INSERT"], On::Other, false)),
        );
        check("GRANT `r`@`%` TO `adm`@`%`", None);
        check("REVOKE SELECT ON `x`.* FROM `adm`@`%`", None);
        check("", None);
    }
}

//! Rows into model values. Whatever a server answers, nothing here panics: what does not fit is an error.

use std::collections::BTreeSet;
use std::time::Duration;

use dbop_database::DatabaseError;
pub(crate) use dbop_database::columns::{Columns, all, first, one, unmanaged};
use dbop_model::{LoginName, Session};
use dbop_versions::Row;

use crate::mark::Mark;

/// How this server writes values.
pub(crate) trait Values {
    /// The next column, a boolean.
    fn boolean(&mut self) -> Result<bool, DatabaseError>;
    /// The next column, an array of texts in JSON.
    fn json_texts(&mut self) -> Result<Vec<String>, DatabaseError>;
}

impl Values for Columns<'_> {
    fn boolean(&mut self) -> Result<bool, DatabaseError> {
        self.either("f", "t")
    }

    fn json_texts(&mut self) -> Result<Vec<String>, DatabaseError> {
        serde_json::from_str(self.text()?).map_err(|_| self.unreadable("a column is no JSON array"))
    }
}

/// The only column of the only row, a boolean.
pub(crate) fn boolean(operation: &'static str, rows: &[Row]) -> Result<bool, DatabaseError> {
    one(operation, rows, |columns| columns.boolean())
}

/// A login's name.
pub(crate) fn login(columns: &mut Columns<'_>) -> Result<LoginName, DatabaseError> {
    let name = columns.text()?;
    LoginName::new(name).map_err(|error| columns.unreadable(&format!("a login's name {error}")))
}

/// A session, from [`crate::query::sessions`].
pub(crate) fn session(columns: &mut Columns<'_>) -> Result<Session, DatabaseError> {
    let pid = columns.number()?;
    let user = login(columns)?;
    let address = columns.nullable()?.map(str::to_owned);
    let application = columns
        .nullable()?
        .filter(|name| !name.is_empty())
        .map(str::to_owned);
    let age = match columns.nullable()? {
        // A session that begins just now may be a moment younger than the clock says.
        Some(seconds) => seconds
            .parse()
            .ok()
            .and_then(|s: f64| Duration::try_from_secs_f64(s.max(0.0)).ok()),
        None => None,
    };
    Ok(Session {
        pid,
        user,
        address,
        application,
        age,
        replica: None,
    })
}

/// A group role that bears a claim, from [`crate::query::claims`].
pub(crate) struct Claimed {
    pub(crate) group: String,
    pub(crate) mark: Option<Mark>,
    pub(crate) is_here: bool,
    pub(crate) is_anywhere: bool,
}

pub(crate) fn claimed(columns: &mut Columns<'_>) -> Result<Claimed, DatabaseError> {
    Ok(Claimed {
        group: columns.text()?.to_owned(),
        mark: Mark::of_comment(columns.text()?),
        is_here: columns.boolean()?,
        is_anywhere: columns.boolean()?,
    })
}

/// A role of a claim, from [`crate::query::roles_of`].
pub(crate) struct MarkedRole {
    pub(crate) name: String,
    pub(crate) mark: Option<Mark>,
    pub(crate) can_login: bool,
    pub(crate) is_granted: bool,
}

pub(crate) fn marked_role(columns: &mut Columns<'_>) -> Result<MarkedRole, DatabaseError> {
    Ok(MarkedRole {
        name: columns.text()?.to_owned(),
        mark: Mark::of_comment(columns.text()?),
        can_login: columns.boolean()?,
        is_granted: columns.boolean()?,
    })
}

/// Who we are, from [`crate::query::ADMIN`].
pub(crate) struct Admin {
    pub(crate) name: String,
    pub(crate) is_superuser: bool,
    pub(crate) can_create_roles: bool,
    pub(crate) can_grant_connect: bool,
    pub(crate) can_grant_create: bool,
    pub(crate) database: String,
}

pub(crate) fn admin(columns: &mut Columns<'_>) -> Result<Admin, DatabaseError> {
    Ok(Admin {
        name: columns.text()?.to_owned(),
        is_superuser: columns.boolean()?,
        can_create_roles: columns.boolean()?,
        can_grant_connect: columns.boolean()?,
        can_grant_create: columns.boolean()?,
        database: columns.text()?.to_owned(),
    })
}

/// A role and what we may do with it, from [`crate::query::roles_named`].
pub(crate) struct KnownRole {
    pub(crate) name: String,
    pub(crate) is_superuser: bool,
    pub(crate) is_inherited: bool,
    pub(crate) is_administered: bool,
}

pub(crate) fn known_role(columns: &mut Columns<'_>) -> Result<KnownRole, DatabaseError> {
    Ok(KnownRole {
        name: columns.text()?.to_owned(),
        is_superuser: columns.boolean()?,
        is_inherited: columns.boolean()?,
        is_administered: columns.boolean()?,
    })
}

/// A schema, from [`crate::query::schemas`].
pub(crate) struct SchemaRow {
    pub(crate) name: String,
    pub(crate) is_covered: bool,
    pub(crate) group_uses: bool,
    pub(crate) group_was_given: bool,
    pub(crate) owner_creates: bool,
    pub(crate) can_grant_usage: bool,
    pub(crate) can_grant_create: bool,
}

pub(crate) fn schema(columns: &mut Columns<'_>) -> Result<SchemaRow, DatabaseError> {
    Ok(SchemaRow {
        name: columns.text()?.to_owned(),
        is_covered: columns.boolean()?,
        group_uses: columns.boolean()?,
        group_was_given: columns.boolean()?,
        owner_creates: columns.boolean()?,
        can_grant_usage: columns.boolean()?,
        can_grant_create: columns.boolean()?,
    })
}

/// A relation whose grants are not as they should be, from [`crate::query::relations`].
pub(crate) struct RelationRow {
    pub(crate) is_sequence: bool,
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) owner: String,
    pub(crate) lacking: BTreeSet<String>,
    pub(crate) grantable: BTreeSet<String>,
    pub(crate) surplus: BTreeSet<String>,
    /// Who may write it and must not; `PUBLIC` is everybody.
    pub(crate) writers: Vec<String>,
    pub(crate) can_revoke: bool,
}

pub(crate) fn relation(columns: &mut Columns<'_>) -> Result<RelationRow, DatabaseError> {
    Ok(RelationRow {
        is_sequence: columns.text()? == "s",
        schema: columns.text()?.to_owned(),
        name: columns.text()?.to_owned(),
        owner: columns.text()?.to_owned(),
        lacking: columns.words()?,
        grantable: columns.words()?,
        surplus: columns.words()?,
        writers: columns.json_texts()?,
        can_revoke: columns.boolean()?,
    })
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
        let read = |columns: &[Option<&str>]| session(&mut Columns::of("test", &row(columns)));
        let seen = read(&[
            Some("42"),
            Some("shop_v1"),
            Some("10.0.0.7"),
            Some("api"),
            Some("1.5"),
        ]);
        let seen = seen.unwrap();
        assert_eq!((seen.pid, seen.user.as_str()), (42, "shop_v1"));
        assert_eq!(seen.address.as_deref(), Some("10.0.0.7"));
        assert_eq!(seen.age, Some(Duration::from_millis(1500)));
        let hidden = read(&[Some("42"), Some("shop_v1"), None, Some(""), None]).unwrap();
        assert_eq!(
            (hidden.address, hidden.application, hidden.age),
            (None, None, None)
        );
        let new = read(&[Some("42"), Some("u"), None, None, Some("-0.000004")]).unwrap();
        assert_eq!(new.age, Some(Duration::ZERO));
        for age in ["NaN", "inf", "x"] {
            assert_eq!(
                read(&[Some("1"), Some("u"), None, None, Some(age)])
                    .unwrap()
                    .age
                    .unwrap_or_default(),
                Duration::ZERO
            );
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
        assert!(relation(&mut Columns::of("test", &row(&[Some("t"); 9]))).is_err());
    }
}

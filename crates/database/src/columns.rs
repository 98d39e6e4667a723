//! Rows of text into values. Whatever a server answers, nothing here panics: what does not fit is an error.

use std::collections::BTreeSet;
use std::str::FromStr;

use dbop_model::UnmanagedLogin;

use crate::error::DatabaseError;

/// A row: its columns as text, as the server writes them; `None` is NULL.
type Row = Vec<Option<String>>;

/// Reads the columns of a row, in order.
pub struct Columns<'a> {
    operation: &'static str,
    rest: std::slice::Iter<'a, Option<String>>,
}

impl<'a> Columns<'a> {
    /// The columns of a row that this operation asked for.
    pub fn of(operation: &'static str, row: &'a Row) -> Self {
        Self {
            operation,
            rest: row.iter(),
        }
    }

    /// The next column, or NULL.
    ///
    /// # Errors
    /// [`DatabaseError::Unreadable`] where there is none, or it does not fit.
    pub fn nullable(&mut self) -> Result<Option<&'a str>, DatabaseError> {
        let column = self
            .rest
            .next()
            .ok_or_else(|| self.unreadable("a column is missing"))?;
        Ok(column.as_deref())
    }

    /// The next column.
    ///
    /// # Errors
    /// [`DatabaseError::Unreadable`] where there is none, or it does not fit.
    pub fn text(&mut self) -> Result<&'a str, DatabaseError> {
        self.nullable()?
            .ok_or_else(|| self.unreadable("a column is NULL"))
    }

    /// The next column, one of two words: is it the second?
    ///
    /// # Errors
    /// [`DatabaseError::Unreadable`] for any other.
    pub fn either(&mut self, no: &str, yes: &str) -> Result<bool, DatabaseError> {
        match self.text()? {
            text if text == yes => Ok(true),
            text if text == no => Ok(false),
            _ => Err(self.unreadable("a column is no boolean")),
        }
    }

    /// The next column, a number.
    ///
    /// # Errors
    /// [`DatabaseError::Unreadable`] where there is none, or it does not fit.
    pub fn number<T: FromStr>(&mut self) -> Result<T, DatabaseError> {
        self.text()?
            .parse()
            .map_err(|_| self.unreadable("a column is no number"))
    }

    /// The next column, words with commas between them.
    ///
    /// # Errors
    /// [`DatabaseError::Unreadable`] where there is none, or it does not fit.
    pub fn words(&mut self) -> Result<BTreeSet<String>, DatabaseError> {
        let text = self.text()?;
        Ok(text
            .split(',')
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect())
    }

    /// The error of a column that does not fit; `detail` holds no user data.
    pub fn unreadable(&self, detail: &str) -> DatabaseError {
        DatabaseError::Unreadable {
            operation: self.operation,
            detail: detail.to_owned(),
        }
    }
}

/// Reads every row.
///
/// # Errors
/// What `read` gives.
pub fn all<'a, T>(
    operation: &'static str,
    rows: &'a [Row],
    read: impl Fn(&mut Columns<'a>) -> Result<T, DatabaseError>,
) -> Result<Vec<T>, DatabaseError> {
    rows.iter()
        .map(|row| read(&mut Columns::of(operation, row)))
        .collect()
}

/// Reads the first row, where there is one.
///
/// # Errors
/// What `read` gives.
pub fn first<'a, T>(
    operation: &'static str,
    rows: &'a [Row],
    read: impl Fn(&mut Columns<'a>) -> Result<T, DatabaseError>,
) -> Result<Option<T>, DatabaseError> {
    rows.first()
        .map(|row| read(&mut Columns::of(operation, row)))
        .transpose()
}

/// Reads the one row that there must be.
///
/// # Errors
/// What `read` gives, and [`DatabaseError::Unreadable`] where there is no row.
pub fn one<'a, T>(
    operation: &'static str,
    rows: &'a [Row],
    read: impl Fn(&mut Columns<'a>) -> Result<T, DatabaseError>,
) -> Result<T, DatabaseError> {
    first(operation, rows, read)?.ok_or_else(|| DatabaseError::Unreadable {
        operation,
        detail: "there is no row".to_owned(),
    })
}

/// Reads logins that are none of ours, each with an address of its sessions, of rows in the order of the logins.
///
/// # Errors
/// [`DatabaseError::Unreadable`] where a row does not fit.
pub fn unmanaged(
    operation: &'static str,
    rows: &[Row],
) -> Result<Vec<UnmanagedLogin>, DatabaseError> {
    let mut found: Vec<UnmanagedLogin> = Vec::new();
    for row in rows {
        let mut columns = Columns::of(operation, row);
        let name = columns.text()?.to_owned();
        let address = columns.nullable()?.filter(|from| !from.is_empty());
        let address = address.map(str::to_owned);
        match found.last_mut().filter(|last| last.name == name) {
            Some(last) => last.addresses.extend(address),
            None => found.push(UnmanagedLogin {
                name,
                addresses: address.into_iter().collect(),
            }),
        }
    }
    Ok(found)
}

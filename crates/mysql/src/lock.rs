//! The advisory lock: one operator at a time writes to a database. The server gives it up when the
//! connection ends, however it ends.
//!
//! Its name is the server's, not a database's, so it holds the database's name, or the hash of one that is long or
//! odd: names of locks have 64 characters, and do not tell letters' cases apart.

use aws_lc_rs::digest;
use dbop_database::DatabaseError;

use crate::link::Hold;
use crate::{parse, query};

/// A server's limit for a lock's name (MySQL 8.4 manual, section 14.14).
const NAME_CHARS_MAX: usize = 64;
/// Hexadecimal digits of the hash that stands for a database's name.
const HASH_DIGITS: usize = 32;

/// The lock of a database, for `what`: the operator's work, or a claim's turn.
pub(crate) fn name(what: &str, database: &str) -> String {
    let plain = format!("dbop:{what}:{database}");
    let is_plain = database
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if is_plain && plain.len() <= NAME_CHARS_MAX {
        return plain;
    }
    // Plain names hold no '#'.
    format!("dbop:{what}:#{}", hash(database))
}

/// What stands for a database's name where that itself does not fit.
pub(crate) fn hash(database: &str) -> String {
    let digest = digest::digest(&digest::SHA256, database.as_bytes());
    let mut hex: String = digest.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    hex.truncate(HASH_DIGITS);
    hex
}

/// Takes it, without waiting. False: another connection has it.
pub(crate) async fn try_lock(hold: &Hold<'_>, database: &str) -> Result<bool, DatabaseError> {
    let sql = query::try_lock(&name("work", database), 0)?;
    parse::boolean(hold.operation(), &hold.rows(&sql).await?)
}

/// Gives it up, where this connection has it.
pub(crate) async fn unlock(hold: &Hold<'_>, database: &str) -> Result<(), DatabaseError> {
    hold.run(&query::unlock(&name("work", database))?).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_differ() {
        assert_eq!(name("work", "shop_1"), "dbop:work:shop_1");
        let names = [
            name("work", "shop"),
            name("claim", "shop"),
            name("work", "Shop"),
            name("work", "SHOP"),
            name("work", &"s".repeat(64)),
            name("work", &format!("{}t", "s".repeat(63))),
            name("work", "sh'op`ü"),
        ];
        for (at, one) in names.iter().enumerate() {
            assert!(one.len() <= NAME_CHARS_MAX, "{one}");
            for other in &names[at + 1..] {
                assert!(!one.eq_ignore_ascii_case(other), "{one} and {other}");
            }
        }
    }
}

//! The five releases of the shop, as far as they differ: the columns by which each knows a customer's
//! name, and the SQL that follows from that. Nothing here connects.
//!
//! A name holds the revision of its row, so that a reader can tell the name that was written last
//! from an older one: a column that some release forgot to write shows at once.

/// A release of the shop.
pub(crate) struct Release {
    /// Its name: that of the schema version it was written for.
    pub(crate) name: &'static str,
    /// The columns that it writes a name to.
    writes: &'static [&'static str],
    /// The column that it reads a name from.
    reads: &'static str,
}

/// Oldest first.
const RELEASES: [Release; 5] = [
    // As it was: the column is called name.
    release("v1", &["name"], "name"),
    // The new column is there, and empty in old rows: write both, read the old one.
    release("v2", &["name", "full_name"], "name"),
    // Every row has the new column: read it, still write both, for release v2 beside this one.
    release("v3", &["name", "full_name"], "full_name"),
    // Nobody reads the old column any more: stop writing it.
    release("v4", &["full_name"], "full_name"),
    // The old column is gone; the code was ready for that before.
    release("v5", &["full_name"], "full_name"),
];

const fn release(
    name: &'static str,
    writes: &'static [&'static str],
    reads: &'static str,
) -> Release {
    Release {
        name,
        writes,
        reads,
    }
}

/// Whose SQL it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Postgres,
    /// MySQL and MariaDB.
    MySql,
}

/// What a release asks a server for. Each gives id, email, revision and name of a customer.
pub(crate) struct Sql {
    /// Adds a customer; takes an email.
    pub(crate) insert: String,
    /// Renames a customer; takes an id.
    pub(crate) update: String,
    /// Reads the first customer from an id on.
    pub(crate) read: String,
    /// Where a change gives no row: reads the customer that was added last.
    pub(crate) added: String,
    /// The same: reads the customer of an id.
    pub(crate) renamed: String,
}

impl Release {
    /// The release of this name.
    pub(crate) fn named(name: &str) -> Option<&'static Release> {
        RELEASES.iter().find(|release| release.name == name)
    }

    /// Its SQL.
    pub(crate) fn sql(&self, dialect: Dialect) -> Sql {
        let reads = self.reads;
        let columns = self.writes.join(", ");
        let each = |text: &str| vec![text; self.writes.len()].join(", ");
        let sets = |value: &str| -> String {
            let pairs = self
                .writes
                .iter()
                .map(|column| format!(", {column} = {value}"));
            pairs.collect()
        };
        let select = format!("SELECT id, email, revision, {reads} FROM customers");
        let (parameter, insert, update) = match dialect {
            Dialect::Postgres => (
                "$1",
                format!(
                    "INSERT INTO customers (email, {columns}) VALUES ($1, {}) \
                     RETURNING id, email, revision, {reads}",
                    each("split_part($1, '@', 1) || ', revision 0'")
                ),
                format!(
                    "UPDATE customers SET revision = revision + 1{} WHERE id = $1 \
                     RETURNING id, email, revision, {reads}",
                    sets("split_part(email, '@', 1) || ', revision ' || revision + 1")
                ),
            ),
            Dialect::MySql => (
                "?",
                format!(
                    "INSERT INTO customers (email, {columns}) SELECT email, {} FROM (SELECT ? AS email) given",
                    each("CONCAT(SUBSTRING_INDEX(email, '@', 1), ', revision 0')")
                ),
                // Columns are set one after the other: the revision is the new one already.
                format!(
                    "UPDATE customers SET revision = revision + 1{} WHERE id = ?",
                    sets("CONCAT(SUBSTRING_INDEX(email, '@', 1), ', revision ', revision)")
                ),
            ),
        };
        Sql {
            insert,
            update,
            read: format!("{select} WHERE id >= {parameter} ORDER BY id LIMIT 1"),
            added: format!("{select} WHERE id = LAST_INSERT_ID()"),
            renamed: format!("{select} WHERE id = {parameter}"),
        }
    }
}

/// The name that a customer has after so many revisions.
pub(crate) fn name_of(email: &str, revision: i32) -> String {
    let local = email.split('@').next().unwrap_or_default();
    format!("{local}, revision {revision}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_releases_between_know_both_columns() {
        let both = |release: &Release| {
            [Dialect::Postgres, Dialect::MySql]
                .map(|dialect| release.sql(dialect).insert.contains("name, full_name)"))
        };
        let known: Vec<(&str, [bool; 2])> = RELEASES.iter().map(|r| (r.name, both(r))).collect();
        let expected = [
            ("v1", [false; 2]),
            ("v2", [true; 2]),
            ("v3", [true; 2]),
            ("v4", [false; 2]),
            ("v5", [false; 2]),
        ];
        assert_eq!(known, expected);
        assert!(Release::named("v6").is_none());
    }

    #[test]
    fn the_sql_of_a_release_is_all_of_it() {
        let sql = RELEASES[1].sql(Dialect::Postgres);
        assert_eq!(
            sql.update,
            "UPDATE customers SET revision = revision + 1, \
             name = split_part(email, '@', 1) || ', revision ' || revision + 1, \
             full_name = split_part(email, '@', 1) || ', revision ' || revision + 1 \
             WHERE id = $1 RETURNING id, email, revision, name"
        );
    }

    #[test]
    fn a_name_tells_its_revision() {
        assert_eq!(name_of("c7@example.com", 3), "c7, revision 3");
    }
}

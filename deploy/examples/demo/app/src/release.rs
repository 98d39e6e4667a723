//! The five releases of the shop, as far as they differ: the SQL by which each knows a customer's
//! name. Nothing here connects.
//!
//! A name holds the revision of its row, so that a reader can tell the name that was written last
//! from an older one: a column that some release forgot to write shows at once.

/// A release of the shop.
pub(crate) struct Release {
    /// Its name: that of the schema version it was written for.
    pub(crate) name: &'static str,
    /// Adds a customer; takes an email, gives id, email, revision and name.
    pub(crate) insert: &'static str,
    /// Renames a customer; takes an id, gives the same.
    pub(crate) update: &'static str,
    /// Reads the first customer from an id on; gives the same.
    pub(crate) read: &'static str,
}

/// Oldest first.
const RELEASES: [Release; 5] = [
    // As it was: the column is called name.
    Release {
        name: "v1",
        insert: "INSERT INTO customers (email, name)
                 VALUES ($1, split_part($1, '@', 1) || ', revision 0')
                 RETURNING id, email, revision, name",
        update: "UPDATE customers
                    SET revision = revision + 1,
                        name = split_part(email, '@', 1) || ', revision ' || revision + 1
                  WHERE id = $1
                 RETURNING id, email, revision, name",
        read: "SELECT id, email, revision, name FROM customers WHERE id >= $1 ORDER BY id LIMIT 1",
    },
    // The new column is there, and empty in old rows: write both, read the old one.
    Release {
        name: "v2",
        insert: INSERT_BOTH,
        update: UPDATE_BOTH,
        read: "SELECT id, email, revision, name FROM customers WHERE id >= $1 ORDER BY id LIMIT 1",
    },
    // Every row has the new column: read it, still write both, for release v2 beside this one.
    Release {
        name: "v3",
        insert: INSERT_BOTH,
        update: UPDATE_BOTH,
        read: READ_NEW,
    },
    // Nobody reads the old column any more: stop writing it.
    Release {
        name: "v4",
        insert: INSERT_NEW,
        update: UPDATE_NEW,
        read: READ_NEW,
    },
    // The old column is gone; the code was ready for that before.
    Release {
        name: "v5",
        insert: INSERT_NEW,
        update: UPDATE_NEW,
        read: READ_NEW,
    },
];

const INSERT_BOTH: &str = "
    INSERT INTO customers (email, name, full_name)
    VALUES ($1, split_part($1, '@', 1) || ', revision 0', split_part($1, '@', 1) || ', revision 0')
    RETURNING id, email, revision, name";
const UPDATE_BOTH: &str = "
    UPDATE customers
       SET revision = revision + 1,
           name = split_part(email, '@', 1) || ', revision ' || revision + 1,
           full_name = split_part(email, '@', 1) || ', revision ' || revision + 1
     WHERE id = $1
    RETURNING id, email, revision, full_name";
const INSERT_NEW: &str = "
    INSERT INTO customers (email, full_name)
    VALUES ($1, split_part($1, '@', 1) || ', revision 0')
    RETURNING id, email, revision, full_name";
const UPDATE_NEW: &str = "
    UPDATE customers
       SET revision = revision + 1,
           full_name = split_part(email, '@', 1) || ', revision ' || revision + 1
     WHERE id = $1
    RETURNING id, email, revision, full_name";
const READ_NEW: &str =
    "SELECT id, email, revision, full_name FROM customers WHERE id >= $1 ORDER BY id LIMIT 1";

impl Release {
    /// The release of this name.
    pub(crate) fn named(name: &str) -> Option<&'static Release> {
        RELEASES.iter().find(|release| release.name == name)
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
            let sql = release.insert;
            sql.contains("name, full_name)")
        };
        let known: Vec<(&str, bool)> = RELEASES.iter().map(|r| (r.name, both(r))).collect();
        let expected = [
            ("v1", false),
            ("v2", true),
            ("v3", true),
            ("v4", false),
            ("v5", false),
        ];
        assert_eq!(known, expected);
        assert!(Release::named("v6").is_none());
    }

    #[test]
    fn a_name_tells_its_revision() {
        assert_eq!(name_of("c7@example.com", 3), "c7, revision 3");
    }
}

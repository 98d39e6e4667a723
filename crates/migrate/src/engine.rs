//! The kinds of servers that migrations run on. What is different between them and is no SQL is here.

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    MySql,
}

impl Engine {
    /// The kind that a connection string with this scheme names.
    #[must_use]
    pub fn of_scheme(scheme: &str) -> Option<Self> {
        match scheme.to_ascii_lowercase().as_str() {
            "postgresql" | "postgres" => Some(Self::Postgres),
            "mysql" | "mariadb" => Some(Self::MySql),
            _ => None,
        }
    }

    /// Whether block comments nest.
    pub(crate) fn nests_comments(self) -> bool {
        self == Self::Postgres
    }

    /// Whether a comment may begin with `#`.
    pub(crate) fn has_hash_comments(self) -> bool {
        self == Self::MySql
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_are_known_in_any_case() {
        assert_eq!(Engine::of_scheme("PostgreSQL"), Some(Engine::Postgres));
        assert_eq!(Engine::of_scheme("mariadb"), Some(Engine::MySql));
        assert_eq!(Engine::of_scheme("oracle"), None);
    }
}

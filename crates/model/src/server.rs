//! Which database server this is.

use std::fmt;

/// A database engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Engine {
    /// PostgreSQL.
    PostgreSql,
    /// MySQL; also what a DSN of scheme `mysql` says before anybody has connected.
    MySql,
    /// MariaDB.
    MariaDb,
}

impl Engine {
    /// Is DDL part of a transaction, so that what fails half way leaves nothing? Where it is not, each statement of
    /// it commits at once (MySQL 8.4 manual, section 15.3.3; MariaDB, "SQL statements that cause an implicit commit").
    pub fn rolls_back_ddl(self) -> bool {
        match self {
            Engine::PostgreSql => true,
            Engine::MySql | Engine::MariaDb => false,
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Engine::PostgreSql => "PostgreSQL",
            Engine::MySql => "MySQL",
            Engine::MariaDb => "MariaDB",
        })
    }
}

/// Engine and version of a server, as it reports them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// The engine.
    pub engine: Engine,
    /// Major version: 14 to 18 for PostgreSQL, 8 or 9 for MySQL, 10 or 11 for MariaDB.
    pub major: u32,
    /// Minor version.
    pub minor: u32,
    /// `host:port/database` as connected to, for people.
    pub address: String,
}

impl fmt::Display for ServerInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}.{}", self.engine, self.major, self.minor)
    }
}

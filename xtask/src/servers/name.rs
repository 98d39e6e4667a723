//! Names of servers: an engine and a series of its versions, as on the command line: `postgres-18`,
//! `mariadb-11.4`. Everything that depends on which servers there are is a table in this file.

use std::fmt;
use std::str::FromStr;

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Engine {
    Postgres,
    MariaDb,
    MySql,
}

/// What is different between engines and is no code.
pub(crate) struct Traits {
    /// What people call it.
    pub(crate) title: &'static str,
    /// What the names of its servers begin with.
    pub(crate) prefix: &'static str,
    /// What its server's program may be called, the usual name first.
    pub(crate) programs: &'static [&'static str],
    /// The superuser's name.
    pub(crate) superuser: &'static str,
    /// The scheme of its connection strings.
    pub(crate) scheme: &'static str,
    /// The database that is always there.
    pub(crate) database: &'static str,
}

impl Engine {
    /// All of them.
    pub(crate) const ALL: [Engine; 3] = [Engine::Postgres, Engine::MariaDb, Engine::MySql];

    /// The variable with the DSNs of all servers of this kind; PostgreSQL's are known by their versions alone.
    pub(crate) fn list(self) -> Option<String> {
        let prefix = self.traits().prefix.to_uppercase();
        (self != Engine::Postgres).then(|| format!("DBOP_TEST_{prefix}"))
    }

    /// What is different about it.
    pub(crate) fn traits(self) -> &'static Traits {
        match self {
            Engine::Postgres => &Traits {
                title: "PostgreSQL",
                prefix: "postgres",
                programs: &["postgres"],
                superuser: "postgres",
                scheme: "postgresql",
                database: "postgres",
            },
            Engine::MariaDb => &Traits {
                title: "MariaDB",
                prefix: "mariadb",
                programs: &["mariadbd", "mysqld"],
                superuser: "root",
                // Every client knows this scheme, and few know mariadb.
                scheme: "mysql",
                database: "mysql",
            },
            Engine::MySql => &Traits {
                title: "MySQL",
                prefix: "mysql",
                programs: &["mysqld"],
                superuser: "root",
                scheme: "mysql",
                database: "mysql",
            },
        }
    }
}

/// A server as named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    /// Its kind.
    pub(crate) engine: Engine,
    /// Where it stands among the series of its engine, oldest first: what names are ordered by.
    rank: u8,
    /// The series of its version: `18`, `11.4`.
    pub(crate) series: &'static str,
    /// It has a replica beside it: for the tests of replicas alone, since to all others it is a server whose
    /// replica nobody named.
    pub(crate) is_replicated: bool,
}

const fn name(engine: Engine, rank: u8, series: &'static str) -> Name {
    Name {
        engine,
        rank,
        series,
        is_replicated: false,
    }
}

/// The same with a replica.
const fn replicated(name: Name) -> Name {
    Name {
        is_replicated: true,
        ..name
    }
}

/// The newest PostgreSQL.
pub(crate) const NEWEST_POSTGRES: Name = POSTGRES[4];
/// Every supported PostgreSQL, oldest first.
pub(crate) const POSTGRES: [Name; 5] = [
    name(Engine::Postgres, 0, "14"),
    name(Engine::Postgres, 1, "15"),
    name(Engine::Postgres, 2, "16"),
    name(Engine::Postgres, 3, "17"),
    name(Engine::Postgres, 4, "18"),
];
/// The oldest and the newest PostgreSQL: what every run of the tests uses.
pub(crate) const OUTER_POSTGRES: [Name; 2] = [POSTGRES[0], POSTGRES[4]];
/// MariaDB and MySQL: what every run of the tests uses.
pub(crate) const OUTER_MYSQL: [Name; 3] = [MYSQL[0], MYSQL[1], MYSQL[3]];
/// The servers that migration tools are walked on: one of each engine, since tools differ by the engine alone.
pub(crate) const TOOL_SERVERS: [Name; 3] = [NEWEST_POSTGRES, MYSQL[1], MYSQL[3]];
/// Every MariaDB and MySQL that can be had without installing it. MariaDB 10.6 and MySQL 8.4 are
/// published nowhere as files that could be pinned.
pub(crate) const MYSQL: [Name; 4] = [
    name(Engine::MariaDb, 0, "10.11"),
    name(Engine::MariaDb, 1, "11.4"),
    name(Engine::MariaDb, 2, "11.8"),
    name(Engine::MySql, 0, "9.7"),
];

/// One server of PostgreSQL with a replica.
pub(crate) const REPLICATED_POSTGRES: Name = replicated(NEWEST_POSTGRES);
/// One of MariaDB and one of MySQL.
pub(crate) const REPLICATED_MYSQL: [Name; 2] = [replicated(MYSQL[1]), replicated(MYSQL[3])];

/// Every server that has a name.
pub(crate) fn all() -> impl Iterator<Item = Name> {
    POSTGRES
        .into_iter()
        .chain(MYSQL)
        .chain([REPLICATED_POSTGRES])
        .chain(REPLICATED_MYSQL)
}

impl Name {
    /// The variable that names the superuser's DSN; what else is said of the server is in variables
    /// that begin like it.
    pub(crate) fn variable(self) -> String {
        let name = self.to_string().replace(['-', '.'], "_");
        format!("DBOP_TEST_{}", name.to_uppercase())
    }

    /// The same without a replica: what it is installed and published as.
    pub(crate) fn alone(self) -> Name {
        Name {
            is_replicated: false,
            ..self
        }
    }

    /// Whether `version` (`11.4.5`, `18beta1`) is one of this series.
    pub(crate) fn covers(self, version: &str) -> bool {
        version
            .strip_prefix(self.series)
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
    }

    /// The engine and the series, for people: `MariaDB 11.4`.
    pub(crate) fn title(self) -> String {
        format!("{} {}", self.engine.traits().title, self.series)
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Name, String> {
        all().find(|name| name.to_string() == text).ok_or_else(|| {
            let known: Vec<String> = all().map(|name| name.to_string()).collect();
            format!("no such server; there are {}", known.join(", "))
        })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.engine.traits().prefix, self.series)?;
        f.write_str(if self.is_replicated {
            "-replicated"
        } else {
            ""
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_alike() {
        for name in all() {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        let refused = "postgres-13".parse::<Name>().unwrap_err();
        assert!(refused.contains("postgres-14, postgres-15"), "{refused}");
    }

    #[test]
    fn tests_find_a_server_by_its_name() {
        let variable = |text: &str| text.parse::<Name>().unwrap().variable();
        assert_eq!(variable("postgres-18"), "DBOP_TEST_POSTGRES_18");
        assert_eq!(variable("mariadb-11.4"), "DBOP_TEST_MARIADB_11_4");
        assert_eq!(variable("mysql-9.7"), "DBOP_TEST_MYSQL_9_7");
        assert_eq!(
            variable("postgres-18-replicated"),
            "DBOP_TEST_POSTGRES_18_REPLICATED"
        );
    }

    #[test]
    fn a_series_covers_its_versions_alone() {
        let covers = |name: &str, version| name.parse::<Name>().unwrap().covers(version);
        assert!(covers("postgres-18", "18.6") && covers("postgres-18", "18beta1"));
        assert!(covers("mariadb-11.4", "11.4.5") && covers("mysql-9.7", "9.7.4"));
        assert!(!covers("mysql-9.7", "9.70.1") && !covers("mariadb-11.4", "11.8.9"));
    }
}

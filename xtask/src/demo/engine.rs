//! On which kind of server the demo is played, and what of its files is not the same there.

use clap::ValueEnum;

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Engine {
    Postgres,
    Mariadb,
    Mysql,
}

/// What is different between them.
pub(super) struct Traits {
    /// What people call it.
    pub(super) title: &'static str,
    /// The server's name, as on the command line of `cargo xtask servers`.
    pub(super) server: &'static str,
    /// The scheme of connection strings.
    pub(super) scheme: &'static str,
    /// The folder of the files that stand in the place of others of the same name: SQL, above all.
    pub(super) overlay: Option<&'static str>,
}

impl Engine {
    /// What is different about it.
    pub(super) fn traits(self) -> &'static Traits {
        match self {
            Engine::Postgres => &Traits {
                title: "PostgreSQL",
                server: "postgres-18",
                scheme: "postgresql",
                overlay: None,
            },
            Engine::Mariadb => &Traits {
                title: "MariaDB",
                server: "mariadb-11.4",
                scheme: "mariadb",
                overlay: Some("mysql"),
            },
            Engine::Mysql => &Traits {
                title: "MySQL",
                server: "mysql-9.7",
                scheme: "mysql",
                overlay: Some("mysql"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::ORIGIN;
    use crate::servers::Name;
    use crate::workspace;

    #[test]
    fn every_engine_has_a_server_that_is_known() {
        for engine in Engine::value_variants() {
            let traits = engine.traits();
            let name: Name = traits.server.parse().unwrap();
            assert!(name.title().starts_with(traits.title), "{name}");
        }
    }

    /// What stands in the place of nothing would never be used.
    #[test]
    fn a_file_of_an_overlay_stands_in_the_place_of_another() {
        let origin = workspace::root().unwrap().join(ORIGIN);
        for overlay in Engine::value_variants()
            .iter()
            .filter_map(|engine| engine.traits().overlay)
        {
            let mut folders = vec![origin.join(overlay)];
            let mut seen = 0;
            while let Some(folder) = folders.pop() {
                for entry in folder.read_dir().unwrap() {
                    let path = entry.unwrap().path();
                    if path.is_dir() {
                        folders.push(path);
                        continue;
                    }
                    let inside = path.strip_prefix(origin.join(overlay)).unwrap();
                    assert!(origin.join(inside).is_file(), "{}", inside.display());
                    seen += 1;
                }
            }
            assert!(seen > 0, "{overlay} holds nothing");
        }
    }
}

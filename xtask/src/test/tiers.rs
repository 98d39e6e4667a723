//! The tiers of the tests: names, what each covers and needs, and the table that says so.

use std::fmt;
use std::str::FromStr;

/// A group of tests with the same needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tier {
    Tidy,
    Unit,
    Docs,
    Simulation,
    Postgres,
    MySql,
    Tools,
    Cluster,
    Crashes,
    Failures,
    Node,
}

/// What the table says about a tier.
struct Description {
    name: &'static str,
    covers: &'static str,
    needs: &'static str,
    takes: &'static str,
}

impl Tier {
    /// All tiers, in the order in which they run: what fails fast comes first.
    pub(crate) const ALL: [Tier; 11] = [
        Tier::Tidy,
        Tier::Unit,
        Tier::Docs,
        Tier::Simulation,
        Tier::Postgres,
        Tier::MySql,
        Tier::Tools,
        Tier::Cluster,
        Tier::Crashes,
        Tier::Failures,
        Tier::Node,
    ];

    /// What it covers, for people.
    pub(crate) fn covers(self) -> &'static str {
        self.describe().covers
    }

    fn describe(self) -> Description {
        let (name, covers, needs, takes) = match self {
            Tier::Tidy => (
                "tidy",
                "format, clippy, layers, purity, CRDs in step",
                "git",
                "3 min",
            ),
            Tier::Unit => (
                "unit",
                "every crate by itself, and examples in docs",
                "-",
                "2 min",
            ),
            Tier::Docs => (
                "docs",
                "the documentation builds without warnings",
                "-",
                "1 min",
            ),
            Tier::Simulation => (
                "simulation",
                "a slice of `prove simulation`, fresh seed",
                "-",
                "1 min",
            ),
            Tier::Postgres => (
                "postgres",
                "real servers 14 and 18, a real Alembic",
                "curl, python3",
                "5 min",
            ),
            Tier::MySql => (
                "mysql",
                "real MariaDB 10.11, 11.4, MySQL 9.7: walks too",
                "curl, openssl",
                "5 min",
            ),
            Tier::Tools => (
                "tools",
                "real Django, Flyway, sqlx and others",
                "java, go, python3",
                "4 min",
            ),
            Tier::Cluster => (
                "cluster",
                "a real API server: admission, leases",
                "go",
                "1 min",
            ),
            Tier::Failures => (
                "failures",
                "two operators, servers that go away",
                "go, curl",
                "7 min",
            ),
            Tier::Node => (
                "node",
                "the operator and its Jobs as Pods",
                "go, Debian",
                "9 min",
            ),
            Tier::Crashes => (
                "crashes",
                "a slice of `prove crashes`, fresh seed",
                "curl",
                "2 min",
            ),
        };
        Description {
            name,
            covers,
            needs,
            takes,
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.describe().name)
    }
}

impl FromStr for Tier {
    type Err = String;

    fn from_str(text: &str) -> Result<Tier, String> {
        let names: Vec<String> = Tier::ALL.iter().map(ToString::to_string).collect();
        let known = || format!("no such tier; there are {}", names.join(", "));
        Tier::ALL
            .into_iter()
            .find(|tier| tier.describe().name == text)
            .ok_or_else(known)
    }
}

/// Prints what there is, before anything runs.
pub(crate) fn print_table() {
    let row = |name: &str, covers: &str, needs: &str, root: &str, takes: &str| {
        println!("{name:<11} {covers:<46} {needs:<14} {root:<6} {takes}");
    };
    row("tier", "what it covers", "needs", "root", "about");
    for tier in Tier::ALL {
        let Description {
            name,
            covers,
            needs,
            takes,
        } = tier.describe();
        let root = if tier == Tier::Node { "yes" } else { "either" };
        row(name, covers, needs, root, takes);
    }
    println!("\nOf servers and Alembic nothing needs to be installed: what is not there is");
    println!("fetched once into a cache. A first run builds everything: about 10 min more.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tier_is_found_by_its_name_and_fits_the_table() {
        for tier in Tier::ALL {
            assert_eq!(tier.to_string().parse(), Ok(tier));
            assert!(
                tier.to_string().len() <= 11 && tier.covers().len() <= 46,
                "{tier}"
            );
        }
        assert!(
            "nothing"
                .parse::<Tier>()
                .unwrap_err()
                .contains("tidy, unit")
        );
    }
}

//! What people read of a rule: the pages docs/rules/, made from data beside the rules. Which facts a page names is what the
//! rule asks for, over every kind of operation.

mod blocking;
mod contending;
mod failing;
mod others;
mod samples;

pub(crate) use blocking::*;
pub(crate) use contending::*;
pub(crate) use failing::*;
pub(crate) use others::*;

use std::collections::{BTreeMap, BTreeSet};

use dbop_model::table::FactRequest;

use crate::rules::{RULES, Rule};
use crate::{effect, steps};

/// What a rule's page says, as Markdown.
pub(crate) struct Page {
    /// What happens, and why.
    pub(crate) why: &'static str,
    /// What each kind of server does, with the versions where they differ.
    pub(crate) servers: &'static [(&'static str, &'static str)],
    /// How the facts are had, and what they prove.
    pub(crate) evidence: &'static str,
    /// The verdicts, and when.
    pub(crate) verdicts: &'static [(&'static str, &'static str)],
    /// The ways out on each kind of server.
    pub(crate) ways: &'static [(&'static str, &'static str)],
    /// Where it is from: title and address. Empty: the rule is about the order of this program's own steps.
    pub(crate) sources: &'static [(&'static str, &'static str)],
}

/// A link to a page of a manual.
pub(crate) mod manual {
    /// PostgreSQL's, of ALTER TABLE.
    pub(crate) const PG_ALTER_TABLE: (&str, &str) = (
        "PostgreSQL manual, ALTER TABLE",
        "https://www.postgresql.org/docs/current/sql-altertable.html",
    );
    /// PostgreSQL's, of CREATE INDEX.
    pub(crate) const PG_CREATE_INDEX: (&str, &str) = (
        "PostgreSQL manual, CREATE INDEX",
        "https://www.postgresql.org/docs/current/sql-createindex.html",
    );
    /// PostgreSQL's, of locks.
    pub(crate) const PG_LOCKS: (&str, &str) = (
        "PostgreSQL manual, section 13.3, Explicit Locking",
        "https://www.postgresql.org/docs/current/explicit-locking.html",
    );
    /// MySQL's, of what each change of a table costs.
    pub(crate) const MY_ONLINE_DDL: (&str, &str) = (
        "MySQL 8.4 manual, section 17.12.1, Online DDL Operations",
        "https://dev.mysql.com/doc/refman/8.4/en/innodb-online-ddl-operations.html",
    );
    /// MySQL's, of what an online change keeps.
    pub(crate) const MY_ONLINE_SPACE: (&str, &str) = (
        "MySQL 8.4 manual, section 17.12.3, Online DDL Space Requirements",
        "https://dev.mysql.com/doc/refman/8.4/en/innodb-online-ddl-space-requirements.html",
    );
    /// MySQL's, of ALTER TABLE.
    pub(crate) const MY_ALTER_TABLE: (&str, &str) = (
        "MySQL 8.4 manual, section 15.1.9, ALTER TABLE",
        "https://dev.mysql.com/doc/refman/8.4/en/alter-table.html",
    );
    /// MariaDB's, of what each change of a table costs.
    pub(crate) const MARIA_ONLINE_DDL: (&str, &str) = (
        "MariaDB, InnoDB Online DDL Overview",
        "https://mariadb.com/kb/en/innodb-online-ddl-overview/",
    );
    /// MariaDB's, of ALTER TABLE.
    pub(crate) const MARIA_ALTER_TABLE: (&str, &str) = (
        "MariaDB, ALTER TABLE",
        "https://mariadb.com/kb/en/alter-table/",
    );
    /// What was measured on the servers themselves.
    pub(crate) const MEASURED: (&str, &str) = (
        "measured: decision 5",
        "../decisions/0005-what-servers-do-with-ddl.md",
    );
}

/// Whose hand wrote it.
const GENERATED: &str =
    "<!-- Generated from crates/hints/src/pages by `cargo xtask codegen`; do not edit. -->\n";

/// Every page, by its file's name below docs/rules.
pub fn pages() -> BTreeMap<String, String> {
    let mut pages: BTreeMap<String, String> = RULES
        .iter()
        .map(|rule| (format!("{}.md", rule.id), page(rule)))
        .collect();
    pages.insert("README.md".to_owned(), index());
    pages
}

fn page(rule: &Rule) -> String {
    let Page {
        why,
        servers,
        evidence,
        verdicts,
        ways,
        sources,
    } = rule.page;
    let mut text = format!("# {}\n\n{}.\n\n", rule.id, rule.title);
    text.push_str(&paragraph("What happens", why));
    if !servers.is_empty() {
        text.push_str("| server | |\n|---|---|\n");
        for (server, does) in *servers {
            text.push_str(&format!("| {server} | {} |\n", one_line(does)));
        }
        text.push('\n');
    }
    let asked = asked_for(|step, wanted| (rule.wants)(step, wanted));
    let asked = match asked.as_slice() {
        [] => "It asks for none of its own: what the statement does decides.".to_owned(),
        some => format!("It asks the database for {}.", listed(some)),
    };
    text.push_str(&paragraph("Live facts", &format!("{asked} {evidence}")));
    text.push_str("**Verdicts.**\n\n");
    for (verdict, when) in *verdicts {
        let line = filled(&format!("- `{verdict}`: {when}"));
        text.push_str(&format!("{}\n", line.replace('\n', "\n  ")));
    }
    text.push('\n');
    text.push_str("**The safe way.**\n\n");
    for (server, way) in *ways {
        text.push_str(&paragraph(server, way));
    }
    let sources: Vec<String> = sources
        .iter()
        .map(|(title, address)| format!("[{title}]({address})"))
        .collect();
    let sources = format!("{}.", sources.join("; "));
    text.push_str(&format!("{}{GENERATED}", paragraph("Source", &sources)));
    text
}

fn index() -> String {
    let asked = asked_for(effect::wants);
    let intro = format!(
        "Each looks at every operation of a migration, in this order, and says what it finds with its evidence and a way \
         out ([Check a migration before it runs](../analyze.md)). What a statement does to its table on this server \
         (lock, rewrite, scan, who waits) is predicted once, for all of them, from {}.",
        listed(&asked)
    );
    let mut text = format!(
        "# Hint rules\n\n{}\n\n| rule | |\n|---|---|\n",
        filled(&intro)
    );
    for rule in RULES {
        text.push_str(&format!("| [{0}]({0}.md) | {1} |\n", rule.id, rule.title));
    }
    let outro = filled(
        "A finding is answered by its way out, or by `accept` with the rule's name, the table and a reason, on the \
         DatabaseMigration or the ManagedDatabase ([the fields](../reference.md)).",
    );
    text.push_str(&format!("\n{outro}\n\n{GENERATED}"));
    text
}

/// What is asked for over every kind of operation, in words.
fn asked_for(wants: impl Fn(&steps::Step<'_>, &mut BTreeSet<FactRequest>)) -> Vec<&'static str> {
    let statements = samples::statements();
    let mut wanted = BTreeSet::new();
    for statement in &statements {
        for step in steps::walk(std::slice::from_ref(statement)) {
            wants(&step, &mut wanted);
        }
    }
    let mut asked: Vec<&'static str> = wanted.iter().map(words).collect();
    // In the order of the requests, so that those of a kind stand together.
    asked.dedup();
    asked
}

fn words(request: &FactRequest) -> &'static str {
    match request {
        FactRequest::Table(_) => "the table's kind and columns",
        FactRequest::Size(_) => "its size",
        FactRequest::AnyRow(_) => "whether it has any row",
        FactRequest::Nulls { .. } => "whether a column holds NULL",
        FactRequest::Type { .. } => "what a type is",
        FactRequest::Volatility { .. } => "how volatile a function is",
        FactRequest::Indexes(_) => "its indexes",
        FactRequest::Constraints(_) => "its constraints",
        FactRequest::Storage(_) => "how its rows are stored",
        FactRequest::Writes(_) => "how much is written to it",
        FactRequest::Blockers(_) => "the sessions that are in the way of a lock",
        FactRequest::Duplicates { .. } => "whether two rows have the same key",
        FactRequest::IndexNamed(_) => "which table an index is of",
        FactRequest::Dependents(_) => "what hangs on it",
        FactRequest::Relation(_) | FactRequest::Named { .. } => "what bears a name",
        FactRequest::Rows { .. } => "whether a row does not fit",
        FactRequest::Reading { .. } => {
            "what the server makes of the statement's text, which it reads and does not run"
        }
    }
}

/// `a`, `a and b`, `a, b and c`.
fn listed(words: &[&str]) -> String {
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

fn paragraph(heading: &str, text: &str) -> String {
    let text = format!("**{heading}.** {}", text.trim());
    let blocks = text
        .split("\n\n")
        .map(|block| match block.starts_with("```") {
            true => block.to_owned(),
            false => filled(block),
        });
    format!("{}\n\n", blocks.collect::<Vec<_>>().join("\n\n"))
}

/// Columns of a page.
const COLUMNS: usize = 110;

/// A paragraph in lines that fit, and no longer word broken.
fn filled(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last().map_or(0, |line| line.chars().count());
        if line > 0 && line + 1 + word.chars().count() > COLUMNS {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_pages_are_in_step() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rules");
        for (file, text) in pages() {
            let found = std::fs::read_to_string(root.join(&file)).unwrap_or_default();
            assert_eq!(
                found, text,
                "docs/rules/{file}: run `cargo xtask codegen` and commit the result"
            );
        }
    }

    #[test]
    fn a_page_says_all_of_its_rule() {
        for rule in RULES {
            let text = page(rule);
            for part in [
                "**What happens.**",
                "**Live facts.**",
                "**The safe way.**",
                "- `",
                "](http",
            ] {
                let own = rule.id == "dropped-or-renamed-in-use" || rule.id == "missing-object";
                assert!(
                    text.contains(part) || (own && part == "](http"),
                    "{}: {part}\n{text}",
                    rule.id
                );
            }
            for (verdict, _) in rule.page.verdicts {
                assert!(
                    [
                        "WillFail",
                        "Blocks",
                        "ImplicitValue",
                        "Contends",
                        "Queues",
                        "Unknown",
                        "Clean"
                    ]
                    .contains(verdict),
                    "{}: {verdict}",
                    rule.id
                );
            }
            let fits = |line: &str| {
                line.starts_with('|') || line.contains("](") || line.chars().count() <= COLUMNS + 2
            };
            assert!(text.lines().all(fits), "{text}");
        }
    }

    #[test]
    fn links_between_pages_lead_somewhere() {
        let pages = pages();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rules");
        for (file, text) in &pages {
            for link in text
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split(')').next())
            {
                let is_there = link.starts_with("https://")
                    || pages.contains_key(link)
                    || root.join(link).is_file();
                assert!(is_there, "{file}: {link}");
            }
        }
    }
}

//! What a SQL file says about how it is run, in the comment lines at its top.
//!
//! A batch file's single statement is run again and again, each time in its own transaction, until
//! it changes no row:
//!
//! ```sql
//! -- dbop:batch
//! -- dbop:total SELECT count(*) FROM customers WHERE full_name IS NULL
//! -- dbop:pause 50ms
//! UPDATE customers SET full_name = name
//!  WHERE id IN (SELECT id FROM customers WHERE full_name IS NULL ORDER BY id LIMIT 1000);
//! ```
//!
//! A file without a transaction can name a statement that clears away what an interrupted run left:
//!
//! ```sql
//! -- no-transaction
//! -- dbop:before DROP INDEX CONCURRENTLY IF EXISTS by_email
//! CREATE INDEX CONCURRENTLY by_email ON customers (email);
//! ```
//!
//! This reads the directives and refuses what could never end or would end too early. It
//! deliberately does not read the statements themselves: the server does.

use std::time::Duration;

use crate::duration;
use crate::engine::Engine;

/// The longest `dbop:pause`: a longer one is a mistake in the unit.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// What every directive begins with, after `--`.
const MARK: &str = "dbop:";

/// How a file is run, as it says itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directives {
    /// Repeated in batches; absent: run once.
    pub batch: Option<Batch>,
    /// A statement to run before the file, every time that the file is begun.
    pub before: Option<String>,
}

/// How a batch file is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// A query that gives one number: how many rows are still to do. It gives the percentage, and
    /// the file is complete only when it gives 0.
    pub total: Option<String>,
    /// The wait after each repetition, which leaves the database room for others.
    pub pause: Duration,
}

/// Why a file with directives is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectiveError {
    /// A directive that is not known: a misspelt one must not turn a backfill into one repetition.
    #[error("line {line}: '{MARK}{name}' is not a directive")]
    UnknownDirective {
        /// From 1.
        line: usize,
        /// What follows `dbop:`.
        name: String,
    },
    /// A directive below the first statement.
    #[error("line {line}: the directive stands below the beginning of the statement")]
    NotAtTheTop {
        /// From 1.
        line: usize,
    },
    /// The same directive twice.
    #[error("line {line}: dbop:{name} stands there twice")]
    Twice {
        /// From 1.
        line: usize,
        /// The directive.
        name: &'static str,
    },
    /// `dbop:total` or `dbop:pause` without `dbop:batch`.
    #[error("dbop:{0} stands there without dbop:batch")]
    WithoutBatch(&'static str),
    /// `dbop:total` that is no query.
    #[error("line {line}: dbop:total needs a SELECT that gives one number")]
    Total {
        /// From 1.
        line: usize,
    },
    /// `dbop:pause` that is no duration, or a too long one.
    #[error("line {line}: dbop:pause needs a duration of at most 60s")]
    Pause {
        /// From 1.
        line: usize,
    },
    /// `dbop:batch` with words after it.
    #[error("line {line}: dbop:batch takes no value")]
    Value {
        /// From 1.
        line: usize,
    },
    /// sqlx's `-- no-transaction` in the same file.
    #[error("-- no-transaction does not go with dbop:batch")]
    NoTransaction,
    /// `dbop:before` without a statement.
    #[error("line {line}: dbop:before needs a statement")]
    Before {
        /// From 1.
        line: usize,
    },
    /// `dbop:before` in a file that leaves nothing behind.
    #[error("dbop:before stands in a file that does not begin with '-- no-transaction'")]
    BeforeInTransaction,
    /// The mysql client's command, in a file that no such client reads.
    #[error("line {line}: DELIMITER is a command of the mysql client, and no SQL")]
    Delimiter {
        /// From 1.
        line: usize,
    },
    /// Not a statement that changes rows.
    #[error(
        "a batch file holds one UPDATE, DELETE, INSERT or MERGE, and this one begins otherwise"
    )]
    NotAChange,
}

impl DirectiveError {
    /// The way out, for a person.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::UnknownDirective { .. } | Self::Twice { .. } | Self::Value { .. } => {
                "the directives are dbop:batch, dbop:total SELECT ..., dbop:pause 50ms, and dbop:before \
                 STATEMENT, each once"
            }
            Self::NotAtTheTop { .. } => "move it into the comment lines at the top of the file",
            Self::WithoutBatch(_) => "add the line '-- dbop:batch', or take this one out",
            Self::Total { .. } => {
                "for instance: -- dbop:total SELECT count(*) FROM t WHERE c IS NULL"
            }
            Self::Pause { .. } => "for instance: -- dbop:pause 50ms",
            Self::NoTransaction => {
                "take it out: each repetition of a batch file is a transaction of its own"
            }
            Self::Before { .. } => {
                "for instance: -- dbop:before DROP INDEX CONCURRENTLY IF EXISTS by_email"
            }
            Self::BeforeInTransaction => {
                "write the statement into the file: it runs as a whole or not at all"
            }
            Self::Delimiter { .. } => {
                "take such lines out, and end each body with END; instead: the server reads the file as a whole \
                 and finds the ends of bodies with BEGIN and END by itself"
            }
            Self::NotAChange => {
                "other statements go into plain files; the count of changed rows tells when a batch \
                 file is done, so a SELECT of a function cannot be one"
            }
        }
    }
}

impl Directives {
    /// Reads the directives of a file; a plain one has none.
    ///
    /// # Errors
    /// [`DirectiveError`] for the first directive that cannot be kept.
    ///
    /// ```
    /// use dbop_migrate::directives::Directives;
    /// use dbop_migrate::engine::Engine;
    ///
    /// let parse = |sql| Directives::parse(sql, Engine::Postgres);
    /// let plain = parse("CREATE TABLE customers (id bigint);").unwrap();
    /// assert_eq!(plain, Directives::default());
    ///
    /// let file = "-- dbop:batch\nDELETE FROM t WHERE id IN (SELECT id FROM t LIMIT 100);";
    /// assert!(parse(file).unwrap().batch.is_some());
    /// assert!(parse("-- dbop:bacth\nDELETE FROM t;").is_err());
    /// ```
    pub fn parse(sql: &str, engine: Engine) -> Result<Self, DirectiveError> {
        let (mut batch, mut total, mut pause, mut before) = (None, None, None, None);
        let mut at_top = true;
        for (line, text) in (1..).zip(sql.lines()) {
            let text = text.trim();
            if engine == Engine::MySql && changes_delimiter(text) {
                return Err(DirectiveError::Delimiter { line });
            }
            let Some(directive) = directive(text) else {
                at_top = at_top && (text.is_empty() || text.starts_with("--"));
                continue;
            };
            if !at_top {
                return Err(DirectiveError::NotAtTheTop { line });
            }
            let (name, value) = directive
                .split_once(char::is_whitespace)
                .unwrap_or((directive, ""));
            let value = value.trim();
            match name {
                "batch" if !value.is_empty() => return Err(DirectiveError::Value { line }),
                "batch" => once(&mut batch, (), line, "batch")?,
                "total" => once(&mut total, query(value, line, engine)?, line, "total")?,
                "pause" => once(&mut pause, pause_of(value, line)?, line, "pause")?,
                "before" if value.is_empty() => return Err(DirectiveError::Before { line }),
                "before" => once(&mut before, value.to_owned(), line, "before")?,
                _ => {
                    let name = name.chars().take(40).collect();
                    return Err(DirectiveError::UnknownDirective { line, name });
                }
            }
        }
        let no_transaction = sql.starts_with("-- no-transaction");
        if before.is_some() && !no_transaction {
            return Err(DirectiveError::BeforeInTransaction);
        }
        let batch = match (batch, total, pause) {
            (None, None, None) => None,
            (None, Some(_), _) => return Err(DirectiveError::WithoutBatch("total")),
            (None, None, Some(_)) => return Err(DirectiveError::WithoutBatch("pause")),
            (Some(()), ..) if no_transaction => return Err(DirectiveError::NoTransaction),
            (Some(()), ..) if !changes_rows(sql, engine) => return Err(DirectiveError::NotAChange),
            (Some(()), total, pause) => Some(Batch {
                total,
                pause: pause.unwrap_or_default(),
            }),
        };
        Ok(Self { batch, before })
    }
}

/// Whether the statement is of a kind whose count of rows tells when it is done.
fn changes_rows(sql: &str, engine: Engine) -> bool {
    let word = first_word(sql, engine);
    let known = ["UPDATE", "DELETE", "INSERT", "MERGE", "WITH"];
    known.iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// What follows `-- dbop:` (or `--dbop:`) on such a line.
fn directive(line: &str) -> Option<&str> {
    line.strip_prefix("--")?.trim_start().strip_prefix(MARK)
}

fn once<T>(
    slot: &mut Option<T>,
    value: T,
    line: usize,
    name: &'static str,
) -> Result<(), DirectiveError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(DirectiveError::Twice { line, name }),
    }
}

fn query(value: &str, line: usize, engine: Engine) -> Result<String, DirectiveError> {
    let query = value.trim_end_matches(';').trim_end();
    let word = first_word(query, engine);
    if ["SELECT", "WITH"]
        .iter()
        .any(|known| word.eq_ignore_ascii_case(known))
    {
        Ok(query.to_owned())
    } else {
        Err(DirectiveError::Total { line })
    }
}

fn pause_of(value: &str, line: usize) -> Result<Duration, DirectiveError> {
    let pause = duration::parse(value)
        .ok()
        .filter(|pause| *pause <= PAUSE_MAX);
    pause.ok_or(DirectiveError::Pause { line })
}

/// Whether a line is the mysql client's command that changes what ends a statement. A column may have that
/// name too, and then a type follows.
fn changes_delimiter(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let named = words
        .next()
        .is_some_and(|word| word.eq_ignore_ascii_case("DELIMITER"));
    let is_mark =
        |word: &str| word.starts_with(|c: char| c.is_ascii_punctuation() && c != '`' && c != '_');
    named && words.next().is_some_and(is_mark) && words.next().is_none()
}

/// The first word of the statement, past white space and comments; empty where there is none.
pub(crate) fn first_word(sql: &str, engine: Engine) -> &str {
    let rest = after_comments(sql, engine);
    let end = rest
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(rest.len());
    &rest[..end]
}

/// What follows the white space and the comments that `sql` begins with.
pub(crate) fn after_comments(sql: &str, engine: Engine) -> &str {
    let mut rest = sql.trim_start();
    loop {
        let hash = rest.starts_with('#') && engine.has_hash_comments();
        if rest.starts_with("--") || hash {
            rest = rest
                .split_once('\n')
                .map_or("", |(_, after)| after)
                .trim_start();
        } else if rest.starts_with("/*") {
            rest = after_block_comment(rest, engine).trim_start();
        } else {
            return rest;
        }
    }
}

/// What follows the block comment that `sql` begins with.
fn after_block_comment(sql: &str, engine: Engine) -> &str {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(found) = sql[at..].find(['/', '*']) {
        at += found;
        if sql[at..].starts_with("/*") && (depth == 0 || engine.nests_comments()) {
            depth += 1;
            at += 2;
        } else if sql[at..].starts_with("*/") {
            depth = depth.saturating_sub(1);
            at += 2;
            if depth == 0 {
                return &sql[at..];
            }
        } else {
            at += 1;
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_all_directives() {
        let sql = "-- Fills in the new column.\r\n--dbop:batch\r\n\
                   -- dbop:total SELECT count(*) FROM t WHERE c IS NULL;\r\n\
                   -- dbop:pause 50ms\r\n\r\n/* one /* nested */ comment */ update t SET c = 1;";
        let read = Directives::parse(sql, Engine::Postgres)
            .unwrap()
            .batch
            .unwrap();
        assert_eq!(
            read.total.as_deref(),
            Some("SELECT count(*) FROM t WHERE c IS NULL")
        );
        assert_eq!(read.pause, Duration::from_millis(50));
    }

    #[test]
    fn a_plain_file_stays_plain() {
        for sql in [
            "",
            "-- only a comment",
            "SELECT '-- no dbop:batch here';",
            "CREATE TABLE t();",
        ] {
            assert_eq!(
                Directives::parse(sql, Engine::Postgres),
                Ok(Directives::default()),
                "{sql}"
            );
        }
    }

    #[test]
    fn a_file_without_a_transaction_can_clear_away_first() {
        let sql = "-- no-transaction\n-- dbop:before DROP INDEX CONCURRENTLY IF EXISTS i\n\
                   CREATE INDEX CONCURRENTLY i ON t (c);";
        let read = Directives::parse(sql, Engine::Postgres).unwrap();
        assert_eq!(
            read.before.as_deref(),
            Some("DROP INDEX CONCURRENTLY IF EXISTS i")
        );
        refused(
            "-- dbop:before DROP INDEX i",
            &DirectiveError::BeforeInTransaction,
        );
        refused(
            "-- no-transaction\n-- dbop:before",
            &DirectiveError::Before { line: 2 },
        );
    }

    #[track_caller]
    fn refused(sql: &str, why: &DirectiveError) {
        assert_eq!(
            Directives::parse(sql, Engine::Postgres).as_ref().err(),
            Some(why),
            "{sql}"
        );
    }

    #[test]
    fn what_could_go_wrong_silently_is_refused() {
        let name = |name: &str| name.to_owned();
        refused(
            "-- dbop:bacth\nUPDATE t SET c = 1",
            &DirectiveError::UnknownDirective {
                line: 1,
                name: name("bacth"),
            },
        );
        refused(
            "UPDATE t SET c = 1\n-- dbop:batch",
            &DirectiveError::NotAtTheTop { line: 2 },
        );
        refused(
            "-- dbop:batch\n-- dbop:batch\n",
            &DirectiveError::Twice {
                line: 2,
                name: "batch",
            },
        );
        refused(
            "-- dbop:total SELECT 1\nUPDATE t",
            &DirectiveError::WithoutBatch("total"),
        );
        refused(
            "-- dbop:pause 5\nUPDATE t",
            &DirectiveError::WithoutBatch("pause"),
        );
        refused(
            "-- dbop:batch\n-- dbop:total 5\nUPDATE t",
            &DirectiveError::Total { line: 2 },
        );
        refused(
            "-- dbop:batch\n-- dbop:pause 2m\nUPDATE t",
            &DirectiveError::Pause { line: 2 },
        );
        refused(
            "-- dbop:batch 1000\nUPDATE t",
            &DirectiveError::Value { line: 1 },
        );
        refused(
            "-- no-transaction\n-- dbop:batch\nUPDATE t",
            &DirectiveError::NoTransaction,
        );
        refused("-- dbop:batch\n", &DirectiveError::NotAChange);
        refused(
            "-- dbop:batch\nSELECT backfill()",
            &DirectiveError::NotAChange,
        );
        refused("-- dbop:batch\n/* no end", &DirectiveError::NotAChange);
        refused(
            "-- dbop:batch\nCREATE INDEX i ON t (c)",
            &DirectiveError::NotAChange,
        );
    }

    #[test]
    fn mysql_has_comments_of_its_own_and_no_delimiter_command() {
        let batch =
            |sql: &str| Directives::parse(sql, Engine::MySql).map(|read| read.batch.is_some());
        assert_eq!(
            batch("-- dbop:batch\n# a\n/* not /* nested */ DELETE FROM t LIMIT 9"),
            Ok(true)
        );
        assert_eq!(
            batch("CREATE TABLE t (\n  delimiter char(1),\n  `x` int)"),
            Ok(false)
        );
        for mark in ["//", "$$", ";;", ";"] {
            assert_eq!(
                batch(&format!("SELECT 1;\ndelimiter {mark}\n")),
                Err(DirectiveError::Delimiter { line: 2 })
            );
        }
    }
}

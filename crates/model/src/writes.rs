//! How many rows of a table change per second: from counters of the server that were read at different times.
//!
//! Who looks at a database gives each look to a [`WriteWatch`]. It keeps a bounded number of counters in memory, and
//! nothing else: after a restart a rate is unknown until there are two looks again. One look is never "quiet".

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::fact::{Fact, Why};
use crate::table::{TableFactsSet, TableName, TableState, WriteCount, WriteRate};

/// The rate is a mean over so long at most: what is further back says nothing of now.
pub const WINDOW: Duration = Duration::from_secs(60);
/// A rate is told from so long on: PostgreSQL's sessions pass their numbers on once a second.
pub const SPAN_MIN: Duration = Duration::from_secs(3);
/// Looks closer together than this count as one, so that many looks in a row do not push the older ones out.
const STEP_MIN: Duration = Duration::from_secs(1);
/// How far clocks may be apart before a server seems to have begun to count anew.
const CLOCKS_APART: Duration = Duration::from_secs(2);
/// Tables of one database: more than one migration is about. The longest unseen makes room.
const TABLES_MAX: usize = 256;
/// Looks of one table: with [`STEP_MIN`] more than half of the window at the closest, and all of it in practice.
const LOOKS_MAX: usize = 32;

/// The counters that were read of one database's tables.
#[derive(Debug, Clone, Default)]
pub struct WriteWatch {
    tables: BTreeMap<TableName, VecDeque<WriteCount>>,
}

impl WriteWatch {
    /// Takes the counters of one look, and puts the rates in their place. Tables without a counter are left alone.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use dbop_model::Fact;
    /// use dbop_model::table::{TableFacts, TableFactsSet, TableKind, TableState, WriteCount};
    /// use dbop_model::writes::WriteWatch;
    /// use jiff::Timestamp;
    ///
    /// let look = |second: i64, rows: u64| {
    ///     let at = Timestamp::from_second(second).unwrap();
    ///     let mut table = TableFacts::new(TableKind::Ordinary);
    ///     table.written = Fact::Known(WriteCount {
    ///         rows,
    ///         at,
    ///         counting_for: Duration::from_secs(3600),
    ///         counter: "users".into(),
    ///         source: "pg_stat_all_tables",
    ///     });
    ///     let mut facts = TableFactsSet::new(at);
    ///     let name = "users".parse().unwrap();
    ///     facts.tables.insert(name, Fact::Known(TableState::Present(Box::new(table))));
    ///     facts
    /// };
    /// let rate = |facts: &TableFactsSet| match facts.table(&"users".parse().unwrap()) {
    ///     Fact::Known(TableState::Present(table)) => table.writes.clone(),
    ///     _ => unreachable!(),
    /// };
    ///
    /// let mut watch = WriteWatch::default();
    /// let (mut first, mut second) = (look(0, 500), look(10, 800));
    /// watch.look(&mut first);
    /// watch.look(&mut second);
    /// assert!(matches!(rate(&first), Fact::Unknown(why) if why.is_passing()));
    /// assert!(rate(&second).is_known_and(|rate| rate.per_second == 30.0));
    /// ```
    pub fn look(&mut self, facts: &mut TableFactsSet) {
        for (name, state) in &mut facts.tables {
            let Fact::Known(TableState::Present(table)) = state else {
                continue;
            };
            if let Fact::Known(count) = &table.written {
                let looks = self.tables.entry(name.clone()).or_default();
                let continues = add(looks, count.clone());
                table.writes = rate(looks, continues);
            }
        }
        while self.tables.len() > TABLES_MAX {
            let last = |looks: &VecDeque<WriteCount>| looks.back().map(|count| count.at);
            let longest_unseen = self.tables.iter().min_by_key(|(_, looks)| last(looks));
            let Some(name) = longest_unseen.map(|(name, _)| name.clone()) else {
                return;
            };
            self.tables.remove(&name);
        }
    }

    /// The last rate of a table, where it is known; for numbers that are shown.
    pub fn rate_of(&self, table: &TableName) -> Fact<WriteRate> {
        match self.tables.get(table) {
            Some(looks) => rate(looks, Continues::Yes),
            None => Fact::Unknown(Why::passing("its writes have not been watched yet")),
        }
    }
}

/// Does a counter go on from the looks before?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Continues {
    Yes,
    /// It began anew: a restart, a reset, another server.
    Anew,
}

/// Adds a look. What is of another count is of no use beside it.
fn add(looks: &mut VecDeque<WriteCount>, count: WriteCount) -> Continues {
    let mut continues = Continues::Yes;
    if let Some(last) = looks.back() {
        let passed = Duration::try_from(count.at.duration_since(last.at));
        let goes_on = count.counter == last.counter
            && count.rows >= last.rows
            && passed.is_ok_and(|passed| passed <= count.counting_for + CLOCKS_APART);
        if !goes_on {
            looks.clear();
            continues = Continues::Anew;
        }
    }
    let newest = looks.len();
    if newest >= 2 && span(&looks[newest - 2], &count) < STEP_MIN {
        looks.pop_back();
    }
    looks.push_back(count);
    if looks.len() > LOOKS_MAX {
        looks.pop_front();
    }
    continues
}

fn span(from: &WriteCount, to: &WriteCount) -> Duration {
    Duration::try_from(to.at.duration_since(from.at)).unwrap_or_default()
}

/// The mean from the oldest look within the window to the newest.
fn rate(looks: &VecDeque<WriteCount>, continues: Continues) -> Fact<WriteRate> {
    let pair = looks.back().and_then(|newest| {
        let oldest = looks.iter().find(|look| span(look, newest) <= WINDOW)?;
        Some((oldest, newest))
    });
    let (oldest, newest) = match pair {
        Some(pair) if span(pair.0, pair.1) >= SPAN_MIN => pair,
        _ => {
            let again = match continues {
                Continues::Yes => "",
                Continues::Anew => ", as the server began to count anew",
            };
            return Fact::Unknown(Why::passing(format!(
                "its writes have been watched for less than {} s{again}",
                SPAN_MIN.as_secs()
            )));
        }
    };
    let span = span(oldest, newest);
    Fact::Known(WriteRate {
        // Counters of less than 2^53 are exact, and those above would be off by a few rows.
        per_second: (newest.rows - oldest.rows) as f64 / span.as_secs_f64(),
        span,
        source: newest.source,
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::table::{TableFacts, TableKind};

    /// A look: at which millisecond, how many rows, counting for how many seconds, which counter.
    type Look = (i64, u64, u64, &'static str);

    fn facts(tables: &[(&str, Look)]) -> TableFactsSet {
        let mut set = TableFactsSet::new(Timestamp::UNIX_EPOCH);
        for (name, (millisecond, rows, counting_s, counter)) in tables {
            let mut table = TableFacts::new(TableKind::Ordinary);
            table.written = Fact::Known(WriteCount {
                rows: *rows,
                at: Timestamp::from_millisecond(*millisecond).unwrap(),
                counting_for: Duration::from_secs(*counting_s),
                counter: (*counter).to_owned(),
                source: "test",
            });
            let state = Fact::Known(TableState::Present(Box::new(table)));
            set.tables.insert(name.parse().unwrap(), state);
        }
        set
    }

    fn writes(set: &TableFactsSet, name: &str) -> Fact<WriteRate> {
        match set.table(&name.parse().unwrap()) {
            Fact::Known(TableState::Present(table)) => table.writes.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// What is said after the last of the looks.
    #[track_caller]
    fn check(looks: &[Look], expect: &str) {
        let mut watch = WriteWatch::default();
        let mut said = String::new();
        for look in looks {
            let mut set = facts(&[("t", *look)]);
            watch.look(&mut set);
            said = match writes(&set, "t") {
                Fact::Known(rate) => {
                    format!("{:.1}/s over {} s", rate.per_second, rate.span.as_secs())
                }
                Fact::Unknown(why) => {
                    assert!(why.is_passing(), "{why}");
                    why.to_string()
                }
            };
        }
        assert_eq!(said, expect, "{looks:?}");
    }

    const SHORT: &str = "its writes have been watched for less than 3 s";
    const ANEW: &str =
        "its writes have been watched for less than 3 s, as the server began to count anew";

    #[test]
    fn two_looks_make_a_rate_and_one_does_not() {
        check(&[(0, 7, 900, "a")], SHORT);
        check(&[(0, 7, 900, "a"), (2900, 9, 900, "a")], SHORT);
        check(
            &[(0, 7, 900, "a"), (3000, 307, 900, "a")],
            "100.0/s over 3 s",
        );
        check(
            &[(0, 7, 900, "a"), (10_000, 7, 900, "a")],
            "0.0/s over 10 s",
        );
    }

    #[test]
    fn only_the_window_counts() {
        let burst = [(0, 0, 900, "a"), (50_000, 1_000_000, 900, "a")];
        check(&burst, "20000.0/s over 50 s");
        let after = [burst[0], burst[1], (100_000, 1_000_100, 900, "a")];
        check(&after, "2.0/s over 50 s");
        // Nothing in the window but the newest: as if it were the first.
        check(&[burst[0], (500_000, 5, 900, "a")], SHORT);
    }

    #[test]
    fn a_count_that_began_anew_is_no_rate() {
        check(&[(0, 500, 900, "a"), (10_000, 20, 900, "a")], ANEW);
        check(&[(0, 500, 900, "a"), (10_000, 900, 900, "b")], ANEW);
        check(&[(0, 500, 900, "a"), (10_000, 900, 4, "a")], ANEW);
        check(&[(10_000, 500, 900, "a"), (0, 900, 900, "a")], ANEW);
        let on = [
            (0, 500, 900, "a"),
            (10_000, 20, 900, "a"),
            (15_000, 70, 900, "a"),
        ];
        check(&on, "10.0/s over 5 s");
    }

    #[test]
    fn many_looks_in_a_row_keep_the_older_ones() {
        let mut looks = vec![(0, 0, 900, "a")];
        looks.extend((1..200).map(|n| (n * 50, n as u64, 900, "a")));
        check(&looks, "20.0/s over 9 s");
        let mut watch = WriteWatch::default();
        for n in 0..10_000_i64 {
            watch.look(&mut facts(&[("t", (n * 1000, n as u64, 90_000, "a"))]));
        }
        assert_eq!(watch.tables[&"t".parse().unwrap()].len(), LOOKS_MAX);
    }

    #[test]
    fn the_longest_unseen_table_makes_room() {
        let mut watch = WriteWatch::default();
        for n in 0..TABLES_MAX as i64 + 10 {
            let name = format!("t{n}");
            watch.look(&mut facts(&[(&name, (n * 1000, 1, 900, "a"))]));
        }
        assert_eq!(watch.tables.len(), TABLES_MAX);
        let known = |name: &str| watch.tables.contains_key(&name.parse().unwrap());
        assert!(!known("t9") && known("t10"));
        assert!(watch.rate_of(&"t9".parse().unwrap()).known().is_none());
    }
}

//! Pages of the rules about what a table under heavy writes feels.

use super::Page;
use super::manual::*;

const EVIDENCE: &str = "\
Rows changed per second are the difference of two looks at the server's own counters, at least 3 s apart, with the
span and the source. After one look, which tells no rate, the statement is waited for; where the server never tells,
this rule is silent, and the size speaks alone.";
const CONTENDS: (&str, &str) = (
    "Contends",
    "the table is large, its writes are at or over `hints.heavyWritesPerSecond`, and writers are shut out",
);
const NOT_YET: (&str, &str) = (
    "Unknown",
    "the table is large, writers are shut out, and there was one look at the counters: the next one tells",
);
const OVERFLOWS: (&str, &str) = (
    "Contends",
    "MySQL or MariaDB keep the writers' changes during an online change, and those are likely to outgrow \
     `innodb_online_alter_log_max_size`: the statement then fails at its end",
);
const SERVERS: &[(&str, &str)] = &[
    (
        "PostgreSQL",
        "who wants to write waits for the lock until the statement ends",
    ),
    (
        "MySQL, MariaDB",
        "the same where writes wait; where they go on, the server keeps each change until the end, in a log of a \
         limited size",
    ),
];
const OVERFLOW_WAYS: (&str, &str) = (
    "MySQL and MariaDB",
    "Those of the other rule; where the log would overflow, a larger one \
     (`innodb_online_alter_log_max_size`), a quieter time, or pt-online-schema-change.",
);

pub(crate) const ADD_COLUMN_HEAVY_WRITES: Page = Page {
    why: "As for [add-column-large-table](add-column-large-table.md), and somebody writes: every one of them waits.",
    servers: SERVERS,
    evidence: EVIDENCE,
    verdicts: &[CONTENDS, OVERFLOWS, NOT_YET],
    ways: &[
        (
            "PostgreSQL",
            "Those of the other rule; or a time when nobody writes.",
        ),
        OVERFLOW_WAYS,
    ],
    sources: &[
        PG_ALTER_TABLE,
        MY_ONLINE_SPACE,
        (
            "MySQL 8.4 manual, section 17.14, innodb_online_alter_log_max_size",
            "https://dev.mysql.com/doc/refman/8.4/en/innodb-parameters.html\
             #sysvar_innodb_online_alter_log_max_size",
        ),
    ],
};

pub(crate) const BLOCKING_INDEX_HEAVY_WRITES: Page = Page {
    why: "As for [blocking-index-large-table](blocking-index-large-table.md), and somebody writes.",
    servers: SERVERS,
    evidence: EVIDENCE,
    verdicts: &[CONTENDS, OVERFLOWS, NOT_YET],
    ways: &[("PostgreSQL", "Those of the other rule."), OVERFLOW_WAYS],
    sources: &[PG_CREATE_INDEX, MY_ONLINE_SPACE],
};

pub(crate) const CONSTRAINT_HEAVY_WRITES: Page = Page {
    why: "\
As for [constraint-large-table](constraint-large-table.md), [not-null-over-nulls](not-null-over-nulls.md),
[alter-column-rewrite](alter-column-rewrite.md) and [table-rewrite](table-rewrite.md), and somebody writes.",
    servers: SERVERS,
    evidence: EVIDENCE,
    verdicts: &[CONTENDS, OVERFLOWS, NOT_YET],
    ways: &[("PostgreSQL", "Those of the other rules."), OVERFLOW_WAYS],
    sources: &[PG_LOCKS, MY_ONLINE_SPACE],
};

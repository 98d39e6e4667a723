//! Pages of the rules about what blocks for as long as a table is large.

use super::Page;
use super::manual::*;

/// Verdicts of all of them.
const BLOCKS: (&str, &str) = (
    "Blocks",
    "readers or writers are shut out as long as the work takes, and the table is large (`hints.largeTableRows`, \
     `hints.largeTableBytes`)",
);
const CLEAN: (&str, &str) = (
    "Clean",
    "nobody is shut out, or the table is small or has no row",
);
const UNKNOWN: (&str, &str) = (
    "Unknown",
    "a fact that decides is not known; the finding names it",
);

pub(crate) const ADD_COLUMN_LARGE_TABLE: Page = Page {
    why: "\
What an `ADD COLUMN` does depends on the column, not on the keyword: most only change the catalogue, and
some write every row anew.",
    servers: &[
        (
            "PostgreSQL",
            "without a default, or with one that is the same for every row (`now()` too): the catalogue alone. A \
             default that is computed for every row (`gen_random_uuid()`), `serial`, identity, a stored generated \
             column, a domain with a CHECK: every row is written anew under ACCESS EXCLUSIVE. `UNIQUE`, `CHECK` or \
             `REFERENCES` with a default in the same breath read every row",
        ),
        (
            "MySQL",
            "most columns by `INSTANT`; copies the table for stored generated columns, defaults in parentheses and an \
             inline CHECK, and where a FULLTEXT index is; writes it anew while writes wait for AUTO_INCREMENT",
        ),
        (
            "MariaDB",
            "most columns by `INSTANT`; copies the table for stored generated columns and defaults computed from the \
             row; writes it anew while writes wait for AUTO_INCREMENT, where a FULLTEXT index is, or an indexed \
             virtual column",
        ),
    ],
    evidence: "\
The types and functions of the operation are those that this server knows; `sql_mode`, character set and the
number of instant versions count as well.",
    verdicts: &[BLOCKS, CLEAN, UNKNOWN],
    ways: &[
        (
            "PostgreSQL",
            "\
Add it without the default, set the default for new rows, fill the old ones in batches; `VIRTUAL` from
version 18 on; constraints afterwards, as `NOT VALID`.",
        ),
        (
            "MySQL and MariaDB",
            "\
Without the default, then `ALTER COLUMN ... SET DEFAULT`; `VIRTUAL` instead of `STORED`; otherwise
[pt-online-schema-change](../../deploy/examples/pt-online-schema-change/README.md) or, on MySQL where the binary log has whole
rows with their places, [gh-ost](../../deploy/examples/gh-ost/README.md), which a person lets read it. Every finding carries the
statements or the command for its table.",
        ),
    ],
    sources: &[
        (
            "PostgreSQL manual, ALTER TABLE, Notes",
            "https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES",
        ),
        MY_ONLINE_DDL,
        MARIA_ONLINE_DDL,
        MEASURED,
    ],
};

pub(crate) const BLOCKING_INDEX_LARGE_TABLE: Page = Page {
    why: "An index is made of every row, and whether others can write meanwhile depends on how it is asked for.",
    servers: &[
        (
            "PostgreSQL",
            "builds an index under SHARE: writes wait until it is done. `CONCURRENTLY` does not, outside of a \
             transaction, and is refused on a partitioned table. A REINDEX stops reads as well, since every plan wants \
             every index",
        ),
        (
            "MySQL, MariaDB",
            "build plain and unique indexes while writes go on; FULLTEXT and SPATIAL ones and those over an expression \
             while writes wait, and the first FULLTEXT index writes every row anew",
        ),
    ],
    evidence: "Whether the table is partitioned, and which indexes it has, decides with its size.",
    verdicts: &[BLOCKS, CLEAN, UNKNOWN],
    ways: &[
        (
            "PostgreSQL",
            "\
`CREATE INDEX CONCURRENTLY`, `REINDEX ... CONCURRENTLY`; on a partitioned table `ON ONLY` the parent and
`CONCURRENTLY` on each partition.",
        ),
        (
            "MySQL and MariaDB",
            "\
The expression as a virtual column and an index over it; otherwise pt-online-schema-change.",
        ),
    ],
    sources: &[
        PG_CREATE_INDEX,
        (
            "PostgreSQL manual, REINDEX",
            "https://www.postgresql.org/docs/current/sql-reindex.html",
        ),
        MY_ONLINE_DDL,
        MEASURED,
    ],
};

pub(crate) const CONSTRAINT_LARGE_TABLE: Page = Page {
    why: "The server looks at every row to be sure that the constraint holds, and others wait meanwhile.",
    servers: &[
        (
            "PostgreSQL",
            "reads the whole table under ACCESS EXCLUSIVE for a CHECK, builds an index under it for UNIQUE and PRIMARY \
             KEY, and looks up every row for a foreign key while writes to *both* tables wait",
        ),
        (
            "MySQL, MariaDB before 11.2",
            "copy the table for a CHECK and, with `foreign_key_checks` on, for a foreign key, while writes wait",
        ),
        (
            "MariaDB 11.2 and later",
            "the copy lets writes go on, unless a foreign key cascades into the table",
        ),
    ],
    evidence: "\
The sizes of both tables count, existing constraints and indexes, and whether the statement shares a
transaction with one that took a strong lock: it is held until the end. Whether today's rows meet a CHECK or a
foreign key is not looked at, and listed as not judged.",
    verdicts: &[BLOCKS, CLEAN, UNKNOWN],
    ways: &[
        (
            "PostgreSQL",
            "\
`NOT VALID`, then `VALIDATE CONSTRAINT` in another transaction; UNIQUE and PRIMARY KEY by `CREATE UNIQUE INDEX
CONCURRENTLY` and `USING INDEX`; before ATTACH PARTITION a validated CHECK that implies the bound.",
        ),
        (
            "MySQL and MariaDB",
            "\
A foreign key with `foreign_key_checks = 0`, `ALGORITHM=INPLACE, LOCK=NONE`, after a look for orphans; a CHECK
by pt-online-schema-change.",
        ),
    ],
    sources: &[PG_ALTER_TABLE, MY_ONLINE_DDL, MEASURED],
};

pub(crate) const ALTER_COLUMN_REWRITE: Page = Page {
    why: "\
A change of type costs nothing where the old values are values of the new type as they are stored. Otherwise
every row is written anew.",
    servers: &[
        (
            "PostgreSQL, cheap",
            "`varchar(20)` to `varchar(40)` or `text`, `numeric(10,2)` to `numeric(12,2)`, `cidr` to `inet`, \
             `timestamp` to `timestamptz` where the session's time zone is UTC",
        ),
        (
            "PostgreSQL, dear",
            "`int` to `bigint`, a shorter `varchar`, `json` to `jsonb`, anything with `USING`: every row is written \
             anew under ACCESS EXCLUSIVE. A CHECK over the column is held against every row again, and an index of an \
             expression or of some rows is built anew",
        ),
        (
            "MySQL, MariaDB",
            "count bytes: a longer VARCHAR is cheap up to 255 bytes and beyond, and dear across; ENUM values can be \
             appended; utf8mb3 becomes utf8mb4 in place. `MODIFY` without `CHARACTER SET` gives the column its \
             table's character set, and copies the table where that is another",
        ),
    ],
    evidence: "\
The old type, character set and collation are those of the catalogue; indexes and CHECKs over the column, the
time zone and `sql_mode` of a migration's session count as well.",
    verdicts: &[BLOCKS, CLEAN, UNKNOWN],
    ways: &[
        (
            "PostgreSQL",
            "\
A new column beside the old, kept alike by a trigger, filled in batches, swapped in by the application; for a
CHECK or an index, drop it first and build it again `NOT VALID` or `CONCURRENTLY`.",
        ),
        ("MySQL and MariaDB", "pt-online-schema-change; on MySQL gh-ost as well."),
    ],
    sources: &[
        (
            "PostgreSQL manual, ALTER TABLE, Notes",
            "https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES",
        ),
        MY_ONLINE_DDL,
        MARIA_ALTER_TABLE,
        MEASURED,
    ],
};

pub(crate) const TABLE_REWRITE: Page = Page {
    why: "Some changes of a table write all of it anew, or read it, while others wait.",
    servers: &[
        (
            "PostgreSQL",
            "CLUSTER, VACUUM FULL, SET UNLOGGED, SET TABLESPACE write the table anew under ACCESS EXCLUSIVE; dropping a \
             column is a change of the catalogue",
        ),
        (
            "MySQL, MariaDB",
            "CONVERT TO CHARACTER SET copies the table; dropping a column writes it anew, online, where an index of \
             several columns holds it. What partitioning statements do is not predicted",
        ),
    ],
    evidence: "Its indexes, row format and columns decide with its size.",
    verdicts: &[BLOCKS, CLEAN, UNKNOWN],
    ways: &[
        ("PostgreSQL", "pg_repack."),
        (
            "MySQL and MariaDB",
            "pt-online-schema-change; on MySQL gh-ost as well.",
        ),
    ],
    sources: &[PG_LOCKS, MY_ONLINE_DDL, MEASURED],
};

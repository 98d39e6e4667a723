//! Pages of the rules about what fails on today's data, or whatever the data are.

use super::Page;
use super::manual::*;

pub(crate) const MISSING_OBJECT: Page = Page {
    why: "\
The statement would fail: `relation \"users\" does not exist`. Most often the name in `schemaHints` is
misspelt or lacks its schema, and then every other rule would have looked at nothing.",
    servers: &[
        (
            "PostgreSQL",
            "a name without a schema is looked for in every schema of users, and `public` stands before the others",
        ),
        (
            "MySQL, MariaDB",
            "a name without a database is in that of the connection; case counts as the server has it",
        ),
    ],
    evidence: "\
Earlier operations of the same migration count: a table that one of them creates, or the new name after
a rename, is there. A rename whose new name is there already is taken as done, since a migration must be
safe to run again; drops are left alone for the same reason.",
    verdicts: &[
        ("WillFail", "the catalogue has no such table or column"),
        ("Unknown", "several schemas have the table; the finding names them"),
    ],
    ways: &[(
        "Every server",
        "\
Correct the name, as `schema.table` where more than one schema has it. If the migration itself creates the
table or adds the column, say so with a `createTable` or `addColumn` before it.",
    )],
    sources: &[("which names mean what", "../analyze.md")],
};

pub(crate) const REFUSED_STATEMENT: Page = Page {
    why: "Some statements never work, whatever is in the table: the server refuses them before it does anything.",
    servers: &[
        (
            "PostgreSQL",
            "CONCURRENTLY inside a transaction or on a partitioned table; USING INDEX on a partitioned table",
        ),
        (
            "PostgreSQL before 18",
            "a foreign key that is NOT VALID on a partitioned table; virtual generated columns; NOT ENFORCED",
        ),
        (
            "MySQL, MariaDB",
            "NOT VALID; a type, a character set, a collation or a storage engine that the server has not; a CHECK, a \
             generated column or a default over a query, a missing column, AUTO_INCREMENT, or what is another value \
             tomorrow; a default beside `AS (...)`",
        ),
        (
            "MySQL",
            "a CHECK that is no condition, or one of a column that is about another",
        ),
        (
            "MariaDB",
            "an index over an expression; NOT NULL beside `AS (...)`",
        ),
    ],
    evidence: "The server's version, the table's kind and the transaction that the statement is in decide.",
    verdicts: &[("WillFail", "this server refuses the statement")],
    ways: &[(
        "Every server",
        "The statement that this version has instead; the finding says it.",
    )],
    sources: &[PG_CREATE_INDEX, PG_ALTER_TABLE, MY_ALTER_TABLE, MEASURED],
};

pub(crate) const PINNED_ALGORITHM: Page = Page {
    why: "\
`ALGORITHM=INSTANT` or `LOCK=NONE` is good practice: where the server would need a slower way, the statement
fails before it does anything. This rule says so before the migration starts.",
    servers: &[
        ("MySQL 8.0 to 9.x", "`INSTANT`, `INPLACE`, `COPY`; INPLACE rebuilds where INSTANT would do"),
        ("MariaDB", "`INSTANT`, `NOCOPY`, `INPLACE`, `COPY`; each allows what is cheaper"),
    ],
    evidence: "\
The cheapest way that this version has for the whole statement on this table counts: an ALTER TABLE takes
the slowest way that any of its actions needs.",
    verdicts: &[("WillFail", "the server would need another way; the finding says which")],
    ways: &[(
        "MySQL and MariaDB",
        "\
Leave the clause out, if the table may be locked; split the statement; pt-online-schema-change.",
    )],
    sources: &[MY_ALTER_TABLE, MARIA_ALTER_TABLE, MEASURED],
};

pub(crate) const NOT_NULL_WITHOUT_DEFAULT: Page = Page {
    why: "\
The server has no value for the rows that are there. On an empty development database the same statement
works, which is why it is found late.",
    servers: &[
        (
            "PostgreSQL",
            "refuses: `column \"code\" of relation \"users\" contains null values`",
        ),
        (
            "MySQL, MariaDB",
            "have a value for every type and write it into the rows: 0, an empty text, the first of an ENUM, the \
             zero date",
        ),
        (
            "MySQL, strict",
            "refuses where that would be the zero date or a geometry (`date`, `datetime`, spatial types)",
        ),
    ],
    evidence: "\
Whether there is a row is a probe, `SELECT 1 ... LIMIT 1`: an estimate never proves a table empty. A default
of NULL is none; `serial`, identity and generated columns bring their values, and so does a domain with a
default.",
    verdicts: &[
        ("WillFail", "the table has a row, and the server refuses"),
        ("ImplicitValue", "the table has a row, and the server invents a value (MySQL, MariaDB)"),
        (
            "Clean",
            "the table has none, or has the column already (a migration that is safe to run again skips it)",
        ),
        (
            "Unknown",
            "the probe timed out or was not allowed, or the type cannot be looked up",
        ),
    ],
    ways: &[
        (
            "PostgreSQL",
            "\
Give it a constant default; since version 11 that takes an instant on a table of any size. Or in steps: add
it as NULL, have the application write it, fill the old rows in batches, and make it NOT NULL in a later
migration ([not-null-over-nulls](not-null-over-nulls.md)).",
        ),
        (
            "MySQL and MariaDB",
            "\
Say the value that is meant as the default; or in the same steps.",
        ),
    ],
    sources: &[
        PG_ALTER_TABLE,
        (
            "MySQL 8.4 manual, section 13.6, Data Type Default Values",
            "https://dev.mysql.com/doc/refman/8.4/en/data-type-defaults.html",
        ),
        MEASURED,
    ],
};

pub(crate) const NOT_NULL_OVER_NULLS: Page = Page {
    why: "\
`SET NOT NULL`, and a `notNull` or `primaryKey` constraint, fail on the first NULL, on a large table after
minutes. Where there is none, the server still has to be sure.",
    servers: &[
        (
            "PostgreSQL",
            "fails: `column \"email\" of relation \"users\" contains null values`; else reads the whole table under \
             ACCESS EXCLUSIVE, and nobody reads or writes meanwhile",
        ),
        (
            "MySQL, strict; MariaDB",
            "fail on the first NULL; else write the table anew, in place, while writes go on",
        ),
        (
            "MySQL, not strict",
            "copies the table, writes wait, and a NULL becomes 0, an empty text or the zero date",
        ),
    ],
    evidence: "\
In this order: the column is NOT NULL already; the table has no row; a valid CHECK `(email IS NOT NULL)`
proves it (one that is `NOT VALID` proves nothing); otherwise a probe, `SELECT 1 ... WHERE email IS NULL
LIMIT 1`, read-only and bounded by `hints.probeTimeout`. Whether the probe found a row is reported, never
which. A partial index on `(email) WHERE email IS NULL`, built concurrently, makes the probe instant on a
table of any size.",
    verdicts: &[
        ("WillFail", "a row holds NULL"),
        ("ImplicitValue", "a row holds NULL, and a MySQL that is not strict makes a value of it"),
        ("Blocks", "no row holds NULL, nothing proves it, and the table is large (PostgreSQL)"),
        ("Clean", "a proof spares the scan, or the table is small"),
        (
            "Unknown",
            "the probe timed out or was not allowed, or the same migration adds the column and its operations do not \
             say with what values. A lock in the probe's way is waited for",
        ),
    ],
    ways: &[
        (
            "PostgreSQL",
            "\
Fill the rows that hold NULL, in batches. For a large table, prove it while the application goes on, each
statement in a transaction of its own:

```sql
ALTER TABLE users ADD CONSTRAINT email_not_null CHECK (email IS NOT NULL) NOT VALID;
ALTER TABLE users VALIDATE CONSTRAINT email_not_null;  -- reads and writes go on
ALTER TABLE users ALTER COLUMN email SET NOT NULL;     -- an instant
ALTER TABLE users DROP CONSTRAINT email_not_null;
```

The first two belong in one migration, the last two in the next: facts are those of the moment before a
migration starts.",
        ),
        (
            "MySQL and MariaDB",
            "Fill the rows that hold NULL, in batches; the change itself lets others read and write.",
        ),
    ],
    sources: &[PG_ALTER_TABLE, MY_ONLINE_DDL, MEASURED],
};

pub(crate) const UNIQUE_OVER_DUPLICATES: Page = Page {
    why: "\
The statement fails on the first duplicate, on a large table after minutes.",
    servers: &[
        (
            "PostgreSQL",
            "a concurrent build that fails leaves an index behind that cannot be used \
             ([invalid-index](invalid-index.md))",
        ),
        ("MySQL, MariaDB", "the change is undone, which takes as long again"),
    ],
    evidence: "\
In this order: the table has no row; a valid unique index on a subset of the columns proves that there are no
duplicates; otherwise a probe that ends at the first one, read-only and bounded by `hints.probeTimeout`. NULLs
are no duplicates of each other, unless the key says `NULLS NOT DISTINCT`. Whether the probe found one is
reported, never which.",
    verdicts: &[
        (
            "WillFail",
            "one was found, or a new unique column gets the same value in every row",
        ),
        ("Clean", "there is proof, or the probe found none"),
        (
            "Unknown",
            "the probe timed out or was not allowed, or the migration adds a column of the key",
        ),
    ],
    ways: &[(
        "Every server",
        "Remove the duplicates; the finding has the statement that lists them.",
    )],
    sources: &[
        (
            "PostgreSQL manual, section 11.6, Unique Indexes",
            "https://www.postgresql.org/docs/current/indexes-unique.html",
        ),
        (
            "MySQL 8.4 manual, section 15.1.15, CREATE INDEX",
            "https://dev.mysql.com/doc/refman/8.4/en/create-index.html",
        ),
    ],
};

pub(crate) const INVALID_INDEX: Page = Page {
    why: "\
A `CREATE INDEX CONCURRENTLY` that fails leaves an index that costs writes and serves no query. The same
statement with `IF NOT EXISTS` then skips it with a NOTICE, without it fails on the name, and `USING INDEX`
refuses it.",
    servers: &[
        ("PostgreSQL", "`pg_index.indisvalid` is false"),
        ("MySQL, MariaDB", "have no such thing: a build that fails leaves nothing"),
    ],
    evidence: "Whether an index is valid is in the catalogue.",
    verdicts: &[("WillFail", "the statement names such an index")],
    ways: &[(
        "PostgreSQL",
        "\
`DROP INDEX CONCURRENTLY`, then build it again once what made it fail is gone, mostly duplicates
([unique-over-duplicates](unique-over-duplicates.md)).",
    )],
    sources: &[(
        "PostgreSQL manual, CREATE INDEX, Building Indexes Concurrently",
        "https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY",
    )],
};

pub(crate) const REFUSED_BY_CATALOGUE: Page = Page {
    why: "A migration that fails halfway is worse than one that never began, and none of this needs a single row: an object \
          that is there already, or is not there to be dropped; something that hangs on what is dropped or changed; a second \
          primary key; an index that cannot become a constraint's; NULL in a key's column; a foreign key to columns that are \
          no key; a type that the server does not make of the old one by itself; a partition that overlaps another.",
    servers: &[
        (
            "PostgreSQL",
            "views, generated columns, partition keys, foreign keys of other tables, triggers and policies stop a drop without CASCADE, and some of them a change of type",
        ),
        (
            "MySQL, MariaDB",
            "foreign keys, generated columns, expressions of indexes, CHECKs and partition keys stop a drop or a change; there is no CASCADE. Names of columns are the same in other letters; those of foreign keys, triggers and MySQL's CHECKs are the whole database's. A partition has to be there, above or beside the others, with its columns in every unique key",
        ),
    ],
    evidence: "Earlier statements of the same migration count: what they make is there, what they drop is gone, so that a \
               file which drops the view first is clean. Of `schemaHints`, which have no `IF EXISTS`, no name is called taken \
               or missing, but for a rename: a migration that is safe to run again skips what is done.",
    verdicts: &[(
        "WillFail",
        "the catalogue of the live database refuses the statement; an empty table is no excuse",
    )],
    ways: &[(
        "Everywhere",
        "`IF EXISTS` or `IF NOT EXISTS`; drop what hangs on it first and make it anew behind it, or `CASCADE`, whose victims \
         the advice names; `USING` with an expression; another name, key or bound. If the migration's tool skips by itself \
         what it has done before, `accept` the finding.",
    )],
    sources: &[PG_ALTER_TABLE, MY_ALTER_TABLE, MARIA_ALTER_TABLE],
};

pub(crate) const CONSTRAINT_OVER_VIOLATIONS: Page = Page {
    why: "A CHECK, a foreign key, a partition's bound and a change of type look at every row, and fail at the first that does \
          not fit: a value that the condition refuses, that the other table does not have, that is outside of the bounds, or \
          that is too long or no number for the new type. On MySQL and MariaDB also where a character set lacks a letter, \
          where values of a unique key become the same by a new type or collation, and where what a new column is computed \
          by does not fit its type.",
    servers: &[
        (
            "PostgreSQL",
            "`NOT VALID` holds new rows alone to the constraint, and `VALIDATE CONSTRAINT` looks at the others later",
        ),
        (
            "MySQL, MariaDB",
            "every row is looked at while the statement runs; what a `sql_mode` that is not strict bends to fit is no \
             violation",
        ),
        (
            "MariaDB",
            "the CHECK of a column is held against rows only where they are copied",
        ),
    ],
    evidence: "A bounded probe, read only, ends at the first such row and says only that there is one. It computes what the \
               migration wrote, as the admin; so it is asked only where that calls nothing but the server's own functions \
               without effects. A column that is added is looked at with its default.",
    verdicts: &[
        ("WillFail", "there is such a row"),
        (
            "Unknown",
            "the probe was too slow, or the condition is not tried",
        ),
    ],
    ways: &[
        (
            "PostgreSQL",
            "Correct or delete those rows first, in batches; or add the constraint `NOT VALID`, and validate it once they are \
             gone. For a type, a `USING` that takes every value.",
        ),
        (
            "MySQL and MariaDB",
            "Correct or delete those rows first, in batches.",
        ),
    ],
    sources: &[PG_ALTER_TABLE, MY_ALTER_TABLE],
};

//! Pages of the rules about what others feel whatever a table's size.

use super::Page;
use super::manual::*;

pub(crate) const DROPPED_OR_RENAMED_IN_USE: Page = Page {
    why: "\
A migration runs while the applications of the version before still run, with valid credentials. Their
statements with the old name fail from that moment on.",
    servers: &[],
    evidence: "\
A table that is written to is in use. No server says who reads a column, so a dropped column is not judged.",
    verdicts: &[(
        "Blocks",
        "the table is written to now. Otherwise this rule is silent, which proves nothing",
    )],
    ways: &[(
        "Every server",
        "\
A view of the old name; a new column beside the old one; dropping only what an earlier release stopped using
(see `compatibleFrom`).",
    )],
    sources: &[("which applications still run", "../applications.md")],
};

pub(crate) const QUEUE_BEHIND_TRANSACTION: Page = Page {
    why: "\
A strong lock waits for every transaction that has touched the table, and whoever comes later waits behind it,
readers too. One forgotten session so stops an application by way of a statement that takes an instant.",
    servers: &[
        ("PostgreSQL", "`pg_locks`, and prepared transactions"),
        ("MySQL, MariaDB", "`performance_schema.metadata_locks`"),
    ],
    evidence: "\
Each is named with its login, state and age. Transactions younger than 5 s are ordinary traffic.",
    verdicts: &[(
        "Queues",
        "an older session is in the way: the migration waits, and goes on by itself once the session is gone",
    )],
    ways: &[(
        "Every server",
        "End the session, or its transaction; a lock timeout, so that the statement gives up first.",
    )],
    sources: &[
        PG_LOCKS,
        (
            "MySQL 8.4 manual, section 10.11.4, Metadata Locking",
            "https://dev.mysql.com/doc/refman/8.4/en/metadata-locking.html",
        ),
    ],
};

pub(crate) const MISSING_LOCK_TIMEOUT: Page = Page {
    why: "\
Between the look at the locks and the statement a session can come in between. Without a limit the statement
waits for it as long as it likes, and every writer behind it.",
    servers: &[
        ("PostgreSQL", "`lock_timeout`; there is none by default"),
        ("MySQL, MariaDB", "`lock_wait_timeout`; a year, or a day, by default"),
    ],
    evidence: "\
The limit is that of a migration's session, and what the migration sets itself.",
    verdicts: &[(
        "Contends",
        "the table is large and under heavy writes, and the limit is missing or over 10 minutes",
    )],
    ways: &[(
        "Every server",
        "\
`migrations.lockTimeout` on the ManagedDatabase, or a SET at the head of the migration, and another try.",
    )],
    sources: &[
        (
            "PostgreSQL manual, section 19.11, Client Connection Defaults",
            "https://www.postgresql.org/docs/current/runtime-config-client.html",
        ),
        (
            "MySQL 8.4 manual, section 7.1.8, lock_wait_timeout",
            "https://dev.mysql.com/doc/refman/8.4/en/server-system-variables.html#sysvar_lock_wait_timeout",
        ),
    ],
};

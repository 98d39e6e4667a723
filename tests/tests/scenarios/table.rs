//! The nine scenarios as data: for each engine a statement that people write, and what it is held against.
//!
//! `$T` stands for the table. On MariaDB, which copies tables while writes go on, what its tables have in common with
//! real ones makes the difference: a foreign key that cascades.

use dbop_tests::Engine;

/// The large, busy table.
pub(crate) const LARGE: &str = "orders";
/// The same with few rows, and nobody who writes.
pub(crate) const SMALL: &str = "small";
/// The same without a row.
pub(crate) const EMPTY: &str = "bare";

/// One of the nine.
pub(crate) struct Scenario {
    /// Its number in the list of the hints.
    pub(crate) number: u8,
    /// What it is, for people.
    pub(crate) title: &'static str,
    /// The rule that finds it.
    pub(crate) rule: &'static str,
    /// Is it found by a measured rate of writes?
    pub(crate) heavy: bool,
    /// The table on which the same statement is nothing to speak of.
    pub(crate) twin: &'static str,
    postgres: &'static Change,
    mysql: &'static Change,
    mariadb: &'static Change,
}

/// A change of the schema on one engine.
pub(crate) struct Change {
    /// The verdict about it.
    pub(crate) verdict: &'static str,
    /// The statement, as people write it.
    pub(crate) sql: &'static str,
    /// What a person does to the data, where they are in the way.
    pub(crate) repair: &'static str,
    /// What takes it back.
    pub(crate) undo: &'static str,
    /// Counts what it makes.
    pub(crate) made: &'static str,
}

impl Scenario {
    pub(crate) fn on(&self, engine: Engine) -> &'static Change {
        match engine {
            Engine::Postgres => self.postgres,
            Engine::MySql => self.mysql,
            Engine::MariaDb => self.mariadb,
        }
    }
}

pub(crate) const SCENARIOS: [Scenario; 9] = [
    Scenario {
        number: 1,
        title: "an index is built on a large table",
        rule: "blocking-index-large-table",
        heavy: false,
        twin: SMALL,
        postgres: &INDEX,
        mysql: &TEXT_INDEX,
        mariadb: &TEXT_INDEX,
    },
    Scenario {
        number: 2,
        title: "an index is built under heavy writes",
        rule: "blocking-index-heavy-writes",
        heavy: true,
        twin: SMALL,
        postgres: &Change {
            verdict: "Contends",
            ..INDEX
        },
        mysql: &Change {
            verdict: "Contends",
            ..TEXT_INDEX
        },
        mariadb: &Change {
            verdict: "Contends",
            ..TEXT_INDEX
        },
    },
    Scenario {
        number: 3,
        title: "a column is added to a large table",
        rule: "add-column-large-table",
        heavy: false,
        twin: SMALL,
        postgres: &RANDOM_COLUMN,
        mysql: &COMPUTED_COLUMN,
        mariadb: &COMPUTED_COLUMN,
    },
    Scenario {
        number: 4,
        title: "a column is added under heavy writes",
        rule: "add-column-heavy-writes",
        heavy: true,
        twin: SMALL,
        postgres: &Change {
            verdict: "Contends",
            ..RANDOM_COLUMN
        },
        mysql: &Change {
            verdict: "Contends",
            ..COMPUTED_COLUMN
        },
        mariadb: &Change {
            verdict: "Contends",
            ..COMPUTED_COLUMN
        },
    },
    Scenario {
        number: 5,
        title: "a unique key over a value that occurs twice",
        rule: "unique-over-duplicates",
        heavy: false,
        twin: SMALL,
        postgres: &Change {
            verdict: "WillFail",
            sql: "ALTER TABLE $T ADD CONSTRAINT $T_dup_key UNIQUE (dup)",
            repair: NO_DUPLICATE,
            undo: "ALTER TABLE $T DROP CONSTRAINT $T_dup_key",
            made: "SELECT count(*) FROM pg_constraint WHERE conname = '$T_dup_key'",
        },
        mysql: &UNIQUE,
        mariadb: &UNIQUE,
    },
    Scenario {
        number: 6,
        title: "a constraint on a large table",
        rule: "constraint-large-table",
        heavy: false,
        twin: SMALL,
        postgres: &CHECK,
        mysql: &CHECK,
        mariadb: &CHECK,
    },
    Scenario {
        number: 7,
        title: "a constraint under heavy writes",
        rule: "constraint-heavy-writes",
        heavy: true,
        twin: SMALL,
        postgres: &HEAVY_CHECK,
        mysql: &HEAVY_CHECK,
        mariadb: &HEAVY_CHECK,
    },
    Scenario {
        number: 8,
        title: "NOT NULL over a NULL",
        rule: "not-null-over-nulls",
        heavy: false,
        twin: SMALL,
        postgres: &Change {
            verdict: "WillFail",
            sql: "ALTER TABLE $T ALTER COLUMN note SET NOT NULL",
            repair: NO_NULL,
            undo: "ALTER TABLE $T ALTER COLUMN note DROP NOT NULL; UPDATE $T SET note = NULL WHERE id = 7",
            made: NOT_NULL_NOTE,
        },
        mysql: &NOT_NULL,
        mariadb: &NOT_NULL,
    },
    Scenario {
        number: 9,
        title: "a NOT NULL column without default on a table with data",
        rule: "not-null-without-default",
        heavy: false,
        twin: EMPTY,
        postgres: &Change {
            verdict: "WillFail",
            ..NO_DEFAULT
        },
        mysql: &NO_DEFAULT,
        mariadb: &NO_DEFAULT,
    },
];

const NO_DUPLICATE: &str = "UPDATE $T SET dup = 0 WHERE id = 1";
const NO_NULL: &str = "UPDATE $T SET note = 'x' WHERE id = 7";
const CODE: &str = "SELECT count(*) FROM information_schema.columns WHERE table_name = '$T' AND column_name = 'code'";
const DROP_CODE: &str = "ALTER TABLE $T DROP COLUMN code";
const NOT_NULL_NOTE: &str = "SELECT count(*) FROM information_schema.columns WHERE table_name = '$T' \
                             AND column_name = 'note' AND is_nullable = 'NO'";

const INDEX: Change = Change {
    verdict: "Blocks",
    sql: "CREATE INDEX $T_a ON $T (a)",
    repair: "",
    undo: "DROP INDEX $T_a",
    made: "SELECT count(*) FROM pg_indexes WHERE indexname = '$T_a'",
};
/// What MySQL and MariaDB build while writes wait: plain indexes they do not.
const TEXT_INDEX: Change = Change {
    verdict: "Blocks",
    sql: "CREATE FULLTEXT INDEX $T_note ON $T (note)",
    repair: "",
    undo: "DROP INDEX $T_note ON $T",
    made: "SELECT count(*) FROM information_schema.statistics WHERE table_schema = DATABASE() \
           AND index_name = '$T_note'",
};
const RANDOM_COLUMN: Change = Change {
    verdict: "Blocks",
    sql: "ALTER TABLE $T ADD COLUMN code uuid DEFAULT gen_random_uuid()",
    repair: "",
    undo: DROP_CODE,
    made: CODE,
};
const COMPUTED_COLUMN: Change = Change {
    verdict: "Blocks",
    sql: "ALTER TABLE $T ADD COLUMN code INT DEFAULT (b + 1)",
    repair: "",
    undo: DROP_CODE,
    made: CODE,
};
const UNIQUE: Change = Change {
    verdict: "WillFail",
    sql: "ALTER TABLE $T ADD UNIQUE INDEX $T_dup_key (dup)",
    repair: NO_DUPLICATE,
    undo: "DROP INDEX $T_dup_key ON $T",
    made: "SELECT count(*) FROM information_schema.statistics WHERE table_schema = DATABASE() \
           AND index_name = '$T_dup_key'",
};
const CHECK: Change = Change {
    verdict: "Blocks",
    sql: "ALTER TABLE $T ADD CONSTRAINT $T_a_check CHECK (a >= 0)",
    repair: "",
    undo: "ALTER TABLE $T DROP CONSTRAINT $T_a_check",
    made: "SELECT count(*) FROM information_schema.table_constraints WHERE constraint_name = '$T_a_check'",
};
const HEAVY_CHECK: Change = Change {
    verdict: "Contends",
    ..CHECK
};
const NOT_NULL: Change = Change {
    verdict: "WillFail",
    sql: "ALTER TABLE $T MODIFY note VARCHAR(40) NOT NULL",
    repair: NO_NULL,
    undo: "ALTER TABLE $T MODIFY note VARCHAR(40) NULL; UPDATE $T SET note = NULL WHERE id = 7",
    made: NOT_NULL_NOTE,
};
const NO_DEFAULT: Change = Change {
    verdict: "ImplicitValue",
    sql: "ALTER TABLE $T ADD COLUMN code INT NOT NULL",
    repair: "",
    undo: DROP_CODE,
    made: CODE,
};

//! The table of data: how each server does each form of change, as it was measured.

use dbop_model::operation::{Algorithm, Locking};
use dbop_model::{Engine, ServerInfo};

/// The forms of operations that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// ADD COLUMN without a default, or with one that is the same for every row.
    AddColumn,
    /// ADD COLUMN of a date that is NOT NULL and has no default: rows get the zero date.
    AddColumnZeroDate,
    /// ADD COLUMN with a default in parentheses that is the same for every row.
    AddColumnConstant,
    /// ADD COLUMN with a default that is computed for every row.
    AddColumnComputed,
    /// ADD COLUMN of a virtual generated column.
    AddColumnVirtual,
    /// ADD COLUMN of a stored generated column.
    AddColumnStored,
    /// ADD COLUMN with AUTO_INCREMENT.
    AddColumnNumbered,
    /// ADD COLUMN with UNIQUE.
    AddColumnUnique,
    /// ADD COLUMN with CHECK.
    AddColumnCheck,
    /// ADD COLUMN with REFERENCES.
    AddColumnReferences,
    /// DROP COLUMN that no index is over.
    DropColumn,
    /// DROP COLUMN that goes with an index over it alone.
    DropColumnOwnIndex,
    /// DROP COLUMN that is part of an index of several.
    DropColumnIndexed,
    /// DROP COLUMN of a virtual generated column.
    DropColumnVirtual,
    /// ADD COLUMN with FIRST or AFTER to a table that has a virtual generated column.
    AddColumnAmongVirtual,
    /// DROP COLUMN of a table that has a virtual generated column.
    DropColumnAmongVirtual,
    /// MODIFY with FIRST or AFTER.
    Reorder,
    /// RENAME COLUMN.
    RenameColumn,
    /// Another default, another comment, or nothing new.
    Default,
    /// NULL to NOT NULL, where a NULL is refused.
    NotNull,
    /// NULL to NOT NULL, where a NULL becomes a value that the server invents.
    NotNullLoose,
    /// NOT NULL to NULL.
    Nullable,
    /// Another type, a shorter VARCHAR, another character set.
    Convert,
    /// A longer VARCHAR whose lengths take as many bytes.
    Longer,
    /// A longer VARCHAR whose lengths take two bytes, and took one of at most 127.
    LongerShort,
    /// A longer VARCHAR whose lengths take two bytes, and took one, of more than 127.
    LongerAcross,
    /// From utf8mb3 to utf8mb4, no index over it.
    Charset,
    /// The same, with an index over it.
    CharsetIndexed,
    /// Another collation, no index over it.
    Collation,
    /// Another collation, an index over it.
    CollationIndexed,
    /// Values appended to an ENUM or SET.
    EnumAppended,
    /// ADD INDEX, ADD UNIQUE.
    AddIndex,
    /// ADD INDEX over an expression.
    AddIndexComputed,
    /// ADD UNIQUE over an expression; over more than an index can hold, so that it holds hashes (MariaDB).
    AddUniqueComputed,
    /// The first FULLTEXT index.
    AddFulltextFirst,
    /// Another FULLTEXT index.
    AddFulltext,
    /// A SPATIAL index.
    AddSpatial,
    /// DROP INDEX.
    DropIndex,
    /// ADD PRIMARY KEY.
    AddPrimaryKey,
    /// DROP PRIMARY KEY, no new one beside it.
    DropPrimaryKey,
    /// ADD FOREIGN KEY, checked.
    ForeignKey,
    /// ADD FOREIGN KEY with foreign_key_checks off.
    ForeignKeyUnchecked,
    /// DROP FOREIGN KEY.
    DropForeignKey,
    /// ADD CHECK.
    Check,
    /// ADD CHECK that is not enforced.
    CheckUnenforced,
    /// DROP CONSTRAINT of a CHECK.
    DropCheck,
    /// MODIFY of a virtual generated column that may compute it in another way.
    ChangeVirtual,
    /// MODIFY that leaves AUTO_INCREMENT out.
    DropNumbering,
    /// MODIFY that gives a column AUTO_INCREMENT.
    AddNumbering,
    /// ADD or DROP PARTITION, where no row goes from one to another.
    PartitionFiles,
    /// A partition and a table change places.
    PartitionExchanged,
    /// TRUNCATE PARTITION.
    PartitionTruncated,
    /// Rows of some partitions are written anew.
    PartitionRows,
    /// Rows of all partitions are, and go from one to another.
    PartitionHashed,
    /// The table is partitioned in another way, or not any more.
    PartitionWhole,
    /// Another storage engine, another order of the rows.
    Copied,
    /// FORCE, ENGINE=InnoDB, ROW_FORMAT, OPTIMIZE TABLE.
    Rebuild,
    /// RENAME INDEX, COMMENT, the default character set, the next number.
    Catalogue,
    /// MAX_ROWS, CHECKSUM and the like.
    Options,
    /// DROP SYSTEM VERSIONING.
    DropVersioning,
    /// ENABLE KEYS.
    EnableKeys,
    /// RENAME TO.
    RenameTable,
    /// TRUNCATE TABLE.
    Truncate,
    /// DROP TABLE, triggers: a metadata lock for an instant.
    Metadata,
    /// Anything on a table of the same migration.
    NewTable,
}

/// How a server does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) algorithm: Algorithm,
    pub(super) rebuild: bool,
    pub(super) locking: Locking,
}

const fn way(algorithm: Algorithm, rebuild: bool, locking: Locking) -> Way {
    Way {
        algorithm,
        rebuild,
        locking,
    }
}

/// INSTANT.
pub(super) const I: Way = way(Algorithm::Instant, false, Locking::None);
/// In place, no row written anew.
pub(super) const P: Way = way(Algorithm::NoCopy, false, Locking::None);
/// The same, no writes meanwhile.
pub(super) const PS: Way = way(Algorithm::NoCopy, false, Locking::Shared);
/// In place, every row written anew.
pub(super) const R: Way = way(Algorithm::InPlace, true, Locking::None);
/// The same, no writes meanwhile.
pub(super) const RS: Way = way(Algorithm::InPlace, true, Locking::Shared);
/// In place to MariaDB, though every row is written anew, and no writes meanwhile.
pub(super) const NS: Way = way(Algorithm::NoCopy, true, Locking::Shared);
/// Copied row by row, no writes meanwhile.
pub(super) const C: Way = way(Algorithm::Copy, true, Locking::Shared);
/// Copied while writes go on (MariaDB 11.2 and later).
pub(super) const C0: Way = way(Algorithm::Copy, true, Locking::None);

/// Columns of the table: servers that do everything alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Like {
    /// MySQL 8.0 to 8.4.
    MySql8 = 0,
    /// MySQL 9.0 to 9.7.
    MySql9 = 1,
    /// MariaDB 10.6 to 11.1.
    MariaDb10 = 2,
    /// MariaDB 11.2 to 11.8.
    MariaDb11 = 3,
}

pub(super) struct Row {
    pub(super) form: Form,
    /// Per [`Like`], where nothing stands in the way.
    pub(super) ways: [Way; 4],
    /// Where INSTANT is not to be had: for this table, or beside another action of the statement.
    pub(super) late: [Way; 4],
    /// Is the table read, though no row is written?
    pub(super) scan: bool,
}

const fn row(form: Form, ways: [Way; 4]) -> Row {
    let (late, scan) = ([P; 4], false);
    Row {
        form,
        ways,
        late,
        scan,
    }
}

const fn late(row: Row, late: [Way; 4]) -> Row {
    Row { late, ..row }
}

const fn scan(row: Row) -> Row {
    Row { scan: true, ..row }
}

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    //                                MySQL 8  9   MariaDB 10  11
    late(row(Form::AddColumn,           [I,  I,  I,  I ]), [R; 4]),
    late(row(Form::AddColumnZeroDate,   [R,  R,  I,  I ]), [R; 4]),
    late(row(Form::AddColumnConstant,   [C,  C,  I,  I ]), [R; 4]),
    row(Form::AddColumnComputed,        [C,  C,  C,  C0]),
    late(row(Form::AddColumnVirtual,    [I,  I,  I,  I ]), [C, C, C, C0]),
    row(Form::AddColumnStored,          [C,  C,  C,  C0]),
    row(Form::AddColumnNumbered,        [RS, RS, RS, RS]),
    row(Form::AddColumnUnique,          [R,  R,  R,  R ]),
    late(row(Form::AddColumnCheck,      [C,  C,  I,  I ]), [R; 4]),
    row(Form::AddColumnReferences,      [I,  C,  C,  C0]),
    late(row(Form::DropColumn,          [I,  I,  I,  I ]), [R; 4]),
    late(row(Form::DropColumnOwnIndex,  [R,  R,  P,  P ]), [R; 4]),
    row(Form::DropColumnIndexed,        [R,  R,  R,  R ]),
    row(Form::DropColumnVirtual,        [I,  I,  I,  I ]),
    late(row(Form::AddColumnAmongVirtual,  [I,  I,  C,  C0]), [R; 4]),
    late(row(Form::DropColumnAmongVirtual, [I,  I,  I,  I ]), [R; 4]),
    late(row(Form::Reorder,             [R,  R,  I,  I ]), [R; 4]),
    row(Form::RenameColumn,             [I,  I,  I,  I ]),
    row(Form::Default,                  [I,  I,  I,  I ]),
    row(Form::NotNull,                  [R,  R,  R,  R ]),
    row(Form::NotNullLoose,             [C,  C,  R,  R ]),
    row(Form::Nullable,                 [R,  R,  R,  R ]),
    row(Form::Convert,                  [C,  C,  C,  C0]),
    row(Form::Longer,                   [P,  P,  I,  I ]),
    row(Form::LongerShort,              [C,  C,  I,  I ]),
    row(Form::LongerAcross,             [C,  C,  C,  C0]),
    row(Form::Charset,                  [P,  P,  I,  I ]),
    row(Form::CharsetIndexed,           [C,  C,  I,  I ]),
    row(Form::Collation,                [P,  P,  I,  I ]),
    scan(row(Form::CollationIndexed,    [C,  C,  P,  P ])),
    row(Form::EnumAppended,             [I,  I,  I,  I ]),
    scan(row(Form::AddIndex,            [P,  P,  P,  P ])),
    scan(row(Form::AddIndexComputed,    [PS, PS, PS, PS])),
    row(Form::AddUniqueComputed,        [C,  C,  C,  C0]),
    row(Form::AddFulltextFirst,         [RS, RS, RS, RS]),
    scan(row(Form::AddFulltext,         [PS, PS, PS, PS])),
    scan(row(Form::AddSpatial,          [PS, PS, PS, PS])),
    row(Form::DropIndex,                [P,  P,  P,  P ]),
    row(Form::AddPrimaryKey,            [R,  R,  R,  R ]),
    row(Form::DropPrimaryKey,           [C,  C,  C,  C0]),
    row(Form::ForeignKey,               [C,  C,  C,  C0]),
    row(Form::ForeignKeyUnchecked,      [P,  P,  P,  P ]),
    row(Form::DropForeignKey,           [P,  P,  I,  I ]),
    row(Form::Check,                    [C,  C,  C,  C0]),
    row(Form::CheckUnenforced,          [I,  I,  C,  C0]),
    row(Form::DropCheck,                [I,  I,  I,  I ]),
    row(Form::Rebuild,                  [R,  R,  R,  R ]),
    row(Form::Catalogue,                [P,  P,  I,  I ]),
    row(Form::Options,                  [P,  P,  I,  I ]),
    row(Form::DropVersioning,           [RS, RS, RS, RS]),
    row(Form::EnableKeys,               [I,  I,  I,  I ]),
    row(Form::RenameTable,              [I,  I,  I,  I ]),
    row(Form::ChangeVirtual,            [C,  C,  I,  I ]),
    row(Form::DropNumbering,            [C,  C,  I,  I ]),
    row(Form::AddNumbering,             [C,  C,  C,  C ]),
    row(Form::PartitionFiles,           [P,  P,  P,  P ]),
    row(Form::PartitionExchanged,       [I,  I,  P,  P ]),
    row(Form::PartitionTruncated,       [I,  I,  P,  P ]),
    scan(row(Form::PartitionRows,       [PS, PS, PS, PS])),
    row(Form::PartitionHashed,          [RS, RS, NS, NS]),
    row(Form::PartitionWhole,           [C,  C,  C,  C0]),
    row(Form::Copied,                   [C,  C,  C,  C0]),
];

/// Which column of the table a server is in; `None`: it was never measured, nor lies between two that agree.
pub(super) fn like(server: &ServerInfo) -> Option<Like> {
    match (server.engine, server.major, server.minor) {
        (Engine::MySql, 8, _) => Some(Like::MySql8),
        (Engine::MySql, 9, _) => Some(Like::MySql9),
        (Engine::MariaDb, 10, 6..) | (Engine::MariaDb, 11, 0..=1) => Some(Like::MariaDb10),
        (Engine::MariaDb, 11, _) => Some(Like::MariaDb11),
        _ => None,
    }
}

/// How often columns can be added or dropped instantly before MySQL has to rebuild the table (64 up to 9.0).
pub(super) fn row_versions_max(server: &ServerInfo) -> u32 {
    match (server.engine, server.major, server.minor) {
        // MariaDB had no limit up to 300.
        (Engine::MariaDb, ..) => u32::MAX,
        (_, ..=8, _) | (_, 9, 0) => 64,
        _ => 255,
    }
}

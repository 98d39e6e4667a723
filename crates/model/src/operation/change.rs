//! What SQL does to a table besides the operations that hints can say.

use super::{Dropping, Partitioning};
use crate::table::{ColumnName, TableName};

/// What SQL does to a table besides the operations that hints can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableChange {
    /// `VALIDATE CONSTRAINT`.
    ValidateConstraint {
        /// The constraint.
        name: ColumnName,
    },
    /// Remove all rows: `TRUNCATE`.
    Truncate {
        /// With those of the tables that refer to it (`CASCADE`).
        cascade: bool,
    },
    /// Write the table anew in another order or more densely: `CLUSTER`, `VACUUM FULL`, `OPTIMIZE TABLE`, `ENGINE=`,
    /// `FORCE`, `ROW_FORMAT=`.
    Rebuild,
    /// `SET LOGGED`, `SET UNLOGGED`.
    SetLogged {
        /// The first of the two.
        logged: bool,
    },
    /// `SET TABLESPACE`, `SET ACCESS METHOD`.
    Move,
    /// `REINDEX`.
    Reindex {
        /// `CONCURRENTLY`.
        online: bool,
        /// Does an index's name stand where the table's does (`REINDEX INDEX`)?
        by_name: bool,
    },
    /// `ALTER INDEX ... RENAME TO` (PostgreSQL), of the index whose name stands where the table's does.
    RenameIndex {
        /// Its new name.
        to: ColumnName,
    },
    /// `RENAME CONSTRAINT`.
    RenameConstraint {
        /// The constraint.
        from: ColumnName,
        /// Its new name.
        to: ColumnName,
    },
    /// `ATTACH PARTITION`.
    AttachPartition {
        /// What becomes a partition.
        partition: TableName,
        /// The rows that are its, as the statement says it: `FOR VALUES FROM (1) TO (9)`, `DEFAULT`.
        bound: Option<String>,
    },
    /// `CREATE TABLE ... PARTITION OF`: a new partition without rows.
    CreatePartition {
        /// The new partition.
        partition: TableName,
        /// The rows that are its, as the statement says it.
        bound: Option<String>,
    },
    /// `DETACH PARTITION`.
    DetachPartition {
        /// What was a partition.
        partition: TableName,
        /// `CONCURRENTLY`.
        online: bool,
    },
    /// Create, enable or disable a trigger.
    Trigger,
    /// Drop a trigger.
    DropTrigger {
        /// The trigger.
        name: ColumnName,
        /// What is said of one that is not there, and of what depends on it.
        dropping: Dropping,
    },
    /// Change or drop how the server fills a column by itself (`GENERATED ... AS IDENTITY`, `AS (...)`).
    Filling {
        /// The column.
        column: ColumnName,
        /// How.
        change: Filling,
    },
    /// Storage parameters such as `fillfactor`, and statistics targets.
    Parameters,
    /// `MAX_ROWS`, `CHECKSUM`, `PACK_KEYS` and the like (MySQL, MariaDB): hints to storage engines, which InnoDB passes over.
    Options,
    /// `ENABLE KEYS`, `DISABLE KEYS` (MySQL, MariaDB), which InnoDB passes over.
    Keys {
        /// The first of the two: what was put off is made up for.
        enable: bool,
    },
    /// `ADD SYSTEM VERSIONING`, `DROP SYSTEM VERSIONING` (MariaDB).
    Versioning {
        /// The first of the two.
        add: bool,
    },
    /// The character set and collation of columns to come (`DEFAULT CHARACTER SET`: MySQL, MariaDB).
    DefaultCharset {
        /// The character set, where it is said.
        charset: Option<String>,
        /// The collation, where it is said.
        collation: Option<String>,
    },
    /// `CONVERT TO CHARACTER SET`.
    ConvertCharset {
        /// The character set.
        charset: String,
        /// The collation, where it is said.
        collation: Option<String>,
    },
    /// Put the rows into another order (`ORDER BY`), which lasts until they change.
    Order {
        /// By these columns.
        columns: Vec<ColumnName>,
    },
    /// Another storage engine than InnoDB (`ENGINE=`), or whatever is written so.
    Engine {
        /// Its name.
        engine: String,
    },
    /// A comment, an owner, a default for new columns: the catalogue alone.
    Catalogue,
    /// `RENAME INDEX` of a table's index (MySQL, MariaDB).
    RenameOwnIndex {
        /// The index.
        from: ColumnName,
        /// Its new name.
        to: ColumnName,
        /// Nothing happens where it is not there (`IF EXISTS`).
        if_exists: bool,
    },
    /// `ALTER INDEX ... INVISIBLE`, `IGNORED`: whether queries use an index (MySQL, MariaDB).
    HideIndex {
        /// The index.
        name: ColumnName,
        /// Do they not?
        hidden: bool,
        /// Nothing happens where it is not there (`IF EXISTS`).
        if_exists: bool,
    },
    /// `ALTER CHECK ... NOT ENFORCED` (MySQL).
    Unenforce {
        /// The constraint.
        name: ColumnName,
    },
    /// `ALTER COLUMN ... SET INVISIBLE`: whether `*` stands for a column, too (MySQL).
    HideColumn {
        /// The column.
        name: ColumnName,
    },
    /// `CREATE TRIGGER`, of a server whose triggers' names are their database's (MySQL, MariaDB).
    CreateTrigger {
        /// The trigger.
        name: TableName,
        /// One of its name is no obstacle (`OR REPLACE`, `IF NOT EXISTS`).
        or_there: bool,
    },
    /// `DROP TRIGGER`, of such a server: the trigger's name stands where the table's does.
    DropNamedTrigger {
        /// What is said of one that is not there.
        dropping: Dropping,
    },
    /// `ALTER VIEW`, of a view whose name is one among tables' (MySQL, MariaDB).
    AlterView,
    /// Its definition becomes another table's, too (`CREATE TABLE ... LIKE`); nothing happens to it.
    Template,
    /// `PARTITION BY` and what else MySQL and MariaDB do to partitions.
    Partitioning(Partitioning),
    /// Take rows out of sight, or give them back: row security, rules.
    RowSecurity,
}

impl TableChange {
    /// In a line, after the table's name.
    pub(super) fn words(&self) -> String {
        match self {
            TableChange::ValidateConstraint { name } => format!("validate constraint {name}"),
            TableChange::Truncate { .. } => "truncate".to_owned(),
            TableChange::Rebuild => "rebuild".to_owned(),
            TableChange::SetLogged { logged: true } => "set logged".to_owned(),
            TableChange::SetLogged { logged: false } => "set unlogged".to_owned(),
            TableChange::Move => "move".to_owned(),
            TableChange::Reindex { online: false, .. } => "reindex".to_owned(),
            TableChange::Reindex { online: true, .. } => "reindex online".to_owned(),
            TableChange::RenameIndex { to } => format!("rename index to {to}"),
            TableChange::RenameConstraint { from, to } => {
                format!("rename constraint {from} to {to}")
            }
            TableChange::AttachPartition { partition, .. } => {
                format!("attach partition {partition}")
            }
            TableChange::CreatePartition { partition, .. } => {
                format!("create partition {partition}")
            }
            TableChange::DetachPartition { partition, online } => {
                let online = if *online { " online" } else { "" };
                format!("detach partition {partition}{online}")
            }
            TableChange::Trigger => "trigger".to_owned(),
            TableChange::DropTrigger { name, .. } => format!("drop trigger {name}"),
            TableChange::Filling { column, change } => format!("{column} {}", change.as_str()),
            TableChange::Parameters => "parameters".to_owned(),
            TableChange::Options => "options".to_owned(),
            TableChange::Keys { enable: true } => "enable keys".to_owned(),
            TableChange::Keys { enable: false } => "disable keys".to_owned(),
            TableChange::Versioning { .. } => "system versioning".to_owned(),
            TableChange::DefaultCharset { .. } => "default character set".to_owned(),
            TableChange::ConvertCharset { charset, .. } => format!("convert to {charset}"),
            TableChange::Order { .. } => "order".to_owned(),
            TableChange::Engine { engine } => format!("change its engine to {engine}"),
            TableChange::Catalogue => "catalogue".to_owned(),
            TableChange::RenameOwnIndex { from, to, .. } => format!("rename index {from} to {to}"),
            TableChange::HideIndex { name, hidden, .. } => {
                let verb = if *hidden { "hide" } else { "show" };
                format!("{verb} index {name}")
            }
            TableChange::Unenforce { name } => format!("constraint {name} not enforced"),
            TableChange::HideColumn { name } => format!("visibility of {name}"),
            TableChange::CreateTrigger { name, .. } => format!("trigger {name}"),
            TableChange::DropNamedTrigger { .. } => "drop the trigger of this name".to_owned(),
            TableChange::AlterView => "alter the view".to_owned(),
            TableChange::Template => "template".to_owned(),
            TableChange::Partitioning(partitioning) => partitioning.words().to_owned(),
            TableChange::RowSecurity => "row security".to_owned(),
        }
    }
}

/// What is done to how a server fills a column by itself (PostgreSQL).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filling {
    /// `ADD GENERATED ... AS IDENTITY`.
    AddIdentity,
    /// `SET GENERATED ...`, `RESTART`, and other settings of the identity's sequence.
    SetIdentity,
    /// `DROP IDENTITY`.
    DropIdentity {
        /// Nothing happens where it is none (`IF EXISTS`).
        if_exists: bool,
    },
    /// `DROP EXPRESSION`: a generated column becomes a plain one.
    DropExpression {
        /// Nothing happens where it is none (`IF EXISTS`).
        if_exists: bool,
    },
    /// `SET EXPRESSION`: every value is computed anew where it is stored.
    SetExpression,
}

impl Filling {
    fn as_str(self) -> &'static str {
        match self {
            Filling::AddIdentity => "add identity",
            Filling::SetIdentity => "set identity",
            Filling::DropIdentity { .. } => "drop identity",
            Filling::DropExpression { .. } => "drop expression",
            Filling::SetExpression => "set expression",
        }
    }
}

//! A DatabaseMigration into `Migration`.

use dbop_model::operation::{
    Column, Constraint, ConstraintKind, Dropping, Index, IndexKind, Operation, ServerDefault,
    TableOptions,
};
use dbop_model::table::{ColumnName, TableName};
use dbop_model::{ConfigMapKey, ConfigMapName, Migration, MigrationName, SchemaVersion, SqlSource};

use super::Gather;
use super::database::accept_entry;
use crate::database::AcceptEntry;
use crate::refusal::Refusals;
use crate::{DATABASE_MIGRATION, DatabaseMigration, digest, migration};

impl TryFrom<&DatabaseMigration> for Migration {
    type Error = Refusals;

    fn try_from(object: &DatabaseMigration) -> Result<Self, Refusals> {
        let mut gather = Gather::new(DATABASE_MIGRATION, object)?;
        let migration = whole(object, &mut gather);
        gather.finish(migration)
    }
}

fn whole(object: &DatabaseMigration, gather: &mut Gather) -> Option<Migration> {
    let migration::DatabaseMigrationSpec {
        version,
        previous,
        compatible_from,
        from_empty,
        container: _,
        parallelism: _,
        schema_hints,
        sql,
        accept,
    } = &object.spec;
    let name = gather.take("metadata.name", MigrationName::new(&gather.object.name));
    let version = gather.take(
        "spec.version",
        SchemaVersion::new(version.as_ref().unwrap_or(&gather.object.name)),
    );
    let previous = gather.take_some("spec.previous", previous.as_ref().map(MigrationName::new));
    let compatible_from = gather.take_some(
        "spec.compatibleFrom",
        compatible_from.as_ref().map(MigrationName::new),
    );
    let hints: Option<Option<Vec<Operation>>> = schema_hints
        .as_ref()
        .map(|hints| {
            // Every hint is read before one is missed, so that all refusals are had at once.
            let read: Vec<Option<Operation>> = hints
                .iter()
                .enumerate()
                .map(|(nth, hint)| operation(hint, &format!("spec.schemaHints[{nth}]"), gather))
                .collect();
            read.into_iter().collect()
        })
        .map_or(Some(None), |read: Option<Vec<Operation>>| read.map(Some));
    let sql = match sql {
        None => Some(None),
        Some(sql) => source(sql, gather).map(Some),
    };
    let accept: Vec<_> = accept
        .iter()
        .enumerate()
        .map(|(nth, entry)| {
            let migration::MigrationAccept {
                rule,
                table,
                reason,
            } = entry.clone();
            let entry = AcceptEntry {
                migration: None,
                rule,
                table,
                reason,
            };
            accept_entry(&entry, &format!("spec.accept[{nth}]"), gather)
        })
        .collect();
    let digest = gather.take("spec", digest::of(&object.spec));
    Some(Migration {
        name: name?,
        version: version?,
        previous: previous?,
        compatible_from: compatible_from?,
        from_empty: *from_empty,
        digest: digest?,
        hints: hints?,
        sql: sql?,
        accept: accept.into_iter().collect::<Option<_>>()?,
    })
}

fn source(sql: &migration::MigrationSql, gather: &mut Gather) -> Option<SqlSource> {
    let migration::MigrationSql { inline, config_map } = sql;
    // The rules refuse both, and neither.
    if let Some(inline) = inline {
        return Some(SqlSource::Inline(inline.as_str().into()));
    }
    let migration::SqlConfigMap { name, key } = config_map.as_ref()?;
    let name = gather.take("spec.sql.configMap.name", ConfigMapName::new(name))?;
    Some(SqlSource::ConfigMap(ConfigMapKey {
        name,
        key: key.clone(),
    }))
}

fn operation(hint: &migration::SchemaHint, at: &str, gather: &mut Gather) -> Option<Operation> {
    let migration::SchemaHint {
        op,
        table,
        columns,
        to,
        index,
        constraint,
    } = hint;
    let table = gather.take(&format!("{at}.table"), table.parse::<TableName>());
    let whole: Vec<Option<Column>> = columns
        .iter()
        .enumerate()
        .map(|(nth, one)| column(one, &format!("{at}.columns[{nth}]"), gather))
        .collect();
    let columns: Vec<Column> = whole.into_iter().collect::<Option<_>>()?;
    let names: Vec<ColumnName> = columns.iter().map(|column| column.name.clone()).collect();
    let table = table?;
    let built = match op {
        migration::Op::AddColumn => Operation::add_column(table, columns),
        migration::Op::AlterColumn => Operation::alter_column(table, columns),
        migration::Op::DropColumn => Operation::drop_column(table, names),
        migration::Op::RenameColumn => {
            let to = gather.take(&format!("{at}.to"), to.as_deref()?.parse::<ColumnName>());
            let from = names.into_iter().next();
            return Some(Operation::RenameColumn {
                table,
                from: from?,
                to: to?,
                if_exists: false,
            });
        }
        migration::Op::CreateIndex => {
            let kind = index
                .as_ref()
                .and_then(|index| index.kind)
                .map_or(IndexKind::Plain, index_kind);
            let online = index.as_ref().is_some_and(|index| index.online);
            let index = Index::new(kind, names).with_online(online);
            Ok(Operation::CreateIndex { table, index })
        }
        migration::Op::DropIndex => {
            let online = index.as_ref().is_some_and(|index| index.online);
            Ok(Operation::DropIndex {
                table,
                by_name: false,
                name: None,
                columns: names,
                online,
                dropping: Dropping::default(),
            })
        }
        migration::Op::AddConstraint => Constraint::new(constraint_kind((*constraint)?), names)
            .map(|constraint| Operation::AddConstraint { table, constraint }),
        migration::Op::DropConstraint => Constraint::new(constraint_kind((*constraint)?), names)
            .map(|constraint| Operation::DropConstraint {
                table,
                constraint,
                dropping: Dropping::default(),
            }),
        migration::Op::CreateTable => Ok(Operation::CreateTable {
            table,
            if_not_exists: false,
            columns: Vec::new(),
            complete: false,
            options: TableOptions::default(),
        }),
        migration::Op::DropTable => Ok(Operation::DropTable {
            table,
            dropping: Dropping::default(),
        }),
        migration::Op::RenameTable => {
            let to = gather.take(&format!("{at}.to"), to.as_deref()?.parse::<TableName>())?;
            Ok(Operation::RenameTable { table, to })
        }
    };
    gather.take(at, built)
}

fn column(hint: &migration::ColumnHint, at: &str, gather: &mut Gather) -> Option<Column> {
    let migration::ColumnHint {
        name,
        sql_type,
        nullable,
        has_server_default,
        default,
    } = hint;
    let name = gather.take(&format!("{at}.name"), name.parse::<ColumnName>());
    let sql_type = gather.take_some(
        &format!("{at}.type"),
        sql_type.as_ref().map(|text| text.parse()),
    );
    let default = gather.take(
        &format!("{at}.default"),
        ServerDefault::new(*has_server_default, default.as_deref()),
    );
    Some(Column {
        sql_type: sql_type?,
        nullable: *nullable,
        default: default?,
        ..Column::new(name?)
    })
}

fn index_kind(kind: migration::IndexKind) -> IndexKind {
    match kind {
        migration::IndexKind::Plain => IndexKind::Plain,
        migration::IndexKind::Unique => IndexKind::Unique,
        migration::IndexKind::Fulltext => IndexKind::Fulltext,
        migration::IndexKind::Spatial => IndexKind::Spatial,
    }
}

fn constraint_kind(kind: migration::ConstraintKind) -> ConstraintKind {
    match kind {
        migration::ConstraintKind::Unique => ConstraintKind::Unique,
        migration::ConstraintKind::PrimaryKey => ConstraintKind::PrimaryKey,
        migration::ConstraintKind::NotNull => ConstraintKind::NotNull,
        migration::ConstraintKind::Check => ConstraintKind::Check,
        migration::ConstraintKind::ForeignKey => ConstraintKind::ForeignKey,
    }
}

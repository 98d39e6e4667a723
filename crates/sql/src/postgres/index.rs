//! Indexes: made, dropped, built anew.

use dbop_model::operation::{Index, IndexKind, IndexPart, Operation, TableChange};
use squawk_syntax::ast::{self, AstNode};

use super::name::{Names, bare_text, name};
use super::{Found, change, dropping, one};

/// `CREATE INDEX`.
pub(super) fn create(it: &ast::CreateIndex, names: &Names<'_>) -> Found {
    let relation = it.table_relation_name();
    let only = relation
        .as_ref()
        .is_some_and(|relation| relation.only_token().is_some());
    let unique = it.unique_token().is_some();
    let kind = if unique {
        IndexKind::Unique
    } else {
        IndexKind::Plain
    };
    let mut index = Index::new(kind, Vec::new());
    let items = it
        .partition_item_list()
        .into_iter()
        .flat_map(|list| list.partition_items());
    index.parts = items
        .map(|item| part(&item, unique))
        .collect::<Result<_, _>>()?;
    index.online = it.concurrently_token().is_some();
    index.only = only;
    index.if_not_exists = it.if_not_exists().is_some();
    if let Some(named) = it
        .index()
        .and_then(|index| index.path())
        .and_then(|path| path.segment())
    {
        index.name = Some(name(Some(named.syntax()))?);
    }
    index.predicate = it
        .where_clause()
        .and_then(|clause| clause.expr())
        .as_ref()
        .map(bare_text);
    index.nulls_equal = matches!(
        it.nulls_distinct_option(),
        Some(ast::NullsDistinctOption::NullsNotDistinct(_))
    );
    let table = names.of_relation(relation)?;
    Ok(vec![Operation::CreateIndex { table, index }])
}

/// What is indexed. A collation of its own decides which values of a unique index are equal: it is an expression.
fn part(item: &ast::PartitionItem, unique: bool) -> Result<IndexPart, String> {
    let expression = item.expr().ok_or("a part of the index is missing")?;
    match &expression {
        ast::Expr::NameRef(column) => name(Some(column.syntax())).map(IndexPart::Column),
        ast::Expr::Collate(it) if !unique => match it.expr() {
            Some(ast::Expr::NameRef(column)) => name(Some(column.syntax())).map(IndexPart::Column),
            _ => Ok(IndexPart::Expression(bare_text(&expression))),
        },
        other => Ok(IndexPart::Expression(bare_text(other))),
    }
}

/// `DROP INDEX`, which names no table.
pub(super) fn drop(it: &ast::DropIndex, names: &Names<'_>) -> Found {
    let online = it.concurrently_token().is_some();
    it.index_refs()
        .map(|index| {
            Ok(Operation::DropIndex {
                table: names.of_path(index.path_ref())?,
                by_name: true,
                name: None,
                columns: Vec::new(),
                online,
                dropping: dropping(it.syntax()),
            })
        })
        .collect()
}

/// `REINDEX`. Of an index alone, the name stands where a table's does: the catalogue has both in one place.
pub(super) fn reindex(it: &ast::Reindex, names: &Names<'_>) -> Found {
    let online = it.is_concurrently();
    let (named, by_name) = match it.reindex_target() {
        Some(ast::ReindexTarget::ReindexTargetTable(it)) => {
            (names.of_ref(it.table_name_ref()), false)
        }
        Some(ast::ReindexTarget::ReindexTargetIndex(it)) => {
            let index = it.index_ref().and_then(|it| it.path_ref());
            (names.of_path(index), true)
        }
        _ => return Err("REINDEX of a schema or a database is about every index of it".to_owned()),
    };
    one(change(named, TableChange::Reindex { online, by_name }))
}

/// `ALTER INDEX`: all but a move stops neither reads nor writes of the table (manual, ALTER INDEX, section Notes).
pub(super) fn alter(it: &ast::AlterIndex, names: &Names<'_>) -> Found {
    match it.action() {
        Some(ast::AlterIndexAction::IndexRenameTo(to)) if it.if_exists().is_none() => {
            let index = it.index_ref().and_then(|it| it.path_ref());
            let new = to
                .index()
                .and_then(|it| it.path())
                .and_then(|path| path.segment());
            let to = name(new.as_ref().map(AstNode::syntax))?;
            one(change(
                names.of_path(index),
                TableChange::RenameIndex { to },
            ))
        }
        Some(ast::AlterIndexAction::SetTablespace(_)) => {
            Err("ALTER INDEX ... SET TABLESPACE copies the index, and names no table".to_owned())
        }
        _ if it.all_in_tablespace().is_some() => {
            Err("it is about every index of a tablespace".to_owned())
        }
        _ => Ok(Vec::new()),
    }
}

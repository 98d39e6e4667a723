//! Views, materialized or not: their names are among those of tables, and tables cannot go while they are there.

use dbop_model::operation::Operation;
use squawk_syntax::ast::{self, AstNode};

use super::name::Names;
use super::{Found, dropping, one};

/// `CREATE [OR REPLACE] VIEW`, `CREATE MATERIALIZED VIEW [IF NOT EXISTS]`. A temporary one stands before
/// what bears its name.
pub(super) fn create(statement: &ast::Stmt, names: &Names<'_>) -> Found {
    let (view, or_there) = match statement {
        ast::Stmt::CreateView(it) => (
            it.view(),
            it.or_replace().is_some() || it.persistence().is_some(),
        ),
        ast::Stmt::CreateMaterializedView(it) => (it.view(), it.if_not_exists().is_some()),
        _ => return Ok(Vec::new()),
    };
    let path = view.and_then(|view| view.path());
    let table = names.of_new_path(path)?;
    one(Ok(Operation::CreateView { table, or_there }))
}

/// `DROP VIEW`, `DROP MATERIALIZED VIEW`.
pub(super) fn drop(statement: &ast::Stmt, names: &Names<'_>) -> Found {
    let (views, dropping) = match statement {
        ast::Stmt::DropView(it) => (it.view_refs(), dropping(it.syntax())),
        ast::Stmt::DropMaterializedView(it) => (it.view_refs(), dropping(it.syntax())),
        _ => return Ok(Vec::new()),
    };
    views
        .map(|view| {
            Ok(Operation::DropView {
                table: names.of_path(view.path_ref())?,
                dropping,
            })
        })
        .collect()
}

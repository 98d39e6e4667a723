//! PostgreSQL: from one statement to operations.
//!
//! What is plainly no DDL is told by its first words and is not parsed: its syntax is the server's business. All else
//! goes through the syntax tree; what has an error there is not read.

mod alter;
mod definition;
mod index;
mod name;
mod table;
mod view;

use std::panic::{AssertUnwindSafe, catch_unwind};

use dbop_model::operation::{Dropping, Operation, TableChange, TableOptions};
use dbop_model::table::TableName;
use squawk_syntax::ast::{self, AstNode};
use squawk_syntax::{SourceFile, SyntaxNode};

use crate::lex::Kind;
use crate::split::Piece;
use name::Names;

/// Operations, or why they cannot be read.
pub(crate) type Found = Result<Vec<Operation>, String>;

/// First words of statements that do nothing to a table's definition.
const NO_DDL: [&[&str]; 53] = [
    &["abort"],
    &["analyse"],
    &["analyze"],
    &["begin"],
    &["checkpoint"],
    &["close"],
    &["comment"],
    &["commit"],
    &["copy"],
    &["deallocate"],
    &["declare"],
    &["delete"],
    &["discard"],
    &["end"],
    &["explain"],
    &["fetch"],
    &["grant"],
    &["insert"],
    &["listen"],
    &["load"],
    &["merge"],
    &["move"],
    &["notify"],
    &["prepare"],
    &["reassign"],
    &["release"],
    &["reset"],
    &["revoke"],
    &["rollback"],
    &["savepoint"],
    &["security"],
    &["set"],
    &["show"],
    &["start"],
    &["unlisten"],
    &["update"],
    &["values"],
    &["with"],
    &["alter", "default"],
    &["alter", "database"],
    &["alter", "role"],
    &["alter", "user"],
    &["alter", "group"],
    &["alter", "function"],
    &["alter", "procedure"],
    &["alter", "system"],
    &["create", "function"],
    &["create", "procedure"],
    &["create", "role"],
    &["create", "user"],
    &["create", "group"],
    &["create", "extension"],
    &["create", "database"],
];

/// First words of statements that may do anything, and why they are not read.
const OPAQUE: [(&[&str], &str); 8] = [
    (
        &["do"],
        "a DO block may do anything; write its DDL as statements of its own",
    ),
    (&["call"], "what a procedure does is not said here"),
    (
        &["execute"],
        "what a prepared statement does is not said here",
    ),
    (
        &["lock"],
        "LOCK TABLE holds its lock for as long as the transaction takes",
    ),
    (&["drop", "owned"], "what DROP OWNED drops is not said"),
    (
        &["alter", "extension"],
        "what an extension's update does is not said",
    ),
    (&["import"], "what IMPORT FOREIGN SCHEMA makes is not said"),
    (&["repack"], "REPACK is not known yet"),
];

/// A tree of more than that is nested deeper than anything that a person writes, and might not fit the stack.
const NESTING_MAX: usize = 64;
/// So many tokens without a comma or a parenthesis are a chain of operators, which is as deep as it is long.
const CHAIN_MAX: usize = 400;

/// Does nothing happen where the table of the statement is not there?
pub(crate) fn passes_without_table(piece: &Piece<'_>) -> bool {
    piece.are_words(0, &["alter", "table", "if", "exists"])
}

/// The operations of one statement. `schema`: where its names without one are looked for, where the file says it.
pub(crate) fn read(piece: &Piece<'_>, schema: Option<&str>) -> Found {
    if let Some((_, why)) = OPAQUE.iter().find(|(words, _)| piece.are_words(0, words)) {
        return Err((*why).to_owned());
    }
    if is_no_ddl(piece) {
        return Ok(Vec::new());
    }
    let found = if is_deep(piece) {
        Err("it is nested too deeply to be read".to_owned())
    } else {
        // The parser is not ours; a panic of it is a statement that cannot be read, and no more.
        catch_unwind(AssertUnwindSafe(|| parsed(piece, schema)))
            .unwrap_or_else(|_| Err("its syntax tree could not be built".to_owned()))
    };
    // A query that is not understood makes a view all the same, and nothing of a table.
    match found {
        Err(_) if makes_a_view(piece) => Ok(Vec::new()),
        found => found,
    }
}

/// A query made of the columns of a table that the statement creates, with which operations it does.
pub(crate) fn definition(piece: &Piece<'_>, operations: &[Operation]) -> Option<String> {
    let creates = |one: &Operation| matches!(one, Operation::CreateTable { .. });
    if !operations.iter().any(creates) || is_deep(piece) {
        return None;
    }
    // As in `read`: the parser is not ours.
    catch_unwind(AssertUnwindSafe(|| {
        let parse = SourceFile::parse(piece.text());
        match parse.tree().stmts().next() {
            Some(ast::Stmt::CreateTable(it)) => {
                definition::of(&it, &Names { schema: None }, operations)
            }
            _ => None,
        }
    }))
    .ok()
    .flatten()
}

fn makes_a_view(piece: &Piece<'_>) -> bool {
    let behind = if piece.are_words(1, &["or", "replace"]) {
        3
    } else {
        1
    };
    piece.is_word(0, "create") && (behind..behind + 3).any(|at| piece.is_word(at, "view"))
}

fn is_no_ddl(piece: &Piece<'_>) -> bool {
    let mut at = 0;
    if piece.is_word(0, "select") || piece.of(&piece.tokens[0]) == "(" {
        // SELECT ... INTO makes a table.
        return !(0..piece.tokens.len()).any(|at| piece.is_word(at, "into"));
    }
    let create = piece.is_word(0, "create");
    if create && piece.are_words(1, &["or", "replace"]) {
        at = 2;
    }
    while create
        && ["temp", "temporary", "recursive"]
            .iter()
            .any(|word| piece.is_word(at + 1, word))
    {
        at += 1;
    }
    NO_DDL.iter().any(|words| match words {
        [first, second] => piece.is_word(0, first) && piece.is_word(at + 1, second),
        words => piece.are_words(0, words),
    })
}

fn is_deep(piece: &Piece<'_>) -> bool {
    let (mut depth, mut chain) = (0_usize, 0_usize);
    for token in &piece.tokens {
        let text = piece.of(token);
        chain += 1;
        match text {
            "(" | "[" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            _ if token.kind == Kind::Word && text.eq_ignore_ascii_case("case") => depth += 1,
            _ if token.kind == Kind::Word && text.eq_ignore_ascii_case("end") => {
                depth = depth.saturating_sub(1)
            }
            "," => chain = 0,
            _ => {}
        }
        if depth > NESTING_MAX || chain > CHAIN_MAX {
            return true;
        }
    }
    false
}

fn parsed(piece: &Piece<'_>, schema: Option<&str>) -> Found {
    let parse = SourceFile::parse(piece.text());
    if let Some(error) = parse.errors().first() {
        return Err(format!("syntax error: {}", error.message()));
    }
    let mut statements = parse.tree().stmts();
    match (statements.next(), statements.next()) {
        (Some(statement), None) => operations(&statement, &Names { schema }),
        _ => Err("syntax error: it is not one statement".to_owned()),
    }
}

fn operations(statement: &ast::Stmt, names: &Names<'_>) -> Found {
    use ast::Stmt;
    match statement {
        Stmt::AlterTable(it) => alter::table(it, names),
        Stmt::AlterIndex(it) => index::alter(it, names),
        Stmt::AlterDomain(it) => alter::domain(it),
        Stmt::AlterType(it) => alter::ty(it),
        Stmt::CreateTable(it) => table::create(it, names),
        Stmt::CreateTableAs(it) => {
            let table = names.of_new(it.table_name())?;
            created(table, it.if_not_exists().is_some())
        }
        Stmt::SelectInto(it) => {
            let table = it.into_clause().and_then(|into| into.table_name());
            created(names.of_new(table)?, false)
        }
        Stmt::CreateView(_) | Stmt::CreateMaterializedView(_) => view::create(statement, names),
        Stmt::DropView(_) | Stmt::DropMaterializedView(_) => view::drop(statement, names),
        Stmt::CreateIndex(it) => index::create(it, names),
        Stmt::DropIndex(it) => index::drop(it, names),
        Stmt::DropTable(it) => it
            .table_name_refs()
            .map(|table| {
                Ok(Operation::DropTable {
                    table: names.of_ref(Some(table))?,
                    dropping: dropping(it.syntax()),
                })
            })
            .collect(),
        Stmt::Truncate(it) => it
            .table_list()
            .into_iter()
            .flat_map(|list| list.table_relation_names())
            .map(|table| {
                let cascade = dropping(it.syntax()).cascade;
                change(
                    names.of_relation(Some(table)),
                    TableChange::Truncate { cascade },
                )
            })
            .collect(),
        Stmt::Reindex(it) => index::reindex(it, names),
        Stmt::Cluster(it) => {
            let legacy = it
                .cluster_legacy()
                .and_then(|legacy| legacy.on_path())
                .and_then(|on| on.table_name_ref());
            match it.table_name_ref().or(legacy) {
                Some(table) => one(change(names.of_ref(Some(table)), TableChange::Rebuild)),
                None => Err(
                    "CLUSTER without a table rewrites every one that was clustered before"
                        .to_owned(),
                ),
            }
        }
        Stmt::Vacuum(it) if it.is_full() => {
            let tables: Vec<_> = it
                .table_and_columns_list()
                .into_iter()
                .flat_map(|list| list.table_and_columnss())
                .map(|table| {
                    change(
                        names.of_relation(table.table_relation_name()),
                        TableChange::Rebuild,
                    )
                })
                .collect();
            if tables.is_empty() {
                return Err("VACUUM FULL without a table rewrites every one".to_owned());
            }
            tables.into_iter().collect()
        }
        Stmt::Refresh(it) if it.concurrently_token().is_none() => {
            let view = it.view_ref().and_then(|view| view.path_ref());
            one(change(names.of_path(view), TableChange::Rebuild))
        }
        Stmt::CreateTrigger(it) => on(it.on_relation(), names, TableChange::Trigger),
        Stmt::AlterTrigger(it) => on(it.on_relation(), names, TableChange::Catalogue),
        Stmt::DropTrigger(it) => {
            let dropped = TableChange::DropTrigger {
                name: name::name(it.trigger_ref().as_ref().map(AstNode::syntax))?,
                dropping: dropping(it.syntax()),
            };
            on(it.on_relation(), names, dropped)
        }
        Stmt::CreateRule(it) => {
            let table = it.rule_on().and_then(|rule| rule.relation_name_ref());
            one(change(
                names.of_path(table.and_then(|t| t.path_ref())),
                TableChange::RowSecurity,
            ))
        }
        Stmt::DropRule(it) => on(it.on_relation(), names, TableChange::RowSecurity),
        Stmt::CreatePolicy(it) => policy(it.on_table(), names),
        Stmt::AlterPolicy(it) => policy(it.on_table(), names),
        Stmt::DropPolicy(it) => policy(it.on_table(), names),
        Stmt::CreateSchema(it) if it.schema_elements().next().is_some() => Err(
            "CREATE SCHEMA with objects in it; write them as statements of their own".to_owned(),
        ),
        other => match cascade(other) {
            Some(_) => {
                Err("it drops what depends on it (CASCADE), and that is not said".to_owned())
            }
            None => Ok(Vec::new()),
        },
    }
}

/// Does it drop, with its object, what depends on it? Columns of a type are among that; a table or an index is a
/// matter of its own.
fn cascade(statement: &ast::Stmt) -> Option<ast::Cascade> {
    statement.syntax().children().find_map(ast::Cascade::cast)
}

fn created(table: TableName, if_not_exists: bool) -> Found {
    Ok(vec![Operation::CreateTable {
        table,
        if_not_exists,
        columns: Vec::new(),
        complete: false,
        options: TableOptions::default(),
    }])
}

/// What a drop says of what is not there, and of what depends on it.
fn dropping(statement: &SyntaxNode) -> Dropping {
    Dropping {
        if_exists: statement
            .children()
            .any(|it| ast::IfExists::can_cast(it.kind())),
        cascade: statement
            .children()
            .any(|it| ast::Cascade::can_cast(it.kind())),
    }
}

fn one(operation: Result<Operation, String>) -> Found {
    operation.map(|operation| vec![operation])
}

fn change(table: Result<TableName, String>, change: TableChange) -> Result<Operation, String> {
    table.map(|table| Operation::ChangeTable { table, change })
}

fn on(on: Option<ast::OnRelation>, names: &Names<'_>, what: TableChange) -> Found {
    let table = on.and_then(|on| on.relation_name_ref());
    one(change(
        names.of_path(table.and_then(|table| table.path_ref())),
        what,
    ))
}

fn policy(on: Option<ast::OnTable>, names: &Names<'_>) -> Found {
    let table = on.and_then(|on| on.table_name_ref());
    one(change(names.of_ref(table), TableChange::RowSecurity))
}

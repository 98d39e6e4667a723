//! Names and pieces of text of a syntax tree.

use dbop_model::table::{ColumnName, TableName};
use squawk_syntax::SyntaxNode;
use squawk_syntax::ast::{self, AstNode, normalize_name_node};

/// PostgreSQL cuts names to as many bytes (manual, section 4.1.1: NAMEDATALEN - 1).
const NAME_BYTES_MAX: usize = 63;

/// Where names without a schema are looked for.
pub(super) struct Names<'a> {
    /// The schema, where the file says it.
    pub(super) schema: Option<&'a str>,
}

impl Names<'_> {
    /// Of a table that is there.
    pub(super) fn of_ref(&self, name: Option<ast::TableNameRef>) -> Result<TableName, String> {
        self.of_path(name.and_then(|name| name.path_ref()))
    }

    /// Of a table, perhaps with `ONLY` or `*`.
    pub(super) fn of_relation(
        &self,
        name: Option<ast::TableRelationName>,
    ) -> Result<TableName, String> {
        self.of_ref(name.and_then(|name| name.table_name_ref()))
    }

    /// Of a table that is made.
    pub(super) fn of_new(&self, name: Option<ast::TableName>) -> Result<TableName, String> {
        self.of_new_path(name.and_then(|name| name.path()))
    }

    /// Of what is made under a path.
    pub(super) fn of_new_path(&self, path: Option<ast::Path>) -> Result<TableName, String> {
        self.table(path.ok_or("it names no table")?.syntax())
    }

    /// Of what a path names.
    pub(super) fn of_path(&self, path: Option<ast::PathRef>) -> Result<TableName, String> {
        self.table(path.ok_or("it names no table")?.syntax())
    }

    /// The last two parts of a path; a database before them can only be the one that is connected to.
    fn table(&self, path: &SyntaxNode) -> Result<TableName, String> {
        let parts: Vec<String> = path
            .descendants()
            .filter(|node| {
                ast::PathSegment::can_cast(node.kind())
                    || ast::PathSegmentRef::can_cast(node.kind())
            })
            .map(|node| folded(&node))
            .collect();
        let named = match parts.as_slice() {
            [name] => TableName::new(self.schema, name),
            [.., schema, name] => TableName::new(Some(schema), name),
            [] => return Err("it names no table".to_owned()),
        };
        named.map_err(|error| format!("the table's name {error}"))
    }
}

/// The name of a column, an index or a constraint in a node.
pub(super) fn name(node: Option<&SyntaxNode>) -> Result<ColumnName, String> {
    let node = node.ok_or("a name is missing")?;
    ColumnName::new(&folded(node)).map_err(|error| format!("a name {error}"))
}

/// As the catalogue has it.
fn folded(node: &SyntaxNode) -> String {
    let mut name = normalize_name_node(node);
    let mut end = name.len().min(NAME_BYTES_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.truncate(end);
    name
}

/// The text of a node with one space where there was white space or a comment.
pub(super) fn text(node: &SyntaxNode) -> String {
    let mut text = String::new();
    let mut gap = false;
    for token in node
        .descendants_with_tokens()
        .filter_map(|element| element.into_token())
    {
        if token.kind().is_trivia() {
            gap = !text.is_empty();
        } else {
            if gap {
                text.push(' ');
            }
            gap = false;
            text.push_str(token.text());
        }
    }
    text
}

/// The same without parentheses around the whole.
pub(super) fn bare_text(expression: &ast::Expr) -> String {
    match expression {
        ast::Expr::ParenExpr(paren) => match paren.expr() {
            Some(inner) => bare_text(&inner),
            None => text(paren.syntax()),
        },
        other => text(other.syntax()),
    }
}

//! Columns and constraints, as CREATE TABLE and ALTER TABLE have them.

use dbop_model::operation::{
    Column, Constraint, ConstraintKind, Operation, ServerDefault, SqlType, TableChange, Validity,
};
use dbop_model::table::{ColumnName, TableName};
use squawk_syntax::ast::{self, AstNode};

use super::name::{Names, bare_text, name, text};
use super::{Found, change};

/// `CREATE TABLE`. Nobody uses it yet, so that of what it holds only the foreign keys are operations: they lock the
/// other table. A partition's parent is changed, too.
pub(super) fn create(it: &ast::CreateTable, names: &Names<'_>) -> Found {
    let table = names.of_new(it.table_name())?;
    let mut operations = vec![Operation::CreateTable {
        table: table.clone(),
        if_not_exists: it.if_not_exists().is_some(),
        columns: Vec::new(),
    }];
    for argument in it.table_arg_list().into_iter().flat_map(|list| list.args()) {
        match argument {
            ast::TableArg::Column(column) => {
                let of = column.name().map(|name| name.syntax().clone());
                for clause in column.clauses() {
                    if let ast::ColumnClause::ColumnConstraint(
                        ast::ColumnConstraint::ReferencesConstraint(it),
                    ) = clause
                    {
                        let constraint = references(&it, name(of.as_ref())?, names)?;
                        operations.push(Operation::AddConstraint {
                            table: table.clone(),
                            constraint,
                        });
                    }
                }
            }
            ast::TableArg::TableConstraint(it) => {
                if let Some(ast::Constraint::ForeignKeyConstraint(it)) =
                    ast::Constraint::cast(it.syntax().clone())
                {
                    let constraint = foreign_key(&it, names)?;
                    operations.push(Operation::AddConstraint {
                        table: table.clone(),
                        constraint,
                    });
                }
            }
            ast::TableArg::LikeClause(_) => {}
        }
    }
    if let Some(parent) = it.partition_of() {
        let parent = names.of_ref(parent.table_name_ref());
        operations.push(change(
            parent,
            TableChange::CreatePartition {
                partition: table,
                bound: it.partition_type().map(|bound| text(bound.syntax())),
            },
        )?);
    }
    Ok(operations)
}

/// `ADD COLUMN`.
pub(super) fn added(
    it: &ast::AddColumn,
    table: TableName,
    names: &Names<'_>,
) -> Result<Operation, String> {
    let mut column = Column::new(name(it.column_name().as_ref().map(AstNode::syntax))?);
    let mut sql_type = it
        .ty()
        .map(|ty| text(ty.syntax()))
        .ok_or("the column has no type")?;
    column.collation = it.collate().as_ref().and_then(collation);
    for constraint in it.constraints() {
        if let ast::Constraint::GeneratedConstraint(it) = &constraint {
            sql_type.push_str(&generated(it)?);
        } else {
            put(&mut column, &constraint, names)?;
        }
    }
    column.sql_type = Some(type_of(&sql_type)?);
    column.if_not_exists = it.if_not_exists().is_some();
    Operation::add_column(table, vec![column]).map_err(|error| error.to_string())
}

/// What a constraint in a column's definition says of the column.
fn put(column: &mut Column, constraint: &ast::Constraint, names: &Names<'_>) -> Result<(), String> {
    let own = || vec![column.name.clone()];
    let made = match constraint {
        ast::Constraint::NotNullConstraint(_) => {
            column.nullable = Some(false);
            return Ok(());
        }
        ast::Constraint::NullConstraint(_) => {
            column.nullable = Some(true);
            return Ok(());
        }
        ast::Constraint::DefaultConstraint(it) => {
            let expression = it
                .expr()
                .as_ref()
                .map(bare_text)
                .ok_or("a default is missing")?;
            column.default = ServerDefault::Expression(expression);
            return Ok(());
        }
        ast::Constraint::GeneratedConstraint(_) => return Ok(()),
        ast::Constraint::UniqueConstraint(it) => {
            let mut made = new(ConstraintKind::Unique, own())?;
            made.nulls_equal = nulls_equal(it.index_parameters());
            made
        }
        ast::Constraint::PrimaryKeyConstraint(_) => {
            let made = new(ConstraintKind::PrimaryKey, own())?;
            column.nullable = Some(false);
            made
        }
        ast::Constraint::CheckConstraint(it) => check(it, own())?,
        ast::Constraint::ReferencesConstraint(it) => references(it, column.name.clone(), names)?,
        ast::Constraint::ForeignKeyConstraint(_) | ast::Constraint::ExcludeConstraint(_) => {
            return Err("a constraint of a table stands in a column's definition".to_owned());
        }
    };
    column.constraints.push(said(made, constraint)?);
    Ok(())
}

/// `ADD CONSTRAINT`.
pub(super) fn constraint(it: &ast::Constraint, names: &Names<'_>) -> Result<Constraint, String> {
    let made = match it {
        ast::Constraint::UniqueConstraint(it) => {
            let mut made = keyed(
                ConstraintKind::Unique,
                it.index_parameters(),
                it.using_index(),
            )?;
            made.nulls_equal = nulls_equal(it.index_parameters());
            made
        }
        ast::Constraint::PrimaryKeyConstraint(it) => keyed(
            ConstraintKind::PrimaryKey,
            it.index_parameters(),
            it.using_index(),
        )?,
        ast::Constraint::NotNullConstraint(it) => {
            let column = name(it.column_name_ref().as_ref().map(AstNode::syntax))?;
            new(ConstraintKind::NotNull, vec![column])?
        }
        ast::Constraint::CheckConstraint(it) => check(it, Vec::new())?,
        ast::Constraint::ForeignKeyConstraint(it) => foreign_key(it, names)?,
        ast::Constraint::ExcludeConstraint(it) => {
            let mut made = Constraint::without_columns(ConstraintKind::Exclude);
            made.expression = it
                .constraint_exclusion_list()
                .map(|list| text(list.syntax()));
            made
        }
        ast::Constraint::DefaultConstraint(_)
        | ast::Constraint::GeneratedConstraint(_)
        | ast::Constraint::NullConstraint(_)
        | ast::Constraint::ReferencesConstraint(_) => {
            return Err("it is no constraint of a table".to_owned());
        }
    };
    said(made, it)
}

/// With the name and the clauses that every kind can have.
fn said(mut made: Constraint, it: &ast::Constraint) -> Result<Constraint, String> {
    if let Some(named) = it.constraint_name() {
        made.name = Some(name(Some(named.syntax()))?);
    }
    for option in it.constraint_options() {
        match option {
            ast::ConstraintOption::NotValid(_) => made.validity = Validity::NewRows,
            ast::ConstraintOption::NotEnforced(_) => made.validity = Validity::NoRow,
            _ => {}
        }
    }
    Ok(made)
}

fn new(kind: ConstraintKind, columns: Vec<ColumnName>) -> Result<Constraint, String> {
    Constraint::new(kind, columns).map_err(|error| error.to_string())
}

fn keyed(
    kind: ConstraintKind,
    parameters: Option<ast::IndexParameters>,
    using: Option<ast::UsingIndexName>,
) -> Result<Constraint, String> {
    if let Some(using) = using {
        let mut made = Constraint::without_columns(kind);
        let index = using
            .index_ref()
            .and_then(|index| index.path_ref())
            .and_then(|path| path.segment());
        made.using_index = Some(name(index.as_ref().map(AstNode::syntax))?);
        return Ok(made);
    }
    let columns = parameters
        .and_then(|parameters| parameters.column_list())
        .into_iter()
        .flat_map(|list| list.column_name_refs())
        .map(|column| name(Some(column.syntax())))
        .collect::<Result<_, _>>()?;
    new(kind, columns)
}

fn nulls_equal(parameters: Option<ast::IndexParameters>) -> bool {
    let option = parameters.and_then(|parameters| parameters.nulls_distinct_option());
    matches!(option, Some(ast::NullsDistinctOption::NullsNotDistinct(_)))
}

fn check(it: &ast::CheckConstraint, columns: Vec<ColumnName>) -> Result<Constraint, String> {
    let mut made = new(ConstraintKind::Check, columns)?;
    made.expression = it.expr().as_ref().map(bare_text);
    Ok(made)
}

fn references(
    it: &ast::ReferencesConstraint,
    column: ColumnName,
    names: &Names<'_>,
) -> Result<Constraint, String> {
    let mut made = new(ConstraintKind::ForeignKey, vec![column])?;
    made.references = Some(names.of_ref(it.table())?);
    if let Some(column) = it.column() {
        made.referenced = vec![name(Some(column.syntax()))?];
    }
    Ok(made)
}

fn foreign_key(it: &ast::ForeignKeyConstraint, names: &Names<'_>) -> Result<Constraint, String> {
    let columns = it
        .from_columns()
        .into_iter()
        .flat_map(|list| list.column_name_refs())
        .map(|column| name(Some(column.syntax())))
        .collect::<Result<_, _>>()?;
    let mut made = new(ConstraintKind::ForeignKey, columns)?;
    made.references = Some(names.of_ref(it.table_name_ref())?);
    made.referenced = it
        .to_columns()
        .into_iter()
        .flat_map(|list| list.column_name_refs())
        .map(|column| name(Some(column.syntax())))
        .collect::<Result<_, _>>()?;
    Ok(made)
}

/// The clause that makes the server fill a column, as the vocabulary writes it behind a type.
fn generated(it: &ast::GeneratedConstraint) -> Result<String, String> {
    match it.generated_as().ok_or("a GENERATED clause is not whole")? {
        ast::GeneratedAs::GeneratedIdentity(it) => Ok(match it.generated_when() {
            Some(ast::GeneratedWhen::GeneratedByDefault(_)) => " GENERATED BY DEFAULT AS IDENTITY",
            _ => " GENERATED ALWAYS AS IDENTITY",
        }
        .to_owned()),
        ast::GeneratedAs::GeneratedStored(it) => {
            let expression = it
                .expr()
                .as_ref()
                .map(bare_text)
                .ok_or("a GENERATED clause has no expression")?;
            let kind = match it.generated_kind() {
                Some(ast::GeneratedKind::Stored(_)) => " STORED",
                Some(ast::GeneratedKind::Virtual(_)) => " VIRTUAL",
                None => "",
            };
            Ok(format!(" GENERATED ALWAYS AS ({expression}){kind}"))
        }
    }
}

/// A type, with a clause behind it where the server fills the column.
pub(super) fn type_of(text: &str) -> Result<SqlType, String> {
    text.parse()
        .map_err(|error| format!("its type cannot be read: {error}"))
}

/// The collation's name, as it is written.
pub(super) fn collation(it: &ast::Collate) -> Option<String> {
    it.collation_ref().map(|collation| text(collation.syntax()))
}

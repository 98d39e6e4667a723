//! One operation of every kind: what a rule asks for of any of them is what its page says it asks for.

use dbop_model::operation::{
    Column, Constraint, ConstraintKind, Dropping, Index, IndexKind, IndexPart, Operation,
    ServerDefault, Statement, TableChange,
};
use dbop_model::table::{ColumnName, TableName};

/// A statement for each operation.
pub(super) fn statements() -> Vec<Statement> {
    let table = |text: &str| TableName::new(None, text).ok();
    let name = |text: &str| ColumnName::new(text).ok();
    let Some((users, orders, a, b)) = table("users")
        .zip(table("orders"))
        .zip(name("a").zip(name("b")))
        .map(|((users, orders), (a, b))| (users, orders, a, b))
    else {
        return Vec::new();
    };
    let mut operations = Vec::new();
    let mut column = Column::new(b.clone()).with_nullable(false);
    column.sql_type = "odd_type".parse().ok();
    let computed = Column {
        default: ServerDefault::Expression("f()".to_owned()),
        ..Column::new(b.clone())
    };
    let unique = Constraint::new(ConstraintKind::Unique, vec![b.clone()]);
    let with_constraint = Column {
        constraints: unique.into_iter().collect(),
        ..Column::new(b.clone())
    };
    for column in [column.clone(), computed, with_constraint] {
        operations.extend(Operation::add_column(users.clone(), vec![column]));
    }
    let altered = Column {
        name: a.clone(),
        ..column
    };
    operations.extend(Operation::alter_column(users.clone(), vec![altered]));
    operations.extend(Operation::drop_column(users.clone(), vec![a.clone()]));
    operations.push(Operation::RenameColumn {
        table: users.clone(),
        from: a.clone(),
        to: b.clone(),
        if_exists: false,
    });
    for kind in [IndexKind::Plain, IndexKind::Unique, IndexKind::Fulltext] {
        for if_not_exists in [false, true] {
            let index = Index {
                name: Some(b.clone()),
                if_not_exists,
                parts: vec![IndexPart::Column(a.clone())],
                ..Index::new(kind, Vec::new())
            };
            let table = users.clone();
            operations.push(Operation::CreateIndex { table, index });
        }
    }
    for by_name in [false, true] {
        operations.push(Operation::DropIndex {
            table: users.clone(),
            by_name,
            name: None,
            columns: Vec::new(),
            online: false,
            dropping: Dropping::default(),
        });
    }
    for kind in [
        ConstraintKind::Unique,
        ConstraintKind::PrimaryKey,
        ConstraintKind::NotNull,
        ConstraintKind::Check,
        ConstraintKind::ForeignKey,
        ConstraintKind::Exclude,
    ] {
        for using_index in [None, Some(b.clone())] {
            let Ok(mut constraint) = Constraint::new(kind, vec![a.clone()]) else {
                continue;
            };
            constraint.references = Some(orders.clone());
            constraint.using_index = using_index;
            let table = users.clone();
            operations.push(Operation::AddConstraint {
                table: table.clone(),
                constraint: constraint.clone(),
            });
            operations.push(Operation::DropConstraint {
                table,
                constraint,
                dropping: Dropping::default(),
            });
        }
    }
    for change in [
        TableChange::ValidateConstraint { name: a.clone() },
        TableChange::Truncate { cascade: false },
        TableChange::Rebuild,
        TableChange::Reindex {
            online: false,
            by_name: false,
        },
        TableChange::AttachPartition {
            partition: orders.clone(),
            bound: Some("FOR VALUES IN (1)".to_owned()),
        },
        TableChange::ConvertCharset {
            charset: "utf8mb4".to_owned(),
            collation: None,
        },
    ] {
        let table = users.clone();
        operations.push(Operation::ChangeTable { table, change });
    }
    operations.push(Operation::RenameTable {
        table: users.clone(),
        to: orders.clone(),
    });
    operations.push(Operation::DropTable {
        table: users,
        dropping: Dropping::default(),
    });
    // Each by itself, so that none is about what another one made.
    operations.into_iter().map(Statement::from).collect()
}

//! A statement with everything that was read of it, in one line.

use dbop_model::operation::{
    Column, Constraint, IndexPart, Operation, ServerDefault, Statement, Validity,
};

pub(crate) fn shown(statement: &Statement) -> String {
    if let Some(why) = &statement.unread {
        assert!(
            statement.operations.is_empty(),
            "what is not read has no operations"
        );
        return format!("unread: {why}");
    }
    let mut parts: Vec<String> = statement.told().map(operation).collect();
    if let Some(algorithm) = statement.algorithm {
        parts.push(format!("ALGORITHM={algorithm}"));
    }
    if let Some(locking) = statement.locking {
        parts.push(format!("LOCK={locking}"));
    }
    if let Some(timeout) = statement.lock_timeout {
        parts.push(format!("timeout {timeout:?}"));
    }
    parts.join("; ")
}

fn operation(it: &Operation) -> String {
    match it {
        Operation::AddColumn { table, columns } => {
            format!("add {table}: {}", each(columns, column))
        }
        Operation::AlterColumn { table, columns } => {
            format!("alter {table}: {}", each(columns, column))
        }
        Operation::CreateIndex { table, index } => {
            let parts = each(&index.parts, |part| match part {
                IndexPart::Column(name) => name.to_string(),
                IndexPart::Prefix(name, length) => format!("{name}[{length}]"),
                IndexPart::Expression(text) => format!("<{text}>"),
            });
            let mut line = format!("index {table}({parts}) {}", index.kind);
            if let Some(name) = &index.name {
                line.push_str(&format!(" named {name}"));
            }
            if let Some(predicate) = &index.predicate {
                line.push_str(&format!(" where <{predicate}>"));
            }
            for (is, word) in [
                (index.online, "online"),
                (index.nulls_equal, "nulls-equal"),
                (index.only, "only"),
                (index.if_not_exists, "if-not-exists"),
            ] {
                if is {
                    line.push(' ');
                    line.push_str(word);
                }
            }
            line
        }
        Operation::DropIndex {
            table,
            by_name,
            name,
            online,
            ..
        } => {
            let what = if *by_name {
                "dropIndex named"
            } else {
                "dropIndex of"
            };
            let name = name.as_ref().map(|name| format!(" named {name}"));
            let online = if *online { " online" } else { "" };
            format!("{what} {table}{}{online}", name.unwrap_or_default())
        }
        Operation::AddConstraint {
            table,
            constraint: it,
        } => format!("constrain {table}: {}", constraint(it)),
        Operation::DropConstraint {
            table,
            constraint: it,
            ..
        } => format!("dropConstraint {table}: {}", constraint(it)),
        other => other.to_string(),
    }
}

fn each<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
    items.iter().map(show).collect::<Vec<_>>().join(", ")
}

fn column(it: &Column) -> String {
    let mut line = it.name.to_string();
    if let Some(sql_type) = &it.sql_type {
        line.push_str(&format!(" {sql_type} {:?}", sql_type.filled()).replace(" No", ""));
    }
    match it.nullable {
        Some(true) => line.push_str(" null"),
        Some(false) => line.push_str(" not-null"),
        None => {}
    }
    match &it.default {
        ServerDefault::NotSaid => {}
        ServerDefault::Expression(text) => line.push_str(&format!(" default <{text}>")),
        other => line.push_str(&format!(" default {other:?}")),
    }
    for (word, value) in [
        ("charset", &it.charset),
        ("collate", &it.collation),
        ("using", &it.using),
    ] {
        if let Some(value) = value {
            line.push_str(&format!(" {word} <{value}>"));
        }
    }
    for (is, word) in [(it.placed, "placed"), (it.redefined, "redefined")] {
        if is {
            line.push(' ');
            line.push_str(word);
        }
    }
    for it in &it.constraints {
        line.push_str(&format!(" [{}]", constraint(it)));
    }
    line
}

fn constraint(it: &Constraint) -> String {
    let mut line = if it.kind_said {
        it.kind().to_string()
    } else {
        "?".to_owned()
    };
    if !it.columns().is_empty() {
        line.push_str(&format!("({})", each(it.columns(), ToString::to_string)));
    }
    if let Some(name) = &it.name {
        line.push_str(&format!(" named {name}"));
    }
    if let Some(table) = &it.references {
        line.push_str(&format!(" to {table}"));
    }
    if let Some(expression) = &it.expression {
        line.push_str(&format!(" <{expression}>"));
    }
    if let Some(index) = &it.using_index {
        line.push_str(&format!(" using-index {index}"));
    }
    match it.validity {
        Validity::AllRows => {}
        Validity::NewRows => line.push_str(" not-valid"),
        Validity::NoRow => line.push_str(" not-enforced"),
    }
    if it.nulls_equal {
        line.push_str(" nulls-equal");
    }
    line
}

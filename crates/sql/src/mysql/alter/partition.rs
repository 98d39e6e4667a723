//! What `ALTER TABLE` does to partitions (MySQL 8.4 manual, sections 15.1.9.1 and 26.3; MariaDB, ALTER TABLE).
//!
//! Partitions come last in a statement: the cursor goes to its end, and what stands there that no rule asks for (a
//! comment, a directory) is passed over.

use dbop_model::operation::{
    NewPartition, PartitionBound, PartitionBy, PartitionMethod, PartitionVerb, Partitioning,
};

use super::super::cursor::{Cursor, Unread};

/// What is done by a verb before `PARTITION`.
const VERBS: [(&str, PartitionVerb); 14] = [
    ("add", PartitionVerb::Add),
    ("drop", PartitionVerb::Drop),
    ("truncate", PartitionVerb::Truncate),
    ("coalesce", PartitionVerb::Coalesce),
    ("reorganize", PartitionVerb::Reorganize),
    ("exchange", PartitionVerb::Exchange),
    ("analyze", PartitionVerb::Check),
    ("check", PartitionVerb::Check),
    ("repair", PartitionVerb::Check),
    ("optimize", PartitionVerb::Optimize),
    ("rebuild", PartitionVerb::Rebuild),
    ("discard", PartitionVerb::Move),
    ("import", PartitionVerb::Move),
    ("convert", PartitionVerb::Move),
];

/// Does a change of partitions come next?
pub(super) fn comes(at: &Cursor<'_>) -> bool {
    let by =
        (at.is("partition") && at.is_then("by")) || (at.is("remove") && at.is_then("partitioning"));
    by || VERBS
        .iter()
        .any(|(verb, _)| at.is(verb) && at.is_then("partition"))
}

/// A change of partitions, and the cursor goes to the end. `None`: something else comes, and it has not moved.
pub(super) fn change(at: &mut Cursor<'_>) -> Result<Option<Partitioning>, Unread> {
    let verb = VERBS
        .iter()
        .find(|(verb, _)| at.is(verb) && at.is_then("partition"));
    let read = match verb {
        Some((_, verb)) => {
            at.skip();
            at.skip();
            managed(at, *verb)?
        }
        None if at.take(&["remove", "partitioning"]) => Partitioning::new(PartitionVerb::Remove),
        None if at.take(&["partition", "by"]) => by(at)?,
        None if at.is("convert") && at.is_then("table") => Partitioning::new(PartitionVerb::Move),
        None => return Ok(None),
    };
    at.skip_all();
    Ok(Some(read))
}

/// Behind `ADD PARTITION` and the like.
fn managed(at: &mut Cursor<'_>, verb: PartitionVerb) -> Result<Partitioning, Unread> {
    let mut read = Partitioning::new(verb);
    at.take_any(&["no_write_to_binlog", "local"]);
    read.passes = at.take(&["if", "not", "exists"]) || at.take(&["if", "exists"]);
    match verb {
        PartitionVerb::Add if at.is_sign("(") => read.makes = definitions(at)?,
        PartitionVerb::Add => {
            at.take(&["partitions"]);
            read.count = number(at);
        }
        PartitionVerb::Coalesce => read.count = number(at),
        _ => {
            if at.at_end() || at.take(&["all"]) {
                return Ok(read);
            }
            loop {
                read.of.push(at.name()?);
                if !at.sign(",") {
                    break;
                }
            }
            if at.take(&["into"]) {
                read.makes = definitions(at)?;
            } else if at.take(&["with", "table"]) {
                read.with = Some(at.table()?);
                read.unchecked = at.take(&["without", "validation"]);
            }
        }
    }
    Ok(read)
}

/// Behind `PARTITION BY`.
fn by(at: &mut Cursor<'_>) -> Result<Partitioning, Unread> {
    let mut read = Partitioning::new(PartitionVerb::By);
    at.take(&["linear"]);
    let method = match () {
        () if at.take(&["range"]) => PartitionMethod::Range,
        () if at.take(&["list"]) => PartitionMethod::List,
        () if at.take(&["hash"]) => PartitionMethod::Hash,
        () if at.take(&["key"]) => PartitionMethod::Key,
        // What a history is split by, it says in words of its own.
        () if at.take(&["system_time"]) => {
            read.by = Some(PartitionBy {
                method: PartitionMethod::Time,
                columns: false,
                over: String::new(),
                reads: Vec::new(),
            });
            return Ok(read);
        }
        () => return Err(at.unexpected("RANGE, LIST, HASH or KEY")),
    };
    let columns = at.take(&["columns"]) || method == PartitionMethod::Key;
    if at.take(&["algorithm"]) {
        at.value()?;
    }
    let reads = at.names_in_parentheses();
    let over = at.parentheses()?;
    read.by = Some(PartitionBy {
        method,
        columns,
        over,
        reads,
    });
    // How partitions are split in turn is passed over, up to their definitions.
    let are_defined = |at: &Cursor<'_>| at.is_sign("(") && at.is_then("partition");
    while !(at.at_end() || are_defined(at)) {
        if at.take(&["partitions"]) {
            read.count = number(at);
        } else if !at.is_sign("(") || at.parentheses().is_err() {
            at.skip();
        }
    }
    if at.is_sign("(") {
        read.makes = definitions(at)?;
    }
    Ok(read)
}

fn number(at: &mut Cursor<'_>) -> Option<u32> {
    let number = at.peek().parse().ok();
    at.skip();
    number
}

/// `(PARTITION p1 VALUES LESS THAN (10) ENGINE=InnoDB, ...)`.
fn definitions(at: &mut Cursor<'_>) -> Result<Vec<NewPartition>, Unread> {
    at.expect_sign("(")?;
    let mut made = Vec::new();
    loop {
        at.expect(&["partition"])?;
        let name = at.name()?;
        let bound = bound(at)?;
        made.push(NewPartition { name, bound });
        if !(at.is_sign(",") || at.is_sign(")")) {
            at.until(&[])?;
        }
        if !at.sign(",") {
            break;
        }
    }
    at.expect_sign(")")?;
    Ok(made)
}

fn bound(at: &mut Cursor<'_>) -> Result<Option<PartitionBound>, Unread> {
    if at.take(&["default"]) {
        return Ok(Some(PartitionBound::Default));
    }
    if at.take(&["values", "less", "than"]) {
        if at.take(&["maxvalue"]) {
            return Ok(Some(PartitionBound::LessThan(vec!["MAXVALUE".to_owned()])));
        }
        let values = pieces(&at.parentheses()?);
        return Ok(Some(PartitionBound::LessThan(values)));
    }
    if at.take(&["values", "in"]) {
        if at.take(&["default"]) {
            return Ok(Some(PartitionBound::Default));
        }
        return Ok(Some(PartitionBound::In(pieces(&at.parentheses()?))));
    }
    Ok(None)
}

/// What stands between the outermost commas.
fn pieces(text: &str) -> Vec<String> {
    let (mut found, mut start, mut depth, mut quote) = (Vec::new(), 0, 0_i32, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"' | '`') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => depth -= 1,
            (None, ',') if depth == 0 => {
                found.push(text[start..at].trim().to_owned());
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(text[start..].trim().to_owned());
    found
}

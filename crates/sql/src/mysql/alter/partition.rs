//! What `ALTER TABLE` does to partitions (MySQL 8.4 manual, section 15.1.9.1; MariaDB, ALTER TABLE).

use dbop_model::operation::PartitionChange;

use super::super::cursor::Cursor;

/// What is done by a verb before `PARTITION`.
const VERBS: [(&str, PartitionChange); 12] = [
    ("truncate", PartitionChange::Truncate),
    ("coalesce", PartitionChange::Rehash),
    ("reorganize", PartitionChange::Redistribute),
    ("exchange", PartitionChange::Exchange),
    ("analyze", PartitionChange::Check),
    ("check", PartitionChange::Check),
    ("repair", PartitionChange::Check),
    // InnoDB knows no way for one partition alone (section 26.3.4).
    ("optimize", PartitionChange::Whole),
    ("rebuild", PartitionChange::Rebuild),
    ("discard", PartitionChange::Exchange),
    ("import", PartitionChange::Exchange),
    ("convert", PartitionChange::Exchange),
];

/// `ADD PARTITION`, `DROP PARTITION`: the cursor goes to the end. Else it has not moved.
pub(super) fn added_or_dropped(at: &mut Cursor<'_>) -> Option<PartitionChange> {
    if !(at.is_any(&["add", "drop"]) && at.is_then("partition")) {
        return None;
    }
    let adds = at.is("add");
    let mut has_values = false;
    while !at.at_end() {
        has_values |= at.is("values");
        at.skip();
    }
    Some(match (adds, has_values) {
        (false, _) => PartitionChange::Drop,
        (true, true) => PartitionChange::Add,
        // A hash has no values of its own: rows of the others go to the new one.
        (true, false) => PartitionChange::Rehash,
    })
}

/// Any other change of partitions, and the cursor goes behind it.
pub(super) fn change(at: &mut Cursor<'_>) -> Option<PartitionChange> {
    let verb = VERBS
        .iter()
        .find(|(verb, _)| at.is(verb) && at.is_then("partition"));
    let found = match verb {
        Some((_, change)) => Some(*change),
        None if at.is("remove") && at.is_then("partitioning") => Some(PartitionChange::Whole),
        None if at.is("partition") && at.is_then("by") => Some(PartitionChange::Whole),
        None if at.is("convert") && at.is_then("table") => Some(PartitionChange::Exchange),
        None => None,
    };
    if found.is_some() {
        at.skip_all();
    }
    found
}

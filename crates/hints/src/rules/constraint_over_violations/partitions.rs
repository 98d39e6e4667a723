//! Which rows the partitions of MySQL and MariaDB take, as a condition.

use dbop_model::operation::{
    NewPartition, PartitionBound, PartitionBy, PartitionMethod, PartitionVerb, Partitioning,
};

/// What is true of every row that is in one of the partitions that a table is split into anew; `None`: every row is, or
/// it is not followed here.
pub(super) fn covered(partitioning: &Partitioning) -> Option<String> {
    let by = partitioning.by.as_ref()?;
    if partitioning.verb != PartitionVerb::By {
        return None;
    }
    match by.method {
        PartitionMethod::Range => below(by, partitioning.makes.last()?),
        PartitionMethod::List => among(by, &partitioning.makes),
        PartitionMethod::Hash | PartitionMethod::Key | PartitionMethod::Time => None,
    }
}

/// Below the last bound. NULL is below all.
fn below(by: &PartitionBy, last: &NewPartition) -> Option<String> {
    let Some(PartitionBound::LessThan(values)) = &last.bound else {
        return None;
    };
    let terms: Vec<&str> = match by.columns {
        true => by.over.split(',').map(str::trim).collect(),
        false => vec![by.over.trim()],
    };
    if terms.len() != values.len() {
        return None;
    }
    // Of several columns the first that differs decides, from the last to the first.
    let mut condition: Option<String> = None;
    for (term, value) in terms.iter().zip(values).rev() {
        let is_max = value.eq_ignore_ascii_case("maxvalue");
        condition = match (is_max, condition) {
            (true, _) => Some(String::new()),
            (false, None) => Some(format!("({term}) < ({value})")),
            (false, Some(rest)) if rest.is_empty() => Some(format!("({term}) <= ({value})")),
            (false, Some(rest)) => Some(format!(
                "({term}) < ({value}) OR ({term}) = ({value}) AND ({rest})"
            )),
        };
    }
    condition.filter(|condition| !condition.is_empty())
}

/// Among the values of all lists.
fn among(by: &PartitionBy, makes: &[NewPartition]) -> Option<String> {
    let mut values: Vec<&str> = Vec::new();
    for made in makes {
        match made.bound.as_ref()? {
            PartitionBound::In(of_it) => values.extend(of_it.iter().map(String::as_str)),
            PartitionBound::LessThan(_) | PartitionBound::Default => return None,
        }
    }
    // Of several columns each value is a row of them.
    if by.columns && by.over.contains(',') {
        return None;
    }
    let over = by.over.trim();
    let is_null = |value: &&str| value.eq_ignore_ascii_case("null");
    let nulls = match values.iter().any(is_null) {
        true => format!("({over}) IS NULL OR"),
        false => format!("({over}) IS NOT NULL AND"),
    };
    values.retain(|value| !is_null(value));
    if values.is_empty() {
        return None;
    }
    Some(format!("{nulls} ({over}) IN ({})", values.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sql: &str, expect: Option<&str>) {
        let text = format!("ALTER TABLE t PARTITION BY {sql}");
        let statements = dbop_sql::read(dbop_model::Engine::MySql, &text);
        let operation = &statements[0].operations[0];
        let dbop_model::operation::Operation::ChangeTable {
            change: dbop_model::operation::TableChange::Partitioning(partitioning),
            ..
        } = operation
        else {
            panic!("{operation:?}");
        };
        assert_eq!(covered(partitioning).as_deref(), expect, "{sql}");
    }

    #[test]
    fn rows_that_are_in_a_partition() {
        check(
            "RANGE (id) (PARTITION a VALUES LESS THAN (5), PARTITION b VALUES LESS THAN (10))",
            Some("(id) < (10)"),
        );
        check(
            "RANGE (YEAR(at)) (PARTITION a VALUES LESS THAN (2020) COMMENT 'x')",
            Some("(YEAR(at)) < (2020)"),
        );
        check("RANGE (id) (PARTITION a VALUES LESS THAN MAXVALUE)", None);
        check(
            "RANGE COLUMNS (a, b) (PARTITION a VALUES LESS THAN (5, 'x'))",
            Some("(a) < (5) OR (a) = (5) AND ((b) < ('x'))"),
        );
        check(
            "RANGE COLUMNS (a, b) (PARTITION a VALUES LESS THAN (5, MAXVALUE))",
            Some("(a) <= (5)"),
        );
        check(
            "LIST (d) (PARTITION a VALUES IN (1, 2), PARTITION b VALUES IN (NULL, 3))",
            Some("(d) IS NULL OR (d) IN (1, 2, 3)"),
        );
        check("HASH (id) PARTITIONS 4", None);
    }
}

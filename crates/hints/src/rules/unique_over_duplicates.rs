//! `unique-over-duplicates`: a unique index or constraint over values that occur more than once.
//!
//! A unique index that is there already, on a subset of the columns, proves that there are none; otherwise a bounded
//! probe looks for one. By NULLs the key decides: two of them are no duplicates, unless it counts them as equal.

use std::collections::BTreeSet;

use dbop_model::Fact;
use dbop_model::finding::{Finding, Verdict};
use dbop_model::operation::{
    Column, Constraint, ConstraintKind, IndexKind, IndexPart, Operation, ServerDefault,
};
use dbop_model::table::{ColumnName, FactRequest, IndexFacts, TableFacts, UniqueKey};

use crate::case::{Case, unknown};
use crate::expression;
use crate::rules::Rule;
use crate::size::age_in_words;
use crate::steps::{ColumnStanding, Standing, Step};

pub(crate) const RULE: Rule = Rule {
    id: "unique-over-duplicates",
    title: "A unique index or constraint over values that occur more than once",
    page: &crate::pages::UNIQUE_OVER_DUPLICATES,
    wants,
    judge,
};

/// The unique keys that an operation brings, in its own names of the columns.
fn keys(operation: &Operation) -> Vec<UniqueKey> {
    match operation {
        Operation::CreateIndex { index, .. } if index.kind == IndexKind::Unique && !index.only => {
            vec![UniqueKey {
                parts: index.parts.clone(),
                predicate: index.predicate.clone(),
                nulls_equal: index.nulls_equal,
            }]
        }
        Operation::AddConstraint { constraint, .. }
            if matches!(
                constraint.kind(),
                ConstraintKind::Unique | ConstraintKind::PrimaryKey
            ) && constraint.using_index.is_none() =>
        {
            let parts = constraint.columns().iter().cloned();
            vec![UniqueKey {
                parts: parts.map(IndexPart::Column).collect(),
                predicate: None,
                nulls_equal: constraint.nulls_equal,
            }]
        }
        Operation::AddConstraint { constraint, .. }
            if constraint.kind() == ConstraintKind::Exclude =>
        {
            excluded_key(constraint).into_iter().collect()
        }
        Operation::AddColumn { columns, .. } => columns
            .iter()
            .filter(|column| is_unique(column))
            .map(|column| UniqueKey {
                parts: vec![IndexPart::Column(column.name.clone())],
                predicate: None,
                nulls_equal: column.constraints.iter().any(|c| c.nulls_equal),
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// The key of an exclusion that forbids nothing but equal values: `(a WITH =, b WITH =)`. Others are not followed.
pub(crate) fn excluded_key(constraint: &Constraint) -> Option<UniqueKey> {
    if constraint.kind() != ConstraintKind::Exclude {
        return None;
    }
    let elements = constraint.expression.as_deref()?.trim();
    let elements = elements
        .strip_prefix('(')
        .and_then(|elements| elements.strip_suffix(')'))
        .unwrap_or(elements);
    let part = |element: &str| {
        let words: Vec<&str> = element.split_whitespace().collect();
        match words.as_slice() {
            [name, with, "="] if with.eq_ignore_ascii_case("with") => {
                let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                let name = ColumnName::new(&name.to_ascii_lowercase()).ok();
                name.filter(|_| plain).map(IndexPart::Column)
            }
            _ => None,
        }
    };
    Some(UniqueKey {
        parts: elements.split(',').map(part).collect::<Option<_>>()?,
        predicate: None,
        nulls_equal: false,
    })
}

fn is_unique(column: &Column) -> bool {
    column.constraints.iter().any(|constraint| {
        matches!(
            constraint.kind(),
            ConstraintKind::Unique | ConstraintKind::PrimaryKey
        )
    })
}

/// A key in the names of today's catalogue; `None`: a column of it is not in the catalogue.
fn today(step: &Step<'_>, key: &UniqueKey, facts: Option<&TableFacts>) -> Option<UniqueKey> {
    let name = |column: &ColumnName| -> Option<ColumnName> {
        let names = step.column_names(column);
        match facts {
            Some(facts) => names
                .into_iter()
                .find(|name| facts.columns.contains_key(name)),
            None => names.into_iter().next(),
        }
    };
    renamed(key, name)
}

/// A key in other names of its columns; `None`: one has none.
fn renamed(key: &UniqueKey, name: impl Fn(&ColumnName) -> Option<ColumnName>) -> Option<UniqueKey> {
    let parts = key.parts.iter().map(|part| {
        Some(match part {
            IndexPart::Column(column) => IndexPart::Column(name(column)?),
            IndexPart::Prefix(column, length) => IndexPart::Prefix(name(column)?, *length),
            IndexPart::Expression(text) => IndexPart::Expression(text.clone()),
        })
    });
    Some(UniqueKey {
        parts: parts.collect::<Option<Vec<_>>>()?,
        ..key.clone()
    })
}

/// A key with the expressions of those of its columns that the migration adds as generated ones; `None`: it has none.
fn computed(step: &Step<'_>, key: &UniqueKey) -> Option<UniqueKey> {
    let own = match step.operation {
        Operation::AddColumn { columns, .. } => columns.as_slice(),
        _ => &[],
    };
    let expression = |name: &ColumnName| -> Option<String> {
        let column = own.iter().find(|column| column.name == *name);
        let column = column.or_else(|| step.added(name))?;
        let text = column.sql_type.as_ref()?.computed()?;
        Some(text.to_owned())
    };
    let mut is_computed = false;
    let parts = key.parts.iter().map(|part| match part {
        IndexPart::Column(name) => match expression(name) {
            Some(text) => {
                is_computed = true;
                Some(IndexPart::Expression(text))
            }
            None => step
                .column_names(name)
                .first()
                .cloned()
                .map(IndexPart::Column),
        },
        other => Some(other.clone()),
    });
    let parts = parts.collect::<Option<Vec<_>>>()?;
    is_computed.then(|| UniqueKey {
        parts,
        ..key.clone()
    })
}

fn wants(step: &Step<'_>, wanted: &mut BTreeSet<FactRequest>) {
    for key in keys(step.operation) {
        // Columns under every name that they may have today.
        let mut variants = variants(step, &key);
        variants.extend(computed(step, &key));
        for table in step.tables() {
            for key in &variants {
                wanted.insert(FactRequest::Duplicates {
                    table: table.clone(),
                    key: key.clone(),
                });
            }
        }
    }
}

/// A key in every combination of the first and of the last name that each of its columns may have today.
fn variants(step: &Step<'_>, key: &UniqueKey) -> Vec<UniqueKey> {
    let by = |last: bool| {
        renamed(key, |column| {
            let names = step.column_names(column);
            if last {
                names.last().cloned()
            } else {
                names.first().cloned()
            }
        })
    };
    let mut variants: Vec<UniqueKey> = [by(false), by(true)].into_iter().flatten().collect();
    variants.dedup();
    variants
}

fn judge(case: &Case<'_>) -> Vec<Finding> {
    let keys = keys(case.step.operation);
    match &case.standing {
        Standing::Missing | Standing::New => Vec::new(),
        Standing::Unknown(why) => keys
            .iter()
            .take(1)
            .map(|_| case.unseen(RULE.id, why))
            .collect(),
        Standing::Present(_) if case.prediction.refused.is_some() => Vec::new(),
        Standing::Present(facts) => keys
            .iter()
            .filter_map(|key| judge_key(case, facts, key))
            .collect(),
    }
}

fn judge_key(case: &Case<'_>, facts: &TableFacts, key: &UniqueKey) -> Option<Finding> {
    let what = format!("{} on {}({})", "unique key", case.table(), words(key));
    let finding = |verdict, claim: String| Finding {
        effect: case.prediction.effect.known().cloned(),
        ..case.finding(RULE.id, verdict, claim)
    };
    if case.is_empty() {
        return Some(Finding {
            evidence: vec![case.seen_empty()],
            ..finding(Verdict::Clean, format!("{what}: the table has no row"))
        });
    }
    let by_expressions = computed(&case.step, key);
    let key_today = match case.step.operation {
        Operation::AddColumn { columns, .. } => {
            let is_there = |part: &IndexPart| matches!(part, IndexPart::Column(name) if facts.columns.contains_key(name));
            if by_expressions.is_none() || key.parts.iter().any(is_there) {
                return added(case, facts, columns, key, &what);
            }
            by_expressions
        }
        _ => today(&case.step, key, Some(facts)).or(by_expressions),
    };
    let Some(key_today) = key_today else {
        return missing_or_added(case, facts, key, &what);
    };
    if let Some(proof) = proof(facts, &key_today) {
        let claim = format!("{what}: the unique index {proof} proves that no value occurs twice");
        return Some(Finding {
            evidence: vec![case.seen(format!("the valid unique index {proof}"), "the catalogue")],
            ..finding(Verdict::Clean, claim)
        });
    }
    Some(match facts.duplicates_of(&key_today) {
        Fact::Known(probe) if probe.found => Finding {
            evidence: vec![case.seen(
                "a value that occurs more than once",
                format!("a bounded probe of {}", age_in_words(probe.took)),
            )],
            advice: ways_out(case, key),
            ..finding(
                Verdict::WillFail,
                format!("{what}: at least one value occurs more than once"),
            )
        },
        Fact::Known(probe) => {
            let seen = match &probe.proven_by {
                Some(index) => {
                    case.seen(format!("the valid unique index {index}"), "the catalogue")
                }
                None => case.seen(
                    "no value that occurs more than once",
                    format!("a bounded probe of {}", age_in_words(probe.took)),
                ),
            };
            Finding {
                evidence: vec![seen],
                ..finding(Verdict::Clean, format!("{what}: no value occurs twice"))
            }
        }
        Fact::Unknown(why) => Finding {
            advice: raise_timeout(case, key),
            ..finding(
                unknown(&why),
                format!("{what}: whether a value occurs more than once is not known: {why}"),
            )
        },
    })
}

/// A column that is added with UNIQUE: one constant for every row is a duplicate as soon as there are two rows.
fn added(
    case: &Case<'_>,
    facts: &TableFacts,
    columns: &[Column],
    key: &UniqueKey,
    what: &str,
) -> Option<Finding> {
    let [IndexPart::Column(name)] = key.parts.as_slice() else {
        return None;
    };
    let column = columns.iter().find(|column| column.name == *name)?;
    if facts.columns.contains_key(name) {
        // It is there already, and its index with it.
        return None;
    }
    let filled = column
        .sql_type
        .as_ref()
        .is_some_and(|t| t.filled() != dbop_model::operation::Filled::No);
    let constant = match &column.default {
        ServerDefault::Expression(text) => expression::read(text)
            .is_some_and(|e| !e.is_null && e.functions.is_empty() && e.names.is_empty()),
        ServerDefault::Present => true,
        ServerDefault::NotSaid | ServerDefault::Absent => column.nullable == Some(false),
    };
    let nulls = key.nulls_equal && column.default == ServerDefault::NotSaid;
    if filled || !(constant || nulls) {
        return None;
    }
    let Fact::Known(rows) = &facts.rows else {
        return None;
    };
    if rows.rows < 2 {
        return None;
    }
    let claim = format!("{what}: every row of today would get the same value");
    let mut finding = case.finding(RULE.id, Verdict::WillFail, claim);
    finding.evidence =
        vec![case.seen(format!("about {} rows", rows.rows), rows.source.to_string())];
    finding.advice = vec![
        "add it as NULL without a default, give each row its own value in batches, then make it \
         unique"
            .to_owned(),
    ];
    Some(finding)
}

/// A column that is not in the catalogue: the migration adds it, or `missing-object` says that nobody has it.
fn missing_or_added(
    case: &Case<'_>,
    facts: &TableFacts,
    key: &UniqueKey,
    what: &str,
) -> Option<Finding> {
    let standing = |part: &IndexPart| match part {
        IndexPart::Column(name) | IndexPart::Prefix(name, _) => Some(case.step.column(name, facts)),
        IndexPart::Expression(_) => None,
    };
    let columns: Vec<ColumnStanding<'_>> = key.parts.iter().filter_map(standing).collect();
    if columns
        .iter()
        .any(|column| matches!(column, ColumnStanding::Missing))
    {
        return None;
    }
    let claim = format!(
        "{what}: this migration adds a column of it, and its operations do not say what it writes \
         there"
    );
    let why = dbop_model::Why::new("the migration adds the column");
    Some(Finding {
        advice: vec![
            "have the migration fill the column without duplicates, and accept the finding"
                .to_owned(),
        ],
        ..case.finding(RULE.id, unknown(&why), claim)
    })
}

/// A valid unique index whose columns are all in the key, so that no two rows can be alike in the key either.
fn proof(facts: &TableFacts, key: &UniqueKey) -> Option<String> {
    let indexes = facts.indexes.known()?;
    let proves = |index: &&IndexFacts| {
        let whole = index
            .key
            .parts
            .iter()
            .all(|part| matches!(part, IndexPart::Column(_)) && key.parts.contains(part));
        let no_null = |part: &IndexPart| match part {
            IndexPart::Column(name) => facts.columns.get(name).is_some_and(|c| !c.nullable),
            _ => false,
        };
        let unique = index.primary || index.kind == IndexKind::Unique;
        // Where the new key counts NULLs as equal and the old one does not, two NULLs are a duplicate to one alone.
        let nulls =
            !key.nulls_equal || index.key.nulls_equal || index.key.parts.iter().all(no_null);
        unique
            && index.valid
            && index.immediate
            && whole
            && !index.key.parts.is_empty()
            && nulls
            && (index.key.predicate.is_none() || index.key.predicate == key.predicate)
    };
    indexes
        .iter()
        .find(proves)
        .map(|index| index.name.to_string())
}

fn words(key: &UniqueKey) -> String {
    let parts: Vec<String> = key.parts.iter().map(ToString::to_string).collect();
    parts.join(", ")
}

fn ways_out(case: &Case<'_>, key: &UniqueKey) -> Vec<String> {
    vec![
        format!("remove the duplicates; they are: {};", select(case, key)),
        "or have the migration remove them in an earlier step, and accept the finding".to_owned(),
    ]
}

fn raise_timeout(case: &Case<'_>, key: &UniqueKey) -> Vec<String> {
    vec![
        "raise hints.probeTimeout, if it was the probe that took too long".to_owned(),
        format!(
            "or look yourself, and accept the finding: {};",
            select(case, key)
        ),
    ]
}

/// A statement that counts the duplicates. It shows values to the person who runs it, and to nobody else.
fn select(case: &Case<'_>, key: &UniqueKey) -> String {
    let dialect = case.dialect();
    let (parts, table) = (dialect.parts(&key.parts), dialect.table(case.table()));
    let mut conditions: Vec<String> = key.predicate.iter().cloned().collect();
    if !key.nulls_equal {
        conditions.extend(key.parts.iter().filter_map(|part| match part {
            IndexPart::Column(name) | IndexPart::Prefix(name, _) => {
                Some(format!("{} IS NOT NULL", dialect.column(name)))
            }
            IndexPart::Expression(_) => None,
        }));
    }
    let filter = if conditions.is_empty() {
        String::new()
    } else {
        format!(" WHERE {}", conditions.join(" AND "))
    };
    format!("SELECT {parts}, count(*) FROM {table}{filter} GROUP BY {parts} HAVING count(*) > 1")
}

#[cfg(test)]
mod tests;

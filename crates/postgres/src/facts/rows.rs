//! Questions about rows: does one not meet a condition, has one no partner in another table, does a value of one not
//! become one of another type?
//!
//! Each is one statement that ends at the first row found. **What a migration wrote is computed as the admin**, so it is
//! taken apart first and may only call the server's own functions without effects, as with [`super::duplicates`].

use dbop_database::answer::{Answer, Failure, unknown};
use dbop_database::expression::Expression;
use dbop_model::dependent::{NewColumn, Partition, RowProbe, RowsProbed};
use dbop_model::table::{ColumnName, TableName};
use tokio_postgres::Row;

use super::Look;
use super::ask::{all, unreadable};
use super::duplicates::taken_apart;
use super::parse::{self, Located, quoted, quoted_table};

/// Columns of the primary key of the table `$1`, in its order.
const PRIMARY_KEY: &str = "
    SELECT a.attname::text
    FROM pg_index i
    CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, at)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE i.indrelid = $1 AND i.indisprimary
    ORDER BY k.at";

/// The constraint `$2` of the table `$1`: kind, condition, the other table's schema and name, columns, and those that it
/// refers to.
const CONSTRAINT: &str = "
    SELECT k.contype::text, CASE WHEN k.contype = 'c' THEN pg_get_expr(k.conbin, k.conrelid) END,
           n.nspname::text, r.relname::text,
           ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u(attnum, at)
                 JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum ORDER BY u.at),
           ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY u(attnum, at)
                 JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.attnum ORDER BY u.at)
    FROM pg_constraint k
    LEFT JOIN pg_class r ON r.oid = k.confrelid AND k.contype = 'f'
    LEFT JOIN pg_namespace n ON n.oid = r.relnamespace
    WHERE k.conrelid = $1 AND k.conname = $2::name";

/// Functions of the server that are not immutable, since they read the clock or settings, and do nothing else.
const HARMLESS: [&str; 14] = [
    "age",
    "date_part",
    "date_trunc",
    "json_build_array",
    "json_build_object",
    "jsonb_build_array",
    "jsonb_build_object",
    "now",
    "timezone",
    "to_char",
    "to_date",
    "to_json",
    "to_jsonb",
    "to_timestamp",
];

impl Look<'_> {
    pub(super) async fn rows(&self, table: &Located, probe: &RowProbe) -> Answer<RowsProbed> {
        self.readable(table)?;
        match probe {
            RowProbe::Violates { condition, with } => {
                self.violates(table, condition, with.as_ref()).await
            }
            RowProbe::Unmet { constraint } => self.unmet(table, constraint).await,
            RowProbe::OutOfBound { parent, bound } => self.out_of_bound(table, parent, bound).await,
            RowProbe::OutOfPartitions { .. } => unknown("no table of this server is split anew"),
            RowProbe::NoValueOf { with } => self.no_value_of(table, with).await,
            RowProbe::Uncomputable { .. } | RowProbe::Unsayable { .. } | RowProbe::Alike { .. } => {
                unknown("the server says so itself when it reads the statement")
            }
            RowProbe::InDefault { bound } => self.in_default(table, bound).await,
            RowProbe::Orphan {
                columns,
                other,
                referenced,
                with,
            } => {
                self.orphan(table, columns, other, referenced, with.as_ref())
                    .await
            }
            RowProbe::Unconvertible {
                column,
                sql_type,
                using,
            } => {
                self.unconvertible(table, column, sql_type, using.as_deref())
                    .await
            }
        }
    }

    /// Refuses an expression that does more than compute.
    pub(super) async fn computes(
        &self,
        table: &Located,
        what: &str,
        expression: &Expression,
    ) -> Answer<()> {
        let mut expression = expression.clone();
        expression
            .calls
            .retain(|call| !HARMLESS.contains(&call.as_str()));
        self.only_computes(table, what, &expression).await
    }

    async fn violates(
        &self,
        table: &Located,
        condition: &str,
        with: Option<&NewColumn>,
    ) -> Answer<RowsProbed> {
        let expression = taken_apart("the condition", condition)?;
        self.computes(table, "the condition", &expression).await?;
        let source = self.source(table, with).await?;
        self.exists(&format!(
            "SELECT FROM {source} AS dbop_row WHERE NOT ({})",
            expression.text
        ))
        .await
    }

    /// The table's rows, with the column that the statement adds.
    async fn source(&self, table: &Located, with: Option<&NewColumn>) -> Answer<String> {
        let rows = quoted_table(&table.name);
        let Some(column) = with else {
            return Ok(rows);
        };
        let sql_type = self.own_type(table, &column.sql_type).await?;
        let value = match &column.value {
            None => "NULL".to_owned(),
            Some(text) => {
                let expression = taken_apart("the default", text)?;
                self.computes(table, "the default", &expression).await?;
                expression.text
            }
        };
        Ok(format!(
            "(SELECT dbop_old.*, ({value})::{} AS {} FROM {rows} AS dbop_old)",
            sql_type.written,
            quoted(column.name.as_str())
        ))
    }

    /// A constraint of the catalogue by its name.
    async fn unmet(&self, table: &Located, constraint: &ColumnName) -> Answer<RowsProbed> {
        let rows = self
            .catalogue(CONSTRAINT, &[&table.oid, &constraint.as_str()])
            .await?;
        let Some(row) = rows.first() else {
            return unknown(format!("there is no constraint {constraint} yet"));
        };
        let text = |at: usize| row.try_get::<_, Option<String>>(at).ok().flatten();
        match text(0).as_deref() {
            Some("c") => {
                let condition = text(1).ok_or_else(unreadable)?;
                self.violates(table, &condition, None).await
            }
            Some("n") => {
                let columns = parse::names(row, 4).ok_or_else(unreadable)?;
                let null = columns
                    .iter()
                    .map(|column| format!("dbop_row.{} IS NULL", quoted(column.as_str())));
                let null: Vec<String> = null.collect();
                self.exists(&format!(
                    "SELECT FROM {} AS dbop_row WHERE {}",
                    quoted_table(&table.name),
                    null.join(" OR ")
                ))
                .await
            }
            Some("f") => {
                let name = text(3).ok_or_else(unreadable)?;
                let other = TableName::new(text(2).as_deref(), &name).map_err(|_| unreadable())?;
                let columns = parse::names(row, 4).ok_or_else(unreadable)?;
                let referenced = parse::names(row, 5).ok_or_else(unreadable)?;
                self.orphan(table, &columns, &other, &referenced, None)
                    .await
            }
            _ => unknown(format!(
                "{constraint} is no constraint whose rows can be looked at"
            )),
        }
    }

    /// A row that is outside of a bound: a key that is NULL is in no range, and in a list only with NULL.
    async fn out_of_bound(
        &self,
        table: &Located,
        parent: &TableName,
        bound: &str,
    ) -> Answer<RowsProbed> {
        let Some(parent) = self.locate(parent).await? else {
            return unknown(format!("there is no table {parent}"));
        };
        let how = self.partitioned(&parent).await?;
        match how.and_then(|how| within(&how.by, bound)) {
            Some(condition) => self.violates(table, &condition, None).await,
            None => unknown("which rows are within the bound is not followed here"),
        }
    }

    async fn in_default(&self, table: &Located, bound: &str) -> Answer<RowsProbed> {
        let none = RowsProbed {
            found: false,
            took: std::time::Duration::ZERO,
        };
        let Some(how) = self.partitioned(table).await? else {
            return Ok(none);
        };
        let is_default = |known: &&Partition| known.bound.eq_ignore_ascii_case("default");
        let Some(default) = how.partitions.iter().find(is_default) else {
            return Ok(none);
        };
        if bound.trim().eq_ignore_ascii_case("default") {
            return Ok(none);
        }
        let Some(condition) = within(&how.by, bound) else {
            return unknown("which rows are within the bound is not followed here");
        };
        let Some(default) = self.locate(&default.table).await? else {
            return Ok(none);
        };
        self.readable(&default)?;
        let outside = format!("NOT ({condition})");
        self.violates(&default, &outside, None).await
    }

    /// A row with NULL in any of the columns refers to nothing (MATCH SIMPLE).
    async fn orphan(
        &self,
        table: &Located,
        columns: &[ColumnName],
        other: &TableName,
        referenced: &[ColumnName],
        with: Option<&NewColumn>,
    ) -> Answer<RowsProbed> {
        let Some(other) = self.locate(other).await? else {
            return unknown(format!("there is no table {other}"));
        };
        self.readable(&other)?;
        let keys = match referenced {
            [] => {
                let rows = self.catalogue(PRIMARY_KEY, &[&other.oid]).await?;
                all(&rows, |row: &Row| {
                    let name: String = row.try_get(0).ok()?;
                    ColumnName::new(&name).ok()
                })?
            }
            named => named.to_vec(),
        };
        if keys.len() != columns.len() || keys.is_empty() {
            return unknown(format!(
                "the foreign key has {} columns, and what it refers to {}",
                columns.len(),
                keys.len()
            ));
        }
        for (side, names) in [(table, columns), (&other, &keys[..])] {
            for name in names {
                let expression = taken_apart("the foreign key", &quoted(name.as_str()))?;
                self.computes(side, "the foreign key", &expression).await?;
            }
        }
        let present: Vec<String> = columns
            .iter()
            .map(|column| format!("dbop_row.{} IS NOT NULL", quoted(column.as_str())))
            .collect();
        let equal: Vec<String> = columns
            .iter()
            .zip(&keys)
            .map(|(column, key)| {
                let (column, key) = (quoted(column.as_str()), quoted(key.as_str()));
                format!("dbop_other.{key} = dbop_row.{column}")
            })
            .collect();
        let source = self.source(table, with).await?;
        self.exists(&format!(
            "SELECT FROM {source} AS dbop_row WHERE {} AND NOT EXISTS \
             (SELECT FROM {} AS dbop_other WHERE {})",
            present.join(" AND "),
            quoted_table(&other.name),
            equal.join(" AND ")
        ))
        .await
    }

    pub(super) async fn exists(&self, select: &str) -> Answer<RowsProbed> {
        self.asked_whether(&format!("EXISTS ({select} LIMIT 1)"))
            .await
    }

    pub(super) async fn asked_whether(&self, condition: &str) -> Answer<RowsProbed> {
        let sql = format!(
            "SELECT {condition}, \
                    extract(epoch FROM clock_timestamp() - statement_timestamp())::float8"
        );
        let answer = match self.probe(&sql).await {
            // What the server cannot compute here, it cannot compute in the migration's statement either.
            Err(Failure::Unknown(why)) if parse::is_about_a_value(&why) => {
                return Ok(RowsProbed {
                    found: true,
                    took: self.probe_timeout,
                });
            }
            answer => answer?,
        };
        let probe = parse::null_probe(&answer).ok_or_else(unreadable)?;
        Ok(RowsProbed {
            found: probe.found,
            took: probe.took,
        })
    }
}

/// The condition that the rows of a partition meet, by the key as `pg_get_partkeydef` writes it and the bound as a
/// migration does; `None`: it is not followed here.
fn within(by: &str, bound: &str) -> Option<String> {
    let (strategy, key) = by.split_once(" (")?;
    let key = key.strip_suffix(')')?;
    if key.contains([',', '(', ' ']) {
        return None;
    }
    let (_, values) = bound.split_once('(')?;
    match strategy {
        "RANGE" => {
            let (from, rest) = values.split_once(')')?;
            let (_, to) = rest.split_once('(')?;
            let (to, _) = to.split_once(')')?;
            let limit = |operator: &str, value: &str| match value.trim().to_uppercase().as_str() {
                "MINVALUE" | "MAXVALUE" => "true".to_owned(),
                _ => format!("{key} {operator} ({value})"),
            };
            let (from, to) = (limit(">=", from), limit("<", to));
            Some(format!("{key} IS NOT NULL AND {from} AND {to}"))
        }
        "LIST" => {
            let (values, _) = values.rsplit_once(')')?;
            let (null, values): (Vec<&str>, Vec<&str>) = values
                .split(',')
                .map(str::trim)
                .partition(|value| value.eq_ignore_ascii_case("null"));
            let listed = match values.as_slice() {
                [] => "false".to_owned(),
                values => format!("{key} IS NOT NULL AND {key} IN ({})", values.join(", ")),
            };
            Some(match null.as_slice() {
                [] => listed,
                _ => format!("{key} IS NULL OR {listed}"),
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(by: &str, bound: &str, expect: Option<&str>) {
        assert_eq!(within(by, bound).as_deref(), expect, "{by} {bound}");
    }

    #[test]
    fn rows_within_a_bound() {
        check(
            "RANGE (id)",
            "FOR VALUES FROM (10) TO (MAXVALUE)",
            Some("id IS NOT NULL AND id >= (10) AND true"),
        );
        check(
            "LIST (kind)",
            "FOR VALUES IN ('a', NULL, 'b')",
            Some("kind IS NULL OR kind IS NOT NULL AND kind IN ('a', 'b')"),
        );
        check(
            "LIST (kind)",
            "FOR VALUES IN (NULL)",
            Some("kind IS NULL OR false"),
        );
        check("RANGE (a, b)", "FOR VALUES FROM (1, 2) TO (3, 4)", None);
        check("RANGE (lower(a))", "FOR VALUES FROM ('a') TO ('b')", None);
        check("LIST (kind)", "DEFAULT", None);
    }
}

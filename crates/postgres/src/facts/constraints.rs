//! Constraints of a table, and the foreign keys of other tables to it.

use dbop_model::operation::ConstraintKind;
use dbop_model::table::{ColumnName, ConstraintFacts, TableName};
use tokio_postgres::Row;

use super::Look;
use super::ask::all;
use super::parse::{self, Located};
use dbop_database::answer::Answer;

/// Constraints of the table `$1`, and foreign keys to it: name, kind, known to hold, is it another table's, schema and
/// name of the table at the other end, condition, changes rows at the other end, columns of this table.
///
/// `conenforced` is there from 18 on. A foreign key to a partitioned table, or of one, is kept once more for each
/// partition: of these the one that is about the table asked for counts.
const CONSTRAINTS: &str = "
    SELECT k.conname::text, k.contype::text,
           k.convalidated AND coalesce((to_jsonb(k) ->> 'conenforced')::bool, true),
           k.conrelid <> $1, n.nspname::text, r.relname::text,
           CASE WHEN k.contype = 'c' THEN pg_get_expr(k.conbin, k.conrelid) END,
           k.contype = 'f' AND (k.confupdtype IN ('c', 'n', 'd') OR k.confdeltype IN ('c', 'n', 'd')),
           ARRAY(SELECT a.attname::text
                 FROM unnest(CASE WHEN k.conrelid = $1 THEN k.conkey ELSE k.confkey END)
                      WITH ORDINALITY u(attnum, at)
                 JOIN pg_attribute a ON a.attrelid = $1 AND a.attnum = u.attnum
                 ORDER BY u.at)
    FROM pg_constraint k
    LEFT JOIN pg_class r ON k.contype = 'f'
         AND r.oid = CASE WHEN k.conrelid = $1 THEN k.confrelid ELSE k.conrelid END
    LEFT JOIN pg_namespace n ON n.oid = r.relnamespace
    WHERE (k.conrelid = $1 AND k.contype IN ('c', 'f', 'n', 'p', 'u', 'x')
        OR k.confrelid = $1 AND k.contype = 'f')
      AND NOT EXISTS (
          SELECT FROM pg_constraint above
          WHERE above.oid = k.conparentid
            AND (above.conrelid = $1 OR k.conrelid <> $1 AND above.confrelid = $1))
    ORDER BY k.conrelid <> $1, k.conname, n.nspname, r.relname";

impl Look<'_> {
    pub(super) async fn constraints(&self, table: &Located) -> Answer<Vec<ConstraintFacts>> {
        let rows = self.catalogue(CONSTRAINTS, &[&table.oid]).await?;
        all(&rows, constraint)
    }
}

fn constraint(row: &Row) -> Option<ConstraintFacts> {
    let name: String = row.try_get(0).ok()?;
    let kind: String = row.try_get(1).ok()?;
    let schema: Option<String> = row.try_get(4).ok()?;
    let other: Option<String> = row.try_get(5).ok()?;
    Some(ConstraintFacts {
        name: ColumnName::new(&name).ok()?,
        kind: match kind.as_str() {
            "c" => ConstraintKind::Check,
            "f" => ConstraintKind::ForeignKey,
            "n" => ConstraintKind::NotNull,
            "p" => ConstraintKind::PrimaryKey,
            "u" => ConstraintKind::Unique,
            "x" => ConstraintKind::Exclude,
            _ => return None,
        },
        columns: parse::names(row, 8)?,
        condition: row.try_get(6).ok()?,
        validated: row.try_get(2).ok()?,
        other: match other {
            Some(other) => Some(TableName::new(schema.as_deref(), &other).ok()?),
            None => None,
        },
        incoming: row.try_get(3).ok()?,
        cascades: row.try_get(7).ok()?,
        sets_null: false,
    })
}

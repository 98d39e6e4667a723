//! What there is in the database, by name: tables, types and functions.

use std::collections::BTreeMap;

use dbop_database::answer::{Answer, fact, unknown};
use dbop_database::{DatabaseError, answer::Failure};
use dbop_model::catalogue::Catalogue;
use dbop_model::table::{TableName, TypeFacts, Volatility};
use dbop_model::{Fact, Why};
use tokio_postgres::Row;

use super::Look;
use super::ask::all;

/// Types, and functions by their names, of one database. PostGIS brings 800 functions, the server 2,000 names.
const NAMES_MAX: i64 = 20_000;

/// The relations that [`super::query::LOCATE`] would find, at most `$1`.
const TABLES: &str = "
    SELECT n.nspname::text, c.relname::text
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
    ORDER BY n.nspname, c.relname
    LIMIT $1";

/// Types that a column can have, but arrays and the row types of tables: schema, name, and of domains with those below
/// them whether one has constraints and whether one has a default, as [`super::query::TYPE`] says it.
const TYPES: &str = "
    WITH RECURSIVE chain AS (
        SELECT t.oid AS root, t.oid, t.typtype, t.typbasetype, t.typnotnull, t.typdefault,
               NULL::int4 AS modifier
        FROM pg_type t
        JOIN pg_namespace n ON n.oid = t.typnamespace
        LEFT JOIN pg_class c ON c.oid = t.typrelid
        WHERE t.typtype IN ('b', 'c', 'd', 'e', 'm', 'r')
          AND t.typcategory <> 'A' AND (t.typrelid = 0 OR c.relkind = 'c')
          AND n.nspname <> 'information_schema'
          AND n.nspname NOT LIKE 'pg\\_toast%' AND n.nspname NOT LIKE 'pg\\_temp%'
        UNION ALL
        SELECT chain.root, t.oid, t.typtype, t.typbasetype, t.typnotnull, t.typdefault, d.typtypmod
        FROM chain
        JOIN pg_type d ON d.oid = chain.oid
        JOIN pg_type t ON t.oid = chain.typbasetype
        WHERE chain.typtype = 'd'
    )
    SELECT n.nspname::text, r.typname::text,
           bool_or(chain.typtype = 'd' AND (chain.typnotnull OR EXISTS (
               SELECT FROM pg_constraint k WHERE k.contypid = chain.oid))),
           bool_or(chain.typtype = 'd' AND chain.typdefault IS NOT NULL),
           bool_or(chain.typtype = 'd' AND chain.typnotnull),
           max(CASE WHEN chain.typtype <> 'd' AND chain.modifier IS NOT NULL
                    THEN format_type(chain.oid, chain.modifier) END)
    FROM chain
    JOIN pg_type r ON r.oid = chain.root
    JOIN pg_namespace n ON n.oid = r.typnamespace
    GROUP BY 1, 2
    ORDER BY 1, 2
    LIMIT $1";

/// Functions: schema, name, and how volatile those of the name are at worst, as [`super::query::VOLATILITY`] says it.
/// Names of which none can be called with values and gives one (triggers, what is the server's own inside) are left out.
const FUNCTIONS: &str = "
    SELECT n.nspname::text, p.proname::text,
           max(CASE p.provolatile WHEN 'v' THEN 3 WHEN 's' THEN 2 ELSE 1 END)::int4
    FROM pg_proc p
    JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE p.prokind = 'f'
    GROUP BY 1, 2
    HAVING bool_or(NOT p.proretset
                   AND p.prorettype NOT IN ('internal'::regtype, 'trigger'::regtype,
                                            'event_trigger'::regtype, 'void'::regtype, 'cstring'::regtype)
                   AND NOT 'internal'::regtype = ANY (p.proargtypes::oid[]))
    ORDER BY 1, 2
    LIMIT $1";

impl Look<'_> {
    /// # Errors
    /// As [`super::table_facts`]; also where the tables cannot be listed, for then there is nothing to go on with.
    pub(super) async fn whole(&self, tables_max: usize) -> Result<Catalogue, DatabaseError> {
        let (tables, is_whole) = match self.tables(tables_max).await {
            Ok(found) => found,
            Err(Failure::Broken(error)) => return Err(error),
            Err(Failure::Unknown(why)) => {
                return Err(DatabaseError::Unreadable {
                    operation: "listing tables",
                    detail: why.to_string(),
                });
            }
        };
        Ok(Catalogue {
            tables,
            is_whole,
            default_schema: None,
            ignores_case: false,
            types: fact(self.types().await)?,
            functions: fact(self.functions().await)?,
        })
    }

    async fn tables(&self, tables_max: usize) -> Answer<(Vec<TableName>, bool)> {
        let limit = i64::try_from(tables_max).map_or(i64::MAX, |max| max.saturating_add(1));
        let rows = self.catalogue(TABLES, &[&limit]).await?;
        let is_whole = rows.len() <= tables_max;
        let names = all(&rows[..rows.len().min(tables_max)], |row| Some(name(row)))?;
        // What is no name for an operation either (control characters) cannot be asked for.
        Ok((names.into_iter().flatten().collect(), is_whole))
    }

    async fn types(&self) -> Answer<BTreeMap<TableName, TypeFacts>> {
        let read = |row: &Row| {
            Some(TypeFacts {
                constrained_domain: row.try_get(2).ok()?,
                domain_default: row.try_get(3).ok()?,
                domain_not_null: row.try_get(4).ok()?,
                base: row.try_get(5).ok()?,
                casts: Fact::Unknown(Why::new("of which table's columns was not asked")),
            })
        };
        self.named("types", TYPES, read).await
    }

    async fn functions(&self) -> Answer<BTreeMap<TableName, Volatility>> {
        let read = |row: &Row| match row.try_get::<_, i32>(2).ok()? {
            1 => Some(Volatility::Immutable),
            2 => Some(Volatility::Stable),
            3 => Some(Volatility::Volatile),
            _ => None,
        };
        self.named("functions", FUNCTIONS, read).await
    }

    async fn named<T>(
        &self,
        what: &str,
        sql: &str,
        read: impl Fn(&Row) -> Option<T>,
    ) -> Answer<BTreeMap<TableName, T>> {
        let rows = self.catalogue(sql, &[&(NAMES_MAX + 1)]).await?;
        if rows.len() as i64 > NAMES_MAX {
            return unknown(format!("the database has more than {NAMES_MAX} {what}"));
        }
        let pairs = all(&rows, |row| Some((name(row), read(row)?)))?;
        Ok(pairs
            .into_iter()
            .filter_map(|(name, value)| Some((name?, value)))
            .collect())
    }
}

/// Schema and name, where an operation could name it.
fn name(row: &Row) -> Option<TableName> {
    let schema: String = row.try_get(0).ok()?;
    let name: String = row.try_get(1).ok()?;
    TableName::new(Some(&schema), &name).ok()
}

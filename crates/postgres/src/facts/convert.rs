//! Do all values of a column become values of another type? And which types may stand in a probe at all.

use dbop_database::answer::{Answer, unknown};
use dbop_database::expression::{Grammar, read};
use dbop_model::conversion::{length, never_fails};
use dbop_model::dependent::{NewColumn, RowsProbed};
use dbop_model::table::ColumnName;

use super::Look;
use super::ask::unreadable;
use super::duplicates::taken_apart;
use super::parse::{Located, quoted, quoted_table};

/// The type `$1` as the server writes it, with its schema where it is not the server's own; the type below all domains;
/// is that one the server's own; the conditions of the domains.
const OWN_TYPE: &str = "
    WITH RECURSIVE chain AS (
        SELECT t.oid, t.typtype, t.typbasetype, t.typnamespace
        FROM pg_type t WHERE t.oid = to_regtype($1::text)::oid
        UNION ALL
        SELECT t.oid, t.typtype, t.typbasetype, t.typnamespace
        FROM chain JOIN pg_type t ON t.oid = chain.typbasetype
        WHERE chain.typtype = 'd'
    )
    SELECT CASE WHEN named.typtype = 'd'
                THEN quote_ident(n.nspname) || '.' || quote_ident(t.typname) END,
           format_type(base.oid, NULL),
           base.typtype = 'b' AND base.typnamespace = 'pg_catalog'::regnamespace,
           ARRAY(SELECT pg_get_expr(k.conbin, 0)
                 FROM chain JOIN pg_constraint k ON k.contypid = chain.oid
                 WHERE k.contype = 'c')
    FROM chain named
    JOIN pg_type t ON t.oid = named.oid
    JOIN pg_namespace n ON n.oid = t.typnamespace
    CROSS JOIN chain base
    WHERE named.oid = to_regtype($1::text)::oid AND base.typtype <> 'd'";

/// The type of the column `$2` of the table `$1`.
const TYPE_OF: &str = "
    SELECT format_type(a.atttypid, a.atttypmod)
    FROM pg_attribute a
    WHERE a.attrelid = $1 AND a.attname = $2::name AND NOT a.attisdropped";

/// A type that may stand in a statement.
pub(super) struct OwnType {
    /// As a statement writes it.
    pub(super) written: String,
    /// The type below all domains.
    base: String,
    is_domain: bool,
}

impl Look<'_> {
    /// A type that may stand in a statement: one of the server's own, or a domain over one whose conditions only compute.
    pub(super) async fn own_type(&self, table: &Located, sql_type: &str) -> Answer<OwnType> {
        if let Err(why) = read(sql_type, Grammar::PostgreSql) {
            return unknown(format!("the type is not tried on the server: {why}"));
        }
        let path = format!("pg_catalog, {}public", table.schema_in_path());
        let rows = self.in_path(&path, OWN_TYPE, &[&sql_type]).await?;
        let none = || unknown(format!("{sql_type} is none of the server's own types"));
        let Some(row) = rows.first() else {
            return none();
        };
        let domain: Option<String> = row.try_get(0).map_err(|_| unreadable())?;
        let base: String = row.try_get(1).map_err(|_| unreadable())?;
        let own: bool = row.try_get(2).map_err(|_| unreadable())?;
        let conditions: Vec<String> = row.try_get(3).map_err(|_| unreadable())?;
        if !own {
            return none();
        }
        for condition in &conditions {
            let expression = taken_apart("the domain's condition", condition)?;
            self.computes(table, "the domain's condition", &expression)
                .await?;
        }
        Ok(OwnType {
            is_domain: domain.is_some(),
            written: domain.unwrap_or_else(|| sql_type.to_owned()),
            base,
        })
    }

    /// The server ends at the first value that it cannot convert, with an error of class 22: that is the answer. A text
    /// that is longer than its new type allows, a cast would cut, and an assignment refuses.
    pub(super) async fn unconvertible(
        &self,
        table: &Located,
        column: &ColumnName,
        sql_type: &str,
        using: Option<&str>,
    ) -> Answer<RowsProbed> {
        let own = self.own_type(table, sql_type).await?;
        if using.is_none()
            && !own.is_domain
            && never_fails(&self.type_of(table, column).await?, &own.written)
        {
            return Ok(RowsProbed {
                found: false,
                took: std::time::Duration::ZERO,
            });
        }
        let written = using.map_or_else(|| quoted(column.as_str()), str::to_owned);
        let expression = taken_apart("the new value", &written)?;
        self.computes(table, "the new value", &expression).await?;
        let value = format!("({})", expression.text);
        let length = length(sql_type);
        let sql = match (own.base.as_str(), length) {
            _ if own.is_domain => {
                return self
                    .casts(table, &format!("{value}::{}", own.written))
                    .await;
            }
            ("bit" | "bit varying", _) => {
                return unknown("a cast to bits cuts what an assignment refuses");
            }
            ("character varying" | "character", length) => {
                let length = length.or((own.base == "character").then_some(1));
                let Some(length) = length else {
                    return self.casts(table, &format!("{value}::text")).await;
                };
                // Blanks beyond the length are cut in silence.
                format!(
                    "SELECT FROM {} AS dbop_row \
                     WHERE char_length(rtrim(({value})::text, ' ')) > {length}",
                    quoted_table(&table.name)
                )
            }
            _ => return self.casts(table, &format!("{value}::{sql_type}")).await,
        };
        self.exists(&sql).await
    }

    /// The type of a column, as the server writes it.
    async fn type_of(&self, table: &Located, column: &ColumnName) -> Answer<String> {
        self.one(TYPE_OF, &[&table.oid, &column.as_str()], |row| {
            row.try_get(0).ok()
        })
        .await
    }

    /// Computes an expression over every row, until one is refused.
    async fn casts(&self, table: &Located, expression: &str) -> Answer<RowsProbed> {
        self.asked_whether(&format!(
            "(SELECT count({expression}) < 0 FROM {} AS dbop_row)",
            quoted_table(&table.name)
        ))
        .await
    }

    /// Of a new column only the value counts, which is the same for every row.
    pub(super) async fn no_value_of(
        &self,
        table: &Located,
        column: &NewColumn,
    ) -> Answer<RowsProbed> {
        let own = self.own_type(table, &column.sql_type).await?;
        let text = column.value.as_deref().unwrap_or("NULL");
        let expression = taken_apart("the default", text)?;
        self.computes(table, "the default", &expression).await?;
        self.asked_whether(&format!("(SELECT count(({text})::{}) < 0)", own.written))
            .await
    }
}

//! Are there two rows with the same key? First a proof that there are none, then a bounded probe.
//!
//! The probe groups by the key, as the unique index would compare it: by the columns' own collations and the types'
//! default operator classes; rows with NULL are left out, unless NULLs are equal to the key. A type that cannot be
//! grouped by has no unique index either, and the server says so.
//!
//! **What a migration wrote is computed as the admin**, so an expression or a predicate is taken apart first
//! ([`dbop_database::expression`]), and refused where it could do anything but compute: it may call the server's own
//! functions of which none of the name is volatile and one is immutable, as an index itself may call no others, and it
//! may be over columns of types that a superuser owns (those of the server and of extensions), since a cast of another
//! type's is its owner's code. What is refused is unknown, with its reason; so is the verdict.

use std::collections::BTreeSet;

use dbop_database::expression::{Expression, Grammar, read};
use dbop_model::operation::IndexPart;
use dbop_model::table::{ColumnName, DuplicateProbe, TableFacts, UniqueKey};
use dbop_model::unique;

use super::Look;
use super::ask::all;
use super::parse::{self, Located, quoted, quoted_table};
use dbop_database::answer::{Answer, unknown};

/// What stands before a parenthesis and is part of the grammar (PostgreSQL manual, appendix C and section 4.2), or a
/// type with a length.
const GRAMMAR: [&str; 37] = [
    "all",
    "and",
    "any",
    "array",
    "as",
    "between",
    "bit",
    "bpchar",
    "case",
    "cast",
    "char",
    "character",
    "coalesce",
    "decimal",
    "else",
    "extract",
    "float",
    "from",
    "greatest",
    "ilike",
    "in",
    "interval",
    "least",
    "like",
    "not",
    "nullif",
    "numeric",
    "or",
    "precision",
    "row",
    "then",
    "time",
    "timestamp",
    "trim",
    "varchar",
    "varying",
    "when",
];

/// Of the names `$1` those that are not the server's own functions, or of which one could have effects or give several
/// rows. No type of a superuser's is in the way of them: names are looked up in `pg_catalog` alone.
const UNFIT_FUNCTIONS: &str = "
    SELECT name FROM unnest($1::text[]) name
    WHERE NOT EXISTS (
              SELECT FROM pg_proc p
              WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = name
                AND p.provolatile = 'i')
       OR EXISTS (
              SELECT FROM pg_proc p
              WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = name
                AND (p.provolatile = 'v' OR p.proretset OR p.prokind <> 'f'))
    ORDER BY name";

/// Of the columns of the table `$1` with the names `$2` those whose type, or the one below a domain, is not a
/// superuser's, with the type.
const UNFIT_COLUMNS: &str = "
    WITH RECURSIVE below AS (
        SELECT a.attname, t.oid, t.typtype, t.typbasetype, t.typowner
        FROM pg_attribute a
        JOIN pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped AND a.attname::text = ANY ($2)
        UNION ALL
        SELECT below.attname, t.oid, t.typtype, t.typbasetype, t.typowner
        FROM below
        JOIN pg_type t ON t.oid = below.typbasetype
        WHERE below.typtype = 'd'
    )
    SELECT below.attname::text, format_type(below.oid, NULL)
    FROM below
    JOIN pg_roles o ON o.oid = below.typowner
    WHERE below.typtype <> 'd' AND NOT o.rolsuper
    ORDER BY 1";

impl Look<'_> {
    /// `facts` hold what is known of the table so far.
    pub(super) async fn duplicates(
        &self,
        table: &Located,
        facts: &TableFacts,
        key: &UniqueKey,
    ) -> Answer<DuplicateProbe> {
        self.readable(table)?;
        let read;
        let indexes = match facts.indexes.known() {
            Some(indexes) => indexes,
            None => {
                read = self.indexes(table).await?;
                &read
            }
        };
        if let Some(settled) = unique::settled(indexes, facts, key) {
            return Ok(settled);
        }
        let keys = self.computed(table, facts, key).await?;
        let answer = self.probe(&statement(table, &keys)).await?;
        let probe = parse::null_probe(&answer).ok_or_else(super::ask::unreadable)?;
        Ok(DuplicateProbe {
            found: probe.found,
            proven_by: None,
            took: probe.took,
        })
    }

    /// The key as SQL, once nothing in it can do more than compute.
    async fn computed(&self, table: &Located, facts: &TableFacts, key: &UniqueKey) -> Answer<Keys> {
        let mut texts = Vec::new();
        let mut written = Vec::new();
        for part in &key.parts {
            texts.push(match part {
                IndexPart::Column(name) => column(facts, name)?,
                IndexPart::Prefix(..) => {
                    return unknown(
                        "an index on the first characters of a column is none of PostgreSQL's",
                    );
                }
                IndexPart::Expression(text) => {
                    let expression = taken_apart("the key's expression", text)?;
                    let text = format!("({})", expression.text);
                    written.push(("the key's expression", expression));
                    text
                }
            });
        }
        if texts.is_empty() {
            return unknown("the operation does not say over which columns");
        }
        let mut predicate = None;
        if let Some(text) = &key.predicate {
            let expression = taken_apart("the index's predicate", text)?;
            predicate = Some(expression.text.clone());
            written.push(("the index's predicate", expression));
        }
        for (what, expression) in &written {
            self.only_computes(table, what, expression).await?;
        }
        Ok(Keys {
            texts,
            predicate,
            nulls_equal: key.nulls_equal,
        })
    }

    pub(super) async fn only_computes(
        &self,
        table: &Located,
        what: &str,
        expression: &Expression,
    ) -> Answer<()> {
        let name = |row: &tokio_postgres::Row| row.try_get::<_, String>(0).ok();
        let calls: Vec<&String> = expression
            .calls
            .iter()
            .filter(|call| !GRAMMAR.contains(&call.as_str()))
            .collect();
        let unfit = all(&self.catalogue(UNFIT_FUNCTIONS, &[&calls]).await?, name)?;
        if let Some(function) = unfit.first() {
            return unknown(format!(
                "{what} calls {function}, which is not among the server's own functions without effects, \
                 and would run as the admin"
            ));
        }
        let words: Vec<&String> = expression.words.iter().collect();
        let rows = self.catalogue(UNFIT_COLUMNS, &[&table.oid, &words]).await?;
        let unfit = all(&rows, |row| {
            Some((name(row)?, row.try_get::<_, String>(1).ok()?))
        })?;
        if let Some((column, sql_type)) = unfit.first() {
            return unknown(format!(
                "{what} is over {column} of type {sql_type}, whose owner's functions would run as the admin"
            ));
        }
        Ok(())
    }
}

/// A key that may be asked about.
struct Keys {
    texts: Vec<String>,
    predicate: Option<String>,
    nulls_equal: bool,
}

fn column(facts: &TableFacts, name: &ColumnName) -> Answer<String> {
    if facts.columns.contains_key(name) {
        Ok(format!("dbop_row.{}", quoted(name.as_str())))
    } else {
        unknown(format!("the table has no column {name} yet"))
    }
}

pub(super) fn taken_apart(what: &str, text: &str) -> Answer<Expression> {
    let expression = match read(text, Grammar::PostgreSql) {
        Ok(expression) => expression,
        Err(why) => return unknown(format!("{what} is not tried on the server: {why}")),
    };
    let names: BTreeSet<&str> = expression
        .words
        .iter()
        .chain(&expression.calls)
        .map(String::as_str)
        .collect();
    // The whole row, whose columns would not be looked at.
    if names.contains("dbop_row") {
        return unknown(format!(
            "{what} is not tried on the server: it names dbop_row"
        ));
    }
    Ok(expression)
}

/// Is there such a pair, and how many seconds did it take to see? `count(*) > 1` is true of NULLs grouped as equal.
fn statement(table: &Located, keys: &Keys) -> String {
    let mut conditions: Vec<String> = keys
        .predicate
        .iter()
        .map(|predicate| format!("({predicate})"))
        .collect();
    if !keys.nulls_equal {
        // Of a composite value `IS NOT NULL` asks for its fields.
        let present = |text: &String| format!("{text} IS DISTINCT FROM NULL");
        conditions.extend(keys.texts.iter().map(present));
    }
    let condition = if conditions.is_empty() {
        "true".to_owned()
    } else {
        conditions.join(" AND ")
    };
    format!(
        "SELECT EXISTS (SELECT FROM {} AS dbop_row WHERE {condition} GROUP BY {} \
                        HAVING count(*) > 1 LIMIT 1), \
                extract(epoch FROM clock_timestamp() - statement_timestamp())::float8",
        quoted_table(&table.name),
        keys.texts.join(", "),
    )
}

//! The SQL behind table facts. Every object is named with its schema or found by its oid; names that users
//! wrote are parameters, or quoted where a statement must hold them.

use std::time::Duration;

use dbop_model::table::{ColumnName, TableName};

use super::parse::{quoted, quoted_table};

/// Relations of a name: `$1` the name, `$2` the schema or NULL for every schema of users.
pub(super) const LOCATE: &str = "
    SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = $1::name
      AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND CASE WHEN $2::text IS NULL
               THEN n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
               ELSE n.nspname::text = $2::text END
    ORDER BY n.nspname";

/// Columns of the table `$1`. A NOT NULL that is NOT VALID (PostgreSQL 18) sets `attnotnull` and proves nothing.
pub(super) const COLUMNS: &str = "
    SELECT a.attname::text,
           pg_catalog.format_type(a.atttypid, a.atttypmod),
           NOT a.attnotnull OR EXISTS (
               SELECT FROM pg_catalog.pg_constraint k
               WHERE k.conrelid = a.attrelid AND k.contype = 'n'
                 AND k.conkey = ARRAY[a.attnum] AND NOT k.convalidated),
           a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL,
           coalesce(b.typtype, t.typtype) = 'c',
           (SELECT l.collname::text FROM pg_catalog.pg_collation l
            WHERE l.oid = a.attcollation AND a.attcollation <> t.typcollation),
           a.attgenerated::text
    FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_catalog.pg_type b ON t.typtype = 'd' AND b.oid = t.typbasetype
    WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped";

/// Valid CHECKs of the table `$1` that hold for its partitions and children as well.
pub(super) const CHECKS: &str = "
    SELECT conname::text, pg_catalog.pg_get_constraintdef(oid)
    FROM pg_catalog.pg_constraint
    WHERE conrelid = $1 AND contype = 'c' AND convalidated AND NOT connoinherit
    ORDER BY conname";

/// Size of the table `$1` with its partitions and children: bytes; rows by the statistics, brought up to the
/// files' size of today as the planner does; is a part with data not analysed; is a part foreign; how old the
/// statistics are, in seconds. A part without data has no rows, whatever its statistics say.
pub(super) const SIZE: &str = "
    WITH RECURSIVE tree(oid) AS (
        SELECT $1::oid
        UNION
        SELECT i.inhrelid FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid
    ), part AS (
        SELECT c.oid, c.relkind, c.reltuples, c.relpages,
               pg_catalog.pg_relation_size(c.oid) AS main,
               pg_catalog.pg_table_size(c.oid) AS whole,
               greatest(s.last_analyze, s.last_autoanalyze, s.last_vacuum, s.last_autovacuum) AS seen
        FROM tree
        JOIN pg_catalog.pg_class c ON c.oid = tree.oid
        LEFT JOIN pg_catalog.pg_stat_all_tables s ON s.relid = c.oid
        WHERE c.relkind IN ('r', 'f')
    )
    SELECT coalesce(sum(whole), 0)::int8,
           coalesce(sum(CASE WHEN main > 0 AND relpages > 0
               THEN reltuples::float8 / relpages
                    * (main / pg_catalog.current_setting('block_size')::int8)
               ELSE 0 END), 0)::float8,
           coalesce(bool_or(main > 0 AND (reltuples < 0 OR relpages = 0)), false),
           coalesce(bool_or(relkind = 'f'), false),
           extract(epoch FROM max(clock_timestamp() - seen) FILTER (WHERE main > 0))::float8
    FROM part";

/// The type `$1` in the search path: is there one, has it constraints as a domain (its own or those of a
/// domain below), has it a default as a domain, is it NOT NULL as a domain, the type below all domains; and the columns
/// of the table `$2` whose types have no cast to it that the server makes by itself in an assignment (manual, CREATE
/// CAST; to texts it has one of everything); and those that are stored as it is.
pub(super) const TYPE: &str = "
    WITH RECURSIVE chain AS (
        SELECT t.oid, t.typtype, t.typbasetype, t.typnotnull, t.typdefault,
               t.typelem, t.typcategory, NULL::int4 AS modifier
        FROM pg_catalog.pg_type t
        WHERE t.oid = pg_catalog.to_regtype($1::text)::pg_catalog.oid
        UNION ALL
        SELECT t.oid, t.typtype, t.typbasetype, t.typnotnull, t.typdefault,
               t.typelem, t.typcategory, d.typtypmod
        FROM chain
        JOIN pg_catalog.pg_type d ON d.oid = chain.oid
        JOIN pg_catalog.pg_type t ON t.oid = chain.typbasetype
        WHERE chain.typtype = 'd'
    ), source AS (
        SELECT a.attname, a.attnum, t.oid, t.typtype, t.typbasetype, t.typelem
        FROM pg_catalog.pg_attribute a
        JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = $2::pg_catalog.oid AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT source.attname, source.attnum, t.oid, t.typtype, t.typbasetype, t.typelem
        FROM source
        JOIN pg_catalog.pg_type t ON t.oid = source.typbasetype
        WHERE source.typtype = 'd'
    )
    SELECT count(*) > 0,
           coalesce(bool_or(typtype = 'd' AND (typnotnull OR EXISTS (
               SELECT FROM pg_catalog.pg_constraint k WHERE k.contypid = chain.oid))), false),
           coalesce(bool_or(typtype = 'd' AND typdefault IS NOT NULL), false),
           coalesce(bool_or(typtype = 'd' AND typnotnull), false),
           (SELECT pg_catalog.format_type(b.oid, b.modifier)
            FROM chain b WHERE b.typtype <> 'd' AND b.modifier IS NOT NULL),
           ARRAY(SELECT s.attname::text
                 FROM source s, chain b
                 WHERE s.typtype <> 'd' AND b.typtype <> 'd' AND s.oid <> b.oid
                   AND NOT EXISTS (
                       SELECT FROM pg_catalog.pg_cast k
                       WHERE k.castsource = s.oid AND k.casttarget = b.oid
                         AND k.castcontext IN ('a', 'i'))
                   AND (EXISTS (
                            SELECT FROM pg_catalog.pg_cast k
                            WHERE k.castsource = s.oid AND k.casttarget = b.oid)
                        OR b.typcategory <> 'S'
                           AND NOT (s.typelem <> 0 AND b.typelem <> 0 AND (
                               s.typelem = b.typelem OR EXISTS (
                               SELECT FROM pg_catalog.pg_cast k
                               WHERE k.castsource = s.typelem AND k.casttarget = b.typelem
                                 AND k.castcontext IN ('a', 'i')))))
                 ORDER BY s.attnum),
           ARRAY(SELECT s.attname::text
                 FROM source s, chain b
                 WHERE s.typtype <> 'd' AND b.typtype <> 'd'
                   AND (s.oid = b.oid OR EXISTS (
                       SELECT FROM pg_catalog.pg_cast k
                       WHERE k.castsource = s.oid AND k.casttarget = b.oid
                         AND k.castmethod = 'b'))
                 ORDER BY s.attnum)
    FROM chain";

/// How volatile functions of the name `$1` are at worst, in the schema `$2` or, where that is NULL, anywhere:
/// which of several an expression calls depends on types that are not followed here.
pub(super) const VOLATILITY: &str = "
    SELECT max(CASE p.provolatile WHEN 'v' THEN 3 WHEN 's' THEN 2 ELSE 1 END)::int4
    FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE p.proname = $1::name AND p.prokind = 'f'
      AND ($2::text IS NULL OR n.nspname::text = $2::text)";

/// Begins a question's transaction. `row_security = off` makes the server refuse where it would silently show
/// only some of the rows.
pub(super) fn begin(timeout: Duration, lock_timeout: Duration, path: &str) -> String {
    format!(
        "BEGIN TRANSACTION READ ONLY; \
         SET LOCAL statement_timeout = {timeout}; \
         SET LOCAL lock_timeout = {lock}; \
         SET LOCAL idle_in_transaction_session_timeout = {timeout}; \
         SET LOCAL row_security = off; \
         SET LOCAL max_parallel_workers_per_gather = 0; \
         SET LOCAL search_path = {path}",
        // Zero would mean no limit at all.
        timeout = timeout.as_millis().max(1),
        lock = lock_timeout.as_millis().max(1),
    )
}

/// Has a table any row?
pub(super) fn any_row(table: &TableName) -> String {
    format!(
        "SELECT EXISTS (SELECT FROM {} LIMIT 1)",
        quoted_table(table)
    )
}

/// Does a column hold NULL, and how many seconds did it take to see? A value of a composite type whose fields
/// are all NULL `IS NULL` too, but not to NOT NULL: there the test is `by_value`.
pub(super) fn nulls(table: &TableName, column: &ColumnName, by_value: bool) -> String {
    let test = if by_value {
        "IS NOT DISTINCT FROM NULL"
    } else {
        "IS NULL"
    };
    format!(
        "SELECT EXISTS (SELECT FROM {} WHERE {} {test} LIMIT 1), \
                extract(epoch FROM clock_timestamp() - statement_timestamp())::float8",
        quoted_table(table),
        quoted(column.as_str()),
    )
}

//! What hangs on a table and its parts, its partitions, and what bears a name: by these the server refuses statements
//! whatever the rows are. All of it is in the catalogue; `pg_depend` says what goes with what, and what stands in the
//! way (manual, section 52.18).

use dbop_model::dependent::{
    Dependent, DependentKind, PartOf, Partition, Partitioned, Relation, RelationKind, Stops,
};
use dbop_model::table::{ColumnName, TableName};
use tokio_postgres::Row;

use super::ask::all;
use super::parse::Located;
use super::{Look, NAME_BYTES_MAX};
use dbop_database::answer::Answer;

/// What hangs on the table `$1` and its columns, constraints and indexes: the part and its name; of the dependent its
/// kind, schema and relation, name; does it stop a drop, a change of type, a rename; does CASCADE take it along.
///
/// A drop takes along what hangs on the part automatically (`goes`), and is stopped by what hangs on any of that
/// otherwise. A column's type is not changed under the rules of views, triggers, policies, functions, publications
/// and generated columns (ATExecAlterColumnType), whatever CASCADE would do.
const DEPENDENTS: &str = "
    WITH RECURSIVE tree(oid) AS (
        SELECT $1::oid
        UNION
        SELECT i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid
    ), part(part, name, classid, objid, objsubid) AS (
        SELECT 'table', NULL, 'pg_class'::regclass::oid, $1::oid, 0
        UNION ALL
        SELECT 'column', a.attname::text, 'pg_class'::regclass::oid, b.attrelid, b.attnum::int4
        FROM pg_attribute a
        JOIN pg_attribute b ON b.attname = a.attname AND NOT b.attisdropped
        JOIN tree ON tree.oid = b.attrelid
        WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT 'constraint', k.conname::text, 'pg_constraint'::regclass::oid, k.oid, 0
        FROM pg_constraint k WHERE k.conrelid = $1
        UNION ALL
        SELECT 'index', c.relname::text, 'pg_class'::regclass::oid, c.oid, 0
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = $1
    ), goes(part, name, classid, objid, objsubid) AS (
        SELECT * FROM part
        UNION
        SELECT g.part, g.name, d.classid, d.objid, d.objsubid
        FROM goes g
        JOIN pg_depend d ON d.refclassid = g.classid AND d.refobjid = g.objid
             AND (g.objsubid = 0 OR d.refobjsubid = g.objsubid)
        WHERE d.deptype IN ('a', 'i', 'P', 'S')
    ), hang(part, name, classid, objid, objsubid, stops_drop, stops_type) AS (
        SELECT g.part, g.name, d.classid, d.objid, d.objsubid, true, false
        FROM goes g
        JOIN pg_depend d ON d.refclassid = g.classid AND d.refobjid = g.objid
             AND (g.objsubid = 0 OR d.refobjsubid = g.objsubid)
        WHERE d.deptype = 'n'
          AND NOT EXISTS (
              SELECT FROM goes h
              WHERE h.part = g.part AND h.name IS NOT DISTINCT FROM g.name
                AND h.classid = d.classid AND h.objid = d.objid AND h.objsubid IN (0, d.objsubid))
        UNION ALL
        SELECT p.part, p.name, d.classid, d.objid, d.objsubid, false, true
        FROM part p
        JOIN pg_depend d ON d.refclassid = p.classid AND d.refobjid = p.objid
             AND d.refobjsubid = p.objsubid
        LEFT JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
        LEFT JOIN pg_attribute a
             ON a.attrelid = CASE WHEN f.oid IS NULL THEN d.objid ELSE f.adrelid END
            AND a.attnum = CASE WHEN f.oid IS NULL THEN d.objsubid ELSE f.adnum END
            AND (f.oid IS NOT NULL OR d.classid = 'pg_class'::regclass)
        WHERE p.part = 'column'
          AND (d.classid IN ('pg_rewrite'::regclass, 'pg_trigger'::regclass, 'pg_policy'::regclass,
                             'pg_proc'::regclass, 'pg_publication_rel'::regclass)
               OR a.attgenerated <> '' AND (a.attrelid <> p.objid OR a.attnum <> p.objsubid))
    ), named AS (
        SELECT h.part, h.name, h.stops_drop, h.stops_type,
               CASE WHEN h.classid = 'pg_rewrite'::regclass AND w.rulename = '_RETURN'
                         THEN CASE c.relkind WHEN 'm' THEN 'matview' ELSE 'view' END
                    WHEN h.classid = 'pg_rewrite'::regclass THEN 'rule'
                    WHEN h.classid = 'pg_constraint'::regclass AND k.contype = 'f' THEN 'foreign key'
                    WHEN h.classid = 'pg_constraint'::regclass AND k.contype = 'c' THEN 'check'
                    WHEN h.classid = 'pg_trigger'::regclass THEN 'trigger'
                    WHEN h.classid = 'pg_policy'::regclass THEN 'policy'
                    WHEN h.classid = 'pg_proc'::regclass THEN 'function'
                    WHEN h.classid = 'pg_publication_rel'::regclass THEN 'publication'
                    WHEN a.attgenerated <> '' THEN 'generated'
                    WHEN h.classid = 'pg_class'::regclass AND h.objsubid > 0 THEN 'row type'
                    WHEN h.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'f') THEN 'child'
                    WHEN h.classid = 'pg_class'::regclass AND c.relkind IN ('i', 'I') THEN 'index'
                    ELSE 'other' END AS kind,
               CASE WHEN c.oid <> $1 THEN n.nspname::text END AS schema,
               CASE WHEN c.oid <> $1 THEN c.relname::text END AS relation,
               coalesce(nullif(w.rulename::text, '_RETURN'), k.conname::text, t.tgname::text,
                        y.polname::text, p.proname::text, a.attname::text) AS member
        FROM hang h
        LEFT JOIN pg_rewrite w ON h.classid = 'pg_rewrite'::regclass AND w.oid = h.objid
        LEFT JOIN pg_constraint k ON h.classid = 'pg_constraint'::regclass AND k.oid = h.objid
        LEFT JOIN pg_trigger t ON h.classid = 'pg_trigger'::regclass AND t.oid = h.objid
        LEFT JOIN pg_policy y ON h.classid = 'pg_policy'::regclass AND y.oid = h.objid
        LEFT JOIN pg_proc p ON h.classid = 'pg_proc'::regclass AND p.oid = h.objid
        LEFT JOIN pg_attrdef f ON h.classid = 'pg_attrdef'::regclass AND f.oid = h.objid
        LEFT JOIN pg_class c ON c.oid = coalesce(w.ev_class, nullif(k.conrelid, 0), t.tgrelid,
                                                 y.polrelid, f.adrelid,
                                                 CASE WHEN h.classid = 'pg_class'::regclass
                                                      THEN h.objid END)
        LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid
             AND a.attnum = CASE WHEN f.oid IS NOT NULL THEN f.adnum
                                 WHEN h.classid = 'pg_class'::regclass AND h.objsubid > 0
                                 THEN h.objsubid END
    )
    SELECT part, name, kind, schema, relation, member,
           bool_or(stops_drop), bool_or(stops_type), false, true
    FROM named
    GROUP BY part, name, kind, schema, relation, member
    UNION ALL
    SELECT 'column', a.attname::text, 'partition key', NULL, NULL, NULL, true, true, false, false
    FROM pg_partitioned_table t
    JOIN pg_attribute a ON a.attrelid = t.partrelid
         AND (a.attnum = ANY (t.partattrs::int2[]) OR EXISTS (
              SELECT FROM pg_depend d
              WHERE t.partexprs IS NOT NULL AND d.classid = 'pg_class'::regclass
                AND d.objid = t.partrelid AND d.objsubid = 0
                AND d.refclassid = 'pg_class'::regclass AND d.refobjid = t.partrelid
                AND d.refobjsubid = a.attnum))
    WHERE t.partrelid = $1 AND a.attnum > 0
    UNION ALL
    SELECT 'column', a.attname::text, 'parent', n.nspname::text, c.relname::text, NULL,
           true, true, true, false
    FROM pg_attribute a
    JOIN pg_inherits i ON i.inhrelid = a.attrelid
    JOIN pg_class c ON c.oid = i.inhparent
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped AND a.attinhcount > 0
      AND EXISTS (SELECT FROM pg_attribute b
                  WHERE b.attrelid = c.oid AND b.attname = a.attname AND NOT b.attisdropped)
    UNION ALL
    SELECT 'table', NULL, 'trigger', NULL, NULL, t.tgname::text, false, false, false, false
    FROM pg_trigger t
    WHERE t.tgrelid = $1 AND NOT t.tgisinternal
    UNION ALL
    SELECT 'column', a.attname::text, 'identity', NULL, NULL, NULL, false, false, false, false
    FROM pg_attribute a
    WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped AND a.attidentity <> ''
    ORDER BY 1, 2, 3, 4, 5, 6";

/// By what the table `$1` is partitioned; of each partition its schema, name and bound. One row without a partition
/// where it has none.
const PARTITIONED: &str = "
    SELECT pg_get_partkeydef(t.partrelid), n.nspname::text, c.relname::text,
           pg_get_expr(c.relpartbound, c.oid),
           CASE WHEN pg_relation_size(c.oid) = 0 AND c.relkind = 'r' THEN 0
                WHEN c.reltuples >= 0 AND c.relpages > 0
                THEN c.reltuples::float8 / c.relpages
                     * (pg_relation_size(c.oid) / current_setting('block_size')::int8)
           END::float8
    FROM pg_partitioned_table t
    LEFT JOIN (pg_inherits i
               JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition
               JOIN pg_namespace n ON n.oid = c.relnamespace) ON i.inhparent = t.partrelid
    WHERE t.partrelid = $1
    ORDER BY n.nspname, c.relname";

/// What bears the name `$1` among tables, indexes, sequences and types, in the schema `$2` or, where that is NULL, in
/// any of users': schema, kind, and of an index its table.
const RELATION: &str = "
    SELECT n.nspname::text, c.relkind::text, tn.nspname::text, t.relname::text
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_index i ON i.indexrelid = c.oid
    LEFT JOIN pg_class t ON t.oid = i.indrelid
    LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace
    WHERE c.relname = $1::name
      AND CASE WHEN $2::text IS NULL
               THEN n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
               ELSE n.nspname::text = $2::text END
    UNION ALL
    SELECT n.nspname::text, 'type', NULL, NULL
    FROM pg_type y
    JOIN pg_namespace n ON n.oid = y.typnamespace
    WHERE y.typname = $1::name AND y.typrelid = 0 AND y.typelem = 0
      AND CASE WHEN $2::text IS NULL
               THEN n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
               ELSE n.nspname::text = $2::text END
    ORDER BY 1, 2";

impl Look<'_> {
    pub(super) async fn dependents(&self, table: &Located) -> Answer<Vec<Dependent>> {
        let rows = self.catalogue(DEPENDENTS, &[&table.oid]).await?;
        all(&rows, dependent)
    }

    pub(super) async fn partitioned(&self, table: &Located) -> Answer<Option<Partitioned>> {
        let rows = self.catalogue(PARTITIONED, &[&table.oid]).await?;
        let rows = all(&rows, partition)?;
        let mut rows = rows.into_iter().peekable();
        let by = rows.peek().map(|(by, _)| by.clone());
        let partitions = rows.filter_map(|(_, partition)| partition).collect();
        Ok(by.map(|by| Partitioned { by, partitions }))
    }

    /// What bears a name.
    pub(super) async fn relations(&self, name: &TableName) -> Answer<Vec<Relation>> {
        if name.name().len() > NAME_BYTES_MAX {
            return Ok(Vec::new());
        }
        let rows = self
            .catalogue(RELATION, &[&name.name(), &name.schema()])
            .await?;
        all(&rows, |row| relation(row, name))
    }
}

fn dependent(row: &Row) -> Option<Dependent> {
    let text = |at: usize| row.try_get::<_, Option<String>>(at).ok();
    let flag = |at: usize| row.try_get::<_, bool>(at).ok();
    let of = |name: Option<String>| ColumnName::new(&name?).ok();
    let on = match text(0)??.as_str() {
        "table" => PartOf::Table,
        "column" => PartOf::Column(of(text(1)?)?),
        "constraint" => PartOf::Constraint(of(text(1)?)?),
        "index" => PartOf::Index(of(text(1)?)?),
        _ => return None,
    };
    let kind = match text(2)??.as_str() {
        "view" => DependentKind::View,
        "matview" => DependentKind::MaterializedView,
        "rule" => DependentKind::Rule,
        "foreign key" => DependentKind::ForeignKey,
        "check" => DependentKind::Check,
        "trigger" => DependentKind::Trigger,
        "policy" => DependentKind::Policy,
        "function" => DependentKind::Function,
        "publication" => DependentKind::Publication,
        "generated" => DependentKind::GeneratedColumn,
        "row type" => DependentKind::RowType,
        "child" => DependentKind::Child,
        "index" => DependentKind::Index,
        "partition key" => DependentKind::PartitionKey,
        "parent" => DependentKind::Parent,
        "identity" => DependentKind::Identity,
        "other" => DependentKind::Other,
        _ => return None,
    };
    let table = match text(4)? {
        Some(relation) => Some(TableName::new(text(3)?.as_deref(), &relation).ok()?),
        None => None,
    };
    let name = match text(5)? {
        Some(name) => Some(ColumnName::new(&name).ok()?),
        None => None,
    };
    Some(Dependent {
        kind,
        table,
        name,
        on,
        stops: Stops {
            drop: flag(6)?,
            change_type: flag(7)?,
            rename: flag(8)?,
        },
        cascade: flag(9)?,
    })
}

fn partition(row: &Row) -> Option<(String, Option<Partition>)> {
    let by: String = row.try_get(0).ok()?;
    let schema: Option<String> = row.try_get(1).ok()?;
    let name: Option<String> = row.try_get(2).ok()?;
    let bound: Option<String> = row.try_get(3).ok()?;
    let rows: Option<f64> = row.try_get(4).ok()?;
    let partition = match (name, bound) {
        (Some(name), Some(bound)) => Some(Partition {
            table: TableName::new(schema.as_deref(), &name).ok()?,
            bound,
            // `as` cuts what is out of range to the nearest number.
            rows: rows.map(|rows| rows.round() as u64),
        }),
        _ => None,
    };
    Some((by, partition))
}

fn relation(row: &Row, asked: &TableName) -> Option<Relation> {
    let schema: String = row.try_get(0).ok()?;
    let kind: String = row.try_get(1).ok()?;
    let of_schema: Option<String> = row.try_get(2).ok()?;
    let of: Option<String> = row.try_get(3).ok()?;
    Some(Relation {
        name: TableName::new(Some(&schema), asked.name()).ok()?,
        kind: match kind.as_str() {
            "v" => RelationKind::View,
            "m" => RelationKind::MaterializedView,
            "i" | "I" => RelationKind::Index,
            "S" => RelationKind::Sequence,
            "c" | "type" => RelationKind::Type,
            _ => RelationKind::Table,
        },
        of: match of {
            Some(of) => Some(TableName::new(of_schema.as_deref(), &of).ok()?),
            None => None,
        },
    })
}

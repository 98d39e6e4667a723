//! What a database's schema is, as its server tells it: all that two databases must have in common. Owners, grants
//! and rows are none of it.

use std::collections::BTreeMap;

use dbop_tests::{Engine, TestDatabase};

/// Everything in schemas of people, one line for each fact.
const POSTGRES: &[&str] = &[
    "SELECT format('table %s.%s kind %s persistence %s options %s row security %s', n.nspname, c.relname, c.relkind,
            c.relpersistence, c.reloptions, c.relrowsecurity)
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE OURS AND c.relkind IN ('r', 'p', 'f')",
    "SELECT format('column %s.%s.%s at %s: %s null %s default %s identity %s generated %s collation %s', n.nspname,
            c.relname, a.attname, a.attnum, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
            pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated, o.collname)
     FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     LEFT JOIN pg_collation o ON o.oid = a.attcollation
     WHERE OURS AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'f', 'v', 'm')",
    "SELECT format('index of %s: %s valid %s', i.indrelid::regclass, pg_get_indexdef(i.indexrelid), i.indisvalid)
     FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE OURS",
    "SELECT format('constraint %s on %s: %s validated %s', k.conname, k.conrelid::regclass,
            pg_get_constraintdef(k.oid), k.convalidated)
     FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace WHERE OURS",
    "SELECT format('sequence %s.%s: %s', n.nspname, c.relname, to_jsonb(s) - 'seqrelid')
     FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE OURS",
    "SELECT format('view %s.%s: %s', n.nspname, c.relname, pg_get_viewdef(c.oid))
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE OURS AND c.relkind IN ('v', 'm')",
    "SELECT format('trigger: %s', pg_get_triggerdef(t.oid))
     FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE OURS AND NOT t.tgisinternal",
    "SELECT format('function: %s', pg_get_functiondef(p.oid))
     FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE OURS AND p.prokind IN ('f', 'p')",
    "SELECT format('type %s.%s kind %s: %s', n.nspname, t.typname, t.typtype,
            (SELECT array_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid))
     FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE OURS AND t.typtype IN ('e', 'd')",
    "SELECT format('comment on %s: %s', pg_describe_object(d.classoid, d.objoid, d.objsubid), d.description)
     FROM pg_description d JOIN pg_class c ON c.oid = d.objoid AND d.classoid = 'pg_class'::regclass
     JOIN pg_namespace n ON n.oid = c.relnamespace WHERE OURS",
    "SELECT format('extension %s', extname) FROM pg_extension",
];
/// Which schemas are people's, in the statements above.
const OURS: &str = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

/// What is not in `SHOW CREATE TABLE`. `DATABASE()` is the database itself.
const MYSQL: &[&str] = &[
    "SELECT 'view', TABLE_NAME, REPLACE(VIEW_DEFINITION, DATABASE(), '') FROM information_schema.VIEWS
     WHERE TABLE_SCHEMA = DATABASE()",
    "SELECT 'trigger', TRIGGER_NAME, ACTION_TIMING, EVENT_MANIPULATION, EVENT_OBJECT_TABLE, ACTION_STATEMENT
     FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE()",
    "SELECT 'routine', ROUTINE_TYPE, ROUTINE_NAME, ROUTINE_DEFINITION FROM information_schema.ROUTINES
     WHERE ROUTINE_SCHEMA = DATABASE()",
    "SELECT 'defaults', DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA
     WHERE SCHEMA_NAME = DATABASE()",
];

/// A schema, by what its lines are about.
pub(crate) struct Schema {
    tables: usize,
    lines: BTreeMap<String, usize>,
}

impl Schema {
    pub(crate) async fn of(database: &TestDatabase) -> Schema {
        let (tables, lines) = match database.engine() {
            Engine::Postgres => in_postgres(database).await,
            Engine::MariaDb | Engine::MySql => in_mysql(database).await,
        };
        assert!(tables > 1, "only the tool's own table is there: {lines:?}");
        let mut counted = BTreeMap::new();
        for line in lines {
            *counted.entry(line).or_default() += 1;
        }
        Schema {
            tables,
            lines: counted,
        }
    }

    pub(crate) fn tables(&self) -> usize {
        self.tables
    }

    /// Checks that another one is the same.
    ///
    /// # Panics
    /// When it is not: with what is in one of them alone.
    #[track_caller]
    pub(crate) fn is_also(&self, other: &Schema) {
        let without = |one: &Schema, other: &Schema| -> Vec<String> {
            let differs = |line: &&String| one.lines.get(*line) != other.lines.get(*line);
            one.lines.keys().filter(differs).cloned().collect()
        };
        let (gone, new) = (without(self, other), without(other, self));
        assert!(
            gone.is_empty() && new.is_empty(),
            "the schema is not what the tool makes alone\n--- by the tool alone\n{gone:#?}\n--- by the walk\n{new:#?}"
        );
    }

    /// How many lines there are that could differ.
    pub(crate) fn facts(&self) -> usize {
        self.lines.values().sum()
    }
}

async fn in_postgres(database: &TestDatabase) -> (usize, Vec<String>) {
    let mut lines = Vec::new();
    for sql in POSTGRES {
        lines.extend(database.read(&sql.replace("OURS", OURS)).await);
    }
    let is_table = |line: &&String| line.starts_with("table ");
    (lines.iter().filter(is_table).count(), lines)
}

async fn in_mysql(database: &TestDatabase) -> (usize, Vec<String>) {
    let tables = database
        .read(
            "SELECT TABLE_NAME FROM information_schema.TABLES
             WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'BASE TABLE'",
        )
        .await;
    let mut lines = Vec::new();
    for table in &tables {
        let shown = database.read(&format!("SHOW CREATE TABLE `{table}`")).await;
        lines.extend(shown.iter().flat_map(|table| facts(table)));
    }
    for sql in MYSQL {
        lines.extend(database.read(sql).await);
    }
    (tables.len(), lines)
}

/// The lines of a `SHOW CREATE TABLE`, each with its table; columns with their places, which keys have none: tools make
/// them in any order. The number that the next row gets is no part of the schema.
fn facts(table: &str) -> Vec<String> {
    let name = table.split(' ').next().unwrap_or_default();
    table
        .lines()
        .enumerate()
        .map(|(nth, line)| {
            let words = line.trim_end_matches(',').split(' ');
            let words = words.filter(|word| !word.starts_with("AUTO_INCREMENT="));
            let text = words.collect::<Vec<_>>().join(" ");
            match text.trim_start().starts_with('`') {
                true => format!("{name}: column {nth}: {}", text.trim_start()),
                false => format!("{name}: {}", text.trim_start()),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(tables: &[&str]) -> Schema {
        let lines = tables.iter().flat_map(|table| facts(table));
        Schema {
            tables: tables.len(),
            lines: lines.map(|line| (line, 1)).collect(),
        }
    }

    #[test]
    fn the_next_number_is_no_part_of_a_table() {
        let table = |next: &str| {
            format!(
                "t CREATE TABLE `t` (\n  `id` int NOT NULL\n) ENGINE=InnoDB{next} DEFAULT CHARSET=utf8mb4"
            )
        };
        schema(&[&table("")]).is_also(&schema(&[&table(" AUTO_INCREMENT=7")]));
    }

    #[test]
    #[should_panic(expected = "t: column 1: `a` int")]
    fn columns_in_another_order_are_another_table() {
        let table = |one, two| format!("t CREATE TABLE `t` (\n  `{one}` int,\n  `{two}` int\n)");
        schema(&[&table("a", "b")]).is_also(&schema(&[&table("b", "a")]));
    }

    #[test]
    fn keys_have_no_order() {
        let table = |one, two| {
            format!(
                "t CREATE TABLE `t` (\n  `a` int,\n  KEY `{one}` (`a`),\n  KEY `{two}` (`a`)\n)"
            )
        };
        schema(&[&table("x", "y")]).is_also(&schema(&[&table("y", "x")]));
    }
}

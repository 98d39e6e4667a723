//! What a look at tables of the server in memory sees: what the test said of a table, else what every table has that was
//! made here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dbop_model::catalogue::Catalogue;
use dbop_model::dependent::{Relation, RelationKind};
use dbop_model::operation::{ConstraintKind, IndexKind, IndexPart};
use dbop_model::table::{
    ColumnFacts, ColumnName, ConstraintFacts, DuplicateProbe, FactRequest, IndexFacts, RowEstimate,
    RowSource, Settings, Storage, TableFacts, TableFactsSet, TableKind, TableName, TableState,
    UniqueKey, WriteCount,
};
use dbop_model::{Fact, Why, unique};
use jiff::Timestamp;

use super::server::{Qualified, Server, Table, qualified};

/// Looks up what is wanted.
pub(super) fn looked_at(
    server: &Server,
    database: &str,
    wanted: &BTreeSet<FactRequest>,
) -> TableFactsSet {
    let mut set = TableFactsSet::new(server.now);
    if !wanted.is_empty() {
        set.settings = Fact::Known(Settings {
            strict: true,
            utc: true,
            foreign_key_checks: true,
            ..Settings::default()
        });
    }
    let tables = &server.database(database).tables;
    for request in wanted {
        if let FactRequest::IndexNamed(index) = request {
            let (schema, name) = qualified(index);
            let of = |at: &&Qualified| at.0 == schema && format!("{}_pkey", at.1) == name;
            let found = tables.keys().find(of).map(|(schema, name)| {
                TableName::new(Some(schema), name).expect("tables bear names")
            });
            set.indexes.insert(index.clone(), Fact::Known(found));
            continue;
        }
        if let FactRequest::Relation(asked) = request {
            set.relations
                .insert(asked.clone(), Fact::Known(named(tables, asked)));
            continue;
        }
        // Its names are those of tables alone, and it reads no SQL.
        if matches!(
            request,
            FactRequest::Named { .. } | FactRequest::Reading { .. }
        ) {
            continue;
        }
        let name = request.table();
        let state = set.tables.entry(name.clone()).or_insert_with(|| {
            Fact::Known(match tables.get(&qualified(name)) {
                None => TableState::Missing,
                Some(found) => TableState::Present(Box::new(seen(found, name, server.now))),
            })
        });
        if let (Fact::Known(TableState::Present(facts)), FactRequest::Duplicates { key, .. }) =
            (state, request)
            && !facts.duplicates.contains_key(key)
        {
            let probe = duplicates(facts, key);
            facts.duplicates.insert(key.clone(), probe);
        }
    }
    set
}

/// What there is, by name: tables alone.
pub(super) fn listed(server: &Server, database: &str, tables_max: usize) -> Catalogue {
    let tables = &server.database(database).tables;
    let named =
        |(schema, name): &Qualified| TableName::new(Some(schema), name).expect("tables bear names");
    Catalogue {
        tables: tables.keys().take(tables_max).map(named).collect(),
        is_whole: tables.len() <= tables_max,
        default_schema: None,
        ignores_case: false,
        types: Fact::Known(BTreeMap::new()),
        functions: Fact::Known(BTreeMap::new()),
    }
}

fn seen(table: &Table, name: &TableName, now: Timestamp) -> TableFacts {
    let mut facts = table.facts.clone().unwrap_or_else(|| made(name));
    // A test that gives a rate means it.
    if facts.writes.known().is_none() {
        facts.written = Fact::Known(WriteCount {
            rows: table.written,
            at: now,
            counting_for: now.duration_since(Timestamp::UNIX_EPOCH).unsigned_abs(),
            counter: name.to_string(),
            source: "the fake",
        });
        let once = "its writes have been looked at once, which tells no rate";
        facts.writes = Fact::Unknown(Why::passing(once));
    }
    facts
}

/// A table as the conformance suite's clients make it: `id` from a sequence, `note` text, no row yet.
fn made(name: &TableName) -> TableFacts {
    let mut facts = TableFacts::new(TableKind::Ordinary);
    facts.rows = Fact::Known(RowEstimate {
        rows: 0,
        source: RowSource::Statistics,
        age: None,
    });
    facts.bytes = Fact::Known(0);
    facts.any_row = Fact::Known(false);
    let column = |sql_type: &str, is_key: bool| ColumnFacts {
        sql_type: sql_type.to_owned(),
        nullable: !is_key,
        has_default: is_key,
        proven_not_null_by: None,
        charset: None,
        collation: None,
        generated: None,
        computed: None,
    };
    let named = |text: &str| ColumnName::new(text).expect("it is short and plain");
    facts.columns = [
        (named("id"), column("bigint", true)),
        (named("note"), column("text", false)),
    ]
    .into();
    let key_name =
        ColumnName::new(&format!("{}_pkey", name.name())).unwrap_or_else(|_| named("primary_key"));
    facts.indexes = Fact::Known(vec![IndexFacts {
        name: key_name.clone(),
        key: UniqueKey {
            parts: vec![IndexPart::Column(named("id"))],
            predicate: None,
            nulls_equal: false,
        },
        kind: IndexKind::Unique,
        primary: true,
        valid: true,
        immediate: true,
        bytes: None,
    }]);
    facts.constraints = Fact::Known(vec![ConstraintFacts {
        name: key_name,
        kind: ConstraintKind::PrimaryKey,
        columns: vec![named("id")],
        condition: None,
        validated: true,
        other: None,
        incoming: false,
        cascades: false,
        sets_null: false,
    }]);
    facts.storage = Fact::Known(Storage {
        engine: "heap".to_owned(),
        index_bytes: Some(0),
        ..Storage::default()
    });
    facts.blockers = Fact::Known(Vec::new());
    facts.snapshots = Fact::Known(Vec::new());
    facts.dependents = Fact::Known(Vec::new());
    facts.partitioned = Fact::Known(None);
    facts
}

/// The table that bears a name.
fn named(tables: &BTreeMap<Qualified, Table>, asked: &TableName) -> Vec<Relation> {
    let found = tables.contains_key(&qualified(asked));
    let relation = Relation {
        name: asked.clone(),
        kind: RelationKind::Table,
        of: None,
    };
    found.then_some(relation).into_iter().collect()
}

/// A proof, where there is one; a table without rows has none twice. Rows have no contents here.
fn duplicates(facts: &TableFacts, key: &UniqueKey) -> Fact<DuplicateProbe> {
    let indexes = facts.indexes.known().map_or(&[][..], Vec::as_slice);
    let proof = unique::proof(indexes, &facts.columns, key);
    if proof.is_none() && !facts.any_row.is_known_and(|any| !any) {
        return Fact::Unknown(Why::new("the test does not say whether there are any"));
    }
    Fact::Known(DuplicateProbe {
        found: false,
        proven_by: proof.map(|index| index.name.to_string()),
        took: Duration::ZERO,
    })
}

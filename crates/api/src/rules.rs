//! The rules that a schema's shapes cannot say: unions, what must not change, names that must
//! differ.
//!
//! One table feeds both sides, so that they cannot drift: the CEL expression goes into the CRD for
//! the API server, the function beside it judges manifests where there is no API server. A rule
//! about a *change* has no function: without an API server nobody keeps the object as it was. What
//! a single field may hold is not here; that is in the schema itself.

use serde_json::Value;

use crate::duration;

/// One rule.
pub(crate) struct Rule {
    /// Where the value is that the rule is about (`self`): `spec`, `spec.schemaHints[]`; empty: the
    /// object.
    pub(crate) at: &'static str,
    /// The field below it that is to be changed; empty: the value itself.
    pub(crate) field: &'static str,
    /// The rule for the API server.
    pub(crate) cel: &'static str,
    /// What is wrong where it does not hold, as a clause after the field.
    pub(crate) problem: &'static str,
    /// What to do then.
    pub(crate) way_out: &'static str,
    /// The same rule for the value alone; `None` where it is about a change.
    pub(crate) holds: Option<fn(&Value) -> bool>,
}

impl Rule {
    /// What the API server tells people.
    pub(crate) fn message(&self) -> String {
        format!("{}; {}", self.problem, self.way_out)
    }
}

/// The rules of a kind.
pub(crate) fn of(kind: &str) -> &'static [Rule] {
    match kind {
        crate::MANAGED_DATABASE => DATABASE,
        crate::DATABASE_MIGRATION => MIGRATION,
        _ => &[],
    }
}

fn has(value: &Value, field: &str) -> bool {
    value.get(field).is_some()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or("")
}

fn items<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value
        .get(field)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn op_in(value: &Value, ops: &[&str]) -> bool {
    ops.contains(&text(value, "op"))
}

/// Kubernetes' limit for a label, which the name becomes: of Jobs, Secrets and metrics.
const LABEL_BYTES_MAX: usize = 63;
/// Half of the age that facts may have when a Job starts would be too short for some; all of it is
/// the end.
const PROBE_TIMEOUT_SECS_MAX: u64 = 10;

const DATABASE: &[Rule] = &[
    Rule {
        at: "",
        field: "metadata.name",
        cel: "self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')",
        problem: "is no DNS label",
        way_out: "use at most 63 lower-case letters, digits and '-': it becomes part of the names \
                  of logins and Jobs",
        holds: Some(|object| {
            let name = object
                .get("metadata")
                .map_or("", |metadata| text(metadata, "name"));
            name.len() <= LABEL_BYTES_MAX && !name.contains('.')
        }),
    },
    Rule {
        at: "spec.connection.tls",
        field: "caSecret",
        cel: "has(self.caSecret) == (self.mode in ['VerifyCa', 'VerifyFull'])",
        problem: "belongs to the modes VerifyCa and VerifyFull, and to no other",
        way_out: "name the Secret with the CA's ca.crt exactly where the certificate is verified",
        holds: Some(|tls| {
            has(tls, "caSecret") == ["VerifyCa", "VerifyFull"].contains(&text(tls, "mode"))
        }),
    },
    Rule {
        at: "spec.schemaVersion",
        field: "query",
        cel: "has(self.query) == (self.engine == 'Query')",
        problem: "belongs to engine Query, and to no other",
        way_out: "give a query exactly where engine is Query",
        holds: Some(|source| has(source, "query") == (text(source, "engine") == "Query")),
    },
    Rule {
        at: "spec.schemaVersion",
        field: "schema",
        cel: "!has(self.schema) || has(self.table) || self.engine != 'Query'",
        problem: "is given without the table that is in it",
        way_out: "name the table that the query reads, or drop schema",
        holds: Some(|source| {
            !has(source, "schema") || has(source, "table") || text(source, "engine") != "Query"
        }),
    },
    Rule {
        at: "spec.hints",
        field: "probeTimeout",
        cel: "!has(self.probeTimeout) || duration(self.probeTimeout) <= duration('10s')",
        problem: "is longer than 10s, and facts so old start no migration",
        way_out: "write 10s or less",
        holds: Some(|hints| {
            !has(hints, "probeTimeout")
                || duration::parse(text(hints, "probeTimeout"))
                    .is_some_and(|timeout| timeout.as_secs_f64() <= PROBE_TIMEOUT_SECS_MAX as f64)
        }),
    },
];

const MIGRATION: &[Rule] = &[
    Rule {
        at: "",
        field: "spec.previous",
        cel: "!has(self.spec.previous) || self.spec.previous != self.metadata.name",
        problem: "names the migration itself",
        way_out: "name the migration that this one follows, or drop previous on the first one",
        holds: Some(|object| differs_from_name(object, "previous")),
    },
    Rule {
        at: "",
        field: "spec.compatibleFrom",
        cel: "!has(self.spec.compatibleFrom) || self.spec.compatibleFrom != self.metadata.name",
        problem: "names the migration itself",
        way_out: "name an ancestor, or drop compatibleFrom: code of the migration itself always works \
                  with it",
        holds: Some(|object| differs_from_name(object, "compatibleFrom")),
    },
    Rule {
        at: "spec",
        field: "compatibleFrom",
        cel: "!has(self.compatibleFrom) || has(self.previous)",
        problem: "is given on a migration without previous, which has no ancestors",
        way_out: "drop compatibleFrom",
        holds: Some(|spec| !has(spec, "compatibleFrom") || has(spec, "previous")),
    },
    Rule {
        at: "spec",
        field: "version",
        cel: "has(self.version) == has(oldSelf.version) \
              && (!has(self.version) || self.version == oldSelf.version)",
        problem: "is immutable",
        way_out: "delete the migration and create it again with the other version",
        holds: None,
    },
    Rule {
        at: "spec",
        field: "previous",
        cel: "has(self.previous) == has(oldSelf.previous) \
              && (!has(self.previous) || self.previous == oldSelf.previous)",
        problem: "is immutable",
        way_out: "delete the migration and create it again with the other previous",
        holds: None,
    },
    Rule {
        at: "spec.schemaHints[]",
        field: "columns",
        cel: "!(self.op in ['addColumn', 'alterColumn', 'dropColumn']) \
              || (has(self.columns) && size(self.columns) > 0)",
        problem: "names no column",
        way_out: "name at least one",
        holds: Some(|hint| {
            !op_in(hint, &["addColumn", "alterColumn", "dropColumn"])
                || !items(hint, "columns").is_empty()
        }),
    },
    Rule {
        at: "spec.schemaHints[]",
        field: "columns",
        cel: "self.op != 'renameColumn' || (has(self.columns) && size(self.columns) == 1)",
        problem: "names not exactly one column",
        way_out: "name the column by its old name, and give the new one as to",
        holds: Some(|hint| !op_in(hint, &["renameColumn"]) || items(hint, "columns").len() == 1),
    },
    Rule {
        at: "spec.schemaHints[]",
        field: "columns",
        cel: "!(self.op in ['createTable', 'dropTable', 'renameTable']) \
              || !has(self.columns) || size(self.columns) == 0",
        problem: "is given for an operation on a whole table",
        way_out: "drop columns",
        holds: Some(|hint| {
            !op_in(hint, &["createTable", "dropTable", "renameTable"])
                || items(hint, "columns").is_empty()
        }),
    },
    Rule {
        at: "spec.schemaHints[]",
        field: "columns",
        cel: "self.op in ['addColumn', 'alterColumn'] || !has(self.columns) \
              || self.columns.all(c, !has(c.type) && !has(c.nullable) \
              && !has(c.hasServerDefault) && !has(c.default))",
        problem: "says more of a column than its name",
        way_out: "give type, nullable, hasServerDefault and default in addColumn and alterColumn \
                  alone",
        holds: Some(|hint| {
            op_in(hint, &["addColumn", "alterColumn"])
                || !items(hint, "columns").iter().any(says_something)
        }),
    },
    Rule {
        at: "spec.schemaHints[]",
        field: "columns",
        cel: "self.op != 'alterColumn' || !has(self.columns) \
              || self.columns.all(c, has(c.type) || has(c.nullable) \
              || has(c.hasServerDefault) || has(c.default))",
        problem: "names a column of which nothing is changed",
        way_out: "give its new type, nullable, hasServerDefault or default",
        holds: Some(|hint| {
            !op_in(hint, &["alterColumn"]) || items(hint, "columns").iter().all(says_something)
        }),
    },
    Rule {
        at: "spec.schemaHints[]",
        field: "to",
        cel: "has(self.to) == (self.op in ['renameColumn', 'renameTable'])",
        problem: "belongs to renameColumn and renameTable, and to no other operation",
        way_out: "give the new name there, and nowhere else",
        holds: Some(|hint| has(hint, "to") == op_in(hint, &["renameColumn", "renameTable"])),
    },
    Rule {
        at: "spec.schemaHints[]",
        field: "index",
        cel: "!has(self.index) || self.op in ['createIndex', 'dropIndex']",
        problem: "belongs to createIndex and dropIndex, and to no other operation",
        way_out: "drop index, or write the index as an operation of its own",
        holds: Some(|hint| !has(hint, "index") || op_in(hint, &["createIndex", "dropIndex"])),
    },
    Rule {
        at: "spec.schemaHints[]",
        field: "index",
        cel: "self.op != 'dropIndex' || !has(self.index) || !has(self.index.kind)",
        problem: "has a kind, which makes no difference to dropIndex",
        way_out: "drop kind",
        holds: Some(|hint| {
            !op_in(hint, &["dropIndex"])
                || !hint.get("index").is_some_and(|index| has(index, "kind"))
        }),
    },
    Rule {
        at: "spec.schemaHints[]",
        field: "constraint",
        cel: "has(self.constraint) == (self.op in ['addConstraint', 'dropConstraint'])",
        problem: "belongs to addConstraint and dropConstraint, and to no other operation",
        way_out: "give the kind there (unique, primaryKey, notNull, check or foreignKey), and nowhere \
                  else",
        holds: Some(|hint| {
            has(hint, "constraint") == op_in(hint, &["addConstraint", "dropConstraint"])
        }),
    },
    Rule {
        at: "spec.schemaHints[]",
        field: "columns",
        cel: "!has(self.constraint) || self.constraint == 'check' \
              || (has(self.columns) && size(self.columns) > 0)",
        problem: "names no column that the constraint binds",
        way_out: "name at least one; only a check may name none",
        holds: Some(|hint| {
            !has(hint, "constraint")
                || text(hint, "constraint") == "check"
                || !items(hint, "columns").is_empty()
        }),
    },
    Rule {
        at: "spec.schemaHints[].columns[]",
        field: "hasServerDefault",
        cel: "!has(self.default) || !has(self.hasServerDefault) || self.hasServerDefault",
        problem: "is false beside a default",
        way_out: "drop one of the two",
        holds: Some(|column| {
            !has(column, "default")
                || column.get("hasServerDefault").and_then(Value::as_bool) != Some(false)
        }),
    },
];

fn differs_from_name(object: &Value, field: &str) -> bool {
    let name = object
        .get("metadata")
        .map_or("", |metadata| text(metadata, "name"));
    object
        .get("spec")
        .is_none_or(|spec| !has(spec, field) || text(spec, field) != name)
}

fn says_something(column: &Value) -> bool {
    ["type", "nullable", "hasServerDefault", "default"]
        .iter()
        .any(|field| has(column, field))
}

//! The rules that a schema's shapes cannot say: unions, what must not change, names that must
//! differ.
//!
//! One table feeds both sides, so that they cannot drift: the CEL expression goes into the CRD for
//! the API server, the function beside it judges manifests where there is no API server. Two sorts of
//! rules have no function: those about a *change* (without an API server nobody keeps the object as it
//! was) and those about what a migration needs to run as a Pod. What a single field may hold is not
//! here; that is in the schema itself.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use dbop_model::{Preset, STANDARD_KEYS};
use regex_lite::Regex;
use serde_json::Value;

use crate::marks::{MANAGED_BY_LABEL, PREFIX, VOLUME_PREFIX};
use crate::{duration, pattern};

/// Logins that are replaced more often than applications can start anew would never go.
const ROTATE_EVERY_SECS_MIN: u64 = 600;

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
    /// The same rule where there is no API server.
    pub(crate) holds: Holds,
}

/// Who judges a rule, besides the API server.
pub(crate) enum Holds {
    /// This function, by the value alone.
    Value(fn(&Value) -> bool),
    /// Nobody: it is about a change.
    Change,
    /// Nobody: in a directory the field is not needed.
    Cluster,
    /// The way into the model, which says where in a text something is wrong.
    Model,
}

impl Rule {
    /// What the API server tells people. It puts the field before it, where that stands in the schema.
    pub(crate) fn message(&self) -> String {
        let Rule {
            problem, way_out, ..
        } = self;
        if self.is_of_metadata() {
            format!("{} {problem}; {way_out}", self.field)
        } else {
            format!("{problem}; {way_out}")
        }
    }

    /// Is it about a field of `metadata`, which is not in a CRD's schema?
    pub(crate) fn is_of_metadata(&self) -> bool {
        self.field.starts_with("metadata")
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

fn entries<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let map = value.get(field).and_then(Value::as_object);
    map.into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value))
}

/// What names of metrics begin with that are the operator's own, or that Prometheus makes itself.
const METRICS_OF_OTHERS: [&str; 4] = ["dba_operator_", "database_", "migration_", "scrape_"];
/// Labels that every series of ours has, that Prometheus sets, or that mean something in histograms.
const LABELS_OF_OTHERS: [&str; 6] = ["namespace", "name", "job", "instance", "le", "quantile"];

/// The parts of a connection string, each the key that holds it where none is named.
const PARTS: [&str; 5] = ["host", "port", "database", "username", "password"];

fn part_key<'a>(keys: &'a Value, part: &'a str) -> &'a str {
    keys.get(part).and_then(Value::as_str).unwrap_or(part)
}

fn op_in(value: &Value, ops: &[&str]) -> bool {
    ops.contains(&text(value, "op"))
}

/// Kubernetes' limit for a label, which the name becomes: of Jobs, Secrets and metrics.
const LABEL_BYTES_MAX: usize = 63;
/// Kubernetes' limit for a key of a Secret.
const SECRET_KEY_BYTES_MAX: usize = 253;
/// A sample is a connection and some statements: not all the time, and not so rarely that nobody sees a change.
const INTERVAL_SECS: std::ops::RangeInclusive<f64> = 10.0..=3600.0;
/// Half of the age that facts may have when a Job starts would be too short for some; all of it is
/// the end.
const PROBE_TIMEOUT_SECS_MAX: u64 = 10;

/// Checks of health that are about tables.
const CHECKS_OF_TABLES: [&str; 4] = ["IdExhaustion", "InvalidIndexes", "Bloat", "PrimaryKeys"];

/// The rule that a span of `spec.health` is one in which something can have happened.
macro_rules! a_second_or_more {
    ($field:literal, $cel:literal) => {
        Rule {
            at: "spec.health",
            field: $field,
            cel: $cel,
            problem: "is shorter than 1s",
            way_out: "write 1s or more",
            holds: Holds::Value(|health| {
                !has(health, $field)
                    || duration::parse(text(health, $field)).is_some_and(|span| span.as_secs() >= 1)
            }),
        }
    };
}

/// The rule that a map's keys are those of labels: `pattern::LABEL_KEY`, which a test compares.
macro_rules! label_keys {
    ($field:literal) => {
        concat!(
            "!has(self.",
            $field,
            ") || self.",
            $field,
            ".all(k, k.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?\
             [A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?$'))"
        )
    };
}

const DATABASE: &[Rule] = &[
    Rule {
        at: "",
        field: "metadata.name",
        cel: "self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')",
        problem: "is no DNS label",
        way_out: "use at most 63 lower-case letters, digits and '-': it becomes part of the names \
                  of logins and Jobs",
        holds: Holds::Value(|object| {
            let name = object
                .get("metadata")
                .map_or("", |metadata| text(metadata, "name"));
            name.len() <= LABEL_BYTES_MAX && !name.contains('.')
        }),
    },
    Rule {
        at: "spec.connection",
        field: "secretKeys",
        cel: "!has(self.secretKeys) || self.dsnSecret.key == 'dsn'",
        problem: "stands beside dsnSecret.key, which says that one key holds the whole",
        way_out: "drop one of the two",
        holds: Holds::Value(|connection| {
            let key = connection
                .get("dsnSecret")
                .map_or("", |secret| text(secret, "key"));
            !has(connection, "secretKeys") || ["", "dsn"].contains(&key)
        }),
    },
    Rule {
        at: "spec.connection",
        field: "secretKeys",
        cel: "!has(self.secretKeys) || !has(self.dsnSecret.namespace) \
              || (self.secretKeys.host == 'host' && self.secretKeys.port == 'port' \
              && self.secretKeys.database == 'database' && self.secretKeys.username == 'username' \
              && self.secretKeys.password == 'password')",
        // Hosts and logins are shown. Whoever could say which key is the host would be shown that Secret's password.
        problem: "chooses keys of a Secret that another namespace lends",
        way_out: "keep it under host, port, database, username and password there",
        holds: Holds::Value(|connection| {
            let is_lent = connection
                .get("dsnSecret")
                .is_some_and(|secret| has(secret, "namespace"));
            let keys = connection.get("secretKeys");
            !is_lent
                || keys.is_none_or(|keys| PARTS.iter().all(|part| part_key(keys, part) == *part))
        }),
    },
    Rule {
        at: "spec.connection.secretKeys",
        field: "",
        cel: "[self.host, self.port, self.database, self.username, self.password].all(key, \
              [self.host, self.port, self.database, self.username, self.password].exists_one(one, one == key))",
        problem: "names one key for two parts",
        way_out: "name a key for each",
        holds: Holds::Value(|keys| {
            let named: BTreeSet<&str> = PARTS.iter().map(|part| part_key(keys, part)).collect();
            named.len() == PARTS.len()
        }),
    },
    Rule {
        at: "spec.connection.tls",
        field: "caSecret",
        cel: "has(self.caSecret) == (self.mode in ['VerifyCa', 'VerifyFull'])",
        problem: "belongs to the modes VerifyCa and VerifyFull, and to no other",
        way_out: "name the Secret with the CA's ca.crt exactly where the certificate is verified",
        holds: Holds::Value(|tls| {
            has(tls, "caSecret") == ["VerifyCa", "VerifyFull"].contains(&text(tls, "mode"))
        }),
    },
    Rule {
        at: "spec.schemaVersion",
        field: "query",
        cel: "has(self.query) == (self.engine == 'Query')",
        problem: "belongs to engine Query, and to no other",
        way_out: "give a query exactly where engine is Query",
        holds: Holds::Value(|source| has(source, "query") == (text(source, "engine") == "Query")),
    },
    Rule {
        at: "spec.schemaVersion",
        field: "schema",
        cel: "!has(self.schema) || has(self.table) || self.engine != 'Query'",
        problem: "is given without the table that is in it",
        way_out: "name the table that the query reads, or drop schema",
        holds: Holds::Value(|source| {
            !has(source, "schema") || has(source, "table") || text(source, "engine") != "Query"
        }),
    },
    Rule {
        at: "spec.schemaVersion",
        field: "app",
        cel: "has(self.app) == (self.engine == 'Django')",
        problem: "belongs to engine Django, and to no other",
        way_out: "name the app exactly where engine is Django",
        holds: Holds::Value(|source| has(source, "app") == (text(source, "engine") == "Django")),
    },
    Rule {
        at: "spec.schemaVersion",
        field: "versionIs",
        cel: "!has(self.versionIs) || self.engine == 'Liquibase'",
        problem: "belongs to engine Liquibase, and to no other",
        way_out: "drop versionIs",
        holds: Holds::Value(|source| {
            !has(source, "versionIs") || text(source, "engine") == "Liquibase"
        }),
    },
    Rule {
        at: "spec.hints",
        field: "probeTimeout",
        cel: "!has(self.probeTimeout) || duration(self.probeTimeout) <= duration('10s')",
        problem: "is longer than 10s, and facts so old start no migration",
        way_out: "write 10s or less",
        holds: Holds::Value(|hints| {
            !has(hints, "probeTimeout")
                || duration::parse(text(hints, "probeTimeout"))
                    .is_some_and(|timeout| timeout.as_secs_f64() <= PROBE_TIMEOUT_SECS_MAX as f64)
        }),
    },
    Rule {
        at: "spec.metrics",
        field: "interval",
        cel: "!has(self.interval) || (duration(self.interval) >= duration('10s') \
              && duration(self.interval) <= duration('1h'))",
        problem: "is shorter than 10s or longer than 1h",
        way_out: "write 10s to 1h",
        holds: Holds::Value(|metrics| {
            !has(metrics, "interval")
                || duration::parse(text(metrics, "interval"))
                    .is_some_and(|interval| INTERVAL_SECS.contains(&interval.as_secs_f64()))
        }),
    },
    Rule {
        at: "spec.metrics.sqlQuery[]",
        field: "name",
        cel: "!self.name.startsWith('dba_operator_') && !self.name.startsWith('database_') \
              && !self.name.startsWith('migration_') && !self.name.startsWith('scrape_') && self.name != 'up'",
        problem: "is one that the operator or Prometheus gives",
        way_out: "begin it with the application's name, not with dba_operator_, database_, migration_ or scrape_",
        holds: Holds::Value(|query| {
            let name = text(query, "name");
            name != "up"
                && !METRICS_OF_OTHERS
                    .iter()
                    .any(|begin| name.starts_with(begin))
        }),
    },
    Rule {
        at: "spec.metrics.sqlQuery[]",
        field: "name",
        cel: "(has(self.type) && self.type == 'Counter') == self.name.endsWith('_total')",
        problem: "ends in _total exactly where type is Counter",
        way_out: "end the name of a Counter in _total, and no other",
        holds: Holds::Value(|query| {
            (text(query, "type") == "Counter") == text(query, "name").ends_with("_total")
        }),
    },
    Rule {
        at: "spec.metrics.sqlQuery[]",
        field: "labels",
        cel: "!has(self.labels) || self.labels.all(k, k.matches('^[a-z][a-z0-9_]{0,62}$'))",
        problem: "has a name that is no name of a metric's label",
        way_out: "use lower-case letters, digits and '_', with a letter first",
        holds: Holds::Value(|query| entries(query, "labels").all(|(key, _)| is_metric_label(key))),
    },
    Rule {
        at: "spec.metrics.sqlQuery[]",
        field: "labels",
        cel: "!has(self.labels) || self.labels.all(k, !(k in ['namespace', 'name', 'job', 'instance', \
              'le', 'quantile']))",
        problem: "has a name that the operator or Prometheus sets",
        way_out: "call it other than namespace, name, job, instance, le and quantile",
        holds: Holds::Value(|query| {
            entries(query, "labels").all(|(key, _)| !LABELS_OF_OTHERS.contains(&key))
        }),
    },
    Rule {
        at: "spec.health",
        field: "interval",
        cel: "!has(self.interval) || (duration(self.interval) >= duration('10s') \
              && duration(self.interval) <= duration('1h'))",
        problem: "is shorter than 10s or longer than 1h",
        way_out: "write 10s to 1h",
        holds: Holds::Value(|health| {
            !has(health, "interval")
                || duration::parse(text(health, "interval"))
                    .is_some_and(|interval| INTERVAL_SECS.contains(&interval.as_secs_f64()))
        }),
    },
    a_second_or_more!(
        "replicationLag",
        "!has(self.replicationLag) || duration(self.replicationLag) >= duration('1s')"
    ),
    a_second_or_more!(
        "longTransaction",
        "!has(self.longTransaction) || duration(self.longTransaction) >= duration('1s')"
    ),
    a_second_or_more!(
        "longMigration",
        "!has(self.longMigration) || duration(self.longMigration) >= duration('1s')"
    ),
    Rule {
        at: "spec.health.ignore[]",
        field: "table",
        cel: "!has(self.table) || self.check in ['IdExhaustion', 'InvalidIndexes', 'Bloat', 'PrimaryKeys']",
        problem: "is given with a check that is about no table",
        way_out: "drop it",
        holds: Holds::Value(|entry| {
            !has(entry, "table") || CHECKS_OF_TABLES.contains(&text(entry, "check"))
        }),
    },
    Rule {
        at: "spec.credentials",
        field: "rotateEvery",
        cel: "!has(self.rotateEvery) || duration(self.rotateEvery) >= duration('10m')",
        problem: "is shorter than 10m, and applications could not follow",
        way_out: "write 10m or more",
        holds: Holds::Value(|credentials| {
            !has(credentials, "rotateEvery")
                || duration::parse(text(credentials, "rotateEvery"))
                    .is_some_and(|every| every.as_secs() >= ROTATE_EVERY_SECS_MIN)
        }),
    },
    Rule {
        at: "spec.migrations",
        field: "config.mountPath",
        cel: "!has(self.config) || !has(self.podTemplate) || !has(self.podTemplate.container) \
              || !has(self.podTemplate.container.volumeMounts) \
              || self.podTemplate.container.volumeMounts.all(m, m.mountPath != self.config.mountPath)",
        problem: "is where podTemplate.container.volumeMounts mounts something, too",
        way_out: "mount one of the two elsewhere",
        holds: Holds::Value(|migrations| {
            let at = migrations
                .get("config")
                .map(|config| text(config, "mountPath"));
            let container = migrations.pointer("/podTemplate/container");
            let mut mounts = container
                .into_iter()
                .flat_map(|container| items(container, "volumeMounts"));
            at.is_none_or(|at| mounts.all(|mount| text(mount, "mountPath") != at))
        }),
    },
    Rule {
        at: "spec.migrations.podTemplate",
        field: "container.volumeMounts",
        cel: "!has(self.container) || !has(self.container.volumeMounts) \
              || self.container.volumeMounts.all(m, has(self.spec) && has(self.spec.volumes) \
              && self.spec.volumes.exists(v, v.name == m.name))",
        problem: "mounts a volume that does not stand in podTemplate.spec.volumes",
        way_out: "add the volume there, or drop the mount",
        holds: Holds::Value(|template| {
            let of = |part: &str, field: &'static str| {
                let part = template.get(part);
                part.map_or(&[][..], |part| items(part, field))
            };
            let volumes = of("spec", "volumes");
            of("container", "volumeMounts").iter().all(|mount| {
                let volume = text(mount, "name");
                volumes.iter().any(|one| text(one, "name") == volume)
            })
        }),
    },
    Rule {
        at: "spec.migrations.podTemplate.spec.volumes[]",
        field: "name",
        cel: "!self.name.startsWith('dbop-')",
        problem: "begins with dbop-, which is the operator's",
        way_out: "call the volume something else",
        holds: Holds::Value(|volume| !text(volume, "name").starts_with(VOLUME_PREFIX)),
    },
    Rule {
        at: "spec.migrations.podTemplate.spec",
        field: "dnsConfig",
        cel: "!has(self.dnsPolicy) || self.dnsPolicy != 'None' || (has(self.dnsConfig) \
              && has(self.dnsConfig.nameservers) && size(self.dnsConfig.nameservers) > 0)",
        problem: "names no nameservers, and with dnsPolicy None there are no others",
        way_out: "name at least one in dnsConfig.nameservers",
        holds: Holds::Value(|spec| {
            let config = spec.get("dnsConfig");
            text(spec, "dnsPolicy") != "None"
                || config.is_some_and(|config| !items(config, "nameservers").is_empty())
        }),
    },
    Rule {
        at: "spec.migrations.podTemplate.spec",
        field: "nodeSelector",
        cel: label_keys!("nodeSelector"),
        problem: "has a key that is no key of a label",
        way_out: "write name or prefix/name, the name of at most 63 letters, digits, '-', '_' and '.'",
        holds: Holds::Value(|spec| entries(spec, "nodeSelector").all(|(key, _)| is_label_key(key))),
    },
    Rule {
        at: "spec.migrations.podTemplate.metadata",
        field: "labels",
        cel: label_keys!("labels"),
        problem: "has a key that is no key of a label",
        way_out: "write name or prefix/name, the name of at most 63 letters, digits, '-', '_' and '.'",
        holds: Holds::Value(|metadata| {
            entries(metadata, "labels").all(|(key, _)| is_label_key(key))
        }),
    },
    Rule {
        at: "spec.migrations.podTemplate.metadata",
        field: "annotations",
        cel: label_keys!("annotations"),
        problem: "has a key that is no key of an annotation",
        way_out: "write name or prefix/name, the name of at most 63 letters, digits, '-', '_' and '.'",
        holds: Holds::Value(|metadata| {
            entries(metadata, "annotations").all(|(key, _)| is_label_key(key))
        }),
    },
    Rule {
        at: "spec.migrations.podTemplate.metadata",
        field: "labels",
        cel: "!has(self.labels) || self.labels.all(k, !k.startsWith('database-operator.dev/') \
              && !k.startsWith('batch.kubernetes.io/') \
              && !(k in ['app.kubernetes.io/managed-by', 'job-name', 'controller-uid']))",
        problem: "has a key that the operator or Kubernetes sets",
        way_out: "drop app.kubernetes.io/managed-by, job-name, controller-uid and what begins with \
                  database-operator.dev/ or batch.kubernetes.io/",
        holds: Holds::Value(|metadata| {
            entries(metadata, "labels").all(|(key, _)| !is_reserved(key))
        }),
    },
    Rule {
        at: "spec.migrations.podTemplate.metadata",
        field: "annotations",
        cel: "!has(self.annotations) || self.annotations.all(k, \
              !k.startsWith('database-operator.dev/') && !k.startsWith('batch.kubernetes.io/'))",
        problem: "has a key that the operator or Kubernetes sets",
        way_out: "drop what begins with database-operator.dev/ or batch.kubernetes.io/",
        holds: Holds::Value(|metadata| {
            entries(metadata, "annotations").all(|(key, _)| !has_reserved_prefix(key))
        }),
    },
    Rule {
        at: "spec.credentials.secretTemplate",
        field: "labels",
        cel: label_keys!("labels"),
        problem: "has a key that is no key of a label",
        way_out: "write name or prefix/name, the name of at most 63 letters, digits, '-', '_' and '.'",
        holds: Holds::Value(|template| {
            entries(template, "labels").all(|(key, _)| is_label_key(key))
        }),
    },
    Rule {
        at: "spec.credentials.secretTemplate",
        field: "annotations",
        cel: label_keys!("annotations"),
        problem: "has a key that is no key of an annotation",
        way_out: "write name or prefix/name, the name of at most 63 letters, digits, '-', '_' and '.'",
        holds: Holds::Value(|template| {
            entries(template, "annotations").all(|(key, _)| is_label_key(key))
        }),
    },
    Rule {
        at: "spec.credentials.secretTemplate",
        field: "labels",
        cel: "!has(self.labels) || self.labels.all(k, !k.startsWith('database-operator.dev/') \
              && k != 'app.kubernetes.io/managed-by')",
        problem: "has a key that the operator sets",
        way_out: "drop app.kubernetes.io/managed-by and what begins with database-operator.dev/",
        holds: Holds::Value(|template| {
            entries(template, "labels")
                .all(|(key, _)| !key.starts_with(PREFIX) && key != MANAGED_BY_LABEL)
        }),
    },
    Rule {
        at: "spec.credentials.secretTemplate",
        field: "annotations",
        cel: "!has(self.annotations) || self.annotations.all(k, !k.startsWith('database-operator.dev/'))",
        problem: "has a key that the operator sets",
        way_out: "drop what begins with database-operator.dev/",
        holds: Holds::Value(|template| {
            entries(template, "annotations").all(|(key, _)| !key.starts_with(PREFIX))
        }),
    },
    Rule {
        at: "spec.credentials.secretTemplate",
        field: "type",
        cel: "!has(self.type) || !self.type.matches('^([^/]*[.])?kubernetes[.]io/')",
        problem: "is one that Kubernetes gives a meaning to",
        way_out: "drop type, or write Opaque or a type with a prefix of yours",
        holds: Holds::Value(|template| !is_kubernetes_type(text(template, "type"))),
    },
    Rule {
        at: "spec.credentials.secretTemplate",
        field: "keys",
        cel: "!has(self.keys) || self.keys.all(k, k.matches('^[-_a-zA-Z0-9][-._a-zA-Z0-9]{0,252}$'))",
        problem: "has a name that is no key of a credential's Secret",
        way_out: "use letters, digits, '-', '_' and '.', and no '.' at the beginning",
        holds: Holds::Value(|template| {
            entries(template, "keys").all(|(key, _)| is_secret_key(key))
        }),
    },
    Rule {
        at: "spec.credentials.secretTemplate",
        field: "keys",
        cel: "!has(self.keys) || self.keys.all(k, !(k in ['type', 'provider', 'host', 'port', \
              'database', 'username', 'password', 'uri', 'ca.crt']))",
        problem: "has the name of a key that every credential's Secret has",
        way_out: "call it other than type, provider, host, port, database, username, password, uri and ca.crt",
        holds: Holds::Value(|template| {
            entries(template, "keys").all(|(key, _)| !STANDARD_KEYS.contains(&key))
        }),
    },
    Rule {
        at: "spec.credentials.secretTemplate",
        field: "keys",
        cel: "!has(self.keys) || self.keys.all(k, !(k in ['jdbc-url', 'sqlalchemy-url', 'ado-net', \
              'pgpass', 'pg_service.conf']))",
        problem: "has the name of a preset's key",
        way_out: "name the preset in presets, or call the key something else",
        holds: Holds::Value(|template| {
            let presets = Preset::ALL.map(Preset::key);
            entries(template, "keys").all(|(key, _)| !presets.contains(&key))
        }),
    },
    Rule {
        at: "spec.credentials.secretTemplate",
        field: "keys",
        cel: "!has(self.keys) || self.keys.all(k, self.keys[k].matches('^([^{}]|[{][{]|[}][}]|\
              [{](host|port|database|username|password|uri|jdbcUrl|ca)\
              ([|](url|pgpass|pgservice|dotnet|conninfo|json)){0,3}[}])*$'))",
        problem: "has a text with a brace without its other, or with a name between braces that there is not",
        way_out: "write {{ and }} for braces; the values are host, port, database, username, password, uri, \
                  jdbcUrl and ca, and an encoder behind '|' is url, pgpass, pgservice, dotnet, conninfo or json",
        holds: Holds::Model,
    },
];

const MIGRATION: &[Rule] = &[
    Rule {
        at: "spec.container",
        field: "image",
        cel: "has(self.image) && self.image != ''",
        problem: "is missing, and in a cluster a migration is an image",
        way_out: "name the image; only a directory's migrations run without one",
        holds: Holds::Cluster,
    },
    Rule {
        at: "spec.container",
        field: "restartPolicy",
        cel: "!has(self.restartPolicy)",
        problem: "would let the container run again by itself, and a run is one run",
        way_out: "drop restartPolicy",
        holds: Holds::Value(|container| !has(container, "restartPolicy")),
    },
    Rule {
        at: "spec.container.env[]",
        field: "name",
        cel: "!self.name.startsWith('DBA_OP_') || (self.name.startsWith('DBA_OP_LABEL_') \
              && !(self.name in ['DBA_OP_LABEL_DATABASE', 'DBA_OP_LABEL_NAMESPACE', \
              'DBA_OP_LABEL_MIGRATION']))",
        problem: "begins with DBA_OP_, which the operator sets",
        way_out: "call it something else; DBA_OP_LABEL_ and a name of yours is a label of its metrics",
        holds: Holds::Value(|variable| !is_contract(text(variable, "name"))),
    },
    Rule {
        at: "spec.parallelism",
        field: "pods",
        cel: "self.pods <= self.completions",
        problem: "is more than there are completions",
        way_out: "write at most as many as completions: each Pod does at least one part",
        holds: Holds::Value(|parallelism| {
            let number = |field: &str| parallelism.get(field).and_then(Value::as_i64);
            number("pods") <= number("completions")
        }),
    },
    Rule {
        at: "",
        field: "spec.previous",
        cel: "!has(self.spec.previous) || self.spec.previous != self.metadata.name",
        problem: "names the migration itself",
        way_out: "name the migration that this one follows, or drop previous on the first one",
        holds: Holds::Value(|object| differs_from_name(object, "previous")),
    },
    Rule {
        at: "",
        field: "spec.compatibleFrom",
        cel: "!has(self.spec.compatibleFrom) || self.spec.compatibleFrom != self.metadata.name",
        problem: "names the migration itself",
        way_out: "name an ancestor, or drop compatibleFrom: code of the migration itself always works \
                  with it",
        holds: Holds::Value(|object| differs_from_name(object, "compatibleFrom")),
    },
    Rule {
        at: "spec",
        field: "compatibleFrom",
        cel: "!has(self.compatibleFrom) || has(self.previous)",
        problem: "is given on a migration without previous, which has no ancestors",
        way_out: "drop compatibleFrom",
        holds: Holds::Value(|spec| !has(spec, "compatibleFrom") || has(spec, "previous")),
    },
    Rule {
        at: "spec.sql",
        field: "",
        cel: "has(self.inline) != has(self.configMap)",
        problem: "gives not exactly one of inline and configMap",
        way_out: "write the statements as inline, or name the ConfigMap and the key that hold them",
        holds: Holds::Value(|sql| has(sql, "inline") != has(sql, "configMap")),
    },
    Rule {
        at: "spec",
        field: "version",
        cel: "has(self.version) == has(oldSelf.version) \
              && (!has(self.version) || self.version == oldSelf.version)",
        problem: "is immutable",
        way_out: "delete the migration and create it again with the other version",
        holds: Holds::Change,
    },
    Rule {
        at: "spec",
        field: "previous",
        cel: "has(self.previous) == has(oldSelf.previous) \
              && (!has(self.previous) || self.previous == oldSelf.previous)",
        problem: "is immutable",
        way_out: "delete the migration and create it again with the other previous",
        holds: Holds::Change,
    },
    Rule {
        at: "spec.schemaHints[]",
        field: "columns",
        cel: "!(self.op in ['addColumn', 'alterColumn', 'dropColumn']) \
              || (has(self.columns) && size(self.columns) > 0)",
        problem: "names no column",
        way_out: "name at least one",
        holds: Holds::Value(|hint| {
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
        holds: Holds::Value(|hint| {
            !op_in(hint, &["renameColumn"]) || items(hint, "columns").len() == 1
        }),
    },
    Rule {
        at: "spec.schemaHints[]",
        field: "columns",
        cel: "!(self.op in ['createTable', 'dropTable', 'renameTable']) \
              || !has(self.columns) || size(self.columns) == 0",
        problem: "is given for an operation on a whole table",
        way_out: "drop columns",
        holds: Holds::Value(|hint| {
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
        holds: Holds::Value(|hint| {
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
        holds: Holds::Value(|hint| {
            !op_in(hint, &["alterColumn"]) || items(hint, "columns").iter().all(says_something)
        }),
    },
    Rule {
        at: "spec.schemaHints[]",
        field: "to",
        cel: "has(self.to) == (self.op in ['renameColumn', 'renameTable'])",
        problem: "belongs to renameColumn and renameTable, and to no other operation",
        way_out: "give the new name there, and nowhere else",
        holds: Holds::Value(|hint| {
            has(hint, "to") == op_in(hint, &["renameColumn", "renameTable"])
        }),
    },
    Rule {
        at: "spec.schemaHints[]",
        field: "index",
        cel: "!has(self.index) || self.op in ['createIndex', 'dropIndex']",
        problem: "belongs to createIndex and dropIndex, and to no other operation",
        way_out: "drop index, or write the index as an operation of its own",
        holds: Holds::Value(|hint| {
            !has(hint, "index") || op_in(hint, &["createIndex", "dropIndex"])
        }),
    },
    Rule {
        at: "spec.schemaHints[]",
        field: "index",
        cel: "self.op != 'dropIndex' || !has(self.index) || !has(self.index.kind)",
        problem: "has a kind, which makes no difference to dropIndex",
        way_out: "drop kind",
        holds: Holds::Value(|hint| {
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
        holds: Holds::Value(|hint| {
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
        holds: Holds::Value(|hint| {
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
        holds: Holds::Value(|column| {
            !has(column, "default")
                || column.get("hasServerDefault").and_then(Value::as_bool) != Some(false)
        }),
    },
];

/// Names of the container contract. The grouping labels of the metrics are the user's, but for two.
fn is_contract(name: &str) -> bool {
    let label = name.strip_prefix("DBA_OP_LABEL_");
    name.starts_with("DBA_OP_")
        && label.is_none_or(|label| ["DATABASE", "NAMESPACE", "MIGRATION"].contains(&label))
}

fn is_label_key(key: &str) -> bool {
    static KEY: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(pattern::LABEL_KEY).ok());
    KEY.as_ref().is_some_and(|pattern| pattern.is_match(key))
}

/// One that the API server checks, or that some controller of Kubernetes acts on.
fn is_kubernetes_type(kind: &str) -> bool {
    let prefix = kind.split_once('/').map_or("", |(prefix, _)| prefix);
    prefix == "kubernetes.io" || prefix.ends_with(".kubernetes.io")
}

/// Also the name of a file, of which those that begin with a dot are the kubelet's.
fn is_secret_key(key: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=SECRET_KEY_BYTES_MAX).contains(&key.len())
        && !key.starts_with('.')
        && key.bytes().all(fits)
}

/// As [`pattern::METRIC_LABEL`] has it.
fn is_metric_label(key: &str) -> bool {
    static LABEL: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(pattern::METRIC_LABEL).expect("a constant"));
    LABEL.is_match(key)
}

/// By what selectors find a Job's Pods, and the operator its own objects.
fn is_reserved(key: &str) -> bool {
    has_reserved_prefix(key)
        || ["app.kubernetes.io/managed-by", "job-name", "controller-uid"].contains(&key)
}

fn has_reserved_prefix(key: &str) -> bool {
    [PREFIX, "batch.kubernetes.io/"]
        .iter()
        .any(|prefix| key.starts_with(prefix))
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_know_the_same_keys_of_labels() {
        let quoted = format!("'{}'", pattern::LABEL_KEY);
        let of_labels = |rule: &&Rule| rule.problem.contains("is no key of a");
        let rules = DATABASE.iter().filter(|rule| rule.cel.contains("matches"));
        let rules = rules.filter(of_labels).filter(|rule| rule.field != "keys");
        assert_eq!(rules.clone().count(), 5);
        for rule in rules {
            assert!(rule.cel.contains(&quoted), "{}", rule.cel);
        }
        for (key, good) in [
            ("team", true),
            ("example.com/Team_1.x", true),
            ("Example.com/team", false),
            ("a b", false),
            ("-a", false),
            ("a/b/c", false),
            ("", false),
        ] {
            assert_eq!(is_label_key(key), good, "{key}");
        }
        assert!(!is_label_key(&"x".repeat(64)));
    }

    /// What the API server matches templates against.
    fn template_pattern() -> Regex {
        let rule = DATABASE
            .iter()
            .find(|rule| matches!(rule.holds, Holds::Model));
        let (_, pattern) = rule.unwrap().cel.split_once("matches('").unwrap();
        Regex::new(pattern.strip_suffix("'))").unwrap()).unwrap()
    }

    #[test]
    fn both_sides_take_the_same_templates() {
        use dbop_model::{Encoder, KeyTemplate, TemplateValue};
        let pattern = template_pattern();
        let check = |text: &str| {
            let read = KeyTemplate::parse(text);
            assert_eq!(pattern.is_match(text), read.is_ok(), "{text}: {read:?}");
        };
        for value in TemplateValue::ALL.map(TemplateValue::name) {
            check(&format!("{{{value}}}"));
            for encoder in Encoder::ALL.map(Encoder::name) {
                check(&format!("{{{value}|{encoder}}}"));
                check(&format!("a{{{value}|{encoder}|{encoder}|{encoder}}}\n"));
                check(&format!(
                    "{{{value}|{encoder}|{encoder}|{encoder}|{encoder}}}"
                ));
            }
        }
        // Every text of some length that these pieces make.
        let pieces = ["{", "}", "{{", "}}", "|", "host", "url", "ä", "\n"];
        let mut texts = vec![String::new()];
        for _ in 0..4 {
            let longer = texts
                .iter()
                .flat_map(|text| pieces.iter().map(move |piece| format!("{text}{piece}")));
            texts = longer.collect();
            texts.iter().for_each(|text| check(text));
        }
    }

    #[test]
    fn names_of_keys_and_types_are_told_apart() {
        for (key, good) in [
            ("a", true),
            ("_a.b-C", true),
            (".a", false),
            ("a/b", false),
            ("", false),
        ] {
            assert_eq!(is_secret_key(key), good, "{key}");
        }
        assert!(is_secret_key(&"x".repeat(253)) && !is_secret_key(&"x".repeat(254)));
        for (kind, theirs) in [
            ("kubernetes.io/tls", true),
            ("bootstrap.kubernetes.io/token", true),
            ("Opaque", false),
            ("example.com/kubernetes.io", false),
            ("notkubernetes.io/x", false),
        ] {
            assert_eq!(is_kubernetes_type(kind), theirs, "{kind}");
        }
    }
}

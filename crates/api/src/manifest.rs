//! Manifests that reach the operator without an API server: strictly read, with the API server's
//! own rules.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::refusal::{Refusal, Refusals};
use crate::{
    API_VERSION, DATABASE_MIGRATION, DatabaseMigration, GROUP, MANAGED_DATABASE, ManagedDatabase,
    check,
};

/// The namespace of an object that names none, as with kubectl.
pub const DEFAULT_NAMESPACE: &str = "default";

/// Is a document one of our kinds (of whatever version), and which?
pub fn kind_of(document: &Value) -> Option<&'static str> {
    let group = document["apiVersion"].as_str()?.split('/').next()?;
    let kind = document["kind"].as_str()?;
    [MANAGED_DATABASE, DATABASE_MIGRATION]
        .into_iter()
        .find(|ours| group == GROUP && *ours == kind)
}

/// Reads a ManagedDatabase. A `status` in it is not taken over; without a namespace it is in
/// `default`.
///
/// # Errors
/// Everything that an API server would refuse or drop, by field.
pub fn parse_managed_database(document: Value) -> Result<ManagedDatabase, Refusals> {
    parse(MANAGED_DATABASE, document)
}

/// Reads a DatabaseMigration, likewise.
///
/// ```
/// let document = serde_json::json!({
///     "apiVersion": "database-operator.dev/v1alpha1",
///     "kind": "DatabaseMigration",
///     "metadata": { "name": "v2", "namespace": "shop" },
///     "spec": { "previos": "v1", "container": { "name": "migrate", "image": "shop/migrate:2" } },
/// });
/// let refusals = dbop_api::parse_database_migration(document).unwrap_err();
/// assert_eq!(
///     refusals.to_string(),
///     "DatabaseMigration shop/v2: spec.previos: is no field of this kind; did you mean previous?"
/// );
/// ```
///
/// # Errors
/// Everything that an API server would refuse or drop, by field.
pub fn parse_database_migration(document: Value) -> Result<DatabaseMigration, Refusals> {
    parse(DATABASE_MIGRATION, document)
}

fn parse<T: DeserializeOwned>(kind: &'static str, mut document: Value) -> Result<T, Refusals> {
    without_nulls(&mut document);
    let object = check::subject(kind, &document);
    let refusal = |field: &str, problem: String, way_out: &str| Refusal {
        object: object.clone(),
        field: field.to_owned(),
        problem,
        way_out: way_out.to_owned(),
    };
    for (field, expected) in [("apiVersion", API_VERSION), ("kind", kind)] {
        if document[field] != expected {
            let found = document[field].as_str().unwrap_or("missing").to_owned();
            let problem = format!("is {found}, not {expected}");
            return Err(refusal(field, problem, "").into());
        }
    }
    let refusals = check::object(kind, &document);
    Refusals::unless_none((), refusals)?;
    if let Some(map) = document.as_object_mut() {
        map.remove("status");
        map["metadata"]["namespace"] = object.namespace.clone().into();
    }
    // The schema is the types' own, so what passed it deserialises; the few texts inside of
    // metadata and container that have a form of their own (times, quantities) are what is left.
    serde_json::from_value(document)
        .map_err(|error| refusal("", format!("cannot be read: {error}"), "").into())
}

/// Takes out fields without a value: an API server drops them too.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, child| !child.is_null());
            map.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATABASE: &str = "
apiVersion: database-operator.dev/v1alpha1
kind: ManagedDatabase
metadata: {name: shop, namespace: shop}
spec:
  connection:
    dsnSecret: {name: shop-admin}
  desiredSchemaVersion: v3
  schemaVersion: {engine: Alembic}
";
    const MIGRATION: &str = "
apiVersion: database-operator.dev/v1alpha1
kind: DatabaseMigration
metadata: {name: v2, namespace: shop}
spec:
  previous: v1
  container: {name: migrate, image: shop/migrate:2}
";

    /// A manifest, what is changed of it, and the refusal that follows.
    type Case = (
        &'static str,
        &'static [(&'static str, &'static str)],
        &'static str,
    );

    fn yaml(text: &str) -> Value {
        serde_saphyr::from_str(text).unwrap()
    }

    /// Sets `path` (`/spec/paused`) of a manifest to a value written as YAML; `-` takes it out.
    fn changed(manifest: &str, changes: &[(&str, &str)]) -> Value {
        let mut document = yaml(manifest);
        for (path, value) in changes {
            let (parent, field) = path.rsplit_once('/').unwrap();
            let parent = document
                .pointer_mut(parent)
                .unwrap()
                .as_object_mut()
                .unwrap();
            match *value {
                "-" => drop(parent.remove(field)),
                value => drop(parent.insert(field.to_owned(), yaml(value))),
            }
        }
        document
    }

    /// What is said of a manifest, without the object's name: one refusal in a line.
    #[track_caller]
    fn check(manifest: &str, changes: &[(&str, &str)], expect: &[&str]) {
        let document = changed(manifest, changes);
        let parsed = match kind_of(&document) {
            Some(MANAGED_DATABASE) => parse_managed_database(document).map(drop),
            _ => parse_database_migration(document).map(drop),
        };
        let said: Vec<String> = match parsed {
            Ok(()) => Vec::new(),
            Err(refusals) => refusals
                .iter()
                .map(|refusal| {
                    let whole = refusal.to_string();
                    let object = format!("{}: ", refusal.object);
                    whole.strip_prefix(&object).unwrap_or(&whole).to_owned()
                })
                .collect(),
        };
        assert_eq!(said, expect, "{changes:?}");
    }

    #[test]
    fn good_manifests_are_read() {
        check(DATABASE, &[], &[]);
        check(
            DATABASE,
            &[
                (
                    "/spec/connection/tls",
                    "{mode: VerifyFull, caSecret: {name: ca}}",
                ),
                (
                    "/spec/schemaVersion",
                    "{engine: Query, query: SELECT 1, table: v, schema: app}",
                ),
                (
                    "/spec/migrations",
                    "{lockTimeout: 5s, pushgateway: 'push:9091', ownerRole: Shop Owner}",
                ),
                (
                    "/spec/credentials",
                    "{privileges: [SELECT, TRIGGER], schemas: [app], quietWindow: 90s, rotateEvery: 720h, orphaned: RevokeWhenUnused}",
                ),
                (
                    "/spec/hints",
                    "{mode: Warn, requireHints: true, largeTableRows: 5, largeTableBytes: 6, heavyWritesPerSecond: 7, probeTimeout: 10s, probes: Scratch, accept: [{rule: a-b, table: t, reason: r}]}",
                ),
                (
                    "/spec/metrics",
                    "{interval: 10s, tableEstimatedSize: [orders, app.users], tableNextId: [orders], sqlQuery: [{name: orders_open, help: Open orders., query: SELECT 1}, {name: orders_paid_total, type: Counter, help: Paid., query: SELECT 1, labels: {shop: \"a 'b'\"}}]}",
                ),
                (
                    "/spec/health",
                    "{interval: 10s, connectionsPercent: 90, replicationLag: 1s, longTransaction: 1h, idPercent: 70, \
                     bloatPercent: 50, bloatTableBytes: 1, longMigration: 2h, databaseBytes: 1, \
                     ignore: [{check: Bloat, table: app.log, reason: r}, {check: Disk, reason: r}]}",
                ),
                ("/spec/readOnly", "true"),
                ("/spec/paused", ""),
                ("/spec/deletionPolicy", "Revoke"),
                ("/status", "{whatever: 1}"),
            ],
            &[],
        );
        let hints = "
- {op: addColumn, table: app.users, columns: [{name: a, type: text, nullable: false, default: \"''\"}, {name: b}]}
- {op: alterColumn, table: users, columns: [{name: a, nullable: false}]}
- {op: dropColumn, table: users, columns: [{name: a}]}
- {op: renameColumn, table: users, columns: [{name: a}], to: b}
- {op: createIndex, table: users, columns: [{name: a}], index: {kind: unique, online: true}}
- {op: createIndex, table: users}
- {op: dropIndex, table: users, index: {online: true}}
- {op: addConstraint, table: users, columns: [{name: a}], constraint: notNull}
- {op: addConstraint, table: users, constraint: check}
- {op: dropConstraint, table: users, columns: [{name: a}], constraint: foreignKey}
- {op: createTable, table: users}
- {op: dropTable, table: users}
- {op: renameTable, table: users, to: people}";
        check(MIGRATION, &[("/spec/schemaHints", hints)], &[]);
        let sql = "{configMap: {name: shop-sql, key: V2__email.sql}}";
        check(MIGRATION, &[("/spec/sql", sql)], &[]);
        let migrations = "
config: {secret: shop-migration, mountPath: /etc/migration}
activeDeadlineSeconds: 3600
podTemplate:
  metadata: {labels: {team: shop, empty: ''}, annotations: {sidecar.istio.io/inject: 'false'}}
  spec:
    serviceAccountName: migrations
    automountServiceAccountToken: true
    imagePullSecrets: [{name: registry}]
    nodeSelector: {kubernetes.io/arch: amd64}
    tolerations: [{key: dedicated, operator: Exists, effect: NoSchedule}]
    affinity:
      nodeAffinity:
        requiredDuringSchedulingIgnoredDuringExecution:
          nodeSelectorTerms: [{matchExpressions: [{key: disk, operator: In, values: [ssd]}]}]
    topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]
    priorityClassName: high
    runtimeClassName: gvisor
    securityContext: {runAsNonRoot: true, fsGroup: 2000}
    volumes: [{name: data, emptyDir: {sizeLimit: 1Gi}}, {name: ca, configMap: {name: ca}}]
    hostAliases: [{ip: 10.0.0.1, hostnames: [db]}]
    dnsPolicy: None
    dnsConfig: {nameservers: [10.0.0.10]}
    terminationGracePeriodSeconds: 0
  container:
    resources: {requests: {cpu: 100m}, limits: {memory: 1Gi}}
    securityContext: {readOnlyRootFilesystem: true}
    volumeMounts: [{name: data, mountPath: /data}, {name: ca, mountPath: /etc/ca, readOnly: true}]";
        let kinds = "{podTemplates: [{apiVersion: argoproj.io/v1alpha1, kind: Rollout}]}";
        check(
            DATABASE,
            &[
                ("/spec/migrations", migrations),
                ("/spec/credentials", kinds),
            ],
            &[],
        );
        check(
            MIGRATION,
            &[
                ("/spec/parallelism", "{pods: 2, completions: 2}"),
                (
                    "/spec/container",
                    "{name: m, env: [{name: DBA_OP_LABEL_TEAM, value: b}]}",
                ),
            ],
            &[],
        );
        check(
            MIGRATION,
            &[
                ("/metadata/labels", "{app: shop}"),
                ("/spec/version", "'0012'"),
                ("/spec/compatibleFrom", "v1"),
                ("/spec/fromEmpty", "true"),
                ("/spec/schemaHints", "[]"),
                ("/spec/accept", "[{rule: a-b, table: t, reason: r}]"),
                (
                    "/spec/container",
                    "{name: m, command: [sh], env: [{name: A, value: b}], resources: {limits: {cpu: 1, memory: 1Gi}}}",
                ),
            ],
            &[],
        );
    }

    #[test]
    fn fields_that_do_not_exist_are_named_wherever_they_stand() {
        check(
            DATABASE,
            &[("/spek", "{}")],
            &["spek: is no field of this kind; did you mean spec?"],
        );
        check(
            DATABASE,
            &[("/spec/rotateEvery", "1d")],
            &[
                "spec.rotateEvery: is no field of this kind; the fields here are connection, credentials, \
               deletionPolicy, desiredSchemaVersion, health, hints, metrics, migrations, paused, readOnly, schemaVersion",
            ],
        );
        check(
            DATABASE,
            &[("/spec/readonly", "true")],
            &["spec.readonly: is no field of this kind; did you mean readOnly?"],
        );
        check(
            DATABASE,
            &[("/metadata/label", "{a: b}")],
            &["metadata.label: is no field of this kind; did you mean labels?"],
        );
        check(
            MIGRATION,
            &[(
                "/spec/container",
                "{name: m, comand: [x], env: [{name: A, vaule: hunter2}]}",
            )],
            &[
                "spec.container.comand: is no field of this kind; did you mean command?",
                "spec.container.env[0].vaule: is no field of this kind; did you mean value?",
            ],
        );
    }

    #[test]
    fn shapes_are_checked_as_an_api_server_checks_them() {
        check(
            DATABASE,
            &[
                ("/spec/connection/dsnSecret", "-"),
                ("/spec/desiredSchemaVersion", "1.9"),
            ],
            &[
                "spec.connection.dsnSecret: is missing; The Secret that holds the admin's connection string",
                "spec.desiredSchemaVersion: must be a text, is the number 1.9; put it in quotes",
            ],
        );
        check(
            DATABASE,
            &[(
                "/spec/connection/dsnSecret/name",
                "'postgresql://admin:hunter2@db/shop'",
            )],
            &[
                "spec.connection.dsnSecret.name: 'postgresql://...' is no name of an object; use lower-case \
               letters, digits, '-' and '.', with a letter or digit at both ends",
            ],
        );
        check(
            DATABASE,
            &[("/spec/schemaVersion/engine", "alembic")],
            &["spec.schemaVersion.engine: cannot be 'alembic'; did you mean Alembic?"],
        );
        check(
            DATABASE,
            &[("/spec/schemaVersion/engine", "Atlas")],
            &[
                "spec.schemaVersion.engine: cannot be 'Atlas'; write one of Alembic, Flyway, Liquibase, Rails, \
                 Django, GolangMigrate, Sqlx, Diesel, Goose, Prisma, Query",
            ],
        );
        check(
            DATABASE,
            &[(
                "/spec/credentials",
                "{quietWindow: 1 minute, privileges: [SELECT, SELECT], schemas: []}",
            )],
            &[
                "spec.credentials.privileges[1]: stands in the list twice; drop one of the two",
                "spec.credentials.quietWindow: '1 minute' is no duration; write a number and a unit (ms, s, \
                 m, h), such as 500ms, 5s, 1m or 1h30m",
                "spec.credentials.schemas: is empty; leave it out, or name at least one",
            ],
        );
        check(
            DATABASE,
            &[(
                "/spec/hints",
                "{largeTableRows: 0, largeTableBytes: 0, heavyWritesPerSecond: -1, probeTimeout: 11s, accept: [{rule: R!, table: t}]}",
            )],
            &[
                "spec.hints.accept[0].reason: is missing; Why, for everybody who sees the finding later",
                "spec.hints.accept[0].rule: 'R!' is no id of a rule; write it as the finding shows it, such \
                 as not-null-over-nulls",
                "spec.hints.heavyWritesPerSecond: is -1, less than 1",
                "spec.hints.largeTableBytes: is 0, less than 1",
                "spec.hints.largeTableRows: is 0, less than 1",
            ],
        );
        check(
            DATABASE,
            &[(
                "/spec/migrations",
                "{pushgateway: push, ownerRole: \"a\\nb\"}",
            )],
            &[
                "spec.migrations.ownerRole: 'a\\nb' holds a line break or another control character; write \
                 it on one line",
                "spec.migrations.pushgateway: 'push' is no address; write host:port, such as \
                 pushgateway.monitoring:9091",
            ],
        );
        check(
            DATABASE,
            &[("/spec/paused", "yes please")],
            &["spec.paused: must be true or false, is the text 'yes please'"],
        );
        check(
            DATABASE,
            &[
                ("/spec/deletionPolicy", "Delete"),
                (
                    "/spec/migrations",
                    "{config: {secret: S, mountPath: etc}, activeDeadlineSeconds: 0, podTemplate: {spec: {volumes: [{name: A}, {name: b}, {name: b}], dnsPolicy: none, containers: []}, container: {securityContext: {runAsRoot: true}}, metadata: {labels: {a: 'b c'}}}}",
                ),
                (
                    "/spec/credentials",
                    "{podTemplates: [{apiVersion: rollouts, kind: rollout}]}",
                ),
            ],
            &[
                "spec.credentials.podTemplates[0].apiVersion: 'rollouts' is no apiVersion; write group/version, \
                 such as argoproj.io/v1alpha1",
                "spec.credentials.podTemplates[0].kind: 'rollout' is no kind; write it as manifests do, such \
                 as Rollout",
                "spec.deletionPolicy: cannot be 'Delete'; write one of Retain, Revoke",
                "spec.migrations.activeDeadlineSeconds: is 0, less than 1",
                "spec.migrations.config.mountPath: 'etc' is no path to mount something at; write an absolute \
                 path without ':', such as /etc/migration",
                "spec.migrations.config.secret: 'S' is no name of an object; use lower-case letters, digits, \
                 '-' and '.', with a letter or digit at both ends",
                "spec.migrations.podTemplate.container.securityContext.runAsRoot: is no field of this kind; \
                 the fields here are allowPrivilegeEscalation, appArmorProfile, capabilities, privileged, \
                 procMount, readOnlyRootFilesystem, runAsGroup, runAsNonRoot, runAsUser, seLinuxOptions, \
                 seccompProfile, windowsOptions",
                "spec.migrations.podTemplate.metadata.labels.a: 'b c' is no value of a label; use letters, \
                 digits, '-', '_' and '.', with a letter or digit at both ends",
                "spec.migrations.podTemplate.spec.containers: is no field of this kind; the fields here are \
                 affinity, automountServiceAccountToken, dnsConfig, dnsPolicy, hostAliases, imagePullSecrets, \
                 nodeSelector, priorityClassName, runtimeClassName, securityContext, serviceAccountName, \
                 terminationGracePeriodSeconds, tolerations, topologySpreadConstraints, volumes",
                "spec.migrations.podTemplate.spec.dnsPolicy: cannot be 'none'; did you mean None?",
                "spec.migrations.podTemplate.spec.volumes[0].name: 'A' is no DNS label; use lower-case letters, \
                 digits and '-', with a letter or digit at both ends",
                "spec.migrations.podTemplate.spec.volumes[2]: stands in the list twice; drop one of the two",
            ],
        );
        let container = "{name: m, env: [{name: PIN, value: 1234}], args: x}";
        check(
            MIGRATION,
            &[("/spec/container", container)],
            &[
                "spec.container.args: must be a list, is a text; write it as [...], or as lines that begin \
                 with '- '",
                "spec.container.env[0].value: must be a text, is a number; put it in quotes",
            ],
        );
        check(
            MIGRATION,
            &[("/spec", "-")],
            &["spec: is missing; see the examples in the documentation"],
        );
        check(
            MIGRATION,
            &[("/metadata/name", "-")],
            &["metadata.name: is missing; give the object a name"],
        );
        check(
            MIGRATION,
            &[("/apiVersion", "database-operator.dev/v2")],
            &["apiVersion: is database-operator.dev/v2, not database-operator.dev/v1alpha1"],
        );
        let many = format!("[{}]", "{op: dropTable, table: t},".repeat(101));
        check(
            MIGRATION,
            &[("/spec/schemaHints", &many)],
            &["spec.schemaHints: has 101 entries, 100 are allowed"],
        );
        check(
            MIGRATION,
            &[("/spec/version", &"x".repeat(256))],
            &["spec.version: is 256 characters long, 255 are allowed"],
        );
    }

    #[test]
    fn every_rule_is_enforced() {
        let cases: &[Case] = &[
            (
                DATABASE,
                &[("/metadata/name", "a.b")],
                "metadata.name: is no DNS label",
            ),
            (
                DATABASE,
                &[(
                    "/spec/connection",
                    "{dsnSecret: {name: a, key: uri}, secretKeys: {engine: MySQL}}",
                )],
                "spec.connection.secretKeys: stands beside dsnSecret.key, which says that one key holds the whole",
            ),
            (
                DATABASE,
                &[(
                    "/spec/connection",
                    "{dsnSecret: {name: a, namespace: b}, secretKeys: {engine: MySQL, host: address}}",
                )],
                "spec.connection.secretKeys: chooses keys of a Secret that another namespace lends",
            ),
            (
                DATABASE,
                &[(
                    "/spec/connection/secretKeys",
                    "{engine: MySQL, host: password}",
                )],
                "spec.connection.secretKeys: names one key for two parts",
            ),
            (
                DATABASE,
                &[(
                    "/spec/connection/tls",
                    "{mode: Require, caSecret: {name: ca}}",
                )],
                "spec.connection.tls.caSecret: belongs to the modes VerifyCa and VerifyFull, and to no other",
            ),
            (
                DATABASE,
                &[("/spec/connection/tls", "{mode: VerifyCa}")],
                "spec.connection.tls.caSecret: belongs to the modes VerifyCa and VerifyFull, and to no other",
            ),
            (
                DATABASE,
                &[("/spec/schemaVersion", "{engine: Query}")],
                "spec.schemaVersion.query: belongs to engine Query, and to no other",
            ),
            (
                DATABASE,
                &[("/spec/schemaVersion", "{engine: Django}")],
                "spec.schemaVersion.app: belongs to engine Django, and to no other",
            ),
            (
                DATABASE,
                &[("/spec/schemaVersion", "{engine: Flyway, versionIs: Tag}")],
                "spec.schemaVersion.versionIs: belongs to engine Liquibase, and to no other",
            ),
            (
                DATABASE,
                &[("/spec/schemaVersion", "{engine: Sqlx, query: SELECT 1}")],
                "spec.schemaVersion.query: belongs to engine Query, and to no other",
            ),
            (
                DATABASE,
                &[(
                    "/spec/schemaVersion",
                    "{engine: Query, query: SELECT 1, schema: app}",
                )],
                "spec.schemaVersion.schema: is given without the table that is in it",
            ),
            (
                DATABASE,
                &[("/spec/hints", "{probeTimeout: 10001ms}")],
                "spec.hints.probeTimeout: is longer than 10s, and facts so old start no migration",
            ),
            (
                DATABASE,
                &[("/spec/metrics", "{interval: 9s}")],
                "spec.metrics.interval: is shorter than 10s or longer than 1h",
            ),
            (
                DATABASE,
                &[(
                    "/spec/metrics",
                    "{sqlQuery: [{name: database_size, help: h, query: SELECT 1}]}",
                )],
                "spec.metrics.sqlQuery[0].name: is one that the operator or Prometheus gives",
            ),
            (
                DATABASE,
                &[("/spec/health", "{interval: 61m}")],
                "spec.health.interval: is shorter than 10s or longer than 1h",
            ),
            (
                DATABASE,
                &[("/spec/health", "{replicationLag: 999ms}")],
                "spec.health.replicationLag: is shorter than 1s",
            ),
            (
                DATABASE,
                &[("/spec/health", "{longTransaction: 0s}")],
                "spec.health.longTransaction: is shorter than 1s",
            ),
            (
                DATABASE,
                &[("/spec/health", "{longMigration: 0s}")],
                "spec.health.longMigration: is shorter than 1s",
            ),
            (
                DATABASE,
                &[(
                    "/spec/metrics",
                    "{sqlQuery: [{name: orders, type: Counter, help: h, query: SELECT 1}]}",
                )],
                "spec.metrics.sqlQuery[0].name: ends in _total exactly where type is Counter",
            ),
            (
                DATABASE,
                &[(
                    "/spec/metrics",
                    "{sqlQuery: [{name: orders, help: h, query: SELECT 1, labels: {A-b: c}}]}",
                )],
                "spec.metrics.sqlQuery[0].labels: has a name that is no name of a metric's label",
            ),
            (
                DATABASE,
                &[(
                    "/spec/metrics",
                    "{sqlQuery: [{name: orders, help: h, query: SELECT 1, labels: {job: c}}]}",
                )],
                "spec.metrics.sqlQuery[0].labels: has a name that the operator or Prometheus sets",
            ),
            (
                DATABASE,
                &[(
                    "/spec/health",
                    "{ignore: [{check: Connections, table: t, reason: r}]}",
                )],
                "spec.health.ignore[0].table: is given with a check that is about no table",
            ),
            (
                DATABASE,
                &[("/spec/credentials", "{rotateEvery: 9m59s}")],
                "spec.credentials.rotateEvery: is shorter than 10m, and applications could not follow",
            ),
            (
                MIGRATION,
                &[("/spec/previous", "v2")],
                "spec.previous: names the migration itself",
            ),
            (
                MIGRATION,
                &[("/spec/compatibleFrom", "v2")],
                "spec.compatibleFrom: names the migration itself",
            ),
            (
                MIGRATION,
                &[("/spec/previous", "-"), ("/spec/compatibleFrom", "v1")],
                "spec.compatibleFrom: is given on a migration without previous, which has no ancestors",
            ),
            (
                MIGRATION,
                &[(
                    "/spec/sql",
                    "{inline: SELECT 1, configMap: {name: c, key: k}}",
                )],
                "spec.sql: gives not exactly one of inline and configMap",
            ),
            (
                MIGRATION,
                &[("/spec/schemaHints", "[{op: addColumn, table: t}]")],
                "spec.schemaHints[0].columns: names no column",
            ),
            (
                MIGRATION,
                &[(
                    "/spec/schemaHints",
                    "[{op: renameColumn, table: t, columns: [{name: a}, {name: b}], to: c}]",
                )],
                "spec.schemaHints[0].columns: names not exactly one column",
            ),
            (
                MIGRATION,
                &[(
                    "/spec/schemaHints",
                    "[{op: dropTable, table: t, columns: [{name: a}]}]",
                )],
                "spec.schemaHints[0].columns: is given for an operation on a whole table",
            ),
            (
                MIGRATION,
                &[(
                    "/spec/schemaHints",
                    "[{op: dropColumn, table: t, columns: [{name: a, type: text}]}]",
                )],
                "spec.schemaHints[0].columns: says more of a column than its name",
            ),
            (
                MIGRATION,
                &[(
                    "/spec/schemaHints",
                    "[{op: alterColumn, table: t, columns: [{name: a}]}]",
                )],
                "spec.schemaHints[0].columns: names a column of which nothing is changed",
            ),
            (
                MIGRATION,
                &[("/spec/schemaHints", "[{op: renameTable, table: t}]")],
                "spec.schemaHints[0].to: belongs to renameColumn and renameTable, and to no other operation",
            ),
            (
                MIGRATION,
                &[(
                    "/spec/schemaHints",
                    "[{op: createTable, table: t}, {op: createTable, table: t, index: {}}]",
                )],
                "spec.schemaHints[1].index: belongs to createIndex and dropIndex, and to no other operation",
            ),
            (
                MIGRATION,
                &[(
                    "/spec/schemaHints",
                    "[{op: dropIndex, table: t, index: {kind: plain}}]",
                )],
                "spec.schemaHints[0].index: has a kind, which makes no difference to dropIndex",
            ),
            (
                MIGRATION,
                &[(
                    "/spec/schemaHints",
                    "[{op: addConstraint, table: t, columns: [{name: a}]}]",
                )],
                "spec.schemaHints[0].constraint: belongs to addConstraint and dropConstraint, and to no other operation",
            ),
            (
                MIGRATION,
                &[(
                    "/spec/schemaHints",
                    "[{op: addConstraint, table: t, constraint: unique}]",
                )],
                "spec.schemaHints[0].columns: names no column that the constraint binds",
            ),
            (
                MIGRATION,
                &[(
                    "/spec/schemaHints",
                    "[{op: addColumn, table: t, columns: [{name: a, default: x, hasServerDefault: false}]}]",
                )],
                "spec.schemaHints[0].columns[0].hasServerDefault: is false beside a default",
            ),
            (
                DATABASE,
                &[(
                    "/spec/migrations",
                    "{config: {secret: s, mountPath: /etc/m}, podTemplate: {spec: {volumes: [{name: a, emptyDir: {}}]}, container: {volumeMounts: [{name: a, mountPath: /etc/m}]}}}",
                )],
                "spec.migrations.config.mountPath: is where podTemplate.container.volumeMounts mounts something, too",
            ),
            (
                DATABASE,
                &[(
                    "/spec/migrations",
                    "{podTemplate: {spec: {volumes: [{name: a, emptyDir: {}}]}, container: {volumeMounts: [{name: b, mountPath: /m}]}}}",
                )],
                "spec.migrations.podTemplate.container.volumeMounts: mounts a volume that does not stand in podTemplate.spec.volumes",
            ),
            (
                DATABASE,
                &[(
                    "/spec/migrations",
                    "{podTemplate: {spec: {volumes: [{name: dbop-x, emptyDir: {}}]}}}",
                )],
                "spec.migrations.podTemplate.spec.volumes[0].name: begins with dbop-, which is the operator's",
            ),
            (
                DATABASE,
                &[(
                    "/spec/migrations",
                    "{podTemplate: {spec: {dnsPolicy: None}}}",
                )],
                "spec.migrations.podTemplate.spec.dnsConfig: names no nameservers, and with dnsPolicy None there are no others",
            ),
            (
                DATABASE,
                &[(
                    "/spec/migrations",
                    "{podTemplate: {spec: {nodeSelector: {a b: c}}}}",
                )],
                "spec.migrations.podTemplate.spec.nodeSelector: has a key that is no key of a label",
            ),
            (
                DATABASE,
                &[(
                    "/spec/migrations",
                    "{podTemplate: {metadata: {labels: {a b: c}}}}",
                )],
                "spec.migrations.podTemplate.metadata.labels: has a key that is no key of a label",
            ),
            (
                DATABASE,
                &[(
                    "/spec/migrations",
                    "{podTemplate: {metadata: {annotations: {a b: c}}}}",
                )],
                "spec.migrations.podTemplate.metadata.annotations: has a key that is no key of an annotation",
            ),
            (
                DATABASE,
                &[(
                    "/spec/migrations",
                    "{podTemplate: {metadata: {labels: {job-name: c}}}}",
                )],
                "spec.migrations.podTemplate.metadata.labels: has a key that the operator or Kubernetes sets",
            ),
            (
                DATABASE,
                &[(
                    "/spec/migrations",
                    "{podTemplate: {metadata: {annotations: {database-operator.dev/claim: c}}}}",
                )],
                "spec.migrations.podTemplate.metadata.annotations: has a key that the operator or Kubernetes sets",
            ),
            (
                MIGRATION,
                &[("/spec/container", "{name: m, restartPolicy: Always}")],
                "spec.container.restartPolicy: would let the container run again by itself, and a run is one run",
            ),
            (
                MIGRATION,
                &[(
                    "/spec/container",
                    "{name: m, env: [{name: A}, {name: DBA_OP_HOST, value: x}]}",
                )],
                "spec.container.env[1].name: begins with DBA_OP_, which the operator sets",
            ),
            (
                MIGRATION,
                &[("/spec/parallelism", "{pods: 3, completions: 2}")],
                "spec.parallelism.pods: is more than there are completions",
            ),
            (
                DATABASE,
                &[("/spec/credentials", "{secretTemplate: {labels: {a b: c}}}")],
                "spec.credentials.secretTemplate.labels: has a key that is no key of a label",
            ),
            (
                DATABASE,
                &[(
                    "/spec/credentials",
                    "{secretTemplate: {annotations: {a b: c}}}",
                )],
                "spec.credentials.secretTemplate.annotations: has a key that is no key of an annotation",
            ),
            (
                DATABASE,
                &[(
                    "/spec/credentials",
                    "{secretTemplate: {labels: {app.kubernetes.io/managed-by: me}}}",
                )],
                "spec.credentials.secretTemplate.labels: has a key that the operator sets",
            ),
            (
                DATABASE,
                &[(
                    "/spec/credentials",
                    "{secretTemplate: {annotations: {database-operator.dev/claim: x}}}",
                )],
                "spec.credentials.secretTemplate.annotations: has a key that the operator sets",
            ),
            (
                DATABASE,
                &[(
                    "/spec/credentials",
                    "{secretTemplate: {type: kubernetes.io/tls}}",
                )],
                "spec.credentials.secretTemplate.type: is one that Kubernetes gives a meaning to",
            ),
            (
                DATABASE,
                &[(
                    "/spec/credentials",
                    "{secretTemplate: {keys: {.hidden: x}}}",
                )],
                "spec.credentials.secretTemplate.keys: has a name that is no key of a credential's Secret",
            ),
            (
                DATABASE,
                &[(
                    "/spec/credentials",
                    "{secretTemplate: {keys: {password: x}}}",
                )],
                "spec.credentials.secretTemplate.keys: has the name of a key that every credential's Secret has",
            ),
            (
                DATABASE,
                &[("/spec/credentials", "{secretTemplate: {keys: {pgpass: x}}}")],
                "spec.credentials.secretTemplate.keys: has the name of a preset's key",
            ),
        ];
        let mut broken = std::collections::BTreeSet::new();
        for (manifest, changes, expect) in cases {
            let rule = crate::rules::of(MANAGED_DATABASE)
                .iter()
                .chain(crate::rules::of(DATABASE_MIGRATION))
                .find(|rule| expect.ends_with(&format!("{}: {}", rule.field, rule.problem)))
                .unwrap_or_else(|| panic!("no rule says: {expect}"));
            check(manifest, changes, &[&format!("{expect}; {}", rule.way_out)]);
            broken.insert(rule.cel);
        }
        for rule in crate::rules::of(MANAGED_DATABASE)
            .iter()
            .chain(crate::rules::of(DATABASE_MIGRATION))
        {
            assert_eq!(
                broken.contains(rule.cel),
                matches!(rule.holds, crate::rules::Holds::Value(_)),
                "no manifest breaks {}",
                rule.cel
            );
        }
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let database = parse_managed_database(changed(
            DATABASE,
            &[
                ("/metadata/namespace", "-"),
                ("/spec/credentials", ""),
                ("/spec/hints", "{}"),
            ],
        ));
        let database = database.unwrap();
        assert_eq!(
            database.metadata.namespace.as_deref(),
            Some(DEFAULT_NAMESPACE)
        );
        assert_eq!(
            database.spec.credentials,
            crate::database::Credentials::default()
        );
        assert_eq!(database.spec.hints, crate::database::Hints::default());
        assert_eq!(database.spec.connection.dsn_secret.key, "dsn");
        assert_eq!(database.status, None);
    }

    #[test]
    fn the_examples_of_the_reference_are_good() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference.md");
        let reference = std::fs::read_to_string(file).unwrap();
        let examples: Vec<&str> = reference
            .split("```yaml\n")
            .skip(1)
            .filter_map(|rest| rest.split("```").next())
            .collect();
        assert_eq!(examples.len(), 2);
        for example in examples {
            check(example, &[], &[]);
        }
    }
}

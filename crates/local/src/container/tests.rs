//! Containers and what they come to.

use super::*;
use crate::scratch::Scratch;

fn container(yaml: &str) -> Container {
    let text = format!("name: migrate\n{yaml}");
    serde_saphyr::from_str(&text).unwrap()
}

fn of() -> Subject {
    Subject {
        kind: "DatabaseMigration".to_owned(),
        namespace: "shop".to_owned(),
        name: "v1".to_owned(),
    }
}

fn migration() -> ObjectRef {
    ObjectRef::new("shop", "v1").unwrap()
}

#[track_caller]
fn refused(yaml: &str, runtime: Runtime, expect: &[&str]) {
    let refusals = check(&of(), &container(yaml), runtime);
    let found: Vec<&str> = refusals
        .iter()
        .map(|refusal| refusal.field.as_str())
        .collect();
    assert_eq!(found, expect, "{yaml}");
}

#[test]
fn what_a_directory_cannot_do_is_refused_by_name() {
    let process = Runtime::Process;
    refused("command: [a]", process, &[]);
    refused("image: a", process, &["spec.container.command"]);
    refused("image: a\nargs: [x]", process, &["spec.container.command"]);
    refused("image: a", Runtime::Podman, &[]);
    refused("command: [a]", Runtime::Docker, &["spec.container.image"]);
    let mounts = "command: [a]\nvolumeMounts: [{name: a, mountPath: /a}]";
    refused(mounts, process, &["spec.container.volumeMounts"]);
    refused(
        "command: [a]\nenv:\n- {name: A, value: x}\n- {name: B, valueFrom: {fieldRef: {fieldPath: spec}}}\n\
         - {name: C, valueFrom: {secretKeyRef: {name: s, key: k}}}\n- {name: D, valueFrom: {}}\n\
         envFrom: [{prefix: X_}]",
        process,
        &[
            "spec.container.env[1].valueFrom",
            "spec.container.env[3].valueFrom",
            "spec.container.envFrom[0]",
        ],
    );
    // What has no meaning for a process is no fault: the same manifest runs in a cluster.
    refused(
        "command: [a]\nresources: {limits: {cpu: 1}}\nsecurityContext: {runAsUser: 1}",
        process,
        &[],
    );
}

#[test]
fn what_asks_for_a_cluster_is_refused_or_passed_over() {
    let problems = |database: &str, migration: &str| -> Vec<String> {
        let scratch = Scratch::new();
        let text = format!(
            "apiVersion: database-operator.dev/v1alpha1\nkind: ManagedDatabase\nmetadata: {{name: shop}}\n\
             spec:\n  connection: {{dsnSecret: {{name: admin}}}}\n  desiredSchemaVersion: v1\n  \
             schemaVersion: {{engine: Alembic}}\n  migrations: {database}\n---\n\
             apiVersion: database-operator.dev/v1alpha1\nkind: DatabaseMigration\nmetadata: {{name: v1}}\n\
             spec:\n  container: {{name: m, command: [a]}}\n  {migration}\n"
        );
        scratch.write("a.yaml", &text);
        let state = scratch.path().join(".dbop");
        let manifests = Manifests::read(scratch.path(), &state, Runtime::Process);
        let whole = |problem: &crate::Problem| format!("{}; {}", problem.text, problem.way_out);
        manifests.problems.iter().map(whole).collect()
    };
    let pod =
        "{activeDeadlineSeconds: 60, podTemplate: {container: {resources: {limits: {cpu: 1}}}}}";
    assert_eq!(problems(pod, "fromEmpty: true"), [""; 0]);
    assert_eq!(
        problems(
            "{config: {secret: s, mountPath: /etc/migration}}",
            "parallelism: {pods: 1, completions: 2}"
        ),
        [
            "ManagedDatabase default/shop: spec.migrations.config: is not supported in a directory, where \
             nothing is mounted; drop it here, and name the values in the container's env, from the same \
             Secret",
            "DatabaseMigration default/v1: spec.parallelism: is not supported in a directory, where a \
             migration is one process; drop it here, and let the command do all parts where \
             JOB_COMPLETION_INDEX is not set",
        ]
    );
}

fn manifests() -> Manifests {
    let scratch = Scratch::new();
    scratch.write(
        "a.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\n\
         stringData: {TOKEN: canary, DBA_OP_HOST: forged}\n---\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: shop}\ndata: {LEVEL: debug}\n",
    );
    Manifests::read(
        scratch.path(),
        &scratch.path().join(".dbop"),
        Runtime::Process,
    )
}

fn launched(yaml: &str) -> Result<Launch, PlatformError> {
    let plain = BTreeMap::from([("DBA_OP_JOB_ID".to_owned(), "job-1".to_owned())]);
    let secret = [("DBA_OP_HOST", "db"), ("DBA_OP_PASSWORD", "pass")];
    let secret = secret
        .map(|(k, v)| (k.to_owned(), SecretString::from(v)))
        .into();
    let contract = Contract {
        plain: &plain,
        secret: &secret,
    };
    launch(&migration(), &container(yaml), &contract, &manifests())
}

#[test]
fn the_environment_is_kubernetes_own() {
    let launch = launched(
        "command: [sh, -c, 'echo $(URL) $$(URL) $(NONE) $X']\nargs: ['$(DBA_OP_JOB_ID)']\n\
         workingDir: sub\n\
         env:\n- {name: USER, value: shop}\n- {name: URL, value: 'http://$(USER)@$(DBA_OP_HOST)/$(LATER)'}\n\
         - {name: LATER, value: x}\n- {name: DBA_OP_JOB_ID, value: forged}\n- {name: EMPTY}\n\
         - {name: T, valueFrom: {secretKeyRef: {name: s, key: TOKEN}}}\n\
         - {name: L, valueFrom: {configMapKeyRef: {name: c, key: LEVEL}}}\n\
         - {name: N, valueFrom: {secretKeyRef: {name: none, key: k, optional: true}}}\n\
         envFrom: [{secretRef: {name: s}}, {prefix: C_, configMapRef: {name: c}}, \
         {configMapRef: {name: none, optional: true}}]",
    )
    .unwrap();
    assert_eq!(
        launch.command,
        [
            "sh",
            "-c",
            "echo http://shop@db/$(LATER) $(URL) $(NONE) $X",
            "job-1"
        ]
    );
    let environment: Vec<String> = launch
        .environment
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    assert_eq!(
        environment,
        [
            "C_LEVEL=debug",
            "DBA_OP_HOST=db",
            "DBA_OP_JOB_ID=job-1",
            "DBA_OP_PASSWORD=pass",
            "EMPTY=",
            "L=debug",
            "LATER=x",
            "T=canary",
            "TOKEN=canary",
            "URL=http://shop@db/$(LATER)",
            "USER=shop",
        ]
    );
    assert_eq!(
        working_directory(Path::new("/shop"), &launch),
        Path::new("/shop/sub")
    );
    let secrets: Vec<&str> = launch.secrets.iter().map(|s| s.expose_secret()).collect();
    assert_eq!(secrets, ["pass", "forged", "canary", "canary"]);
}

#[test]
fn what_is_named_and_missing_is_told() {
    let error = |yaml: &str| {
        launched(yaml)
            .err()
            .expect("something is missing")
            .to_string()
    };
    assert_eq!(
        error("command: [a]\nenv: [{name: A, valueFrom: {secretKeyRef: {name: s, key: none}}}]"),
        "DatabaseMigration shop/v1: spec.container.env[0]: Secret shop/s with a key none, as text, does \
         not stand in the directory's manifests; add it"
    );
    assert_eq!(
        error("command: [a]\nenvFrom: [{configMapRef: {name: none}}]"),
        "DatabaseMigration shop/v1: spec.container.envFrom[0]: ConfigMap shop/none does not stand in the \
         directory's manifests; add it"
    );
}

#[test]
fn a_container_runtime_is_given_names_and_no_values() {
    let yaml = "image: shop/migrate:1\ncommand: [migrate, --all]\nargs: [up]\nworkingDir: /work\n\
                imagePullPolicy: Never\nenv: [{name: A, value: canary}]";
    let launch = launched(yaml).unwrap();
    let command = runtime_command("podman", "shop-v1-0a", &container(yaml), &launch).join(" ");
    assert_eq!(
        command,
        "podman run --rm --name shop-v1-0a --network host --env A --env DBA_OP_HOST --env DBA_OP_JOB_ID \
         --env DBA_OP_PASSWORD --workdir /work --pull=never --entrypoint migrate shop/migrate:1 --all up"
    );
    let bare = "image: shop/migrate:1\nargs: [up]";
    let launch = launched(bare).unwrap();
    let command = runtime_command("docker", "j", &container(bare), &launch).join(" ");
    assert!(
        command.ends_with("--env DBA_OP_PASSWORD shop/migrate:1 up"),
        "{command}"
    );
}

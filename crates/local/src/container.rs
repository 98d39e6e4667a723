//! A migration's container, as this platform runs it: what it can do of what the manifests ask, and the
//! command and environment that come of it.
//!
//! What is asked of the Pod and has no meaning for a process (`podTemplate`, resources, the deadline) is passed
//! over: the same manifests run in a cluster. What the migration cannot do without is refused.
//!
//! The environment is Kubernetes': `envFrom`, then `env` in order, with `$(NAME)` for what is already known,
//! in `command` and `args` too. The names of the container contract cannot be taken by the container.

use std::collections::BTreeMap;
use std::path::Path;

use dbop_api::{DatabaseMigrationSpec, ManagedDatabaseSpec, Refusal, Subject};
use dbop_credentials::binding::MIGRATOR_VARIABLES_SHOWN;
use dbop_engine::PlatformError;
use dbop_model::ObjectRef;
use k8s_openapi::api::core::v1::{Container, EnvFromSource, EnvVar, EnvVarSource};
use secrecy::{ExposeSecret as _, SecretString};

use crate::manifests::Manifests;
use crate::runtime::Runtime;

/// What this platform cannot do of what a database asks for its migrations.
pub(crate) fn check_database(of: &Subject, spec: &ManagedDatabaseSpec) -> Vec<Refusal> {
    let refusal = |_| Refusal {
        object: of.clone(),
        field: "spec.migrations.config".to_owned(),
        problem: "is not supported in a directory, where nothing is mounted".to_owned(),
        way_out: "drop it here, and name the values in the container's env, from the same Secret"
            .to_owned(),
    };
    spec.migrations.config.iter().map(refusal).collect()
}

/// What this platform cannot do of what a migration asks.
pub(crate) fn check_migration(
    of: &Subject,
    spec: &DatabaseMigrationSpec,
    runtime: Runtime,
) -> Vec<Refusal> {
    let mut refusals = check(of, &spec.container, runtime);
    refusals.extend(spec.parallelism.map(|_| Refusal {
        object: of.clone(),
        field: "spec.parallelism".to_owned(),
        problem: "is not supported in a directory, where a migration is one process".to_owned(),
        way_out: "drop it here, and let the command do all parts where JOB_COMPLETION_INDEX is not set"
            .to_owned(),
    }));
    refusals
}

fn check(of: &Subject, container: &Container, runtime: Runtime) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let mut refuse = |field: &str, problem: &str, way_out: &str| {
        refusals.push(Refusal {
            object: of.clone(),
            field: format!("spec.container.{field}"),
            problem: problem.to_owned(),
            way_out: way_out.to_owned(),
        });
    };
    let has = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    match runtime {
        Runtime::Process if !has(&container.command) && !has(&container.args) => refuse(
            "command",
            "is missing, and a directory's migrations run as processes",
            "name the command, or run the image with --runtime podman or docker",
        ),
        Runtime::Process if !has(&container.command) => refuse(
            "command",
            "is missing: args alone are for an image's own command",
            "name the command, or run the image with --runtime podman or docker",
        ),
        Runtime::Podman | Runtime::Docker
            if container.image.as_ref().is_none_or(String::is_empty) =>
        {
            refuse("image", "is missing", "name it, or leave out --runtime");
        }
        _ => {}
    }
    let given = |list: usize| list > 0;
    if given(container.volume_mounts.as_ref().map_or(0, Vec::len)) {
        refuse(
            "volumeMounts",
            "is not supported in a directory",
            "read files from the directory: the command runs in it",
        );
    }
    if given(container.volume_devices.as_ref().map_or(0, Vec::len)) {
        refuse("volumeDevices", "is not supported in a directory", "");
    }
    for (nth, variable) in container.env.iter().flatten().enumerate() {
        let Some(EnvVarSource {
            field_ref,
            resource_field_ref,
            config_map_key_ref,
            secret_key_ref,
        }) = &variable.value_from
        else {
            continue;
        };
        let field = format!("env[{nth}].valueFrom");
        if field_ref.is_some() || resource_field_ref.is_some() {
            refuse(
                &field,
                "is about a Pod, and a directory has none",
                "give a value",
            );
        } else if config_map_key_ref.is_none() && secret_key_ref.is_none() {
            refuse(&field, "names neither a Secret nor a ConfigMap", "");
        }
    }
    for (nth, source) in container.env_from.iter().flatten().enumerate() {
        if source.config_map_ref.is_none() && source.secret_ref.is_none() {
            refuse(
                &format!("envFrom[{nth}]"),
                "names neither a Secret nor a ConfigMap",
                "",
            );
        }
    }
    refusals
}

/// A process to be started: what it runs, where, and with what. Holds passwords: no `Debug`.
pub(crate) struct Launch {
    /// The program and its arguments, at least one.
    pub(crate) command: Vec<String>,
    /// Where it runs; `None`: in the directory.
    pub(crate) working_directory: Option<String>,
    /// The container's environment and the contract's.
    pub(crate) environment: BTreeMap<String, String>,
    /// What must not be shown of what the process says.
    pub(crate) secrets: Vec<SecretString>,
}

/// What the contract puts into a container's environment.
pub(crate) struct Contract<'a> {
    /// What is no secret.
    pub(crate) plain: &'a BTreeMap<String, String>,
    /// What is, and what goes with it.
    pub(crate) secret: &'a BTreeMap<String, SecretString>,
}

/// Puts together what a container comes to.
///
/// # Errors
/// A Secret, ConfigMap or key that is named and does not exist.
pub(crate) fn launch(
    migration: &ObjectRef,
    container: &Container,
    contract: &Contract<'_>,
    manifests: &Manifests,
) -> Result<Launch, PlatformError> {
    let mut build = Build {
        migration,
        manifests,
        environment: contract.plain.clone(),
        secrets: Vec::new(),
    };
    for (name, value) in contract.secret {
        build
            .environment
            .insert(name.clone(), value.expose_secret().to_owned());
        if !MIGRATOR_VARIABLES_SHOWN.contains(&name.as_str()) {
            build.secrets.push(value.clone());
        }
    }
    let reserved = build.environment.clone();
    for (nth, source) in container.env_from.iter().flatten().enumerate() {
        build.whole(source, &format!("envFrom[{nth}]"), &reserved)?;
    }
    for (nth, variable) in container.env.iter().flatten().enumerate() {
        if !reserved.contains_key(&variable.name) {
            build.variable(variable, &format!("env[{nth}]"))?;
        }
    }
    let words = container.command.iter().chain(&container.args).flatten();
    let command = words.map(|word| expand(word, &build.environment)).collect();
    Ok(Launch {
        command,
        working_directory: container.working_dir.clone().filter(|dir| !dir.is_empty()),
        environment: build.environment,
        secrets: build.secrets,
    })
}

struct Build<'a> {
    migration: &'a ObjectRef,
    manifests: &'a Manifests,
    environment: BTreeMap<String, String>,
    secrets: Vec<SecretString>,
}

impl Build<'_> {
    /// All keys of a Secret or ConfigMap.
    fn whole(
        &mut self,
        source: &EnvFromSource,
        field: &str,
        reserved: &BTreeMap<String, String>,
    ) -> Result<(), PlatformError> {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let mut found: Vec<(String, String)> = Vec::new();
        if let Some(from) = &source.config_map_ref {
            let id = self.named(&from.name, field)?;
            match self.manifests.config_maps.get(&id) {
                Some(map) => found.extend(map.data.clone()),
                None if from.optional == Some(true) => {}
                None => return Err(self.missing(field, "ConfigMap", &id, None)),
            }
        }
        if let Some(from) = &source.secret_ref {
            let id = self.named(&from.name, field)?;
            match self.manifests.secrets.get(&id) {
                Some(secret) => {
                    for (key, value) in secret.iter() {
                        self.secrets.push(value.clone());
                        found.push((key.clone(), value.expose_secret().to_owned()));
                    }
                }
                None if from.optional == Some(true) => {}
                None => return Err(self.missing(field, "Secret", &id, None)),
            }
        }
        for (key, value) in found {
            let name = format!("{prefix}{key}");
            // As Kubernetes does: a key that is no name of a variable is left out.
            if is_variable(&name) && !reserved.contains_key(&name) {
                self.environment.insert(name, value);
            }
        }
        Ok(())
    }

    fn variable(&mut self, variable: &EnvVar, field: &str) -> Result<(), PlatformError> {
        let value = match &variable.value_from {
            None => {
                let value = variable.value.as_deref().unwrap_or_default();
                Some(expand(value, &self.environment))
            }
            Some(source) => self.reference(source, field)?,
        };
        if let Some(value) = value {
            self.environment.insert(variable.name.clone(), value);
        }
        Ok(())
    }

    /// The value of one key; `None`: it is optional and not there.
    fn reference(
        &mut self,
        source: &EnvVarSource,
        field: &str,
    ) -> Result<Option<String>, PlatformError> {
        if let Some(from) = &source.secret_key_ref {
            let id = self.named(&from.name, field)?;
            let value = self
                .manifests
                .secrets
                .get(&id)
                .and_then(|secret| secret.get(&from.key));
            return match value {
                Some(value) => {
                    self.secrets.push(value.clone());
                    Ok(Some(value.expose_secret().to_owned()))
                }
                None if from.optional == Some(true) => Ok(None),
                None => Err(self.missing(field, "Secret", &id, Some(&from.key))),
            };
        }
        if let Some(from) = &source.config_map_key_ref {
            let id = self.named(&from.name, field)?;
            let value = self
                .manifests
                .config_maps
                .get(&id)
                .and_then(|map| map.data.get(&from.key));
            return match value {
                Some(value) => Ok(Some(value.clone())),
                None if from.optional == Some(true) => Ok(None),
                None => Err(self.missing(field, "ConfigMap", &id, Some(&from.key))),
            };
        }
        Ok(None)
    }

    fn named(&self, name: &str, field: &str) -> Result<ObjectRef, PlatformError> {
        ObjectRef::new(self.migration.namespace(), name).map_err(|error| {
            let migration = self.migration;
            PlatformError::Refused(format!(
                "DatabaseMigration {migration}: spec.container.{field}: the name {error}"
            ))
        })
    }

    fn missing(&self, field: &str, kind: &str, id: &ObjectRef, key: Option<&str>) -> PlatformError {
        let migration = self.migration;
        let what = match key {
            Some(key) => format!("{kind} {id} with a key {key}, as text,"),
            None => format!("{kind} {id}"),
        };
        PlatformError::Missing(format!(
            "DatabaseMigration {migration}: spec.container.{field}: {what} does not stand in the \
             directory's manifests; add it"
        ))
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

/// `$(NAME)` becomes the variable's value, `$$` a dollar; what is not known stays as it is (Kubernetes,
/// "Define Dependent Environment Variables").
fn expand(text: &str, environment: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest
            .strip_prefix('(')
            .and_then(|inner| inner.split_once(')'))
        {
            match environment.get(name) {
                Some(value) => out.push_str(value),
                None => out.push_str(&format!("$({name})")),
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    out
}

/// The command line of a container runtime that runs `image` with this launch. Variables are named, and their
/// values are in the runtime's own environment: an argument is seen by everybody on the machine.
pub(crate) fn runtime_command(
    program: &str,
    job: &str,
    container: &Container,
    launch: &Launch,
) -> Vec<String> {
    let mut words: Vec<String> = [program, "run", "--rm", "--name", job, "--network", "host"]
        .map(str::to_owned)
        .into();
    for name in launch.environment.keys() {
        words.extend(["--env".to_owned(), name.clone()]);
    }
    if let Some(directory) = &launch.working_directory {
        words.extend(["--workdir".to_owned(), directory.clone()]);
    }
    let pull = match container.image_pull_policy.as_deref() {
        Some("Always") => Some("always"),
        Some("Never") => Some("never"),
        _ => None,
    };
    words.extend(pull.map(|pull| format!("--pull={pull}")));
    // An image's entry point is what Kubernetes' `command` replaces.
    let own = container.command.as_ref().map_or(0, Vec::len);
    let (command, arguments) = launch.command.split_at(own.min(launch.command.len()));
    if let Some(entry) = command.first() {
        words.extend(["--entrypoint".to_owned(), entry.clone()]);
    }
    words.push(container.image.clone().unwrap_or_default());
    words.extend(command.iter().skip(1).cloned());
    words.extend(arguments.iter().cloned());
    words
}

/// Where a process is started: `directory`, or below it.
pub(crate) fn working_directory(directory: &Path, launch: &Launch) -> std::path::PathBuf {
    match &launch.working_directory {
        Some(below) => directory.join(below),
        None => directory.to_owned(),
    }
}

#[cfg(test)]
mod tests;

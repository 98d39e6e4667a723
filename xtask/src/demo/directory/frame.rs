//! What is said before the first act and after the last.

use std::path::Path;

use super::stage::Stage;
use crate::demo::facts::{CUSTOMERS, grouped};
use crate::demo::tell::{self, line, prose};
use crate::workspace;

/// What is going to be seen.
pub(super) fn opening(server: &str) {
    line("Database Operator: a column is renamed while an application works on it");
    line("");
    prose(&format!(
        "You will see three real programs: {server} with a table of {} customers; an application that \
         adds, renames and reads customers all the time; and database-operator, which walks the schema \
         from version to version. The column customers.name is to be called full_name. A plain RENAME \
         would break the application in the same instant, so it takes four phases, and each phase needs \
         a new release of the application.",
        grouped(CUSTOMERS)
    ));
    line("");
    prose(
        "What usually goes wrong is that a phase begins while an old release is still connected \
         somewhere. Here every schema version has a login of its own, published as a Secret, and an old \
         login is taken away only when provably nobody uses it. All of it happens in a temporary \
         directory, takes about a minute, and leaves nothing behind; with --keep it stays, for trying \
         what is marked \"See it yourself\".",
    );
    line("");
}

/// What to do with what was left running.
pub(super) fn keep(stage: &Stage) {
    let programs = stage.programs().display();
    let next = stage.origin().join("next");
    let next = next.display();
    line("");
    line("Everything is still running: the server, the operator with --watch, and release v5.");
    line("In another terminal:");
    line("");
    line(&format!("  export PATH={programs}:$PATH"));
    line(&format!("  cd {}", stage.manifests().display()));
    tell::to_try(&[
        (
            "Where the database stands, and who uses which credential:",
            vec!["database-operator status --local .".to_owned()],
        ),
        (
            "Spoil a Secret: what is not the password is put back.",
            vec!["echo nonsense > .dbop/secrets/default/shop-v5/port".to_owned()],
        ),
        (
            "Start the old release, and ask for one version more. It waits for you, until you stop it:",
            vec![
                "shop-app v4 .dbop/secrets/default/shop-v4 > /dev/null &".to_owned(),
                format!("cp {next}/0006_add_phone.sql migrations/"),
                format!("cp {next}/v6.yaml ."),
                "sed -i 's/desiredSchemaVersion: v5/desiredSchemaVersion: v6/' shop.yaml"
                    .to_owned(),
                "kill %1".to_owned(),
            ],
        ),
    ]);
    line("What the operator does is shown below. Ctrl-C here stops everything and removes it.");
    line("");
}

/// Three commands for the way on.
pub(super) fn next_steps(root: &Path) {
    let target = workspace::target(root);
    let operator = target.join("debug/database-operator");
    let operator = operator.strip_prefix(root).unwrap_or(&operator).display();
    tell::next_steps(&[
        (
            "cargo xtask demo --keep".to_owned(),
            "the same, and it stays, to play with",
        ),
        (
            "cargo xtask demo --cluster".to_owned(),
            "the same in a cluster, with Deployments, Secrets and Jobs",
        ),
        (
            format!("{operator} local --help"),
            "your own database: a directory of the same YAML, and your own migration tool",
        ),
    ]);
}

//! What is said before the first act and after the last.

use anyhow::Result;

use super::stage::Stage;
use crate::demo::facts::{CUSTOMERS, grouped};
use crate::demo::tell::{self, line, prose};

/// What is going to be seen.
pub(super) fn opening() {
    line(
        "Database Operator: a column is renamed while an application works on it, in a Kubernetes cluster",
    );
    line("");
    prose(&format!(
        "You will see real Pods on a real node: the operator; an application, as Deployments, that adds, \
         renames and reads customers all the time; and migrations, as Jobs, on a PostgreSQL with a table of {} \
         customers. The column customers.name is to be called full_name. A plain RENAME would break the \
         application in the same instant, so it takes four phases, and each phase needs a new release of the \
         application.",
        grouped(CUSTOMERS)
    ));
    line("");
    prose(
        "What usually goes wrong is that a phase begins while an old release is still connected somewhere. Here \
         every schema version has a login of its own, published as a Secret that its release mounts, and an old \
         login is taken away only when provably nobody uses it. All of it happens in two namespaces of the \
         demo's own, takes about two minutes, and leaves nothing behind; with --keep it stays, for trying what \
         is marked \"See it yourself\".",
    );
    line("");
}

/// What to do with what was left running.
pub(super) fn keep(stage: &Stage) -> Result<()> {
    stage.bring("next/v6.yaml")?;
    stage.bring_release("reports", "v4")?;
    line("");
    line("Everything is still running: the server, the operator, and release v5 of the shop.");
    line("In another terminal:");
    line("");
    line(&format!("  cd {}", stage.folder().display()));
    line(&format!(
        "  export KUBECONFIG={}",
        stage.kubeconfig().display()
    ));
    if let Some(program) = &stage.kubectl.ours {
        line(&format!("  alias kubectl='{} kubectl'", program.display()));
    }
    tell::to_try(&[
        (
            "Where the database stands, and who uses which credential:",
            vec![
                "kubectl get mdb".to_owned(),
                "kubectl exec -n dbop-demo-operator deploy/database-operator -- database-operator status \
                 -n dbop-demo"
                    .to_owned(),
            ],
        ),
        (
            "Spoil a Secret: what is not the password is put back.",
            vec![
                r#"kubectl patch secret shop-v5 -p '{"stringData":{"port":"1"}}'"#.to_owned(),
                "kubectl get secret shop-v5 -o 'go-template={{.data.port | base64decode}}'".to_owned(),
            ],
        ),
        (
            "Start the old release, and ask for one version more. It waits for you, until you delete it:",
            vec![
                "kubectl apply -f reports-v4.yaml -f v6.yaml".to_owned(),
                r#"kubectl patch mdb shop --type merge -p '{"spec":{"desiredSchemaVersion":"v6"}}'"#
                    .to_owned(),
                "kubectl get mdb --watch".to_owned(),
                "kubectl delete deployment reports".to_owned(),
            ],
        ),
    ]);
    line("What the operator says is shown below. Ctrl-C here removes everything.");
    line("");
    Ok(())
}

/// Three commands for the way on.
pub(super) fn next_steps() {
    tell::next_steps(&[
        (
            "cargo xtask demo --cluster --keep".to_owned(),
            "the same, and it stays, to play with",
        ),
        (
            "cargo xtask demo".to_owned(),
            "the same in a directory, in less than a minute, without a cluster",
        ),
        (
            "cargo xtask dist".to_owned(),
            "an image and install.yaml for your own cluster; docs/install.md says how to go on",
        ),
    ]);
}

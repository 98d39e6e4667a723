//! `rbac`: what the operator may do in a cluster, as manifests; for `cargo xtask codegen`.

use dbop_kubernetes::rbac::{Manifest, yaml};

use super::{Done, Exit, print};
use crate::render::Failure;

pub(super) fn run(manifest: &str) -> Done {
    let found = Manifest::ALL.iter().find(|(name, _)| *name == manifest);
    let Some((_, found)) = found else {
        let names = Manifest::ALL.map(|(name, _)| name).join(", ");
        let failure = Failure::new(format!("there are no manifests named {manifest}"));
        return Err(failure.or(format!("write one of {names}")).into());
    };
    print(yaml(*found).trim_end())?;
    Ok(Exit::Done)
}

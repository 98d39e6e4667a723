//! `crds`: the CustomResourceDefinitions as YAML, or as a JSON list; and `shapes`, what objects are checked against.

use super::{Console, Done, Exit, print};
use crate::cli::Output;

pub(super) fn run(console: Console) -> Done {
    match console.output() {
        Output::Text => print(dbop_api::crds_yaml().trim_end())?,
        Output::Json => console.result("", &dbop_api::crds())?,
    }
    Ok(Exit::Done)
}

pub(super) fn shapes() -> Done {
    print(&dbop_api::shapes_json())?;
    Ok(Exit::Done)
}

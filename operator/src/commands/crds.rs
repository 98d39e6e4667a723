//! `crds`: the CustomResourceDefinitions as YAML, or as a JSON list; `shapes`, what objects are checked against; and
//! `rule-pages`, what people read of the hint rules.

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

/// One after the other, each after a line with its file's name.
pub(super) fn rule_pages() -> Done {
    let pages = dbop_hints::pages();
    let pages = pages
        .iter()
        .map(|(name, text)| format!("%%% {name}\n{text}"));
    print(pages.collect::<String>().trim_end())?;
    Ok(Exit::Done)
}

//! One of the functions of dbop-fuzz, the one that `DBOP_FUZZ_TARGET` names, under libFuzzer.

#![no_main]

use std::sync::OnceLock;

use dbop_fuzz::TARGETS;
use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

fn target() -> fn(&[u8]) {
    let name = std::env::var("DBOP_FUZZ_TARGET").expect("DBOP_FUZZ_TARGET names what is fuzzed");
    let found = TARGETS.into_iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("nothing is called {name}")).1
}

fuzz_target!(|bytes: &[u8]| TARGET.get_or_init(target)(bytes));

//! Manifests, as files of YAML and as objects that an API server passes on: what is accepted can be written, and is
//! accepted again as the same.

use std::path::Path;

use dbop_api::{Refusals, kind_of, parse_database_migration, parse_managed_database};
use dbop_model::{DatabaseSpec, Migration};
use serde::Serialize;
use serde_json::Value;

/// The text as YAML, of which JSON is a part.
pub(crate) fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match dbop_local::manifests::migrations(Path::new("manifests.yaml"), &text) {
        Ok(found) => {
            for migration in found.migrations.values() {
                is_accepted_again(&migration.object, parse_database_migration);
            }
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            for problem in problems {
                assert!(!problem.text.is_empty(), "{problem:?}");
            }
        }
    }
    let options = serde_saphyr::options! {
        with_snippet: false,
        legacy_octal_numbers: true,
        // As many as are read for the platform.
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 20_000 },
    };
    let Ok(documents) = serde_saphyr::from_multiple_with_options::<Value>(&text, options) else {
        return;
    };
    documents.into_iter().for_each(document);
}

fn document(document: Value) {
    let kind = kind_of(&document);
    if let Some(database) = accepted(parse_managed_database(document.clone())) {
        assert_eq!(kind, Some(dbop_api::MANAGED_DATABASE));
        let again = is_accepted_again(&database, parse_managed_database);
        let of = |object| accepted(DatabaseSpec::try_from(object));
        assert_eq!(of(&again), of(&database));
    }
    if let Some(migration) = accepted(parse_database_migration(document)) {
        assert_eq!(kind, Some(dbop_api::DATABASE_MIGRATION));
        let again = is_accepted_again(&migration, parse_database_migration);
        let of = |object| accepted(Migration::try_from(object));
        assert_eq!(of(&again), of(&migration));
    }
}

/// What was accepted; what was not is told with an object and a reason.
fn accepted<T>(read: Result<T, Refusals>) -> Option<T> {
    match read {
        Ok(object) => Some(object),
        Err(refusals) => {
            assert!(!refusals.to_string().trim().is_empty(), "{refusals:?}");
            None
        }
    }
}

fn is_accepted_again<T: Serialize + PartialEq + std::fmt::Debug>(
    object: &T,
    parse: fn(Value) -> Result<T, Refusals>,
) -> T {
    let written = serde_json::to_value(object).expect("what was read can be written");
    let again = parse(written).unwrap_or_else(|refusals| panic!("{refusals}: {object:?}"));
    assert_eq!(&again, object);
    again
}

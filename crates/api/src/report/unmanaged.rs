//! Logins that are connected and none of the operator's making.

use dbop_model::{Fact, UnmanagedLogin};
use dbop_plan::Facts;

use crate::migration::LIST_ITEMS_MAX;
use crate::status::UnmanagedLoginStatus;

/// How many users of a login are named: enough to find them, however many there are.
const NAMED_MAX: usize = 10;

/// Those that are seen, by name. While the database cannot be looked at: as last seen.
pub(super) fn of(facts: &Facts, old: &[UnmanagedLoginStatus]) -> Vec<UnmanagedLoginStatus> {
    let Fact::Known(database) = &facts.database else {
        return old.to_vec();
    };
    let Fact::Known(connected) = &database.unmanaged else {
        return old.to_vec();
    };
    let admin = &database.admin;
    let mut all: Vec<UnmanagedLoginStatus> = connected
        .iter()
        .map(|login| UnmanagedLoginStatus {
            username: login.name.clone(),
            admin: login.name == *admin,
            used_by: from(login),
        })
        .collect();
    if !facts.admin_references.is_empty() {
        let place = all.iter().position(|login| login.admin).unwrap_or_else(|| {
            all.push(UnmanagedLoginStatus {
                username: admin.clone(),
                admin: true,
                used_by: Vec::new(),
            });
            all.len() - 1
        });
        let references = facts.admin_references.iter().map(ToString::to_string);
        all[place].used_by.splice(0..0, references);
    }
    for login in &mut all {
        login.used_by.truncate(NAMED_MAX);
    }
    all.sort_by(|one, other| one.username.cmp(&other.username));
    all.truncate(LIST_ITEMS_MAX as usize);
    all
}

fn from(login: &UnmanagedLogin) -> Vec<String> {
    let of = |address: &String| format!("sessions from {address}");
    if login.addresses.is_empty() {
        return vec!["sessions, address not shown".to_owned()];
    }
    login.addresses.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use dbop_model::Why;
    use dbop_plan::{Reference, example};

    use super::*;

    fn seen(connected: &[(&str, &[&str])], references: &[&str]) -> Vec<(String, bool, String)> {
        let mut facts = example::facts().unwrap();
        let Fact::Known(database) = &mut facts.database else {
            unreachable!("the example is reachable")
        };
        let login = |(name, addresses): &(&str, &[&str])| UnmanagedLogin {
            name: (*name).to_owned(),
            addresses: addresses.iter().map(|a| (*a).to_owned()).collect(),
        };
        database.unmanaged = Fact::Known(connected.iter().map(login).collect());
        let reference = |name: &&str| Reference {
            kind: "Pod".to_owned(),
            name: (*name).to_owned(),
            how: "container api, env DSN".to_owned(),
            made_at: None,
        };
        facts.admin_references = references.iter().map(reference).collect();
        of(&facts, &[])
            .into_iter()
            .map(|login| (login.username, login.admin, login.used_by.join("; ")))
            .collect()
    }

    #[test]
    fn who_is_connected_is_named_with_where_from() {
        let legacy = "sessions from 10.0.0.1; sessions from 10.0.0.2";
        assert_eq!(
            seen(
                &[("person", &[]), ("legacy", &["10.0.0.1", "10.0.0.2"])],
                &[]
            ),
            [
                ("legacy".to_owned(), false, legacy.to_owned()),
                (
                    "person".to_owned(),
                    false,
                    "sessions, address not shown".to_owned()
                ),
            ]
        );
    }

    #[test]
    fn a_pod_that_has_the_admins_dsn_is_named_whether_connected_or_not() {
        let pod = "Pod api (container api, env DSN)";
        assert_eq!(
            seen(&[], &["api"]),
            [("dbop_admin".to_owned(), true, pod.to_owned())]
        );
        assert_eq!(
            seen(&[("dbop_admin", &["10.0.0.9"])], &["api"]),
            [(
                "dbop_admin".to_owned(),
                true,
                format!("{pod}; sessions from 10.0.0.9")
            )]
        );
    }

    #[test]
    fn users_are_bounded_and_what_cannot_be_seen_stays() {
        let many: Vec<String> = (0..40).map(|nth| format!("10.0.0.{nth}")).collect();
        let many: BTreeSet<&str> = many.iter().map(String::as_str).collect();
        let many: Vec<&str> = many.into_iter().collect();
        let found = seen(&[("legacy", &many)], &[]);
        assert_eq!(found[0].2.split("; ").count(), NAMED_MAX);
        let old = vec![UnmanagedLoginStatus {
            username: "legacy".to_owned(),
            admin: false,
            used_by: Vec::new(),
        }];
        let mut facts = example::facts().unwrap();
        facts.database = Fact::Unknown(Why::new("connection refused"));
        assert_eq!(of(&facts, &old), old);
    }
}

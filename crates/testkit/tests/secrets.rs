//! The Secrets of credentials on the fake platform: what is changed by hand is put back, whatever else is under way, and
//! what the spec adds to them follows the spec.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot make its names should fail"
)]

#[path = "support/story.rs"]
mod support;

use std::collections::BTreeMap;

use dbop_credentials::names;
use dbop_model::finding::{HintMode, HintPolicy};
use dbop_model::operation::{Column, Operation};
use dbop_model::{Chain, KeyTemplate, Preset, SecretName, SecretTemplate};
use dbop_plan::example;
use dbop_testkit::sim::Sim;
use dbop_testkit::sim::actors::{Application, Habit, Script};
use dbop_testkit::sim::world::{Race, Stored, World};
use jiff::SignedDuration;
use support::{HOUR, MINUTE, check_shows, story, v, world};

fn map(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn template(own: &[(&str, &str)], presets: &[Preset]) -> SecretTemplate {
    let parsed = |(key, text): &(&str, &str)| {
        let template = KeyTemplate::parse(text).unwrap();
        ((*key).to_owned(), template)
    };
    SecretTemplate {
        labels: map(&[("team", "shop")]),
        annotations: map(&[("note", "of the shop")]),
        presets: presets.iter().copied().collect(),
        keys: own.iter().map(parsed).collect(),
        ..SecretTemplate::default()
    }
}

/// At rest at `v2`, with a template.
fn at_rest() -> Sim {
    let mut world = world(2);
    let of = template(
        &[("dsn", "{username}:{password}@{host}")],
        &[Preset::PgPass],
    );
    world.desired.database.credentials.secret_template = of;
    let mut sim = Sim::new(world, 1);
    assert!(sim.settle(HOUR), "{}", story(&sim));
    sim
}

fn secret_of(sim: &Sim, migration: &str) -> SecretName {
    names::secret(&sim.world().desired.database.id, &v(migration))
}

#[track_caller]
fn held(sim: &Sim, migration: &str) -> Stored {
    let name = secret_of(sim, migration);
    let found = sim.world().secrets.get(&name).cloned();
    found.unwrap_or_else(|| panic!("there is no Secret {name}\n{}", story(sim)))
}

/// Wants `v3`, and keeps the template.
fn want_v3(sim: &mut Sim, change: impl FnOnce(&mut World)) {
    let mut world = sim.world();
    let of = world.desired.database.credentials.clone();
    world.desired = example::desired(3).unwrap();
    world.desired.database.credentials = of;
    change(&mut world);
}

/// A situation that the database stays in, and what is shown meanwhile.
type Situation = (&'static str, fn() -> Sim);

const SITUATIONS: [Situation; 5] = [
    ("at rest", at_rest),
    ("waits: ", || {
        let mut sim = at_rest();
        want_v3(&mut sim, |world| {
            let takes = SignedDuration::from_hours(9);
            let slow = Script {
                takes,
                ..Script::default()
            };
            world.scripts.insert(v("v3"), slow);
        });
        sim.pass(MINUTE);
        assert!(!sim.world().quiet(), "{}", story(&sim));
        sim
    }),
    ("blocked: the run of v3", || {
        let mut sim = at_rest();
        want_v3(&mut sim, |world| {
            let fails = Script {
                moves_version: false,
                succeeds: false,
                ..Script::default()
            };
            world.scripts.insert(v("v3"), fails);
        });
        sim.pass(MINUTE);
        sim
    }),
    ("blocked: ", || {
        let mut sim = at_rest();
        want_v3(&mut sim, |world| {
            // There is no such table.
            let table = "public.customers".parse().unwrap();
            let column = Column::new("email".parse().unwrap()).with_nullable(false);
            let mut migrations: Vec<_> = world.desired.chain.iter().cloned().collect();
            migrations[2].hints = Some(vec![Operation::alter_column(table, vec![column]).unwrap()]);
            world.desired.chain = Chain::new(migrations);
            world.desired.database.hints = HintPolicy {
                mode: HintMode::Block,
                ..HintPolicy::default()
            };
        });
        sim
    }),
    ("waits: credential v1 is still used by", || {
        let mut sim = at_rest();
        want_v3(&mut sim, |world| {
            let mut old = Application::new("old", &v("v1"), Habit::Pool);
            old.next = world.now;
            old.moves_on = None;
            world.applications.push(old);
        });
        sim
    }),
];

/// What somebody does by hand to the Secret or the login of `v2`, and whether the password is lost with it.
type Damage = (&'static str, bool, fn(&mut World, &SecretName, &str));

fn edit(world: &mut World, name: &SecretName, change: impl FnOnce(&mut Stored)) {
    let stored = world.secrets.get_mut(name).unwrap();
    stored.revision += 1;
    change(stored);
}

fn set(stored: &mut Stored, key: &str, value: &str) {
    stored.data.insert(key.to_owned(), value.to_owned());
}

const DAMAGES: [Damage; 10] = [
    ("a standard key is changed", false, |world, name, _| {
        edit(world, name, |stored| set(stored, "host", "elsewhere"));
    }),
    ("a standard key is removed", false, |world, name, _| {
        edit(world, name, |stored| drop(stored.data.remove("uri")));
    }),
    (
        "a key of the template is changed",
        false,
        |world, name, _| {
            edit(world, name, |stored| set(stored, "dsn", "elsewhere"));
        },
    ),
    ("a preset's key is removed", false, |world, name, _| {
        edit(world, name, |stored| drop(stored.data.remove("pgpass")));
    }),
    ("a label is changed", false, |world, name, _| {
        edit(world, name, |stored| {
            stored.dress.labels = map(&[("team", "other")]);
        });
    }),
    (
        "the record of the template is lost",
        false,
        |world, name, _| {
            edit(world, name, |stored| stored.dress = Default::default());
        },
    ),
    ("a CA is added", false, |world, name, _| {
        edit(world, name, |stored| set(stored, "ca.crt", "mine"));
    }),
    ("the Secret is deleted", true, |world, name, _| {
        world.secrets.remove(name);
    }),
    (
        "the login's password is changed",
        false,
        |world, _, login| {
            world.db.set_password(login, "by hand");
        },
    ),
    ("the login is dropped", false, |world, _, login| {
        world.db.drop_role(login);
    }),
];

#[test]
fn what_is_changed_by_hand_is_put_back_whatever_is_under_way() {
    for (shows, situation) in SITUATIONS {
        for (what, is_lost, damage) in DAMAGES {
            let mut sim = situation();
            check_shows(&mut sim, shows);
            let name = secret_of(&sim, "v2");
            let before = held(&sim, "v2");
            let runs = sim.world().ledger.runs.clone();
            damage(&mut sim.world(), &name, &before.data["username"]);
            check_shows(&mut sim, shows);
            let after = held(&sim, "v2");
            let at = format!("{shows}: {what}\n{}", story(&sim));
            if is_lost {
                let known = |of: &Stored| {
                    let mut known = of.data.clone();
                    known.retain(|_, value| !value.contains(&of.data["password"]));
                    known
                };
                assert_eq!(known(&after), known(&before), "{at}");
                assert_eq!(after.data.len(), before.data.len(), "{at}");
            } else {
                assert_eq!(after.data, before.data, "{at}");
            }
            assert_eq!(after.dress, before.dress, "{at}");
            assert_eq!(sim.world().end().logins.get(&v("v2")), Some(&true), "{at}");
            assert_eq!(sim.world().ledger.runs, runs, "{at}");
        }
    }
}

#[test]
fn a_changed_template_is_made_in_place_and_leaves_what_people_added() {
    let mut sim = at_rest();
    let before = held(&sim, "v2");
    assert!(before.data["dsn"].starts_with(&before.data["username"]));
    assert!(before.data["pgpass"].starts_with("fake.test:5432:shop:"));
    let name = secret_of(&sim, "v2");
    edit(&mut sim.world(), &name, |stored| {
        set(stored, "theirs", "stays");
    });
    sim.world().desired.database.credentials.secret_template = SecretTemplate {
        labels: map(&[("tier", "db")]),
        annotations: BTreeMap::new(),
        ..template(&[("dsn", "{host}"), ("more", "{port}")], &[])
    };
    assert!(sim.settle(HOUR), "{}", story(&sim));
    sim.pass(MINUTE);
    for migration in ["v1", "v2"] {
        let after = held(&sim, migration);
        assert_eq!(after.data["dsn"], "fake.test");
        assert_eq!(after.data["more"], "5432");
        assert!(
            !after.data.contains_key("pgpass"),
            "{:?}",
            after.data.keys()
        );
        assert_eq!(after.dress.labels, map(&[("tier", "db")]));
        assert!(after.dress.annotations.is_empty());
    }
    let after = held(&sim, "v2");
    assert_eq!(after.data["theirs"], "stays");
    assert_eq!(after.data["password"], before.data["password"]);

    // Nothing is left to do.
    let writes = sim.world().writes;
    sim.pass(HOUR);
    let after = sim.world().writes;
    assert_eq!(after, writes, "{}", story(&sim));
    sim.world().desired.database.credentials.secret_template = SecretTemplate::default();
    assert!(sim.settle(HOUR), "{}", story(&sim));
    sim.pass(MINUTE);
    let after = held(&sim, "v2");
    assert!(after.dress.is_empty());
    assert_eq!(after.data["theirs"], "stays");
    assert_eq!(after.data.len(), 9, "{:?}", after.data.keys());
}

#[test]
fn the_type_is_that_of_the_day_a_secret_was_made() {
    let mut sim = at_rest();
    assert_eq!(held(&sim, "v2").kind, "servicebinding.io/postgresql");
    let kind = Some("example.com/database".to_owned());
    sim.world()
        .desired
        .database
        .credentials
        .secret_template
        .kind = kind;
    let writes = sim.world().writes;
    sim.pass(HOUR);
    let after = sim.world().writes;
    assert_eq!(after, writes, "{}", story(&sim));
    want_v3(&mut sim, |_| ());
    assert!(sim.settle(HOUR), "{}", story(&sim));
    assert_eq!(held(&sim, "v2").kind, "servicebinding.io/postgresql");
    assert_eq!(held(&sim, "v3").kind, "example.com/database");
}

#[test]
fn the_ca_is_the_one_that_the_database_is_verified_by() {
    let mut sim = at_rest();
    let of = template(&[("bundle", "{ca}")], &[Preset::PgService]);
    sim.world().desired.database.credentials.secret_template = of;
    let password = held(&sim, "v2").data["password"].clone();
    for ca in [None, Some("the first"), Some("the second"), None] {
        sim.world().db.set_ca(ca);
        sim.pass(MINUTE);
        for migration in ["v1", "v2"] {
            let data = held(&sim, migration).data;
            let at = format!("{ca:?}\n{}", story(&sim));
            assert_eq!(data.get("ca.crt").map(String::as_str), ca, "{at}");
            assert_eq!(data.get("bundle").map(String::as_str), ca, "{at}");
            let named = data["pg_service.conf"].contains("sslrootcert=/credential/ca.crt");
            assert_eq!(named, ca.is_some(), "{at}");
        }
        assert_eq!(held(&sim, "v2").data["password"], password);
    }
}

#[test]
fn a_retirement_that_is_given_up_puts_back_the_same_secret() {
    let mut sim = at_rest();
    let name = secret_of(&sim, "v1");
    edit(&mut sim.world(), &name, |stored| {
        set(stored, "theirs", "stays");
    });
    let before = held(&sim, "v1");
    want_v3(&mut sim, |world| {
        world.race = Some(Race::ReferenceBeforeDelete);
    });
    for _ in 0..600 {
        sim.pass(SignedDuration::from_secs(1));
        if sim.world().race.is_none() {
            break;
        }
    }
    assert!(sim.world().race.is_none(), "{}", story(&sim));
    let after = held(&sim, "v1");
    assert_eq!(after.data, before.data, "{}", story(&sim));
    assert_eq!((after.dress, after.kind), (before.dress, before.kind));
}

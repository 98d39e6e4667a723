//! Names derive from the database object, the migration and the claim, and nothing else: a restore, a
//! failover or a new address changes none of them.
//!
//! A login is `<database>_<migration>_<claim>`, the one that takes turns with it `<database>_<migration>_<claim>_2`, a
//! role of ours `<database>_<claim>_<role>`. Object names and claims hold no underscore, and no role is called 2, so
//! none of them can ever meet. What is too long for the server is cut and told apart by a hash of the whole.

use dbop_model::{
    ClaimId, Engine, JobName, LoginName, LoginTurn, MigrationName, ObjectRef, RoleName, SecretName,
};
use sha2::{Digest as _, Sha256};

/// PostgreSQL cuts identifiers at `NAMEDATALEN - 1` bytes (PostgreSQL manual, section 4.1.1).
pub const POSTGRES_NAME_BYTES_MAX: usize = 63;
/// MySQL allows user names of 32 characters (MySQL 8.4 manual, section 8.2.1). MariaDB allows more, and gets the
/// same names: a DSN need not say which of the two it is, and a dump moves between them.
pub const MYSQL_NAME_BYTES_MAX: usize = 32;
/// Kubernetes' limit for the name of a Secret.
const SECRET_NAME_BYTES_MAX: usize = 253;
/// Kubernetes' limit for a Job's name, which becomes a label of its Pods, is 63. Where a Job has parts, its
/// Pods' host names are `<job>-<part>`, DNS labels too, and there are at most 100,000 parts.
const JOB_NAME_BYTES_MAX: usize = 63 - "-99999".len();
/// Hexadecimal digits of the hash that tells cut names apart.
const HASH_DIGITS: usize = 10;
/// Hexadecimal digits of the hash in a Job's name: collisions must not happen by chance.
const JOB_HASH_DIGITS: usize = 16;
/// Random bytes of a claim's id: four give 2^32 ids, enough for the databases of one server.
pub const CLAIM_ID_BYTES: usize = 4;

/// A claim's id from random bytes.
pub fn claim_id(random: [u8; CLAIM_ID_BYTES]) -> ClaimId {
    parsed(hex(&random), ClaimId::new)
}

/// The first login of a migration's credential, within the engine's limit.
pub fn login(
    engine: Engine,
    database: &ObjectRef,
    migration: &MigrationName,
    claim: &ClaimId,
) -> LoginName {
    login_in_turn(engine, database, migration, claim, LoginTurn::First)
}

/// The login of a migration's credential whose turn it is, within the engine's limit.
pub fn login_in_turn(
    engine: Engine,
    database: &ObjectRef,
    migration: &MigrationName,
    claim: &ClaimId,
    turn: LoginTurn,
) -> LoginName {
    let (name, migration) = (database.name(), migration.as_str());
    let tail = match turn {
        LoginTurn::First => format!("_{claim}"),
        LoginTurn::Second => format!("_{claim}_2"),
    };
    parsed(
        fitted(
            &format!("{name}_{migration}"),
            &tail,
            name_bytes_max(engine),
        ),
        LoginName::new,
    )
}

/// The group role that holds the grants of a database's application logins, within the engine's limit.
pub fn group_role(engine: Engine, database: &ObjectRef, claim: &ClaimId) -> RoleName {
    parsed(role(engine, database, claim, "app"), RoleName::new)
}

/// The role that owns the objects, where the user names none of theirs. Only PostgreSQL's objects have owners.
pub fn owner_role(database: &ObjectRef, claim: &ClaimId) -> RoleName {
    parsed(
        role(Engine::PostgreSql, database, claim, "owner"),
        RoleName::new,
    )
}

/// The account that migrations run as, within the engine's limit.
pub fn migrator(engine: Engine, database: &ObjectRef, claim: &ClaimId) -> LoginName {
    parsed(role(engine, database, claim, "migrator"), LoginName::new)
}

/// The account that users' queries run as, within the engine's limit.
pub fn reader(engine: Engine, database: &ObjectRef, claim: &ClaimId) -> LoginName {
    parsed(role(engine, database, claim, "reader"), LoginName::new)
}

/// How long the name of an account may be.
fn name_bytes_max(engine: Engine) -> usize {
    match engine {
        Engine::PostgreSql => POSTGRES_NAME_BYTES_MAX,
        Engine::MySql | Engine::MariaDb => MYSQL_NAME_BYTES_MAX,
    }
}

/// The application Secret of a migration's credential: `<database>-<migration>`.
pub fn secret(database: &ObjectRef, migration: &MigrationName) -> SecretName {
    let whole = format!("{}-{migration}", database.name());
    parsed(fitted(&whole, "", SECRET_NAME_BYTES_MAX), SecretName::new)
}

/// The Job of a run: a hash of database, from, to and the run before it, so that two operators cannot
/// start one run twice, and a restored database can take the same step again.
pub fn job(
    database: &ObjectRef,
    from: Option<&MigrationName>,
    to: &MigrationName,
    run_before: Option<&JobName>,
) -> JobName {
    let run_before = run_before.map_or("", JobName::as_str);
    let from = from.map_or("", MigrationName::as_str);
    let seed = format!("{database}\n{from}\n{to}\n{run_before}");
    let suffix = format!(
        "-{}",
        &hex(&Sha256::digest(seed.as_bytes()))[..JOB_HASH_DIGITS]
    );
    let readable = format!("{}-{to}", database.name()).replace('.', "-");
    let mut head = cut(&readable, JOB_NAME_BYTES_MAX - suffix.len()).to_owned();
    while head.ends_with('-') {
        head.pop();
    }
    parsed(head + &suffix, JobName::new)
}

fn role(engine: Engine, database: &ObjectRef, claim: &ClaimId, role: &str) -> String {
    fitted(
        database.name(),
        &format!("_{claim}_{role}"),
        name_bytes_max(engine),
    )
}

/// `head` and `tail` within `max` bytes: a head that is too long is cut, and its hash put behind it.
fn fitted(head: &str, tail: &str, max: usize) -> String {
    if head.len() + tail.len() <= max {
        return format!("{head}{tail}");
    }
    let hash = &hex(&Sha256::digest(head.as_bytes()))[..HASH_DIGITS];
    // A claim's id is short; a mark with a long one was made by hand, and must not bring anything down.
    let kept = max.saturating_sub(tail.len() + HASH_DIGITS + 1);
    let kept = cut(head, kept).trim_end_matches(['-', '.', '_']);
    format!("{kept}-{hash}{tail}")
}

/// The longest prefix of `text` of at most `max` bytes.
fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Every name made here is well formed by construction: its parts are, and so are the joints.
fn parsed<T, E: std::fmt::Debug>(name: String, parse: impl FnOnce(String) -> Result<T, E>) -> T {
    parse(name).expect("names are made of well-formed parts")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop() -> ObjectRef {
        ObjectRef::new("shop", "shop").unwrap()
    }

    fn v(text: &str) -> MigrationName {
        MigrationName::new(text).unwrap()
    }

    #[test]
    fn roles_and_logins_never_meet() {
        let claim = ClaimId::new("9f31c0de").unwrap();
        assert_eq!(
            group_role(Engine::PostgreSql, &shop(), &claim).as_str(),
            "shop_9f31c0de_app"
        );
        assert_eq!(
            login(Engine::PostgreSql, &shop(), &v("app"), &claim).as_str(),
            "shop_app_9f31c0de"
        );
    }

    #[test]
    fn two_logins_take_turns_within_every_limit_and_meet_nothing() {
        let claim = ClaimId::new("9f31c0de").unwrap();
        let long = ObjectRef::new("ns", "d".repeat(60)).unwrap();
        for engine in [Engine::PostgreSql, Engine::MySql, Engine::MariaDb] {
            let mut all: Vec<String> = Vec::new();
            for (database, migration) in [
                (shop(), v("v1")),
                (shop(), v(&"m".repeat(200))),
                (long.clone(), v("v1")),
            ] {
                for turn in LoginTurn::ALL {
                    let name = login_in_turn(engine, &database, &migration, &claim, turn);
                    assert!(name.as_str().len() <= name_bytes_max(engine), "{name}");
                    assert_eq!(name.as_str().ends_with("_2"), turn == LoginTurn::Second);
                    all.push(name.to_string());
                }
                all.push(group_role(engine, &database, &claim).to_string());
                all.push(migrator(engine, &database, &claim).to_string());
            }
            let distinct: std::collections::BTreeSet<&String> = all.iter().collect();
            // The roles of the shop are named twice.
            assert_eq!(distinct.len(), all.len() - 2, "{all:?}");
        }
    }

    #[test]
    fn long_names_fit_and_differ() {
        let claim = ClaimId::new("9f31c0de").unwrap();
        let long = ObjectRef::new("ns", "d".repeat(60)).unwrap();
        let one = login(
            Engine::PostgreSql,
            &long,
            &v(&format!("{}a", "m".repeat(200))),
            &claim,
        );
        let two = login(
            Engine::PostgreSql,
            &long,
            &v(&format!("{}b", "m".repeat(200))),
            &claim,
        );
        assert_eq!(one.as_str().len(), POSTGRES_NAME_BYTES_MAX);
        assert_ne!(one, two);
        assert!(one.as_str().ends_with("_9f31c0de"));
    }

    #[test]
    fn names_fit_mysql_and_keep_the_claim() {
        let claim = ClaimId::new("9f31c0de").unwrap();
        for engine in [Engine::MySql, Engine::MariaDb] {
            let short = login(engine, &shop(), &v("1975ea83b712"), &claim);
            assert_eq!(short.as_str(), "shop_1975ea83b712_9f31c0de");
            let long = ObjectRef::new("ns", "d".repeat(60)).unwrap();
            for name in [
                login(engine, &long, &v(&"m".repeat(200)), &claim).to_string(),
                migrator(engine, &long, &claim).to_string(),
                group_role(engine, &long, &claim).to_string(),
            ] {
                assert!(name.len() <= MYSQL_NAME_BYTES_MAX, "{name}");
                assert!(name.contains("_9f31c0de"), "{name}");
            }
            let other = ObjectRef::new("ns", format!("{}e", "d".repeat(59))).unwrap();
            assert_ne!(
                migrator(engine, &long, &claim),
                migrator(engine, &other, &claim)
            );
        }
    }

    #[test]
    fn a_job_of_many_parts_has_room_for_their_numbers() {
        let long = ObjectRef::new("ns", "d".repeat(60)).unwrap();
        let name = job(&long, None, &v(&"m".repeat(200)), None);
        assert_eq!(format!("{name}-99999").len(), 63);
    }

    #[test]
    fn a_run_after_another_has_another_name() {
        let first = job(&shop(), Some(&v("v1")), &v("v2"), None);
        let again = job(&shop(), Some(&v("v1")), &v("v2"), Some(&first));
        assert_ne!(first, again);
        assert_eq!(first, job(&shop(), Some(&v("v1")), &v("v2"), None));
        assert!(first.as_str().starts_with("shop-v2-"));
    }
}

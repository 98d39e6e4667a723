//! The marks by which accounts of ours are known. On MySQL it is the account's attribute, in JSON; MariaDB has no
//! attributes, so there it is the names of roles that nobody has and that hold nothing.
//!
//! A role's name has 128 characters, so a mark is cut into pieces, each bearing the hash of the whole: only a
//! complete set counts. An account without a mark is somebody else's, whatever it is called.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use dbop_model::{ClaimId, ClaimOwner, LoginTurn, MigrationName, ObjectRef};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

/// The format of the marks; one that is newer is not read as anything.
const FORMAT: u32 = 1;
/// What the names of MariaDB's marking roles begin with; SQL finds them by it.
pub(crate) const ROLE_PREFIX: &str = "dbop1.";
/// Ids of ours have eight characters; longer ones leave no room in a name of 32.
const CLAIM_BYTES_MAX: usize = 12;
/// Of the 128 characters of a role's name, what a piece may have beside the prefix, the hash and the numbers.
const PIECE_BYTES_MAX: usize = 96;
/// The longest mark has some 800 bytes; what claims to have more pieces is none.
const PIECES_MAX: usize = 16;
/// Hexadecimal digits of the hash that holds the pieces of a mark together.
const HASH_DIGITS: usize = 10;
/// What stays as it is in a field of a marking role.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// What an account of ours is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mark {
    /// It stands for all applications of a database, holds nothing, and bears the claim.
    Group {
        claim: ClaimId,
        owner: ClaimOwner,
        database: String,
    },
    /// Migrations log in as it.
    Migrator { claim: ClaimId },
    /// Users' queries run as it.
    Reader { claim: ClaimId },
    /// Applications of a migration log in as it, when it is its turn.
    Login {
        claim: ClaimId,
        migration: MigrationName,
        turn: LoginTurn,
    },
}

#[derive(Serialize, Deserialize)]
struct Text {
    #[serde(rename = "databaseOperator")]
    format: u32,
    kind: Kind,
    claim: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<String>,
    #[serde(flatten)]
    owner: Option<OwnerText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    migration: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct OwnerText {
    cluster: String,
    namespace: String,
    name: String,
}

#[derive(Clone, Copy, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Group,
    Migrator,
    Reader,
    Login,
    /// The login that takes turns with the first: a kind of its own, which an older operator reads as no mark.
    SecondLogin,
}

impl Mark {
    /// The claim that it bears.
    pub(crate) fn claim(&self) -> &ClaimId {
        match self {
            Mark::Group { claim, .. }
            | Mark::Migrator { claim }
            | Mark::Reader { claim }
            | Mark::Login { claim, .. } => claim,
        }
    }

    /// The attribute.
    pub(crate) fn to_attribute(&self) -> String {
        let text = |kind| Text {
            format: FORMAT,
            kind,
            claim: self.claim().as_str().to_owned(),
            database: None,
            owner: None,
            migration: None,
        };
        let text = match self {
            Mark::Group {
                owner, database, ..
            } => Text {
                database: Some(database.clone()),
                owner: Some(OwnerText {
                    cluster: owner.cluster.clone(),
                    namespace: owner.object.namespace().to_owned(),
                    name: owner.object.name().to_owned(),
                }),
                ..text(Kind::Group)
            },
            Mark::Migrator { .. } => text(Kind::Migrator),
            Mark::Reader { .. } => text(Kind::Reader),
            Mark::Login {
                migration, turn, ..
            } => Text {
                migration: Some(migration.as_str().to_owned()),
                ..text(match turn {
                    LoginTurn::First => Kind::Login,
                    LoginTurn::Second => Kind::SecondLogin,
                })
            },
        };
        serde_json::to_string(&text).expect("strings and numbers are always JSON")
    }

    /// Reads an attribute; `None`: it is no mark of ours.
    pub(crate) fn of_attribute(attribute: &str) -> Option<Mark> {
        let text: Text = serde_json::from_str(attribute).ok()?;
        if text.format != FORMAT {
            return None;
        }
        let claim = claim_id(text.claim)?;
        match text.kind {
            Kind::Group => {
                let owner = text.owner?;
                let object = ObjectRef::new(owner.namespace, owner.name).ok()?;
                let cluster = owner.cluster;
                Some(Mark::Group {
                    claim,
                    owner: ClaimOwner { cluster, object },
                    database: text.database?,
                })
            }
            Kind::Migrator => Some(Mark::Migrator { claim }),
            Kind::Reader => Some(Mark::Reader { claim }),
            Kind::Login | Kind::SecondLogin => Some(Mark::Login {
                claim,
                migration: MigrationName::new(text.migration?).ok()?,
                turn: match text.kind {
                    Kind::SecondLogin => LoginTurn::Second,
                    _ => LoginTurn::First,
                },
            }),
        }
    }

    /// The names of the roles that mark `account`.
    pub(crate) fn to_roles(&self, account: &str) -> Vec<String> {
        let mut fields = match self {
            Mark::Group { .. } => vec!["g"],
            Mark::Migrator { .. } => vec!["m"],
            Mark::Reader { .. } => vec!["r"],
            Mark::Login { turn, .. } => vec![turn_field(*turn)],
        };
        fields.extend([self.claim().as_str(), account]);
        match self {
            Mark::Group {
                owner, database, ..
            } => fields.extend([
                database.as_str(),
                &owner.cluster,
                owner.object.namespace(),
                owner.object.name(),
            ]),
            Mark::Migrator { .. } | Mark::Reader { .. } => {}
            Mark::Login { migration, .. } => fields.push(migration.as_str()),
        }
        let fields: Vec<String> = fields
            .into_iter()
            .map(|field| utf8_percent_encode(field, ESCAPED).to_string())
            .collect();
        let text = fields.join(":");
        let hash = hash(&text);
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(PIECE_BYTES_MAX).collect();
        let count = pieces.len();
        let piece = |(at, piece): (usize, &[u8])| {
            // What is percent-encoded is ASCII, so it can be cut anywhere.
            let piece = String::from_utf8_lossy(piece);
            format!("{ROLE_PREFIX}{hash}.{}of{count}.{piece}", at + 1)
        };
        pieces.into_iter().enumerate().map(piece).collect()
    }

    /// The marks that the names of roles hold together, each with the account that it marks.
    pub(crate) fn of_roles<'a>(names: impl Iterator<Item = &'a str>) -> Vec<(String, Mark)> {
        let mut sets: BTreeMap<(&str, usize), BTreeMap<usize, &str>> = BTreeMap::new();
        for (hash, at, count, piece) in names.filter_map(piece_of) {
            sets.entry((hash, count)).or_default().insert(at, piece);
        }
        let whole = |((expected, count), pieces): ((&str, usize), BTreeMap<usize, &str>)| {
            let text: String = pieces.values().copied().collect();
            let is_whole = pieces.len() == count && hash(&text) == expected;
            is_whole.then(|| of_fields(&text)).flatten()
        };
        sets.into_iter().filter_map(whole).collect()
    }
}

/// The first field of a login's marking roles.
fn turn_field(turn: LoginTurn) -> &'static str {
    match turn {
        LoginTurn::First => "l",
        LoginTurn::Second => "l2",
    }
}

fn piece_of(name: &str) -> Option<(&str, usize, usize, &str)> {
    let (hash, rest) = name.strip_prefix(ROLE_PREFIX)?.split_once('.')?;
    let (numbers, piece) = rest.split_once('.')?;
    let (at, count) = numbers.split_once("of")?;
    let (at, count) = (at.parse().ok()?, count.parse().ok()?);
    let fits = (1..=PIECES_MAX).contains(&count) && (1..=count).contains(&at);
    fits.then_some((hash, at, count, piece))
}

fn of_fields(text: &str) -> Option<(String, Mark)> {
    let fields: Vec<String> = text
        .split(':')
        .map(|field| Some(percent_decode_str(field).decode_utf8().ok()?.into_owned()))
        .collect::<Option<_>>()?;
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    match fields.as_slice() {
        ["g", claim, account, database, cluster, namespace, name] => Some((
            (*account).to_owned(),
            Mark::Group {
                claim: claim_id((*claim).to_owned())?,
                owner: ClaimOwner {
                    cluster: (*cluster).to_owned(),
                    object: ObjectRef::new(*namespace, *name).ok()?,
                },
                database: (*database).to_owned(),
            },
        )),
        ["m", claim, account] => Some((
            (*account).to_owned(),
            Mark::Migrator {
                claim: claim_id((*claim).to_owned())?,
            },
        )),
        ["r", claim, account] => Some((
            (*account).to_owned(),
            Mark::Reader {
                claim: claim_id((*claim).to_owned())?,
            },
        )),
        [kind @ ("l" | "l2"), claim, account, migration] => Some((
            (*account).to_owned(),
            Mark::Login {
                turn: LoginTurn::ALL
                    .into_iter()
                    .find(|turn| turn_field(*turn) == *kind)?,
                claim: claim_id((*claim).to_owned())?,
                migration: MigrationName::new(*migration).ok()?,
            },
        )),
        _ => None,
    }
}

fn claim_id(text: String) -> Option<ClaimId> {
    if text.len() > CLAIM_BYTES_MAX {
        return None;
    }
    ClaimId::new(text).ok()
}

fn hash(text: &str) -> String {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    let hex: String = digest.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    hex[..HASH_DIGITS].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks() -> Vec<Mark> {
        let claim = ClaimId::new("9f31c0de").unwrap();
        let owner = |cluster: &str, namespace: &str, name: &str| Mark::Group {
            claim: claim.clone(),
            owner: ClaimOwner {
                cluster: cluster.into(),
                object: ObjectRef::new(namespace, name).unwrap(),
            },
            database: "sh_op%`ü:".into(),
        };
        let login = |migration: &str, turn| Mark::Login {
            claim: claim.clone(),
            migration: MigrationName::new(migration).unwrap(),
            turn,
        };
        vec![
            owner("it's \"one\"", "shop", "shop"),
            owner(&"c".repeat(100), &"n".repeat(63), &"o".repeat(253)),
            Mark::Migrator {
                claim: claim.clone(),
            },
            Mark::Reader {
                claim: claim.clone(),
            },
            login("v2", LoginTurn::First),
            login("v2", LoginTurn::Second),
            login(&"m".repeat(253), LoginTurn::Second),
        ]
    }

    #[test]
    fn marks_read_back() {
        for mark in marks() {
            let attribute = mark.to_attribute();
            assert_eq!(Mark::of_attribute(&attribute), Some(mark.clone()));
            let roles = mark.to_roles("shop_v2_9f31c0de");
            assert!(roles.iter().all(|role| role.len() <= 128), "{roles:?}");
            let read = Mark::of_roles(roles.iter().map(String::as_str));
            assert_eq!(read, [("shop_v2_9f31c0de".to_owned(), mark)]);
        }
    }

    #[test]
    fn several_marks_do_not_mix() {
        let mut roles: Vec<String> = marks().iter().flat_map(|m| m.to_roles("a")).collect();
        roles.reverse();
        let read = Mark::of_roles(roles.iter().map(String::as_str));
        assert_eq!(read.len(), marks().len());
        for mark in marks() {
            assert!(read.contains(&("a".to_owned(), mark)));
        }
    }

    #[test]
    fn half_a_mark_is_none() {
        for mark in marks() {
            let roles = mark.to_roles("a");
            let but_one = roles.iter().skip(1).map(String::as_str);
            assert_eq!(Mark::of_roles(but_one), []);
        }
        let changed = marks()[2].to_roles("a")[0].replace(":a", ":b");
        assert_eq!(Mark::of_roles([changed.as_str()].into_iter()), []);
    }

    #[test]
    fn other_texts_are_no_marks() {
        for other in [
            "",
            "{}",
            r#"{"databaseOperator":2,"kind":"migrator","claim":"9f31c0de"}"#,
            r#"{"databaseOperator":1,"kind":"login","claim":"9f31c0de"}"#,
            r#"{"databaseOperator":1,"kind":"group","claim":"9f31c0de"}"#,
            r#"{"databaseOperator":1,"kind":"migrator","claim":"%"}"#,
            r#"{"databaseOperator":1,"kind":"migrator","claim":"9f31c0de9f31c0de"}"#,
        ] {
            assert_eq!(Mark::of_attribute(other), None, "{other}");
        }
        for other in [
            "",
            "dbop1.",
            "dbop1.x.1of99999999999999999999.m",
            "dbop1.x.2of1.m:c:a",
        ] {
            assert_eq!(Mark::of_roles([other].into_iter()), [], "{other}");
        }
    }
}

//! The marks by which roles of ours are known: a comment on each, in JSON. The group role's is the claim.
//!
//! A role without a mark is somebody else's, whatever it is called.

use dbop_model::{ClaimId, ClaimOwner, LoginTurn, MigrationName, ObjectRef};
use serde::{Deserialize, Serialize};

/// The format of the marks; one that is newer is not read as anything.
const FORMAT: u32 = 1;
/// What every mark of ours begins with; SQL finds them by it.
pub(crate) const PREFIX: &str = r#"{"databaseOperator":"#;

/// What a role of ours is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mark {
    /// It holds the grants of applications, and the claim.
    Group { claim: ClaimId, owner: ClaimOwner },
    /// It owns the objects.
    Owner { claim: ClaimId },
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

#[derive(Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Group,
    Owner,
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
            | Mark::Owner { claim }
            | Mark::Migrator { claim }
            | Mark::Reader { claim }
            | Mark::Login { claim, .. } => claim,
        }
    }

    /// The comment.
    pub(crate) fn to_comment(&self) -> String {
        let text = |kind| Text {
            format: FORMAT,
            kind,
            claim: self.claim().as_str().to_owned(),
            owner: None,
            migration: None,
        };
        let text = match self {
            Mark::Group { owner, .. } => Text {
                owner: Some(OwnerText {
                    cluster: owner.cluster.clone(),
                    namespace: owner.object.namespace().to_owned(),
                    name: owner.object.name().to_owned(),
                }),
                ..text(Kind::Group)
            },
            Mark::Owner { .. } => text(Kind::Owner),
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

    /// Reads a comment; `None`: it is no mark of ours.
    pub(crate) fn of_comment(comment: &str) -> Option<Mark> {
        let text: Text = serde_json::from_str(comment).ok()?;
        if text.format != FORMAT {
            return None;
        }
        let claim = ClaimId::new(text.claim).ok()?;
        match text.kind {
            Kind::Group => {
                let owner = text.owner?;
                let object = ObjectRef::new(owner.namespace, owner.name).ok()?;
                Some(Mark::Group {
                    claim,
                    owner: ClaimOwner {
                        cluster: owner.cluster,
                        object,
                    },
                })
            }
            Kind::Owner => Some(Mark::Owner { claim }),
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
}

/// What SQL's LIKE finds the marks of a claim by. A claim's id holds no wildcard, by its type.
pub(crate) fn pattern_of(claim: &ClaimId) -> String {
    format!("{PREFIX}%{}%", of_claim(claim))
}

/// What stands in the mark of every claim of this object's, whatever its cluster.
pub(crate) fn owned_by(object: &ObjectRef) -> String {
    // As serde_json writes two strings that stand one after the other in a map.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    format!(
        "\"namespace\":{},\"name\":{}",
        quoted(object.namespace()),
        quoted(object.name())
    )
}

/// What stands in every mark of this claim.
pub(crate) fn of_claim(claim: &ClaimId) -> String {
    format!("\"claim\":\"{claim}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_read_back() {
        let claim = ClaimId::new("9f31c0de").unwrap();
        let object = ObjectRef::new("shop", "shop").unwrap();
        let owner = ClaimOwner {
            cluster: "it's \"one\"".into(),
            object: object.clone(),
        };
        let marks = [
            Mark::Group {
                claim: claim.clone(),
                owner,
            },
            Mark::Owner {
                claim: claim.clone(),
            },
            Mark::Migrator {
                claim: claim.clone(),
            },
            Mark::Reader {
                claim: claim.clone(),
            },
            Mark::Login {
                claim: claim.clone(),
                migration: MigrationName::new("v2").unwrap(),
                turn: LoginTurn::First,
            },
            Mark::Login {
                claim: claim.clone(),
                migration: MigrationName::new("v2").unwrap(),
                turn: LoginTurn::Second,
            },
        ];
        assert!(marks[0].to_comment().contains(&owned_by(&object)));
        for mark in marks {
            let comment = mark.to_comment();
            assert!(comment.contains(&of_claim(&claim)), "{comment}");
            assert!(comment.starts_with(PREFIX), "{comment}");
            assert!(comment.contains("\"claim\":\"9f31c0de\""), "{comment}");
            assert_eq!(Mark::of_comment(&comment), Some(mark));
        }
    }

    #[test]
    fn other_comments_are_no_marks() {
        for other in [
            "",
            "the application's group",
            "{}",
            r#"{"databaseOperator":2,"kind":"owner","claim":"9f31c0de"}"#,
            r#"{"databaseOperator":1,"kind":"login","claim":"9f31c0de"}"#,
            r#"{"databaseOperator":1,"kind":"group","claim":"9f31c0de"}"#,
            r#"{"databaseOperator":1,"kind":"owner","claim":"%"}"#,
        ] {
            assert_eq!(Mark::of_comment(other), None, "{other}");
        }
    }
}

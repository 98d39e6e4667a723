//! Who uses a credential, in words: sessions of one client together, then workloads.

use std::collections::BTreeMap;
use std::time::Duration;

use dbop_model::{Fact, Session};
use dbop_plan::{Reference, Use};

use super::text::{self, list};

/// How many process ids, clients or workloads are named before the rest is counted.
const NAMED_MAX: usize = 4;

/// Who uses a credential, whole: for `plan` and `status`.
pub(crate) fn whole(usage: &Use) -> String {
    match usage {
        Use::Sessions(who) => sessions(who),
        Use::References(who) => references(who),
        Use::Both(who, what) => format!("{} and {}", sessions(who), references(what)),
        Use::Unknown(why) => format!("who uses it is not known: {why}"),
    }
}

/// Who is connected, as short as it goes: `pid 4711 (10.1.4.7)`, for one line of many credentials.
pub(crate) fn short(sessions: &Fact<Vec<Session>>) -> Option<String> {
    let sessions = match sessions {
        Fact::Known(sessions) => sessions,
        Fact::Unknown(_) => return Some("use not known".to_owned()),
    };
    let first = sessions.first()?;
    let who = match &first.address {
        Some(address) => format!("in use by pid {} ({address})", first.pid),
        None => format!("in use by pid {}", first.pid),
    };
    Some(match sessions.len() {
        1 => who,
        n => format!("{who} and {} more", n - 1),
    })
}

/// `2 sessions (pid 4711, 4712; user shop_v2; from 10.1.4.7; oldest 3 h 12 min)`, one for each client.
fn sessions(sessions: &[Session]) -> String {
    let mut clients: BTreeMap<_, Vec<&Session>> = BTreeMap::new();
    for session in sessions {
        let client = (&session.user, &session.address, &session.application);
        clients.entry(client).or_default().push(session);
    }
    let more = clients.len().saturating_sub(NAMED_MAX);
    let mut words: Vec<String> = clients
        .into_values()
        .take(NAMED_MAX)
        .map(|sessions| client(&sessions))
        .collect();
    if more > 0 {
        words.push(format!("{more} more clients"));
    }
    list(&words)
}

fn client(sessions: &[&Session]) -> String {
    let Some(first) = sessions.first() else {
        return String::new();
    };
    let pids: Vec<String> = sessions
        .iter()
        .take(NAMED_MAX)
        .map(|s| s.pid.to_string())
        .collect();
    let dots = if sessions.len() > NAMED_MAX {
        " ..."
    } else {
        ""
    };
    let mut parts = vec![
        format!("pid {}{dots}", pids.join(", ")),
        format!("user {}", first.user),
    ];
    parts.push(match &first.address {
        Some(address) => format!("from {address}"),
        None => "address not shown".to_owned(),
    });
    if let Some(application) = first.application.as_deref().filter(|name| !name.is_empty()) {
        parts.push(application.to_owned());
    }
    let oldest: Option<Duration> = sessions.iter().filter_map(|session| session.age).max();
    match (oldest, sessions.len()) {
        (Some(age), 1) => parts.push(format!("for {}", text::span(age))),
        (Some(age), _) => parts.push(format!("oldest {}", text::span(age))),
        (None, _) => {}
    }
    let noun = if sessions.len() == 1 {
        "session"
    } else {
        "sessions"
    };
    format!("{} {noun} ({})", sessions.len(), parts.join("; "))
}

fn references(references: &[Reference]) -> String {
    let more = references.len().saturating_sub(NAMED_MAX);
    let mut words: Vec<String> = references
        .iter()
        .take(NAMED_MAX)
        .map(ToString::to_string)
        .collect();
    if more > 0 {
        words.push(format!("{more} more workloads"));
    }
    list(&words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dbop_model::{LoginName, Why};

    fn session(pid: i64, address: &str, minutes: u64) -> Session {
        Session {
            pid,
            user: LoginName::new("shop_v2_9f31").unwrap(),
            address: Some(address.to_owned()),
            application: None,
            age: Some(Duration::from_secs(minutes * 60)),
            replica: None,
        }
    }

    #[test]
    fn sessions_of_one_client_are_told_together() {
        let who = vec![
            session(4711, "10.1.4.7", 3),
            session(4712, "10.1.4.7", 192),
            session(9, "10.1.4.8", 1),
        ];
        assert_eq!(
            whole(&Use::Sessions(who.clone())),
            "2 sessions (pid 4711, 4712; user shop_v2_9f31; from 10.1.4.7; oldest 3 h 12 min) and \
             1 session (pid 9; user shop_v2_9f31; from 10.1.4.8; for 60 s)"
        );
        assert_eq!(
            short(&Fact::Known(who)).unwrap(),
            "in use by pid 4711 (10.1.4.7) and 2 more"
        );
        assert_eq!(short(&Fact::Known(vec![])), None);
        assert_eq!(
            short(&Fact::Unknown(Why::new("x"))).unwrap(),
            "use not known"
        );
    }

    #[test]
    fn workloads_are_told_with_how_they_refer() {
        let reference = Reference {
            kind: "Deployment".into(),
            name: "shop/api".into(),
            how: "container api, env DATABASE_URL".into(),
            made_at: None,
        };
        assert_eq!(
            whole(&Use::Both(vec![session(1, "10.1.4.7", 3)], vec![reference])),
            "1 session (pid 1; user shop_v2_9f31; from 10.1.4.7; for 3 min) and \
             Deployment shop/api (container api, env DATABASE_URL)"
        );
    }
}

//! Who is connected. Sessions in every database of the server count: a login can log in to any of them.

use std::collections::{BTreeMap, BTreeSet};

use dbop_database::DatabaseError;
use dbop_model::{LoginName, Session};

use crate::link::Hold;
use crate::{parse, query};

/// The sessions of logins; one without sessions has an empty list.
pub(crate) async fn of(
    hold: &Hold<'_>,
    logins: &BTreeSet<LoginName>,
) -> Result<BTreeMap<LoginName, Vec<Session>>, DatabaseError> {
    let mut found: BTreeMap<LoginName, Vec<Session>> = logins
        .iter()
        .map(|login| (login.clone(), Vec::new()))
        .collect();
    if logins.is_empty() {
        return Ok(found);
    }
    let rows = hold.rows(&query::sessions(logins)?).await?;
    for session in parse::all(hold.operation(), &rows, parse::session)? {
        if let Some(of_login) = found.get_mut(&session.user) {
            of_login.push(session);
        }
    }
    Ok(found)
}

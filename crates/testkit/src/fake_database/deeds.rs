//! What the operator did to logins, for invariants: the server itself says whom it met, so that nothing is missed
//! between two looks.

use std::collections::BTreeMap;

use dbop_model::{Claim, ClaimId, ClaimOwner, LoginName, MigrationName};

use super::FakeDatabase;
use super::server::{Mark, Server};

/// What was done to a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// One that was open was locked.
    Locked,
    /// It was dropped.
    Dropped,
}

/// Something that the operator did to a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// What.
    pub done: Done,
    /// The login.
    pub login: String,
    /// The migration whose credential it is.
    pub migration: MigrationName,
    /// How many sessions it had at that moment.
    pub sessions: usize,
    pub(super) database: String,
}

impl Server {
    pub(super) fn did(
        &mut self,
        done: Done,
        database: &str,
        login: &LoginName,
        migration: &MigrationName,
    ) {
        let login = login.to_string();
        let sessions = self.sessions.values().filter(|one| one.login == login);
        let deed = Deed {
            done,
            sessions: sessions.count(),
            login,
            migration: migration.clone(),
            database: database.to_owned(),
        };
        self.deeds.push(deed);
    }

    /// The claims on a database.
    fn claims_on(&self, database: &str) -> Vec<ClaimId> {
        let groups = self.groups_on(database);
        groups.iter().filter_map(|one| self.claim_of(one)).collect()
    }
}

impl FakeDatabase {
    /// What the operator did to logins of this database since this was last asked, the oldest first.
    pub fn deeds(&self) -> Vec<Deed> {
        let mut server = self.locked();
        let ours = |deed: &mut Deed| deed.database == self.name;
        server.deeds.extract_if(.., ours).collect()
    }

    /// Whose claim is on this database, seen by this one.
    pub fn claim(&self, owner: &ClaimOwner) -> Claim {
        self.locked().claim_on(&self.name, owner)
    }

    /// The logins of applications under the claims on this database, with their migrations.
    pub fn logins(&self) -> BTreeMap<String, MigrationName> {
        let server = self.locked();
        let claims = server.claims_on(&self.name);
        let of_claim = |(name, role): (&String, &super::Role)| match &role.mark {
            Some(Mark::Login {
                claim, migration, ..
            }) if claims.contains(claim) => Some((name.clone(), migration.clone())),
            _ => None,
        };
        server.roles.iter().filter_map(of_claim).collect()
    }

    /// How many sessions the migrators under the claims on this database have.
    pub fn migrator_sessions(&self) -> usize {
        let server = self.locked();
        let claims = server.claims_on(&self.name);
        let is_one = |login: &String| {
            let mark = server.roles.get(login).and_then(|role| role.mark.as_ref());
            matches!(mark, Some(Mark::Migrator { claim }) if claims.contains(claim))
        };
        let sessions = server.sessions.values();
        sessions.filter(|one| is_one(&one.login)).count()
    }

    /// Can anybody log in as the migrator of this database?
    pub fn door_open(&self) -> bool {
        let server = self.locked();
        let claims = server.claims_on(&self.name);
        let mut roles = server.roles.values();
        roles.any(|role| {
            let is_one =
                matches!(&role.mark, Some(Mark::Migrator { claim }) if claims.contains(claim));
            is_one && role.login
        })
    }
}

//! What befalls a server as a whole: it fails over to another address, or is restored from a backup.

use std::collections::BTreeMap;

use super::FakeDatabase;
use super::server::{Database, Role};

/// A backup of the whole server, as of its files: databases and roles, with the passwords of that time.
#[derive(Clone)]
pub struct Backup {
    roles: BTreeMap<String, Role>,
    databases: BTreeMap<String, Database>,
}

impl FakeDatabase {
    /// Backs the whole server up.
    pub fn back_up(&self) -> Backup {
        let server = self.locked();
        Backup {
            roles: server.roles.clone(),
            databases: server.databases.clone(),
        }
    }

    /// Puts the whole server back to where it was, its roles too. Nobody stays connected.
    pub fn restore(&self, backup: &Backup) {
        let mut server = self.locked();
        server.break_connections();
        server.sessions.clear();
        server.roles = backup.roles.clone();
        server.databases = backup.databases.clone();
        server.break_connections();
    }

    /// Another server takes over, at another address, with all that this one had: everybody has to connect anew.
    pub fn fail_over(&self, host: &str) {
        let mut server = self.locked();
        server.break_connections();
        server.sessions.clear();
        server.host = host.to_owned();
    }
}

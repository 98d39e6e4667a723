//! The fake as a place for the conformance suite.

use async_trait::async_trait;
use dbop_database::{Connector, Target};
use dbop_model::table::TableName;
use dbop_model::{MissingPrivilege, ObservedVersion, Privilege, RoleName, SchemaVersion};
use secrecy::{ExposeSecret, SecretString};

use super::{ADMIN, DEFAULT_SCHEMA, FakeDatabase, SessionId};
use crate::conformance::{Client, OpenRefused, Site};

impl FakeDatabase {
    fn target_changed(&self, from: &str, to: &str) -> Target {
        let target = self.target();
        let dsn = target.dsn.expose_secret().replace(from, to);
        Target {
            dsn: dsn.into(),
            ..target
        }
    }
}

#[async_trait]
impl Site for FakeDatabase {
    fn connector(&self) -> &dyn Connector {
        self
    }

    fn target(&self) -> Target {
        FakeDatabase::target(self)
    }

    fn target_with_wrong_password(&self) -> Target {
        self.target_changed(":admin-password@", ":wrong@")
    }

    fn target_without_database(&self) -> Target {
        self.target_changed(&format!("/{}", self.name), "/nowhere")
    }

    fn target_unreachable(&self) -> Target {
        self.set_reachable(false);
        FakeDatabase::target(self)
    }

    async fn beside(&self) -> Box<dyn Site> {
        let count = self.locked().databases.len();
        Box::new(FakeDatabase::beside(self, &format!("beside{count}")))
    }

    async fn open(
        &self,
        login: &str,
        password: &SecretString,
    ) -> Result<Box<dyn Client>, OpenRefused> {
        let session = self
            .open_session(login, password.expose_secret())
            .map_err(|_| OpenRefused)?;
        Ok(Box::new(FakeClient {
            database: self.clone(),
            session,
        }))
    }

    async fn person_makes_login(&self, name: &str, password: &SecretString) {
        self.add_role(name, Some(password.expose_secret()));
    }

    async fn person_grants(
        &self,
        privilege: Privilege,
        table: &TableName,
        role: &str,
        given: bool,
    ) {
        self.set_grant(table, role, privilege, given);
    }

    async fn person_allows_create(&self, role: &str) {
        self.allow_create(role, DEFAULT_SCHEMA);
    }

    async fn person_drops_owned(&self, role: &str) {
        self.drop_owned(role);
    }

    async fn person_weakens_admin(&self) {
        self.set_missing(vec![MissingPrivilege {
            needed_for: "make logins".to_owned(),
            grant: format!("ALTER ROLE \"{ADMIN}\" CREATEROLE"),
        }]);
    }

    async fn person_runs(&self, statement: &str) {
        self.locked()
            .missing
            .retain(|missing| missing.grant != statement);
    }

    async fn owner_of(&self, table: &TableName) -> Option<RoleName> {
        RoleName::new(self.table_owner(table)?).ok()
    }

    async fn has_role(&self, name: &str) -> bool {
        self.roles().contains_key(name)
    }
}

struct FakeClient {
    database: FakeDatabase,
    session: SessionId,
}

#[async_trait]
impl Client for FakeClient {
    async fn may(&mut self, privilege: Privilege, table: &TableName) -> bool {
        self.database.uses(self.session, privilege, table).is_ok()
    }

    async fn create_table(&mut self, table: &TableName) -> bool {
        self.database.create_table(self.session, table).is_ok()
    }

    async fn create_schema(&mut self, schema: &str) -> bool {
        self.database.create_schema(self.session, schema).is_ok()
    }

    async fn set_version(&mut self, heads: &[&str]) -> bool {
        let heads: Vec<SchemaVersion> = heads
            .iter()
            .filter_map(|head| SchemaVersion::new(*head).ok())
            .collect();
        let version = match heads.as_slice() {
            [] => ObservedVersion::None,
            [one] => ObservedVersion::At(one.clone()),
            _ => ObservedVersion::Several(heads),
        };
        self.database.write_version(self.session, version).is_ok()
    }

    async fn is_alive(&mut self) -> bool {
        self.database.is_open(self.session)
    }

    async fn close(self: Box<Self>) {
        self.database.close_session(self.session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    macro_rules! on_the_fake {
        ($($case:ident)*) => {
            $(
                #[tokio::test]
                async fn $case() {
                    conformance::$case(&FakeDatabase::new("shop")).await;
                }
            )*
        };
    }

    crate::conformance_cases!(on_the_fake);
}

//! The stage of a case: an owner, a claim, a policy, and a connection, set up as the engine would.

use std::collections::BTreeSet;
use std::time::Duration;

use dbop_database::{Administer, Look, Scope};
use dbop_model::table::TableName;
use dbop_model::{
    AccessPolicy, ClaimId, ClaimOwner, DatabaseFacts, LoginName, LoginTurn, MigrationName,
    ObjectRef, Privilege, VersionSource,
};
use secrecy::SecretString;

use super::site::{Client, Site};

/// How long a server may take to notice that a session or a connection has ended.
const SETTLE_MAX: Duration = Duration::from_secs(10);
/// Between two looks while something settles.
const SETTLE_STEP: Duration = Duration::from_millis(20);

/// A connection as the admin, and who it works for.
pub struct Stage {
    /// The connection.
    pub admin: Box<dyn Administer>,
    /// Whose claim it is, and the policy.
    pub scope: Scope,
}

impl Stage {
    /// Connects for the owner `shop/shop` of a cluster of its own, and writes nothing.
    ///
    /// Of its own, because an owner whose database is gone goes on with its claim in the next one: tests that
    /// clean up beside each other would find each other's.
    pub async fn bare(site: &dyn Site) -> Stage {
        let id = fresh_id();
        Stage::of(
            site,
            owner(&format!("cluster-{id}"), "shop"),
            ClaimId::new(id).unwrap(),
        )
        .await
    }

    /// Connects for an owner and a claim, and writes nothing.
    pub async fn of(site: &dyn Site, owner: ClaimOwner, claim: ClaimId) -> Stage {
        let admin = site.connector().connect(&site.target()).await.unwrap();
        let access = AccessPolicy {
            privileges: [
                Privilege::Select,
                Privilege::Insert,
                Privilege::Update,
                Privilege::Delete,
            ]
            .into(),
            schemas: None,
            version_table: Some(table("alembic_version")),
            tool_tables: BTreeSet::new(),
            owner_role: None,
        };
        Stage {
            admin,
            scope: Scope {
                owner,
                claim,
                access,
            },
        }
    }

    /// Claimed and prepared, as before the first run.
    pub async fn prepared(site: &dyn Site) -> Stage {
        Stage::bare(site).await.begun().await
    }

    async fn begun(self) -> Stage {
        self.admin.claim(&self.scope).await.unwrap();
        self.admin.prepare(&self.scope).await.unwrap();
        self
    }

    /// Prepared, and a first migration has run: it set the version to `v1` and made the table `items`.
    pub async fn at_v1(site: &dyn Site) -> Stage {
        Stage::bare(site).await.walked_to_v1(site).await
    }

    /// Takes a bare stage to where [`Stage::at_v1`] is.
    pub async fn walked_to_v1(self, site: &dyn Site) -> Stage {
        let stage = self.begun().await;
        let mut migration = stage.migration(site).await;
        assert!(
            migration.set_version(&["v1"]).await,
            "the migrator writes the version"
        );
        assert!(
            migration.create_table(&table("items")).await,
            "the migrator creates tables"
        );
        migration.close().await;
        stage.admin.close_migrator(&stage.scope).await.unwrap();
        stage.admin.prepare(&stage.scope).await.unwrap();
        stage
    }

    /// Opens the migrator's door and logs in.
    pub async fn migration(&self, site: &dyn Site) -> Box<dyn Client> {
        let password = password("migrator");
        let migrator = self
            .admin
            .open_migrator(&self.scope, &password)
            .await
            .unwrap();
        site.open(migrator.as_str(), &password).await.unwrap()
    }

    /// Makes the login of a migration, whose password is `password-of-` and the migration's name.
    pub async fn login(&self, migration: &str) -> LoginName {
        let name = self::migration(migration);
        self.admin
            .ensure_login(&self.scope, &name, LoginTurn::First, &password(migration))
            .await
            .unwrap()
    }

    /// Looks, as the owner of this stage.
    pub async fn look(&self) -> DatabaseFacts {
        self.look_as(&self.scope.owner).await
    }

    /// Looks, as another owner.
    pub async fn look_as(&self, owner: &ClaimOwner) -> DatabaseFacts {
        let look = Look {
            owner: owner.clone(),
            version_source: VersionSource::Alembic {
                table: table("alembic_version"),
            },
            access: self.scope.access.clone(),
            migrations: BTreeSet::from([migration("v1"), migration("v2")]),
        };
        self.admin.observe(&look).await.unwrap()
    }

    /// Waits until a login has so many sessions: a server takes a moment to notice that one has ended.
    pub async fn settles_at(&self, login: &LoginName, sessions: usize) {
        let wanted = BTreeSet::from([login.clone()]);
        let mut waited = Duration::ZERO;
        loop {
            let seen = self
                .admin
                .sessions(&wanted)
                .await
                .unwrap()
                .remove(login)
                .unwrap();
            if seen.len() == sessions {
                return;
            }
            assert!(
                waited < SETTLE_MAX,
                "{login} still has {} sessions: {seen:?}",
                seen.len()
            );
            tokio::time::sleep(SETTLE_STEP).await;
            waited += SETTLE_STEP;
        }
    }
}

/// Waits until the advisory lock is free, and takes it.
pub(super) async fn takes_lock(admin: &dyn Administer) {
    let mut waited = Duration::ZERO;
    while !admin.try_lock().await.unwrap() {
        assert!(waited < SETTLE_MAX, "the advisory lock is still held");
        tokio::time::sleep(SETTLE_STEP).await;
        waited += SETTLE_STEP;
    }
}

/// An owner in namespace `shop`.
pub(super) fn owner(cluster: &str, name: &str) -> ClaimOwner {
    ClaimOwner {
        cluster: cluster.to_owned(),
        object: ObjectRef::new("shop", name).unwrap(),
    }
}

/// The name of a migration.
pub(super) fn migration(name: &str) -> MigrationName {
    MigrationName::new(name).unwrap()
}

/// The name of a table.
pub(super) fn table(name: &str) -> TableName {
    name.parse().unwrap()
}

/// A password of one's own for everybody, so that a mix-up shows.
pub(super) fn password(of: &str) -> SecretString {
    format!("password-of-{of}").into()
}

/// Ids differ within a server: roles are the server's, not a database's.
pub(super) fn fresh_id() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!(
        "{:04x}{:04x}",
        std::process::id() & 0xffff,
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

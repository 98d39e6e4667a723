//! Databases that were there before: objects of another owner, an admin that lacks something, a name that
//! changed, a claim that came back from a backup. Everything as the least admin, on the oldest and the newest
//! server; what the admin needs besides is what `docs/postgresql-admin.md` says.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, which is its use"
)]

#[path = "support/site.rs"]
mod support;

use dbop_database::DatabaseError;
use dbop_model::{
    Claim, ClaimId, ClaimOwner, Fact, LoginTurn, ObjectRef, ObservedVersion, Privilege, Proof,
    RoleName,
};
use dbop_testkit::conformance::{Site, Stage};
use dbop_tests::majors;
use secrecy::SecretString;

use support::{PgSite, quoted, target};

/// Roles are the server's: names differ from test to test, and from run to run.
fn app_owner(site: &PgSite) -> String {
    format!("{}_owner", site.database.name())
}

/// A database with tables and an Alembic version of an application's own role.
async fn adopted(major: u8) -> (PgSite, Stage) {
    let site = PgSite::new(major).await;
    let owner = app_owner(&site);
    site.superuser_makes_role(&owner).await;
    let owner = quoted(&owner);
    site.superuser_runs(&format!(
        "GRANT CREATE, USAGE ON SCHEMA public TO {owner}; \
         GRANT CREATE ON DATABASE {} TO {owner}; SET ROLE {owner}; \
         CREATE TABLE public.alembic_version (version_num varchar(32) PRIMARY KEY); \
         INSERT INTO public.alembic_version VALUES ('v1'); \
         CREATE TABLE public.items (id bigserial PRIMARY KEY, note text); \
         CREATE VIEW public.item_notes AS SELECT note FROM public.items; \
         CREATE SCHEMA app; CREATE TABLE app.things (id int GENERATED ALWAYS AS IDENTITY, note text)",
        quoted(site.database.name())
    ))
    .await;
    let mut stage = Stage::bare(&site).await;
    stage.scope.access.owner_role = Some(RoleName::new(app_owner(&site)).unwrap());
    (site, stage)
}

fn password(text: &str) -> SecretString {
    text.to_owned().into()
}

#[tokio::test]
async fn a_database_of_another_owner_is_adopted_with_one_grant() {
    for major in majors() {
        let (site, stage) = adopted(major).await;
        let missing = stage.look().await.missing;
        let (owner, admin) = (quoted(&app_owner(&site)), quoted(site.database.admin()));
        let options = if major >= 16 {
            " WITH ADMIN TRUE, INHERIT TRUE, SET TRUE"
        } else {
            ""
        };
        assert_eq!(
            missing[0].grant,
            format!("GRANT {owner} TO {admin}{options}"),
            "{missing:?}"
        );

        site.superuser_runs(&missing[0].grant).await;
        let facts = stage.look().await;
        assert_eq!(facts.missing, [], "the one grant is enough");
        assert!(facts.has_tables);
        let v1 = dbop_model::SchemaVersion::new("v1").unwrap();
        assert_eq!(facts.version, Fact::Known(ObservedVersion::At(v1)));

        stage.admin.claim(&stage.scope).await.unwrap();
        stage.admin.prepare(&stage.scope).await.unwrap();
        assert!(stage.look().await.roles_ready);
        let login = stage
            .admin
            .ensure_login(
                &stage.scope,
                &"v1".parse().unwrap(),
                LoginTurn::First,
                &password("pw"),
            )
            .await
            .unwrap();
        let mut client = site.open(login.as_str(), &password("pw")).await.unwrap();
        for table in ["items", "app.things"] {
            assert!(
                client.may(Privilege::Insert, &table.parse().unwrap()).await,
                "{table}"
            );
        }
        assert!(
            client
                .may(Privilege::Select, &"item_notes".parse().unwrap())
                .await
        );
        assert!(
            !client
                .may(Privilege::Update, &"alembic_version".parse().unwrap())
                .await
        );

        // The next migration changes what the application's role owns.
        let migrator = stage
            .admin
            .open_migrator(&stage.scope, &password("m"))
            .await
            .unwrap();
        let run = site.login(migrator.as_str(), "m").await.unwrap();
        run.batch_execute(
            "ALTER TABLE public.items ADD COLUMN price int; CREATE TABLE public.orders (id int); \
             UPDATE public.alembic_version SET version_num = 'v2'",
        )
        .await
        .unwrap();
        let new_owner = site.owner_of(&"orders".parse().unwrap()).await.unwrap();
        assert_eq!(new_owner.as_str(), app_owner(&site));
        assert!(
            client
                .may(Privilege::Delete, &"orders".parse().unwrap())
                .await
        );
    }
}

#[tokio::test]
async fn an_owner_role_that_is_missing_or_the_admin_is_named() {
    for major in majors() {
        let site = PgSite::new(major).await;
        let mut stage = Stage::bare(&site).await;
        let named = |stage: &mut Stage, role: &str| {
            stage.scope.access.owner_role = Some(RoleName::new(role).unwrap());
        };
        named(&mut stage, "nobody_at_all");
        let missing = stage.look().await.missing;
        assert_eq!(missing.len(), 1);
        assert_eq!(missing[0].grant, "CREATE ROLE \"nobody_at_all\" NOLOGIN");
        named(&mut stage, site.database.admin());
        let missing = stage.look().await.missing;
        let needed_for = &missing[0].needed_for;
        assert!(needed_for.contains("the admin itself"), "{missing:?}");
        stage.admin.claim(&stage.scope).await.unwrap();
        let refused = stage.admin.prepare(&stage.scope).await;
        assert!(
            matches!(refused, Err(DatabaseError::Privilege(_))),
            "{refused:?}"
        );
        assert_eq!(stage.look().await.migrator, None, "nothing was made");
    }
}

/// Whoever may edit a ManagedDatabase names the role, and a migration may do all that it may.
#[tokio::test]
async fn an_owner_role_with_rights_beyond_its_objects_is_refused() {
    for major in majors() {
        let site = PgSite::new(major).await;
        let admin = quoted(site.database.admin());
        let role = format!("{}_mighty", site.database.name());
        let between = format!("{}_between", site.database.name());
        site.superuser_makes_role(&role).await;
        site.superuser_makes_role(&between).await;
        let (role_sql, between_sql) = (quoted(&role), quoted(&between));
        let options = match major >= 16 {
            true => " WITH ADMIN TRUE, INHERIT TRUE, SET TRUE",
            false => "",
        };
        site.superuser_runs(&format!("GRANT {role_sql} TO {admin}{options}"))
            .await;
        let mut stage = Stage::bare(&site).await;
        stage.scope.access.owner_role = Some(RoleName::new(&*role).unwrap());
        stage.admin.claim(&stage.scope).await.unwrap();
        for (give, take, says) in [
            (
                "ALTER ROLE {} SUPERUSER",
                "ALTER ROLE {} NOSUPERUSER",
                "a superuser",
            ),
            (
                "ALTER ROLE {} CREATEROLE",
                "ALTER ROLE {} NOCREATEROLE",
                "makes roles",
            ),
            (
                "ALTER ROLE {} REPLICATION",
                "ALTER ROLE {} NOREPLICATION",
                "replicates",
            ),
            (
                "ALTER ROLE {} BYPASSRLS",
                "ALTER ROLE {} NOBYPASSRLS",
                "passes row security",
            ),
            (
                "GRANT postgres TO {}",
                "REVOKE postgres FROM {}",
                "may become \"postgres\", a superuser",
            ),
            (
                "GRANT pg_read_server_files TO {}",
                "REVOKE pg_read_server_files FROM {}",
                "may become \"pg_read_server_files\", a role that reaches beyond",
            ),
            (
                "GRANT pg_execute_server_program TO {}",
                "REVOKE pg_execute_server_program FROM {}",
                "pg_execute_server_program",
            ),
            (
                "GRANT pg_read_all_data TO {}",
                "REVOKE pg_read_all_data FROM {}",
                "pg_read_all_data",
            ),
            (
                // By a role between them, which does not even inherit.
                "GRANT pg_write_server_files TO <>; ALTER ROLE <> NOINHERIT; GRANT <> TO {}",
                "REVOKE pg_write_server_files FROM <>; REVOKE <> FROM {}",
                "pg_write_server_files",
            ),
        ] {
            let sql = |text: &str| text.replace("{}", &role_sql).replace("<>", &between_sql);
            site.superuser_runs(&sql(give)).await;
            let missing = stage.look().await.missing;
            assert!(
                missing.len() == 1 && missing[0].needed_for.contains(says),
                "{give} on {major}: {missing:?}"
            );
            let refused = stage.admin.prepare(&stage.scope).await;
            assert!(
                matches!(refused, Err(DatabaseError::Privilege(_))),
                "{give} on {major}: {refused:?}"
            );
            site.superuser_runs(&sql(take)).await;
        }
        assert_eq!(stage.look().await.migrator, None, "nothing was made");
        // Without them, and with what only looks, it is as good as any.
        site.superuser_runs(&format!("GRANT pg_monitor, {between_sql} TO {role_sql}"))
            .await;
        assert_eq!(stage.look().await.missing, [], "on {major}");
        stage.admin.prepare(&stage.scope).await.unwrap();
        site.superuser_runs(&format!("REVOKE pg_monitor FROM {role_sql}"))
            .await;
    }
}

/// The walk of `docs/postgresql-admin.md`, section "A database that has tables already", last case.
#[tokio::test]
async fn what_the_admin_owns_is_given_to_a_role_of_its_own_first() {
    for major in majors() {
        let site = PgSite::new(major).await;
        let (admin, owner) = (quoted(site.database.admin()), app_owner(&site));
        site.forgets_role_later(&owner);
        let own = site
            .login(site.database.admin(), site.database.admin_password())
            .await
            .unwrap();
        own.batch_execute(&format!(
            "CREATE TABLE public.items (id serial); CREATE ROLE {owner} NOLOGIN"
        ))
        .await
        .unwrap();
        let options = if major >= 16 {
            " WITH INHERIT TRUE, SET TRUE"
        } else {
            ""
        };
        own.batch_execute(&format!(
            "GRANT {owner} TO {admin}{options}; REASSIGN OWNED BY {admin} TO {owner}"
        ))
        .await
        .unwrap();
        let mut stage = Stage::bare(&site).await;
        stage.scope.access.owner_role = Some(RoleName::new(owner).unwrap());
        assert_eq!(stage.look().await.missing, []);
        stage.admin.claim(&stage.scope).await.unwrap();
        stage.admin.prepare(&stage.scope).await.unwrap();
        let migrator = stage
            .admin
            .open_migrator(&stage.scope, &password("m"))
            .await
            .unwrap();
        let run = site.login(migrator.as_str(), "m").await.unwrap();
        run.batch_execute("ALTER TABLE public.items ADD COLUMN note text")
            .await
            .unwrap();
        assert!(stage.look().await.roles_ready);
        site.superuser_runs(&format!(
            "REASSIGN OWNED BY {} TO {admin}",
            app_owner(&site)
        ))
        .await;
    }
}

#[tokio::test]
async fn an_admin_that_does_not_own_the_database_needs_two_grants() {
    for major in majors() {
        let site = PgSite::new(major).await;
        let (admin, database) = (quoted(site.database.admin()), quoted(site.database.name()));
        site.superuser_runs(&format!(
            "ALTER DATABASE {database} OWNER TO postgres; REVOKE CREATE ON SCHEMA public FROM PUBLIC"
        ))
        .await;
        let stage = Stage::bare(&site).await;
        let missing = stage.look().await.missing;
        let grants: Vec<&str> = missing
            .iter()
            .map(|missing| missing.grant.as_str())
            .collect();
        assert_eq!(
            grants,
            [
                format!(
                    "GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {database} TO {admin} WITH GRANT OPTION"
                ),
                format!("GRANT USAGE, CREATE ON SCHEMA \"public\" TO {admin} WITH GRANT OPTION"),
            ]
        );
        for grant in grants {
            site.superuser_runs(grant).await;
        }
        let stage = Stage::at_v1(&site).await;
        stage.login("v1").await;
        let facts = stage.look().await;
        assert!(facts.roles_ready && facts.missing.is_empty(), "{facts:?}");
        stage
            .admin
            .drop_login(&stage.scope, &"v1".parse().unwrap(), LoginTurn::First)
            .await
            .unwrap();
        site.superuser_runs(&format!("ALTER DATABASE {database} OWNER TO {admin}"))
            .await;
    }
}

#[tokio::test]
async fn tables_of_a_third_role_are_named_with_the_grant_that_helps() {
    for major in majors() {
        let site = PgSite::new(major).await;
        let third = app_owner(&site);
        site.superuser_makes_role(&third).await;
        site.superuser_runs(&format!(
            "CREATE SCHEMA legacy AUTHORIZATION {third}; SET ROLE {third}; \
             CREATE TABLE legacy.\"odd \"\"one\" (id serial); CREATE TABLE legacy.two (id int)"
        ))
        .await;
        let stage = Stage::bare(&site).await;
        stage.admin.claim(&stage.scope).await.unwrap();
        let missing = stage.look().await.missing;
        // The schema, its tables together, and the sequence.
        assert_eq!(missing.len(), 3, "{missing:?}");
        assert!(
            missing[1]
                .grant
                .contains("legacy\".\"odd \"\"one\", \"legacy\".\"two\""),
            "{missing:?}"
        );
        match stage.admin.prepare(&stage.scope).await {
            Err(DatabaseError::Privilege(_)) => {}
            other => panic!("{other:?}"),
        }
        for missing in &missing {
            site.superuser_runs(&missing.grant).await;
        }
        assert_eq!(stage.look().await.missing, []);
        stage.admin.prepare(&stage.scope).await.unwrap();
        assert!(stage.look().await.roles_ready);
        let login = stage
            .admin
            .ensure_login(
                &stage.scope,
                &"v1".parse().unwrap(),
                LoginTurn::First,
                &password("pw"),
            )
            .await
            .unwrap();
        let client = site.login(login.as_str(), "pw").await.unwrap();
        client
            .batch_execute("INSERT INTO legacy.\"odd \"\"one\" DEFAULT VALUES")
            .await
            .unwrap();

        // Leaving the schema out is the other way.
        let mut stage = stage;
        stage.scope.access.schemas = Some(["public".to_owned()].into());
        stage.admin.prepare(&stage.scope).await.unwrap();
        assert!(stage.look().await.roles_ready);
    }
}

#[tokio::test]
async fn the_claim_follows_a_renamed_database() {
    for major in majors() {
        let site = PgSite::new(major).await;
        let stage = Stage::at_v1(&site).await;
        let login = stage.login("v1").await;
        let (claim, scope) = (stage.scope.claim.clone(), stage.scope.clone());
        drop(stage);
        let (name, renamed) = (
            site.database.name().to_owned(),
            format!("{}_r", site.database.name()),
        );
        let server = site.database.server().superuser().await;
        let rename = |from: &str, to: &str| {
            format!("ALTER DATABASE {} RENAME TO {}", quoted(from), quoted(to))
        };
        site.everybody_leaves().await;
        server
            .batch_execute(&rename(&name, &renamed))
            .await
            .unwrap();

        let dsn = format!("{}_r", site.database.admin_dsn());
        let moved = target(&dsn);
        let admin = site.connector().connect(&moved).await.unwrap();
        let stage = Stage { admin, scope };
        let facts = stage.look().await;
        assert_eq!(facts.claim, Claim::Ours(claim));
        assert!(facts.roles_ready, "{facts:?}");
        let password = "password-of-v1".to_owned().into();
        assert_eq!(
            site.connector().prove(&moved, &login, &password).await,
            Proof::Works
        );
        let migrator = stage
            .admin
            .open_migrator(&stage.scope, &self::password("m"))
            .await
            .unwrap();
        drop(stage);
        assert!(migrator.as_str().ends_with("_migrator"));
        site.everybody_leaves().await;
        server
            .batch_execute(&rename(&renamed, &name))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_claim_that_lost_its_tie_goes_on_with_its_names() {
    for major in majors() {
        let site = PgSite::new(major).await;
        let stage = Stage::at_v1(&site).await;
        let login = stage.login("v1").await;
        // What a restore into a new database of the same name leaves: roles, but no privileges on it.
        site.superuser_runs(&format!(
            "REVOKE CONNECT ON DATABASE {} FROM {}",
            quoted(site.database.name()),
            quoted(&format!("shop_{}_app", stage.scope.claim))
        ))
        .await;
        let facts = stage.look().await;
        assert_eq!(facts.claim, Claim::Ours(stage.scope.claim.clone()));
        assert!(!facts.roles_ready);
        assert_eq!(facts.logins.len(), 1);
        stage.admin.prepare(&stage.scope).await.unwrap();
        assert!(stage.look().await.roles_ready);
        assert_eq!(stage.login("v1").await, login);
        // To anybody else the tie is what counts, and it is back.
        let object = ObjectRef::new("shop", "other").unwrap();
        let other = ClaimOwner {
            cluster: "c9".into(),
            object,
        };
        assert!(matches!(
            stage.look_as(&other).await.claim,
            Claim::Elsewhere { .. }
        ));
    }
}

#[tokio::test]
async fn roles_of_an_earlier_admin_are_named_from_16_on() {
    for major in majors() {
        let site = PgSite::new(major).await;
        let stage = Stage::at_v1(&site).await;
        stage.login("v1").await;
        let second = format!("{}_2", site.database.admin());
        site.superuser_runs(&format!(
            "CREATE ROLE {second} LOGIN CREATEROLE PASSWORD 'second'; \
             ALTER DATABASE {} OWNER TO {second}",
            quoted(site.database.name())
        ))
        .await;
        site.forgets_role_later(&second);
        let dsn = site.database.dsn(&second, "second");
        let admin = site.connector().connect(&target(&dsn)).await.unwrap();
        let stage = Stage {
            admin,
            scope: stage.scope,
        };
        let mut missing = stage.look().await.missing;
        if major >= 16 {
            assert!(
                missing[0]
                    .grant
                    .contains("WITH ADMIN TRUE, INHERIT TRUE, SET TRUE"),
                "{missing:?}"
            );
            site.superuser_runs(&missing[0].grant).await;
            missing = stage.look().await.missing;
        }
        assert_eq!(missing, []);
        stage.admin.prepare(&stage.scope).await.unwrap();
        assert!(stage.look().await.roles_ready);
        stage.login("v1").await;
        stage
            .admin
            .drop_login(&stage.scope, &"v1".parse().unwrap(), LoginTurn::First)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_superuser_is_an_admin_as_well() {
    for major in majors() {
        let site = PgSite::new(major).await;
        let admin = quoted(site.database.admin());
        site.superuser_runs(&format!("ALTER ROLE {admin} SUPERUSER NOCREATEROLE"))
            .await;
        let stage = Stage::at_v1(&site).await;
        assert_eq!(stage.look().await.missing, []);
        let login = stage.login("v1").await;
        let password = "password-of-v1".to_owned().into();
        assert_eq!(
            site.connector()
                .prove(&site.target(), &login, &password)
                .await,
            Proof::Works
        );
        stage
            .admin
            .drop_login(&stage.scope, &"v1".parse().unwrap(), LoginTurn::First)
            .await
            .unwrap();
        assert!(stage.look().await.roles_ready);
        site.superuser_runs(&format!("ALTER ROLE {admin} NOSUPERUSER"))
            .await;
    }
}

#[tokio::test]
async fn two_owners_at_once_end_with_one_claim() {
    for major in majors() {
        let site = PgSite::new(major).await;
        let mut stages = Vec::new();
        for n in 0..4 {
            let object = ObjectRef::new("shop", format!("o{n}")).unwrap();
            let owner = ClaimOwner {
                cluster: "c1".into(),
                object,
            };
            let id = format!("{:04x}{n}aa", std::process::id() & 0xffff);
            stages.push(Stage::of(&site, owner, ClaimId::new(id).unwrap()).await);
        }
        let [a, b, c, d] = [0, 1, 2, 3].map(|n: usize| stages[n].admin.claim(&stages[n].scope));
        let (a, b, c, d) = tokio::join!(a, b, c, d);
        let won = [a, b, c, d].into_iter().filter(Result::is_ok).count();
        assert_eq!(won, 1);
    }
}

#[tokio::test]
async fn owners_of_many_databases_of_one_server_do_not_fail_each_other() {
    for major in majors() {
        let mut walks = Vec::new();
        for _ in 0..6 {
            walks.push(tokio::spawn(async move {
                let site = PgSite::new(major).await;
                let stage = Stage::at_v1(&site).await;
                for _ in 0..3 {
                    stage.login("v1").await;
                    stage
                        .admin
                        .lock_login(&stage.scope, &"v1".parse().unwrap(), LoginTurn::First)
                        .await
                        .unwrap();
                    stage
                        .admin
                        .drop_login(&stage.scope, &"v1".parse().unwrap(), LoginTurn::First)
                        .await
                        .unwrap();
                }
            }));
        }
        for walk in walks {
            walk.await.unwrap();
        }
    }
}

//! What MySQL's and MariaDB's own tables tell of where a walk has ended: accounts, marks, grants, columns.

use dbop_tests::Engine;
use dbop_tests::local::Site;

/// One line for each fact, without passwords and times.
pub(super) async fn facts(site: &Site) -> Vec<String> {
    let database = &site.database;
    let mut names = database.roles().await;
    // On MariaDB marks are roles, and are told below.
    names.retain(|name| !name.starts_with("dbop1."));
    let listed: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    let ours = format!("User IN ({})", listed.join(", "));
    let accounts = match site.engine() {
        Engine::MariaDb => format!(
            "SELECT 'role', User, 'login', \
                    IF(COALESCE(JSON_VALUE(Priv, '$.account_locked'), '0') IN ('1', 'true'), 'f', 't'), \
                    'host', Host, JSON_VALUE(Priv, '$.plugin'), JSON_VALUE(Priv, '$.access'), \
                    JSON_VALUE(Priv, '$.password_lifetime') \
             FROM mysql.global_priv WHERE {ours}"
        ),
        Engine::MySql | Engine::Postgres => format!(
            "SELECT 'role', User, 'login', IF(account_locked = 'Y', 'f', 't'), 'host', Host, plugin, \
                    password_expired, password_lifetime, User_attributes, Create_user_priv, Super_priv \
             FROM mysql.user WHERE {ours}"
        ),
    };
    let mut facts = database.read(&accounts).await;
    facts.extend(database.marks().await);
    for grants in [
        format!("SELECT 'on database:', d.* FROM mysql.db d WHERE {ours}"),
        format!(
            "SELECT 'on table', Db, Table_name, 'to', User, Host, Table_priv, Column_priv \
             FROM mysql.tables_priv WHERE {ours}"
        ),
        format!(
            "SELECT 'on routine', Db, Routine_name, 'to', User, Host, Proc_priv \
             FROM mysql.procs_priv WHERE {ours}"
        ),
    ] {
        facts.extend(database.read(&grants).await);
    }
    let columns = "SELECT 'column', TABLE_NAME, ORDINAL_POSITION, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE \
                   FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE()";
    facts.extend(database.read(columns).await);
    facts
}

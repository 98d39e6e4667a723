//! A database of MySQL's or MariaDB's: how it is made, which accounts belong to it, how they go.
//!
//! Accounts are found by their marks, as `docs/mysql-admin.md` describes them: their names may be cut.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::percent_decode_str;

use super::TestDatabase;
use crate::server::Engine;

/// What the names of MariaDB's marking roles begin with.
const MARK: &str = "dbop1.";

/// What the least admin is given beside its database; `docs/mysql-admin.md` says the same.
const COMMON: [&str; 5] = [
    "CREATE USER, PROCESS, SHOW DATABASES ON *.*",
    "SELECT ON mysql.db",
    "SELECT ON mysql.tables_priv",
    "SELECT ON mysql.columns_priv",
    "SELECT ON mysql.procs_priv",
];
/// The same, on MariaDB alone.
const ON_MARIADB: [&str; 1] = ["SELECT ON mysql.global_priv"];
/// The same, on MySQL alone.
const ON_MYSQL: [&str; 2] = [
    "SELECT (Host, User, account_locked) ON mysql.user",
    "SELECT ON performance_schema.accounts",
];

pub(super) fn creation(database: &TestDatabase) -> Vec<String> {
    let engine = database.engine();
    let (name, admin) = (engine.quoted(&database.name), database.admin_account());
    let whole = engine.quoted(&pattern(&database.name));
    let own: &[&str] = match engine {
        Engine::MariaDb => &ON_MARIADB,
        Engine::MySql | Engine::Postgres => &ON_MYSQL,
    };
    let mut statements = vec![
        format!("CREATE DATABASE {name}"),
        format!("CREATE USER {admin} IDENTIFIED BY '{}'", database.password),
        format!("GRANT ALL PRIVILEGES ON {whole}.* TO {admin} WITH GRANT OPTION"),
    ];
    let grants = COMMON.iter().chain(own);
    statements.extend(grants.map(|grant| format!("GRANT {grant} TO {admin}")));
    statements
}

/// A database's name in a grant, where `_` and `%` are wildcards.
fn pattern(name: &str) -> String {
    name.replace('\\', "\\\\")
        .replace('_', "\\_")
        .replace('%', "\\%")
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

pub(super) async fn roles(database: &TestDatabase) -> Vec<String> {
    let mut names = vec![database.admin.clone()];
    for mark in marks(database).await {
        names.push(mark.account);
        names.extend(mark.roles);
    }
    names.extend(holders(database).await.into_iter().map(|(user, _)| user));
    names
}

pub(super) async fn logins(database: &TestDatabase) -> Vec<String> {
    let there = everybody(database).await;
    let mut names: Vec<String> = marks(database)
        .await
        .into_iter()
        .filter(|mark| mark.kind == Kind::Login)
        .map(|mark| mark.account)
        .collect();
    // On MariaDB a mark outlives its account.
    names.retain(|name| there.iter().any(|(user, _)| user == name));
    names
}

pub(super) async fn migrators(database: &TestDatabase) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    for mark in marks(database).await {
        if mark.kind == Kind::Migrator {
            let open = database.is_open(&mark.account).await.unwrap_or_default();
            found.push((mark.account, open));
        }
    }
    found
}

pub(super) async fn removal(database: &TestDatabase) -> Vec<String> {
    let engine = database.engine();
    let mut statements = vec![format!(
        "DROP DATABASE IF EXISTS {}",
        engine.quoted(&database.name)
    )];
    let mut accounts = holders(database).await;
    accounts.insert((database.admin.clone(), "%".to_owned()));
    for mark in marks(database).await {
        accounts.insert((mark.account, "%".to_owned()));
        let roles = mark.roles.iter();
        statements.extend(roles.map(|role| format!("DROP ROLE IF EXISTS {}", engine.quoted(role))));
    }
    let quoted = |(user, host): &(String, String)| {
        format!("{}@{}", engine.quoted(user), engine.quoted(host))
    };
    let drops = accounts.iter().map(quoted);
    statements.extend(drops.map(|account| format!("DROP USER IF EXISTS {account}")));
    statements
}

/// What a marked account is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Group,
    Migrator,
    Login,
}

/// A mark of the claim that is on a database.
struct Mark {
    kind: Kind,
    account: String,
    /// MariaDB: the roles that are the mark.
    roles: Vec<String>,
    /// All that it says.
    text: String,
}

pub(super) async fn marks_as_text(database: &TestDatabase) -> Vec<String> {
    let marks = marks(database).await.into_iter();
    marks
        .map(|mark| format!("{} bears {}", mark.account, mark.text))
        .collect()
}

/// The marks of all accounts of the claims that are on the database.
async fn marks(database: &TestDatabase) -> Vec<Mark> {
    match database.engine() {
        Engine::MariaDb => marks_in_roles(database).await,
        Engine::MySql | Engine::Postgres => marks_in_attributes(database).await,
    }
}

async fn marks_in_attributes(database: &TestDatabase) -> Vec<Mark> {
    let field =
        |of: &str, name: &str| format!("JSON_UNQUOTE(JSON_EXTRACT({of}.ATTRIBUTE, '$.{name}'))");
    let attributes = "information_schema.USER_ATTRIBUTES";
    let sql = format!(
        "SELECT {}, a.USER, a.ATTRIBUTE FROM {attributes} a WHERE {} IN (SELECT {} FROM {attributes} g WHERE {} = {})",
        field("a", "kind"),
        field("a", "claim"),
        field("g", "claim"),
        field("g", "database"),
        literal(&database.name)
    );
    let rows = database.server.read(&sql).await;
    rows.iter()
        .filter_map(|row| {
            let (kind, rest) = row.split_once(' ')?;
            let (account, text) = rest.split_once(' ')?;
            let kind = match kind {
                "group" => Kind::Group,
                "migrator" => Kind::Migrator,
                _ => Kind::Login,
            };
            Some(Mark {
                kind,
                account: account.to_owned(),
                roles: Vec::new(),
                text: text.to_owned(),
            })
        })
        .collect()
}

async fn marks_in_roles(database: &TestDatabase) -> Vec<Mark> {
    let sql = format!(
        "SELECT User FROM mysql.global_priv WHERE Host = '' AND LEFT(User, {}) = '{MARK}'",
        MARK.len()
    );
    // A long mark is cut into pieces, `dbop1.<hash>.2of3.<piece>`.
    let mut wholes: BTreeMap<String, BTreeMap<usize, (String, String)>> = BTreeMap::new();
    for role in database.server.read(&sql).await {
        let mut parts = role[MARK.len()..].splitn(3, '.');
        let (hash, numbers, piece) = (parts.next(), parts.next(), parts.next());
        let at = numbers.and_then(|numbers| numbers.split_once("of")?.0.parse().ok());
        if let (Some(hash), Some(at), Some(piece)) = (hash, at, piece) {
            let (hash, piece) = (hash.to_owned(), piece.to_owned());
            wholes.entry(hash).or_default().insert(at, (role, piece));
        }
    }
    let decoded: Vec<(Vec<String>, Vec<String>)> = wholes
        .into_values()
        .map(|pieces| {
            let (roles, pieces): (Vec<String>, Vec<String>) = pieces.into_values().unzip();
            let text = pieces.concat();
            let field = |field| percent_decode_str(field).decode_utf8_lossy().into_owned();
            (text.split(':').map(field).collect(), roles)
        })
        .collect();
    // Kind, claim, account, and of a group the database.
    let is_ours = |fields: &[String]| fields[0] == "g" && fields.get(3) == Some(&database.name);
    let claims: BTreeSet<String> = decoded
        .iter()
        .filter(|(fields, _)| fields.len() > 3 && is_ours(fields))
        .map(|(fields, _)| fields[1].clone())
        .collect();
    let of_ours = decoded
        .into_iter()
        .filter(|(fields, _)| fields.len() > 2 && claims.contains(&fields[1]));
    of_ours
        .map(|(fields, roles)| Mark {
            kind: match fields[0].as_str() {
                "g" => Kind::Group,
                "m" => Kind::Migrator,
                _ => Kind::Login,
            },
            account: fields[2].clone(),
            roles,
            text: fields.join(" "),
        })
        .collect()
}

/// Accounts that have rights on the database or in it, or are called after it: name and host.
async fn holders(database: &TestDatabase) -> BTreeSet<(String, String)> {
    let (name, whole) = (literal(&database.name), literal(&pattern(&database.name)));
    let holding: Vec<String> = ["db", "tables_priv", "columns_priv", "procs_priv"]
        .iter()
        .map(|table| format!("SELECT Host, User FROM mysql.{table} WHERE Db IN ({name}, {whole})"))
        .collect();
    let found = database.server.read(&holding.join(" UNION ")).await;
    let mut holders: BTreeSet<(String, String)> = found
        .iter()
        .filter_map(|row| row.split_once(' '))
        .map(|(host, user)| (user.to_owned(), host.to_owned()))
        .collect();
    let named_after = [
        format!("{}_", database.name),
        format!("{}_", database.name.replace('_', "-")),
    ];
    let all = everybody(database).await.into_iter();
    holders.extend(all.filter(|(user, _)| named_after.iter().any(|start| user.starts_with(start))));
    holders
}

/// All accounts of the server: name and host.
async fn everybody(database: &TestDatabase) -> Vec<(String, String)> {
    // A role of MariaDB's has no host.
    let rows = database
        .server
        .read("SELECT Host, User FROM mysql.user WHERE Host <> ''")
        .await;
    rows.iter()
        .filter_map(|row| row.split_once(' '))
        .map(|(host, user)| (user.to_owned(), host.to_owned()))
        .collect()
}

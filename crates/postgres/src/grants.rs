//! Grants: what the group role has, against what the policy wants. One plan serves both sides: a look asks
//! whether it is empty and what the admin lacks for it, `prepare` carries it out.
//!
//! The version table and what else the migration tool keeps for itself are readable at most, and so is whatever can
//! be written in their stead (a view on one, a table that it inherits from). What the owner role makes later is given by default privileges; these wait
//! until the version table is there, because it would be given like any other. A version table that a
//! migration drops and makes anew is writable until the run's end, when `prepare` takes that back.

use std::collections::{BTreeMap, BTreeSet};

use dbop_database::DatabaseError;
use dbop_model::{AccessPolicy, MissingPrivilege, Privilege};

use crate::claim::shown;
use crate::link::Hold;
use crate::parse::Values as _;
use crate::parse::{self, Admin, RelationRow, SchemaRow};
use crate::query::{self, GrantScope};

/// Names in one statement: enough that a large database takes few, few enough for one line of a log.
const NAMES_PER_STATEMENT: usize = 100;
/// Missing privileges told at once: a person grants the first, and sees the rest.
const MISSING_MAX: usize = 20;

/// The schema where migrations of most tools make their tables.
const PUBLIC: &str = "public";

/// What is to be done.
#[derive(Default)]
pub(crate) struct GrantsPlan {
    /// Statements, none of which depends on another.
    pub(crate) statements: Vec<String>,
    /// What the admin lacks.
    pub(crate) missing: Vec<MissingPrivilege>,
    /// Is there a table besides the migration tool's own?
    pub(crate) has_tables: bool,
}

/// Whose grants these are.
pub(crate) struct Parties<'a> {
    pub(crate) admin: &'a Admin,
    /// `None`: not made yet.
    pub(crate) group: Option<&'a str>,
    /// `None`: not made yet.
    pub(crate) owner: Option<&'a str>,
    pub(crate) access: &'a AccessPolicy,
}

/// Plans from the catalogue as the connection's transaction sees it.
pub(crate) async fn plan(
    hold: &Hold<'_>,
    parties: &Parties<'_>,
) -> Result<GrantsPlan, DatabaseError> {
    let operation = hold.operation();
    let access = parties.access;
    let scope = GrantScope {
        group: parties.group,
        owner: parties.owner,
        schemas: access.schemas.as_ref(),
        version_table: access.version_table.as_ref(),
        tool_tables: &access.tool_tables,
    };
    let rows = hold.rows(&query::tables(&scope)?).await?;
    let (has_tables, has_version) =
        parse::one(operation, &rows, |c| Ok((c.boolean()?, c.boolean()?)))?;
    let mut plan = GrantsPlan {
        has_tables,
        ..GrantsPlan::default()
    };

    let rows = hold.rows(&query::schemas(&scope)?).await?;
    let schemas = parse::all(operation, &rows, parse::schema)?;
    plan.schemas(parties, &schemas)?;

    let rows = hold
        .rows(&query::relations(&scope, &access.privileges)?)
        .await?;
    let relations = parse::all(operation, &rows, parse::relation)?;
    plan.relations(parties, &relations)?;

    if let (Some(group), Some(owner)) = (parties.group, parties.owner) {
        let rows = hold.rows(&query::defaults(group, owner)?).await?;
        let found = parse::all(operation, &rows, |c| {
            Ok((
                DefaultsOf {
                    kind: c.text()?.to_owned(),
                    schema: c.text()?.to_owned(),
                },
                c.text()?.to_owned(),
            ))
        })?;
        let waits = access.version_table.is_some() && !has_version;
        plan.defaults(
            group,
            owner,
            found,
            wanted_defaults(access, &schemas, waits),
        )?;
    }
    Ok(plan)
}

impl GrantsPlan {
    /// Is there nothing to do?
    pub(crate) fn is_done(&self) -> bool {
        self.statements.is_empty() && self.missing.is_empty()
    }

    fn schemas(
        &mut self,
        parties: &Parties<'_>,
        schemas: &[SchemaRow],
    ) -> Result<(), DatabaseError> {
        let admin = shown(&parties.admin.name);
        for schema in schemas {
            let name = query::name(&schema.name)?;
            let mut given = Vec::new();
            if schema.is_covered && !schema.group_uses {
                given.push((parties.group, "USAGE"));
            }
            let migrations_create_here = schema.name == PUBLIC
                || parties
                    .access
                    .schemas
                    .as_ref()
                    .is_some_and(|s| s.contains(&schema.name));
            // A role of the user's own has what its person gave it.
            if parties.access.owner_role.is_none()
                && migrations_create_here
                && !schema.owner_creates
            {
                given.push((parties.owner, "USAGE, CREATE"));
            }
            for (role, privileges) in given {
                let can_grant = schema.can_grant_usage
                    && (schema.can_grant_create || !privileges.contains("CREATE"));
                match role {
                    _ if !can_grant => self.miss(
                        format!("let applications or migrations use schema {}", schema.name),
                        format!("GRANT {privileges} ON SCHEMA {name} TO {admin} WITH GRANT OPTION"),
                    ),
                    Some(role) => self.statements.push(format!(
                        "GRANT {privileges} ON SCHEMA {name} TO {}",
                        query::name(role)?
                    )),
                    None => {}
                }
            }
            if let Some(group) = parties.group
                && !schema.is_covered
                && schema.group_was_given
                && schema.can_grant_usage
            {
                self.statements.push(format!(
                    "REVOKE USAGE ON SCHEMA {name} FROM {}",
                    query::name(group)?
                ));
            }
        }
        Ok(())
    }

    fn relations(
        &mut self,
        parties: &Parties<'_>,
        relations: &[RelationRow],
    ) -> Result<(), DatabaseError> {
        // By what is done to them, so that one statement does it to many.
        let mut grants: BTreeMap<(bool, String), Vec<String>> = BTreeMap::new();
        let mut revokes: BTreeMap<(bool, String, String), Vec<String>> = BTreeMap::new();
        let mut missing: BTreeMap<(bool, &str, &str, String), Vec<String>> = BTreeMap::new();
        let group = parties.group.map(query::name).transpose()?;
        let writes: Vec<&str> = query::keywords(Privilege::ALL.into_iter().filter(|p| p.writes()));
        for relation in relations {
            let name = query::qualified(&relation.schema, &relation.name)?;
            let kind = relation.is_sequence;
            let lacking = joined(&relation.lacking);
            if relation.lacking.is_subset(&relation.grantable) {
                if !lacking.is_empty() && group.is_some() {
                    grants
                        .entry((kind, lacking))
                        .or_default()
                        .push(name.clone());
                }
            } else {
                let key = (
                    kind,
                    relation.schema.as_str(),
                    relation.owner.as_str(),
                    lacking,
                );
                missing.entry(key).or_default().push(name.clone());
            }
            if let Some(group) = &group
                && !relation.surplus.is_empty()
            {
                let key = (kind, joined(&relation.surplus), group.clone());
                revokes.entry(key).or_default().push(name.clone());
            }
            if !relation.writers.is_empty() {
                self.close(parties.admin, relation, &name, &writes, &mut revokes)?;
            }
        }
        for ((is_sequence, privileges), names) in grants {
            let Some(group) = &group else { continue };
            for names in names.chunks(NAMES_PER_STATEMENT) {
                let (kind, names) = (kind_of(is_sequence), names.join(", "));
                self.statements
                    .push(format!("GRANT {privileges} ON {kind} {names} TO {group}"));
            }
        }
        for ((is_sequence, privileges, from), names) in revokes {
            for names in names.chunks(NAMES_PER_STATEMENT) {
                let (kind, names) = (kind_of(is_sequence), names.join(", "));
                self.statements
                    .push(format!("REVOKE {privileges} ON {kind} {names} FROM {from}"));
            }
        }
        let admin = shown(&parties.admin.name);
        for ((is_sequence, schema, owner, privileges), names) in missing {
            let count = names.len();
            let things = match (is_sequence, count) {
                (false, 1) => "a table",
                (false, _) => "tables",
                (true, 1) => "a sequence",
                (true, _) => "sequences",
            };
            let kind = kind_of(is_sequence);
            let on = if count <= NAMES_PER_STATEMENT {
                format!("{kind} {}", names.join(", "))
            } else {
                format!("ALL {kind}S IN SCHEMA {}", query::name(schema)?)
            };
            self.miss(
                format!(
                    "give applications {privileges} on {things} of role {owner} in schema \
                     {schema} (or leave the schema out of credentials.schemas)"
                ),
                format!("GRANT {privileges} ON {on} TO {admin} WITH GRANT OPTION"),
            );
        }
        Ok(())
    }

    /// Takes from everybody of ours the right to write a relation that holds the version.
    fn close(
        &mut self,
        admin: &Admin,
        relation: &RelationRow,
        name: &str,
        writes: &[&str],
        revokes: &mut BTreeMap<(bool, String, String), Vec<String>>,
    ) -> Result<(), DatabaseError> {
        let from = relation
            .writers
            .iter()
            .map(|writer| {
                if writer == "PUBLIC" {
                    Ok(writer.clone())
                } else {
                    query::name(writer)
                }
            })
            .collect::<Result<Vec<_>, _>>()?
            .join(", ");
        let privileges = writes.join(", ");
        if relation.can_revoke {
            revokes
                .entry((false, privileges, from))
                .or_default()
                .push(name.to_owned());
        } else {
            self.miss(
                format!(
                    "keep applications from writing the version in {}.{}, which role {} owns",
                    relation.schema, relation.name, relation.owner
                ),
                format!(
                    "GRANT {} TO {}, or REVOKE {privileges} ON TABLE {name} FROM {from}",
                    shown(&relation.owner),
                    shown(&admin.name)
                ),
            );
        }
        Ok(())
    }

    fn defaults(
        &mut self,
        group: &str,
        owner: &str,
        found: Vec<(DefaultsOf, String)>,
        wanted: BTreeMap<DefaultsOf, BTreeSet<&'static str>>,
    ) -> Result<(), DatabaseError> {
        let mut held: BTreeMap<DefaultsOf, BTreeSet<String>> = BTreeMap::new();
        for (of, privilege) in found {
            held.entry(of).or_default().insert(privilege);
        }
        let nothing = (BTreeSet::new(), BTreeSet::new());
        let all: BTreeSet<&DefaultsOf> = held.keys().chain(wanted.keys()).collect();
        for of in all {
            let held = held.get(of).unwrap_or(&nothing.0);
            let wanted = wanted.get(of).unwrap_or(&nothing.1);
            let lacking: Vec<&str> = wanted
                .iter()
                .filter(|p| !held.contains(**p))
                .copied()
                .collect();
            let surplus: Vec<&str> = held
                .iter()
                .map(String::as_str)
                .filter(|p| !wanted.contains(p))
                .collect();
            let mut prefix = format!("ALTER DEFAULT PRIVILEGES FOR ROLE {}", query::name(owner)?);
            if !of.schema.is_empty() {
                prefix.push_str(&format!(" IN SCHEMA {}", query::name(&of.schema)?));
            }
            let (on, group) = (of.keyword(), query::name(group)?);
            if !lacking.is_empty() {
                let lacking = lacking.join(", ");
                self.statements
                    .push(format!("{prefix} GRANT {lacking} ON {on} TO {group}"));
            }
            if !surplus.is_empty() {
                let surplus = surplus.join(", ");
                self.statements
                    .push(format!("{prefix} REVOKE {surplus} ON {on} FROM {group}"));
            }
        }
        Ok(())
    }

    fn miss(&mut self, needed_for: String, grant: String) {
        if self.missing.len() < MISSING_MAX {
            self.missing.push(MissingPrivilege { needed_for, grant });
        }
    }
}

/// Default privileges are on one kind of objects, in one schema or in all (empty).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct DefaultsOf {
    kind: String,
    schema: String,
}

impl DefaultsOf {
    fn keyword(&self) -> &'static str {
        match self.kind.as_str() {
            "S" => "SEQUENCES",
            "n" => "SCHEMAS",
            _ => "TABLES",
        }
    }
}

fn wanted_defaults(
    access: &AccessPolicy,
    schemas: &[SchemaRow],
    waits: bool,
) -> BTreeMap<DefaultsOf, BTreeSet<&'static str>> {
    let mut wanted = BTreeMap::new();
    if waits {
        return wanted;
    }
    let tables: BTreeSet<&str> = query::keywords(access.privileges.iter().copied())
        .into_iter()
        .collect();
    let sequences: BTreeSet<&str> = query::sequence_keywords(&access.privileges)
        .into_iter()
        .collect();
    let of = |kind: &str, schema: &str| DefaultsOf {
        kind: kind.into(),
        schema: schema.into(),
    };
    let mut add = |schema: &str| {
        wanted.insert(of("r", schema), tables.clone());
        wanted.insert(of("S", schema), sequences.clone());
    };
    match &access.schemas {
        None => {
            add("");
            wanted.insert(of("n", ""), BTreeSet::from(["USAGE"]));
        }
        Some(_) => schemas
            .iter()
            .filter(|s| s.is_covered)
            .for_each(|s| add(&s.name)),
    }
    wanted
}

fn kind_of(is_sequence: bool) -> &'static str {
    if is_sequence { "SEQUENCE" } else { "TABLE" }
}

fn joined(words: &BTreeSet<String>) -> String {
    words
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

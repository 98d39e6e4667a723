//! What the server makes of a text that it only reads: it is parsed and analysed, which looks up every name and type in it,
//! and never bound, so that nothing of it is planned or runs (PostgreSQL manual, section 54.2.3).
//!
//! Nobody's code runs, so that names may be looked up where a migration looks them up: in the schemas of the path, and
//! in those of other users behind them, since a migration's login may have a path of its own.

use dbop_database::DatabaseError;
use dbop_database::answer::{Answer, Failure};
use dbop_model::operation::{Reading, ReadingKind};
use dbop_model::table::Understood;

use super::ask::{CATALOGUE_TIMEOUT, all as all_of, unreadable};
use super::parse::quoted;
use super::{Look, OPERATION};

/// The schemas of the session's own path that are there.
const PATH: &str = "SELECT pg_catalog.current_schemas(false)";
/// Schemas of users.
const SCHEMAS: &str = "
    SELECT nspname FROM pg_namespace
    WHERE nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'
    ORDER BY nspname";
/// Classes of errors that a text deserves, whoever reads it: what is not there, syntax and types, values of constants.
const REFUSALS: [&str; 6] = ["0A", "22", "3D", "3F", "42", "2B"];
/// Errors among them that say something of the reader alone: rights that the admin lacks, and a stack that is too small.
const NOT_REFUSALS: [&str; 1] = ["42501"];

impl Look<'_> {
    pub(super) async fn understood(&self, reading: &Reading) -> Answer<Understood> {
        let path = self.path(reading.schema.as_deref()).await?;
        if reading.kind == ReadingKind::Catalogue {
            return self.refused_by_catalogue(&path, &reading.text).await;
        }
        let prepared = async {
            Ok(match self.client.prepare(&reading.text).await {
                Ok(statement) => {
                    let columns = statement.columns().iter();
                    let names = columns.map(|column| column.name().to_owned());
                    Ok(names.collect::<Vec<String>>())
                }
                Err(error) => Err(error),
            })
        };
        match self.bounded(CATALOGUE_TIMEOUT, &path, prepared).await? {
            Ok(columns) => Ok(Understood::Yes { columns }),
            Err(error) => {
                let refusal = error.as_db_error().filter(|_| !self.client.is_closed());
                let Some(refusal) = refusal else {
                    return Err(Failure::Broken(DatabaseError::Lost {
                        operation: OPERATION,
                    }));
                };
                let code = refusal.code().code();
                let is_refusal = REFUSALS.iter().any(|class| code.starts_with(class))
                    && !NOT_REFUSALS.contains(&code);
                if !is_refusal {
                    return Err(self.failure(&error, CATALOGUE_TIMEOUT));
                }
                Ok(Understood::No {
                    code: code.to_owned(),
                    message: refusal.message().to_owned(),
                })
            }
        }
    }

    /// The first reason that the catalogue has against a statement. The question names no function or operator but the
    /// server's own, so that the path is one of names of objects alone.
    async fn refused_by_catalogue(&self, path: &str, sql: &str) -> Answer<Understood> {
        let rows = self.in_path(path, sql, &[]).await?;
        let Some(first) = rows.first() else {
            let columns = Vec::new();
            return Ok(Understood::Yes { columns });
        };
        let code = first.try_get(0).ok().ok_or_else(unreadable)?;
        let message = first.try_get(1).ok().ok_or_else(unreadable)?;
        Ok(Understood::No { code, message })
    }

    /// Where names are looked up, quoted.
    async fn path(&self, first: Option<&str>) -> Answer<String> {
        let own = self.in_path("DEFAULT", PATH, &[]).await?;
        let own: Vec<String> = own
            .first()
            .and_then(|row| row.try_get(0).ok())
            .ok_or_else(unreadable)?;
        let all = self.catalogue(SCHEMAS, &[]).await?;
        let all = all_of(&all, |row| row.try_get(0).ok())?;
        let mut path: Vec<String> = first.map(str::to_owned).into_iter().collect();
        // Our own path has the server's schema alone; a login without a path of its own has this one (manual, section 5.10.3).
        let own = own.into_iter().filter(|schema| schema != "pg_catalog");
        let usual = all.iter().find(|schema| *schema == "public").cloned();
        for schema in own.chain(usual).chain(all.clone()) {
            if !path.contains(&schema) {
                path.push(schema);
            }
        }
        if path.is_empty() {
            path.push("public".to_owned());
        }
        let quoted: Vec<String> = path.iter().map(|schema| quoted(schema)).collect();
        Ok(quoted.join(", "))
    }
}

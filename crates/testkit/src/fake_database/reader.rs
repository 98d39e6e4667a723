//! Users' queries in memory: `SELECT 7` gives 7, `SLEEP 9` is cut off, `DIE` ends the session, and all else is refused.

use std::time::Duration;

use async_trait::async_trait;
use dbop_database::{DatabaseError, Reader, number};
use dbop_model::Fact;

use super::FakeDatabase;

/// A session of the login that users' queries run as.
pub(super) struct ReaderConnection {
    database: FakeDatabase,
}

impl ReaderConnection {
    pub(super) fn new(database: FakeDatabase) -> Self {
        Self { database }
    }
}

#[async_trait]
impl Reader for ReaderConnection {
    async fn number(&self, sql: &str, limit: Duration) -> Result<Fact<f64>, DatabaseError> {
        let operation = "spec.metrics.sqlQuery";
        if !self.database.locked().reachable || sql == "DIE" {
            return Err(DatabaseError::Lost { operation });
        }
        match sql.split_once(' ') {
            Some(("SELECT", value)) => {
                let value = Some(value.to_owned()).filter(|value| value != "NULL");
                Ok(number::of_rows(&[vec![value]]))
            }
            Some(("SLEEP", _)) => number::of_error(DatabaseError::Timeout { operation }, limit),
            _ => number::of_error(
                DatabaseError::Server {
                    operation,
                    code: "42601".to_owned(),
                    message: "syntax error".to_owned(),
                },
                limit,
            ),
        }
    }
}

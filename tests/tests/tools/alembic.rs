//! Alembic: `env.py` takes the URL from the environment, and names SQLAlchemy's driver.

use dbop_tests::Engine;
use dbop_tests::local::Directory;
use serde_json::{Value, json};

use super::project::{Project, command_line};
use super::walk;

struct Alembic;

const REVISIONS: [&str; 3] = ["3f1c0a9d5e21", "8b7e64c1d0f2", "c25d9a7731b3"];

const ENVIRONMENT: &str = r#"
import os

from alembic import context
from sqlalchemy import create_engine, make_url, pool

url = make_url(os.environ["DBA_OP_CONNECTION_STRING"])
if url.drivername == "postgresql":
    url = url.set(drivername="postgresql+psycopg")
else:
    # PyMySQL knows no ssl-mode; by itself it uses TLS where the server has it.
    url = url.set(drivername="mysql+pymysql", query={})
engine = create_engine(url, poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"#;

impl Project for Alembic {
    fn name(&self) -> &'static str {
        "alembic"
    }

    fn schema_version(&self) -> Value {
        json!({ "engine": "Alembic" })
    }

    fn table(&self) -> &'static str {
        "alembic_version"
    }

    fn versions(&self) -> [&'static str; 3] {
        REVISIONS
    }

    fn lay_out(&self, files: &Directory, _engine: Engine) {
        files.write("db/alembic.ini", "[alembic]\nscript_location = db\n");
        files.write("db/env.py", ENVIRONMENT);
    }

    fn step(&self, files: &Directory, nth: usize, statements: &[&str]) {
        let (revision, before) = (REVISIONS[nth - 1], nth.checked_sub(2));
        let down = before.map_or("None".to_owned(), |at| format!("'{}'", REVISIONS[at]));
        let upgrade: String = statements
            .iter()
            .map(|statement| format!("    op.execute(\"{statement}\")\n"))
            .collect();
        files.write(
            &format!("db/versions/{revision}_step.py"),
            &format!(
                "from alembic import op\n\nrevision = '{revision}'\ndown_revision = {down}\n\n\n\
                 def upgrade():\n{upgrade}"
            ),
        );
    }

    fn command(&self, _engine: Engine) -> Vec<String> {
        let words = [
            "-c",
            "db/alembic.ini",
            "upgrade",
            "$(DBA_OP_TARGET_VERSION)",
        ];
        command_line(self, "alembic", &words)
    }
}

#[tokio::test]
async fn three_versions() {
    walk::three_versions(&Alembic).await;
}

#[tokio::test]
async fn one_fails_and_one_is_killed() {
    walk::one_fails_and_one_is_killed(&Alembic).await;
}

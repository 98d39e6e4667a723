//! Django: settings take the parts from the environment. A version is one app's.

use dbop_tests::Engine;
use dbop_tests::local::Directory;
use serde_json::{Value, json};

use super::project::{Project, command_line};
use super::walk;

struct Django;

const NAMES: [&str; 3] = ["0001_initial", "0002_email", "0003_phone"];

const MANAGE: &str = r#"
import os
import sys

from django.core.management import execute_from_command_line

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
execute_from_command_line(sys.argv)
"#;

const POSTGRES: &str =
    r#"ENGINE, OPTIONS = "django.db.backends.postgresql", {"sslmode": "prefer"}"#;

const MYSQL: &str = r#"
import pymysql

# Django asks for mysqlclient; PyMySQL stands in for it.
pymysql.install_as_MySQLdb()
ENGINE, OPTIONS = "django.db.backends.mysql", {}
"#;

const SETTINGS: &str = r#"
import os

DATABASES = {
    "default": {
        "ENGINE": ENGINE,
        "OPTIONS": OPTIONS,
        "HOST": os.environ["DBA_OP_HOST"],
        "PORT": os.environ["DBA_OP_PORT"],
        "NAME": os.environ["DBA_OP_DATABASE"],
        "USER": os.environ["DBA_OP_USERNAME"],
        "PASSWORD": os.environ["DBA_OP_PASSWORD"],
    }
}
INSTALLED_APPS = ["shop"]
SECRET_KEY = "no session is ever signed here"
USE_TZ = True
"#;

impl Project for Django {
    fn name(&self) -> &'static str {
        "django"
    }

    fn schema_version(&self) -> Value {
        json!({ "engine": "Django", "app": "shop" })
    }

    fn table(&self) -> &'static str {
        "django_migrations"
    }

    fn versions(&self) -> [&'static str; 3] {
        NAMES
    }

    fn lay_out(&self, files: &Directory, engine: Engine) {
        let driver = match engine {
            Engine::Postgres => POSTGRES,
            Engine::MariaDb | Engine::MySql => MYSQL,
        };
        files.write("project/manage.py", MANAGE);
        files.write("project/settings.py", &format!("{driver}\n{SETTINGS}"));
        files.write("project/shop/__init__.py", "");
        files.write("project/shop/migrations/__init__.py", "");
    }

    fn step(&self, files: &Directory, nth: usize, statements: &[&str]) {
        let before = nth
            .checked_sub(2)
            .map(|at| format!("('shop', '{}')", NAMES[at]));
        let operations: String = statements
            .iter()
            .map(|statement| format!("        migrations.RunSQL(\"{statement}\"),\n"))
            .collect();
        files.write(
            &format!("project/shop/migrations/{}.py", NAMES[nth - 1]),
            &format!(
                "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n    \
                 dependencies = [{}]\n    operations = [\n{operations}    ]\n",
                before.unwrap_or_default()
            ),
        );
    }

    fn command(&self, _engine: Engine) -> Vec<String> {
        let words = [
            "project/manage.py",
            "migrate",
            "shop",
            "$(DBA_OP_TARGET_VERSION)",
            "--noinput",
        ];
        command_line(self, "python", &words)
    }
}

#[tokio::test]
async fn three_versions() {
    walk::three_versions(&Django).await;
}

#[tokio::test]
async fn one_fails_and_one_is_killed() {
    walk::one_fails_and_one_is_killed(&Django).await;
}

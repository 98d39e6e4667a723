//! A server that takes no writes is said to be that. In a file of its own: while it lasts, no other test can write.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, which is its use"
)]

#[path = "support/site.rs"]
mod support;

use dbop_database::DatabaseError;
use dbop_model::LoginTurn;
use dbop_testkit::conformance::{Site as _, Stage};
use support::MySite;

#[tokio::test]
async fn a_read_only_server_is_not_taken() {
    support::on_each(async |server| {
        let site = MySite::on(&server).await;
        let stage = Stage::prepared(&site).await;
        server.runs("SET GLOBAL read_only = 1").await;
        let late = stage.login_refused().await;
        let error = site.connector().connect(&site.target()).await.err();
        server.runs("SET GLOBAL read_only = 0").await;
        match error.unwrap() {
            error @ DatabaseError::NotNow { .. } => {
                assert!(error.to_string().contains("read_only is on"), "{error}");
            }
            other => panic!("{other:?}"),
        }
        // A connection from before is given up, so that the next one says why.
        assert!(matches!(late, DatabaseError::Lost { .. }), "{late}");
    })
    .await;
}

/// A login cannot be made just now.
trait Refused {
    async fn login_refused(&self) -> DatabaseError;
}

impl Refused for Stage {
    async fn login_refused(&self) -> DatabaseError {
        let (migration, password) = ("v1".parse().unwrap(), "x".to_owned().into());
        self.admin
            .ensure_login(&self.scope, &migration, LoginTurn::First, &password)
            .await
            .unwrap_err()
    }
}

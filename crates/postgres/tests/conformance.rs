//! The conformance suite on real servers, as the least admin: the oldest and the newest PostgreSQL, each case
//! in a database of its own.

#[path = "support/site.rs"]
mod support;

macro_rules! on_14 {
    ($($case:ident)*) => {
        mod on_14 {
            $(
                #[tokio::test]
                async fn $case() {
                    let site = crate::support::PgSite::new(14).await;
                    dbop_testkit::conformance::$case(&site).await;
                }
            )*
        }
    };
}

macro_rules! on_18 {
    ($($case:ident)*) => {
        mod on_18 {
            $(
                #[tokio::test]
                async fn $case() {
                    let site = crate::support::PgSite::new(18).await;
                    dbop_testkit::conformance::$case(&site).await;
                }
            )*
        }
    };
}

dbop_testkit::conformance_cases!(on_14);
dbop_testkit::conformance_cases!(on_18);

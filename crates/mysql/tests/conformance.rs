//! The conformance suite on real servers, as the least admin: each case on every server that the run is for, in a
//! database of its own.

#[path = "support/site.rs"]
mod support;

macro_rules! on_each {
    ($($case:ident)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                support::on_each(async |server| {
                    let site = support::MySite::on(&server).await;
                    dbop_testkit::conformance::$case(&site).await;
                })
                .await;
            }
        )*
    };
}

dbop_testkit::conformance_cases!(on_each);

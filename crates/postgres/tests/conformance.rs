//! The conformance suite on real servers, as the least admin: each case on every server that the run is for
//! (the oldest and the newest in `cargo xtask test`, all in `prove conformance`), in a database of its own.

#[path = "support/site.rs"]
mod support;

macro_rules! on_each {
    ($($case:ident)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                for major in dbop_tests::majors() {
                    // Shown where the case fails: which server it was.
                    println!("PostgreSQL {major}");
                    let site = support::PgSite::new(major).await;
                    dbop_testkit::conformance::$case(&site).await;
                }
            }
        )*
    };
}

dbop_testkit::conformance_cases!(on_each);

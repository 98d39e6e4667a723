//! Maven Central, or the mirror of it that `DBOP_MAVEN_MIRROR` names: where a file of it is.

/// Where Maven Central is.
const MAVEN_CENTRAL: &str = "https://repo1.maven.org/maven2";

/// The address of an artifact's jar; the group is written as a path (`org/postgresql`).
pub(crate) fn jar(group: &str, artifact: &str, version: &str) -> String {
    let base = std::env::var("DBOP_MAVEN_MIRROR").unwrap_or_default();
    let base = match base.trim_end_matches('/') {
        "" => MAVEN_CENTRAL,
        mirror => mirror,
    };
    format!("{base}/{group}/{artifact}/{version}/{artifact}-{version}.jar")
}

//! The keys of tools' locks, computed as the tools do.

use dbop_model::VersionSource;
use dbop_model::table::TableName;

/// "Flyway" in ASCII, as a number.
const FLYWAY: i64 = 0x466C_7977_6179;
/// golang-migrate's `advisoryLockIDSalt`.
const GOLANG_MIGRATE: u32 = 1_486_364_155;
/// Rails' `MIGRATOR_SALT`.
const RAILS: i64 = 2_053_462_845;
/// Prisma's `pg_advisory_lock`.
const PRISMA: i64 = 72_707_369;
/// Where golang-migrate makes its table, before there is one.
const DEFAULT_SCHEMA: &str = "public";

/// Is an advisory lock of PostgreSQL the tool's? `schema`: where its table is, if there is one.
pub(super) fn is_of(
    source: &VersionSource,
    key: i64,
    database: &str,
    schema: Option<&str>,
) -> bool {
    match source {
        // Whichever history it is of: a hash of 32 bits is added, and nobody else's numbers are near.
        VersionSource::Flyway { .. } => {
            let hash = key.wrapping_sub(FLYWAY);
            i64::from(i32::MIN) <= hash && hash <= i64::from(i32::MAX)
        }
        VersionSource::GolangMigrate { table } => {
            let schema = table.schema().or(schema).unwrap_or(DEFAULT_SCHEMA);
            // From a URL it takes the path for the database's name, slash included; a program that hands it a
            // connection has it ask the server.
            ["", "/"].iter().any(|slash| {
                let name = format!("{schema}\0{}\0{slash}{database}", table.name());
                key == i64::from(golang_migrate(&name))
            })
        }
        VersionSource::Rails { .. } => key == rails(database),
        VersionSource::Prisma { .. } => key == PRISMA,
        _ => false,
    }
}

/// The name of the tool's lock on MySQL and MariaDB; `None`: it has none.
pub(super) fn named(source: &VersionSource, database: &str) -> Option<String> {
    match source {
        VersionSource::Flyway { table } => {
            let schema = table.schema().unwrap_or(database);
            let quoted = format!("`{schema}`.`{}`", table.name());
            Some(format!("Flyway-{}", java_hash(&quoted)))
        }
        VersionSource::GolangMigrate { table } => {
            let number = golang_migrate(&format!("{database}:{}", table.name()));
            Some(number.to_string())
        }
        VersionSource::Rails { .. } => Some(rails(database).to_string()),
        VersionSource::Prisma { .. } => Some("prisma_migrate".to_owned()),
        _ => None,
    }
}

/// The table that `is_of` wants the schema of.
pub(super) fn table(source: &VersionSource) -> Option<&TableName> {
    match source {
        VersionSource::GolangMigrate { table } if table.schema().is_none() => Some(table),
        _ => None,
    }
}

fn golang_migrate(name: &str) -> u32 {
    crc32(name.as_bytes()).wrapping_mul(GOLANG_MIGRATE)
}

fn rails(database: &str) -> i64 {
    RAILS.wrapping_mul(i64::from(crc32(database.as_bytes())))
}

fn crc32(bytes: &[u8]) -> u32 {
    crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(bytes)
}

/// `String.hashCode` of Java.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known values of the functions that the tools build on.
    #[test]
    fn hashes_are_the_ones_of_zlib_and_of_java() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(java_hash("hello"), 99_162_322);
        assert_eq!(java_hash("polygenelubricants"), i32::MIN);
    }

    /// What golang-migrate 4.20.1 and Flyway 10.20.1 were seen to hold on a PostgreSQL.
    #[test]
    fn the_tools_own_locks_are_known() {
        let migrate = VersionSource::GolangMigrate {
            table: "schema_migrations".parse().unwrap(),
        };
        assert!(is_of(&migrate, 3_419_188_016, "gmlock", None));
        assert!(is_of(&migrate, 3_851_947_572, "gmlock", Some("public")));
        assert!(!is_of(&migrate, 3_419_188_016, "gmlock", Some("app")));
        assert!(!is_of(&migrate, 3_419_188_016, "other", None));
        let flyway = VersionSource::Flyway {
            table: "flyway_schema_history".parse().unwrap(),
        };
        assert!(is_of(&flyway, 77_433_833_903_597, "flyway", None));
        let hash = java_hash("\"public\".\"flyway_schema_history\"");
        assert_eq!(FLYWAY + i64::from(hash), 77_433_833_903_597);
    }

    #[test]
    fn flyway_s_numbers_are_known_whatever_the_table() {
        let source = VersionSource::Flyway {
            table: "flyway_schema_history".parse().unwrap(),
        };
        let hash = java_hash("\"public\".\"flyway_schema_history\"");
        assert_eq!(FLYWAY, 77_431_708_279_161);
        assert!(is_of(&source, FLYWAY + i64::from(hash), "shop", None));
        assert!(is_of(&source, FLYWAY + i64::from(i32::MIN), "shop", None));
        assert!(!is_of(&source, 72_707_369, "shop", None));
        assert!(!is_of(&source, i64::MIN, "shop", None));
    }
}

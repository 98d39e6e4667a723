//! What is read of the DDL of MySQL and MariaDB: one statement a row.

#[path = "support/one.rs"]
mod one;

use dbop_model::Engine;
use one::one;

#[track_caller]
fn check(rows: &[(&str, &str)]) {
    for (sql, expect) in rows {
        one(Engine::MySql, sql, expect);
        one(Engine::MariaDb, sql, expect);
    }
}

#[track_caller]
fn check_mariadb(rows: &[(&str, &str)]) {
    for (sql, expect) in rows {
        one(Engine::MariaDb, sql, expect);
    }
}

#[test]
fn columns_are_added() {
    check(&[
        (
            "ALTER TABLE users ADD COLUMN email varchar(255)",
            "add users: email varchar(255)",
        ),
        (
            "alter table `Users` add `eMail` text null;",
            "add Users: eMail text null",
        ),
        (
            "ALTER TABLE shop.users ADD a INT UNSIGNED NOT NULL DEFAULT 0",
            "add shop.users: a INT UNSIGNED not-null default <0>",
        ),
        (
            "ALTER TABLE t ADD a DECIMAL(10, 2) DEFAULT -1.5 COMMENT 'x, y' FIRST",
            "add t: a DECIMAL(10, 2) default <-1.5> placed",
        ),
        (
            "ALTER TABLE t ADD a varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin AFTER `b`",
            "add t: a varchar(20) charset <utf8mb4> collate <utf8mb4_bin> placed",
        ),
        (
            "ALTER TABLE t ADD a char(3) charset latin1",
            "add t: a char(3) charset <latin1>",
        ),
        (
            "ALTER TABLE t ADD a ENUM('x','y,z') NOT NULL DEFAULT 'x'",
            "add t: a ENUM('x','y,z') not-null default <'x'>",
        ),
        (
            "ALTER TABLE t ADD a timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)",
            "add t: a timestamp not-null default <CURRENT_TIMESTAMP(6)>",
        ),
        (
            "ALTER TABLE t ADD a datetime DEFAULT NULL NULL",
            "add t: a datetime null default <NULL>",
        ),
        (
            "ALTER TABLE t ADD a int DEFAULT (b + 1)",
            "add t: a int default <(b + 1)>",
        ),
        (
            "ALTER TABLE t ADD a char(36) DEFAULT (uuid())",
            "add t: a char(36) default <(uuid())>",
        ),
        (
            "ALTER TABLE t ADD a bit(1) DEFAULT b'0' NOT NULL",
            "add t: a bit(1) not-null default <b'0'>",
        ),
        (
            "ALTER TABLE t ADD id INT AUTO_INCREMENT PRIMARY KEY",
            "add t: id INT AUTO_INCREMENT AutoIncrement not-null [primaryKey(id)]",
        ),
        (
            "ALTER TABLE t ADD id SERIAL",
            "add t: id bigint unsigned AUTO_INCREMENT AutoIncrement not-null [unique(id)]",
        ),
        (
            "ALTER TABLE t ADD g int GENERATED ALWAYS AS (a + 1) STORED NOT NULL",
            "add t: g int GENERATED ALWAYS AS (a + 1) STORED Stored not-null",
        ),
        (
            "ALTER TABLE t ADD g int AS (a + 1)",
            "add t: g int GENERATED ALWAYS AS (a + 1) VIRTUAL Virtual",
        ),
        (
            "ALTER TABLE t ADD g int AS (a + 1) PERSISTENT UNIQUE",
            "add t: g int GENERATED ALWAYS AS (a + 1) STORED Stored [unique(g)]",
        ),
        (
            "ALTER TABLE t ADD e varchar(9) UNIQUE KEY",
            "add t: e varchar(9) [unique(e)]",
        ),
        (
            "ALTER TABLE t ADD n int CHECK (n > 0)",
            "add t: n int [check(n) <n > 0>]",
        ),
        (
            "ALTER TABLE t ADD n int CONSTRAINT p CHECK (n > 0) NOT ENFORCED",
            "add t: n int [check(n) named p <n > 0> not-enforced]",
        ),
        (
            "ALTER TABLE t ADD u int REFERENCES users (id) ON DELETE CASCADE ON UPDATE SET NULL",
            "add t: u int [foreignKey(u) to users]",
        ),
        (
            "ALTER TABLE t ADD p point NOT NULL SRID 4326",
            "add t: p point not-null",
        ),
        ("ALTER TABLE t ADD a int INVISIBLE", "add t: a int"),
        (
            "ALTER TABLE t ADD d double precision, ADD v char varying(9), ADD n national varchar(9)",
            "add t: d double precision; add t: v char varying(9); add t: n national varchar(9)",
        ),
        (
            "ALTER TABLE t ADD COLUMN (a int, b text NOT NULL, INDEX i (a))",
            "add t: a int; add t: b text not-null; index t(a) plain named i",
        ),
        (
            "ALTER TABLE t ADD a int, ALGORITHM=INSTANT",
            "add t: a int; ALGORITHM=INSTANT",
        ),
        (
            "ALTER TABLE t ADD a int, ALGORITHM INPLACE, LOCK = NONE",
            "add t: a int; ALGORITHM=INPLACE; LOCK=NONE",
        ),
        (
            "ALTER TABLE t ADD a int, ALGORITHM=DEFAULT, LOCK=DEFAULT",
            "add t: a int",
        ),
        (
            "ALTER TABLE t ALGORITHM=COPY, LOCK=SHARED, ADD a int",
            "add t: a int; ALGORITHM=COPY; LOCK=SHARED",
        ),
    ]);
    check_mariadb(&[
        (
            "ALTER ONLINE TABLE t ADD COLUMN IF NOT EXISTS a int",
            "add t: a int; LOCK=NONE",
        ),
        (
            "ALTER TABLE IF EXISTS t WAIT 5 ADD a int",
            "add t: a int; timeout 5s",
        ),
        (
            "ALTER TABLE t NOWAIT ADD a int",
            "add t: a int; timeout 0ns",
        ),
        (
            "ALTER TABLE t ADD a int DEFAULT 1+1 COMMENT 'two'",
            "add t: a int default <1+1>",
        ),
        (
            "ALTER TABLE t ADD a int, ALGORITHM=NOCOPY",
            "add t: a int; ALGORITHM=NOCOPY",
        ),
        (
            "SET STATEMENT lock_wait_timeout=3, max_statement_time=9 FOR ALTER TABLE t ADD a int",
            "add t: a int; timeout 3s",
        ),
        (
            "ALTER TABLE t ADD a varchar(9) COMPRESSED",
            "add t: a varchar(9)",
        ),
        (
            "ALTER TABLE t ADD SYSTEM VERSIONING",
            "changeTable t system versioning",
        ),
    ]);
}

#[test]
fn columns_are_altered() {
    check(&[
        (
            "ALTER TABLE t MODIFY c bigint NOT NULL",
            "alter t: c bigint not-null redefined",
        ),
        (
            "ALTER TABLE t MODIFY COLUMN c varchar(300) CHARACTER SET utf8mb4 AFTER b",
            "alter t: c varchar(300) charset <utf8mb4> placed redefined",
        ),
        ("ALTER TABLE t CHANGE c c int", "alter t: c int redefined"),
        (
            "ALTER TABLE t CHANGE COLUMN a b int NOT NULL DEFAULT 5",
            "renameColumn t.a to b; alter t: b int not-null default <5> redefined",
        ),
        (
            "ALTER TABLE t ALTER COLUMN c SET DEFAULT 5",
            "alter t: c default <5>",
        ),
        (
            "ALTER TABLE t ALTER c SET DEFAULT (uuid())",
            "alter t: c default <(uuid())>",
        ),
        (
            "ALTER TABLE t ALTER c DROP DEFAULT",
            "alter t: c default Absent",
        ),
        (
            "ALTER TABLE t ALTER COLUMN c SET INVISIBLE",
            "changeTable t visibility of c",
        ),
        (
            "ALTER TABLE t RENAME COLUMN a TO b",
            "renameColumn t.a to b",
        ),
        ("ALTER TABLE t DROP COLUMN c", "dropColumn t.c"),
        (
            "ALTER TABLE t DROP c, DROP `key`",
            "dropColumn t.c; dropColumn t.key",
        ),
        (
            "ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci",
            "changeTable t convert to utf8mb4",
        ),
        (
            "ALTER TABLE t CONVERT TO CHARSET 'UTF8MB4'",
            "changeTable t convert to utf8mb4",
        ),
    ]);
    check_mariadb(&[
        (
            "ALTER TABLE t MODIFY COLUMN IF EXISTS c int",
            "alter t: c int redefined",
        ),
        (
            "ALTER TABLE t CHANGE COLUMN IF EXISTS a b int",
            "renameColumn t.a to b; alter t: b int redefined",
        ),
        (
            "ALTER TABLE t DROP COLUMN IF EXISTS c RESTRICT",
            "dropColumn t.c",
        ),
    ]);
}

#[test]
fn indexes_come_and_go() {
    check(&[
        ("CREATE INDEX i ON t (a)", "index t(a) plain named i"),
        (
            "CREATE UNIQUE INDEX i USING BTREE ON shop.t (a, b(10) DESC) COMMENT 'x' INVISIBLE",
            "index shop.t(a, b[10]) unique named i",
        ),
        (
            "CREATE FULLTEXT INDEX i ON t (a) WITH PARSER ngram",
            "index t(a) fulltext named i",
        ),
        (
            "CREATE SPATIAL INDEX i ON t (p)",
            "index t(p) spatial named i",
        ),
        (
            "CREATE INDEX i ON t ((lower(a)), (b + 1) ASC)",
            "index t(<lower(a)>, <b + 1>) plain named i",
        ),
        (
            "CREATE INDEX i ON t (a) ALGORITHM=INPLACE LOCK=NONE",
            "index t(a) plain named i online; ALGORITHM=INPLACE; LOCK=NONE",
        ),
        (
            "CREATE INDEX i ON t (a) LOCK NONE",
            "index t(a) plain named i online; LOCK=NONE",
        ),
        (
            "CREATE INDEX i ON t (a) ALGORITHM=COPY",
            "index t(a) plain named i; ALGORITHM=COPY",
        ),
        ("ALTER TABLE t ADD INDEX (a)", "index t(a) plain"),
        (
            "ALTER TABLE t ADD KEY i (a) USING HASH, ADD UNIQUE u (b), ADD FULLTEXT KEY f (c), ADD SPATIAL (p)",
            "index t(a) plain named i; index t(b) unique named u; index t(c) fulltext named f; index t(p) spatial",
        ),
        (
            "ALTER TABLE t ADD CONSTRAINT u UNIQUE KEY (a)",
            "index t(a) unique named u",
        ),
        (
            "ALTER TABLE t ADD INDEX type (type)",
            "index t(type) plain named type",
        ),
        (
            "ALTER TABLE t ADD INDEX i (a) KEY_BLOCK_SIZE=8 VISIBLE, ALGORITHM=INPLACE, LOCK=NONE",
            "index t(a) plain named i online; ALGORITHM=INPLACE; LOCK=NONE",
        ),
        ("DROP INDEX i ON t", "dropIndex of t named i"),
        (
            "DROP INDEX `i` ON t ALGORITHM=INPLACE, LOCK=NONE",
            "dropIndex of t named i online; ALGORITHM=INPLACE; LOCK=NONE",
        ),
        ("DROP INDEX `PRIMARY` ON t", "dropConstraint t: primaryKey"),
        (
            "ALTER TABLE t DROP INDEX i, DROP KEY j",
            "dropIndex of t named i; dropIndex of t named j",
        ),
        (
            "ALTER TABLE t RENAME INDEX a TO b",
            "changeTable t rename index a to b",
        ),
        (
            "ALTER TABLE t ALTER INDEX i INVISIBLE",
            "changeTable t hide index i",
        ),
    ]);
    check_mariadb(&[
        (
            "CREATE OR REPLACE UNIQUE INDEX IF NOT EXISTS i ON t WAIT 2 (a)",
            "dropIndex of t named i; index t(a) unique named i if-not-exists; timeout 2s",
        ),
        (
            "CREATE ONLINE INDEX i ON t (a)",
            "index t(a) plain named i online; LOCK=NONE",
        ),
        (
            "DROP INDEX IF EXISTS i ON t NOWAIT",
            "dropIndex of t named i; timeout 0ns",
        ),
        (
            "ALTER TABLE t ADD INDEX IF NOT EXISTS i (a), ALTER INDEX j NOT IGNORED",
            "index t(a) plain named i if-not-exists; changeTable t show index j",
        ),
    ]);
}

#[test]
fn constraints_come_and_go() {
    check(&[
        (
            "ALTER TABLE t ADD PRIMARY KEY (a, b)",
            "constrain t: primaryKey(a, b)",
        ),
        (
            "ALTER TABLE t ADD CONSTRAINT PRIMARY KEY USING BTREE (a)",
            "constrain t: primaryKey(a)",
        ),
        (
            "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u (id)",
            "constrain t: foreignKey(a) to u",
        ),
        (
            "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY i (a, b) REFERENCES shop.u (x, y) MATCH FULL ON DELETE NO ACTION",
            "constrain t: foreignKey(a, b) named f to shop.u",
        ),
        (
            "ALTER TABLE t ADD CHECK (a > 0)",
            "constrain t: check <a > 0>",
        ),
        (
            "ALTER TABLE t ADD CONSTRAINT c CHECK ((a > 0) or (b < 5)) NOT ENFORCED",
            "constrain t: check named c <(a > 0) or (b < 5)> not-enforced",
        ),
        (
            "ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (id)",
            "dropConstraint t: primaryKey; constrain t: primaryKey(id)",
        ),
        (
            "ALTER TABLE t DROP FOREIGN KEY f",
            "dropConstraint t: foreignKey named f",
        ),
        (
            "ALTER TABLE t DROP CHECK c",
            "dropConstraint t: check named c",
        ),
        (
            "ALTER TABLE t DROP CONSTRAINT c",
            "dropConstraint t: ? named c",
        ),
        (
            "ALTER TABLE t ALTER CHECK c NOT ENFORCED",
            "changeTable t constraint c not enforced",
        ),
        (
            "ALTER TABLE t ALTER CONSTRAINT c ENFORCED",
            "changeTable t validate constraint c",
        ),
    ]);
}

#[test]
fn tables_come_and_go_and_change() {
    check(&[
        (
            "CREATE TABLE t (id int PRIMARY KEY, `a(` text, INDEX (id)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
            "createTable t",
        ),
        (
            "CREATE TABLE IF NOT EXISTS shop.t LIKE u",
            "createTable shop.t; changeTable u template",
        ),
        (
            "CREATE TABLE t (a int, b int, CONSTRAINT f FOREIGN KEY (a) REFERENCES u (id) ON DELETE CASCADE, KEY (b))",
            "createTable t; constrain t: foreignKey(a) named f to u",
        ),
        (
            "CREATE TABLE t (a int NOT NULL REFERENCES u (id), b int)",
            "createTable t; constrain t: foreignKey(a) to u",
        ),
        ("CREATE TEMPORARY TABLE t AS SELECT 1", "createTable t"),
        (
            "DROP TABLE IF EXISTS a, shop.b CASCADE",
            "dropTable a; dropTable shop.b",
        ),
        (
            "RENAME TABLE a TO b, shop.c TO shop.d",
            "renameTable a to b; renameTable shop.c to shop.d",
        ),
        ("ALTER TABLE t RENAME TO u", "renameTable t to u"),
        (
            "ALTER TABLE t RENAME AS u, ADD a int",
            "renameTable t to u; add t: a int",
        ),
        ("TRUNCATE t", "changeTable t truncate"),
        ("TRUNCATE TABLE shop.t", "changeTable shop.t truncate"),
        (
            "OPTIMIZE LOCAL TABLE a, b",
            "changeTable a rebuild; changeTable b rebuild",
        ),
        ("ALTER TABLE t ENGINE=InnoDB", "changeTable t rebuild"),
        (
            "ALTER TABLE t ENGINE InnoDB ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE 8",
            "changeTable t rebuild; changeTable t rebuild; changeTable t rebuild",
        ),
        ("ALTER TABLE t FORCE", "changeTable t rebuild"),
        ("ALTER TABLE t ORDER BY a DESC, b", "changeTable t order"),
        (
            "ALTER TABLE t COMMENT = 'x', AUTO_INCREMENT = 100",
            "changeTable t catalogue; changeTable t catalogue",
        ),
        (
            "ALTER TABLE t DEFAULT CHARACTER SET utf8mb4 COLLATE = utf8mb4_bin",
            "changeTable t default character set",
        ),
        (
            "ALTER TABLE t COLLATE = utf8mb4_bin, CHARSET latin1",
            "changeTable t default character set; changeTable t default character set",
        ),
        (
            "ALTER TABLE t MAX_ROWS=5 PACK_KEYS=1, CHECKSUM=1",
            "changeTable t options; changeTable t options; changeTable t options",
        ),
        (
            "ALTER TABLE t STATS_PERSISTENT=1",
            "changeTable t parameters",
        ),
        ("ALTER TABLE t DISABLE KEYS", "changeTable t disable keys"),
        (
            "ALTER TABLE t PARTITION BY RANGE (a) (PARTITION p VALUES LESS THAN (10), PARTITION q VALUES LESS THAN MAXVALUE)",
            "changeTable t partitioning",
        ),
        (
            "ALTER TABLE t ADD PARTITION (PARTITION p VALUES LESS THAN (10))",
            "changeTable t add a partition",
        ),
        (
            "ALTER TABLE t DROP PARTITION p, q",
            "changeTable t drop a partition",
        ),
        (
            "ALTER TABLE t EXCHANGE PARTITION p WITH TABLE u WITHOUT VALIDATION",
            "changeTable t exchange a partition",
        ),
        (
            "ALTER TABLE t ADD PARTITION PARTITIONS 2",
            "changeTable t redistribute partitions",
        ),
        (
            "ALTER TABLE t REBUILD PARTITION p",
            "changeTable t rebuild a partition",
        ),
        (
            "ALTER TABLE t ENGINE = `MyISAM`",
            "changeTable t change its engine to MyISAM",
        ),
        (
            "ALTER TABLE t MODIFY a int UNIQUE CHECK (a > 0)",
            "alter t: a int redefined [check(a) <a > 0>]; index t(a) unique",
        ),
        (
            "ALTER TABLE t REMOVE PARTITIONING",
            "changeTable t partitioning",
        ),
        (
            "CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW BEGIN SET NEW.a = 1; IF NEW.b THEN SET NEW.a = 2; END IF; END",
            "changeTable t trigger x",
        ),
        (
            "CREATE DEFINER=`root`@`%` TRIGGER x AFTER DELETE ON shop.t FOR EACH ROW SET @a = 1",
            "changeTable shop.t trigger shop.x",
        ),
        (
            "ALTER TABLE t ADD a int DEFAULT 5 PARTITION BY HASH (id) PARTITIONS 4",
            "add t: a int default <5>; changeTable t partitioning",
        ),
        (
            "ALTER TABLE t ADD a int, PARTITION BY HASH (id)",
            "unread: partitions stand behind all else, without a comma before them",
        ),
        (
            "DROP TRIGGER IF EXISTS x",
            "changeTable x drop the trigger of this name",
        ),
        (
            "CREATE OR REPLACE ALGORITHM=MERGE DEFINER=root@localhost VIEW v AS SELECT 1",
            "createView v",
        ),
        ("DROP VIEW IF EXISTS v, w", "dropView v; dropView w"),
        (
            "ALTER SQL SECURITY INVOKER VIEW v AS SELECT 1",
            "changeTable v alter the view",
        ),
        (
            "/*!40000 ALTER TABLE `t` DISABLE KEYS */",
            "changeTable t disable keys",
        ),
    ]);
    one(
        Engine::MySql,
        "ALTER TABLE t ADD a int /*!80023 INVISIBLE */",
        "add t: a int",
    );
    one(
        Engine::MySql,
        "/*!80000 ALTER TABLE t FORCE */",
        "changeTable t rebuild",
    );
    check_mariadb(&[
        (
            "CREATE OR REPLACE TABLE t (a int)",
            "dropTable t; createTable t",
        ),
        (
            "DROP TABLE a, b WAIT 4",
            "dropTable a; dropTable b; timeout 4s",
        ),
        (
            "RENAME TABLE a WAIT 1 TO b",
            "renameTable a to b; timeout 1s",
        ),
        (
            "ALTER TABLE t PAGE_COMPRESSED=1, `ENCRYPTED`=YES",
            "changeTable t rebuild; changeTable t rebuild",
        ),
        ("/*M!100400 ALTER TABLE t FORCE */", "changeTable t rebuild"),
        (
            "ALTER TABLE t ADD a int /*!80023 INVISIBLE nonsense */",
            "add t: a int",
        ),
    ]);
}

#[test]
fn what_is_no_ddl_of_tables_has_no_operations() {
    for sql in [
        "INSERT INTO t VALUES (1, 'a;b', \"c;\", 'it\\'s; one')",
        "REPLACE INTO t SELECT 1",
        "UPDATE t SET a = 1 -- ; not yet\n WHERE b",
        "SET NAMES utf8mb4",
        "GRANT SELECT ON t TO app",
        "CREATE DATABASE shop",
        "CREATE PROCEDURE p() BEGIN DROP TABLE t; CASE x WHEN 1 THEN SELECT 1; END CASE; END",
        "CREATE FUNCTION f() RETURNS int RETURN 1",
        "CREATE USER app IDENTIFIED BY 'secret'",
        "PREPARE x FROM 'DROP TABLE t'",
        "ANALYZE TABLE t",
        "USE shop",
        "UNLOCK TABLES",
        "LOAD DATA INFILE 'x' INTO TABLE t",
        "(SELECT 1)",
    ] {
        check(&[(sql, "")]);
    }
}

#[test]
fn what_may_do_anything_is_not_read() {
    for (sql, why) in [
        ("CALL migrate()", "procedure"),
        ("EXECUTE x", "prepared statement"),
        ("LOCK TABLES t WRITE", "LOCK TABLES"),
        ("DROP DATABASE shop", "which tables"),
        ("ALTER TABLE t IMPORT TABLESPACE", "rows are put away"),
        ("ALTER TABLE t", "alters nothing"),
        ("ALTER TABLE t ADD", "a name"),
        ("ALTER TABLE t ADD COLUMN a", "a type"),
        (
            "ALTER TABLE t ADD COLUMN a int NONSENSE",
            "'NONSENSE' stands where a clause of a column was expected",
        ),
        (
            "ALTER TABLE t FROBNICATE 5",
            "'FROBNICATE' stands where an action of ALTER TABLE was expected",
        ),
        (
            "ALTER TABLE t ADD INDEX i (a",
            "it ends where ')' was expected",
        ),
        ("ALTER TABLE t ADD a int DEFAULT 'x", "a string has no end"),
        ("ALTER TABLE `t ADD a int", "a quoted name has no end"),
        ("ALTER TABLE t ADD a int /* x", "a comment has no end"),
        ("CREATE INDEX i ON t", "'('"),
        ("DROP INDEX i", "ON"),
        (
            "source other.sql",
            "'source' stands where a statement was expected",
        ),
        ("\\. other.sql", "is a command of the client"),
        ("SELECT 1 \\G", "is a command of the client"),
    ] {
        for engine in [Engine::MySql, Engine::MariaDb] {
            let statements = dbop_sql::read(engine, sql);
            assert_eq!(statements.len(), 1, "{sql}: {statements:?}");
            let said = statements[0]
                .unread
                .as_deref()
                .unwrap_or_else(|| panic!("{sql} was read"));
            assert!(said.contains(why), "{sql}: {said}");
        }
    }
    let compound = "BEGIN NOT ATOMIC ALTER TABLE t FORCE; SELECT 1; END";
    let statements = dbop_sql::read(Engine::MariaDb, compound);
    assert_eq!(statements.len(), 1, "{statements:?}");
    assert!(statements[0].unread.is_some());
}

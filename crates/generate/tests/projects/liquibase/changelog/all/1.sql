--liquibase formatted sql

--changeset ada:sql-1
ALTER TABLE users ADD email text;

--changeset ada:views runOnChange:true
CREATE OR REPLACE VIEW v AS SELECT 1;

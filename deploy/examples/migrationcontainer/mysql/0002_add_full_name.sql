-- The column name is to be called full_name, while applications go on. Each file holds one DDL
-- statement: it happens as a whole or not at all, several in one file do not.
-- A release that knows full_name alone leaves name out, so it gets a default.
ALTER TABLE customers
    ADD COLUMN full_name varchar(255),
    ALTER COLUMN name SET DEFAULT '';

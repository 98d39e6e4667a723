-- No login is left whose code knows this column.
ALTER TABLE customers DROP COLUMN name;

-- The new name of the column name. Empty in old rows, so nothing is rewritten.
ALTER TABLE customers ADD COLUMN full_name varchar(255);

-- Nobody uses name any more: the operator runs this only when every older credential is unused.
DROP TRIGGER customers_keep_names_same ON customers;
DROP FUNCTION customers_keep_names_same();
ALTER TABLE customers DROP COLUMN name;

-- Nobody uses name any more: the operator runs this only when every older credential is unused.
DROP TRIGGER customers_names_on_insert;

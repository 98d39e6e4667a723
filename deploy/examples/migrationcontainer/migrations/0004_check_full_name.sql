-- A check that holds for new rows at once, and looks at no old one yet: the lock is short.
ALTER TABLE customers
    ADD CONSTRAINT customers_full_name_set CHECK (full_name IS NOT NULL) NOT VALID;

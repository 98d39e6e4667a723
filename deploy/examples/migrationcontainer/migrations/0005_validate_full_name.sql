-- Looks at every row, under a lock that lets applications read and write. A file of its own, so
-- that the lock of the file before is gone.
ALTER TABLE customers VALIDATE CONSTRAINT customers_full_name_set;

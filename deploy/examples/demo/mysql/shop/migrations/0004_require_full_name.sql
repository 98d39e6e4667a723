-- One statement, so that it happens as a whole or not at all. It rebuilds the table while the
-- application reads and writes it. Release v4 no longer writes name.
ALTER TABLE customers
    MODIFY full_name varchar(255) NOT NULL,
    MODIFY name varchar(255);

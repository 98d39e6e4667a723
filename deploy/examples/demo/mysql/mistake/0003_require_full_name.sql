ALTER TABLE customers MODIFY full_name varchar(255) NOT NULL;

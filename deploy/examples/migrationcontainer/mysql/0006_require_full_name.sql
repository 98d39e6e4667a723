-- Rebuilds the table while applications read and write it, or fails at once. A release that knows
-- name alone leaves full_name out, so it has a default too.
ALTER TABLE customers
    MODIFY full_name varchar(255) NOT NULL DEFAULT '',
    ALGORITHM = INPLACE, LOCK = NONE;

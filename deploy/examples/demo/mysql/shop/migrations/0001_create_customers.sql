-- The table as the first release knows it.
CREATE TABLE customers (
    id       bigint AUTO_INCREMENT PRIMARY KEY,
    email    varchar(255) NOT NULL UNIQUE,
    name     varchar(255) NOT NULL,
    -- How often the name was changed. The name ends with it, so the shop can tell an old one.
    revision integer NOT NULL DEFAULT 0
);

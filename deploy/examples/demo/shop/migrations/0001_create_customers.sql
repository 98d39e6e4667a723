-- The table as the first release knows it.
CREATE TABLE customers (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email    text NOT NULL UNIQUE,
    name     text NOT NULL,
    -- How often the name was changed. The name ends with it, so the shop can tell an old one.
    revision integer NOT NULL DEFAULT 0
);

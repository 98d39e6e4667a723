-- Reads every row while nobody may write: an instant for a table of this size. The example in
-- deploy/examples/migrationcontainer shows how a large one is done.
ALTER TABLE customers ALTER COLUMN full_name SET NOT NULL;
-- Release v4 no longer writes it.
ALTER TABLE customers ALTER COLUMN name DROP NOT NULL;

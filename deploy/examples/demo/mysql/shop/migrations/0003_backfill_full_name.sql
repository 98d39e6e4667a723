-- dbop:batch
-- dbop:total SELECT count(*) FROM customers WHERE NOT (full_name <=> name)
-- dbop:pause 20ms
--
-- Rows from before the new column, and rows that release v1 has changed since. 2,500 at a
-- time, so that no transaction holds many rows for long; it ends when none is left.
UPDATE customers
   SET full_name = name
 WHERE NOT (full_name <=> name)
 ORDER BY id
 LIMIT 2500;

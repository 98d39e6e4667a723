-- dbop:batch
-- dbop:total SELECT count(*) FROM customers WHERE full_name IS NULL
-- dbop:pause 20ms
--
-- Fills in the rows that were there before the column. Each repetition takes the next thousand, so
-- that no transaction holds many rows for long; it ends when none is left.
UPDATE customers
   SET full_name = name
 WHERE full_name IS NULL
 ORDER BY id
 LIMIT 1000;

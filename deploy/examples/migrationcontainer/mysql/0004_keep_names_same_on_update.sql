-- The same for rows that are changed.
CREATE TRIGGER customers_names_on_update BEFORE UPDATE ON customers FOR EACH ROW
BEGIN
    IF NEW.name <> OLD.name THEN
        SET NEW.full_name = NEW.name;
    ELSEIF NOT (NEW.full_name <=> OLD.full_name) THEN
        SET NEW.name = NEW.full_name;
    END IF;
END;

-- Keeps both the same, whichever of them an application writes.
CREATE TRIGGER customers_names_on_insert BEFORE INSERT ON customers FOR EACH ROW
BEGIN
    IF coalesce(NEW.full_name, '') = '' THEN
        SET NEW.full_name = NEW.name;
    ELSEIF NEW.name = '' THEN
        SET NEW.name = NEW.full_name;
    END IF;
END;

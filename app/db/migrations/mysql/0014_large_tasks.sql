-- A task about thousands of deckies names more than the 65,535 bytes of a TEXT.
ALTER TABLE tasks MODIFY COLUMN deckies MEDIUMTEXT NOT NULL;

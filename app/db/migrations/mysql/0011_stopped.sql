-- Deckies that an operator stopped: they are wanted, and stand still until they are started again.
ALTER TABLE deckies ADD COLUMN stopped BIGINT NOT NULL DEFAULT 0;

-- Deckies that a task took away although no desired state knew them: a list of names, absent where there was none.
ALTER TABLE tasks ADD COLUMN reaped TEXT;

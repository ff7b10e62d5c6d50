-- Trigrams of logs.raw, filled by the profiler behind the ingester, as words for a full-text index: `app/db/src/search.rs`. Its id is
-- named as SQLite names it.
CREATE TABLE log_search (
    rowid BIGINT NOT NULL PRIMARY KEY,
    grams MEDIUMTEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    FULLTEXT INDEX log_search_grams (grams)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Whoever changes the index holds its cursor, so that has to be there. What was deleted before left no trace in the index.
INSERT INTO log_cursors (name, log_id) VALUES ('search', 0);
INSERT INTO log_cursors (name, log_id) SELECT 'search_tidied', log_id FROM log_cursors WHERE name = 'deleted';

-- Trigrams of what finds and entries of the audit log are searched by, filled by the profiler as those of log rows are: `app/db/src/texts.rs`.
CREATE TABLE bounty_search (
    rowid BIGINT NOT NULL PRIMARY KEY,
    grams MEDIUMTEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    FULLTEXT INDEX bounty_search_grams (grams)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE TABLE audit_search (
    rowid BIGINT NOT NULL PRIMARY KEY,
    grams MEDIUMTEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    FULLTEXT INDEX audit_search_grams (grams)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Whoever changes an index holds its cursor, so that has to be there.
INSERT INTO log_cursors (name, log_id) VALUES ('search_bounties', 0), ('search_audit', 0);

-- Who touched a decky or a service.
CREATE INDEX attacker_deckies_decky ON attacker_deckies (decky);
CREATE INDEX attacker_services_service ON attacker_services (service);

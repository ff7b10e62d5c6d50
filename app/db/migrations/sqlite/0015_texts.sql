-- Trigrams of what finds and entries of the audit log are searched by, filled by the profiler as those of log rows are: `app/db/src/texts.rs`.
CREATE VIRTUAL TABLE bounty_search USING fts5 (texts, content = '', contentless_delete = 1, detail = none, tokenize = 'trigram');
CREATE VIRTUAL TABLE audit_search USING fts5 (texts, content = '', contentless_delete = 1, detail = none, tokenize = 'trigram');

-- Who touched a decky or a service.
CREATE INDEX attacker_deckies_decky ON attacker_deckies (decky);
CREATE INDEX attacker_services_service ON attacker_services (service);

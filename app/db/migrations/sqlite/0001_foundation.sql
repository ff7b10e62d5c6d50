-- Times are microseconds since the Unix epoch, UTC. Ids are the 16 bytes of a UUID.

CREATE TABLE users (
    id BLOB NOT NULL PRIMARY KEY,
    username TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    role TEXT NOT NULL,
    disabled INTEGER NOT NULL,
    must_change_password INTEGER NOT NULL,
    tokens_valid_from INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    last_login_at INTEGER
) STRICT;

CREATE TABLE revoked_tokens (
    id BLOB NOT NULL PRIMARY KEY,
    user_id BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX revoked_tokens_expires ON revoked_tokens (expires_at);
CREATE INDEX revoked_tokens_user ON revoked_tokens (user_id);

CREATE TABLE audit_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    from_ip TEXT,
    result TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

CREATE TABLE settings (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Evidence. Written by the ingester alone, each batch in one transaction with the position that it leads to.

CREATE TABLE spool_positions (
    reader TEXT NOT NULL PRIMARY KEY,
    segment INTEGER NOT NULL,
    byte_offset INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE logs (
    id INTEGER NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    decky TEXT NOT NULL,
    service TEXT NOT NULL,
    event_type TEXT NOT NULL,
    attacker_id BLOB,
    fields TEXT NOT NULL,
    message TEXT NOT NULL,
    raw TEXT NOT NULL
) STRICT;
CREATE INDEX logs_decky ON logs (decky);
CREATE INDEX logs_service ON logs (service);
CREATE INDEX logs_event_type ON logs (event_type);
CREATE INDEX logs_attacker ON logs (attacker_id);

-- Trigrams of logs.raw, filled by the profiler behind the ingester; contentless, as `logs` has the text.
CREATE VIRTUAL TABLE log_search USING fts5 (raw, content = '', contentless_delete = 1, detail = none, tokenize = 'trigram');

CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY,
    received_at INTEGER NOT NULL,
    reader TEXT NOT NULL,
    segment INTEGER NOT NULL,
    byte_offset INTEGER NOT NULL,
    why TEXT NOT NULL,
    raw BLOB NOT NULL
) STRICT;

CREATE TABLE attackers (
    id BLOB NOT NULL PRIMARY KEY,
    ip TEXT NOT NULL UNIQUE,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    event_count INTEGER NOT NULL,
    auth_count INTEGER NOT NULL,
    command_count INTEGER NOT NULL,
    credential_count INTEGER NOT NULL,
    bounty_count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX attackers_last_seen ON attackers (last_seen, id);
CREATE INDEX attackers_event_count ON attackers (event_count, id);

CREATE TABLE attacker_deckies (
    attacker_id BLOB NOT NULL,
    decky TEXT NOT NULL,
    PRIMARY KEY (attacker_id, decky)
) STRICT, WITHOUT ROWID;

CREATE TABLE attacker_services (
    attacker_id BLOB NOT NULL,
    service TEXT NOT NULL,
    PRIMARY KEY (attacker_id, service)
) STRICT, WITHOUT ROWID;

CREATE TABLE bounties (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    attacker_id BLOB NOT NULL,
    decky TEXT NOT NULL,
    service TEXT NOT NULL,
    principal TEXT,
    secret_kind TEXT,
    value TEXT NOT NULL,
    seen_count INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    log_id INTEGER NOT NULL
) STRICT;
CREATE INDEX bounties_attacker ON bounties (attacker_id);
CREATE INDEX bounties_kind ON bounties (kind);
CREATE INDEX bounties_service ON bounties (service);

-- Which log rows are command lines, by attacker: the text stands in the row's fields.
CREATE TABLE commands (
    attacker_id BLOB NOT NULL,
    log_id INTEGER NOT NULL,
    PRIMARY KEY (attacker_id, log_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE counters (
    name TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How often each decky, service, event type and credential was seen: the top lists.
CREATE TABLE tallies (
    scope TEXT NOT NULL,
    name BLOB NOT NULL,
    seen_count INTEGER NOT NULL,
    PRIMARY KEY (scope, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX tallies_top ON tallies (scope, seen_count);

-- Log rows by minute since the epoch, with the ids that they lie between: a span of time becomes a span of ids.
CREATE TABLE log_minutes (
    minute_no INTEGER NOT NULL PRIMARY KEY,
    seen_count INTEGER NOT NULL,
    min_id INTEGER NOT NULL,
    max_id INTEGER NOT NULL
) STRICT;

-- Log rows by decky and service, in buckets of `width` minutes (1 and 60).
CREATE TABLE log_buckets (
    width INTEGER NOT NULL,
    minute_no INTEGER NOT NULL,
    decky TEXT NOT NULL,
    service TEXT NOT NULL,
    seen_count INTEGER NOT NULL,
    PRIMARY KEY (width, minute_no, decky, service)
) STRICT, WITHOUT ROWID;

-- What the profiler derives, and how far it and the search index are.

CREATE TABLE log_cursors (
    name TEXT NOT NULL PRIMARY KEY,
    log_id INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE attacker_profiles (
    attacker_id BLOB NOT NULL PRIMARY KEY,
    session_count INTEGER NOT NULL,
    glyph TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE attacker_sessions (
    attacker_id BLOB NOT NULL,
    ordinal INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    first_log_id INTEGER NOT NULL,
    last_log_id INTEGER NOT NULL,
    event_count INTEGER NOT NULL,
    closed INTEGER NOT NULL,
    PRIMARY KEY (attacker_id, ordinal)
) STRICT, WITHOUT ROWID;
CREATE INDEX attacker_sessions_open ON attacker_sessions (closed, last_at);

-- The fleet: what is wanted of a decky beside what is observed of it.

CREATE TABLE deckies (
    name TEXT NOT NULL PRIMARY KEY,
    desired INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    spec TEXT NOT NULL,
    archetype TEXT NOT NULL,
    distro TEXT NOT NULL,
    os TEXT NOT NULL,
    hostname TEXT NOT NULL,
    ip TEXT NOT NULL UNIQUE,
    mac TEXT NOT NULL,
    services TEXT NOT NULL,
    engine TEXT NOT NULL,
    state TEXT NOT NULL,
    last_error TEXT,
    since INTEGER NOT NULL,
    mutate_interval_minutes INTEGER,
    last_mutation_at INTEGER,
    failures TEXT NOT NULL,
    quarantined INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tasks (
    id BLOB NOT NULL PRIMARY KEY,
    operation TEXT NOT NULL,
    deckies TEXT NOT NULL,
    status TEXT NOT NULL,
    steps_done INTEGER NOT NULL,
    steps_total INTEGER NOT NULL,
    step TEXT NOT NULL,
    error TEXT,
    started_at INTEGER NOT NULL,
    ended_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX tasks_started ON tasks (started_at, id);
CREATE INDEX tasks_status ON tasks (status);

CREATE TABLE leases (
    name TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE worker_heartbeats (
    name TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    last_heard INTEGER NOT NULL,
    pid INTEGER,
    version TEXT,
    uptime_s INTEGER,
    tasks TEXT NOT NULL
) STRICT, WITHOUT ROWID;

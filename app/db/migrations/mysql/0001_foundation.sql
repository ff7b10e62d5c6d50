-- For MySQL 8 and MariaDB 10.11. With binary logging on, the triggers need log_bin_trust_function_creators = 1 or
-- the SUPER privilege. Full-text search by trigrams is SQLite's alone: here a search reads a bounded number of rows.
--
-- Times are microseconds since the Unix epoch, UTC. Ids are the 16 bytes of a UUID.

CREATE TABLE users (
    id BINARY(16) NOT NULL PRIMARY KEY,
    username VARCHAR(128) NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    role VARCHAR(32) NOT NULL,
    disabled BIGINT NOT NULL,
    must_change_password BIGINT NOT NULL,
    tokens_valid_from BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    last_login_at BIGINT
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE revoked_tokens (
    id BINARY(16) NOT NULL PRIMARY KEY,
    user_id BINARY(16) NOT NULL,
    expires_at BIGINT NOT NULL,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE INDEX revoked_tokens_expires ON revoked_tokens (expires_at);
CREATE INDEX revoked_tokens_user ON revoked_tokens (user_id);

CREATE TABLE audit_log (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at BIGINT NOT NULL,
    actor VARCHAR(128) NOT NULL,
    action VARCHAR(128) NOT NULL,
    target MEDIUMTEXT NOT NULL,
    from_ip VARCHAR(128),
    result MEDIUMTEXT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log
FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'the audit log is append-only';
CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log
FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'the audit log is append-only';

CREATE TABLE settings (
    name VARCHAR(128) NOT NULL PRIMARY KEY,
    value MEDIUMTEXT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Evidence. Written by the ingester alone, each batch in one transaction with the position that it leads to.

CREATE TABLE spool_positions (
    reader VARCHAR(32) NOT NULL PRIMARY KEY,
    segment BIGINT NOT NULL,
    byte_offset BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE logs (
    id BIGINT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    decky VARCHAR(255) NOT NULL,
    service VARCHAR(64) NOT NULL,
    event_type VARCHAR(64) NOT NULL,
    attacker_id BINARY(16),
    fields MEDIUMTEXT NOT NULL,
    message MEDIUMTEXT NOT NULL,
    raw MEDIUMTEXT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE INDEX logs_decky ON logs (decky);
CREATE INDEX logs_service ON logs (service);
CREATE INDEX logs_event_type ON logs (event_type);
CREATE INDEX logs_attacker ON logs (attacker_id);

CREATE TABLE quarantine (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    received_at BIGINT NOT NULL,
    reader VARCHAR(32) NOT NULL,
    segment BIGINT NOT NULL,
    byte_offset BIGINT NOT NULL,
    why TEXT NOT NULL,
    raw MEDIUMBLOB NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE attackers (
    id BINARY(16) NOT NULL PRIMARY KEY,
    ip VARCHAR(128) NOT NULL UNIQUE,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    event_count BIGINT NOT NULL,
    auth_count BIGINT NOT NULL,
    command_count BIGINT NOT NULL,
    credential_count BIGINT NOT NULL,
    bounty_count BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE INDEX attackers_last_seen ON attackers (last_seen, id);
CREATE INDEX attackers_event_count ON attackers (event_count, id);

CREATE TABLE attacker_deckies (
    attacker_id BINARY(16) NOT NULL,
    decky VARCHAR(255) NOT NULL,
    PRIMARY KEY (attacker_id, decky)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE attacker_services (
    attacker_id BINARY(16) NOT NULL,
    service VARCHAR(64) NOT NULL,
    PRIMARY KEY (attacker_id, service)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE bounties (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    digest BINARY(16) NOT NULL UNIQUE,
    kind VARCHAR(32) NOT NULL,
    attacker_id BINARY(16) NOT NULL,
    decky VARCHAR(255) NOT NULL,
    service VARCHAR(64) NOT NULL,
    principal MEDIUMTEXT,
    secret_kind VARCHAR(128),
    value MEDIUMTEXT NOT NULL,
    seen_count BIGINT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    log_id BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE INDEX bounties_attacker ON bounties (attacker_id);
CREATE INDEX bounties_kind ON bounties (kind);
CREATE INDEX bounties_service ON bounties (service);

-- Which log rows are command lines, by attacker: the text stands in the row's fields.
CREATE TABLE commands (
    attacker_id BINARY(16) NOT NULL,
    log_id BIGINT NOT NULL,
    PRIMARY KEY (attacker_id, log_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE counters (
    name VARCHAR(128) NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- How often each decky, service, event type and credential was seen: the top lists.
CREATE TABLE tallies (
    scope VARCHAR(32) NOT NULL,
    name VARBINARY(512) NOT NULL,
    seen_count BIGINT NOT NULL,
    PRIMARY KEY (scope, name)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE INDEX tallies_top ON tallies (scope, seen_count);

-- Log rows by minute since the epoch, with the ids that they lie between: a span of time becomes a span of ids.
CREATE TABLE log_minutes (
    minute_no BIGINT NOT NULL PRIMARY KEY,
    seen_count BIGINT NOT NULL,
    min_id BIGINT NOT NULL,
    max_id BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Log rows by decky and service, in buckets of `width` minutes (1 and 60).
CREATE TABLE log_buckets (
    width BIGINT NOT NULL,
    minute_no BIGINT NOT NULL,
    decky VARCHAR(255) NOT NULL,
    service VARCHAR(64) NOT NULL,
    seen_count BIGINT NOT NULL,
    PRIMARY KEY (width, minute_no, decky, service)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- What the profiler derives, and how far it and the search index are.

CREATE TABLE log_cursors (
    name VARCHAR(128) NOT NULL PRIMARY KEY,
    log_id BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE attacker_profiles (
    attacker_id BINARY(16) NOT NULL PRIMARY KEY,
    session_count BIGINT NOT NULL,
    glyph VARCHAR(128)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE attacker_sessions (
    attacker_id BINARY(16) NOT NULL,
    ordinal BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    first_log_id BIGINT NOT NULL,
    last_log_id BIGINT NOT NULL,
    event_count BIGINT NOT NULL,
    closed BIGINT NOT NULL,
    PRIMARY KEY (attacker_id, ordinal)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE INDEX attacker_sessions_open ON attacker_sessions (closed, last_at);

-- The fleet: what is wanted of a decky beside what is observed of it.

CREATE TABLE deckies (
    name VARCHAR(128) NOT NULL PRIMARY KEY,
    desired BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    spec MEDIUMTEXT NOT NULL,
    archetype VARCHAR(128) NOT NULL,
    distro VARCHAR(128) NOT NULL,
    os VARCHAR(128) NOT NULL,
    hostname VARCHAR(128) NOT NULL,
    ip VARCHAR(128) NOT NULL UNIQUE,
    mac VARCHAR(128) NOT NULL,
    services TEXT NOT NULL,
    engine VARCHAR(128) NOT NULL,
    state VARCHAR(32) NOT NULL,
    last_error TEXT,
    since BIGINT NOT NULL,
    mutate_interval_minutes BIGINT,
    last_mutation_at BIGINT,
    failures TEXT NOT NULL,
    quarantined BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE tasks (
    id BINARY(16) NOT NULL PRIMARY KEY,
    operation VARCHAR(32) NOT NULL,
    deckies TEXT NOT NULL,
    status VARCHAR(32) NOT NULL,
    steps_done BIGINT NOT NULL,
    steps_total BIGINT NOT NULL,
    step TEXT NOT NULL,
    error TEXT,
    started_at BIGINT NOT NULL,
    ended_at BIGINT
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE INDEX tasks_started ON tasks (started_at, id);
CREATE INDEX tasks_status ON tasks (status);

CREATE TABLE leases (
    name VARCHAR(128) NOT NULL PRIMARY KEY,
    holder VARCHAR(128) NOT NULL,
    expires_at BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE worker_heartbeats (
    name VARCHAR(128) NOT NULL PRIMARY KEY,
    state VARCHAR(32) NOT NULL,
    last_heard BIGINT NOT NULL,
    pid BIGINT,
    version VARCHAR(128),
    uptime_s BIGINT,
    tasks MEDIUMTEXT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

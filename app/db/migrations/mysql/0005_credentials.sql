-- What is the same among captured credentials: accounts, secrets, and pairs of both, each once, with how many deckies and
-- attackers it was seen with. Derived by the profiler behind the ingester. A member is a digest of a group and a decky or an
-- attacker; `spread` is the sum of both counts, so that what is at several of either has 3 or more.
CREATE TABLE credential_groups (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    digest BINARY(16) NOT NULL UNIQUE,
    scope VARCHAR(16) NOT NULL,
    principal MEDIUMTEXT NOT NULL,
    secret_kind VARCHAR(64) NOT NULL,
    value MEDIUMTEXT NOT NULL,
    decky_count BIGINT NOT NULL,
    attacker_count BIGINT NOT NULL,
    spread BIGINT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_spread_at BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE INDEX credential_groups_spread ON credential_groups (scope, spread, id);
CREATE INDEX credential_groups_kind ON credential_groups (scope, secret_kind, id);

CREATE TABLE credential_members (
    digest BINARY(16) NOT NULL PRIMARY KEY
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

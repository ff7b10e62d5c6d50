-- What is the same among captured credentials: accounts, secrets, and pairs of both, each once, with how many deckies and
-- attackers it was seen with. Derived by the profiler behind the ingester. A member is a digest of a group and a decky or an
-- attacker; `spread` is the sum of both counts, so that what is at several of either has 3 or more.
CREATE TABLE credential_groups (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL UNIQUE,
    scope TEXT NOT NULL,
    principal TEXT NOT NULL,
    secret_kind TEXT NOT NULL,
    value TEXT NOT NULL,
    decky_count INTEGER NOT NULL,
    attacker_count INTEGER NOT NULL,
    spread INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_spread_at INTEGER NOT NULL
) STRICT;
CREATE INDEX credential_groups_spread ON credential_groups (scope, spread, id);
CREATE INDEX credential_groups_kind ON credential_groups (scope, secret_kind, id);

CREATE TABLE credential_members (
    digest BLOB NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Time-based codes (RFC 6238). `secret` is sealed with a key that is not in the database; `last_step` is the newest time
-- step of which a code was accepted. Recovery codes are SHA-256 digests; one that was used is gone.
CREATE TABLE second_factors (
    user_id BINARY(16) NOT NULL PRIMARY KEY,
    secret VARBINARY(255) NOT NULL,
    confirmed BIGINT NOT NULL,
    last_step BIGINT NOT NULL,
    since BIGINT NOT NULL,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE recovery_codes (
    user_id BINARY(16) NOT NULL,
    digest BINARY(32) NOT NULL,
    PRIMARY KEY (user_id, digest),
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

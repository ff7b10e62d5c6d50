-- How often a decoy let somebody in with a credential. What was counted before is counted from the log rows that are still there.
ALTER TABLE bounties ADD COLUMN accepted_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE bounties ADD COLUMN was_accepted INTEGER GENERATED ALWAYS AS (accepted_count > 0) VIRTUAL;
UPDATE bounties SET accepted_count = found.n
FROM (
    SELECT attacker_id, decky, service, COALESCE(json_extract(fields, '$.principal'), '') AS principal,
        COALESCE(json_extract(fields, '$.secret_kind'), 'plaintext') AS secret_kind,
        json_extract(fields, '$.secret_printable') AS value, COUNT(*) AS n
    FROM logs
    WHERE event_type = 'auth_attempt' AND attacker_id IS NOT NULL AND json_extract(fields, '$.outcome') = 'accepted'
    GROUP BY 1, 2, 3, 4, 5, 6
) AS found
WHERE bounties.kind = 'credential' AND bounties.attacker_id = found.attacker_id AND bounties.decky = found.decky
    AND bounties.service = found.service AND bounties.principal = found.principal
    AND bounties.secret_kind = found.secret_kind AND bounties.value = found.value;
CREATE INDEX bounties_accepted ON bounties (was_accepted, id);

-- The audit log by who and by what, newest first.
CREATE INDEX audit_log_actor ON audit_log (actor, id);
CREATE INDEX audit_log_action ON audit_log (action, id);
CREATE INDEX audit_log_at ON audit_log (at, id);

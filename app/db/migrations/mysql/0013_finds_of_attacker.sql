-- What was found of one kind with one attacker: their fingerprints are a few among what may be thousands of credentials, and the
-- profiler reads them for each that comes.
CREATE INDEX bounties_attacker_kind ON bounties (attacker_id, kind, id);
DROP INDEX bounties_attacker ON bounties;

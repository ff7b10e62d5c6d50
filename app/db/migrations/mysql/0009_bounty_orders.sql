-- The other orders of the list of finds: each a walk along its index, from either end.
CREATE INDEX bounties_last_seen ON bounties (last_seen, id);
CREATE INDEX bounties_seen_count ON bounties (seen_count, id);

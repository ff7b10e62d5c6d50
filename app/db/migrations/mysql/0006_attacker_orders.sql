-- The other orders of the list of attackers: each a walk along its index, from either end.
CREATE INDEX attackers_auth_count ON attackers (auth_count, id);
CREATE INDEX attackers_command_count ON attackers (command_count, id);
CREATE INDEX attackers_bounty_count ON attackers (bounty_count, id);

-- What is reused of one form, spread widest first: forms that are rare stand among many of the others.
CREATE INDEX credential_groups_kind_spread ON credential_groups (scope, secret_kind, spread, id);

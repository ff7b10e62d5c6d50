-- Of a minute's log rows, those by which an intruder touched a decoy. What was stored before cannot be told apart by the minute: the
-- fleet's own lines are few.
ALTER TABLE log_minutes ADD COLUMN touch_count BIGINT NOT NULL DEFAULT 0;
UPDATE log_minutes SET touch_count = seen_count;

-- What is late is counted every few seconds, whatever the number of triggers that are not.
CREATE INDEX schedule_failing ON schedule (failures, trigger_id) WHERE failures > 0;
DROP INDEX queue_available;
CREATE INDEX queue_available ON queue (available_at, lane) WHERE node IS NULL;

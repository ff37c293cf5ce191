-- The ledger grows with every fire, so what is too old to keep is found by its age.
CREATE INDEX fire_by_age ON fire (decided_at);

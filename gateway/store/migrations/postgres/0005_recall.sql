-- When this boot's part of a pot was asked for last, because somebody lacks it.
ALTER TABLE lease ADD COLUMN recalled BIGINT;
CREATE INDEX lease_recalled ON lease (boot, recalled) WHERE recalled IS NOT NULL;

-- Journals of gateways: who opened each last, so that a copy is known for what it is.
CREATE TABLE journal (
    id BYTEA NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    generation BIGINT NOT NULL,
    place TEXT NOT NULL
);
GRANT SELECT, INSERT, UPDATE ON journal TO penstock_app;

-- When this boot's part of a pot was asked for last, because somebody lacks it.
ALTER TABLE lease ADD COLUMN recalled INTEGER;

-- Journals of gateways: who opened each last, so that a copy is known for what it is.
CREATE TABLE journal (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    generation INTEGER NOT NULL,
    place TEXT NOT NULL
) STRICT;

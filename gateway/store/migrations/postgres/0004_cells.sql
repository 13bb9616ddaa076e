-- Limits that several gateways share. Everything here may be lost at any time: gateways state again
-- what they have taken. So nothing of it goes into the write-ahead log; after a crash of the server,
-- or on a standby that is promoted, the tables are empty.

-- One window of a limit: what each gateway has taken of it. `claims` is JSON: rows of gateway (32
-- hexadecimal digits), slot and cells. `ends`: when all of it has left the window.
CREATE UNLOGGED TABLE rate_window (
    org BYTEA NOT NULL,
    name TEXT NOT NULL,
    claims TEXT NOT NULL DEFAULT '[]',
    ends BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (org, name)
) WITH (fillfactor = 50);

-- The last message of a gateway that an org has heard.
CREATE UNLOGGED TABLE rate_boot (
    org BYTEA NOT NULL,
    boot BYTEA NOT NULL CHECK (length(boot) = 16),
    seq BIGINT NOT NULL DEFAULT 0,
    heard BIGINT NOT NULL,
    PRIMARY KEY (org, boot)
) WITH (fillfactor = 50);

-- Which gateways are alive. Holds no tenant's data.
CREATE UNLOGGED TABLE attendance (
    boot BYTEA NOT NULL PRIMARY KEY CHECK (length(boot) = 16),
    heard BIGINT NOT NULL
) WITH (fillfactor = 50);

ALTER TABLE rate_window ENABLE ROW LEVEL SECURITY;
ALTER TABLE rate_window FORCE ROW LEVEL SECURITY;
CREATE POLICY rate_window_of_one_org ON rate_window
    USING (org = decode(current_setting('penstock.org', true), 'hex'))
    WITH CHECK (org = decode(current_setting('penstock.org', true), 'hex'));

ALTER TABLE rate_boot ENABLE ROW LEVEL SECURITY;
ALTER TABLE rate_boot FORCE ROW LEVEL SECURITY;
CREATE POLICY rate_boot_of_one_org ON rate_boot
    USING (org = decode(current_setting('penstock.org', true), 'hex'))
    WITH CHECK (org = decode(current_setting('penstock.org', true), 'hex'));

GRANT SELECT, INSERT, UPDATE, DELETE ON rate_window, rate_boot, attendance TO penstock_app;

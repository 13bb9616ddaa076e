-- Hashes are 32 bytes: SHA-256.

-- Where each org's audit chain ends. The org of zeros is the installation, which may have no row in `org`.
CREATE TABLE audit_head (
    org BYTEA NOT NULL PRIMARY KEY CHECK (length(org) = 16),
    size BIGINT NOT NULL CHECK (0 < size),
    hash BYTEA NOT NULL CHECK (length(hash) = 32)
);

-- `body` is what is hashed: text, because JSONB would not give it back byte for byte. The columns
-- after it are copies from it, to look for. Whoever adds rows holds one advisory lock until the
-- commit, so that rows appear in the order of `position`.
CREATE TABLE audit (
    position BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org BYTEA NOT NULL CHECK (length(org) = 16),
    seq BIGINT NOT NULL CHECK (0 < seq),
    prev BYTEA NOT NULL CHECK (length(prev) = 32),
    hash BYTEA NOT NULL CHECK (length(hash) = 32),
    body TEXT NOT NULL,
    at BIGINT NOT NULL,
    action TEXT NOT NULL,
    actor TEXT NOT NULL,
    target TEXT,
    project TEXT,
    UNIQUE (org, seq)
);
CREATE INDEX audit_by_time ON audit (org, at);
CREATE INDEX audit_by_actor ON audit (org, actor);
CREATE INDEX audit_by_target ON audit (org, target);
CREATE INDEX audit_by_project ON audit (org, project) WHERE project IS NOT NULL;

-- The role of the gateway lacks the right to change rows. The owner is stopped by this.
CREATE FUNCTION audit_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is only added to';
END
$$;
CREATE TRIGGER audit_is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_kept();

-- How far a sink outside has come.
CREATE TABLE audit_sink (
    sink TEXT NOT NULL PRIMARY KEY,
    position BIGINT NOT NULL
);

CREATE TABLE session (
    sha256 BYTEA NOT NULL PRIMARY KEY CHECK (length(sha256) = 32),
    org BYTEA NOT NULL CHECK (length(org) = 16),
    "user" BYTEA NOT NULL CHECK (length("user") = 16),
    created BIGINT NOT NULL,
    seen BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    address TEXT,
    how TEXT NOT NULL,
    id_token_hint TEXT
);
CREATE INDEX session_by_user ON session (org, "user");
CREATE INDEX session_by_end ON session (expires);

CREATE TABLE ticket (
    kind TEXT NOT NULL,
    sha256 BYTEA NOT NULL CHECK (length(sha256) = 32),
    org BYTEA NOT NULL CHECK (length(org) = 16),
    body TEXT NOT NULL,
    expires BIGINT NOT NULL,
    PRIMARY KEY (kind, sha256)
);
CREATE INDEX ticket_by_end ON ticket (expires);

-- Ciphertext: `master` names the key that opens it, which is not here.
CREATE TABLE data_key (
    org BYTEA NOT NULL CHECK (length(org) = 16),
    version BIGINT NOT NULL,
    master TEXT NOT NULL,
    blob BYTEA NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (org, version)
);

-- A claim has no status until it is answered.
CREATE TABLE idempotency (
    org BYTEA NOT NULL CHECK (length(org) = 16),
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    body_hash BYTEA NOT NULL CHECK (length(body_hash) = 32),
    claimed BIGINT NOT NULL,
    status BIGINT,
    headers TEXT,
    answer BYTEA,
    PRIMARY KEY (org, scope, key),
    CHECK ((status IS NULL) = (headers IS NULL) AND (status IS NULL) = (answer IS NULL))
);
CREATE INDEX idempotency_by_claim ON idempotency (claimed);

CREATE TABLE last_use (
    org BYTEA NOT NULL CHECK (length(org) = 16),
    key BYTEA NOT NULL CHECK (length(key) = 16),
    used BIGINT NOT NULL,
    PRIMARY KEY (org, key)
);

-- The wall, as in the first migration, with two doors. A transaction that names a hash in
-- `penstock.token` (64 hexadecimal digits) sees the session or the tickets that have it. One that
-- names a table in `penstock.across` sees its rows in all orgs, to sweep them or to hand them on.
-- Both write rows of the org in `penstock.org` only. `audit_sink` holds no tenant's data.

ALTER TABLE audit_head ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_head FORCE ROW LEVEL SECURITY;
CREATE POLICY audit_head_of_one_org ON audit_head
    USING (org = decode(current_setting('penstock.org', true), 'hex')
        OR current_setting('penstock.across', true) = 'audit_head')
    WITH CHECK (org = decode(current_setting('penstock.org', true), 'hex'));

ALTER TABLE audit ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit FORCE ROW LEVEL SECURITY;
CREATE POLICY audit_of_one_org ON audit
    USING (org = decode(current_setting('penstock.org', true), 'hex')
        OR current_setting('penstock.across', true) = 'audit')
    WITH CHECK (org = decode(current_setting('penstock.org', true), 'hex'));

ALTER TABLE session ENABLE ROW LEVEL SECURITY;
ALTER TABLE session FORCE ROW LEVEL SECURITY;
CREATE POLICY session_of_one_org ON session
    USING (org = decode(current_setting('penstock.org', true), 'hex')
        OR sha256 = decode(current_setting('penstock.token', true), 'hex')
        OR current_setting('penstock.across', true) = 'session')
    WITH CHECK (org = decode(current_setting('penstock.org', true), 'hex'));

ALTER TABLE ticket ENABLE ROW LEVEL SECURITY;
ALTER TABLE ticket FORCE ROW LEVEL SECURITY;
CREATE POLICY ticket_of_one_org ON ticket
    USING (org = decode(current_setting('penstock.org', true), 'hex')
        OR sha256 = decode(current_setting('penstock.token', true), 'hex')
        OR current_setting('penstock.across', true) = 'ticket')
    WITH CHECK (org = decode(current_setting('penstock.org', true), 'hex'));

ALTER TABLE data_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE data_key FORCE ROW LEVEL SECURITY;
CREATE POLICY data_key_of_one_org ON data_key
    USING (org = decode(current_setting('penstock.org', true), 'hex')
        OR current_setting('penstock.across', true) = 'data_key')
    WITH CHECK (org = decode(current_setting('penstock.org', true), 'hex'));

ALTER TABLE idempotency ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency FORCE ROW LEVEL SECURITY;
CREATE POLICY idempotency_of_one_org ON idempotency
    USING (org = decode(current_setting('penstock.org', true), 'hex')
        OR current_setting('penstock.across', true) = 'idempotency')
    WITH CHECK (org = decode(current_setting('penstock.org', true), 'hex'));

ALTER TABLE last_use ENABLE ROW LEVEL SECURITY;
ALTER TABLE last_use FORCE ROW LEVEL SECURITY;
CREATE POLICY last_use_of_one_org ON last_use
    USING (org = decode(current_setting('penstock.org', true), 'hex'))
    WITH CHECK (org = decode(current_setting('penstock.org', true), 'hex'));

GRANT SELECT, INSERT ON audit TO penstock_app;
GRANT SELECT, INSERT, UPDATE ON audit_head, audit_sink, data_key, last_use TO penstock_app;
GRANT SELECT, INSERT, DELETE ON ticket TO penstock_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON session, idempotency TO penstock_app;

-- Ids are 16 bytes, times are milliseconds since 1970 (UTC), money is nano-USD.

CREATE TABLE org (
    id BYTEA NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name TEXT NOT NULL UNIQUE,
    revision BIGINT NOT NULL
);

CREATE TABLE object (
    org BYTEA NOT NULL REFERENCES org (id),
    kind TEXT NOT NULL,
    id BYTEA NOT NULL CHECK (length(id) = 16),
    name TEXT NOT NULL,
    body JSONB NOT NULL,
    PRIMARY KEY (org, id),
    UNIQUE (org, kind, name)
);

-- The one index that spans orgs: which org a key belongs to.
CREATE TABLE key_hash (
    sha256 BYTEA NOT NULL PRIMARY KEY CHECK (length(sha256) = 32),
    org BYTEA NOT NULL REFERENCES org (id),
    key BYTEA NOT NULL
);
CREATE INDEX key_hash_by_key ON key_hash (org, key);

-- What the ledger needs of the budget documents. `scope_name` is empty for the whole org.
CREATE TABLE budget_limit (
    org BYTEA NOT NULL REFERENCES org (id),
    budget BYTEA NOT NULL,
    amount BIGINT NOT NULL,
    scope_kind TEXT NOT NULL,
    scope_name TEXT NOT NULL,
    PRIMARY KEY (org, budget)
);

CREATE TABLE boot (
    id BYTEA NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    journal BYTEA NOT NULL,
    last_seen BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'lost', 'closed'))
);

CREATE TABLE budget (
    org BYTEA NOT NULL,
    budget BYTEA NOT NULL,
    starts BIGINT NOT NULL,
    ends BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    settled BIGINT NOT NULL CHECK (0 <= settled),
    held BIGINT NOT NULL DEFAULT 0 CHECK (0 <= held),
    leased BIGINT NOT NULL DEFAULT 0 CHECK (0 <= leased),
    unattributed BIGINT NOT NULL DEFAULT 0 CHECK (0 <= unattributed),
    overrun BIGINT NOT NULL CHECK (0 <= overrun),
    recalled BIGINT,
    PRIMARY KEY (org, budget, starts, ends)
);

CREATE TABLE lease (
    org BYTEA NOT NULL,
    budget BYTEA NOT NULL,
    starts BIGINT NOT NULL,
    ends BIGINT NOT NULL,
    boot BYTEA NOT NULL REFERENCES boot (id),
    granted BIGINT NOT NULL DEFAULT 0,
    returned BIGINT NOT NULL DEFAULT 0,
    spent BIGINT NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'lost', 'closed')),
    PRIMARY KEY (org, budget, starts, ends, boot),
    CHECK (returned + spent <= granted)
);
CREATE INDEX lease_by_boot ON lease (boot, org);

-- What an attempt with an unknown end counts above its cost, on each budget of its chain.
CREATE TABLE hold (
    org BYTEA NOT NULL,
    request BYTEA NOT NULL,
    attempt BIGINT NOT NULL,
    budget BYTEA NOT NULL,
    starts BIGINT NOT NULL,
    ends BIGINT NOT NULL,
    amount BIGINT NOT NULL CHECK (0 < amount),
    PRIMARY KEY (org, request, attempt, budget, starts, ends)
);
CREATE INDEX hold_by_pot ON hold (org, budget, starts, ends);

CREATE TABLE usage (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org BYTEA NOT NULL,
    request BYTEA NOT NULL,
    attempt BIGINT NOT NULL,
    part BIGINT NOT NULL,
    logical_request BYTEA NOT NULL,
    leg TEXT NOT NULL,
    unit_path TEXT NOT NULL,
    project BYTEA NOT NULL,
    cost_centre TEXT,
    tags JSONB NOT NULL,
    principal_kind TEXT NOT NULL,
    principal BYTEA NOT NULL,
    acted_for BYTEA,
    key BYTEA NOT NULL,
    end_user_hash TEXT,
    session_hash TEXT,
    task_hash TEXT,
    request_class TEXT,
    client_request_id TEXT,
    surface TEXT NOT NULL,
    stream BOOLEAN NOT NULL,
    model TEXT NOT NULL,
    tier TEXT,
    deployment BYTEA NOT NULL,
    upstream_model TEXT NOT NULL,
    price BYTEA,
    revision BIGINT NOT NULL,
    boot BYTEA NOT NULL,
    chain JSONB NOT NULL,
    hold BIGINT NOT NULL,
    admitted_at BIGINT NOT NULL,
    queue_millis BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    source TEXT NOT NULL,
    input BIGINT NOT NULL,
    cache_read BIGINT NOT NULL,
    cache_write BIGINT NOT NULL,
    output BIGINT NOT NULL,
    reasoning BIGINT NOT NULL,
    audio_in BIGINT NOT NULL,
    audio_out BIGINT NOT NULL,
    image BIGINT NOT NULL,
    cost BIGINT,
    -- Nano-USD by kind of usage.
    lines JSONB NOT NULL,
    counted BIGINT NOT NULL,
    overrun BIGINT NOT NULL,
    finish_reason TEXT,
    flaw TEXT,
    first_byte_millis BIGINT,
    total_millis BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    -- Token kinds that have no column yet, as JSON.
    extra JSONB
);
CREATE UNIQUE INDEX usage_by_attempt ON usage (org, request, attempt, part);
CREATE INDEX usage_by_time ON usage (org, admitted_at);

CREATE TABLE decision (
    org BYTEA NOT NULL,
    request BYTEA NOT NULL,
    project BYTEA NOT NULL,
    decided_at BIGINT NOT NULL,
    verdict TEXT NOT NULL,
    refusal TEXT,
    body JSONB NOT NULL,
    PRIMARY KEY (org, request)
);

-- The second wall between tenants: a row of an org is visible to a transaction that has named that
-- org in `penstock.org` (32 hexadecimal digits), and to no other. It binds the owner as well.
-- `org`, `key_hash` and `boot` hold no tenant's data and are read across orgs.

ALTER TABLE object ENABLE ROW LEVEL SECURITY;
ALTER TABLE object FORCE ROW LEVEL SECURITY;
CREATE POLICY object_of_one_org ON object
    USING (org = decode(current_setting('penstock.org', true), 'hex'))
    WITH CHECK (org = decode(current_setting('penstock.org', true), 'hex'));

ALTER TABLE budget_limit ENABLE ROW LEVEL SECURITY;
ALTER TABLE budget_limit FORCE ROW LEVEL SECURITY;
CREATE POLICY budget_limit_of_one_org ON budget_limit
    USING (org = decode(current_setting('penstock.org', true), 'hex'))
    WITH CHECK (org = decode(current_setting('penstock.org', true), 'hex'));

ALTER TABLE budget ENABLE ROW LEVEL SECURITY;
ALTER TABLE budget FORCE ROW LEVEL SECURITY;
CREATE POLICY budget_of_one_org ON budget
    USING (org = decode(current_setting('penstock.org', true), 'hex'))
    WITH CHECK (org = decode(current_setting('penstock.org', true), 'hex'));

ALTER TABLE lease ENABLE ROW LEVEL SECURITY;
ALTER TABLE lease FORCE ROW LEVEL SECURITY;
CREATE POLICY lease_of_one_org ON lease
    USING (org = decode(current_setting('penstock.org', true), 'hex'))
    WITH CHECK (org = decode(current_setting('penstock.org', true), 'hex'));

ALTER TABLE hold ENABLE ROW LEVEL SECURITY;
ALTER TABLE hold FORCE ROW LEVEL SECURITY;
CREATE POLICY hold_of_one_org ON hold
    USING (org = decode(current_setting('penstock.org', true), 'hex'))
    WITH CHECK (org = decode(current_setting('penstock.org', true), 'hex'));

ALTER TABLE usage ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage FORCE ROW LEVEL SECURITY;
CREATE POLICY usage_of_one_org ON usage
    USING (org = decode(current_setting('penstock.org', true), 'hex'))
    WITH CHECK (org = decode(current_setting('penstock.org', true), 'hex'));

ALTER TABLE decision ENABLE ROW LEVEL SECURITY;
ALTER TABLE decision FORCE ROW LEVEL SECURITY;
CREATE POLICY decision_of_one_org ON decision
    USING (org = decode(current_setting('penstock.org', true), 'hex'))
    WITH CHECK (org = decode(current_setting('penstock.org', true), 'hex'));

-- The role of the gateway: it owns nothing and bypasses nothing. It belongs to the whole server, so
-- that another database may have made it already.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'penstock_app') THEN
        CREATE ROLE penstock_app NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
        -- So that one login can do both: migrate as the owner, and serve in this role.
        GRANT penstock_app TO CURRENT_USER;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$;
GRANT SELECT, INSERT, UPDATE ON org, boot, budget, lease TO penstock_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON object, key_hash, budget_limit, hold TO penstock_app;
GRANT SELECT, INSERT ON usage, decision TO penstock_app;

-- Ids are 16 bytes, times are milliseconds since 1970 (UTC), money is nano-USD.

CREATE TABLE org (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name TEXT NOT NULL UNIQUE,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE object (
    org BLOB NOT NULL REFERENCES org (id),
    kind TEXT NOT NULL,
    id BLOB NOT NULL CHECK (length(id) = 16),
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (org, id),
    UNIQUE (org, kind, name)
) STRICT;

-- The one index that spans orgs: which org a key belongs to.
CREATE TABLE key_hash (
    sha256 BLOB NOT NULL PRIMARY KEY CHECK (length(sha256) = 32),
    org BLOB NOT NULL REFERENCES org (id),
    key BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX key_hash_by_key ON key_hash (org, key);

-- What the ledger needs of the budget documents. `scope_name` is empty for the whole org.
CREATE TABLE budget_limit (
    org BLOB NOT NULL REFERENCES org (id),
    budget BLOB NOT NULL,
    amount INTEGER NOT NULL,
    scope_kind TEXT NOT NULL,
    scope_name TEXT NOT NULL,
    PRIMARY KEY (org, budget)
) STRICT, WITHOUT ROWID;

CREATE TABLE boot (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    journal BLOB NOT NULL,
    last_seen INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'lost', 'closed'))
) STRICT, WITHOUT ROWID;

CREATE TABLE budget (
    org BLOB NOT NULL,
    budget BLOB NOT NULL,
    starts INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    settled INTEGER NOT NULL CHECK (0 <= settled),
    held INTEGER NOT NULL DEFAULT 0 CHECK (0 <= held),
    leased INTEGER NOT NULL DEFAULT 0 CHECK (0 <= leased),
    unattributed INTEGER NOT NULL DEFAULT 0 CHECK (0 <= unattributed),
    overrun INTEGER NOT NULL CHECK (0 <= overrun),
    recalled INTEGER,
    PRIMARY KEY (org, budget, starts, ends)
) STRICT, WITHOUT ROWID;

CREATE TABLE lease (
    org BLOB NOT NULL,
    budget BLOB NOT NULL,
    starts INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    boot BLOB NOT NULL REFERENCES boot (id),
    granted INTEGER NOT NULL DEFAULT 0,
    returned INTEGER NOT NULL DEFAULT 0,
    spent INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'lost', 'closed')),
    PRIMARY KEY (org, budget, starts, ends, boot),
    CHECK (returned + spent <= granted)
) STRICT, WITHOUT ROWID;
CREATE INDEX lease_by_boot ON lease (boot, org);

-- What an attempt with an unknown end counts above its cost, on each budget of its chain.
CREATE TABLE hold (
    org BLOB NOT NULL,
    request BLOB NOT NULL,
    attempt INTEGER NOT NULL,
    budget BLOB NOT NULL,
    starts INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    amount INTEGER NOT NULL CHECK (0 < amount),
    PRIMARY KEY (org, request, attempt, budget, starts, ends)
) STRICT, WITHOUT ROWID;
CREATE INDEX hold_by_pot ON hold (org, budget, starts, ends);

CREATE TABLE usage (
    seq INTEGER PRIMARY KEY,
    org BLOB NOT NULL,
    request BLOB NOT NULL,
    attempt INTEGER NOT NULL,
    part INTEGER NOT NULL,
    logical_request BLOB NOT NULL,
    leg TEXT NOT NULL,
    unit_path TEXT NOT NULL,
    project BLOB NOT NULL,
    cost_centre TEXT,
    tags TEXT NOT NULL,
    principal_kind TEXT NOT NULL,
    principal BLOB NOT NULL,
    acted_for BLOB,
    key BLOB NOT NULL,
    end_user_hash TEXT,
    session_hash TEXT,
    task_hash TEXT,
    request_class TEXT,
    client_request_id TEXT,
    surface TEXT NOT NULL,
    stream INTEGER NOT NULL,
    model TEXT NOT NULL,
    tier TEXT,
    deployment BLOB NOT NULL,
    upstream_model TEXT NOT NULL,
    price BLOB,
    revision INTEGER NOT NULL,
    boot BLOB NOT NULL,
    -- Each budget of the chain: its id, start and end, 32 bytes.
    chain BLOB NOT NULL,
    hold INTEGER NOT NULL,
    admitted_at INTEGER NOT NULL,
    queue_millis INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    source TEXT NOT NULL,
    input INTEGER NOT NULL,
    cache_read INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    output INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    audio_in INTEGER NOT NULL,
    audio_out INTEGER NOT NULL,
    image INTEGER NOT NULL,
    cost INTEGER,
    -- Nano-USD by kind of usage, as JSON.
    lines TEXT NOT NULL,
    counted INTEGER NOT NULL,
    overrun INTEGER NOT NULL,
    finish_reason TEXT,
    flaw TEXT,
    first_byte_millis INTEGER,
    total_millis INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    -- Token kinds that have no column yet, as JSON.
    extra TEXT
) STRICT;
CREATE UNIQUE INDEX usage_by_attempt ON usage (org, request, attempt, part);
CREATE INDEX usage_by_time ON usage (org, admitted_at);

CREATE TABLE decision (
    org BLOB NOT NULL,
    request BLOB NOT NULL,
    decided_at INTEGER NOT NULL,
    project BLOB NOT NULL,
    principal_kind TEXT NOT NULL,
    principal BLOB NOT NULL,
    key BLOB NOT NULL,
    surface TEXT NOT NULL,
    model TEXT NOT NULL,
    verdict TEXT NOT NULL,
    refusal TEXT,
    floor TEXT NOT NULL,
    caller TEXT,
    -- Null where there are none; else JSON, as the others.
    labels TEXT,
    candidates TEXT,
    masked TEXT,
    revision INTEGER NOT NULL,
    PRIMARY KEY (org, request)
) STRICT, WITHOUT ROWID;

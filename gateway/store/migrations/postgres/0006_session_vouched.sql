-- Whose word a session stands on: it ends with it. Empty: a password's.
ALTER TABLE session ADD COLUMN provider BYTEA CHECK (length(provider) = 16);
ALTER TABLE session ADD COLUMN issuer TEXT;
ALTER TABLE session ADD COLUMN subject TEXT;

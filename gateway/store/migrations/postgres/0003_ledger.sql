-- The ledger's clock: the one that all gateways share. It goes on within a transaction.
CREATE FUNCTION ledger_now() RETURNS BIGINT LANGUAGE sql VOLATILE
    AS $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT $$;

-- A boot ends in all orgs at once, so that who names it in `penstock.boot` sees its leases in all
-- of them. To change one, its org has to be named.
CREATE POLICY lease_of_one_boot ON lease FOR SELECT
    USING (boot = decode(current_setting('penstock.boot', true), 'hex'));

-- So that a gateway which may not migrate can see whether somebody else did.
GRANT SELECT ON _sqlx_migrations TO penstock_app;

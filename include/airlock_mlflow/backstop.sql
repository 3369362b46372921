-- What `backstop` installs in MLflow's database, as its owner. Rules: see backstop.py.

CREATE TABLE IF NOT EXISTS public.airlock_protected (alias text PRIMARY KEY);
CREATE TABLE IF NOT EXISTS public.airlock_permits (
    grant_id text PRIMARY KEY, model text NOT NULL, alias text NOT NULL, version integer NOT NULL,
    expected_current text, sequence bigint NOT NULL, expires_at timestamptz NOT NULL,
    written_by text NOT NULL DEFAULT session_user, written_at timestamptz NOT NULL DEFAULT now(),
    spent_by text, spent_at timestamptz, revoked_at timestamptz,
    CONSTRAINT airlock_permits_end CHECK (spent_at IS NULL OR revoked_at IS NULL)
);
-- Permits from before ADR 0040 were given at approval, for weeks: those nobody has spent end here.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_attribute
                   WHERE attrelid = 'public.airlock_permits'::pg_catalog.regclass
                     AND attname = 'revoked_at' AND NOT attisdropped) THEN
        ALTER TABLE public.airlock_permits ADD COLUMN revoked_at timestamptz;
        UPDATE public.airlock_permits SET revoked_at = pg_catalog.clock_timestamp()
            WHERE spent_at IS NULL;
        ALTER TABLE public.airlock_permits ADD CONSTRAINT airlock_permits_end
            CHECK (spent_at IS NULL OR revoked_at IS NULL);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION public.airlock_is_protected(said text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM public.airlock_protected p
                   WHERE p.alias = lower(regexp_replace(normalize(said, NFKC), '\s', '', 'g')))
$$;

CREATE OR REPLACE FUNCTION public.airlock_no(why text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'airlock: %', why USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE OR REPLACE FUNCTION public.airlock_check_alias() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    current text;
    last bigint;
BEGIN
    IF TG_OP <> 'INSERT' AND public.airlock_is_protected(OLD.alias) THEN
        IF TG_OP = 'DELETE' THEN
            PERFORM public.airlock_no(format('the alias %s of %s is protected: never deleted',
                                             OLD.alias, OLD.name));
        END IF;
        IF (NEW.workspace, NEW.name, NEW.alias) IS DISTINCT FROM
           (OLD.workspace, OLD.name, OLD.alias) THEN
            PERFORM public.airlock_no(format('the alias %s of %s is protected: never renamed',
                                             OLD.alias, OLD.name));
        END IF;
        IF NEW.version = OLD.version THEN RETURN NEW; END IF;
        current := OLD.version::text;
    END IF;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    IF NOT public.airlock_is_protected(NEW.alias) THEN RETURN NEW; END IF;
    SELECT max(p.sequence) INTO last FROM public.airlock_permits p
        WHERE p.model = NEW.name AND p.alias = NEW.alias AND p.spent_at IS NOT NULL;
    UPDATE public.airlock_permits SET spent_at = clock_timestamp(), spent_by = session_user
        WHERE grant_id = (
            SELECT p.grant_id FROM public.airlock_permits p
            WHERE p.model = NEW.name AND p.alias = NEW.alias AND p.version = NEW.version
              AND p.spent_at IS NULL AND p.revoked_at IS NULL
              AND p.expires_at > clock_timestamp()
              AND p.sequence > coalesce(last, -1)
              AND (p.expected_current IS NOT DISTINCT FROM current
                   OR (last IS NULL AND p.expected_current IS NULL))
            ORDER BY p.sequence DESC LIMIT 1 FOR UPDATE);
    IF NOT FOUND THEN
        -- Back to what the permit spent last says: that repeats a move. Not airlock_releases:
        -- the server's own role writes there.
        IF NEW.workspace = 'default' AND EXISTS (
            SELECT FROM public.airlock_permits p
            WHERE p.model = NEW.name AND p.alias = NEW.alias AND p.version = NEW.version
              AND p.sequence = last AND p.spent_at IS NOT NULL) THEN
            RETURN NEW;
        END IF;
        PERFORM public.airlock_no(format(
            'the alias %s of %s is protected, and there is no permit for version %s',
            NEW.alias, NEW.name, NEW.version));
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION public.airlock_check_version() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF TG_OP <> 'DELETE' AND NEW.current_stage IN ('Staging', 'Production') THEN
        PERFORM public.airlock_no('stages are off');
    END IF;
    IF TG_OP = 'INSERT' THEN RETURN NEW; END IF;
    IF EXISTS (SELECT FROM public.airlock_frozen f
               WHERE f.model = OLD.name AND f.version = OLD.version) THEN
        IF TG_OP = 'DELETE' OR
           (NEW.workspace, NEW.name, NEW.version, NEW.creation_time, NEW.source,
            NEW.storage_location, NEW.run_id, NEW.current_stage) IS DISTINCT FROM
           (OLD.workspace, OLD.name, OLD.version, OLD.creation_time, OLD.source,
            OLD.storage_location, OLD.run_id, OLD.current_stage) THEN
            PERFORM public.airlock_no(format('version %s of %s is frozen for a release',
                                             OLD.version, OLD.name));
        END IF;
    END IF;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION public.airlock_check_model() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    names text[] := ARRAY[OLD.name];
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.workspace, NEW.name) IS NOT DISTINCT FROM (OLD.workspace, OLD.name) THEN
            RETURN NEW;
        END IF;
        names := names || NEW.name::text;
    END IF;
    IF EXISTS (SELECT FROM public.airlock_frozen f WHERE f.model = ANY (names)) OR
       EXISTS (SELECT FROM public.airlock_permits p WHERE p.model = ANY (names)) THEN
        PERFORM public.airlock_no(format('%s has versions that were released', OLD.name));
    END IF;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION public.airlock_append_only() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM public.airlock_no(format('rows of %s are added, never changed', TG_TABLE_NAME));
END $$;

CREATE OR REPLACE FUNCTION public.airlock_no_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM public.airlock_no(format('%s is never emptied', TG_TABLE_NAME));
END $$;

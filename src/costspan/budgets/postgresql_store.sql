-- Reservations in PostgreSQL: one function for each operation, called through `ask`, each in a transaction of its own and one after
-- the other. Arguments are JSON, numbers in it are text; answers are lists of text. `redis_store.lua` does the same there.
CREATE SCHEMA costspan_budgets;
CREATE TABLE S.meta (version int, clock_us bigint, quiet_us bigint);
INSERT INTO S.meta VALUES (1, 0, 0);
CREATE TABLE S.sums (budget text, slot bigint, spent bigint NOT NULL, reserved bigint NOT NULL, PRIMARY KEY (budget, slot));
CREATE TABLE S.owners (n text PRIMARY KEY, who text, seen_us bigint);
CREATE TABLE S.reservations (key text PRIMARY KEY, owner text, tx text, state text, label text, made_ns bigint, parent text);
CREATE INDEX ON S.reservations (owner) WHERE state = 'held';
CREATE TABLE S.holds (key text, budget text, slot bigint, amount bigint NOT NULL, used bigint NOT NULL, PRIMARY KEY (key, budget, slot));
CREATE TABLE S.seen (id text, budget text, at_us bigint, PRIMARY KEY (id, budget));
CREATE TABLE S.done (mark text PRIMARY KEY, at_us bigint);
CREATE TABLE S.intakes (definition text PRIMARY KEY, upto text);
CREATE TABLE S.crossings (budget text, slot bigint, threshold text, noted_by text, PRIMARY KEY (budget, slot, threshold));

CREATE FUNCTION S.change(budget_ text, slot_ bigint, spent_ bigint, reserved_ bigint) RETURNS void LANGUAGE sql AS $$
  INSERT INTO S.sums AS s VALUES (budget_, slot_, spent_, reserved_)
  ON CONFLICT (budget, slot) DO UPDATE SET spent = s.spent + excluded.spent, reserved = s.reserved + excluded.reserved
$$;

-- The moment, never before one that was seen; and since when somebody is here again after nobody was.
CREATE FUNCTION S.go_on(shift_us bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  m S.meta;
  moment bigint;
BEGIN
  SELECT * INTO m FROM S.meta;
  IF m.version <> 1 THEN RETURN -1; END IF;
  moment := greatest((extract(epoch FROM clock_timestamp()) * 1000000)::bigint + shift_us, m.clock_us);
  IF moment > m.clock_us + 1000000 THEN
    UPDATE S.meta SET clock_us = moment, quiet_us = CASE WHEN moment > m.clock_us + 30000000 THEN moment ELSE quiet_us END;
  END IF;
  RETURN moment;
END $$;

CREATE FUNCTION S.is_held(key_ text) RETURNS boolean LANGUAGE sql AS $$
  SELECT EXISTS (SELECT 1 FROM S.reservations WHERE key = key_ AND state = 'held')
$$;

-- Take the holds away; what a call under a parent did not need goes back to that. `spent` is what it spent.
CREATE FUNCTION S.let_go(key_ text, spent jsonb, parent_ text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  h S.holds;
  used_ bigint;
  kept bigint;
BEGIN
  FOR h IN SELECT * FROM S.holds WHERE key = key_ LOOP
    kept := 0;
    IF parent_ <> '' AND S.is_held(parent_) THEN
      SELECT coalesce(max((e->>2)::bigint), 0) INTO used_ FROM jsonb_array_elements(spent) AS e
        WHERE e->>0 = h.budget AND (e->>1)::bigint = h.slot;
      UPDATE S.holds SET amount = amount + greatest(0, h.amount - used_), used = used + used_
        WHERE key = parent_ AND budget = h.budget AND slot = h.slot;
      IF FOUND THEN kept := greatest(0, h.amount - used_); END IF;
    END IF;
    PERFORM S.change(h.budget, h.slot, 0, kept - h.amount);
  END LOOP;
  DELETE FROM S.holds WHERE key = key_;
END $$;

CREATE FUNCTION S.finish(key_ text, state_ text) RETURNS void LANGUAGE sql AS $$
  DELETE FROM S.holds WHERE key = key_;
  UPDATE S.reservations SET state = state_ WHERE key = key_;
$$;

-- Let go of what processes hold that gave no sign of life for long, though the server was there to hear it.
CREATE FUNCTION S.expire(me text, moment bigint) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  r record;
  released int := 0;
BEGIN
  IF (SELECT quiet_us FROM S.meta) > moment - 60000000 THEN RETURN 0; END IF;
  FOR r IN SELECT key FROM S.reservations WHERE state = 'held' AND owner IN
      (SELECT n FROM S.owners WHERE n <> me AND seen_us <= moment - 60000000) LOOP
    PERFORM S.let_go(r.key, '[]', '');
    PERFORM S.finish(r.key, 'expired');
    released := released + 1;
  END LOOP;
  DELETE FROM S.owners WHERE n <> me AND seen_us <= moment - 60000000;
  RETURN released;
END $$;

CREATE FUNCTION S.whose(owner_ text) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce((SELECT who FROM S.owners WHERE n = owner_), '')
$$;

CREATE FUNCTION S.part(parent_ text, hold jsonb) RETURNS bigint LANGUAGE sql AS $$
  SELECT coalesce((SELECT least(h.amount, (hold->>4)::bigint) FROM S.holds AS h WHERE parent_ <> '' AND h.key = parent_
    AND h.budget = hold->>0 AND h.slot = (hold->>2)::bigint AND S.is_held(parent_)), 0)
$$;

CREATE FUNCTION S.first_refused(a jsonb) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  r record;
  stands record;
BEGIN
  FOR r IN SELECT e AS hold, at - 1 AS at, S.part(a->>'parent', e) AS part
      FROM jsonb_array_elements(a->'holds') WITH ORDINALITY AS x(e, at) ORDER BY at LOOP
    SELECT coalesce(sum(spent), 0) AS spent, coalesce(sum(reserved), 0) AS reserved INTO stands
      FROM S.sums WHERE budget = r.hold->>0 AND slot >= (r.hold->>1)::bigint;
    IF stands.spent + stands.reserved + (r.hold->>4)::numeric - r.part > (r.hold->>3)::numeric THEN
      RETURN ARRAY['refused', r.at::text, stands.spent::text, (stands.reserved - r.part)::text];
    END IF;
  END LOOP;
  RETURN NULL;
END $$;

CREATE FUNCTION S.refused(a jsonb, moment bigint) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  found_ text[] := S.first_refused(a);
BEGIN
  IF found_ IS NOT NULL AND S.expire(a->>'me', moment) > 0 THEN found_ := S.first_refused(a); END IF;
  RETURN found_;
END $$;

-- Periods begin by the clock of the server.
CREATE FUNCTION S.elsewhere(a jsonb, moment bigint) RETURNS text[] LANGUAGE sql AS $$
  SELECT CASE WHEN abs((a->>'now')::bigint / 1000 - moment) > 1000000 THEN ARRAY['clock', moment::text || '000'] END
$$;

CREATE FUNCTION S.not_mine(a jsonb) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  r S.reservations;
BEGIN
  SELECT * INTO r FROM S.reservations WHERE key = a->>'key';
  IF NOT FOUND THEN RETURN ARRAY['none']; END IF;
  IF r.state <> 'held' THEN RETURN ARRAY['over', r.state]; END IF;
  IF r.owner <> a->>'me' THEN RETURN ARRAY['foreign', S.whose(r.owner)]; END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION S.take(a jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  r record;
BEGIN
  FOR r IN SELECT e->>0 AS budget, (e->>2)::bigint AS slot, (e->>4)::bigint AS amount, S.part(a->>'parent', e) AS part
      FROM jsonb_array_elements(a->'holds') AS e LOOP
    IF r.part > 0 THEN
      UPDATE S.holds SET amount = amount - r.part WHERE key = a->>'parent' AND budget = r.budget AND slot = r.slot;
    END IF;
    INSERT INTO S.holds AS h VALUES (a->>'key', r.budget, r.slot, r.amount, 0)
      ON CONFLICT (key, budget, slot) DO UPDATE SET amount = h.amount + excluded.amount;
    PERFORM S.change(r.budget, r.slot, 0, r.amount - r.part);
  END LOOP;
END $$;

CREATE FUNCTION S.sign_of_life(a jsonb, moment bigint) RETURNS void LANGUAGE sql AS $$
  INSERT INTO S.owners VALUES (a->>'me', a->>'who', moment)
  ON CONFLICT (n) DO UPDATE SET who = excluded.who, seen_us = excluded.seen_us
$$;

CREATE FUNCTION S.book(key_ text, spent jsonb, recorded boolean, moment bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  e jsonb;
BEGIN
  FOR e IN SELECT * FROM jsonb_array_elements(spent) LOOP
    IF recorded THEN
      INSERT INTO S.seen VALUES (key_, e->>0, moment) ON CONFLICT DO NOTHING;
      CONTINUE WHEN NOT FOUND;
    END IF;
    PERFORM S.change(e->>0, (e->>1)::bigint, (e->>2)::bigint, 0);
  END LOOP;
END $$;

-- Whether what is marked was done before: an answer may have been lost. Whoever got one says so with his next question.
CREATE FUNCTION S.is_done(mark_ text, a jsonb, moment bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM S.done WHERE mark IN (SELECT * FROM jsonb_array_elements_text(a->'acknowledged'));
  INSERT INTO S.done VALUES (mark_, moment) ON CONFLICT DO NOTHING;
  RETURN NOT FOUND;
END $$;

CREATE FUNCTION S.reserve(a jsonb, moment bigint) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  r S.reservations;
  wrong text[] := S.elsewhere(a, moment);
BEGIN
  IF wrong IS NOT NULL THEN RETURN wrong; END IF;
  SELECT * INTO r FROM S.reservations WHERE key = a->>'key';
  IF FOUND THEN
    IF r.state = 'held' AND r.owner <> a->>'me' THEN RETURN ARRAY['foreign', S.whose(r.owner)]; END IF;
    RETURN ARRAY['granted', r.tx, r.state];
  END IF;
  wrong := S.refused(a, moment);
  IF wrong IS NOT NULL THEN RETURN wrong; END IF;
  IF NOT EXISTS (SELECT 1 FROM S.owners WHERE n = a->>'me') THEN PERFORM S.sign_of_life(a, moment); END IF;
  DELETE FROM S.done WHERE mark = a->>'key';
  INSERT INTO S.reservations
    VALUES (a->>'key', a->>'me', a->>'tx', 'held', a->>'label', (a->>'now')::bigint, a->>'parent');
  PERFORM S.take(a);
  RETURN ARRAY['granted', a->>'tx', 'held'];
END $$;

CREATE FUNCTION S.extend(a jsonb, moment bigint) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  wrong text[] := coalesce(S.elsewhere(a, moment), S.not_mine(a));
BEGIN
  wrong := coalesce(wrong, S.refused(a, moment));
  IF wrong IS NOT NULL THEN RETURN wrong; END IF;
  PERFORM S.take(a);
  RETURN ARRAY['granted', a->>'key', 'held'];
END $$;

CREATE FUNCTION S.settle(a jsonb, moment bigint) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  r S.reservations;
BEGIN
  IF NOT S.is_done(a->>'key', a, moment) THEN
    PERFORM S.book(a->>'key', a->'spent', (a->>'recorded')::boolean, moment);
    DELETE FROM S.reservations WHERE key = a->>'key' RETURNING * INTO r;
    IF FOUND THEN PERFORM S.let_go(r.key, a->'spent', r.parent); END IF;
  END IF;
  RETURN ARRAY['done'];
END $$;

CREATE FUNCTION S.book_calls(a jsonb, moment bigint) RETURNS text[] LANGUAGE plpgsql AS $$
BEGIN
  IF NOT S.is_done(a->>'mark', a, moment) THEN
    PERFORM S.book(e->>0, e->1, (a->>'recorded')::boolean, moment) FROM jsonb_array_elements(a->'calls') AS e;
  END IF;
  RETURN ARRAY['done'];
END $$;

CREATE FUNCTION S.commit(a jsonb) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  wrong text[] := S.not_mine(a);
  r record;
  h S.holds;
  rest bigint;
BEGIN
  IF wrong IS NOT NULL THEN RETURN wrong; END IF;
  FOR r IN SELECT e->>0 AS budget, (e->>1)::bigint AS total, coalesce(sum(x.used), 0)::bigint AS used,
      coalesce(sum(x.amount), 0)::bigint AS held
      FROM jsonb_array_elements(a->'amounts') AS e LEFT JOIN S.holds AS x ON x.key = a->>'key' AND x.budget = e->>0
      GROUP BY 1, 2 LOOP
    IF r.total < r.used THEN RETURN ARRAY['below', r.budget, r.total::text, r.used::text]; END IF;
    IF r.total > r.used + r.held THEN RETURN ARRAY['above', r.budget, r.total::text, (r.used + r.held)::text]; END IF;
    rest := r.total - r.used;
    FOR h IN SELECT * FROM S.holds WHERE key = a->>'key' AND budget = r.budget ORDER BY slot LOOP
      PERFORM S.change(h.budget, h.slot, least(rest, h.amount), 0);
      rest := rest - least(rest, h.amount);
    END LOOP;
  END LOOP;
  PERFORM S.let_go(a->>'key', '[]', '');
  PERFORM S.finish(a->>'key', 'committed');
  RETURN ARRAY['done'];
END $$;

CREATE FUNCTION S.release(key_ text) RETURNS text[] LANGUAGE plpgsql AS $$
BEGIN
  PERFORM S.let_go(key_, '[]', '');
  PERFORM S.finish(key_, 'released');
  RETURN ARRAY['done'];
END $$;

CREATE FUNCTION S.reservations(moment bigint) RETURNS text[] LANGUAGE sql AS $$
  SELECT coalesce(array_agg(jsonb_build_array(r.key, r.tx, r.label, r.made_ns::text, S.whose(r.owner),
    CASE WHEN o.seen_us > moment - 60000000 THEN '1' ELSE '0' END,
    coalesce((SELECT jsonb_agg(jsonb_build_array(h.budget, h.slot::text, h.amount::text)) FROM S.holds AS h WHERE h.key = r.key),
      '[]'))::text), ARRAY[]::text[])
  FROM S.reservations AS r LEFT JOIN S.owners AS o ON o.n = r.owner WHERE r.state = 'held'
$$;

CREATE FUNCTION S.keep_alive(a jsonb, moment bigint) RETURNS text[] LANGUAGE plpgsql AS $$
BEGIN
  PERFORM S.sign_of_life(a, moment);
  DELETE FROM S.reservations WHERE state <> 'held' AND made_ns / 1000 < moment - 2764800000000;
  DELETE FROM S.seen WHERE at_us < moment - 2764800000000;
  DELETE FROM S.done WHERE at_us < moment - 2764800000000;
  DELETE FROM S.crossings AS c WHERE slot >= 1000000000000000 AND slot / 1000 < moment - 8640000000000
    AND EXISTS (SELECT 1 FROM S.crossings AS l WHERE l.budget = c.budget AND l.threshold = c.threshold AND l.slot > c.slot);
  RETURN ARRAY['done', S.expire(a->>'me', moment)::text];
END $$;

CREATE FUNCTION S.take_in(a jsonb) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  e jsonb;
BEGIN
  IF coalesce((SELECT upto FROM S.intakes WHERE definition = a->>'definition'), '') <> a->>'after' THEN RETURN ARRAY['none']; END IF;
  FOR e IN SELECT * FROM jsonb_array_elements(a->'rows') LOOP
    DELETE FROM S.seen WHERE id = e->>0 AND budget = e->>1;
    IF NOT FOUND THEN PERFORM S.change(e->>1, (e->>2)::bigint, (e->>3)::bigint, 0); END IF;
  END LOOP;
  INSERT INTO S.intakes VALUES (a->>'definition', a->>'upto') ON CONFLICT (definition) DO UPDATE SET upto = excluded.upto;
  RETURN ARRAY['done'];
END $$;

CREATE FUNCTION S.crossed(a jsonb) RETURNS text[] LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO S.crossings VALUES (a->>'budget', (a->>'slot')::bigint, a->>'threshold', a->>'by') ON CONFLICT DO NOTHING;
  RETURN ARRAY['done', CASE WHEN (SELECT noted_by FROM S.crossings WHERE budget = a->>'budget'
    AND slot = (a->>'slot')::bigint AND threshold = a->>'threshold') = a->>'by' THEN '1' ELSE '0' END];
END $$;

CREATE FUNCTION S.ask(operation text, a jsonb) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  moment bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(4857306581240);
  moment := S.go_on((a->>'shift')::bigint);
  IF moment < 0 THEN RETURN ARRAY['newer']; END IF;
  CASE operation
    WHEN 'reserve' THEN RETURN S.reserve(a, moment);
    WHEN 'extend' THEN RETURN S.extend(a, moment);
    WHEN 'settle' THEN RETURN S.settle(a, moment);
    WHEN 'book' THEN RETURN S.book_calls(a, moment);
    WHEN 'commit' THEN RETURN S.commit(a);
    WHEN 'release' THEN RETURN coalesce(S.not_mine(a), S.release(a->>'key'));
    WHEN 'clear' THEN
      IF S.is_held(a->>'key') THEN RETURN S.release(a->>'key'); END IF;
      RETURN ARRAY['none'];
    WHEN 'standing' THEN
      RETURN (SELECT ARRAY['done', coalesce(sum(spent), 0)::text, coalesce(sum(reserved), 0)::text]
        FROM S.sums WHERE budget = a->>'budget' AND slot >= (a->>'since')::bigint);
    WHEN 'crossed' THEN RETURN S.crossed(a);
    WHEN 'reservations' THEN RETURN ARRAY['done'] || S.reservations(moment);
    WHEN 'keep_alive' THEN RETURN S.keep_alive(a, moment);
    WHEN 'place' THEN RETURN coalesce((SELECT ARRAY['done', upto] FROM S.intakes WHERE definition = a->>'definition'), ARRAY['none']);
    WHEN 'take_in' THEN RETURN S.take_in(a);
  END CASE;
END $$;

"""The statements of delivery: what may be sent now, fairly; what became of it; what waits.

None of them reads all that waits: each looks, for every subscription that has anything pending, at the first few of it.
"""

from __future__ import annotations

from notification.persistence.feed import (
    FLYING_PER_ORGANIZATION,
    IN_FLIGHT_PER_SUBSCRIPTION,
    MOST,
    MOST_AT_HOST,
)

# An endpoint that hangs holds no more than MOST of our connections, an organization's together no more
# than FLYING_PER_ORGANIZATION, and a host's, no matter who named it, MOST_AT_HOST.

# A pair of subscription and referral goes in order: only its earliest pending delivery may leave. (With OFFSET it is one look
# into the index for each candidate; PostgreSQL would otherwise read all that is pending, for it cannot know the limit.)
FIRST_OF_ITS_PAIR = """
NOT EXISTS (SELECT 1 FROM delivery e WHERE e.subscription = d.subscription AND e.referral = d.referral
            AND e.state = 'pending' AND e.sequence < d.sequence OFFSET 0)
"""

# The subscriptions that have anything pending, each found by one look into the index.
DUE = """
due AS (
  (SELECT subscription FROM delivery WHERE state = 'pending' ORDER BY 1 LIMIT 1) UNION ALL
  SELECT (SELECT d.subscription FROM delivery d WHERE d.state = 'pending' AND d.subscription > due.subscription
          ORDER BY 1 LIMIT 1)
  FROM due WHERE due.subscription IS NOT NULL)
"""

# $1 now, $2 room for all, $3 lease until, $4 lease, $5 room for those who hold something already. Organizations take turns; an
# endpoint whose breaker opened is asked with one delivery once its pause is over.
LEASING = f"""
WITH RECURSIVE {DUE},
flying AS MATERIALIZED (
  SELECT subscription, count(*) AS n FROM delivery
  WHERE state = 'pending' AND leased_until IS NOT NULL AND leased_until > $1 GROUP BY 1
), may AS MATERIALIZED (
  SELECT s.id, s.organization, s.host, coalesce(f.n, 0) AS n, e.open_until,
    coalesce(sum(f.n) OVER (PARTITION BY s.organization), 0) AS held, coalesce(sum(f.n) OVER (PARTITION BY s.host), 0) AS at,
    {MOST.format("$1")} AS most, {MOST_AT_HOST.format("min(" + MOST.format("$1") + ") OVER (PARTITION BY s.host)")} AS most_at
  FROM due JOIN subscription s ON s.id = due.subscription
  LEFT JOIN endpoint e ON e.id = s.id LEFT JOIN flying f ON f.subscription = s.id
  WHERE s.state = 'enabled' AND s.url IS NOT NULL
), queue AS (
  SELECT d.id, m.held, m.at, m.most_at, row_number() OVER (PARTITION BY m.organization ORDER BY d.next_attempt_at, d.sequence) AS turn,
    row_number() OVER (PARTITION BY m.host ORDER BY d.next_attempt_at, d.sequence) AS at_host
  FROM may m CROSS JOIN LATERAL (
    SELECT d.id, d.next_attempt_at, d.sequence FROM delivery d
    WHERE d.subscription = m.id AND d.state = 'pending' AND d.next_attempt_at <= $1
      AND (d.leased_until IS NULL OR d.leased_until <= $1) AND {FIRST_OF_ITS_PAIR}
    ORDER BY d.next_attempt_at, d.sequence LIMIT greatest(0, m.most - m.n)
    FOR UPDATE OF d SKIP LOCKED
  ) d
  WHERE (m.open_until IS NULL OR m.open_until <= $1) AND m.held < {FLYING_PER_ORGANIZATION} AND m.at < m.most_at
), ranked AS (
  SELECT id, turn, held = 0 AND turn <= {IN_FLIGHT_PER_SUBSCRIPTION} AS fresh,
    row_number() OVER (PARTITION BY held = 0 AND turn <= {IN_FLIGHT_PER_SUBSCRIPTION} ORDER BY turn) AS place
  FROM queue WHERE held + turn <= {FLYING_PER_ORGANIZATION} AND at + at_host <= most_at
), chosen AS (
  SELECT id FROM ranked WHERE fresh OR place <= $5 ORDER BY turn LIMIT $2
), leased AS (
  UPDATE delivery d SET leased_until = $3, lease = $4 FROM chosen WHERE d.id = chosen.id
  RETURNING d.id, d.subscription, d.sequence, d.number, d.lease, d.trigger
)
SELECT l.id, l.subscription, l.number, l.lease, l.trigger, s.organization, s.url, s.secret,
  CASE WHEN s.old_secret_until > $1 THEN s.old_secret ELSE '' END AS old_secret, f.id AS webhook, f.type,
  f.referral, f.body, f.traceparent, f.notice, coalesce(n.published, false) AS published
FROM leased l JOIN subscription s ON s.id = l.subscription
JOIN feed f ON f.subscription = l.subscription AND f.sequence = l.sequence
LEFT JOIN notice n ON n.id = f.notice ORDER BY l.subscription, l.sequence
"""  # noqa: S608 own constants

# Whether there is anything to lease, and whether any other sender ($2: this one) holds a lease that names it: a look without a
# transaction, so that a quiet service writes nothing.
ANYTHING = f"""
WITH RECURSIVE {DUE}
SELECT EXISTS (
  SELECT FROM delivery WHERE state = 'pending' AND leased_until IS NOT NULL AND leased_until > $1 AND lease LIKE '%.%'
    AND split_part(lease, '.', 1) <> $2) AS elsewhere,
EXISTS (
  SELECT 1 FROM due JOIN subscription s ON s.id = due.subscription LEFT JOIN endpoint e ON e.id = s.id
  WHERE s.state = 'enabled' AND s.url IS NOT NULL AND (e.open_until IS NULL OR e.open_until <= $1) AND EXISTS (
    SELECT 1 FROM delivery d WHERE d.subscription = s.id AND d.state = 'pending' AND d.next_attempt_at <= $1
      AND (d.leased_until IS NULL OR d.leased_until <= $1))) AS due
"""  # noqa: S608 own constants

# A sender that can take another's lock knows that it is gone, and keeps it from coming back until this is committed. $2 this
# one.
FREEING = """
WITH holder AS MATERIALIZED (
  SELECT DISTINCT split_part(lease, '.', 1)::bigint AS lock FROM delivery
  WHERE state = 'pending' AND leased_until IS NOT NULL AND leased_until > $1 AND lease LIKE '%.%'
    AND split_part(lease, '.', 1) <> $2
), gone AS MATERIALIZED (SELECT lock FROM holder WHERE pg_try_advisory_xact_lock(lock))
UPDATE delivery d SET leased_until = NULL, lease = '' FROM gone
WHERE d.state = 'pending' AND d.leased_until IS NOT NULL AND d.leased_until > $1 AND d.lease LIKE '%.%'
  AND split_part(d.lease, '.', 1) = gone.lock::text
"""

RENEWING = """
UPDATE delivery SET leased_until = $3 WHERE id = ANY($1::text[]) AND lease = ANY($2::text[]) AND state = 'pending'
"""

# A recorded 2xx counts no matter who held the lease; a failure counts only for its holder. What arrived and is news for nobody
# else is told with it. (Each is looked up by its id: `state = 'pending'` would invite PostgreSQL to read all that is pending.)
RECORDING = """
UPDATE delivery d SET state = r.state, number = greatest(d.number, r.number), lease = '', leased_until = NULL,
  next_attempt_at = coalesce(r.next_attempt_at, d.next_attempt_at),
  delivered_at = CASE WHEN r.state = 'delivered' THEN coalesce(d.delivered_at, r.at) ELSE d.delivered_at END,
  told = d.told OR r.told
FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::timestamptz[], $6::timestamptz[], $7::boolean[])
  AS r (id, lease, state, number, next_attempt_at, at, told)
WHERE d.id = r.id AND coalesce(d.state = 'pending', false) AND (d.lease = r.lease OR r.state = 'delivered')
RETURNING d.id
"""

# What waits behind a failing delivery of its pair is due with it, so that nobody looks at it before; what waited behind one
# that is over is due at once. Of these none was tried. A row that comes in meanwhile is due at once, and held back as before.
BEHIND = """
UPDATE delivery d SET next_attempt_at = r.due
FROM delivery first, unnest($1::text[], $2::timestamptz[], $3::boolean[]) AS r (id, due, later)
WHERE first.id = r.id AND d.subscription = first.subscription AND d.referral = first.referral AND d.state = 'pending'
  AND d.sequence > first.sequence AND d.number = 0
  AND CASE WHEN r.later THEN d.next_attempt_at < r.due ELSE d.next_attempt_at > r.due END
"""

# How much is due or under way, as far as it may be sent (at most so many of a subscription are counted), and when more will
# be: a breaker that is open is waited for.
AHEAD = f"""
WITH RECURSIVE {DUE},
may AS MATERIALIZED (
  SELECT s.id, CASE WHEN e.open_until > $1 THEN e.open_until END AS open_until
  FROM due JOIN subscription s ON s.id = due.subscription LEFT JOIN endpoint e ON e.id = s.id
  WHERE s.state = 'enabled' AND s.url IS NOT NULL)
SELECT coalesce(sum(ready.n), 0)::bigint AS now, min(greatest(later.at, m.open_until)) AS next
FROM may m
CROSS JOIN LATERAL (
  SELECT count(*) AS n FROM (
    SELECT 1 FROM delivery d WHERE d.subscription = m.id AND d.state = 'pending' AND d.next_attempt_at <= $1
      AND (m.open_until IS NULL OR d.leased_until > $1) AND {FIRST_OF_ITS_PAIR} LIMIT {IN_FLIGHT_PER_SUBSCRIPTION + 1}) AS few
) ready
CROSS JOIN LATERAL (
  SELECT CASE WHEN m.open_until IS NULL THEN (
    SELECT d.next_attempt_at FROM delivery d
    WHERE d.subscription = m.id AND d.state = 'pending' AND d.next_attempt_at > $1 ORDER BY 1 LIMIT 1)
  ELSE (
    SELECT d.next_attempt_at FROM delivery d
    WHERE d.subscription = m.id AND d.state = 'pending' ORDER BY 1 LIMIT 1)
  END AS at
) later
"""  # noqa: S608 own constants

# Since when the delivery has been due that has waited longest at an endpoint in which nothing has failed. $1 now.
LATE = f"""
WITH RECURSIVE {DUE}
SELECT min(oldest.at) FROM due JOIN subscription s ON s.id = due.subscription LEFT JOIN endpoint e ON e.id = s.id
CROSS JOIN LATERAL (
  SELECT d.next_attempt_at AS at FROM delivery d
  WHERE d.subscription = s.id AND d.state = 'pending' AND d.next_attempt_at <= $1
  ORDER BY d.next_attempt_at, d.sequence LIMIT 1) oldest
WHERE s.state = 'enabled' AND s.url IS NOT NULL AND e.open_until IS NULL AND e.failing_since IS NULL
"""  # noqa: S608 own constants

# Chosen before anything is joined to them: whatever PostgreSQL thinks of how many there are, it looks at these alone.
UNTOLD = """
WITH chosen AS MATERIALIZED (
  SELECT id, notice, subscription, sequence, delivered_at FROM delivery
  WHERE delivered_at IS NOT NULL AND notice <> '' AND NOT told ORDER BY id LIMIT $1)
SELECT d.id, d.notice, n.referral, d.delivered_at, n.code, n.recipient_kind, n.published, f.traceparent
FROM chosen d
CROSS JOIN LATERAL (SELECT * FROM notice n WHERE n.id = d.notice OFFSET 0) n
CROSS JOIN LATERAL (
  SELECT * FROM feed f WHERE f.subscription = d.subscription AND f.sequence = d.sequence OFFSET 0) f
ORDER BY d.id
"""

BREAKERS = "SELECT id, failures, open_until FROM endpoint WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE"

# What an endpoint that answered well forgets, and when it did: to the minute, so that most answers write nothing of it.
WELL = """
UPDATE endpoint e SET failing_since = NULL, heard_at = r.heard, failures = 0, open_until = NULL
FROM unnest($1::text[], $2::timestamptz[]) AS r (id, heard)
WHERE e.id = r.id AND (e.failing_since IS NOT NULL OR e.failures > 0 OR e.open_until IS NOT NULL OR e.heard_at IS NULL
  OR e.heard_at < r.heard - interval '1 minute')
"""
FIRST_HEARD = """
INSERT INTO endpoint (id, heard_at, failures) SELECT r.id, r.heard, 0
FROM unnest($1::text[], $2::timestamptz[]) AS r (id, heard)
WHERE NOT EXISTS (SELECT FROM endpoint e WHERE e.id = r.id) ORDER BY 1 ON CONFLICT DO NOTHING
"""

# Since when an endpoint has answered nothing but failures (a success forgets it), and its breaker.
HEALTH = """
INSERT INTO endpoint AS e (id, failing_since, heard_at, failures, open_until)
SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::int[], $5::timestamptz[])
  AS r (id, failed, heard, failures, open_until) ORDER BY id
ON CONFLICT (id) DO UPDATE SET
  failing_since = CASE WHEN excluded.heard_at IS NOT NULL THEN NULL
    ELSE coalesce(e.failing_since, excluded.failing_since) END,
  heard_at = coalesce(excluded.heard_at, e.heard_at), failures = excluded.failures, open_until = excluded.open_until
"""

# An owner who says that an endpoint is back has it called again.
CLOSING = "UPDATE endpoint SET failures = 0, open_until = NULL WHERE id = $1"

# Those who are called no more: nothing but failures for so long. What begins when an endpoint was enabled again is counted
# from there.
HOPELESS = """
SELECT s.id FROM endpoint e JOIN subscription s ON s.id = e.id
WHERE e.id = ANY($1::text[]) AND s.state = 'enabled' AND e.failing_since IS NOT NULL
  AND greatest(e.failing_since, s.enabled_at) <= $2 ORDER BY s.id
"""

# Sent again at once, under its old id, with a schedule of its own. `asked` makes a repeated request do nothing.
AGAIN = """
UPDATE delivery d SET state = 'pending', number = 0, next_attempt_at = $2, trigger = $3, asked = $4, lease = '',
  leased_until = NULL
WHERE d.id = ANY($1::text[]) AND d.asked <> $4
"""

RECOVERABLE = """
SELECT f.sequence, d.id FROM feed f LEFT JOIN delivery d ON d.subscription = f.subscription AND d.sequence = f.sequence
WHERE f.subscription = $1 AND f.at >= $2 AND f.at < $3
  AND (d.id IS NULL AND f.at >= coalesce((SELECT deliveries_before FROM retention), '-infinity') OR d.state = 'exhausted' OR (d.state = 'pending' AND d.number > 0)) ORDER BY f.sequence
"""

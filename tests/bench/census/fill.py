"""Many referrals at once, in the tables as they are: the rows of a story that was played, copied under other ids.

Nineteen of twenty copies are of closed loops. Half of all are one plan's and, of what it told, one endpoint's; a tenth one
provider's. One endpoint is dead, and every fiftieth delivery waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from loopkeeper.postgres.connections import Connection

ID = "CASE WHEN o.{0} = '' THEN '' ELSE o.{0} || '.' || i END"
UUID = "(left(o.{0}::text, 24) || left(md5(o.{0}::text || i), 12))::uuid"
# A plan with more than half of all: by its own index or by that of all, PostgreSQL looks at no more than two rows for each it
# shows, and takes the one or the other by what it happened to sample.
PLAN = "CASE WHEN o.{0} = '' OR i % 5 > 0 THEN o.{0} ELSE 'plan-' || i % 40 END"
SENDER = "CASE WHEN o.{0} = '' OR i % 2 = 0 THEN o.{0} ELSE 'referrer-' || i % 400 END"
SERVES = "CASE WHEN o.{0} = '' OR i % 10 = 0 THEN o.{0} ELSE 'provider-' || i % 600 END"
# A network does not grow with its referrals: each of its providers gets more of them.
HOLDS = "CASE WHEN o.{0} = '' OR i % 10 = 0 THEN o.{0} ELSE 'provider-' || i % 40 END"
BEFORE = "o.{0} - i * interval '7 seconds'"
AFTER = "o.{0} + i * interval '7 seconds' + interval '1 year'"
RECIPIENT = "CASE WHEN i % 2 = 0 THEN o.{0} ELSE 'org-' || i % 400 END"
FEED = "CASE WHEN i % 50 = 0 THEN 'sub_dead' WHEN i % 2 = 0 THEN o.{0} ELSE 'sub_' || i % 200 END"
NUMBER = "1000000 + i * 10000::bigint + o.{0}"
WAITS = "CASE WHEN i % 50 = 0 THEN {1} ELSE o.{0} END"

STREAM = {"stream": ID, "at": BEFORE}
JOURNAL = {"stream": ID, "id": UUID, "at": BEFORE}
CLAIM = {"id": UUID, "stream": ID, "at": BEFORE}
TIMER = {"stream": ID, "due_at": AFTER}
AUDIT = {"stream": ID, "at": BEFORE, "position": "nextval(pg_get_serial_sequence('audit', 'position'))"}
CHASSIS = {"journal": JOURNAL, "claim": CLAIM, "timer": TIMER, "audit": AUDIT}
ROW = {
    "id": ID,
    "plan_id": PLAN,
    "referrer_id": SENDER,
    "provider_id": SERVES,
    "at": BEFORE,
    "created_at": BEFORE,
}


@dataclass(frozen=True, slots=True)
class Table:
    """A table's columns that are another's in a copy, and the column that says whose loop a row is of."""

    columns: Mapping[str, str]
    loop: str = ""


TABLES: Mapping[str, Mapping[str, Table]] = {
    "intake": {
        "referral": Table({**ROW, "member": ID}, "id"),
        "member": Table({"id": ID, "member": ID}),
        "referral_population": Table({"id": ID}, "id"),
        "identity": Table({"id": ID, "member_key": ID, "cin_key": ID, "person_key": ID}, "id"),
        "support": Table({"id": ID, "referral": ID, "plan_id": PLAN, "provider_id": SERVES, "at": BEFORE}, "referral"),
        "roster": Table({"id": ID, "plan": PLAN}),
    },
    "authorization": {
        "referral": Table({**ROW, "authorization_id": ID, "member": ID, "provider_id": HOLDS}, "id"),
        "lookup": Table({"id": ID, "member_index": ID, "plan": PLAN}, "id"),
    },
    "assignment": {
        "referral": Table({**ROW, "member": ID}, "id"),
        "assignment": Table(
            {
                "id": ID, "referral": ID, "plan_id": PLAN, "referrer_id": SENDER, "provider_id": HOLDS, "member": ID,
                "made_at": BEFORE, "at": BEFORE,
            },
            "referral",
        ),
    },
    "notification": {
        "referral": Table(ROW, "id"),
        "notice": Table(
            {"id": ID, "referral": ID, "plan": PLAN, "event": UUID, "recipient": RECIPIENT, "at": BEFORE}, "referral"
        ),
        "feed": Table({"subscription": FEED, "sequence": NUMBER, "id": ID, "referral": ID, "notice": ID, "at": BEFORE}),
        "delivery": Table(
            {
                "id": ID, "subscription": FEED, "sequence": NUMBER, "referral": ID, "notice": ID,
                "state": WAITS.format("state", "'pending'"), "delivered_at": WAITS.format("delivered_at", "NULL"),
                "next_attempt_at": "'2020-01-01'",
            }
        ),
        "attempt": Table(
            {"id": ID, "subscription": FEED, "delivery": ID, "webhook": ID, "referral": ID, "at": BEFORE}
        ),
    },
}  # fmt: skip

ENDPOINTS = """
INSERT INTO subscription SELECT (jsonb_populate_record(NULL::subscription, to_jsonb(s) || jsonb_build_object(
  'id', name, 'organization', 'org-' || name, 'url', 'https://' || name || '.example/hook', 'state', 'enabled'))).*
FROM (SELECT * FROM subscription ORDER BY id LIMIT 1) s,
  (SELECT 'sub_' || n AS name FROM generate_series(0, 199) n UNION ALL SELECT 'sub_dead') names
ON CONFLICT DO NOTHING
"""


async def prepare(connections: Mapping[str, Connection]) -> None:
    """Keep the story's rows apart, so that each round copies only them."""
    loops = await connections["intake"].fetch("SELECT id, status = 'closed' AS over FROM referral")
    for service, tables in TABLES.items():
        connection = connections[service]
        await connection.execute("CREATE TABLE loop_copied (id text PRIMARY KEY, over boolean NOT NULL)")
        await connection.execute(
            "INSERT INTO loop_copied SELECT * FROM unnest($1::text[], $2::boolean[])",
            [row["id"] for row in loops],
            [row["over"] for row in loops],
        )
        for name in (*tables, *CHASSIS):
            await connection.execute(f'CREATE TABLE copied_{name} AS SELECT * FROM "{name}"')
    await connections["notification"].execute(ENDPOINTS)


async def fill(connections: Mapping[str, Connection], first: int, last: int) -> int:
    """Copies number `first` to `last` of every loop; how many referrals there are then."""
    for service, tables in TABLES.items():
        connection = connections[service]
        chassis = {name: Table(columns, "stream") for name, columns in CHASSIS.items()}
        for name, table in {**tables, **chassis}.items():
            rows = await connection.fetch(
                """SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0
                   AND NOT attisdropped AND attgenerated = '' ORDER BY attnum""",
                f'"{name}"',
            )
            names = [row["attname"] for row in rows]
            taken = ", ".join(table.columns.get(each, 'o."{0}"').format(each) for each in names)
            loop = (
                f"JOIN loop_copied l ON l.id = o.{table.loop}"
                if table.loop
                else "JOIN (SELECT true AS over) l ON true"
            )
            await connection.execute(
                f"""INSERT INTO "{name}" ({", ".join(f'"{each}"' for each in names)})
                    SELECT {taken} FROM generate_series({first}, {last}) i, copied_{name} o {loop}
                    WHERE l.over OR i % 20 = 0 ON CONFLICT DO NOTHING"""
            )
        await connection.execute("VACUUM (ANALYZE)")
    return await connections["intake"].fetchval("SELECT count(*) FROM referral")

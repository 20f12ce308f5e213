"""Those of the story who live in spreadsheets: a shelter's sheet of forty, a plan's list of decisions, a provider's month.

Valley tells one of its providers by member file. Three rows of that provider's month are wrong; they come back with what
to do, are corrected in the very file and sent again, and only they act.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from demo.providers import OPERATIONS, SHELTER, VALLEY
from demo.stage import Stage

FORTY, REPORTED = 40, 12
PROVIDER, LEAD = "sierra-care-partners", "Lucia Marin"
FIRST = ("Alma", "Ben", "Cora", "Dario", "Edda", "Finn", "Gita", "Hugo", "Inez", "Jude")
LAST = ("Almond", "Birch", "Cypress", "Dogwood")
YES = "Y"
Row = Mapping[str, str]


def forty(today: date) -> list[dict[str, Any]]:
    """Forty people who sleep outside in one county; Valley's roster has them."""
    return [
        {
            "first_name": FIRST[number % len(FIRST)],
            "last_name": LAST[number // len(FIRST)],
            "cin": f"9900{number:04d}S",
            "birth_date": (today - timedelta(days=9_000 + 211 * number)).isoformat(),
            "county": "madera",
        }
        for number in range(FORTY)
    ]


class Sheets:
    """Plays it, and says what came back."""

    def __init__(self, stage: Stage, step: Callable[[str], None]) -> None:
        self._stage = stage
        self._ask = stage.caller.ask
        self._step = step

    async def play(self) -> int:
        """Returns how many of the forty the provider's month told of."""
        entry = {"answers_by": "file", "capacity": 2 * FORTY}
        await self._ask(OPERATIONS, "PUT", f"/v1/providers/{PROVIDER}", entry)
        people = forty(await self._stage.today())
        sheet = await self._send(SHELTER, "referrals", [_referral(person) for person in people])
        self._step(f"a shelter's sheet of {FORTY}: {_counts(sheet)}")
        listed = [
            {"Member CIN": p["cin"], "Member Last Name": p["last_name"], "Decision": "Approved", "Decided By": "Grace Lindqvist"}
            for p in people
        ]  # fmt: skip
        decided = await self._send(VALLEY, "decisions", listed, plan=VALLEY)
        self._step(f"Valley's list of decisions: {_counts(decided)}")
        told = await self._members()
        self._step(f"the member file of {PROVIDER}: {len(told)} members, told once it was fetched")
        return await self._month(told)

    async def _members(self) -> Sequence[Row]:
        file = await self._ask(PROVIDER, "POST", f"/v1/files/mif:write?plan={VALLEY}")
        content = await self._ask(PROVIDER, "GET", f"/v1/files/mif/{file['id']}/content")
        return _rows(content)

    async def _month(self, told: Sequence[Row]) -> int:
        """The first rows of the member file as the provider reports them: two without what is needed, one with a word
        that the plan does not know."""
        today = await self._stage.today()
        rows = [_reported(row, today) for row in told[:REPORTED]]
        wrong = ({"Lead Care Manager": ""}, {"Status Date": "13/45/2026"}, {"Referral Status": "Yes"})
        sent = [{**row, **(wrong[number] if number < len(wrong) else {})} for number, row in enumerate(rows)]
        month = await self._send(PROVIDER, "rtf", sent, plan=VALLEY)
        self._step(f"its month: {_counts(month)}")
        back = _rows(await self._ask(PROVIDER, "GET", f"/v1/files/rtf/{month['id']}/returned"))
        corrected = [
            {**answered, **good} if answered["Result"] == "refused" else answered
            for answered, good in zip(back, rows, strict=True)
        ]
        again = await self._send(PROVIDER, "rtf", corrected, plan=VALLEY)
        self._step(f"the {len(wrong)} corrected and sent again: {_counts(again)}")
        return again["counts"]["accepted"] + again["counts"]["unchanged"]

    async def _send(self, who: str, kind: str, rows: Sequence[Row], plan: str = "") -> Any:
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        query = f"?plan={plan}" if plan else ""
        file = await self._ask(who, "POST", f"/v1/files/{kind}{query}", content=text.getvalue().encode())
        await self._stage.quiet()
        return await self._ask(who, "GET", f"/v1/files/{kind}/{file['id']}")


def _referral(person: Mapping[str, Any]) -> Row:
    return {
        "Plan": "Valley Care Plan", "First Name": person["first_name"], "Last Name": person["last_name"],
        "Born": _written(date.fromisoformat(person["birth_date"])), "Medi-Cal Number": person["cin"], "County": "Madera",
        "Usual Place": "The river camp", "Why ECM": "Experiencing homelessness", "Sleeps Outside": YES,
        "Complex Need": YES, "Cannot Manage Alone": YES, "Coordination Would Help": YES, "True To My Knowledge": YES,
    }  # fmt: skip


def _reported(row: Row, today: date) -> Row:
    return {
        "Member CIN": row["Member CIN"], "Member Last Name": row["Member Last Name"], "Lead Care Manager": LEAD,
        "Referral Status": "Outreach Initiated", "Status Date": _written(today), "Closure Reason": "",
        "Visits In Person": "",
    }  # fmt: skip


def _written(day: date) -> str:
    return f"{day:%m/%d/%Y}"


def _rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))


def _counts(file: Any) -> str:
    counts = file["counts"]
    return ", ".join(
        f"{counts[name]} {name}" for name in ("accepted", "unchanged", "refused") if counts[name]
    )

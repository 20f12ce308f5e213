"""Who takes part, and with which keys: a list to read. Next to it is the command to run for each change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

import htpy as h
from fastapi import APIRouter
from starlette.responses import Response

from console.api.client import Away, together
from console.api.models import assignment, authorization, intake, notification
from console.pages.ops.first import Operator
from console.pages.visit import Visit
from console.parts import loops
from console.parts.basics import blocks, marks, times
from console.parts.basics.html import href, said
from loopkeeper.security.organizations import Organization

router = APIRouter()
HERE = "/ops/organizations"
KINDS = {
    "plan": "Plans", "provider": "Providers", "referrer": "Referrers", "county": "Counties", "hub": "Hubs", "partner": "Partners",
    "operations": "Operations",
}  # fmt: skip
SERVING = ("provider", "county", "hub")
MODELS = {
    "intake": intake.Organizations,
    "authorization": authorization.Organizations,
    "assignment": assignment.Organizations,
    "notification": notification.Organizations,
}
Known = (
    intake.Organizations | authorization.Organizations | assignment.Organizations | notification.Organizations
)
Key = intake.ShownKey | authorization.ShownKey | assignment.ShownKey | notification.ShownKey
COMMANDS = (
    ("Add an organization", "loopkeeper org add ID --name NAME --kind plan"),
    ("Invite its first admin", "loopkeeper person invite ID --name NAME --email ADDRESS --role plan --admin"),
    ("Let its own sign-in in", "loopkeeper org sign-in ID --issuer URL --client-id ID --group NAME=plan"),
    ("Make a key for a program", "loopkeeper client add ID --role plan"),
    ("End a key", "loopkeeper client revoke KEY"),
    ("Let nobody of it in any more", "loopkeeper org revoke ID"),
)


@router.get(HERE)
async def organizations(visit: Operator) -> Response:
    """By kind. Each service knows when it last let a key in, so all four are asked."""
    _ = visit.words
    answers = await together(
        *(
            visit.api.get(name, f"/v1/operations/{name}/organizations", model)
            for name, model in MODELS.items()
        )
    )
    keys, used = _keys(answers)
    known = visit.running.people.access.directory.organizations().values()
    kinds: dict[str, list[Organization]] = defaultdict(list)
    for one in sorted(known, key=lambda each: each.name):
        kinds[str(one.kind)].append(one)
    return visit.page(
        _("Organizations"),
        blocks.head(
            _.many("{count} organization takes part", "{count} organizations take part", len(known)),
            _("The command line changes them; a change is everywhere within two seconds."),
        ),
        visit.away(*answers),
        h.div(".cols")[
            h.div(".work")[
                (
                    loops.group(
                        _(name),
                        len(kinds[kind]),
                        None,
                        h.ul(".tiles-list")[
                            (_row(one, keys.get(one.id, ()), used, visit) for one in kinds[kind])
                        ],
                    )
                    for kind, name in KINDS.items()
                    if kinds[kind]
                )
            ],
            h.aside(".facts")[
                blocks.card(
                    _("Commands to run"),
                    h.dl(".commands")[([h.dt[_(what)], h.dd[h.code[command]]] for what, command in COMMANDS)],
                ),
                h.p(".sub")[
                    _(
                        "A key is a program's; people sign in. The last use is what running services remember of it, since "
                        "they started."
                    )
                ],
            ],
        ],
        here=HERE,
    )


def _keys(answers: Sequence[Known | Away]) -> tuple[Mapping[str, Sequence[Key]], Mapping[str, datetime]]:
    """The keys of each organization, as any service has them, and the last use of each that any service remembers."""
    keys: dict[str, Sequence[Key]] = {}
    used: dict[str, datetime] = {}
    for answer in answers:
        for of in () if isinstance(answer, Away) else answer.items:
            keys[of.id] = of.keys
            for key in of.keys:
                if key.last_used_at is not None:
                    used[key.id] = max(key.last_used_at, used.get(key.id, key.last_used_at))
    return keys, used


def _row(one: Organization, keys: Sequence[Key], used: Mapping[str, datetime], visit: Visit) -> h.Element:
    """One organization and its keys; those that ended come last."""
    _ = visit.words
    ordered = sorted(keys, key=lambda key: (key.revoked_at is not None, key.created_at))
    return h.li(id=one.id)[
        h.div[
            h.strong[said(one.name)],
            h.span(".sub")[h.code[one.id], f" · {one.phone}" if one.phone else ""],
            h.ul(".keys")[
                (
                    h.li(class_="undone" if key.revoked_at else None)[
                        h.code[key.id],
                        h.span(".sub")[", ".join(key.roles), " · ", _key_state(key, used.get(key.id), visit)],
                    ]
                    for key in ordered
                )
            ]
            if ordered
            else None,
        ],
        h.div(".chips")[
            marks.chip(_("own sign-in"), "info") if one.sign_in else None,
            marks.chip(_("revoked"), "late") if one.revoked else None,
            h.a(
                ".button.small",
                href=href("/ops/directory/{}", one.id),
                aria_label=_("Entry of {name}", name=one.name),
            )[_("Entry")]
            if str(one.kind) in SERVING
            else None,
        ],
    ]


def _key_state(key: Key, used: datetime | None, visit: Visit) -> str:
    _ = visit.words
    if key.revoked_at is not None:
        return _("ended {at}", at=times.moment(key.revoked_at, _, year=True))
    made = _("made {at}", at=times.moment(key.created_at, _, year=True))
    return f"{made} · " + (
        _("last used {at}", at=times.moment(used, _)) if used else _("not used since the services started")
    )

"""Who takes part, and the command to run for each change: organizations and keys are the command line's to write."""

from __future__ import annotations

from collections import defaultdict

import htpy as h
from fastapi import APIRouter
from starlette.responses import Response

from console.pages.ops.first import Operator
from console.parts import loops
from console.parts.basics import blocks, marks
from console.parts.basics.html import said
from loopkeeper.security.organizations import Organization

router = APIRouter()
HERE = "/ops/organizations"
KINDS = {
    "plan": "Plans", "provider": "Providers", "referrer": "Referrers", "county": "Counties", "hub": "Hubs", "partner": "Partners",
    "operations": "Operations",
}  # fmt: skip


@router.get(HERE)
async def organizations(visit: Operator) -> Response:
    """By kind."""
    _ = visit.words
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
        h.div(".cols")[
            h.div(".work")[
                (
                    loops.group(
                        _(name),
                        len(kinds[kind]),
                        None,
                        h.ul(".tiles-list")[
                            (
                                h.li[
                                    h.div[
                                        h.strong[said(one.name)],
                                        h.span(".sub")[
                                            h.code[one.id], f" · {one.phone}" if one.phone else ""
                                        ],
                                    ],
                                    h.div(".chips")[
                                        marks.chip(_("own sign-in"), "info") if one.sign_in else None,
                                        marks.chip(_("revoked"), "late") if one.revoked else None,
                                    ],
                                ]
                                for one in kinds[kind]
                            )
                        ],
                    )
                    for kind, name in KINDS.items()
                    if kinds[kind]
                )
            ],
            h.aside(".facts")[
                blocks.card(
                    _("Commands to run"),
                    h.dl(".commands")[
                        (
                            [h.dt[_(what)], h.dd[h.code[command]]]
                            for what, command in (
                                ("Add an organization", "loopkeeper org add ID --name NAME --kind plan"),
                                (
                                    "Invite its first admin",
                                    "loopkeeper person invite ID --name NAME --email ADDRESS --role plan --admin",
                                ),
                                (
                                    "Let its own sign-in in",
                                    "loopkeeper org sign-in ID --issuer URL --client-id ID --group NAME=plan",
                                ),
                                ("Make a key for a program", "loopkeeper client add ID --role plan"),
                                ("End a key", "loopkeeper client revoke KEY"),
                                ("Let nobody of it in any more", "loopkeeper org revoke ID"),
                            )
                        )
                    ],
                )
            ],
        ],
        here=HERE,
    )

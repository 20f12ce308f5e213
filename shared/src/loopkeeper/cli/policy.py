"""The commands `loopkeeper policy …`: whether the dated rows that decisions follow are sound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from loopkeeper.cli.terminal import FAILED, Json, say, settings, show
from loopkeeper.kernel.settings import Settings
from loopkeeper.security import organizations
from loopkeeper.security.organizations import OrganizationKind

if TYPE_CHECKING:
    from loopkeeper.policy import Finding


def policy_findings(settings: Settings) -> list[Finding]:
    """All that is wrong with the policy of the installed services, the operator's folder and the known plans."""
    from loopkeeper import policy
    from loopkeeper.policy.reading import installed, load

    known = organizations.list_organizations(settings.config_folder)
    plans = [organization.id for organization in known if organization.kind is OrganizationKind.PLAN]
    return policy.check(load(installed(), settings.policy_folder), plans)


def policy_check(as_json: Json = False) -> None:
    """Check every policy row, packaged and the operator's own, and say what to fix."""
    findings = policy_findings(settings())
    if as_json:
        show([{"place": found.place, "sentence": found.sentence, "fix": found.fix} for found in findings])
    else:
        for found in findings:
            say(f"{found.place}\n  {found.sentence}\n  {found.fix}")
        say(f"{len(findings)} to fix." if findings else "The policy is sound.")
    if findings:
        raise typer.Exit(FAILED)

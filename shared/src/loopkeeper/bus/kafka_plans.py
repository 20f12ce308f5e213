"""Which topic has a plan's own systems, and who may read it?

Each plan's authorizations are forwarded to a topic of its own. A plan logs in as a user of its own; the cluster's
authorizer lets that user read this topic, in groups whose name begins with the plan's id and a dot, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from loopkeeper.bus import kafka_topics
from loopkeeper.bus.kafka_line import CreateAclsRequest, DescribeAclsRequest, Line, SecurityDisabled
from loopkeeper.errors import StartError

# The protocol's numbers for what an access rule speaks of.
TOPIC, GROUP = 2, 3
MATCH, LITERAL, PREFIXED = 2, 3, 4
ANY, ALL, READ, WRITE, DESCRIBE = 1, 2, 3, 4, 8
ALLOW = 3
EVERYBODY = "User:*"
NAMES: Mapping[int, str] = {READ: "read", WRITE: "write", DESCRIBE: "describe"}
OPEN = "The cluster asks nobody who they are: whoever reaches it reads every plan's topic."


def topic_of(plan: str) -> str:
    """The topic a plan reads its authorizations from."""
    return f"plan.{plan}.authorizations"


def group_prefix(plan: str) -> str:
    """How the groups begin that a plan reads with. No id has a dot, so none begins as another's groups do."""
    return f"{plan}."


@dataclass(frozen=True, slots=True)
class Grant:
    """One access rule: this user may do this with the topic or group of this name (or beginning)."""

    kind: int
    name: str
    pattern: int
    principal: str
    operation: int

    def sentence(self) -> str:
        what = f"the topic {self.name}" if self.kind == TOPIC else f"in groups {self.name}*"
        return f"{self.principal} may not {NAMES[self.operation]} {what}."


@dataclass(frozen=True, slots=True)
class Readers:
    """Who logs in as what: a plan as its id, unless it is named; the services as `services`, empty where nobody logs
    in. Raises `StartError` where one user would read what belongs to two."""

    plans: Sequence[str]
    named: Mapping[str, str]
    services: str = ""

    def __post_init__(self) -> None:
        users = [self.user(plan) for plan in self.plans]
        if len({*users, self.services}) <= len(users):
            raise StartError(
                "Two plans, or a plan and the services, have one user at the broker.",
                "Name another in LOOPKEEPER_KAFKA_PLAN_USERS: a user reads the topic of one plan only.",
            )

    def user(self, plan: str) -> str:
        return self.named.get(plan, plan)

    def grants(self, plan: str) -> list[Grant]:
        """All that may be done with this plan's topic."""
        topic, own = topic_of(plan), f"User:{self.user(plan)}"
        found = [
            Grant(TOPIC, topic, LITERAL, own, READ),
            Grant(TOPIC, topic, LITERAL, own, DESCRIBE),
            Grant(GROUP, group_prefix(plan), PREFIXED, own, READ),
        ]
        if self.services:
            services = f"User:{self.services}"
            found += [Grant(TOPIC, topic, LITERAL, services, each) for each in (WRITE, DESCRIBE)]
        return found

    def others(self, plan: str) -> set[str]:
        """Who must not read this plan's topic: the other plans, and everybody."""
        return {EVERYBODY, *(f"User:{self.user(each)}" for each in self.plans if each != plan)}


async def create(line: Line, replication: int, readers: Readers) -> Mapping[str, bool]:
    """Make each plan's topic and the rules of who reads it; by topic, whether it is new. Rules that are there stay as
    they are. Raises `StartError` where the cluster refuses or is away."""
    made: dict[str, bool] = {}
    for plan in readers.plans:
        topic = topic_of(plan)
        made[topic] = await kafka_topics.create(replace(line, topic=topic), replication)
        await grant(line, readers.grants(plan))
    return made


async def grant(line: Line, grants: Sequence[Grant]) -> None:
    """Write these rules beside those that are there. Raises `StartError`."""

    async def all_of(admin: Any) -> list[Any]:
        return [
            await admin._send_request(
                CreateAclsRequest(g.kind, g.name, g.pattern, g.principal, "*", g.operation, ALLOW)
            )
            for g in grants
        ]

    for each, answer in zip(grants, await kafka_topics.ask(line, all_of), strict=True):
        ((code, said),) = answer.creation_responses
        # A cluster without an authorizer has no rules: `flaws` says so.
        if code not in (0, SecurityDisabled.errno):
            raise StartError(
                f"Who may read {each.name} cannot be set: {said or code}.",
                "Run it as a user who may alter the cluster.",
            )


async def flaws(line: Line, replication: int, readers: Readers) -> list[str]:
    """In what the plans' topics and their rules differ from what they must be, one sentence each. Raises
    `StartError`."""
    found: list[str] = []
    for plan in readers.plans:
        topic = topic_of(plan)
        found += [
            f"{topic}: {flaw}" for flaw in await kafka_topics.flaws(replace(line, topic=topic), replication)
        ]
        rules = await _standing(line, TOPIC, topic)
        if rules is None:
            # Where the services log in, others can too: there it is a flaw.
            return [*found, OPEN] if readers.services else found
        rules |= await _standing(line, GROUP, group_prefix(plan)) or set()
        found += [each.sentence() for each in readers.grants(plan) if each not in rules]
        found += sorted({
            f"{each.principal} may read the topic {topic} too."
            for each in rules
            if each.kind == TOPIC and each.operation in (READ, ALL) and each.principal in readers.others(plan)
        })  # fmt: skip
    return found


async def _standing(line: Line, kind: int, name: str) -> set[Grant] | None:
    """Every rule that holds for this name, those by prefix and wildcard among them; None for a cluster without."""
    asked = DescribeAclsRequest(kind, name, MATCH, None, None, ANY, ALLOW)
    answer = await kafka_topics.ask(line, lambda admin: admin._send_request(asked))
    if answer.error_code == SecurityDisabled.errno:
        return None
    if answer.error_code:
        raise StartError(
            f"Who may read {name} cannot be seen: {answer.error_message or answer.error_code}.",
            "Run it as a user who may describe the cluster.",
        )
    return {
        Grant(kind, resource, pattern, principal, operation)
        for _, resource, pattern, rules in answer.resources
        for principal, _, operation, _ in rules
    }

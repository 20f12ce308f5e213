"""Who may do what at the broker? Each service and each plan logs in as a user of its own that may do the least it needs.

A service reads and writes the log, in its own group; the one that forwards also writes the plans' topics. A plan reads its
own topic, in groups whose name begins with its id and a dot. Nobody of them makes or deletes a topic, or sets rules: that
is the user's who runs `loopkeeper topics`. The cluster's authorizer keeps the rules; here they are written and looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loopkeeper.event_log import kafka_topics
from loopkeeper.event_log.kafka_config import (
    CreateAclsRequest,
    DescribeAclsRequest,
    KafkaConfig,
    SecurityDisabled,
)
from loopkeeper.kernel.errors import StartError

# The protocol's numbers for what an access rule speaks of.
TOPIC, GROUP = 2, 3
MATCH, LITERAL, PREFIXED = 2, 3, 4
ANY, ALL, READ, WRITE, DELETE, ALTER, DESCRIBE, ALTER_CONFIGS = 1, 2, 3, 4, 6, 7, 8, 11
ALLOW = 3
EVERYBODY = "User:*"
# Anyone who reads or writes may also describe. What else a rule may allow (describing) harms nobody.
NAMES: Mapping[int, str] = {
    ALL: "do anything with",
    READ: "read",
    WRITE: "write",
    DELETE: "delete",
    ALTER: "alter",
    DESCRIBE: "describe",
    ALTER_CONFIGS: "change the settings of",
}
OPEN = "The cluster asks nobody who they are: every client that reaches it reads and writes every topic."
# The service whose outbox feeds the plans' topics.
FORWARDS = "notification"


def topic_of(plan: str) -> str:
    """The topic a plan reads its authorizations from."""
    return f"plan.{plan}.authorizations"


def group_prefix(plan: str) -> str:
    """How the groups begin that a plan reads with. No id has a dot, so none begins as another's groups do."""
    return f"{plan}."


def user_of(service: str) -> str:
    """As whom a service logs in, unless it is named."""
    return f"loopkeeper-{service}"


@dataclass(frozen=True, slots=True)
class AccessRule:
    """One access rule: this user may do this with the topic or group of this name (or beginning)."""

    kind: int
    name: str
    pattern: int
    principal: str
    operation: int

    def what(self) -> str:
        name = f"{self.name}{'*' if self.pattern == PREFIXED else ''}"
        return f"{NAMES[self.operation]} {'the topic' if self.kind == TOPIC else 'in groups'} {name}"


@dataclass(frozen=True, slots=True)
class Users:
    """Who logs in as what: a plan as its id, unless it is named; the services as `services` says, empty where nobody logs
    in. Raises `StartError` where one user would do what belongs to two."""

    plans: Sequence[str]
    named: Mapping[str, str]
    services: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        users = [*(self.user(plan) for plan in self.plans), *self.services.values()]
        if len(set(users)) < len(users):
            raise StartError(
                "Two plans, two services, or a plan and a service have one user at the broker.",
                "Name another in LOOPKEEPER_KAFKA_PLAN_USERS or LOOPKEEPER_KAFKA_SERVICE_USERS: each has its own.",
            )

    def user(self, plan: str) -> str:
        return self.named.get(plan, plan)

    def of_log(self, config: KafkaConfig) -> list[AccessRule]:
        """All that may be done with the log: every service reads and writes it, in a group of its own."""
        found: list[AccessRule] = []
        for service, user in self.services.items():
            own = f"User:{user}"
            found += [AccessRule(TOPIC, config.topic, LITERAL, own, each) for each in (READ, WRITE)]
            found.append(AccessRule(GROUP, config.group(service), LITERAL, own, READ))
        return found

    def of_plan(self, plan: str) -> list[AccessRule]:
        """All that may be done with this plan's topic."""
        topic, own = topic_of(plan), f"User:{self.user(plan)}"
        found = [
            AccessRule(TOPIC, topic, LITERAL, own, READ),
            AccessRule(TOPIC, topic, LITERAL, own, DESCRIBE),
            AccessRule(GROUP, group_prefix(plan), PREFIXED, own, READ),
        ]
        if FORWARDS in self.services:
            found.append(AccessRule(TOPIC, topic, LITERAL, f"User:{self.services[FORWARDS]}", WRITE))
        return found

    def known(self) -> set[str]:
        """Whose rules are looked at: the plans', the services', and what everybody may do."""
        users = [*(self.user(plan) for plan in self.plans), *self.services.values()]
        return {EVERYBODY, *(f"User:{each}" for each in users)}


async def grant(config: KafkaConfig, grants: Sequence[AccessRule]) -> None:
    """Write these rules next to those that are there. Raises `StartError`."""

    async def all_of(admin: Any) -> list[Any]:
        return [
            await admin._send_request(
                CreateAclsRequest(g.kind, g.name, g.pattern, g.principal, "*", g.operation, ALLOW)
            )
            for g in grants
        ]

    for each, answer in zip(grants, await kafka_topics.ask(config, all_of), strict=True):
        ((code, said),) = answer.creation_responses
        # A cluster without an authorizer has no rules: `flaws` says so.
        if code not in (0, SecurityDisabled.errno):
            raise StartError(
                f"Who may {each.what()} cannot be set: {said or code}.",
                "Run it as a user who may alter the cluster.",
            )


async def flaws(
    config: KafkaConfig, wanted: Sequence[AccessRule], known: Collection[str]
) -> list[str] | None:
    """In what the rules of these topics and groups differ from what is wanted, one sentence each: what is missing, and
    what a known user may do beyond. None for a cluster without rules. Raises `StartError`."""
    standing: set[AccessRule] = set()
    for kind, name in sorted({(each.kind, each.name) for each in wanted}):
        rules = await _existing_rules(config, kind, name)
        if rules is None:
            return None
        standing |= rules
    beyond = {
        f"{each.principal} may {each.what()} too."
        for each in standing.difference(wanted)
        if each.principal in known and each.operation in NAMES and each.operation != DESCRIBE
    }
    missing = [each for each in wanted if each not in standing]
    return [f"{each.principal} may not {each.what()}." for each in missing] + sorted(beyond)


async def _existing_rules(config: KafkaConfig, kind: int, name: str) -> set[AccessRule] | None:
    """Every rule that holds for this name, those by prefix and wildcard among them; None for a cluster without."""
    asked = DescribeAclsRequest(kind, name, MATCH, None, None, ANY, ALLOW)
    answer = await kafka_topics.ask(config, lambda admin: admin._send_request(asked))
    if answer.error_code == SecurityDisabled.errno:
        return None
    if answer.error_code:
        raise StartError(
            f"Who may use {name} cannot be seen: {answer.error_message or answer.error_code}.",
            "Run it as a user who may describe the cluster.",
        )
    return {
        AccessRule(kind, resource, pattern, principal, operation)
        for _, resource, pattern, rules in answer.resources
        for principal, _, operation, _ in rules
    }

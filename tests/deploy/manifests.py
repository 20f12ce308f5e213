"""What a cluster is handed: the objects of an overlay, as kustomize builds them, and questions about them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.deploy import places

Object = dict[str, Any]
WORKLOADS = ("StatefulSet", "Deployment", "Job", "CronJob")
OURS = "loopkeeper"


class Overlay:
    """Every object of one overlay."""

    def __init__(self, text: str) -> None:
        self.objects: list[Object] = [each for each in yaml.safe_load_all(text) if each]

    def of(self, *kinds: str) -> list[Object]:
        return [each for each in self.objects if each["kind"] in kinds]

    def named(self, kind: str, name: str) -> Object:
        (found,) = [each for each in self.of(kind) if each["metadata"]["name"] == name]
        return found

    def workloads(self) -> list[Object]:
        return self.of(*WORKLOADS)

    def services(self) -> list[Object]:
        """The stateful sets of our services."""
        return [each for each in self.of("StatefulSet") if name(each).startswith(f"{OURS}-")]

    def containers(self) -> Iterator[tuple[str, Object]]:
        for each in self.workloads():
            for container in pod(each)["spec"]["containers"]:
                yield name(each), container


def built(kubectl: Path, overlay: str) -> Overlay:
    return Overlay(places.run(kubectl, "kustomize", places.DEPLOY / "k8s/overlays" / overlay))


def variant(kubectl: Path, folder: Path, *components: str) -> Overlay:
    """Production, with these components chosen as well."""
    k8s = os.path.relpath(places.DEPLOY / "k8s", folder)
    chosen = [f"- {k8s}/components/{each}" for each in components]
    text = "\n".join(["resources:", f"- {k8s}/overlays/production", "components:", *chosen])
    (folder / "kustomization.yaml").write_text(text)
    return Overlay(places.run(kubectl, "kustomize", folder))


def name(each: Mapping[str, Any]) -> str:
    return each["metadata"]["name"]


def pod(workload: Object) -> Object:
    """The template of the pods it makes."""
    spec = workload["spec"]
    return (spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec)["template"]


def variables(overlay: Overlay, container: Object) -> dict[str, Any]:
    """Every variable this container gets: a text, or where it is taken from."""
    given: dict[str, Any] = {}
    for source in container.get("envFrom", []):
        given |= overlay.named("ConfigMap", source["configMapRef"]["name"])["data"]
    for each in container.get("env", []):
        given[each["name"]] = each.get("value", each.get("valueFrom"))
    return given


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector takes these labels."""
    wanted = selector.get("matchLabels", {})
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    for each in selector.get("matchExpressions", []):
        assert each["operator"] == "In"
        if labels.get(each["key"]) not in each["values"]:
            return False
    return True

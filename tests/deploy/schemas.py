"""Is an object of a cluster valid to the letter? Judged by the schema of the project that defined its kind, unknown keys refused.

Kubernetes' own kinds by its OpenAPI document. KEDA's (2.16) and the Prometheus Operator's (0.80) by models that were
generated from their custom resource definitions, and KEDA's triggers, of which its definition says nothing, by our own
schema of what its Kafka and CPU scalers read. The Gateway API's (1.0) by the schema in `vendored/`; what came later by
ours.
"""

from __future__ import annotations

import functools
import importlib
import json
from collections.abc import Mapping
from typing import Any

import jsonschema
import kubernetes_validate

from tests.deploy.places import ROOT

VERSION = "1.37"
HERE = ROOT / "tests/deploy"
GATEWAY = "gateway.networking.k8s.io/v1"
# Imported where they are needed: generated models by the hundred take seconds, which every process that collects tests
# would spend.
MODELS: Mapping[tuple[str, str], str] = {
    ("keda.sh/v1alpha1", "ScaledObject"): "cloudcoil.models.keda.v1alpha1",
    ("keda.sh/v1alpha1", "TriggerAuthentication"): "cloudcoil.models.keda.v1alpha1",
    ("monitoring.coreos.com/v1", "PodMonitor"): "cloudcoil.models.prometheus_operator.v1",
    ("monitoring.coreos.com/v1", "PrometheusRule"): "cloudcoil.models.prometheus_operator.v1",
}
# Kinds that their definition leaves open in places, or that no registry offers a definition of.
OURS = {"ScaledObject": "scaledobject.schema.json", "BackendTLSPolicy": "backendtlspolicy.schema.json"}


def validate(each: Mapping[str, Any]) -> None:
    """Raises where the object's own server would refuse it, or drop a key that it does not know."""
    kind = (each["apiVersion"], each["kind"])
    if kind in MODELS:
        jsonschema.validate(each, _of_model(*kind))
    elif kind[0] == GATEWAY and kind[1] not in OURS:
        jsonschema.Draft3Validator(_of_gateway(kind[1])).validate(each)
    elif kind[1] not in OURS:
        kubernetes_validate.validate(each, VERSION, strict=True)
    if kind[1] in OURS:
        jsonschema.validate(each, json.loads((HERE / OURS[kind[1]]).read_text()))


@functools.cache
def _of_model(version: str, kind: str) -> Any:
    model = getattr(importlib.import_module(MODELS[version, kind]), kind)
    found = model.model_json_schema(by_alias=True)
    return _closed(found)


@functools.cache
def _of_gateway(kind: str) -> Any:
    found = json.loads((HERE / "vendored/gateway-api-1.0.json").read_text())
    definitions = _closed(found["definitions"])
    return {"definitions": definitions, "$ref": f"#/definitions/kubernetes_sigs_gatewayapi_v1_{kind}"}


def _closed(schema: Any) -> Any:
    """The same schema, whose objects take no key that it does not name. Two things are put right: a flag that Python wants
    at the start of an expression, and keys that fabric8 demands although it fills them in itself."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if isinstance(closed.get("pattern"), str):
        closed["pattern"] = closed["pattern"].replace("^(?i)", "(?i)^")
    if closed.get("required") is True and "default" in closed:
        del closed["required"]
    if isinstance(closed.get("properties"), dict) and closed["properties"] and closed.get("type") == "object":
        closed["additionalProperties"] = False
    return closed

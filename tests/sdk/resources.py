"""Resources as YAML text."""

import json


def component(name, kind, **metadata):
    """A component whose metadata are texts. `scopes` and `auth` are not metadata."""
    scopes, auth = metadata.pop("scopes", None), metadata.pop("auth", None)
    resource = {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": name},
        "spec": {"type": kind, "version": "v1", "metadata": [{"name": key, "value": value} for key, value in metadata.items()]},
    }
    if scopes:
        resource["scopes"] = scopes
    if auth:
        resource["auth"] = {"secretStore": auth}
    return json.dumps(resource)  # JSON is YAML


def configuration(**spec):
    """A configuration."""
    return json.dumps({"apiVersion": "dapr.io/v1alpha1", "kind": "Configuration", "metadata": {"name": "test"}, "spec": spec})


def names_in(file):
    """Sidecars that have this in their configuration find each other in a SQLite file."""
    return {"component": "sqlite", "version": "v1", "configuration": {"connectionString": str(file)}}


def subscription(name, pubsub, topic, route, **spec):
    """A declared subscription with one route."""
    resource = {
        "apiVersion": "dapr.io/v2alpha1",
        "kind": "Subscription",
        "metadata": {"name": name},
        "spec": {"pubsubname": pubsub, "topic": topic, "routes": {"default": route}, **spec},
    }
    return json.dumps(resource)

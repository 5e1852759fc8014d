"""The brokers that tests of publish and subscribe run on."""

import pytest

from resources import component

BROKERS = ["memory", pytest.param("sqlite", marks=pytest.mark.ours_only("it has no pubsub.sqlite")), "redis"]
DURABLE = BROKERS[1:]


def broker(stage, kind, **metadata):
    """A component `pubsub` of a kind, as YAML; Redis, if it is that, is started. Redelivery begins within seconds."""
    if kind == "memory":
        return component("pubsub", "pubsub.in-memory", **metadata)
    if kind == "sqlite":
        return component("pubsub", "pubsub.sqlite", connectionString=str(stage.folder / "messages.db"), **metadata)
    redis = next((program for program in stage.programs if program.name == "redis"), None) or stage.redis()
    fast = {"processingTimeout": "2s", "redeliverInterval": "1s"}
    return component("pubsub", "pubsub.redis", redisHost=redis.host, redisPassword="", **{**fast, **metadata})

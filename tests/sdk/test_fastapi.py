"""An application of FastAPI with Dapr's extension: subscriptions, methods, and its own use of the sidecar."""

import json

import pytest

from brokers import BROKERS, broker
from processes import free_port
from resources import component
from stage import client


@pytest.fixture(scope="module", params=BROKERS)
def scene(request, shared):
    """The application and its sidecar on each broker."""
    kind, port = request.param, free_port()
    resources = [broker(shared, kind), component("store", "state.sqlite", connectionString=str(shared.folder / f"{kind}.db"))]
    sidecar = shared.sidecar(f"shop-{kind}", resources=resources, app_port=port, start=False)
    env = {"DAPR_HTTP_PORT": str(sidecar.http_port), "DAPR_GRPC_PORT": str(sidecar.grpc_port)}
    app = shared.python("fastapi_app.py", port, name=f"fastapi-{kind}", port=port, env=env)
    sidecar.start().wait_ready()
    sidecar.wait_subscribed("dead")
    return sidecar, app


@pytest.fixture(scope="module")
def caller(shared, scene):
    """Another sidecar, through which the application is called."""
    return shared.sidecar(f"caller-of-{scene[0].name}")


def test_it_is_asked_for_its_subscriptions(scene):
    """`/dapr/subscribe` of the extension is understood: topics, routes, dead letter."""
    found = {s["topic"]: s for s in scene[0].metadata()["subscriptions"]}
    assert set(found) == {"orders", "moody", "dead"}
    assert found["orders"]["rules"] == [{"path": "/orders-came"}] and found["orders"]["type"] == "PROGRAMMATIC"
    assert found["moody"]["deadLetterTopic"] == "dead"


def test_it_gets_what_is_published(scene):
    """An event reaches the decorated function."""
    sidecar, app = scene
    sidecar.publish("pubsub", "orders", {"n": 1}).raise_for_status()
    app.wait_for_json(what="order", data={"n": 1})


def test_what_it_drops_becomes_a_dead_letter(scene):
    """The status DROP sends a message to the dead letter topic; SUCCESS does not."""
    sidecar, app = scene
    sidecar.publish("pubsub", "moody", {"answer": "SUCCESS"}).raise_for_status()
    sidecar.publish("pubsub", "moody", {"answer": "DROP"}).raise_for_status()
    app.wait_for_json(what="dead", data={"answer": "DROP"})
    assert [o["data"] for o in app.json_lines() if o["what"] == "dead"] == [{"answer": "DROP"}]


def test_its_methods_are_invoked(scene, caller):
    """Over HTTP by the SDK: JSON, path, query, headers, an unusual status."""
    sidecar, _ = scene
    with client(caller) as dapr:
        assert dapr.invoke_method(sidecar.app_id, "add", json.dumps([1, 2, 3]), http_verb="POST").json() == {"sum": 6}
        answer = dapr.invoke_method(sidecar.app_id, "hello/you", http_verb="GET", http_querystring=(("a", "1"),))
        assert answer.json() == {"hello": "you", "caller": caller.app_id, "query": {"a": "1"}}
        assert {name.lower(): value for name, value in answer.headers.items()}["x-answered-by"] == ["fastapi"]
    teapot = caller.invoke(sidecar.app_id, "teapot")
    assert (teapot.status_code, teapot.json(), teapot.headers["x-kind"]) == (418, {"short": "stout"}, "teapot")


def test_it_uses_the_sidecar_while_it_is_called(scene, caller):
    """Within a method: saves state, reads it, publishes, and gets the event itself."""
    sidecar, app = scene
    assert caller.invoke(sidecar.app_id, "remember/it", json={"deep": [1]}).json() == {"deep": [1]}
    app.wait_for_json(what="order", data={"key": "it"})

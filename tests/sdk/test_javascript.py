"""Applications of the official JavaScript SDK, over HTTP and gRPC."""

import uuid

import pytest

from brokers import BROKERS, broker
from processes import free_port
from resources import component

PROTOCOLS = ["http", "grpc"]


@pytest.fixture(scope="module", params=BROKERS)
def resources(request, shared):
    """What the sidecars load, on each broker."""
    web = shared.receiver()
    return request.param, [
        broker(shared, request.param),
        component("store", "state.sqlite", connectionString=str(shared.folder / "state.db"), keyPrefix="none"),
        component("secrets", "secretstores.local.env"),
        component("web", "bindings.http", url=f"http://127.0.0.1:{web.port}"),
    ]


@pytest.fixture(scope="module", params=PROTOCOLS)
def scene(request, shared, resources):
    """The application, and its sidecar, in one protocol."""
    (kind, loaded), protocol, port = resources, request.param, free_port()
    sidecar = shared.sidecar(f"js-{kind}-{protocol}", resources=loaded, app_port=port, app_protocol=protocol, start=False, env={"JS_SECRET": "s"})
    dapr_port = sidecar.http_port if protocol == "http" else sidecar.grpc_port
    app = shared.node("app.js", port, protocol, dapr_port, name=f"app-{kind}-{protocol}", port=port)
    sidecar.start().wait_ready()
    sidecar.wait_subscribed("dead")
    app.wait_for_json(what="started")
    return sidecar, app


@pytest.fixture(scope="module")
def caller(shared, scene):
    """Another sidecar, through which the application is called."""
    return shared.sidecar(f"caller-of-{scene[0].name}")


def test_its_methods_are_invoked(scene, caller):
    """A listener of the SDK's server answers a caller that knows nothing of its protocol."""
    sidecar, _ = scene
    assert caller.invoke(sidecar.app_id, "add", json=[4, 5]).json() == {"sum": 9}
    assert caller.invoke(sidecar.app_id, "hello", "GET").json()["hello"] == "you"


def test_it_gets_what_is_published(scene):
    """The subscription's callback gets the data of the event."""
    sidecar, app = scene
    sidecar.publish("pubsub", "orders", {"n": 1}).raise_for_status()
    app.wait_for_json(what="order", data={"n": 1})


def test_what_it_drops_becomes_a_dead_letter(scene):
    """The status DROP calls the callback for dead letters."""
    sidecar, app = scene
    sidecar.publish("pubsub", "moody", {"drop": True}).raise_for_status()
    app.wait_for_json(what="dead", data={"drop": True})


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_its_client(scene, shared, protocol):
    """The SDK's client: invocation, state, publishing, secrets, bindings, metadata and health; what it published arrives."""
    sidecar, app = scene
    mark = uuid.uuid4().hex
    port = sidecar.http_port if protocol == "http" else sidecar.grpc_port
    script = shared.node("client.js", protocol, port, sidecar.app_id, mark, name=f"client-{protocol}-of-{app.name}")
    assert script.wait() == 0, script.tail()
    told = {o["what"]: o["result"] for o in script.json_lines()}
    assert told["invoked"] == {"sum": 6}
    assert told["nobody"]["failed"]
    assert told["got"] == {"n": 1}
    many = {item["key"]: item.get("data") for item in told["got many"]}
    assert (many[f"{mark}-1"], many[f"{mark}-2"]) == ({"n": 1}, "two") and not many.get(f"{mark}-9")
    assert not told["after the transaction"][0] and told["after the transaction"][1] == "four"
    assert not told["deleted"]
    assert (told["published"], told["published many"]) == ({"failed": False}, {"failed": 0})
    assert told["published nowhere"] == {"failed": True}
    assert told["secret"] == {"JS_SECRET": "s"}
    assert "/js" in str(told["called out"])
    assert told["metadata"] == {"id": sidecar.app_id}
    assert told["healthy"] is True
    app.wait_for_json(what="order", data={"mark": mark})
    for n in (1, 2, 3):
        app.wait_for_json(what="bulk", data={"mark": mark, "n": n})

"""An application of Dapr's gRPC extension: methods, subscriptions and routes over the application callback service."""

import json
from contextlib import contextmanager

import grpc
import pytest
from dapr.clients import DaprClient
from dapr.conf import settings

from brokers import BROKERS, broker
from processes import free_port, wait_until


@pytest.fixture(scope="module", params=BROKERS)
def scene(request, shared):
    """The application and its sidecar on each broker."""
    kind, port = request.param, free_port()
    app = shared.python("grpc_app.py", port, name=f"grpc-{kind}", port=port)
    flags = ["--enable-app-health-check", "--app-health-probe-interval", "1"]
    sidecar = shared.sidecar(f"shop-{kind}", resources=[broker(shared, kind)], app_port=port, app_protocol="grpc", flags=flags)
    sidecar.wait_subscribed("dead")
    return sidecar, app


@pytest.fixture(scope="module")
def caller(shared, scene):
    """Another sidecar, through which the application is called."""
    return shared.sidecar(f"caller-of-{scene[0].name}")


@contextmanager
def grpc_client(sidecar):
    """A client of the SDK that invokes over gRPC."""
    settings.DAPR_HTTP_ENDPOINT = f"http://127.0.0.1:{sidecar.http_port}"
    settings.DAPR_API_METHOD_INVOCATION_PROTOCOL = "grpc"
    try:
        with DaprClient(sidecar.address) as dapr:
            yield dapr
    finally:
        settings.DAPR_API_METHOD_INVOCATION_PROTOCOL = "http"
        settings.DAPR_HTTP_ENDPOINT = None


def test_its_methods_are_invoked_over_grpc(scene, caller):
    """`InvokeService` through two sidecars, with data, content type and metadata both ways."""
    sidecar, _ = scene
    with grpc_client(caller) as dapr:
        assert json.loads(dapr.invoke_method(sidecar.app_id, "add", "[1, 2]", content_type="application/json").data) == {"sum": 3}
        answer = dapr.invoke_method(sidecar.app_id, "echo", "text", content_type="text/plain", metadata=(("x-own", "1"),))
    seen = json.loads(answer.data)
    assert (seen["text"], seen["content_type"]) == ("text", "text/plain")
    assert "1" in seen["metadata"]["x-own"] and caller.app_id in seen["metadata"]["dapr-caller-app-id"]


def test_its_methods_are_invoked_over_http(scene, caller):
    """A caller that speaks HTTP reaches an application that speaks gRPC."""
    sidecar, _ = scene
    answer = caller.invoke(sidecar.app_id, "add", data="[3, 4]", headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()) == (200, {"sum": 7})


def test_a_method_that_it_has_not(scene, caller):
    """UNIMPLEMENTED reaches a gRPC caller as it is, an HTTP caller as 501."""
    sidecar, _ = scene
    with grpc_client(caller) as dapr, pytest.raises(grpc.RpcError) as refused:
        dapr.invoke_method(sidecar.app_id, "missing", "")
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert caller.invoke(sidecar.app_id, "missing").status_code == 501


def test_it_gets_what_is_published(scene):
    """An event reaches the decorated function with its id, type and content type."""
    sidecar, app = scene
    sidecar.publish("pubsub", "orders", {"n": 1}).raise_for_status()
    got = app.wait_for_json(what="order", data={"n": 1})
    assert got["type"] == "com.dapr.event.sent" and got["content_type"] == "application/json" and got["id"]


def test_rules_choose_the_function(scene):
    """Rules on the type and on the data, in their order; what none matches is dropped."""
    sidecar, app = scene
    for kind, legs in (("dog", 4), ("cat", 4), ("cat", 6), ("ant", 6)):
        data, override = {"kind": kind, "legs": legs}, {"metadata.cloudevent.type": kind}
        sidecar.publish("pubsub", "animals", data, params=override).raise_for_status()
    app.wait_for_json(what="cat", data={"kind": "cat", "legs": 4})
    app.wait_for_json(what="cat", data={"kind": "cat", "legs": 6})
    app.wait_for_json(what="insect", data={"kind": "ant", "legs": 6})
    assert all(o["data"]["kind"] == "ant" for o in app.json_lines() if o["what"] == "insect")


def test_what_it_drops_becomes_a_dead_letter(scene):
    """The status DROP sends a message to the dead letter topic."""
    sidecar, app = scene
    sidecar.publish("pubsub", "moody", {"n": 2}).raise_for_status()
    app.wait_for_json(what="dead", data={"n": 2})


def test_its_health_is_watched(scene, caller):
    """With health checks on, an application that is killed is noticed, and when it is back, it gets messages again."""
    sidecar, app = scene
    properties = sidecar.metadata()["appConnectionProperties"]
    assert properties["protocol"] == "grpc" and properties["health"]["healthProbeInterval"] == "1s"
    app.kill()
    try:
        wait_until(lambda: "healthy" in caller.invoke(sidecar.app_id, "add", data="[1]").text, "the sidecar knows that it is down")
    finally:
        app.start()
    wait_until(lambda: caller.invoke(sidecar.app_id, "add", data="[1]").ok, "it can be called again", every=0.2)

    def comes():
        sidecar.publish("pubsub", "orders", {"again": True}).raise_for_status()
        return any(o["what"] == "order" and "again" in o["data"] for o in app.json_lines())

    wait_until(comes, "it gets messages again", every=0.3)

"""Ours and the original beside each other: they call each other, and share a file of state. Needs `--original PATH`."""

import json

import grpc
import pytest
import requests
from google.protobuf.wrappers_pb2 import DoubleValue, StringValue

from processes import free_port, wait_until
from resources import component
from stage import client
from test_grpc_app import grpc_client

pytestmark = pytest.mark.ours_only("it is the other side here")
DIRECTIONS = [("ours", "theirs"), ("theirs", "ours")]


@pytest.fixture(scope="module")
def sidecars(shared, implementation, original, go_program):
    """Of each implementation one sidecar with an HTTP application, one with a gRPC service, and one with an application of
    the gRPC extension; all find each other by mDNS."""
    made = {}
    for side, implementation_of_side in (("ours", implementation), ("theirs", original)):
        service, callbacks = free_port(), free_port()
        shared.program(f"go-{side}", [go_program, "serve", service], service)
        shared.python("grpc_app.py", callbacks, name=f"grpc-app-{side}", port=callbacks)
        common = {"implementation": implementation_of_side, "mdns": True}
        made[side] = {
            "http": shared.sidecar(f"http-{side}", app_port=shared.receiver().port, **common),
            "service": shared.sidecar(f"service-{side}", app_port=service, app_protocol="grpc", **common),
            "callbacks": shared.sidecar(f"callbacks-{side}", app_port=callbacks, app_protocol="grpc", **common),
        }
    return made


@pytest.fixture(scope="module", params=DIRECTIONS, ids=lambda d: f"{d[0]} calls {d[1]}")
def pair(request, sidecars):
    """The sidecar that calls, and those that are called."""
    caller, called = (sidecars[side] for side in request.param)
    wait_until(lambda: caller["http"].invoke(called["http"].app_id, "x").ok, "they have found each other", 30, 0.5)
    return caller["http"], called


def test_http(pair):
    """Verb, path, query, headers, body, and the answer's body, over the internal gRPC service."""
    caller, called = pair
    with client(caller) as dapr:
        answer = dapr.invoke_method(
            called["http"].app_id,
            "orders/17",
            json.dumps({"n": 1}),
            http_verb="PUT",
            content_type="application/json",
            http_querystring=(("a", "1"),),
            metadata=(("x-own", "ü".encode().hex()),),
        )
    seen = answer.json()
    assert (seen["verb"], seen["path"], json.loads(seen["body"])) == ("PUT", "/orders/17?a=1", {"n": 1})
    assert (seen["headers"]["x-own"], seen["headers"]["dapr-caller-app-id"]) == ("c3bc", caller.app_id)


def test_large_bodies(pair):
    """3 MiB there and back, in chunks."""
    caller, called = pair
    body = "x" * (3 << 20)
    assert caller.invoke(called["http"].app_id, "large", data=body).json()["body"] == body


def test_the_trace_goes_along(pair):
    """The trace id of the caller reaches the application behind the other implementation."""
    caller, called = pair
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    seen = caller.invoke(called["http"].app_id, "traced", headers={"traceparent": parent}).json()
    assert seen["headers"]["traceparent"].split("-")[1] == parent.split("-")[1]


def test_invocation_over_grpc(pair):
    """`InvokeService` to an application of the gRPC extension, and the crossing from HTTP to it."""
    caller, called = pair
    target = called["callbacks"].app_id
    with grpc_client(caller) as dapr:
        assert json.loads(dapr.invoke_method(target, "add", "[1, 2]", content_type="application/json").data) == {"sum": 3}
        with pytest.raises(grpc.RpcError) as refused:
            dapr.invoke_method(target, "missing", "")
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert caller.invoke(target, "add", data="[3, 4]", headers={"content-type": "application/json"}).json() == {"sum": 7}


def test_proxied_grpc(pair):
    """A service that neither knows: unary, all streams, an error."""
    caller, called = pair
    metadata = (("dapr-app-id", called["service"].app_id),)
    with grpc.insecure_channel(caller.address) as channel:

        def method(kind, name):
            return getattr(channel, kind)(f"/shop.Prices/{name}", StringValue.SerializeToString, DoubleValue.FromString)

        apple, plums = StringValue(value="apple"), [StringValue(value="plum")] * 100
        assert method("unary_unary", "Get")(apple, metadata=metadata, timeout=30).value == 0.5
        assert [p.value for p in method("unary_stream", "List")(StringValue(value="pear plum"), metadata=metadata, timeout=30)] == [0.75, 0.25]
        assert method("stream_unary", "Total")(iter(plums), metadata=metadata, timeout=30).value == 25.0
        assert [p.value for p in method("stream_stream", "Quote")(iter(plums), metadata=metadata, timeout=30)] == [0.25] * 100
        with pytest.raises(grpc.RpcError) as refused:
            method("unary_unary", "Get")(StringValue(value="unicorn"), metadata=metadata, timeout=30)
    assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.NOT_FOUND, "we do not sell unicorn")


def test_one_file_of_state(stage, implementation, original):
    """Both have the same state.sqlite file open: each reads, guards by ETag, expires and deletes what the other wrote."""
    store = [component("store", "state.sqlite", connectionString=str(stage.folder / "state.db"), keyPrefix="none")]
    ours = stage.sidecar("ours", resources=store)
    theirs = stage.sidecar("theirs", implementation=original, resources=store)
    values = {"number": 1.5, "text": "ü☃", "list": [1, None, {"a": []}], "nothing": None}
    for writer, reader, name in ((ours, theirs, "a"), (theirs, ours, "b")):
        url = f"{reader.url}/state/store"
        requests.post(f"{writer.url}/state/store", json=[{"key": f"{name}-{k}", "value": v} for k, v in values.items()]).raise_for_status()
        for key, value in values.items():
            assert requests.get(f"{url}/{name}-{key}").json() == value, (writer.name, key)
        etag = requests.get(f"{url}/{name}-text").headers["ETag"]
        brief = {"key": f"{name}-brief", "value": 1, "metadata": {"ttlInSeconds": "1"}}
        requests.post(f"{writer.url}/state/store", json=[{"key": f"{name}-text", "value": "changed"}, brief]).raise_for_status()
        stale = requests.post(url, json=[{"key": f"{name}-text", "value": "lost", "etag": etag}])
        assert stale.status_code == 409
        wait_until(lambda: requests.get(f"{url}/{name}-brief").status_code == 204, "what is brief is gone", 10, 0.2)  # noqa: B023
        with client(reader) as dapr:
            dapr.save_state("store", f"{name}-bytes", bytes(range(256)), state_metadata={"contentType": "application/octet-stream"})
        with client(writer) as dapr:
            assert dapr.get_state("store", f"{name}-bytes").data == bytes(range(256))
        requests.delete(f"{url}/{name}-number").raise_for_status()
        assert requests.get(f"{writer.url}/state/store/{name}-number").status_code == 204


def test_one_redis(stage, implementation, original):
    """A message that one publishes to Redis reaches an application of the other, and their state is the same."""
    from brokers import broker
    from receiver import subscribe

    resources = [broker(stage, "redis")]
    redis = next(program for program in stage.programs if program.name == "redis")
    resources.append(component("store", "state.redis", redisHost=redis.host, redisPassword="", keyPrefix="none"))
    sides = {}
    for name, of in (("ours", implementation), ("theirs", original)):
        app = stage.receiver([subscribe("pubsub", "news", "news")])
        sidecar = stage.sidecar(name, implementation=of, resources=resources, app_port=app.port)
        sidecar.wait_subscribed("news")
        sides[name] = sidecar, app
    for name, (sidecar, _) in sides.items():
        sidecar.publish("pubsub", "news", {"from": name}).raise_for_status()
        requests.post(f"{sidecar.url}/state/store", json=[{"key": name, "value": {"by": name}}]).raise_for_status()
    for _, app in sides.values():
        assert sorted(e["data"]["from"] for e in app.wait_for("news", 2)) == ["ours", "theirs"]
    for sidecar, _ in sides.values():
        for name in sides:
            assert requests.get(f"{sidecar.url}/state/store/{name}").json() == {"by": name}

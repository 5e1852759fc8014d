"""Service invocation between two sidecars: HTTP with the Python SDK and by hand."""

import json
import threading

import pytest
import requests

from processes import wait_until
from stage import client, error_code


@pytest.fixture(scope="module")
def callee(shared):
    """A sidecar whose application answers with what it got."""
    return shared.sidecar("callee", app_port=shared.receiver().port)


@pytest.fixture(scope="module")
def caller(shared, callee):
    """A sidecar without an application."""
    return shared.sidecar("caller")


def test_the_sdk_invokes(caller, callee):
    """`invoke_method` over HTTP: verb, body, query and headers arrive, status and headers come back."""
    with client(caller) as dapr:
        answer = dapr.invoke_method(
            callee.app_id,
            "orders/17",
            data=json.dumps({"n": 1}),
            content_type="application/json",
            http_verb="PUT",
            http_querystring=(("colour", "red"), ("size", "a b")),
            metadata=(("x-own", "1"),),
        )
    seen = answer.json()
    assert answer.status_code == 200 and answer.content_type == "application/json"
    assert (seen["verb"], seen["path"], json.loads(seen["body"])) == ("PUT", "/orders/17?colour=red&size=a+b", {"n": 1})
    assert seen["headers"]["x-own"] == "1" and seen["headers"]["content-type"] == "application/json"
    assert seen["headers"]["dapr-caller-app-id"] == caller.app_id


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "DELETE", "PATCH"])
def test_every_verb(caller, callee, verb):
    """The verb reaches the application."""
    assert caller.invoke(callee.app_id, "anything", verb).json()["verb"] == verb


def test_other_forms_of_the_same_call(caller, callee):
    """The header `dapr-app-id`, and the id as the user of the URL."""
    by_header = requests.get(f"http://127.0.0.1:{caller.http_port}/some/path", headers={"dapr-app-id": callee.app_id})
    assert by_header.json()["path"] == "/some/path"
    by_user = requests.get(f"http://dapr-app-id:{callee.app_id}@127.0.0.1:{caller.http_port}/other/path")
    assert by_user.json()["path"] == "/other/path"


def test_an_application_calls_itself(callee):
    """Invocation of one's own id stays in the sidecar."""
    assert callee.invoke(callee.app_id, "mine").json()["path"] == "/mine"


def test_an_application_that_is_not_there(caller):
    """500 with ERR_DIRECT_INVOKE."""
    answer = caller.invoke("nobody-of-this-name", "x")
    assert (answer.status_code, error_code(answer)) == (500, "ERR_DIRECT_INVOKE")


def test_large_bodies(caller, callee):
    """3 MiB there and back."""
    body = "x" * (3 << 20)
    assert caller.invoke(callee.app_id, "large", data=body).json()["body"] == body


def test_calls_do_not_wait_for_each_other(caller, callee):
    """Twenty at the same time, each with its own answer."""
    answers = {}

    def call(n):
        answers[n] = caller.invoke(callee.app_id, f"n/{n}", "GET").json()["path"]

    threads = [threading.Thread(target=call, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert answers == {n: f"/n/{n}" for n in range(20)}


def test_the_trace_goes_along(caller, callee):
    """A traceparent of the caller's keeps its trace id up to the application."""
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    seen = caller.invoke(callee.app_id, "traced", headers={"traceparent": parent}).json()
    assert seen["headers"]["traceparent"].split("-")[1] == parent.split("-")[1]


def test_an_application_that_comes_back_elsewhere_is_found(stage):
    """The callee's sidecar is killed and comes back on another port."""
    app = stage.receiver()
    first = stage.sidecar("mover", app_port=app.port)
    caller = stage.sidecar("asker")
    assert caller.invoke(first.app_id, "x").ok
    first.kill()
    stage.sidecar("mover-again", app_id=first.app_id, app_port=app.port)
    wait_until(lambda: caller.invoke(first.app_id, "x").ok, "the new place is found", 30, 0.5)


def test_an_http_endpoint_by_name(stage):
    """An HTTPEndpoint resource is invoked by its name; a full URL works, too."""
    app = stage.receiver()
    endpoint = {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "HTTPEndpoint",
        "metadata": {"name": "outside"},
        "spec": {"baseUrl": f"http://127.0.0.1:{app.port}", "headers": [{"name": "X-Key", "value": "secret"}]},
    }
    sidecar = stage.sidecar("caller", resources=[json.dumps(endpoint)])
    seen = sidecar.invoke("outside", "a/b", "GET").json()
    assert (seen["path"], seen["headers"]["x-key"]) == ("/a/b", "secret")
    assert sidecar.invoke(f"http://127.0.0.1:{app.port}", "direct", "GET").json()["path"] == "/direct"

"""Publish and subscribe over HTTP and with the Python SDK, on three brokers."""

import json
import uuid

import pytest
import requests
from dapr.clients.exceptions import DaprGrpcError

from brokers import BROKERS, DURABLE, broker
from processes import wait_until
from receiver import subscribe
from resources import component, subscription
from stage import client, error_code


@pytest.fixture(scope="module", params=BROKERS)
def scene(request, shared, tmp_path_factory):
    """A sidecar whose application subscribes to topics, on each broker."""
    kind = request.param
    app = shared.receiver(
        [
            subscribe("pubsub", "plain", "plain"),
            subscribe("pubsub", "raw", "raw", metadata={"rawPayload": "true"}),
            subscribe("pubsub", "bulk", "bulk"),
            subscribe("pubsub", "failing", "failing", deadLetterTopic="dead"),
            subscribe("pubsub", "dead", "dead"),
            {
                "pubsubname": "pubsub",
                "topic": "routed",
                "routes": {"rules": [{"match": 'event.type == "big"', "path": "/on/big"}], "default": "/on/small"},
            },
        ]
    )
    resources = [
        broker(shared, kind),
        subscription("declared", "pubsub", "declared", "/on/declared"),
        # Where it is retried, a message is given up after a moment, so that it becomes a dead letter.
        json.dumps(
            {
                "apiVersion": "dapr.io/v1alpha1",
                "kind": "Resiliency",
                "metadata": {"name": "resiliency"},
                "spec": {
                    "policies": {"retries": {"twice": {"policy": "constant", "duration": "50ms", "maxRetries": 2}}},
                    "targets": {"components": {"pubsub": {"inbound": {"retry": "twice"}}}},
                },
            }
        ),
    ]
    sidecar = shared.sidecar(f"news-{kind}", resources=resources, app_port=app.port)
    sidecar.wait_subscribed("routed")
    sidecar.wait_subscribed("declared")
    return sidecar, app


def arrived(app, route, mark, timeout=30):
    """The one event of a route whose data has this mark."""

    def find():
        return [e for e in app.of(route) if mark in json.dumps(e)]

    return wait_until(find, f"the event {mark} at {route}", timeout)[0]


def test_json_arrives_in_a_cloudevent(scene):
    """What is published as JSON comes as the data of a CloudEvent 1.0 with all fields."""
    sidecar, app = scene
    mark = uuid.uuid4().hex
    assert sidecar.publish("pubsub", "plain", {"mark": mark, "n": [1, 2.5, None]}).status_code == 204
    event = arrived(app, "plain", mark)
    assert event["data"] == {"mark": mark, "n": [1, 2.5, None]}
    expected = {"specversion": "1.0", "datacontenttype": "application/json", "pubsubname": "pubsub", "topic": "plain"}
    assert {k: event[k] for k in expected} == expected
    assert event["source"] == sidecar.app_id and event["type"] == "com.dapr.event.sent" and event["id"]


def test_a_cloudevent_is_passed_on(scene):
    """What is a CloudEvent already keeps its id, type, source and own fields."""
    sidecar, app = scene
    mark = uuid.uuid4().hex
    event = {"specversion": "1.0", "id": mark, "source": "shop", "type": "order.placed", "data": {"n": 1}, "colour": "red"}
    headers = {"content-type": "application/cloudevents+json"}
    assert sidecar.publish("pubsub", "plain", data=None, headers=headers, json=event).status_code == 204
    got = arrived(app, "plain", mark)
    assert {k: got[k] for k in event} == event


def test_text_and_raw_payloads(scene):
    """Text stays text; a raw payload is not wrapped on its way, so its subscriber gets it as bytes."""
    sidecar, app = scene
    mark = uuid.uuid4().hex
    url = f"{sidecar.url}/publish/pubsub"
    assert requests.post(f"{url}/plain", data=f"text {mark}", headers={"content-type": "text/plain"}).status_code == 204
    event = arrived(app, "plain", mark)
    assert (event["data"], event["datacontenttype"]) == (f"text {mark}", "text/plain")
    before = len(app.of("raw"))
    assert requests.post(f"{url}/raw?metadata.rawPayload=true", data=b'{"raw":1}').status_code == 204
    assert app.wait_for("raw", before + 1)[-1]["data_base64"] == "eyJyYXciOjF9"


def test_the_python_sdk_publishes(scene):
    """`publish_event` with JSON, and with metadata that overrides fields of the event."""
    sidecar, app = scene
    mark = uuid.uuid4().hex
    with client(sidecar) as dapr:
        metadata = {"cloudevent.type": "special", "cloudevent.source": "sdk"}
        dapr.publish_event("pubsub", "plain", json.dumps({"mark": mark}), data_content_type="application/json", publish_metadata=metadata)
    event = arrived(app, "plain", mark)
    assert (event["data"], event["type"], event["source"]) == ({"mark": mark}, "special", "sdk")


def test_many_at_once(scene):
    """Bulk publish with the SDK and over HTTP: every entry arrives as an event of its own."""
    sidecar, app = scene
    before = len(app.of("bulk"))
    with client(sidecar) as dapr:
        answer = dapr.publish_events("pubsub", "bulk", [json.dumps({"n": n}) for n in range(20)], data_content_type="application/json")
        assert not answer.failed_entries
    entries = [{"entryId": str(n), "event": {"n": 100 + n}, "contentType": "application/json"} for n in range(20)]
    assert requests.post(f"http://127.0.0.1:{sidecar.http_port}/v1.0-alpha1/publish/bulk/pubsub/bulk", json=entries).status_code == 204
    got = sorted(e["data"]["n"] for e in app.wait_for("bulk", before + 40)[before:])
    assert got == [*range(20), *range(100, 120)]


def test_rules_choose_the_route(scene):
    """A CEL rule on the event's type; what it does not match goes the default way."""
    sidecar, app = scene
    mark = uuid.uuid4().hex
    for kind in ("big", "other"):
        sidecar.publish("pubsub", "routed", {"mark": f"{kind}-{mark}"}, params={"metadata.cloudevent.type": kind}).raise_for_status()
    arrived(app, "big", f"big-{mark}")
    arrived(app, "small", f"other-{mark}")


def test_a_declared_subscription(scene):
    """A Subscription resource works without a word of the application."""
    sidecar, app = scene
    mark = uuid.uuid4().hex
    sidecar.publish("pubsub", "declared", {"mark": mark}).raise_for_status()
    arrived(app, "declared", mark)


def test_what_is_refused_for_good_becomes_a_dead_letter(scene):
    """The application answers 500, retries are used up, and the dead letter topic gets the event."""
    sidecar, app = scene
    mark = uuid.uuid4().hex
    refusals = []
    app.answer = lambda route, event: refusals.append(1) or 500 if route == "failing" else 200
    try:
        sidecar.publish("pubsub", "failing", {"mark": mark}).raise_for_status()
        assert arrived(app, "dead", mark)["data"] == {"mark": mark}
    finally:
        app.answer = None
    assert len(refusals) >= 2


def test_what_cannot_be_published(scene):
    """An unknown component is 404 over HTTP and an error in the SDK."""
    sidecar, _ = scene
    missing = sidecar.publish("nowhere", "plain", {})
    assert (missing.status_code, error_code(missing)) == (404, "ERR_PUBSUB_NOT_FOUND")
    with client(sidecar) as dapr, pytest.raises(DaprGrpcError):
        dapr.publish_event("nowhere", "plain", "{}")


@pytest.mark.parametrize("kind", DURABLE)
def test_each_application_gets_each_message_and_its_replicas_share(stage, kind):
    """Two applications get all messages; two sidecars of one application get each message once between them."""
    resources = [broker(stage, kind)]
    apps = {name: stage.receiver([subscribe("pubsub", "numbers", "numbers")]) for name in ("one", "two-a", "two-b")}
    one = stage.sidecar("one", resources=resources, app_port=apps["one"].port)
    two = stage.sidecar("two-a", resources=resources, app_port=apps["two-a"].port)
    twin = stage.sidecar("two-b", app_id=two.app_id, resources=resources, app_port=apps["two-b"].port)
    for sidecar in (one, two, twin):
        sidecar.wait_subscribed("numbers")
    for n in range(200):
        one.publish("pubsub", "numbers", n).raise_for_status()
    apps["one"].wait_for("numbers", 200)
    wait_until(lambda: len(apps["two-a"].of("numbers")) + len(apps["two-b"].of("numbers")) >= 200, "the replicas have got all")
    assert sorted(e["data"] for e in apps["one"].of("numbers")) == list(range(200))
    assert sorted(e["data"] for name in ("two-a", "two-b") for e in apps[name].of("numbers")) == list(range(200))


def test_topics_that_an_application_may_not_use(stage):
    """`publishingScopes` refuses with 403; the allowed topic works."""
    scopes = {"allowedTopics": "open,closed", "publishingScopes": "news=open"}
    sidecar = stage.sidecar("news", app_id="news", resources=[component("pubsub", "pubsub.in-memory", **scopes)])
    assert sidecar.publish("pubsub", "open", {}).status_code == 204
    refused = sidecar.publish("pubsub", "closed", {})
    assert (refused.status_code, error_code(refused)) == (403, "ERR_PUBSUB_FORBIDDEN")

"""Streaming subscriptions of the Python SDK: an application without a port subscribes over its own call."""

import json
import threading

import pytest
from dapr.clients.grpc._response import TopicEventResponse

from brokers import BROKERS, broker
from processes import wait_until
from stage import client


@pytest.fixture(scope="module", params=BROKERS)
def sidecar(request, shared):
    """A sidecar without an application."""
    return shared.sidecar(f"stream-{request.param}", resources=[broker(shared, request.param)])


def publish(sidecar, topic, count):
    """Publishes numbers from another thread: in memory, a publisher may wait for the subscriber."""

    def run():
        for n in range(count):
            sidecar.publish("pubsub", topic, {"n": n}).raise_for_status()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def standing(sidecar, topic, subscribe, close=lambda subscription: subscription.close()):
    """A subscription that stands. The SDK's request stream ends by itself when its thread looks whether the stream is active
    before the call has said so; then it is made again."""
    for last in (False, False, False, True):
        made = subscribe()
        try:
            sidecar.wait_subscribed(topic, 30 if last else 3)
            return made
        except AssertionError:
            if last:
                raise
            close(made)


def end(close):
    """Ends a subscription with a handler."""
    close()


def test_messages_are_taken_one_by_one(sidecar):
    """`subscribe` is iterated over, and each message is answered."""
    with client(sidecar) as dapr:
        subscription = standing(sidecar, "one-by-one", lambda: dapr.subscribe("pubsub", "one-by-one"))
        publisher = publish(sidecar, "one-by-one", 20)
        got = []
        while len(got) < 20:
            message = subscription.next_message()
            got.append(message.data()["n"])
            assert message.topic() == "one-by-one" and message.source() == sidecar.app_id
            subscription.respond_success(message)
        publisher.join(10)
        subscription.close()
    assert sorted(got) == list(range(20))


def test_a_handler_is_called(sidecar):
    """`subscribe_with_handler` runs the handler for each message until it is closed."""
    got = []

    def handle(message):
        got.append(message.data()["n"])
        return TopicEventResponse("success")

    with client(sidecar) as dapr:
        close = standing(sidecar, "handled", lambda: dapr.subscribe_with_handler("pubsub", "handled", handle), end)
        try:
            publish(sidecar, "handled", 50).join(20)
            wait_until(lambda: len(got) >= 50, "the handler was called for all")
        finally:
            close()
    assert sorted(got) == list(range(50))


def test_what_is_dropped_becomes_a_dead_letter(sidecar):
    """A message that the application drops reaches the dead letter topic."""
    dropped, dead = [], []

    def drop(message):
        dropped.append(message.data()["n"])
        return TopicEventResponse("drop")

    def bury(message):
        dead.append(message.data()["n"])
        return TopicEventResponse("success")

    with client(sidecar) as dapr:
        closes = [standing(sidecar, "graveyard", lambda: dapr.subscribe_with_handler("pubsub", "graveyard", bury), end)]
        try:
            unwanted = lambda: dapr.subscribe_with_handler("pubsub", "unwanted", drop, dead_letter_topic="graveyard")  # noqa: E731
            closes.append(standing(sidecar, "unwanted", unwanted, end))
            publish(sidecar, "unwanted", 3).join(20)
            wait_until(lambda: len(dead) >= 3, "all dead letters")
        finally:
            for close in closes:
                close()
    assert sorted(dead) == sorted(dropped) == [0, 1, 2]


def test_two_streams_of_one_sidecar_do_not_mix(sidecar):
    """Subscriptions to different topics over one sidecar get their own messages, also bulk published ones."""
    got = {"left": [], "right": []}

    def handler(name):
        def handle(message):
            got[name].append(message.data()["n"])
            return TopicEventResponse("success")

        return handle

    with client(sidecar) as dapr:
        closes = [standing(sidecar, name, lambda: dapr.subscribe_with_handler("pubsub", name, handler(name)), end) for name in got]  # noqa: B023
        try:
            for start, name in ((0, "left"), (100, "right")):
                events = [json.dumps({"n": start + n}) for n in range(10)]
                assert not dapr.publish_events("pubsub", name, events, data_content_type="application/json").failed_entries
            wait_until(lambda: all(len(numbers) >= 10 for numbers in got.values()), "both have all")
        finally:
            for close in closes:
                close()
    assert {name: sorted(numbers) for name, numbers in got.items()} == {"left": list(range(10)), "right": list(range(100, 110))}


def test_a_subscription_ends_with_its_stream(sidecar):
    """When the application closes its stream, the sidecar forgets the subscription."""
    with client(sidecar) as dapr:
        subscription = standing(sidecar, "brief", lambda: dapr.subscribe("pubsub", "brief"))
        subscription.close()
        wait_until(lambda: all(s["topic"] != "brief" for s in sidecar.metadata().get("subscriptions") or ()), "the subscription is gone")

"""Crashes in mid-traffic: what was acknowledged is delivered. `OUTRIGGER_LONG=1` for 20,000 messages and ten crashes each."""

import signal
import time

import pytest
import requests

from brokers import DURABLE, broker
from processes import wait_until
from receiver import subscribe
from resources import component
from traffic import LONG, Traffic

COUNT, CRASHES, PAUSE = (20_000, 10, 10) if LONG else (2_000, 4, 2)


class Scene:
    """A publishing sidecar without an application, and a subscribing one with an application that keeps what it gets."""

    def __init__(self, stage, kind):
        self.kind = kind
        resources = [broker(stage, kind)]
        self.app = stage.receiver([subscribe("pubsub", "numbers", "numbers")])
        self.publisher = stage.sidecar("publisher", resources=resources)
        self.subscriber = stage.sidecar("subscriber", resources=resources, app_port=self.app.port)
        self.subscriber.wait_subscribed("numbers")
        self.redis = next((program for program in stage.programs if program.name == "redis"), None)


@pytest.fixture(params=DURABLE)
def scene(request, stage):
    """The scene on each broker that keeps messages."""
    return Scene(stage, request.param)


@pytest.mark.parametrize("victim", ["subscriber", "publisher"])
def test_a_sidecar_that_crashes(scene, victim, request):
    """`kill -9` of a sidecar again and again; it comes back each time. Duplicates are counted, and few."""
    sidecar = getattr(scene, victim)
    traffic = Traffic(scene.publisher, COUNT).start()
    for crash in range(CRASHES):
        traffic.wait_for_share((crash + 1) / (CRASHES + 1))
        sidecar.kill()
        sidecar.start().wait_ready()
    traffic.finish()
    duplicates = traffic.settle(scene.app, request.node.name)
    assert duplicates < COUNT / 4


def test_an_application_that_is_away(scene, request, implementation):
    """The application refuses connections for some seconds; its messages wait for it."""
    if scene.kind == "redis" and not implementation.ours:
        pytest.skip("not for the original: its Redis broker takes a message for done when the application is away")
    traffic = Traffic(scene.publisher, COUNT).start()
    traffic.wait_for_share(0.2)
    scene.app.close()
    time.sleep(5 if LONG else 2)
    scene.app.open()
    traffic.finish()
    traffic.settle(scene.app, request.node.name)


def test_an_application_that_refuses_now_and_then(scene, request, implementation):
    """Each tenth answer is 500: the message comes again."""
    if scene.kind == "redis" and not implementation.ours:
        pytest.skip("not for the original: its Redis broker takes a message for done when the application refuses it")
    answers = iter(range(10**9))
    scene.app.answer = lambda route, event: 500 if next(answers) % 10 == 0 else 200
    traffic = Traffic(scene.publisher, COUNT // 4).start()
    traffic.finish()
    traffic.settle(scene.app, request.node.name)


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_redis_that_is_gone(stage, request, how):
    """Redis is killed, or stops answering, for some seconds in mid-traffic, and comes back with its file."""
    scene = Scene(stage, "redis")
    traffic = Traffic(scene.publisher, COUNT).start()
    traffic.wait_for_share(0.3)
    if how == "killed":
        scene.redis.kill()
        time.sleep(PAUSE)
        scene.redis.start()
    else:
        scene.redis.signal(signal.SIGSTOP)
        time.sleep(PAUSE)
        scene.redis.signal(signal.SIGCONT)
    traffic.finish()
    traffic.settle(scene.app, f"{request.node.name} for {PAUSE} s")


def test_state_while_redis_is_gone(stage):
    """state.redis fails with an error while Redis is away, works again after, and has all that was acknowledged."""
    redis = stage.redis()
    sidecar = stage.sidecar("keeper", resources=[component("store", "state.redis", redisHost=redis.host, redisPassword="")])
    url = f"{sidecar.url}/state/store"
    saved, refused = set(), 0

    def save(number):
        try:
            return requests.post(url, json=[{"key": str(number), "value": number}], timeout=30).status_code == 204
        except requests.Timeout:
            return False

    for number in range(150):
        if number == 50:
            redis.kill()
        if number == 55:
            redis.start()
            wait_until(lambda: save("again"), "state can be saved again", 60, 0.2)
        if save(number):
            saved.add(number)
        else:
            refused += 1
    assert refused >= 3 and saved >= set(range(50)) | set(range(60, 150))
    assert all(requests.get(f"{url}/{number}").json() == number for number in saved)

"""A stream of numbered messages, of which every acknowledged one has to arrive."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import requests

# What the tests have counted, for the end of the run.
FIGURES = []
LONG = bool(os.environ.get("OUTRIGGER_LONG"))


class Traffic:
    """Publishes numbers from several threads, each until it is acknowledged.

    A number whose publishing failed is published again: it may come twice, but what was acknowledged has to come.
    """

    def __init__(self, sidecar, count, threads=4, topic="numbers"):
        self.sidecar = sidecar
        self.count = count
        self.threads = threads
        self.topic = topic
        self.acknowledged = set()
        self.repeated = 0
        self.lock = threading.Lock()
        self.pool = ThreadPoolExecutor(threads)
        self.results = []

    def start(self):
        """Begins."""
        self.results = [self.pool.submit(self._publish, range(n, self.count, self.threads)) for n in range(self.threads)]
        return self

    def _publish(self, numbers):
        session = requests.Session()
        url = f"{self.sidecar.url}/publish/pubsub/{self.topic}"
        for number in numbers:
            end = time.monotonic() + 60
            while True:
                try:
                    if session.post(url, json=number, timeout=30).status_code == 204:
                        break
                except requests.RequestException:
                    pass
                if time.monotonic() > end:
                    raise AssertionError(f"{number} was not acknowledged within a minute")
                with self.lock:
                    self.repeated += 1
                time.sleep(0.1)
            with self.lock:
                self.acknowledged.add(number)

    def wait_for_share(self, share, timeout=600):
        """Waits until so great a share is acknowledged."""
        end = time.monotonic() + timeout
        while len(self.acknowledged) < share * self.count:
            for result in self.results:
                if result.done():
                    result.result()
            assert time.monotonic() < end, f"only {len(self.acknowledged)} of {self.count} were acknowledged"
            time.sleep(0.01)

    def finish(self, timeout=600):
        """Waits for the last acknowledgement."""
        for result in self.results:
            result.result(timeout)
        self.pool.shutdown()

    def settle(self, app, what, route="numbers", timeout=90):
        """Waits until all that was acknowledged has come; notes the figures, and gives how many came again."""
        end = time.monotonic() + timeout
        while True:
            counts = app.counts(route)
            lost = [n for n in self.acknowledged if str(n) not in counts]
            if not lost or time.monotonic() > end:
                break
            time.sleep(0.2)
        came, again = len(counts), sum(counts.values()) - len(counts)
        FIGURES.append(
            f"{what}: {len(self.acknowledged)} acknowledged, {came} delivered, {len(lost)} lost, {again} duplicates,"
            f" {self.repeated} published again"
        )
        assert not lost, f"{len(lost)} acknowledged messages were not delivered, such as {sorted(lost)[:5]}"
        return again

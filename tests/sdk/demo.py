"""Starts the shop of `examples/demo` with our executable, uses it as a customer would, and says what each step shows.

    demo.py OUTRIGGER
"""

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import requests
import yaml

from processes import Program, free_port, listens, wait_until

HERE = Path(__file__).resolve().parent
SHOP = HERE.parent.parent / "examples" / "demo"
COLOUR = sys.stdout.isatty()


def say(mark, text):
    """Prints a step with its mark: whether it worked."""
    sign, colour = ("✓", 32) if mark else ("✗", 31)
    print(f"  \033[{colour}m{sign}\033[0m {text}" if COLOUR else f"  {sign} {text}", flush=True)


class Shop:
    """A copy of the shop in a temporary folder, on free ports."""

    def __init__(self, outrigger, folder):
        self.outrigger = outrigger
        self.folder = Path(folder) / "shop"
        shutil.copytree(SHOP, self.folder, ignore=shutil.ignore_patterns("node_modules", "data", ".dapr"))
        template = yaml.safe_load((self.folder / "dapr.yaml").read_text())
        self.ports = {}
        for app in template["apps"]:
            for port in ("appPort", "daprHTTPPort", "daprGRPCPort", "daprInternalGRPCPort", "metricsPort"):
                app[port] = free_port()
            self.ports[app["appID"]] = app
        (self.folder / "dapr.yaml").write_text(yaml.safe_dump(template, sort_keys=False))
        self.env = {
            # The Python that runs this, and the packages that the tests have installed.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "NODE_PATH": str(HERE / "js" / "node_modules"),
            "DAPR_HOST_IP": "127.0.0.1",
        }
        command = [outrigger, "dapr", "run", "-f", "dapr.yaml"]
        self.programs = [Program("dapr run", command, folder, self.env, self.folder)]

    def start(self):
        """`dapr run -f dapr.yaml`, and the wait for the sidecars and their applications."""
        for program in self.programs:
            program.start()
        for name in self.ports:
            url = f"{self.url(name)}/healthz"
            wait_until(lambda: requests.get(url, timeout=2).ok, f"{name} is up", 300, 0.2, self.programs)  # noqa: B023
        for name, topic in (("orders", "orders.shipped"), ("shipping", "orders.placed")):
            wait_until(lambda: topic in self.topics(name), f"{name} has subscribed", 30, 0.2, self.programs)  # noqa: B023

    def topics(self, name):
        """What an application has subscribed to."""
        return [s["topic"] for s in requests.get(f"{self.url(name)}/metadata", timeout=5).json().get("subscriptions") or ()]

    def url(self, name):
        """The HTTP API of an application's sidecar."""
        return f"http://127.0.0.1:{self.ports[name]['daprHTTPPort']}/v1.0"

    def cli(self, *arguments, code=0):
        """What a command of the command line prints. Its exit code is to be this one, if any."""
        program = Program("dapr " + " ".join(arguments[:2]), [self.outrigger, "dapr", *arguments], self.folder, self.env, self.folder)
        ended = program.start().wait(30)
        assert code in (None, ended), f"dapr {' '.join(arguments)} ended with {ended}\n{program.tail()}"
        return program.output()

    def place(self, through, item, count, **more):
        """Places an order, by invocation through somebody's sidecar."""
        order = {"item": item, "count": count, **more}
        return requests.post(f"{self.url(through)}/invoke/orders/method/orders", json=order, timeout=30)

    def order(self, order_id):
        """An order as it is now."""
        return requests.get(f"{self.url('shipping')}/invoke/orders/method/orders/{order_id}", timeout=30).json()

    def shipped(self, order_id):
        """The order once it was shipped."""
        return wait_until(lambda: (order := self.order(order_id))["status"] == "shipped" and order, f"order {order_id} is shipped", 30)

    def stop(self):
        """Ctrl-C, and the wait until all programs are gone."""
        for program in self.programs:
            program.signal(signal.SIGINT)
        for program in self.programs:
            program.wait(60)

        def gone(port):
            try:
                return not listens(port)
            except OSError:
                return True

        ports = [app[kind] for app in self.ports.values() for kind in ("appPort", "daprHTTPPort", "daprGRPCPort")]
        wait_until(lambda: all(gone(port) for port in ports), "all programs have ended", 15, 0.2)


def show(shop):
    """The steps, each with what it shows."""
    listed = {app["appId"] for app in json.loads(shop.cli("list", "--output", "json"))}
    assert listed >= set(shop.ports), listed
    say(True, "three applications (Python, JavaScript, Go) are up, each with a sidecar: " + ", ".join(sorted(shop.ports)))

    placed = shop.place("shipping", "rope", 2).json()
    assert placed["amount"] == 24.5, placed
    say(True, f"invocation: an order placed through another sidecar reached orders; it costs {placed['amount']}, as the gRPC service in Go said through two sidecars")

    shipped = shop.shipped(placed["id"])
    say(True, f"publish and subscribe: shipping heard of it, asked orders for it, and told that it has shipped {shipped['parcel']}")

    refused = shop.place("prices", "unicorn", 1)
    assert refused.status_code == 404 and "unicorn" in refused.text, refused.text
    say(True, f"errors come through as they are: {refused.json()['detail']}")

    cheaper = shop.place("prices", "sail", 1, coupon="ahoy").json()
    assert cheaper["amount"] == 216.0, cheaper
    say(True, f"secrets: who knows the coupon pays {cheaper['amount']} instead of 240; only orders may read it")
    forbidden = requests.get(f"{shop.url('shipping')}/secrets/secrets/coupon", timeout=10)
    assert not forbidden.ok, forbidden.text

    began = time.monotonic()
    orders = [shop.place("shipping", "anchor", n + 1).json()["id"] for n in range(50)]
    for order_id in orders:
        shop.shipped(order_id)
    say(True, f"fifty orders more, all shipped, in {time.monotonic() - began:.1f} s")

    said = shop.cli("invoke", "--app-id", "shipping", "--method", "parcels", "--verb", "GET")
    assert "parcels" in said, said
    say(True, "the command line invokes, too: shipping says " + next(line for line in said.splitlines() if "parcels" in line))

    metrics = requests.get(f"http://127.0.0.1:{shop.ports['orders']['metricsPort']}/metrics", timeout=10).text
    saved = sum(float(line.rsplit(" ", 1)[1]) for line in metrics.splitlines() if line.startswith("dapr_component_state_count{") and 'operation="set"' in line)
    assert saved >= 104, saved
    say(True, f"metrics: the sidecar of orders has counted {saved:.0f} writes to its store")

    data = sorted(file.name for file in (shop.folder / "data").glob("*.db"))
    assert len(data) == 3, data
    say(True, "nothing had to be installed for it: state, messages and names are in the files " + ", ".join(data))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    outrigger = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="outrigger-demo-") as folder:
        shop = Shop(outrigger, folder)
        print("A small shop in three languages: dapr run -f examples/demo/dapr.yaml", flush=True)
        try:
            shop.start()
            show(shop)
            shop.stop()
            say(True, "Ctrl-C ended all of it")
        except (AssertionError, requests.RequestException, KeyError, ValueError) as error:
            say(False, str(error))
            for program in shop.programs:
                print(f"\nThe last lines of {program.name}:\n{program.tail(40)}")
            sys.exit(1)
        finally:
            for program in shop.programs:
                program.stop()
    print("The demo works.")


if __name__ == "__main__":
    main()

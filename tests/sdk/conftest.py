"""Runs the official SDKs against a sidecar.

    pytest tests/sdk --outrigger target/debug/outrigger     ours
    pytest tests/sdk --daprd PATH                           any program with the sidecar's flags: the original proves the tests
    pytest tests/sdk --outrigger PATH --original PATH       also that the two understand each other

`OUTRIGGER_LONG=1` makes the fault tests ten times as long.
"""

import os
import subprocess
from pathlib import Path

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

import pytest  # noqa: E402
from sidecar import Implementation  # noqa: E402
from stage import Stage  # noqa: E402
from traffic import FIGURES  # noqa: E402


def pytest_addoption(parser):
    group = parser.getgroup("sidecars")
    group.addoption("--outrigger", help="our executable")
    group.addoption("--daprd", help="a program that is the sidecar, to be tested instead of ours")
    group.addoption("--original", default=os.environ.get("ORIGINAL_DAPRD"), help="the original's sidecar, for tests of ours beside it")


def pytest_configure(config):
    config.addinivalue_line("markers", "ours_only(reason): what the original has not, or does not do")


def pytest_collection_modifyitems(config, items):
    """What the original has not is skipped where it is under test."""
    if config.getoption("--daprd"):
        for item in items:
            if mark := item.get_closest_marker("ours_only"):
                item.add_marker(pytest.mark.skip(reason=f"not for the original: {mark.args[0]}"))


@pytest.fixture(scope="session")
def implementation(request):
    """The sidecar under test."""
    if path := request.config.getoption("--daprd"):
        return Implementation.original(path)
    if path := request.config.getoption("--outrigger"):
        return Implementation.outrigger(path)
    pytest.exit("give --outrigger PATH or --daprd PATH", returncode=4)


@pytest.fixture(scope="session")
def original(request):
    """The original's sidecar; without one the test is skipped."""
    path = request.config.getoption("--original")
    if not path:
        pytest.skip("needs --original PATH")
    return Implementation.original(path)


def _stage(implementation, tmp_path_factory, request):
    stage = Stage(implementation, tmp_path_factory.mktemp("stage"))
    request.config.stash.setdefault(STAGES, []).append(stage)
    yield stage
    stage.close()
    request.config.stash[STAGES].remove(stage)


@pytest.fixture
def stage(implementation, tmp_path_factory, request):
    """Where a test starts its programs."""
    yield from _stage(implementation, tmp_path_factory, request)


@pytest.fixture(scope="module")
def shared(implementation, tmp_path_factory, request):
    """Where the programs that a file of tests shares are started."""
    yield from _stage(implementation, tmp_path_factory, request)


@pytest.fixture(scope="session")
def go_program(tmp_path_factory):
    """The gRPC service in Go and its clients, built."""
    program = tmp_path_factory.mktemp("go") / "sdk"
    subprocess.run(["go", "build", "-o", program, "."], cwd=Path(__file__).parent / "go", check=True, timeout=900)
    return program


STAGES = pytest.StashKey()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds the last lines of all programs to the report of a test that failed."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for stage in item.config.stash.get(STAGES, []):
            report.sections += [(f"last lines of {name}", tail) for name, tail in stage.logs()]


def pytest_terminal_summary(terminalreporter):
    """Prints what the fault tests have counted."""
    if FIGURES:
        terminalreporter.section("messages under faults")
        for line in FIGURES:
            terminalreporter.write_line(line)

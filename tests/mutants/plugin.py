"""A plug-in of pytest: which mutants each test reaches, or only the tests that a file names."""

import json
import mmap
import os
import re
import time
from pathlib import Path

import pytest


def pytest_collection_modifyitems(config, items):
    if chosen := os.environ.get("TIDU_MUTANTS_TESTS"):
        order = {name: i for i, name in enumerate(json.loads(Path(chosen).read_text()))}
        items[:] = sorted((i for i in items if i.nodeid in order), key=lambda i: order[i.nodeid])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    if "TIDU_MUTANTS_RECORD" not in os.environ:
        return (yield)
    with (
        open(os.environ["TIDU_MUTANTS_REACHED"], "r+b") as file,
        mmap.mmap(file.fileno(), 0) as reached,
        open(os.environ["TIDU_MUTANTS_RECORD"], "a") as record,
    ):
        reached[:] = bytes(len(reached))
        start = time.monotonic()
        item.mutants_passed = True
        result = yield
        seconds = time.monotonic() - start
        numbers = [m.start() for m in re.finditer(b"\1", reached)]
        print(json.dumps([item.nodeid, item.mutants_passed, seconds, numbers]), file=record)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed or report.skipped:
        item.mutants_passed = False
    return report

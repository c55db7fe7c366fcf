"""`pytest --whofreed`: runs the session under `whofreed run`, and fails exactly the tests that freed in excess.

`_launch` gets the session under the launcher, `_watch` gives every test its scope, `_verdict` finds the tests at fault in the
report, `_judge` fails them and tells.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from whofreed import _launch

_VALUES = {
    "bin": ("PATH", "the `whofreed` command [default: the one on the PATH]"),
    "adapters": ("LIST", "what is hooked, as of `whofreed run --adapters` [default: auto]"),
    "baseline": ("FILE", "a report in JSON, of --whofreed-report or `whofreed run`: its culprits are known, and fail no test"),
}

#: What makes pytest tell something and run no test.
_NO_TESTS = ("help", "version", "collectonly", "markers", "showfixtures", "show_fixtures_per_test", "cacheshow", "setupplan")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("whofreed", "buffers that are freed too often")
    group.addoption("--whofreed", action="store_true", default=None, help="run the tests under whofreed")
    group.addoption("--no-whofreed", action="store_false", dest="whofreed", help="do not, whatever the ini file says")
    group.addoption(
        "--whofreed-guard", action="store_true", default=None, help="do not let excess frees reach the real function"
    )
    group.addoption("--whofreed-report", metavar="FILE", help="write the session's report to FILE, in JSON")
    parser.addini("whofreed", "run the tests under whofreed", type="bool", default=False)
    parser.addini("whofreed_guard", "as --whofreed-guard", type="bool", default=False)
    for name, (metavar, text) in _VALUES.items():
        group.addoption(f"--whofreed-{name}", metavar=metavar, help=text)
        parser.addini(f"whofreed_{name}", f"as --whofreed-{name}")


def _option(config: pytest.Config, options: Any, name: str) -> Any:
    """What the command line says, else what the ini file says."""
    value = getattr(options, name, None)
    return config.getini(name) or None if value is None else value


def _is_wanted(config: pytest.Config, options: Any) -> bool:
    return bool(_option(config, options, "whofreed")) and not any(getattr(options, name, False) for name in _NO_TESTS)


# First of all, before pytest captures the output: it has to be ours when another program takes this process over.
@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, Any, None]:
    options = early_config.known_args_namespace
    # A worker of xdist does not know yet that it is one, but for this. It is under the launcher where its controller is.
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    if _is_wanted(early_config, options) and not is_worker and _launch.recording() is None:
        try:
            _become_launcher(early_config, options)
        except _launch.LaunchError as error:
            raise pytest.UsageError(f"whofreed: {error}") from error
    yield


def _become_launcher(config: pytest.Config, options: Any) -> None:
    flags = []
    adapters = _adapters(config, options)
    if adapters:
        flags += ["--adapters", adapters]
    if _option(config, options, "whofreed_guard"):
        flags += ["--guard"]
    binary = _launch.find_binary(_option(config, options, "whofreed_bin"))
    try:
        cache = Path(config.getini("cache_dir"))
    except (KeyError, ValueError):
        cache = Path(".pytest_cache")
    _launch.relaunch(binary, _launch.folder_for_traces(config.rootpath / cache), flags)


def _adapters(config: pytest.Config, options: Any) -> str | None:
    """Which adapters. A path in the ini file is told from the root folder, wherever the user stands."""
    named: str | None = getattr(options, "whofreed_adapters", None)
    if named is not None:
        return named
    entries = str(config.getini("whofreed_adapters") or "").split(",")
    return ",".join(str(config.rootpath / entry) if "/" in entry else entry for entry in entries) or None


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "whofreed(allow): excess frees that --whofreed lets a test have: a number, or a pattern of a culprit's function, "
        "file or file:line",
    )
    if not _is_wanted(config, config.option):
        return
    recording = _launch.recording()
    is_worker = hasattr(config, "workerinput")
    if recording is None:
        # One on another machine, where nobody has started it under a launcher.
        if is_worker:
            return
        raise pytest.UsageError("whofreed: --whofreed came too late: name it on the command line or in the ini file")
    from whofreed._watch import Watch

    config.pluginmanager.register(Watch(), "whofreed-watch")
    if is_worker:
        return
    from whofreed._judge import Judge

    try:
        binary = _launch.find_binary(_option(config, config.option, "whofreed_bin"))
    except _launch.LaunchError as error:
        raise pytest.UsageError(f"whofreed: {error}") from error
    config.pluginmanager.register(Judge(config, recording, binary, _baseline(config)), "whofreed-judge")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    from whofreed._watch import check_marks

    check_marks(items)


def _baseline(config: pytest.Config) -> Path | None:
    """The report of an earlier run whose findings are known. Whether it is one is told before any test has run."""
    named = config.option.whofreed_baseline
    path = Path(named).absolute() if named else None
    if path is None and config.getini("whofreed_baseline"):
        path = config.rootpath / config.getini("whofreed_baseline")
    if path is None:
        return None
    try:
        report = json.loads(path.read_text())
        if not str(report["schema"]).startswith("whofreed-report/"):
            raise ValueError("its schema is not whofreed-report")
        return path
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise pytest.UsageError(f"whofreed: the baseline {path} cannot be used: {error}") from error

"""How the session comes to run under `whofreed run`: the process replaces itself by the launcher, which starts it anew."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from whofreed._library import is_active

#: The process that became a launcher, so that nobody tries a second time.
LAUNCHED_BY = "WHOFREED_PYTEST"
OPTIONS = "WHOFREED_OPTIONS"


class LaunchError(Exception):
    """Why the session cannot run under whofreed."""


@dataclass(frozen=True)
class Recording:
    """Where the traces of this run are written."""

    folder: Path
    session: int

    def traces(self) -> list[Path]:
        """Those that there are by now. While they are written they have a hidden name with the number of the session."""
        prefix = f".whofreed-{self.session:016x}."
        return sorted(path for path in self.folder.iterdir() if path.name.startswith(prefix))


def recording(environment: Mapping[str, str] = os.environ) -> Recording | None:
    """The recording that this process is part of; None where there is none."""
    values = {}
    for pair in environment.get(OPTIONS, "").split(":"):
        key, _, value = pair.partition("=")
        values[key] = value.replace("%3A", ":").replace("%3a", ":").replace("%25", "%")
    if not is_active() or "session" not in values or "trace" not in values:
        return None
    return Recording(Path(values["trace"]).parent, int(values["session"], 16))


def find_binary(wanted: str | None) -> str:
    """The `whofreed` command: the one that was named, else the launcher's own, else that on the PATH."""
    if wanted:
        found = shutil.which(os.path.expanduser(wanted))
        if found is None:
            raise LaunchError(f"{wanted}: is no program")
        return found
    try:
        launcher = os.readlink(f"/proc/{os.getppid()}/exe")
        if os.path.basename(launcher) == "whofreed" and os.access(launcher, os.X_OK):
            return launcher
    except OSError:
        pass
    found = shutil.which("whofreed")
    if found is None:
        raise LaunchError("the command `whofreed` is not on the PATH: install it, or say --whofreed-bin PATH")
    return found


def folder_for_traces(cache: Path) -> Path:
    """A folder for the traces of this session. What the session before left there goes, so that no disk fills up."""
    folder = cache / "whofreed"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Traces that are being written have a hidden name: those of a session at the same time stay.
        for old in folder.glob("pytest.*.wft"):
            old.unlink(missing_ok=True)
        if not os.access(folder, os.W_OK):
            raise OSError("cannot be written to")
    except OSError:
        folder = Path(tempfile.mkdtemp(prefix="whofreed-pytest."))
    return folder


def relaunch(binary: str, folder: Path, options: Sequence[str]) -> NoReturn:
    """Becomes `whofreed run`, which runs this very command line again. Does not return."""
    if os.environ.get(LAUNCHED_BY) == str(os.getppid()):
        raise LaunchError(
            "`whofreed run` has started this process, but its library is not in it: is the interpreter a static program?"
        )
    environment = dict(os.environ, **{LAUNCHED_BY: str(os.getpid())})
    command = [binary, "run", "--trace", str(folder / "pytest.%p.wft"), "--report", str(folder / "report.txt")]
    command += [*options, "--", sys.executable, *sys.orig_argv[1:]]
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(binary, command, environment)
    except OSError as error:
        raise LaunchError(f"{binary}: cannot be run: {error.strerror}") from error

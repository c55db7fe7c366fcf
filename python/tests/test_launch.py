"""How a session gets under the launcher: here under a program that only says how it was called."""

import os
import stat
import sys

import pytest

from whofreed import _launch

LAUNCHER = """#!/bin/sh
for word; do echo "word: $word"; done
echo "by: $WHOFREED_PYTEST of $$"
cat
exit 42
"""


@pytest.fixture
def launcher(pytester, monkeypatch):
    path = pytester.path / "bin" / "whofreed"
    path.parent.mkdir()
    path.write_text(LAUNCHER)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    for name in ("WHOFREED_OPTIONS", "WHOFREED_PYTEST", "LD_PRELOAD", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    pytester.makepyfile("def test_nothing(): pass")
    return str(path)


def words(result):
    return [line.removeprefix("word: ") for line in result.outlines if line.startswith("word: ")]


def test_the_command_line_is_run_again_as_it_was(pytester, launcher):
    result = pytester.run(
        sys.executable, "-X", "dev", "-m", "pytest", "--whofreed", "--whofreed-bin", launcher, "-k", "a b", stdin=b"in"
    )
    assert result.ret == 42, "the launcher's exit code, which is the session's"
    said = words(result)
    at = said.index("--")
    assert said[:2] == ["run", "--trace"]
    assert said[at + 1 :] == [
        sys.executable, "-X", "dev", "-m", "pytest", "--whofreed", "--whofreed-bin", launcher, "-k", "a b",
    ]  # fmt: skip
    assert "in" in result.outlines, "standard input is the session's"


def test_the_launcher_is_the_process_that_pytest_was(pytester, launcher):
    result = pytester.runpytest_subprocess("--whofreed", "--whofreed-bin", launcher)
    [by] = [line for line in result.outlines if line.startswith("by: ")]
    _, number, _, process = by.split()
    assert number == process


def test_options_go_to_the_launcher(pytester, launcher):
    result = pytester.runpytest_subprocess(
        "--whofreed", "--whofreed-bin", launcher, "--whofreed-adapters", "libc,x.toml", "--whofreed-guard"
    )
    said = words(result)
    options = said[: said.index("--")]
    assert options[-3:] == ["--adapters", "libc,x.toml", "--guard"]
    folder = pytester.path / ".pytest_cache" / "whofreed"
    assert options[2] == str(folder / "pytest.%p.wft")


def test_an_ini_file_says_the_same(pytester, launcher):
    pytester.makeini(
        f"[pytest]\nwhofreed = true\nwhofreed_bin = {launcher}\nwhofreed_adapters = libc\nwhofreed_guard = true\n"
    )
    said = words(pytester.runpytest_subprocess())
    assert said[said.index("--adapters") : said.index("--")] == ["--adapters", "libc", "--guard"]
    result = pytester.runpytest_subprocess("--no-whofreed")
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("option", ["--help", "--version", "--collect-only", "--markers", "--fixtures"])
def test_what_runs_no_test_needs_no_launcher(pytester, launcher, option):
    result = pytester.runpytest_subprocess("--whofreed", "--whofreed-bin", launcher, option)
    assert result.ret == 0
    assert words(result) == []


def test_without_the_option_nothing_is_different(pytester, launcher):
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*= whofreed =*")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--whofreed-bin", "/nowhere/whofreed"], "*whofreed: /nowhere/whofreed: is no program*"),
        ([], "*whofreed: the command `whofreed` is not on the PATH*"),
    ],
)
def test_what_is_missing_is_told(pytester, launcher, monkeypatch, arguments, message):
    monkeypatch.setenv("PATH", "/nowhere")
    result = pytester.runpytest_subprocess("--whofreed", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


def test_a_launcher_that_does_not_get_the_library_in_is_not_started_forever(pytester, launcher):
    pytester.path.joinpath("bin/whofreed").write_text(
        '#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift\n"$@"\nexit $?\n'
    )
    result = pytester.runpytest_subprocess("--whofreed", "--whofreed-bin", launcher)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*its library is not in it*"])


def test_marks_are_checked(pytester, launcher):
    for mark in ("()", "(3)", "(allow=None)", "(allow=True)", "(allow=1, also=2)", "(allow=[1, None])"):
        pytester.makepyfile(f"import pytest\n@pytest.mark.whofreed{mark}\ndef test_nothing(): pass")
        result = pytester.runpytest_subprocess()
        assert result.ret == pytest.ExitCode.USAGE_ERROR, mark
        result.stderr.fnmatch_lines(["*@pytest.mark.whofreed takes allow=N*"])
    for mark in ("(allow=3)", "(allow='evict')", "(allow=[3, 'evict'])"):
        pytester.makepyfile(f"import pytest\n@pytest.mark.whofreed{mark}\ndef test_nothing(): pass")
        pytester.runpytest_subprocess("--strict-markers").assert_outcomes(passed=1)


def test_the_recording_is_found_by_what_the_launcher_tells(monkeypatch):
    monkeypatch.setattr(_launch, "is_active", lambda: True)
    options = "guard=1:session=1f:trace=/a%3Ab/100%25/pytest.%25p.wft:run=1"
    found = _launch.recording({"WHOFREED_OPTIONS": options})
    assert found is not None
    assert (str(found.folder), found.session) == ("/a:b/100%", 0x1F)
    for missing in ("", "trace=/a/b.wft", "session=1"):
        assert _launch.recording({"WHOFREED_OPTIONS": missing}) is None


def test_traces_of_this_session_alone_are_read(tmp_path):
    for name in (".whofreed-000000000000001f.pytest.1.wft", ".whofreed-0000000000000020.pytest.2.wft", "pytest.3.wft"):
        tmp_path.joinpath(name).touch()
    found = _launch.Recording(tmp_path, 0x1F).traces()
    assert [path.name for path in found] == [".whofreed-000000000000001f.pytest.1.wft"]


def test_old_traces_go_and_those_that_are_written_stay(tmp_path):
    folder = _launch.folder_for_traces(tmp_path)
    for name in (".whofreed-000000000000001f.pytest.1.wft", "pytest.3.wft", "mine.wft"):
        folder.joinpath(name).touch()
    assert _launch.folder_for_traces(tmp_path) == folder
    assert sorted(os.listdir(folder)) == [".whofreed-000000000000001f.pytest.1.wft", "mine.wft"]


def test_where_the_cache_cannot_be_written_traces_go_elsewhere(tmp_path):
    tmp_path.joinpath("file").touch()
    folder = _launch.folder_for_traces(tmp_path / "file")
    assert folder.is_dir()
    folder.rmdir()

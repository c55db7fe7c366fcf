"""Captured frames against the interpreter's own, in every situation that shapes a frame."""

import asyncio
import contextlib
import ctypes
import functools
import gc
import marshal
import os
import sys
import threading
import traceback

from probe import Probe
from probe import compare
from probe import name_of

CASES = []
CALLBACK = ctypes.CFUNCTYPE(None)
COUNT = 0


def case(function):
    CASES.append(function)
    return function


def shot(probe, **options):
    global COUNT
    COUNT += 1
    return compare(probe, **options)


@case
def plain_function(probe):
    frames = shot(probe)
    assert frames[2][2] == b"plain_function", frames
    shot(
        probe,
        traced=True,
    )


@case
def methods(probe):
    class Holder:
        class Inner:
            def method(self):
                return shot(probe)

            @classmethod
            def of_class(cls):
                return shot(probe)

            @staticmethod
            def of_none():
                return shot(probe)

            @property
            def value(self):
                return shot(probe)

        def __getattr__(self, name):
            return shot(probe)

        def __enter__(self):
            return shot(probe)

        def __exit__(self, *error):
            shot(probe)

    inner = Holder.Inner()
    name = inner.method()[2][2]
    wanted = b"methods.<locals>.Holder.Inner.method" if sys.version_info >= (3, 11) else b"method"
    assert name == wanted, name
    inner.of_class()
    inner.of_none()
    inner.value
    Holder().missing
    with Holder():
        shot(probe)


@case
def constructors(probe):
    class Made:
        def __init__(self, value):
            self.frames = shot(probe)

    # Often enough for the interpreter to run the constructor in the caller's loop.
    for number in range(60):
        Made(number)


@case
def recursion(probe):
    def down(depth):
        return shot(probe) if depth == 0 else down(depth - 1)

    frames = down(100)
    assert len(frames) > 100, len(frames)


@case
def code_that_takes_the_place_of_other_code(probe):
    """What is remembered of an address does not hold for what lies there next."""
    places = set()
    for number in range(600):
        gap = "\n" * (number % 5)
        name = f"made_{number % 7}"
        source = f"def {name}(shot, probe):\n{gap} x = 1\n{gap} return shot(probe)\n"
        scope = {}
        exec(compile(source, f"/made/{number % 3}.py", "exec"), scope)
        frames = scope[name](shot, probe)
        assert frames[2][2] == name.encode(), frames
        places.add(id(scope[name].__code__))
        # The function holds its scope, and that holds the function.
        scope.clear()
    assert len(places) < 300, "no code took the place of another"


def made(name, file, gap):
    """A function whose code is like that of all others made here, but for the name, the file and a line."""
    scope = {}
    source = f"def {name}(shot, probe):\n" + "\n" * gap + " return shot(probe, traced=False)\n"
    exec(compile(source, file, "exec"), scope)
    # The function holds its scope, and that would hold the function.
    return scope.pop(name)


def replaced_at_one_place(probe, of_turn):
    """Makes, calls and drops functions; says how often one had its code where another's was before."""
    places = {}
    for turn in range(150):
        name, file, gap = of_turn(turn)
        function = made(name, file, gap)
        places.setdefault(id(function.__code__), set()).add((name, file, gap))
        # Often enough for calls of it to be specialized.
        for _ in range(30 if turn % 16 == 0 else 2):
            frames = function(shot, probe)
            line, first_line, got, got_file = frames[2]
            assert (line, first_line) == (gap + 2, 1), (frames, gap)
            assert (got, got_file) == (name.encode(), file.encode()), (frames, name, file)
        del function
    return sum(len(others) - 1 for others in places.values())


@case
def code_that_differs_in_one_thing_from_what_was_there(probe):
    files = [f"/made/{number}.py" for number in range(5)]
    assert replaced_at_one_place(probe, lambda turn: (f"made_{turn % 7}", files[0], 1)) > 3
    assert replaced_at_one_place(probe, lambda turn: ("made", files[turn % 5], 1)) > 3
    assert replaced_at_one_place(probe, lambda turn: ("made", files[0], turn % 5)) > 3
    assert replaced_at_one_place(probe, lambda turn: (f"made_{turn % 7}", files[turn % 5], turn % 3)) > 3


@case
def functions_that_are_given_other_code(probe):
    function = made("given", "/made/given.py", 0)
    for turn in range(200):
        for _ in range(1 + 40 * (turn % 5 == 0)):
            frames = function(shot, probe)
            wanted = name_of(function.__code__).encode()
            assert frames[2][2] == wanted, (frames, wanted)
        function.__code__ = made(f"given_{turn % 3}", "/made/given.py", turn % 4).__code__

    def exchanged(itself, other):
        before = shot(probe)
        itself.__code__ = other
        after = shot(probe)
        assert before[2][1:] == after[2][1:], (before, after)

    kept = exchanged.__code__
    for turn in range(60):
        # A free variable has to stay one.
        other = kept.replace(co_name=f"other_{turn}")
        exchanged.__code__ = kept
        exchanged(exchanged, other)


def number_at(address, offset, kind=ctypes.c_uint32):
    return kind.from_address(address + offset).value


def interpreters_so_far():
    runtime = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime"))
    return number_at(runtime, 56, ctypes.c_int64)


@case
def numbers_of_code_objects(probe):
    """What is relied on where it is: no two code objects have one number, and where they lie does not matter."""
    functions = (made("numbered", "/made/numbered.py", 0) for _ in range(500))
    numbers = []
    if sys.version_info[:2] == (3, 12):
        assert interpreters_so_far() == 1
        for function in functions:
            code = function.__code__
            others = code.replace(co_name="other"), marshal.loads(marshal.dumps(code))
            numbers += [number_at(id(each), 92) for each in (code, *others)]
    if sys.version_info[:2] == (3, 11):
        for function in functions:
            assert number_at(id(function), 48, ctypes.c_size_t) == id(function.__code__)
            for code in (function.__code__, function.__code__.replace(co_name="other")):
                function.__code__ = code
                assert number_at(id(function), 128) == 0
                # Each loop is specialized anew.
                exec("for _ in range(99): function(dict, ())", {"function": function})
                numbers.append(number_at(id(function), 128))
    assert 0 not in numbers
    assert numbers == sorted(set(numbers)), numbers


@case
def files_that_are_renamed(probe):
    import _imp

    for turn in range(40):
        function = made("renamed", "/made/before.py", 0)
        for file in ("/made/before.py", f"/made/after{turn}.py", "/made/at last.py"):
            # It replaces the name where it is the one of the code that it is given.
            _imp._fix_co_filename(function.__code__, file)
            for _ in range(2):
                frames = function(shot, probe)
                assert frames[2][3] == file.encode(), frames
            # From here on the name has a hash.
            hash(function.__code__.co_filename)
            function(shot, probe)


@case
def beside_another_interpreter(probe):
    """Where interpreters number codes, others number theirs."""
    name = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    child = os.fork()
    if child == 0:
        # The other cases are those of a host with one interpreter.
        try:
            interpreters = __import__(name)
            other = interpreters.create()
            assert sys.version_info[:2] != (3, 12) or interpreters_so_far() == 2
            for _ in range(2):
                code_that_differs_in_one_thing_from_what_was_there(probe)
                interpreters.run_string(other, "for n in range(99): exec(f'def f{n}(): pass')")
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


@case
def generators(probe):
    def inner():
        yield shot(probe)
        yield shot(probe)

    def outer():
        yield from inner()
        for each in inner():
            shot(probe)
            yield each

    for _ in range(20):
        for _ in outer():
            shot(probe)
        next(outer())
        list(outer())


@case
def comprehensions(probe):
    [shot(probe) for _ in range(2)]
    {shot(probe)[0] for _ in range(2)}
    list(shot(probe) for _ in range(2))
    [[shot(probe) for _ in range(2)] for _ in range(2)]


@case
def coroutines(probe):
    async def leaf():
        shot(probe)
        await asyncio.sleep(0)
        shot(probe)

    async def numbers():
        for number in range(2):
            await leaf()
            yield number

    async def trunk():
        await asyncio.gather(leaf(), leaf())
        async for _ in numbers():
            shot(probe)

    asyncio.run(trunk())


@case
def run_from_text(probe):
    for blank in (0, 1, 130, 3000):
        text = "\n" * blank + "def f():\n\n  return shot(probe)\nframes = f()\n"
        scope = {"shot": shot, "probe": probe}
        exec(compile(text, f"<text {blank}>", "exec"), scope)
        assert scope["frames"][2][0] == blank + 3, scope["frames"][2]
    eval("shot(probe)", {"shot": shot, "probe": probe})
    # A long body: its table has entries of every kind, and line numbers go back and forth.
    lines = ["x = [", "1,", "shot(probe),", "]"] + [f"y{n} = {n} + len(str({n}))" for n in range(2000)]
    lines += ["for z in (", "shot(probe) if n % 2 else", "shot(probe)", "for n in range(4)):", "  pass"]
    exec(compile("\n".join(lines), "<long>", "exec"), {"shot": shot, "probe": probe})


@case
def lambdas_and_decorators(probe):
    def decorated(function):
        @functools.wraps(function)
        def wrapper(*arguments):
            return function(*arguments)

        return wrapper

    @decorated
    @functools.lru_cache(None)
    @decorated
    def target():
        return shot(probe)

    (lambda: (lambda: shot(probe))())()
    target()
    functools.partial(shot, probe)()


@case
def class_bodies_and_errors(probe):
    class Body:
        shot(probe)

    try:
        raise ValueError
    except ValueError:
        shot(probe)
        with contextlib.suppress(KeyError):
            shot(probe)
            raise KeyError
    finally:
        shot(probe)


@case
def names_beyond_ascii(probe):
    for name in ("größe", "größe日本", "名"):
        for file in ("/x/größe.py", "/x/日本/ü.py", "/x/😀/日.py", "/x/\udcff\udc80.py"):
            scope = {"shot": shot, "probe": probe}
            exec(compile(f"def {name}():\n return shot(probe, traced=False)\n", file, "exec"), scope)
            frames = scope[name]()
            assert frames[2][2] == name.encode(), frames[2]
    # The interpreter caches UTF-8 in the string; the walk must not care.
    frames = scope[name]()
    ctypes.pythonapi.PyUnicode_AsUTF8AndSize(ctypes.py_object(scope[name].__code__.co_name), None)
    assert scope[name]()[2] == frames[2]


@case
def names_of_any_length(probe):
    for file in ("/" + "a" * 511, "/" + "b" * 3000 + "/end.py", "/" + "é" * 700 + "x", "😀" * 129, ""):
        for name in ("f", "f" * 512, "g" * 513, "é" * 400):
            scope = {"shot": shot, "probe": probe}
            exec(compile(f"def {name}():\n return shot(probe, traced=False)\n", file, "exec"), scope)
            scope[name]()


@case
def lines_that_are_not_there(probe):
    def bare():
        return shot(probe, traced=False)

    bare.__code__ = bare.__code__.replace(co_linetable=b"")
    frames = bare()
    assert frames[2][0] == 0, frames[2]


@case
def threads(probe):
    failures = []

    def body():
        try:
            for _ in range(20):
                shot(probe)
        except BaseException as error:
            failures.append(error)

    workers = [threading.Thread(target=body) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures, failures


@case
def native_code_between(probe):
    sorted([3, 1, 2], key=lambda each: len(shot(probe)))
    list(map(lambda each: shot(probe), [1]))
    functools.reduce(lambda left, right: shot(probe), [1, 2])

    def back():
        results.append(shot(probe))

    def twice():
        probe.library.probe_call(CALLBACK(back))

    results = []
    probe.library.probe_call(CALLBACK(back))
    probe.library.probe_call(CALLBACK(twice))
    assert len(results) == 2


@case
def destructors(probe):
    class Dying:
        def __del__(self):
            deaths.append(shot(probe))

    deaths = []
    Dying()
    ring = Dying()
    ring.self = ring
    del ring
    gc.collect()
    assert len(deaths) == 2


@case
def under_a_trace_function(probe):
    def trace(frame, event, argument):
        if frame.f_code.co_name == "traced":
            frame.f_trace_opcodes = True
        return trace

    def traced():
        total = 0
        for _ in range(2):
            total += len(shot(probe))
        return (
            total
            + len(shot(probe))
        )

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        traced()
    finally:
        sys.settrace(before)
    traced()


@case
def at_import(probe):
    import at_import_time

    at_import_time.probe = probe
    import importlib

    importlib.reload(at_import_time)
    assert at_import_time.frames[1][2] == b"<module>", at_import_time.frames[1]


@case
def after_a_fork(probe):
    child = os.fork()
    if child == 0:
        # The parent must not go on twice, whatever happens here.
        try:
            shot(probe)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


@case
def threads_without_python(probe):
    if not probe.released:
        # The thread that waits would hold what the other one needs, or prove nothing.
        return
    assert probe.library.probe_foreign_thread() == 0
    results = []

    def back():
        results.append(shot(probe))

    probe.library.probe_call_on_thread(CALLBACK(back))
    assert len(results) == 1


def main():
    for released in (True, False):
        probe = Probe(released)
        for function in CASES:
            function(probe)
            print("ok", "released" if released else "held", function.__name__)
    print("status:", probe.status())
    print("compared:", COUNT)


main()

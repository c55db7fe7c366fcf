"""Processes of every kind that Python starts: forked and spawned workers, a pool of threads, commands, os.fork."""

import concurrent.futures
import multiprocessing
import os
import subprocess
import sys


def square(number):
    return sum(range(number)) + number * number


def main():
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            print(method, sum(pool.map(square, range(200))))
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        print("threads", sum(threads.map(square, range(500))))
    print(subprocess.run(["sort", "-r"], input=b"a\nb\nc\n", capture_output=True).stdout)
    children = []
    for number in range(5):
        child = os.fork()
        if child == 0:
            os._exit(10 + len([str(item) for item in range(number)]))
        children.append(child)
    print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
    sys.exit(4)


if __name__ == "__main__":
    main()

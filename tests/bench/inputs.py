#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Make what benchmarks need before they run: their programs and pages.

usage: tests/bench/inputs.py program FILE SOURCE...
       tests/bench/inputs.py corpus NAME PAGES

A program is built from the first source, if any of them has changed. The file of a
corpus is printed; see corpora for the names.
"""

import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
OUT = os.path.join(ROOT, "build", "bench")

CORPORA = {
    "python": "a Python program's heap",
    "cc1": "a C compiler's heap",
    "sqlite": "a database in memory",
    "js": "a JavaScript program's heap",
    "random": "incompressible pages",
    "mixed": "some of each",
    "java": "a Java program's heap",
    "rust": "a Rust program's heap",
    "go": "a Go program's heap",
    "chromium": "a browser with a page",
    "postgresql": "a database server's buffers",
    "guest": "a virtual machine's memory",
    "desktop": "a desktop's programs",
}
# What those that are mixed are from.
PARTS_OF_MIXED = ["python", "cc1", "sqlite", "js"]


class Failed(Exception):
    """A step failed; the text says why."""


def newer(target, *sources):
    return os.path.exists(target) and all(
        os.path.getmtime(target) > os.path.getmtime(source) for source in sources
    )


def compile_program(compiler, target, *sources):
    """Has the command `compiler` make the target of the first source, if it is older than any."""
    if not newer(target, *sources):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        beside = f"{target}.{os.getpid()}"
        subprocess.run([*compiler, "-o", beside, sources[0]], check=True)
        os.rename(beside, target)
    return target


def build_program(target, *sources, how=("-static",)):
    """Builds a program in C: by default static, because the small image has no libraries."""
    return compile_program(["gcc", "-O2", "-Wall", *how], target, *sources)


def wkdm():
    """The program, or None if there is no Rust compiler."""
    rustc = os.environ.get("RUSTC") or shutil.which("rustc")
    if not rustc:
        return None
    compiler = [rustc, "--edition=2021", "-O"]
    return compile_program(compiler, os.path.join(OUT, "wkdm"), os.path.join(HERE, "wkdm.rs"))


def pagebench():
    sources = (os.path.join(HERE, name) for name in ("pagebench.c", "backends.h"))
    return build_program(os.path.join(OUT, "pagebench"), *sources)


class Corpora:
    """Files of pages. They are kept until the directory is removed, so that runs compare.
    `say` is called before what takes long. `missing` has the reason for each kind that is
    not there."""

    USUAL = {"python": "2 seconds", "cc1": "5 seconds", "sqlite": "8 seconds", "js": "2 seconds"}
    USUAL |= {"java": "5 seconds", "rust": "5 seconds", "go": "10 seconds"}
    USUAL |= {"chromium": "20 seconds", "postgresql": "10 seconds", "guest": "a minute"}
    USUAL |= {"desktop": "20 seconds"}

    def __init__(self, pages, say):
        self.pages, self.say, self.files, self.missing = pages, say, {}, {}
        self.failures = []

    def get(self, name):
        """The file, or None if the program is missing that the pages are taken from."""
        if name not in self.files:
            self.files[name] = self.make(name)
        return self.files[name]

    def get_if_possible(self, name):
        """The same, but a failure does not end what asks."""
        try:
            return self.get(name)
        except Failed as failure:
            reason = " ".join(str(failure).split())
            self.say(f"  {name}: FAILED, {reason}")
            self.failures.append(f"{CORPORA[name]}: {reason}")
            self.missing[name] = reason

    def make(self, name):
        target = os.path.join(OUT, "corpus" if name == "python" else f"corpus.{name}")
        others = []
        if name == "mixed":
            others = [self.get(other) for other in PARTS_OF_MIXED]
            others = [other for other in others if other]
        makers = [os.path.join(HERE, "corpus")]
        if name != "python":
            names = ("corpora", "corpus.js", "corpus.java", "corpus.rs", "corpus.go")
            makers += [os.path.join(HERE, name) for name in names]
        if newer(target, *makers, *others) and os.path.getsize(target) == self.pages * 4096:
            return target
        os.makedirs(OUT, exist_ok=True)
        usual = self.USUAL.get(name, "a second")
        shown = os.path.relpath(target, ROOT)
        self.say(f"Making {self.pages} pages, {CORPORA[name]}: {shown} (usually {usual}) ...")
        beside = f"{target}.{os.getpid()}"
        done = subprocess.run(
            [os.path.join(HERE, "corpora"), name, beside, str(self.pages), *others],
            stderr=subprocess.PIPE,
            text=True,
        )
        if done.returncode == 3:
            self.missing[name] = f"{done.stderr.strip()}; scripts/setup bench {name} installs it"
            self.say(f"  {name}: skipped, {self.missing[name]}")
            return None
        if done.returncode:
            raise Failed(done.stderr.strip())
        os.rename(beside, target)
        return target


def tell(text):
    print(text, file=sys.stderr)


def main(what, *arguments):
    if what == "program" and len(arguments) > 1:
        build_program(*arguments)
    elif what == "corpus" and len(arguments) == 2 and arguments[0] in CORPORA:
        print(Corpora(int(arguments[1]), tell).get(arguments[0]) or sys.exit(1))
    else:
        sys.exit(__doc__.strip())


if __name__ == "__main__":
    try:
        main(*(sys.argv[1:] or ["--help"]))
    except Failed as failure:
        sys.exit(f"inputs: {failure}")
    except subprocess.CalledProcessError as failure:
        sys.exit(f"inputs: {failure.cmd[0]} ended with status {failure.returncode}")

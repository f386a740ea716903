#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Make figures of the samples that tests/um takes.

usage: tests/bench/native.py SAMPLES

SAMPLES has lines "sample ROUND BACKEND COMPRESSOR WHAT VALUE". Printed are lines "figure
BACKEND COMPRESSOR WHAT VALUE", and a table of them on stderr. WHAT is one of these; VALUE
is the median of the rounds, and lines with -min and -max after WHAT have the least and
the largest.

  out, in, zero-out, zero-in
                 nanoseconds per page, as sampled: all that the kernel does for it
  store, load    out without zero-out, in without zero-in: the backend's part. It is too
                 small by what it takes to see that a page is zero, and to clear one.
  pages-1        pages per second out and in, one process
  pages-2        two processes at once, each on a CPU
  second         how many times as many the second CPU makes them
  zero-second    the same for pages that are all zero: how far the kernel, and this
                 machine, get without a backend
  round-trip     of the backend cpus: nanoseconds for a line of memory from one CPU to the
                 other and back. Where it is several hundred they are far apart, and what
                 they share keeps any backend from twice the pages.
  store/codec, load/codec
                 as many times as in the same round the compressor alone takes. zswap
                 pays here for the crypto API's set-up of zstd, which is another.
  out/zram, store/zswap, pages-2/zram, ...
                 of ghostswap: as many times as in the same round that of another backend

Lines with -low and -high have the interval in which the median of ever more rounds would
be with a probability of 95 percent or more, if rounds were independent. It needs at
least 6 of them, and assumes nothing of how they are distributed.
"""

import statistics
import sys

sys.dont_write_bytecode = True
from rows import NATIVE, PEERS  # noqa: E402

COLUMNS = ("codec", *PEERS, "ghostswap")
COMPARED = ("out", "in", "store", "load", "pages-2")
# What is of one run, and has an interval.
RATIOS = ("second", "zero-second", "store/codec", "load/codec")


def read(path):
    """The rounds: of each a dictionary (backend, compressor, what): value."""
    rounds = {}
    with open(path, encoding="utf-8") as samples:
        for line in samples:
            word, *key, value = line.split()
            if word == "sample":
                rounds.setdefault(int(key[0]), {})[tuple(key[1:])] = float(value)
    return [rounds[number] for number in sorted(rounds)]


def value_of(rows, one, backend, comp, what):
    """A value of a round, sampled or computed; None if a sample that it needs is missing."""
    row = next((row for row in rows if row.what == what), None)
    if row is None or row.made_of is None:
        return one.get((backend, comp, what))

    def get(name, other=backend):
        return value_of(rows, one, other, comp, name)

    try:
        return row.made_of(get)
    except TypeError:
        return None


def interval(values):
    """The median is outside of the k-th least and the k-th largest value as often as
    fewer than k of as many coins show heads, or fewer than k show tails."""
    count, below, k = len(values), 0.0, 0
    term = 0.5**count
    while below + term <= 0.025:
        below += term
        term *= (count - k) / (k + 1)
        k += 1
    return (values[k - 1], values[count - k]) if k else None


def spread(values, with_interval):
    """The median, by "", and the ends, by the suffix of the figure's name."""
    values = sorted(values)
    found = {"": statistics.median(values), "-min": values[0], "-max": values[-1]}
    inner = interval(values) if with_interval else None
    if inner:
        found["-low"], found["-high"] = inner
    return found


def figures_of(rounds):
    """All figures, (backend, compressor, what): value, in order."""
    figures = {}

    def enter(backend, comp, what, values, with_interval):
        if values and None not in values:
            for end, value in spread(values, with_interval).items():
                figures[backend, comp, what + end] = value

    for backend, comp in dict.fromkeys(key[:2] for one in rounds for key in one):
        if backend == "cpus":
            trips = [one[backend, comp, "round-trip"] for one in rounds]
            enter(backend, comp, "round-trip", trips, False)
            continue
        for row in NATIVE:
            if backend == "codec" and "codec" in row.what:
                continue
            values = [value_of(NATIVE, one, backend, comp, row.what) for one in rounds]
            enter(backend, comp, row.what, values, row.what in RATIOS)
        for peer in PEERS if backend == "ghostswap" else ():
            for what in COMPARED:
                pairs = [
                    [value_of(NATIVE, one, name, comp, what) for name in (backend, peer)]
                    for one in rounds
                ]
                values = [own / other if own and other else None for own, other in pairs]
                enter(backend, comp, f"{what}/{peer}", values, True)
    return figures


def table(figures):
    """The lines of the table."""

    def cell(form, backend, comp, what, ends=("-min", "-max")):
        value = figures.get((backend, comp, what))
        if value is None:
            return "-"
        if (backend, comp, what + ends[0]) not in figures:
            ends = ("-min", "-max")
        around = [form.format(figures[backend, comp, what + end]) for end in ends]
        return f"{form.format(value)} ({'-'.join(around)})"

    for comp in dict.fromkeys(key[1] for key in figures if key[0] != "cpus"):
        yield f"{comp:5} {'':23}" + "".join(f" {name:24}" for name in COLUMNS)
        for row in NATIVE:
            if row.text:
                form = row.form.replace(",", "")
                cells = [cell(form, name, comp, row.what) for name in COLUMNS]
                yield f"{'':5} {row.text:23}" + "".join(f" {text:24}" for text in cells)
        for peer in PEERS:
            if ("ghostswap", comp, f"out/{peer}") in figures:
                ends = ("-low", "-high")
                cells = [
                    f"{what} {cell('{:.3f}', 'ghostswap', comp, f'{what}/{peer}', ends)}"
                    for what in COMPARED
                ]
                yield f"{'':5} ghostswap/{peer:6}" + "".join(f"   {text}" for text in cells)
    trip = cell("{:.0f}", "cpus", "none", "round-trip")
    yield f"A line of memory from one CPU to the other and back: {trip} ns"
    yield "In brackets: the least and the largest of all rounds; at the ratios to zram and"
    yield "zswap, where the true one is, 95 to 5, if rounds were independent."


def main(path):
    figures = figures_of(read(path))
    for key, value in figures.items():
        print("figure", *key, f"{value:.4f}" if value < 100 else f"{value:.1f}")
    for line in table(figures):
        print(line, file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__.strip())
    main(sys.argv[1])

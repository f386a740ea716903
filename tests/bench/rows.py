# SPDX-License-Identifier: GPL-2.0
"""The rows of the benchmark's tables: the figures and their bars."""

from dataclasses import dataclass, replace

PEERS = ("zram", "zswap")
# The kernel's, and ghostswap's own.
COMPRESSORS = ["lz4", "wlz", "wlz:dense", "zstd", "lzo-rle"]
PAGE = 4096


# Each is itself, and equal to no other.
@dataclass(eq=False)
class Row:
    """A line of a table: a figure of each backend, and the target for ghostswap's.

    bar is the target for the ratio of ghostswap's figure to the one that `against`
    names: the better of zram and zswap, or a backend, or a number; or that of the
    figure of `own`. A row whose text begins with two blanks belongs to the row before
    it, and is often a part of it."""

    what: str
    text: str
    form: str = "{:,.0f}"
    bar: float = None
    against: str | float = "peers"
    where: list = None
    made_of: object = None
    peers: tuple = PEERS
    own: str = "ghostswap"


def parts_of_ram(get):
    """RAM that is neither zsmalloc's pages nor slab: tables, buffers, nodes in pages."""
    return get("ram") - get("pool") - get("slab")


HOT = [
    Row("out", "out, instructions", bar=0.97),
    Row("in", "in", bar=0.97),
    Row("free", "freed", bar=0.9),
    Row("thp-out", "out, in huge pages", bar=0.95),
    Row("thp-in", "in, in huge pages"),
    Row("thp-free", "freed, in huge pages"),
]
RAM = [
    Row("ram", "RAM, bytes", bar=0.98),
    Row("objects", "  compressed pages"),
    Row("zsmalloc", "  lost in zsmalloc", made_of=lambda get: get("pool") - get("objects")),
    Row("slab", "  slab caches"),
    Row("rest", "  all else", made_of=parts_of_ram),
]
# With ghostswap's own compressors, where zram and zswap have lz4: by pages, then row.
OWN_BARS = {
    "wlz": {
        "python": {"out": 0.55, "in": 0.75, "ram": 0.87, "thp-out": 0.52},
        "cc1": {"out": 0.52, "in": 0.75, "ram": 0.82, "thp-out": 0.5},
        "js": {"out": 0.55, "in": 0.75, "ram": 0.85, "thp-out": 0.52},
        "sqlite": {"out": 0.95, "in": 1, "ram": 1, "thp-out": 0.95},
        "mixed": {"out": 0.7, "in": 0.85, "ram": 0.95},
        "random": {"out": 0.6, "in": 1.02, "ram": 1},
    },
    "wlz:dense": {
        "python": {"ram": 0.83},
        "cc1": {"ram": 0.75},
        "js": {"ram": 0.8},
        "sqlite": {"ram": 0.97},
    },
}
# With these wlz was not made.
for name in ("java", "rust", "go", "chromium", "postgresql", "guest", "desktop"):
    OWN_BARS["wlz"][name] = {"out": 1, "in": 1, "objects": 1.02}
# The same for the times of part native.
OWN_NATIVE_BARS = {"store": 0.55, "load": 0.75}
STORE = [
    Row("wb-bytes", "written back, bytes", bar=0.40, against=PAGE, where=["python"]),
    Row("wb-ios", "  requests", "{:.3f}", bar=0.05, against=1),
    Row("seq-bytes", "read in order, bytes"),
    Row("seq-ios", "  requests", "{:.3f}", bar=0.06, against=1, where=["python"]),
    Row("random-bytes", "read in no order, bytes"),
    Row("random-ios", "  requests", "{:.3f}"),
    Row(
        "hot-reads",
        "read of what is needed again and again, percent",
        "{:.1f}",
        bar=0.03,
        against=100,
    ),
]


# Of pages that are left alone: ghostswap as it comes, and each backend with a second compressor,
# when that had them all.
ALONE = [
    Row("alone-ram", "RAM, bytes", bar=0.65, against="zram"),
    *(
        row
        for name in ("ghostswap-dense", "ghostswap-zstd", "ghostswap-bundles")
        for row in [
            Row("alone-ram", f"  {name}, beside zram", bar=0.65, against="zram", own=name),
            Row(
                "alone-ram",
                f"  {name}, beside zram-zstd",
                bar=0.95,
                against="zram-zstd",
                own=name,
            ),
            Row("alone-work", f"  {name}, instructions", bar=0.5, against="zram-zstd", own=name),
        ]
    ),
]


def cipher(get):
    """What encryption adds where nothing goes on beside it."""
    return get("encrypted-one") - get("write-one")


SCALE = [
    row
    for cpus in (2, 8)
    for row in [
        Row(
            f"shared-{cpus}-out-own",
            f"{cpus} CPUs, writes to shared lines, out",
            "{:.3f}",
            bar=0.05,
            against=1,
        ),
        Row(f"shared-{cpus}-in-own", "  in", "{:.3f}", bar=0.05, against=1),
        Row(f"shared-{cpus}-freed-own", "  freed", "{:.3f}", bar=0.05, against=1),
        Row(
            f"shared-{cpus}-out-own",
            "  out, to ask for room",
            "{:.3f}",
            bar=0.031,
            against=1,
            own="ghostswap-full",
        ),
    ]
] + [
    Row("batch", "written back, instructions"),
    Row("batch-12G", "  with 12 GiB more in the area"),
    Row(
        "batch-ratio",
        "  times as many",
        "{:.3f}",
        bar=1.05,
        against=1,
        made_of=lambda get: get("batch-12G") / get("batch"),
    ),
    Row("stall-8", "300 ms a request, the slowest page, ms", bar=1.0, against="zswap"),
    Row("stall-16", "  with twice as much of all", bar=1.0, against="zswap"),
    Row("write", "4 KiB to a fast disk, ns", bar=1.25, against="none"),
    Row("encrypted", "  encrypted"),
    Row("cipher", "  the cipher alone", made_of=cipher),
    Row(
        "cipher-ratio",
        "  encrypted, times the cipher alone",
        "{:.3f}",
        bar=1.25,
        against=1,
        made_of=lambda get: get("encrypted") / cipher(get),
    ),
    Row("write-one", "  by one CPU", against="none"),
]


# Of a disk that is memory, beside plain swap and zram that wrote the same pages there. The bar is nine
# tenths of what the fastest of the others reads in the same time.
DEPTH = [
    row
    for name, text, bar in [
        ("depth-1", "read from a store, one at a time, ns", None),
        ("depth-256", "256 at once", 1.11),
        ("late-256", "256 at once, of a disk that takes 5 ms", 1.11),
    ]
    for row in [
        Row(name, text, bar=bar, peers=("zram", "swap")),
        Row(f"{name}-encrypted", "  encrypted"),
    ]
]

EMPTY = [
    Row("empty-64G", "64 GiB, RAM, bytes"),
    Row("empty-1T", "1 TiB, RAM, bytes"),
]
SLOW = [
    Row("swapoff-ms", "swapoff, ms", bar=0.2, against="swap"),
    Row("swapoff-reads", "  requests"),
    Row("seq-ms", "faults in order, ms", bar=0.5, against="swap"),
    Row("seq-reads", "  requests"),
    Row("random-ms", "faults in no order, ms"),
    Row("random-reads", "  requests"),
]


def but_the_compressor(phase):
    """The way of a page without what all backends have the same library for: with lz4, memset
    and memcpy are mostly its own."""
    return lambda get: get(f"{phase}-all") - get(f"{phase}-codec") - get(f"{phase}-copy")


def way(phase, text, bar, own="ghostswap"):
    made_of = but_the_compressor(phase)
    return Row(f"{phase}-way", text, bar=bar, against="zram", made_of=made_of, own=own)


KINDS = {
    "codec": "  the compressor",
    "copy": "  memset and memcpy",
    "zsmalloc": "  zsmalloc and slab",
    "block": "  block layer",
    "rest": "  memory management, all else",
    "own": "  zram, zswap or ghostswap",
}
# Instructions by the owner of the function that they are in, for each phase, and the bar for
# all but the compressor: one by one, and in batches.
WHERE = [
    row
    for phase, text, alone, batch in (
        ("out", "out", None, 0.85),
        ("in", "in", 1.0, 0.85),
        ("freed", "freed", 1.0, None),
        ("thp-out", "huge pages out", 0.95, None),
        ("thp-in", "huge pages in", 0.95, None),
    )
    for row in [
        Row(f"{phase}-all", text),
        way(phase, "  all but the compressor", alone),
        *([way(phase, "  the same, in batches", batch, "ghostswap-batch")] if batch else []),
        *(Row(f"{phase}-{kind}", name, peers=()) for kind, name in KINDS.items()),
    ]
]
READ_KINDS = {**KINDS, "check": "  checksum or cipher"}
# What is written back is not compressed again.
WRITE_KINDS = {kind: name for kind, name in READ_KINDS.items() if kind != "codec"}
# The same for reads at depth and for what is written back to a fast disk.
DISK_WHERE = [
    row
    for phase, text, peers, kinds in (
        ("reads-plain", "256 reads at once", ("zram", "swap"), READ_KINDS),
        ("reads-encrypted", "256 reads at once, encrypted", (), READ_KINDS),
        ("writes-plain", "written back", ("none",), WRITE_KINDS),
        ("writes-encrypted", "written back, encrypted", (), WRITE_KINDS),
    )
    for row in [
        Row(f"{phase}-all", text, peers=peers),
        *(Row(f"{phase}-{kind}", name, peers=()) for kind, name in kinds.items()),
    ]
]
# What of these figures is the compressor's, which plain swap has none of.
WITHOUT_CODEC = {"depth-256": "reads-plain-codec"}
# The phases of part profile that tell ghostswap's own share of these figures. For a page of a
# huge one ghostswap does what it does for a single page, or less.
PHASES = {"out": "out", "in": "in", "free": "freed", "thp-out": "out"}
JOBS = [
    Row("all", "instructions, millions", made_of=lambda get: get("instructions") + get("threads")),
    Row("instructions", "  of the job"),
    Row("threads", "  of the kernel's threads"),
    Row("faults", "major faults"),
    # zram writes nothing to a disk by itself.
    Row("written", "written to the disk, MiB", "{:,.1f}", peers=["zswap"]),
    Row("read", "read from it, MiB", "{:,.1f}", peers=["zswap"]),
    Row("peak", "memory without a limit, MiB", "{:,.1f}"),
]
# Machines that have half of what they need, and what they have.
SHORT = {"512M": "512 MiB", "2G": "2 GiB"}
SHORT_JOBS = [
    replace(JOBS[0], bar=0.9, against="zswap"),
    replace(JOBS[0], text="  the same, beside zram", bar=1.0, against="zram"),
    *JOBS[1:4],
    replace(JOBS[4], bar=0.9),
    replace(JOBS[5], bar=0.9),
    Row("peak", "memory when it is not short, MiB", "{:,.1f}"),
]
# On the clock: of each backend, and of the compressor alone.
NATIVE = [
    Row("out", "ns a page, out"),
    Row("in", "in"),
    Row("zero-out", ""),
    Row("zero-in", ""),
    Row("store", "the backend's, out", made_of=lambda get: get("out") - get("zero-out")),
    Row("load", "in", made_of=lambda get: get("in") - get("zero-in")),
    Row("pages-1", "pages a second", made_of=lambda get: 1e9 / (get("out") + get("in"))),
    Row("pages-2", "with two CPUs", made_of=lambda get: 1e9 / get("two")),
    Row(
        "second",
        "times as many",
        "{:.2f}",
        made_of=lambda get: (get("out") + get("in")) / get("two"),
    ),
    Row(
        "zero-second",
        "without a backend",
        "{:.2f}",
        made_of=lambda get: (get("zero-out") + get("zero-in")) / get("zero-two"),
    ),
    Row(
        "store/codec",
        "times compression, out",
        "{:.2f}",
        made_of=lambda get: get("store") / get("out", "codec"),
    ),
    Row("load/codec", "in", "{:.2f}", made_of=lambda get: get("load") / get("in", "codec")),
]


def whole_text(rows, row):
    """A row's text where it stands alone."""
    if not row.text.startswith("  "):
        return row.text
    before = next(one for one in reversed(rows[: rows.index(row)]) if one.text[0] != " ")
    return f"{before.text.split(',')[0]}, {row.text.strip()}"

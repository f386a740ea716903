# SPDX-License-Identifier: GPL-2.0
"""Make tables, results.json and plots of the figures of tests/bench/run."""

import hashlib
import json
import os
import re
import subprocess

from inputs import CORPORA
from rows import (
    ALONE,
    COMPRESSORS,
    DEPTH,
    DISK_WHERE,
    EMPTY,
    HOT,
    JOBS,
    OWN_BARS,
    OWN_NATIVE_BARS,
    PEERS,
    PHASES,
    RAM,
    SCALE,
    SHORT,
    SHORT_JOBS,
    SLOW,
    STORE,
    WHERE,
    WITHOUT_CODEC,
    Row,
    whole_text,
)

JOB_NAMES = {
    "compile": "a C compiler",
    "sqlite": "SQLite",
    "python": "a Python program",
}
# Jobs on machines that have half of what they need.
SHORT_PARTS = {f"jobs-{memory}": text for memory, text in SHORT.items()}
COLOURS = {
    "none": "tab:gray",
    "swap": "tab:brown",
    "zram": "tab:blue",
    "zram-zstd": "royalblue",
    "zswap": "tab:orange",
    "zswap-ghost": "tab:purple",
    "ghostswap": "tab:green",
    "ghostswap-dense": "limegreen",
    "ghostswap-zstd": "darkgreen",
    "ghostswap-batch": "tab:olive",
    "ghostswap-full": "tab:cyan",
}
COLUMNS = list(COLOURS)
# What tells the version of other programs that pages are taken from.
PROGRAMS = {
    "node": ["node", "--version"],
    "java": ["java", "--version"],
    "rustc": ["rustc", "--version"],
    "go": ["go", "version"],
    "chromium": ["chromium-headless-shell", "--version"],
    "postgresql": ["psql", "--version"],
}
# What a figure is told by.
KEY = ("part", "pages", "backend", "compressor", "what")


class Run:
    def __init__(self, root, command, figures, seconds, missing):
        """`missing` has the reason for each kind of pages that could not be had."""
        self.root, self.command, self.seconds = root, command, seconds
        self.missing = [f"{CORPORA[name]} ({name}): {reason}" for name, reason in missing.items()]
        self.figures = {tuple(key): value for *key, value in figures}
        self.versions = self.find_versions()

    # --- figures ----------------------------------------------------------------

    def find_versions(self):
        def output(*command):
            return subprocess.run(command, capture_output=True, text=True).stdout.strip()

        git = ("git", "-C", self.root)
        sources = output(*git, "ls-files", "rust", "Kbuild").split()
        module = hashlib.sha256()
        for source in sources:
            with open(os.path.join(self.root, source), "rb") as file:
                module.update(file.read())
        kdir = output(os.path.join(self.root, "scripts", "kernel"), "test")
        with open(os.path.join(kdir, "include", "config", "kernel.release")) as release:
            kernel = release.read().strip()
        source = os.path.join(kdir, "source")
        zstd, number = "", r"define ZSTD_VERSION_(?:MAJOR|MINOR|RELEASE)\s+(\d+)"
        try:
            with open(os.path.join(source, "include", "linux", "zstd_lib.h")) as header:
                zstd = ".".join(re.findall(number, header.read()))
        except OSError:
            pass
        qemu = output("qemu-system-x86_64", "--version").split("\n")[0]
        sqlite = "import sqlite3; print(sqlite3.sqlite_version)"
        versions = {
            "kernel": kernel,
            "commit": output(*git, "describe", "--always", "--dirty", "--exclude=*"),
            "module": f"{module.hexdigest()[:12]}, by its source",
            "compressors": f"those of Linux {kernel}" + (f"; its zstd is {zstd}" if zstd else ""),
            "qemu": qemu.removeprefix("QEMU emulator version "),
            "gcc": output("gcc", "-dumpfullversion"),
            "python": output("/usr/bin/python3", "--version").removeprefix("Python "),
            "sqlite": output("/usr/bin/python3", "-c", sqlite),
        }
        for name, command in PROGRAMS.items():
            try:
                versions[name] = re.search(r"\d[\w.]*", output(*command)).group()
            except (OSError, AttributeError):
                pass
        return versions

    def keep(self, out):
        """Write the files of a complete run, with figures of parts that were measured before."""
        path = os.path.join(out, "results.json")
        parts = {part for part, *_ in self.figures}
        try:
            with open(path) as file:
                before = json.load(file)
            same = all(before["versions"][of] == self.versions[of] for of in ("kernel", "module"))
            for line in before["figures"] if same else []:
                if line["part"] not in parts:
                    self.figures[tuple(line[name] for name in KEY)] = line["value"]
        except (OSError, ValueError, KeyError):
            pass
        results = {
            "command": self.command,
            "seconds": round(self.seconds),
            "missing": self.missing,
            "versions": self.versions,
            "bars": [
                {"figure": text, "value": value, "bar": bar, "met": met}
                for text, value, bar, met, _ in self.bars()
            ],
            "figures": [
                {**dict(zip(KEY, key, strict=True)), "value": value}
                for key, value in sorted(self.figures.items())
            ],
        }
        write(path, json.dumps(results, indent=1) + "\n")
        write(os.path.join(out, "performance.rst"), self.rst())
        self.plot(out)

    def get(self, part, where, comp, row, backend):
        def one(what):
            key = (part, where, backend, comp, what)
            if comp in OWN_BARS and not backend.startswith("ghostswap"):
                # They have lz4 beside it, and are not measured with that again.
                return self.figures.get(key) or self.figures[part, where, backend, "lz4", what]
            return self.figures[key]

        try:
            return row.made_of(one) if row.made_of else one(row.what)
        except KeyError:
            return None

    def best(self, part, where, comp, row):
        """The least figure of the backends that ghostswap replaces."""
        values = [self.get(part, where, comp, row, name) for name in row.peers]
        return min((value for value in values if value is not None), default=None)

    def judge(self, part, where, comp, row):
        """(ratio, bar, met) of a row, each None if there is none."""
        own = self.get(part, where, comp, row, row.own)
        if isinstance(row.against, (int, float)):
            other = row.against
        elif row.against == "peers":
            other = self.best(part, where, comp, row)
        else:
            other = self.get(part, where, comp, row, row.against)
        if own is None or not other:
            return None, None, None
        ratio = own / other
        bar = row.bar
        if comp == "lzo-rle" or where == "random" or (row.where and where not in row.where):
            bar = None
        if comp in OWN_BARS and part not in [*SHORT_PARTS, "alone"]:
            bar = OWN_BARS[comp].get(where, {}).get(row.what) if part == "pages" else None
        return ratio, bar, None if bar is None else ratio <= bar

    # --- tables -----------------------------------------------------------------

    def sections(self):
        """(title, rows, [(part, where, compressor)]) of each table."""
        keys = {(part, where, comp) for part, where, _, comp, _ in self.figures}

        def of(part):
            order = [*CORPORA, *JOB_NAMES, *COMPRESSORS]
            found = [key for key in keys if key[0] == part]
            return sorted(found, key=lambda key: [order.index(name) for name in key[1:]])

        yield "Instructions and RAM, a page", HOT + RAM, of("pages")
        yield "The disk's part, a page written back", STORE, of("pages")
        empty = [key for key in of("pages") if key[1:] == ("python", "lz4")]
        yield "An area with nothing in it", EMPTY, empty
        yield "Pages that are left alone, a page", ALONE, of("alone")
        yield "Whose instructions they are, a page", WHERE, of("profile")
        yield "Whose instructions reads and writes of a disk are, a page", DISK_WHERE, of("profile")
        yield "What grows with the machine, a page", SCALE, of("scale")
        yield "Reads at depth, a page", DEPTH, of("scale")
        yield "Reads at depth, on the clock", DEPTH, of("scale-clock")
        yield "A disk of 200 requests a second", SLOW, of("disk")
        yield "Whole jobs", JOBS, of("jobs")
        for part, memory in SHORT_PARTS.items():
            yield f"Whole jobs on a machine of {memory}, short of memory", SHORT_JOBS, of(part)

    def lines(self, rows, part, where, comp):
        """The cells of each row that has a figure."""
        for row in rows:
            values = [
                self.get(part, where, comp, row, name)
                if row.own == "ghostswap" or name in (row.own, row.against)
                else None
                for name in COLUMNS
            ]
            if all(value is None for value in values):
                continue
            if row.own != "ghostswap" and self.get(part, where, comp, row, row.own) is None:
                continue
            ratio, bar, met = self.judge(part, where, comp, row)
            yield [
                row.text,
                *("-" if value is None else row.form.format(value) for value in values),
                "-" if ratio is None else f"{ratio:.3f}",
                "" if bar is None else f"<= {bar:g}",
                {None: "", True: "met", False: "not met"}[met],
            ]

    def tables(self):
        heading = ["", *COLUMNS, "ratio", "bar", ""]
        for title, rows, keys in self.sections():
            found = [(key, list(self.lines(rows, *key))) for key in keys]
            found = [(key, lines) for key, lines in found if lines]
            if not found:
                continue
            names = JOB_NAMES if rows in (JOBS, SHORT_JOBS) else CORPORA
            # Not all backends are in each table.
            filled = [line for _, lines in found for line in lines]
            used = [i for i in range(len(heading)) if {line[i] for line in filled} - {"", "-"}]
            tables = []
            for (_, where, comp), lines in found:
                cells = [[line[i] for i in used] for line in [heading, *lines]]
                tables.append((f"{names.get(where, where)}, {comp}", cells))
            yield title, tables

    def side_by_side(self):
        """(title, lines) of tables with all compressors beside each other, in ghostswap, and by
        lz4 if both are there."""
        others = [name for name in COMPRESSORS if name != "lz4"]
        for row, title in (
            (RAM[1], "Compressed pages, bytes a page"),
            (HOT[0], "Instructions a page, out"),
            (HOT[1], "Instructions a page, in"),
        ):
            lines = [["", "lz4", *others, "WKdm", *(f"{name}/lz4" for name in others)]]
            for name in CORPORA:
                values = {
                    comp: self.get("pages", name, comp, row, "ghostswap") for comp in COMPRESSORS
                }
                if not any(values[comp] for comp in others):
                    continue
                values["WKdm"] = self.get("host", name, "WKdm", row, "host")
                line = [name]
                for comp in ["lz4", *others, "WKdm"]:
                    line.append("-" if values[comp] is None else f"{values[comp]:,.0f}")
                for comp in others:
                    is_known = values[comp] and values["lz4"]
                    line.append(f"{values[comp] / values['lz4']:.3f}" if is_known else "-")
                lines.append(line)
            if len(lines) > 1:
                used = [i for i in range(len(lines[0])) if {line[i] for line in lines[1:]} != {"-"}]
                yield title, [[line[i] for i in used] for line in lines]

    def module_of_empty(self):
        for size in ("64G", "1T"):
            row = Row(f"empty-{size}", "")
            whole = self.get("pages", "python", "lz4", row, "ghostswap")
            kernel = self.get("pages", "python", "lz4", row, "swap")
            if whole is not None and kernel is not None:
                yield size, whole - kernel

    def bars(self):
        """(text, value, bar, met) of all that has one."""
        for _, rows, keys in self.sections():
            for part, where, comp in keys:
                for row in rows:
                    ratio, bar, met = self.judge(part, where, comp, row)
                    if bar is not None:
                        text = f"{whole_text(rows, row)} ({where}, {comp})"
                        rest = "" if met else self.obstacle(part, where, comp, row)
                        yield text, f"{ratio:.3f}", f"<= {bar:g}", met, rest
        for size, rest in self.module_of_empty():
            if size == "1T":
                text = "an empty area of 1 TiB, bytes more than plain swap"
                yield text, f"{rest:,.0f}", "< 65,536", rest < 65536, ""
        for (part, _, backend, comp, what), value in sorted(self.figures.items()):
            if part == "native" and backend == "ghostswap" and what == "second":
                text, met = f"pages a second with a second CPU ({comp})", value >= 1.8
                yield text, f"{value:.2f}", ">= 1.8", met, "" if met else self.far_apart(comp)
        for what, bar in OWN_NATIVE_BARS.items():
            # To the better of them, so the larger one.
            ratios = [
                self.figures.get(("native", "python", "ghostswap", "wlz", f"{what}/{peer}"))
                for peer in PEERS
            ]
            if None not in ratios:
                text, met = f"on the clock, {what} (python, wlz)", max(ratios) <= bar
                rest = "" if met else self.not_the_codec(what)
                yield text, f"{max(ratios):.3f}", f"<= {bar:g}", met, rest

    def obstacle(self, part, where, comp, row):
        """What a figure would be if ghostswap's own share of it were nothing."""
        if row.what == "ram":
            rest = next(one for one in RAM if one.what == "rest")
            share, words = self.get(part, where, comp, rest, "ghostswap"), "tables and buffers"
        elif row.what in WITHOUT_CODEC:
            codec = Row(WITHOUT_CODEC[row.what], "")
            share = self.get("profile", "python", comp, codec, row.own) if part == "scale" else None
            words = "compressor"
        else:
            own = Row(f"{PHASES.get(row.what, row.what.removesuffix('-way'))}-own", "")
            share, words = self.get("profile", "python", comp, own, row.own), "own functions"
        if row.against in COLUMNS:
            least = self.get(part, where, comp, row, row.against)
        else:
            least = self.best(part, where, comp, row)
        value = self.get(part, where, comp, row, row.own)
        if None in (share, least, value):
            return ""
        return f"{(value - share) / least:.3f} without its {words}"

    def far_apart(self, comp):
        """What the second CPU is worth to others in the same run."""
        found = {
            text: self.figures.get(("native", "python", backend, comp, what))
            for text, backend, what in (
                ("zram {:.2f}", "zram", "second"),
                ("zswap {:.2f}", "zswap", "second"),
                ("pages of zeros {:.2f}", "ghostswap", "zero-second"),
            )
        }
        return ", ".join(text.format(value) for text, value in found.items() if value)

    def not_the_codec(self, what):
        """How much of what others take on the clock is not lz4 itself, which is all that wlz can save."""
        codec = {"store": "out", "load": "in"}[what]
        least = self.figures.get(("native", "python", "codec", "lz4", codec))
        found = {
            peer: self.figures.get(("native", "python", peer, "lz4", what)) for peer in PEERS
        }
        if least is None or None in found.values():
            return ""
        return "without lz4 itself: " + ", ".join(
            f"{peer} {(value - least) / value:.2f}" for peer, value in found.items()
        )

    def losses(self):
        """A text for each figure in which another backend is better, by a percent at least."""
        for _, rows, keys in self.sections():
            if rows is WHERE:
                continue
            for part, where, comp in keys:
                for row in rows:
                    # What a part of something is does not matter if the whole is less.
                    if row.text.startswith("  ") and rows not in (STORE, SLOW):
                        continue
                    names = [*row.peers, "swap"] if rows is SLOW else row.peers
                    own = self.get(part, where, comp, row, "ghostswap")
                    others = {name: self.get(part, where, comp, row, name) for name in names}
                    others = {name: value for name, value in others.items() if value}
                    if own is None or not others:
                        continue
                    name = min(others, key=others.get)
                    if own > others[name] * 1.01:
                        yield (
                            f"{whole_text(rows, row)} ({where}, {comp}): {row.form.format(own)}, "
                            f"{own / others[name]:.2f} times {name}'s "
                            f"{row.form.format(others[name])}"
                        )

    def native(self):
        """(title, lines) of the figures of tests/um, without their ranges and intervals."""
        figures = {key[2:]: value for key, value in self.figures.items() if key[0] == "native"}
        for comp in dict.fromkeys(key[1] for key in figures):
            names = [
                name
                for name in ("cpus", "codec", *COLUMNS)
                if any(key[:2] == (name, comp) for key in figures)
            ]
            whats = dict.fromkeys(key[2] for key in figures if key[1] == comp)
            lines = [["", *names]]
            for what in whats:
                if not re.search("-(min|max|low|high)$", what):
                    values = [figures.get((name, comp, what)) for name in names]
                    lines.append(
                        [what, *("-" if value is None else f"{value:,.2f}" for value in values)]
                    )
            yield f"Native, {comp}", lines

    def text(self):
        """All of it for a terminal."""
        parts = []
        for title, tables in self.tables():
            for name, lines in tables:
                parts.append(f"{title}: {name}\n\n{indent(columns(lines))}")
        for name, lines in [*self.side_by_side(), *self.native()]:
            parts.append(f"{name}\n\n{indent(columns(lines))}")
        if self.missing:
            parts.append("Not measured:\n\n" + indent(self.missing))
        rests = [f"{size}: {rest:,.0f} bytes" for size, rest in self.module_of_empty()]
        if rests:
            parts.append(
                "What an empty ghostswap area takes more than plain swap: " + ", ".join(rests)
            )
        bars = [
            [text, value, bar, "met" if met else "not met", rest]
            for text, value, bar, met, rest in self.bars()
        ]
        if bars:
            met = sum(line[3] == "met" for line in bars)
            parts.append(f"Bars: {met} of {len(bars)} met\n\n" + indent(columns(bars)))
        return "\n\n".join(parts) if parts else "No figures."

    def rst(self):
        with open(os.path.join(self.root, "tests", "bench", "performance.rst.in")) as file:
            template = file.read()
        tables = []
        for title, found in self.tables():
            tables.append(f"{title}\n{'-' * len(title)}")
            for name, lines in found:
                tables.append(f"{name[0].upper() + name[1:]}:\n\n{simple_table(lines)}")
        for name, lines in [*self.side_by_side(), *self.native()]:
            tables.append(f"{name}\n{'-' * len(name)}\n\n{simple_table(lines)}")
        bars = [["figure", "value", "bar", "", "what stands in the way"]]
        bars += [
            [text, value, bar, "met" if met else "**not met**", rest]
            for text, value, bar, met, rest in self.bars()
        ]
        rests = [f"{size}iB: {rest:,.0f} bytes" for size, rest in self.module_of_empty()]
        values = {
            "COMMAND": self.command,
            "TIME": f"{round(self.seconds / 60)} minutes",
            "VERSIONS": simple_table(
                [["of", "version"], *([name, value] for name, value in self.versions.items())]
            ),
            "MISSING": "\n".join(f"- {text}" for text in self.missing) or "Nothing.",
            "TABLES": "\n\n".join(tables),
            "EMPTY": "; ".join(rests) or "not measured",
            "BARS": simple_table(bars) if len(bars) > 1 else "None was measured.",
            "LOSSES": "\n".join(f"- {text}" for text in self.losses())
            or "Nowhere in what was measured.",
        }
        return re.sub(r"@(\w+)@", lambda match: values[match.group(1)], template)

    # --- plots ------------------------------------------------------------------

    def plot(self, out):
        try:
            import matplotlib
        except ImportError:
            print("No plots: matplotlib is missing; scripts/setup bench installs it")
            return
        matplotlib.use("svg")
        # The same figures make the same file.
        matplotlib.rcParams.update(
            {"svg.hashsalt": "ghostswap", "svg.fonttype": "none", "font.size": 9}
        )
        from matplotlib import pyplot

        def bars(axis, groups, names, value, title, unit):
            width = 0.8 / len(names)
            for i, name in enumerate(names):
                places = [(n + i * width, value(group, name)) for n, group in enumerate(groups)]
                places = [(place, height) for place, height in places if height is not None]
                lefts, heights = [place for place, _ in places], [height for _, height in places]
                axis.bar(lefts, heights, width, color=COLOURS[name], label=name)
            axis.set_xticks([n + 0.4 - width / 2 for n in range(len(groups))], groups)
            axis.set_title(title)
            axis.set_ylabel(unit)

        def figure(name, panels, names, unit, per_row):
            """panels: (title, groups, value(group, backend))"""

            def has_any(panel, name):
                return any(panel[2](group, name) is not None for group in panel[1])

            names = [one for one in names if any(has_any(panel, one) for panel in panels)]
            panels = [panel for panel in panels if any(has_any(panel, one) for one in names)]
            if not panels:
                return
            across = min(per_row, len(panels))
            down = -(-len(panels) // across)
            sheet, axes = pyplot.subplots(
                down, across, squeeze=False, figsize=(4 * across, 3 * down + 0.4)
            )
            for axis in axes.flat[len(panels) :]:
                axis.axis("off")
            for axis, (title, groups, value) in zip(axes.flat, panels, strict=False):
                bars(axis, groups, names, value, title, unit)
            sheet.legend(*axes.flat[0].get_legend_handles_labels(), loc="upper center", ncols=9)
            sheet.tight_layout(rect=(0, 0, 1, 1 - 0.35 / (3 * down + 0.4)))
            sheet.savefig(os.path.join(out, name + ".svg"), metadata={"Date": None})
            pyplot.close(sheet)

        def reader(part, row, where=None, comp="lz4"):
            """What a panel asks for: by compressor if WHERE is given, else by pages."""
            if where:
                return lambda group, name: self.get(part, where, group, row, name)
            return lambda group, name: self.get(part, group, comp, row, name)

        backends = COLUMNS[2:]
        compressors = COMPRESSORS
        found = {key[1] for key in self.figures if key[0] == "pages"}
        corpora = [name for name in CORPORA if name in found]
        panels = [
            (row.text.split(", inst")[0], compressors, reader("pages", row, "python"))
            for row in HOT
        ]
        figure("instructions", panels, backends, "instructions a page", 3)
        panels = [(row.text, corpora, reader("pages", row)) for row in (HOT[0], HOT[1], RAM[0])]
        figure("pages", panels, backends, "a page, lz4", 1)
        panels = [(whole_text(STORE, row), corpora, reader("pages", row)) for row in STORE]
        figure("store", panels, backends, "a page, lz4", 2)
        panels = [(row.text, ["lz4"], reader("disk", row, "python")) for row in SLOW[::2]]
        figure("disk", panels, COLUMNS, "", 3)
        panels = [
            (whole_text(JOBS, row), list(JOB_NAMES), reader("jobs", row)) for row in JOBS[:-1]
        ]
        figure("jobs", panels, COLUMNS, "", 2)
        self.plot_ram(pyplot, out, compressors, backends)

    def plot_ram(self, pyplot, out, compressors, backends):
        """The parts of a page's RAM, stacked."""
        groups = [
            (comp, name)
            for comp in compressors
            for name in backends
            if self.get("pages", "python", comp, RAM[0], name) is not None
        ]
        if not groups:
            return
        figure, axis = pyplot.subplots(figsize=(10, 4))
        below = [0.0] * len(groups)
        for row in RAM[1:]:
            heights = [self.get("pages", "python", comp, row, name) or 0 for comp, name in groups]
            axis.bar(range(len(groups)), heights, 0.7, bottom=below, label=row.text.strip())
            below = [low + height for low, height in zip(below, heights)]
        axis.set_xticks(
            range(len(groups)), [f"{comp}\n{name}" for comp, name in groups], fontsize=7
        )
        axis.set_ylabel("bytes a page")
        axis.legend()
        figure.tight_layout()
        figure.savefig(os.path.join(out, "ram.svg"), metadata={"Date": None})
        pyplot.close(figure)


def write(path, text):
    with open(path + ".new", "w") as file:
        file.write(text)
    os.rename(path + ".new", path)


def columns(lines):
    """Lines of padded cells, the first column to the left, the others to the right."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        cells = [
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths))
        ]
        yield "  ".join(cells).rstrip()


def indent(lines):
    return "\n".join(f"  {line}" for line in lines)


def simple_table(lines):
    """A table of reStructuredText. A line of it must begin with a cell that is not empty
    and does not begin with a blank."""
    lines = [[re.sub("^  ", "… ", line[0]) or "..", *line[1:]] for line in lines]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    border = "  ".join("=" * max(width, 1) for width in widths)
    padded = list(columns(lines))
    return "\n".join([border, padded[0], border, *padded[1:], border])

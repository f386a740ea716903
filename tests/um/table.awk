# SPDX-License-Identifier: GPL-2.0
#
# A table of the lines "figure BACKEND COMPRESSOR WHAT VALUE" that figures.awk makes.

BEGIN {
	row("out", "ns a page, out", "%.0f")
	row("in", "in", "%.0f")
	row("store", "the backend's, out", "%.0f")
	row("load", "in", "%.0f")
	row("pages-1", "pages a second", "%.0f")
	row("pages-2", "with two CPUs", "%.0f")
	row("second", "times as many", "%.2f")
	row("zero-second", "without a backend", "%.2f")
	row("store/codec", "times compression, out", "%.2f")
	row("load/codec", "in", "%.2f")
	split("codec zram zswap ghostswap", columns, " ")
}

function row(what, text, form) {
	whats[++rows] = what
	texts[rows] = text
	forms[rows] = form
}

$1 == "figure" {
	value[$3, $2, $4] = $5
	if ($2 != "cpus" && !($3 in known)) {
		known[$3]
		compressor[++compressors] = $3
	}
}

# A figure, and in brackets from where to where its rounds, or it, may be.
function range(comp, backend, what, form, least, most) {
	if (!((comp, backend, what) in value))
		return "-"
	if (!((comp, backend, what least) in value)) {
		least = "-min"
		most = "-max"
	}
	return sprintf(form " (" form "-" form ")", value[comp, backend, what],
		       value[comp, backend, what least], value[comp, backend, what most])
}

function print_ratios(comp, other,   i, what, names) {
	if (!((comp, "ghostswap", "out/" other) in value))
		return
	split("out in store load pages-2", names, " ")
	printf "%-5s ghostswap/%-6s", "", other
	for (i = 1; i <= 5; i++) {
		what = names[i] "/" other
		printf "   %s %s", names[i],
			range(comp, "ghostswap", what, "%.3f", "-low", "-high")
	}
	printf "\n"
}

END {
	for (c = 1; c <= compressors; c++) {
		comp = compressor[c]
		printf "%-5s %-23s", comp, ""
		for (b = 1; b in columns; b++)
			printf " %-24s", columns[b]
		printf "\n"
		for (r = 1; r <= rows; r++) {
			printf "%-5s %-23s", "", texts[r]
			for (b = 1; b in columns; b++)
				printf " %-24s", range(comp, columns[b], whats[r], forms[r],
						       "-min", "-max")
			printf "\n"
		}
		print_ratios(comp, "zram")
		print_ratios(comp, "zswap")
	}
	print "A line of memory from one CPU to the other and back: " \
		range("none", "cpus", "round-trip", "%.0f", "-min", "-max") " ns"
	print "In brackets: the least and the largest of all rounds; at the ratios to zram and"
	print "zswap, where the true one is, 95 to 5, if rounds were independent."
}

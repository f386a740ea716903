# SPDX-License-Identifier: GPL-2.0
#
# A table of pagebench's lines "figure BACKEND COMPRESSOR WHAT VALUE".

BEGIN {
	row("out", "instructions a page, out")
	row("in", "in")
	row("free", "freed")
	row("thp-out", "out, in huge pages")
	row("ram", "bytes of RAM a page, all")
	row("slab", "of that in slab caches")
	row("own", "by the backend's figures")
}

function row(what, text) {
	whats[++rows] = what
	texts[rows] = text
}

$1 == "figure" {
	value[$3, $4, $2] = $5
	if (!($3 in known)) {
		known[$3]
		compressor[++compressors] = $3
	}
}

function figure(comp, what, backend) {
	return (comp, what, backend) in value ? sprintf("%.0f", value[comp, what, backend]) : "-"
}

function ratio(comp, what, other) {
	if (!((comp, what, "ghostswap") in value) || value[comp, what, other] + 0 == 0)
		return "-"
	return sprintf("%.3f", value[comp, what, "ghostswap"] / value[comp, what, other])
}

END {
	format = "%-8s %-25s %8s %8s %10s  %6s %6s\n"
	printf format, "", "", "zram", "zswap", "ghostswap", "/zram", "/zswap"
	for (c = 1; c <= compressors; c++) {
		for (r = 1; r <= rows; r++) {
			comp = compressor[c]
			what = whats[r]
			printf format, r == 1 ? comp : "", texts[r],
				figure(comp, what, "zram"), figure(comp, what, "zswap"),
				figure(comp, what, "ghostswap"),
				ratio(comp, what, "zram"), ratio(comp, what, "zswap")
		}
	}
}

# SPDX-License-Identifier: GPL-2.0
#
# What wallbench's samples "sample ROUND BACKEND COMPRESSOR WHAT VALUE" say, as lines
# "figure BACKEND COMPRESSOR WHAT VALUE". WHAT is one of these; VALUE is the median of
# the rounds, and lines with -min and -max after WHAT have the least and the largest.
#
#   out, in, zero-out, zero-in
#                  nanoseconds per page, as sampled: all that the kernel does for it
#   store, load    out without zero-out, in without zero-in: the backend's part. It is too
#                  small by what it takes to see that a page is zero, and to clear one.
#   pages-1        pages per second out and in, one process
#   pages-2        two processes at once, each on a CPU
#   second         how many times as many the second CPU makes them
#   zero-second    the same for pages that are all zero: how far the kernel, and this
#                  machine, get without a backend
#   round-trip     of the backend cpus: nanoseconds for a line of memory from one CPU to the
#                  other and back. Where it is several hundred they are far apart, and what
#                  they share keeps any backend from twice the pages.
#
# And of ghostswap, as many times as in the same round, of those that all have it:
#
#   out/zram, store/zswap, pages-2/zram, ...
#                  that of another backend
#   store/codec, load/codec
#                  what the compressor alone takes; this one the others have, too. zswap
#                  pays here for the crypto API's set-up of zstd, which is another.
#
# Lines with -low and -high have the interval in which the median of ever more rounds
# would be with a probability of 95 percent or more, if rounds were independent. It needs
# at least 6 of them, and assumes nothing of how they are distributed.

$1 == "sample" {
	value[$2, $3, $4, $5] = $6
	if ($2 + 1 > rounds)
		rounds = $2 + 1
	note_pair($3, $4)
}

function note_pair(backend, comp) {
	if ((backend, comp) in known)
		return
	known[backend, comp]
	backend_of[++pairs] = backend
	comp_of[pairs] = comp
}

function get(round, backend, comp, what) {
	return value[round, backend, comp, what]
}

function set(round, backend, comp, what, number) {
	value[round, backend, comp, what] = number
}

function derive(round, backend, comp,   both) {
	both = get(round, backend, comp, "out") + get(round, backend, comp, "in")
	set(round, backend, comp, "pages-1", 1e9 / both)
	set(round, backend, comp, "pages-2", 1e9 / get(round, backend, comp, "two"))
	set(round, backend, comp, "second", both / get(round, backend, comp, "two"))
	if (backend == "codec")
		return
	set(round, backend, comp, "store",
	    get(round, backend, comp, "out") - get(round, backend, comp, "zero-out"))
	set(round, backend, comp, "load",
	    get(round, backend, comp, "in") - get(round, backend, comp, "zero-in"))
	both = get(round, backend, comp, "zero-out") + get(round, backend, comp, "zero-in")
	set(round, backend, comp, "zero-second", both / get(round, backend, comp, "zero-two"))
	set(round, backend, comp, "store/codec",
	    get(round, backend, comp, "store") / get(round, "codec", comp, "out"))
	set(round, backend, comp, "load/codec",
	    get(round, backend, comp, "load") / get(round, "codec", comp, "in"))
}

function compare(round, comp, what, other) {
	set(round, "ghostswap", comp, what "/" other,
	    get(round, "ghostswap", comp, what) / get(round, other, comp, what))
}

# The rounds' values into sorted[1..rounds].
function sort(backend, comp, what,   i, j, number) {
	for (i = 1; i <= rounds; i++) {
		number = value[i - 1, backend, comp, what]
		for (j = i - 1; j >= 1 && sorted[j] > number; j--)
			sorted[j + 1] = sorted[j]
		sorted[j + 1] = number
	}
}

function print_figure(backend, comp, what, number) {
	printf "figure %s %s %s " (number < 100 ? "%.4f" : "%.1f") "\n", backend, comp, what, number
}

function print_spread(backend, comp, what,   middle) {
	sort(backend, comp, what)
	middle = int((rounds + 1) / 2)
	print_figure(backend, comp, what, (sorted[middle] + sorted[rounds + 1 - middle]) / 2)
	print_figure(backend, comp, what "-min", sorted[1])
	print_figure(backend, comp, what "-max", sorted[rounds])
}

# The median lies outside of the k-th least and the k-th largest as often as fewer than k
# of as many coins show heads, or fewer than k tails.
function print_interval(backend, comp, what,   k, term, below) {
	term = 0.5 ^ rounds
	for (k = 0; below + term <= 0.025; k++) {
		below += term
		term *= (rounds - k) / (k + 1)
	}
	if (k == 0)
		return
	print_figure(backend, comp, what "-low", sorted[k])
	print_figure(backend, comp, what "-high", sorted[rounds + 1 - k])
}

function print_ratio(backend, comp, what) {
	print_spread(backend, comp, what)
	print_interval(backend, comp, what)
}

END {
	for (pair = 1; pair <= pairs; pair++)
		for (round = 0; round < rounds && backend_of[pair] != "cpus"; round++)
			derive(round, backend_of[pair], comp_of[pair])

	plain = "out in zero-out zero-in store load pages-1 pages-2"
	compared = "out in store load pages-2"
	others = "zram zswap"
	for (pair = 1; pair <= pairs; pair++) {
		backend = backend_of[pair]
		comp = comp_of[pair]
		if (backend == "cpus") {
			print_spread(backend, comp, "round-trip")
			continue
		}
		count = split(plain, whats, " ")
		for (w = 1; w <= count; w++)
			if ((0, backend, comp, whats[w]) in value)
				print_spread(backend, comp, whats[w])
		print_ratio(backend, comp, "second")
		if (backend == "codec")
			continue
		print_ratio(backend, comp, "zero-second")
		print_ratio(backend, comp, "store/codec")
		print_ratio(backend, comp, "load/codec")
		if (backend != "ghostswap")
			continue
		count = split(compared, whats, " ")
		split(others, names, " ")
		for (o = 1; o in names; o++) {
			if (!((names[o], comp) in known))
				continue
			for (w = 1; w <= count; w++) {
				for (round = 0; round < rounds; round++)
					compare(round, comp, whats[w], names[o])
				print_ratio(backend, comp, whats[w] "/" names[o])
			}
		}
	}
}

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Pages that are wanted in the order in which they were swapped out come back with few
# requests; others with no more than before; and none is lost because another is.
#
# Needs two CPUs: one ends reads that the other begins.

. "$(dirname "$0")/lib.sh"

in_order() { # KINDS PAGE-CLUSTER
	local loads ios bytes in_vain
	# How many slots the kernel reads around a fault, as a power of 2.
	put_for_now /proc/sys/vm/page-cluster "$2"
	area_with_store 64M
	start_in_store -s 16 -k "$1" fill out hold check
	reads_of release
	holds "loads" "$loads >= 4000"
	holds "reads" "$ios * 100 <= $loads * 6"
	holds "bytes in vain" "$in_vain * 10 <= $bytes"
	ends_empty file
}

in_no_order() {
	local loads ios bytes in_vain
	put_for_now /proc/sys/vm/page-cluster 0
	area_with_store 64M
	start_in_store -s 16 -k t fill out hold probe check
	reads_of release
	holds "loads" "$loads >= 4000"
	holds "reads" "$ios <= $loads"
	holds "bytes" "$bytes <= $loads * 2 * PAGE"
	holds "bytes in vain" "$in_vain * 50 <= $bytes"
	ends_empty file
}

by_two() {
	local loads ios bytes in_vain
	area_with_store 64M
	start_in_store -s 8 -k t fill out hold check
	start_second -i 2 -s 8 -k t fill out hold check
	write_back file
	reads_of both
	holds "loads" "$loads >= 4000"
	holds "reads" "$ios * 100 <= $loads * 6"
	ends_empty file
}

both() {
	let_go
	release_second
	wait "$held_pid"
}

promise "pages in order take 6 requests for 100" in_order tttr 3
promise "so do those that the kernel does not read ahead" in_order tttr 0
promise "pages in no order take as many as they did" in_no_order
promise "each of two processes goes on where it was" by_two
# Each page there has a record in two blocks.
promise "where blocks cannot be read, the pages beside them are not lost" \
	loses_a_piece 34 r lost check
finish

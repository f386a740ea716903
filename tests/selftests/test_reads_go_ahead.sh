#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Pages that are wanted in the order in which they were swapped out come back with few
# requests; others with no more than before; and none is lost because another is.
#
# Needs two CPUs: one ends reads that the other begins.

. "$(dirname "$0")/lib.sh"

# reads_of COMMAND...: sets $loads, $ios and $bytes to what it came to.
reads_of() {
	loads=$(stat_of file loads) ios=$(store_stat file 0 read_ios)
	bytes=$(store_stat file 0 read_bytes)
	"$@"
	loads=$(($(stat_of file loads) - loads)) ios=$(($(store_stat file 0 read_ios) - ios))
	bytes=$(($(store_stat file 0 read_bytes) - bytes))
	in_vain=$(stat_of file read_in_vain_bytes)
	note "$loads loads, $ios reads of $bytes bytes, $in_vain in vain"
}

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

# The disk has a piece of 32 blocks that cannot be read. Each page there has a record in two of them.
beside_what_cannot_be_read() {
	local at=4096 lost
	mapped linear DISK 0
	area file 1G "limit=64M,backing=$disk"
	start_in_store -s 8 -k r fill out hold lost check
	load_lines <<-END
		0 $at linear $below 0
		$at 256 error
		$((at + 256)) $((32 * 2048 - at - 256)) linear $below $((at + 256))
	END
	release
	lost=$(said_number lost)
	note "$lost pages lost of a piece of 32 blocks"
	holds "pages lost" "$lost >= 31 && $lost <= 34"
	holds "failed loads" "$(stat_of file failed_loads) >= $lost"
}

promise "pages in order take 6 requests for 100" in_order tttr 3
promise "so do those that the kernel does not read ahead" in_order tttr 0
promise "pages in no order take as many as they did" in_no_order
promise "each of two processes goes on where it was" by_two
promise "where blocks cannot be read, the pages beside them are not lost" beside_what_cannot_be_read
finish

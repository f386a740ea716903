#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A page in a store comes back as it was, to all that share it and whatever goes on,
# with two blocks read at most; and what is freed there makes room there.
#
# Needs two CPUs: one stores and loads what the other moves.

. "$(dirname "$0")/lib.sh"

nothing_left() { # FILE
	ends_empty "$1"
	equal "in the store" "0 0" "$(stat_of "$1" redirected_pages) $(stat_of "$1" redirected_bytes)"
	until_true "no segment is in use" 10 is_empty "$1" 0
}

# 18 MiB of pages, about 9 MiB as objects, in 4 MiB and 2 MiB.
under_pressure() {
	area_with_store 64M limit=2M
	cgroup tight memory.high=4M
	several 3 -g tight -s 6 -k tttrs fill check rewrite:4 churn:400 check
	all_end
	note "loads $(stat_of file loads), written pages $(stat_of file written_pages)," \
		"reads of the store $(store_stat file 0 read_ios)"
	holds "pages written" "$(stat_of file written_pages) > 1000"
	holds "reads of the store" "$(store_stat file 0 read_ios) > 500"
	nothing_left file
}

two_blocks_at_most() { # KINDS BYTES: at most so many bytes a load
	local loads ios bytes
	area_with_store 64M
	start_in_store -s 8 -k "$1" fill out hold check
	loads=$(stat_of file loads)
	release
	loads=$(($(stat_of file loads) - loads))
	ios=$(store_stat file 0 read_ios) bytes=$(store_stat file 0 read_bytes)
	note "$loads loads, $ios reads of $bytes bytes"
	# The open segment's may still be in memory.
	holds "loads" "$loads > 1900"
	holds "reads" "$ios > 0 && $ios <= $loads"
	holds "bytes read" "$bytes <= $loads * $2"
	nothing_left file
}

freed_in_the_store() {
	area_with_store 64M
	start_in_store -s 24 -k r fill out hold keep:4 hold check free hold fill check
	holds "pages in the store" "$(stat_of file redirected_pages) > 6000"
	equal "bytes of records" $(($(stat_of file redirected_pages) * (PAGE + 25))) \
		"$(store_stat file 0 live_bytes)"
	holds "segments in use" "$(store_stat file 0 used_bytes) >= 12 << 21"
	go_on
	holds "pages in the store, with three of four given back" \
		"$(stat_of file redirected_pages) <= 1536"
	equal "bytes of records" $(($(stat_of file redirected_pages) * (PAGE + 25))) \
		"$(store_stat file 0 live_bytes)"
	holds "garbage" "$(store_stat file 0 garbage_bytes) + $(store_stat file 0 live_bytes) <= \
		$(store_stat file 0 used_bytes)"
	go_on
	until_true "no segment is in use" 10 is_empty file 0
	equal "sealed segments" 0 "$(store_stat file 0 sealed_segments)"
	release
	nothing_left file
}

freed_by_the_end() {
	area_with_store 64M
	start_in_store -s 16 -k tttr fill out hold
	holds "sealed segments" "$(store_stat file 0 sealed_segments) > 2"
	release
	nothing_left file
}

forked() {
	area_with_store 64M
	start_in_store -s 6 -k tttrs fill out fork:3 hold check rewrite:2 out check
	holds "pages in the store" "$(stat_of file redirected_pages) > 1100"
	release
	nothing_left file
}

shared() { # KIND
	area_with_store 64M
	start_in_store -m "$1" -s 6 -k tttrs fill out hold check rewrite:3 out hold \
		keep:2 check hold check
	holds "pages in the store" "$(stat_of file redirected_pages) > 1100"
	go_on
	write_back file
	go_on
	write_back file
	release
	nothing_left file
}

huge() {
	area_with_store 64M
	start_in_store -m huge -s 8 -k tttrs fill huge out hold check rewrite:2 out hold check
	holds "pages in the store" "$(stat_of file redirected_pages) > 1500"
	go_on
	write_back file
	release
	nothing_left file
}

# Written back over and over while the same pages are read, rewritten and freed.
while_written_back() {
	area_with_store 64M
	cgroup tight memory.high=4M
	pages -g tight -s 8 -k tttr fill fork:2 churn:600 check >/dev/null &
	while [[ -n $(jobs -rp) ]]; do
		write_back file
	done
	wait $!
	holds "pages written" "$(stat_of file written_pages) > 1500"
	nothing_left file
}

swapped_off() {
	area_with_store 64M
	start_in_store -s 12 -k tttrs fill out fork:1 hold check rewrite:2 check
	gives OK mnt swapoff file
	nothing_left file
	release
}

swapped_off_while_faulting() {
	area_with_store 64M
	start_in_store -s 12 -k tr fill out fork:3 hold check rewrite:2 check
	let_go
	gives OK mnt swapoff file
	nothing_left file
	wait "$held_pid"
}

for_each_compressor() {
	local comp
	for comp in lz4 zstd; do
		disk "$comp.image" 32M
		area "$comp" 1G "limit=64M,comp=$comp,backing=$disk"
		start pages -s 4 -k tttrs fill out hold check
		write_back "$comp"
		holds "pages in the store" "$(stat_of "$comp" redirected_pages) > 700"
		release
		nothing_left "$comp"
		gone "$comp"
	done
}

# Two areas have the same slots, and one store.
of_two_areas() {
	disk disk.image 64M
	area first 1G "limit=64M,pool=both,backing=$disk" 5
	area second 3M pool=both 6
	start pages -s 8 -k tr fill out hold check
	holds "pages in use of each" "$(used_pages first) > 1000 && $(used_pages second) > 700"
	write_back first
	gives OK mnt swapoff second
	release
	nothing_left first
}

promise "several processes under pressure find every page" under_pressure
promise "a load of an incompressible page reads two blocks at most" two_blocks_at_most r 8192
promise "text that is read in order costs less than a block a page" two_blocks_at_most t 4096
promise "pages that are freed in a store free its segments" freed_in_the_store
promise "so does the end of their process" freed_by_the_end
promise "children that share pages in a store find them" forked
for kind in shmem memfd; do
	promise "shared memory of kind $kind comes back from a store" shared "$kind"
done
promise "huge pages come back from a store" huge
promise "writeback races with loads, stores and frees, and loses nothing" while_written_back
promise "swapoff brings back what is in a store" swapped_off
promise "also while others fault the same pages in" swapped_off_while_faulting
promise "with each compressor" for_each_compressor
promise "areas of one pool share its store" of_two_areas
finish

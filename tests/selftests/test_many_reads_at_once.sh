#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Hundreds of loads want pages from a store at once, more than can be read at once: each gets its
# page, those of the same blocks share a read, and what fails is the loss of one page.
#
# Needs two CPUs: one ends reads that the other begins.

. "$(dirname "$0")/lib.sh"

# area_on_memory_disk MS: area "file" with a store that is done with a request after so long, and
# takes 1,024 at once. What goes there is read as it comes.
area_on_memory_disk() {
	memory_disk irqmode=2 "completion_nsec=$(($1 * 1000000))" hw_queue_depth=1024
	mkswap "$disk" >/dev/null
	area file 1G "limit=64M,backing=$disk"
}

# Each page has blocks of its own, so most of them wait for a read to end.
more_than_fit() {
	local loads ios
	area_on_memory_disk 20
	start_in_store -s 12 -k r fill out hold ahead:17 check
	reads_of release
	holds "loads" "$loads >= 3072"
	# A block has the end of one page and the beginning of the next.
	holds "reads" "$ios >= 1500 && $ios <= $loads"
	ends_empty file
}

# Many processes, which are woken one by one.
by_many_processes() {
	area_on_memory_disk 5
	start_in_store -s 2 -k tttr fork:15 fill out hold check rewrite:3 out check
	start_second -s 2 -k tttr -i 2 fork:15 fill out hold ahead check
	write_back file
	let_go
	release_second
	wait "$held_pid" || fail "a process ended with status $?"
	ends_empty file
}

# Three records lie in a block, and what comes while it is read waits for that read.
share_reads() {
	local loads ios
	area_on_memory_disk 20
	start_in_store -s 8 -k t fill out hold ahead check
	reads_of release
	holds "loads" "$loads >= 2048"
	holds "reads" "$ios * 2 < $loads"
	ends_empty file
}

# One thread after the other finds what it wants where another has just read it.
the_same_pages() {
	area_on_memory_disk 5
	start_in_store -s 4 -k tttr fill out fork:15 hold check
	release
	ends_empty file
}

# What was read is kept for a while, but nothing of it keeps the disk.
the_disk_is_free_at_once() {
	local round
	area_on_memory_disk 1
	for round in 1 2 3; do
		start_in_store -s 4 -k tttr fill out hold check
		release
		holds "reads" "$(store_stat file 0 read_ios) > 10"
		gives OK tell file remove_backing "$disk"
		gives OK mnt swapon "$disk"
		gives OK mnt swapoff "$disk"
		gives OK tell file add_backing "$disk"
	done
	ends_empty file
}

promise "more loads than can be read at once find their pages" more_than_fit
promise "so do those of many processes" by_many_processes
promise "loads of the same blocks share a read" share_reads
promise "processes that want the same pages find them" the_same_pages
# Of all that wait for blocks that cannot be read each tries again; so some are lost, and none hangs.
promise "where blocks cannot be read, their pages are lost, and no others" \
	loses_a_piece 150 tttr ahead lost check
promise "a store that was read is free as soon as it is removed" the_disk_is_free_at_once
finish

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Where memory is short, cold pages go to a store, however far the limit is; but
# not while pages come back that just went.

. "$(dirname "$0")/lib.sh"

# The kernel asks each shrinker for some of what it has, and again, until it gets none.
shrink() {
	echo 2 >/proc/sys/vm/drop_caches
}

has_written() { # PAGES
	(($(stat_of file written_pages) > $1))
}

# Each time it is asked for a part of the rest, and writes when that is a segment.
shrink_to_store() { # PAGES
	shrink
	(($(stat_of file redirected_pages) >= $1))
}

no_store() {
	local objects
	area file 1G limit=256M
	start pages -s 16 -k tr fill out hold check
	objects=$(stat_of file compressed_bytes)
	shrink
	equal "bytes of objects" "$objects" "$(stat_of file compressed_bytes)"
	equal "pages written" 0 "$(stat_of file written_pages)"
	release
}

asked_for_all() {
	area_with_store 128M limit=256M
	start pages -s 40 -k r fill out hold check
	equal "pages written before" 0 "$(stat_of file written_pages)"
	until_true "most pages are in the store" 60 shrink_to_store 8192
	release
	equal "failed" "0 0" "$(stat_of file failed_loads) $(stat_of file failed_stores_memory)"
}

short_machine() {
	[[ -e $CGROUPS/memory.reclaim ]] || skip "no memory.reclaim for the whole machine"
	area_with_store 128M limit=256M
	start pages -s 40 -k r fill out hold check
	until_true "pages are written" 60 reclaim_and_see 0
	release
}

reclaim_and_see() { # PAGES
	echo 64M 2>/dev/null >"$CGROUPS/memory.reclaim" || true
	has_written "$1"
}

# What a pool holds is charged to no group, so writing it is of no use to one.
short_group() {
	area_with_store 64M limit=256M
	cgroup short
	start pages -g short -s 16 -k r fill out hold check
	echo 4M 2>/dev/null >"$CGROUPS/ghostswap.short/memory.reclaim" || true
	sleep 1
	equal "pages written" 0 "$(stat_of file written_pages)"
	release
}

come_back() {
	local written
	area_with_store 64M limit=64M
	start pages -s 16 -k r fill out hold check out hold check
	until_true "half of the pages are in the store" 60 shrink_to_store 2048
	go_on
	holds "pages that came back" "$(stat_of file returned_pages) >= 2048"
	written=$(stat_of file written_pages)
	shrink
	sleep 0.5
	equal "pages written then" "$written" "$(stat_of file written_pages)"
	until_true "it goes on later" 120 shrink_and_see "$written"
	release
}

shrink_and_see() { # PAGES
	shrink
	sleep 0.5
	has_written "$1"
}

# What it holds comes back by a disk if it goes; most of what other caches and programs have does not.
asked_once() {
	local written
	area_with_store 128M limit=256M
	start pages -s 40 -k r fill out hold check
	shrink
	# It is written by and by.
	sleep 5
	written=$(stat_of file written_pages)
	note "$written of $(said_number out) pages were written"
	holds "pages written" "$written > 0 && $written < $(said_number out) / 2"
	release
}

promise "without a store, nothing happens" no_store
promise "as much is written as is asked for" asked_for_all
promise "pages are written where the machine is short of memory" short_machine
promise "and not where a control group is" short_group
promise "nothing is written for a while after pages came back soon" come_back
promise "no more than a small part is asked for at a time" asked_once
finish

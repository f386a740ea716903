#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# swapoff loses no page, idle or under load, and frees all the area held.
#
# Needs two CPUs: one faults in what the other swaps off.

. "$(dirname "$0")/lib.sh"

idle() {
	area file
	start pages -s 8 -k tttrsz fill out fork:1 hold check
	holds "stored" "$(stat_of file stored_pages) > 1500"
	gives OK mnt swapoff file
	ends_empty file
	equal "areas" 0 "$(stat_of file areas)"
	release
}

# More than may be in memory at once moves from one area to the other.
under_load() {
	local from before
	cgroup tight memory.high=8M
	area first 1G "" 5
	area second 1G "" 4
	several 2 -g tight -s 8 -k tttrs fill churn check
	until_true "it swaps" 60 has_visited said.1 0
	holds "pages in use" "$(used_pages first) > 1000"
	before=$(visits said.1)
	for _ in 1 2 3; do
		for from in first second; do
			gives OK mnt swapoff "$from"
			ends_empty "$from"
			gives OK mnt swapon "$from"
		done
	done
	until_true "pages are visited" 60 has_visited said.1 "$before"
	kill -TERM "${pids[@]}"
	all_end
	equal "failed loads" 0 $(($(stat_of first failed_loads) + $(stat_of second failed_loads)))
}

# All of it comes back while processes fault the same pages in.
while_faulting() {
	area file
	start pages -s 12 -k tr fill out fork:3 hold check rewrite:2 check
	holds "stored" "$(stat_of file stored_pages) > 2900"
	let_go
	gives OK mnt swapoff file
	ends_empty file
	wait "$held_pid"
}

# Linear in what is stored: 100 pages of 1 TiB leave as fast as of 1 GiB.
time_of_swapoff() { # SIZE: sets $took, in ms
	local begin
	area file "$1"
	start pages -s 1 -k t fill out hold check
	begin=${EPOCHREALTIME/./}
	gives OK mnt swapoff file
	took=$(((${EPOCHREALTIME/./} - begin) / 1000))
	gives OK mnt umount file
	release
}

not_of_the_size() {
	local took small
	time_of_swapoff 1G
	small=$took
	time_of_swapoff 64G
	note "swapoff took $small ms of 1 GiB, $took ms of 64 GiB, with 1 MiB stored in each"
	holds "ms for 64 GiB" "$took < 10 * $small + 500"
}

promise "swapoff brings every page back and frees what the area held" idle
promise "swapoff under load moves pages from area to area, and loses none" under_load
promise "swapoff while others fault the same pages in loses none" while_faulting
promise "swapoff takes time for what is stored, not for the size" not_of_the_size
finish

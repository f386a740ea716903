#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A store that is removed leaves all its pages to the others, or stays; a store
# that is full makes room by cleaning, and by giving its oldest to the next.
#
# Needs two CPUs: one stores and loads what the other moves.

. "$(dirname "$0")/lib.sh"

# Pages of process $held_pid that are swapped out, as its page tables say.
swapped_kib() {
	awk '$1 == "VmSwap:" { print $2 }' "/proc/$held_pid/status"
}

to_memory() {
	local swapped loads stored
	area_with_store 32M
	start_in_store -s 12 -k tttrz fill out hold check
	swapped=$(swapped_kib) loads=$(stat_of file loads) stored=$(stat_of file stored_pages)
	gives OK tell file remove_backing "$disk"
	equal "pages in stores" 0 "$(stat_of file redirected_pages)"
	equal "stored" "$stored" "$(stat_of file stored_pages)"
	equal "incompressible pages in memory" "$(said_number random)" \
		"$(stat_of file incompressible_pages)"
	# No page table was touched for it.
	equal "swapped out" "$swapped" "$(swapped_kib)"
	equal "loads" "$loads" "$(stat_of file loads)"
	equal "stores" "" "$(stores_of file)"
	release
}

to_another_store() {
	local first swapped live
	area_with_store 32M
	first=$disk
	start_in_store -s 12 -k tttr fill out hold check
	swapped=$(swapped_kib) live=$(store_stat file 0 live_bytes)
	gives OK mnt remount file limit=1M
	disk two.image 32M
	gives OK tell file add_backing "$disk"
	gives OK tell file remove_backing "$first"
	equal "stores" "$disk" "$(stores_of file)"
	nearly_within_limit file
	holds "pages in the store" "$(stat_of file redirected_pages) > 2000"
	equal "stored" "$(said_number out)" "$(stat_of file stored_pages)"
	equal "swapped out" "$swapped" "$(swapped_kib)"
	# Objects are moved as they are.
	holds "bytes of records" "$(store_stat file 1 live_bytes) <= $live"
	ends_well
}

under_load() {
	local first second before
	disk one.image 32M first
	disk two.image 32M second
	cgroup tight memory.high=6M
	area file 1G "limit=2M,backing=$first"
	several 2 -g tight -s 8 -k tttr fill churn check
	until_true "it swaps" 60 has_visited said.1 0
	holds "pages in the store" "$(stat_of file redirected_pages) > 500"
	before=$(visits said.1)
	for _ in 1 2; do
		gives OK tell file add_backing "$second"
		gives OK tell file remove_backing "$first"
		equal "stores" "$second" "$(stores_of file)"
		gives OK tell file add_backing "$first"
		gives OK tell file remove_backing "$second"
		equal "stores" "$first" "$(stores_of file)"
	done
	until_true "pages are visited" 60 has_visited said.1 "$before"
	kill -TERM "${pids[@]}"
	all_end
	ends_empty file
}

no_room_in_memory() {
	area_with_store 32M
	start_in_store -s 8 -k r fill out hold check rewrite:2 out hold check
	gives OK mnt remount file limit=1M
	gives_reason ENOSPC "$disk" tell file remove_backing "$disk"
	equal "stores" "$disk" "$(stores_of file)"
	equal "stored" "$(said_number out)" "$(stat_of file stored_pages)"
	nearly_within_limit file
	# It is still in use.
	go_on
	holds "pages in the store" "$(stat_of file redirected_pages) > 1000"
	gives OK mnt remount file limit=64M
	gives OK tell file remove_backing "$disk"
	equal "pages in stores" 0 "$(stat_of file redirected_pages)"
	release
}

no_room_in_the_other_store() {
	local first
	area_with_store 32M
	first=$disk
	start_in_store -s 12 -k r fill out hold check
	gives OK mnt remount file limit=1M
	disk two.image 8M
	gives OK tell file add_backing "$disk"
	gives ENOSPC tell file remove_backing "$first"
	equal "stores" "$first$newline$disk" "$(stores_of file)"
	equal "stored" "$(said_number out)" "$(stat_of file stored_pages)"
	ends_well
	gives OK tell file remove_backing "$first"
	gives OK tell file remove_backing "$disk"
}

empty_ones_at_once() {
	disk disk.image 32M
	area file 1G limit=64M
	start pages -s 4 -k tr fill out hold check
	for _ in 1 2 3; do
		gives OK tell file add_backing "$disk"
		gives OK tell file remove_backing "$disk"
	done
	equal "pages ever written" 0 "$(stat_of file written_pages)"
	release
}

# What a process waits for in a store that goes is either there or elsewhere.
while_it_is_read() {
	area_with_store 32M
	start_in_store -s 12 -k tr fill out fork:3 hold check rewrite:2 check
	let_go
	gives OK tell file remove_backing "$disk"
	equal "pages in stores" 0 "$(stat_of file redirected_pages)"
	wait "$held_pid"
	equal "failed loads" 0 "$(stat_of file failed_loads)"
}

# The first is the fastest, so the oldest go on to the second.
two_tiers() {
	local small
	disk small.image 10M small
	disk large.image 64M
	area file 1G "limit=2M,backing=$small,backing=$disk"
	start pages -s 24 -k tttr fill out:95 hold out:95 hold check rewrite:3 out:95 hold check
	go_on
	holds "pages out" "$(said_number out) > 6144 * 95 / 100"
	equal "their order" "$small$newline$disk" "$(stores_of file)"
	holds "bytes in the first" "$(store_stat file 0 used_bytes) >= 1 << 21"
	holds "bytes in the second" "$(store_stat file 1 live_bytes) > 4 << 20"
	holds "bytes of records" "$(store_stat file 0 live_bytes) + \
$(store_stat file 1 live_bytes) >= $(stat_of file redirected_bytes)"
	# All that is in the second was in the first before.
	holds "bytes written to the first" \
		"$(store_stat file 0 written_bytes) > $(store_stat file 0 size_bytes)"
	holds "bytes moved" \
		"$(store_stat file 0 cleaned_bytes) + $(store_stat file 1 cleaned_bytes) > 0"
	nearly_within_limit file
	go_on
	release
	equal "failed" "0 0" "$(stat_of file failed_loads) $(stat_of file failed_stores_memory)"
}

# About 6 MiB of records in 14 MiB, of which a third is never written anew: no
# segment dies by itself.
cleaned() {
	local round verbs=()
	area_with_store 16M limit=1M
	for round in {1..7}; do
		verbs+=(rewrite:2 out rewrite:3 out)
	done
	start pages -s 12 -k tttr fill out "${verbs[@]}" out:95 hold out hold check
	go_on
	holds "pages out" "$(said_number out) > 3072 * 95 / 100"
	note "written $(store_stat file 0 written_bytes) bytes," \
		"by cleaning $(store_stat file 0 cleaned_bytes)"
	holds "bytes written" \
		"$(store_stat file 0 written_bytes) > 2 * $(store_stat file 0 size_bytes)"
	holds "bytes by cleaning" "$(store_stat file 0 cleaned_bytes) > 0"
	nearly_within_limit file
	release
	until_true "no segment is in use" 10 is_empty file 0
	equal "failed" "0 0" "$(stat_of file failed_loads) $(stat_of file failed_stores_memory)"
}

cleaned_under_load() {
	area_with_store 16M limit=1M
	cgroup tight memory.high=4M
	several 2 -g tight -s 6 -k tttr fill churn:2500 keep:3 rewrite:2 churn:1000 check
	all_end
	note "written $(store_stat file 0 written_bytes) bytes," \
		"by cleaning $(store_stat file 0 cleaned_bytes)"
	ends_empty file
	until_true "no segment is in use" 10 is_empty file 0
}

# Of three segments one is kept for cleaning: what is left of two goes into one.
the_least_store_is_cleaned() {
	area_with_store 8M
	start_in_store -s 3 -k r fill out hold keep:3 hold check
	equal "full segments" 2 "$(store_stat file 0 sealed_segments)"
	go_on
	start_second -i 2 -s 1 -k r fill out hold check
	write_back file
	equal "pages in memory" 0 "$(stat_of file compressed_bytes)"
	release_second
	holds "bytes moved" "$(store_stat file 0 cleaned_bytes) >= 1 << 20"
	ends_well
}

promise "the pages of a store that is removed move to memory" to_memory
promise "or to another store" to_another_store
promise "stores come and go under load, and no page is lost" under_load
promise "a store stays, and loses nothing, if memory has no room for it" no_room_in_memory
promise "also if the other store has too little" no_room_in_the_other_store
promise "stores without pages come and go at once" empty_ones_at_once
promise "a store of the least size is cleaned" the_least_store_is_cleaned
promise "a store is removed while its pages are read" while_it_is_read
promise "what is oldest in a full store moves to the next" two_tiers
promise "a store that is written several times over takes pages still" cleaned
promise "also while pages come and go at random" cleaned_under_load
finish

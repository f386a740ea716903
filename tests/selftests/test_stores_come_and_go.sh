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

# slow_store OPTIONS: area "file", 12 MiB of a process in its store, which takes most of a second for
# each segment that is read.
slow_store() {
	mapped linear DISK 0
	area file 1G "$1,backing=$disk"
	start_in_store -s 12 -k r fill out hold check
	load_table delay DISK 0 800 DISK 0 0
	afterwards load_table linear DISK 0
}

now_ms() {
	echo $((${EPOCHREALTIME/./} / 1000))
}

state_is() { # STATE
	[[ $(store_stat file 0 state) == "$1" ]]
}

uses_less() { # BYTES
	(($(store_stat file 0 used_bytes) < $1))
}

# It takes seconds, and nothing waits for it.
begun_by_remount() {
	local used begin pool
	slow_store limit=64M
	find_pool pool file
	used=$(store_stat file 0 used_bytes)
	begin=$(now_ms)
	gives OK mnt remount file "nobacking=$disk"
	gives OK mnt remount file "nobacking=$disk"
	equal "state" removing "$(store_stat file 0 state)"
	tell file remove_backing "$disk" >said.order &
	[[ $(options_of file) != *backing* ]] || fail "/proc/mounts shows $(options_of file)"
	sync
	echo 1 >/proc/sys/vm/drop_caches
	df file >/dev/null
	note "remount, sync and df took $(($(now_ms) - begin)) ms"
	state_is removing
	until_true "it gets emptier" 20 uses_less "$used"
	equal "how it ended" removed "$(mnt poll "$SYSFS/$pool/backing0/state" removing |
		sed 's/ENODEV/removed/')"
	is_removed file "$disk"
	# Tasks that wait for the removal do not keep its device.
	gives OK mnt swapon "$disk"
	gives OK mnt swapoff "$disk"
	note "the removal took $(($(now_ms) - begin)) ms"
	wait $!
	equal "what the order gave" OK "$(<said.order)"
	equal "stores" "" "$(stores_of file)"
	equal "pages in stores" 0 "$(stat_of file redirected_pages)"
	ends_well
}

called_off() { # COMMAND...
	local pool used order
	slow_store limit=64M
	find_pool pool file
	gives OK mnt remount file "nobacking=$disk"
	# One that waits for it is told.
	tell file remove_backing "$disk" >said.order &
	order=$!
	used=$(store_stat file 0 used_bytes)
	until_true "it gets emptier" 20 uses_less "$used"
	gives OK "$@" "$disk"
	equal "state" open "$(store_stat file 0 state)"
	wait "$order"
	equal "what the order gave" ECANCELED "$(<said.order)"
	# The segment that was being moved may end yet.
	sleep 2
	used=$(store_stat file 0 used_bytes)
	holds "bytes in use" "$used > 0"
	[[ $(options_of file) == *backing=$disk* ]] || fail "/proc/mounts shows $(options_of file)"
	sleep 2
	equal "bytes in use" "$used" "$(store_stat file 0 used_bytes)"
	# It takes pages again, and can be removed.
	write_back file
	holds "pages in the store" "$(stat_of file redirected_pages) > 2900"
	load_table linear DISK 0
	gives OK tell file remove_backing "$disk"
	ends_well
}

remount_with() { # STORE
	mnt remount file "backing=$1"
}

# The reason is in the log, and a program that waits sees that it stays.
ends_badly() {
	local pool
	slow_store limit=64M
	find_pool pool file
	mark_log
	gives OK mnt remount file "limit=1M,nobacking=$disk"
	equal "how it ended" open "$(mnt poll "$SYSFS/$pool/backing0/state" removing)"
	one_line "backing=$disk: stays, for [0-9]* KiB of it could not be moved: (ENOSPC|Error.28.)"
	equal "stored" "$(said_number out)" "$(stat_of file stored_pages)"
	load_table linear DISK 0
	ends_well
}

# What is begun by a remount goes on when a task that waits for it ends, and what an order began
# ends with it.
ends_with_its_task() {
	local order
	slow_store limit=64M
	gives OK mnt remount file "nobacking=$disk"
	timeout 1 mnt write "$SYSFS/$(pool_of file)/remove_backing" "$disk" || true
	equal "state" removing "$(store_stat file 0 state)"
	gives OK tell file add_backing "$disk"
	timeout 1 mnt write "$SYSFS/$(pool_of file)/remove_backing" "$disk" || true
	until_true "it stays" 10 state_is open
	load_table linear DISK 0
	ends_well
}

# It is given back with the pool, if that goes first.
removed_with_the_pool() {
	slow_store limit=64M
	gives OK mnt remount file "nobacking=$disk"
	# Not with all its pages read at this speed.
	kill -KILL "$held_pid"
	wait "$held_pid" || true
	gives OK mnt swapoff file
	gives OK mnt umount file
	gives OK mnt swapon "$disk"
	gives OK mnt swapoff "$disk"
}

promise "the pages of a store that is removed move to memory" to_memory
promise "or to another store" to_another_store
promise "stores come and go under load, and no page is lost" under_load
promise "a store stays, and loses nothing, if memory has no room for it" no_room_in_memory
promise "also if the other store has too little" no_room_in_the_other_store
promise "a remount begins to remove a store, and nothing waits for it" begun_by_remount
promise "a remount calls it off" called_off remount_with
promise "so does an order" called_off tell file add_backing
promise "what becomes of it is told if it ends badly, too" ends_badly
promise "it goes on without tasks that wait for it" ends_with_its_task
promise "umount waits for it" removed_with_the_pool
promise "stores without pages come and go at once" empty_ones_at_once
promise "a store of the least size is cleaned" the_least_store_is_cleaned
promise "a store is removed while its pages are read" while_it_is_read
promise "what is oldest in a full store moves to the next" two_tiers
promise "a store that is written several times over takes pages still" cleaned
promise "also while pages come and go at random" cleaned_under_load
finish

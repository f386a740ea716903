#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# CPUs going offline and online, and memory being compacted, lose no page.
#
# Needs two CPUs: one goes.

. "$(dirname "$0")/lib.sh"

CPU1=/sys/devices/system/cpu/cpu1/online

# Two of them store, load and free all the time, until churned.
churn_on() {
	several 2 -s 4 -k tttrs fill churn check
	until_true "it swaps" 60 has_visited said.1 256
}

# Both have gone on since.
churned() { # VISITS OF THE FIRST, VISITS OF THE SECOND
	until_true "pages are visited" 60 has_visited said.1 $(($1 + 256))
	until_true "pages are visited" 60 has_visited said.2 $(($2 + 256))
	kill -TERM "${pids[@]}"
	all_end
}

cpu_comes_and_goes() { # COMPRESSOR
	local i before
	[[ -w $CPU1 ]] || skip "there is one CPU only"
	area file 1G "comp=$1"
	churn_on
	before=("$(visits said.1)" "$(visits said.2)")
	for i in 1 2 3; do
		put_for_now "$CPU1" 0
		sleep 0.1
		put "$CPU1" 1
		sleep 0.1
	done
	churned "${before[@]}"
	equal "failed" "0 0" "$(stat_of file failed_stores_memory) $(stat_of file failed_loads)"
}

# A pool made while a CPU is away must serve it when it comes.
cpu_comes_later() {
	[[ -w $CPU1 ]] || skip "there is one CPU only"
	put_for_now "$CPU1" 0
	area file
	pages -s 1 -k tr fill out check
	put "$CPU1" 1
	# On that CPU, and no other.
	taskset 2 pages -s 4 -k tr fill out check rewrite:2 out check
	holds "loads" "$(stat_of file loads) > 1000"
	equal "failed" "0 0" "$(stat_of file failed_stores_memory) $(stat_of file failed_loads)"
}

# Not those that could be there.
streams_come_with_cpus() { # COMPRESSOR BYTES
	local mounted one both
	[[ -w $CPU1 ]] || skip "there is one CPU only"
	put_for_now "$CPU1" 0
	header file
	gives OK mnt mount file file "comp=$1"
	mounted=$(stat_of file fixed_bytes)
	gives OK mnt swapon file
	one=$(stat_of file fixed_bytes)
	holds "bytes for one CPU" "$one - $mounted >= $2 && $one - $mounted < $2 * 3 / 2"
	put "$CPU1" 1
	both=$(stat_of file fixed_bytes)
	holds "bytes for the second" "$both - $one >= $2 && $both - $one < $2 * 3 / 2"
	# It leaves its stream, and finds it again.
	put "$CPU1" 0
	equal "bytes for a CPU that went" "$both" "$(stat_of file fixed_bytes)"
	put "$CPU1" 1
	equal "bytes for a CPU that came again" "$both" "$(stat_of file fixed_bytes)"
	taskset 2 pages -s 4 -k tr fill out check rewrite:2 out check
	gives OK mnt swapoff file
	# But for what found the tables.
	both=$((both - $(stat_of file fixed_bytes)))
	holds "bytes that went with the area" "$both >= 0 && $both < 4096"
	gives OK mnt umount file
}

# What was stored by a CPU that is gone is still counted and found.
cpu_goes_for_good() {
	[[ -w $CPU1 ]] || skip "there is one CPU only"
	area file
	start taskset 2 pages -s 4 -k trs fill out hold check
	equal "stored" "$(said_number out)" "$(stat_of file stored_pages)"
	taskset -p 1 "$held_pid" >/dev/null
	put_for_now "$CPU1" 0
	equal "stored" "$(said_number out)" "$(stat_of file stored_pages)"
	ends_well
	gone file
}

compacted_under_load() {
	local i moved before
	area file
	moved=$(vmstat pgmigrate_success)
	churn_on
	before=("$(visits said.1)" "$(visits said.2)")
	for i in {1..8}; do
		echo 1 >/proc/sys/vm/compact_memory
		sleep 0.1
	done
	churned "${before[@]}"
	holds "pages moved" "$(vmstat pgmigrate_success) > $moved"
	equal "failed" "0 0" "$(stat_of file failed_stores_memory) $(stat_of file failed_loads)"
}

objects_move_together() {
	local before after
	area file
	start pages -s 12 -k ttr fill out hold keep:5 hold check fill out check
	go_on
	before=$(stat_of file pool_bytes)
	# zsmalloc compacts when slab is to shrink.
	echo 2 >/proc/sys/vm/drop_caches
	echo 1 >/proc/sys/vm/compact_memory
	after=$(stat_of file pool_bytes)
	note "one page of five kept: $before bytes, compacted $after"
	holds "pool bytes" "$after < $before"
	holds "pool bytes" "$after >= $(stat_of file compressed_bytes)"
	release
}

promise "a CPU that comes and goes loses no page" cpu_comes_and_goes lz4
promise "the same with zstd" cpu_comes_and_goes zstd
promise "a CPU that comes after the mount stores and loads" cpu_comes_later
promise "what a CPU stored outlives it" cpu_goes_for_good
promise "memory to compress with lz4 comes with an area, and with each CPU" \
	streams_come_with_cpus lz4 24576
promise "the same with zstd" streams_come_with_cpus zstd 180000
promise "memory compacted under load loses no page" compacted_under_load
promise "zsmalloc's compaction gives memory back, and loses no page" objects_move_together
finish

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Each load counts once, among those from RAM or those from stores, by the time that it took.

. "$(dirname "$0")/lib.sh"

# times FILE NAME: sets $loads_timed to the loads that a table of times of a mounted file's pool has,
# and $nsecs_at_least to the time that they took at least, all together.
times() {
	local pool least count
	find_pool pool "$1"
	loads_timed=0 nsecs_at_least=0
	while read -r least count; do
		loads_timed=$((loads_timed + count)) nsecs_at_least=$((nsecs_at_least + least * count))
	done <"$SYSFS/$pool/$2"
}

# loads_from NAME LEAST: how many loads of area "file" took so many nanoseconds and more, which is the
# beginning of a bucket.
loads_from() {
	awk -v least="$2" '$1 >= least { sum += $2 } END { print sum + 0 }' \
		"$SYSFS/$(pool_of file)/$1"
}

# all_are_timed RAM STORE: so many loads, by the tables and by the kernel, which has counted pages that
# came in since $swapped_in.
all_are_timed() {
	local expected=$(($1 + $2)) loads_timed nsecs_at_least
	times file ram_load_nsecs
	equal "loads from RAM" "$1" "$loads_timed"
	times file store_load_nsecs
	equal "loads from stores" "$2" "$loads_timed"
	equal "loads" "$expected" "$(stat_of file loads)"
	equal "pages that the kernel counts" "$expected" "$(($(vmstat pswpin) - swapped_in))"
}

each_bucket_is_twice_as_long() {
	local name least count expected=0 lines
	area file
	for name in ram_load_nsecs store_load_nsecs; do
		expected=0 lines=0
		while read -r least count; do
			equal "line $lines of $name" "$expected 0" "$least $count"
			expected=$((expected ? expected * 2 : 128)) lines=$((lines + 1))
		done <"$SYSFS/$(pool_of file)/$name"
		equal "lines of $name" 28 "$lines"
	done
}

from_ram() {
	local swapped_in began took loads_timed nsecs_at_least
	area file
	start pages -s 8 -k tttr fill out hold check
	swapped_in=$(vmstat pswpin)
	began=${EPOCHREALTIME/./}
	release
	took=$((${EPOCHREALTIME/./} - began))
	all_are_timed "$(stat_of file loads)" 0
	holds "loads" "$(stat_of file loads) >= 2048"
	times file ram_load_nsecs
	note "$loads_timed loads took $nsecs_at_least ns at least, and the process $took us"
	holds "the time of all loads, in nanoseconds" "$nsecs_at_least <= $took * 1000"
	# A clock that stands, or goes a hundred times too slow, has them all before that.
	holds "loads that took half a microsecond" "$(loads_from ram_load_nsecs 512) * 2 > $loads_timed"
}

# A request takes 40 ms.
from_a_store() {
	local swapped_in
	memory_disk irqmode=2 completion_nsec=40000000
	mkswap "$disk" >/dev/null
	area file 1G "limit=64M,backing=$disk"
	start_in_store -s 1 -k r fill out hold probe check
	swapped_in=$(vmstat pswpin)
	equal "pages in RAM" 0 "$(($(stat_of file stored_pages) - $(stat_of file redirected_pages)))"
	release
	all_are_timed 0 "$(stat_of file loads)"
	# Each read is for one load at least, which may have begun before another one that found its page.
	holds "reads" "$(store_stat file 0 read_ios) > 50"
	holds "loads of 33 ms" \
		"$(loads_from store_load_nsecs 33554432) >= $(store_stat file 0 read_ios)"
	holds "the slowest, in microseconds" "$(said_number slowest) >= 40000"
	equal "loads that took far longer than the slowest" 0 "$(loads_from store_load_nsecs 8589934592)"
}

# under_pressure OPTIONS: two processes load what the kernel swaps out meanwhile.
under_pressure() {
	local swapped_in from_ram from_store
	area_with_store 64M "limit=2M,$1"
	cgroup tight memory.high=6M
	swapped_in=$(vmstat pswpin)
	several 2 -g tight -s 8 -k tttrs fill churn:600 check
	all_end
	from_ram=$(loads_from ram_load_nsecs 0) from_store=$(loads_from store_load_nsecs 0)
	note "$from_ram loads from RAM, $from_store from the store"
	holds "loads of both" "$from_ram > 100 && $from_store > 100"
	all_are_timed "$from_ram" "$from_store"
}

failures_are_not_timed() {
	local loads_timed nsecs_at_least
	mapped linear DISK 0
	area file 1G "limit=64M,backing=$disk"
	start_in_store -s 1 -k r fill out hold lost
	load_table error
	release
	holds "failed loads" "$(stat_of file failed_loads) > 200"
	times file store_load_nsecs
	equal "loads that are timed" "$(stat_of file loads)" "$loads_timed"
}

promise "a bucket is as long as all before it" each_bucket_is_twice_as_long
promise "loads from RAM count by their time" from_ram
promise "loads from a store count by their time" from_a_store
promise "loads from both count once each" under_pressure batch=off
promise "so do those of many pages at once" under_pressure batch=on
promise "loads that fail do not count there" failures_are_not_timed
finish

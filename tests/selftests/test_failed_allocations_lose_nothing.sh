#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Each allocation that mount, swapon, store and load make may fail, and those for
# stores, in any task: the caller gets ENOMEM, the log one line, nothing leaks,
# and no page is lost.
#
# Needs two CPUs: one fails beside the other.

. "$(dirname "$0")/lib.sh"
. "$HERE/faults.sh"

mounts() { # OPTIONS
	header file
	count_allocations
	mark_log
	fail_each 10 ENOMEM fault mount file "$1" mend umount file
	one_line_each
	area file 1G "$1"
	pages -s 1 fill out check
}

mounts_without_a_leak() {
	local all=(fail_each 10 ENOMEM fault mount file 'comp=zstd,pool=name' mend umount file)
	header file
	count_allocations
	"${all[@]}"
	does_not_grow "${all[@]}"
	memory_is_back
}

pools_joined() {
	header one
	header two
	gives OK mnt mount one one pool=shared
	count_allocations
	mark_log
	fail_each 3 ENOMEM fault mount two pool=shared mend umount two
	one_line_each
	gives OK mnt mount two two pool=shared
	gives OK mnt umount one
	gives OK mnt swapon two
	pages -s 1 fill out check
}

swapons() {
	header file
	local mounted
	gives OK mnt mount file file
	mounted=$(leftovers)
	count_allocations
	mark_log
	fail_each 5 ENOMEM fault swapon file mend swapoff file
	one_line_each
	equal "areas" 0 "$(stat_of file areas)"
	equal "left behind" "$mounted" "$(leftovers)"
	gives OK mnt swapon file
	pages -s 1 fill out check
}

stores() { # LEAST [OPTION]...
	area file
	count_allocations
	fail_each "$1" "${@:2}" ENOMEM fill fault out mend check
	holds "stores that failed for memory" "$(stat_of file failed_stores_memory) > 0"
	ends_empty file
	pages -s 1 fill out check
}

# The first area makes what all stores of its pool go through, on each CPU. A CPU for which there is
# no memory shares that of another.
first_swapons() {
	header file
	count_allocations
	mark_log
	fail_each 60 -p 4 ENOMEM mount file pool=walk,recomp=wlz:dense fault swapon file mend fill out check \
		fill out is "$SYSFS/walk/stored_pages" 4 swapoff file umount file
	holds "allocations on other CPUs that failed" "$(said_number workers) > 0"
	one_line_each
	memory_is_back
}

loads() {
	area file
	count_allocations
	# A load needs no memory, so there may be nothing that can fail.
	fail_each 0 ENOMEM fill out fault load mend check
	ends_empty file
}

# However little the pool holds, as there is no memory for more.
memory_is_made() {
	local faults
	disk disk.image 16M
	area file 1G "limit=64M,backing=$disk"
	start pages -s 4 -k r fill out hold check
	equal "pages in the store" 0 "$(stat_of file redirected_pages)"
	count_allocations
	for faults in "$FAULTS"slab "$FAULTS"_page_alloc; do
		put_for_now "$faults/times" -1
		put_for_now "$faults/probability" 100
	done
	pages -s 1 -k r -i 5 fill out check >/dev/null
	holds "stores that failed for memory" "$(stat_of file failed_stores_memory) > 0"
	until_true "the mover has written" 20 has_written
	release
	ends_empty file
}

has_written() {
	(($(stat_of file redirected_pages) > 100))
}

mounts_with_a_store() {
	has_cipher
	disk disk.image 16M
	mounts "limit=8M,backing=$disk"
}

claims() {
	local dir
	has_cipher
	disk disk.image 16M
	area file 1G limit=16M,recomp=wlz:dense
	dir=$SYSFS/$(pool_of file)
	count_allocations
	mark_log
	fail_each 20 ENOMEM fault write "$dir/add_backing" "$disk" mend \
		write "$dir/remove_backing" "$disk"
	one_line_each
	equal "lines that deny the cipher" "" "$(log_since | grep 'has no such cipher' || true)"
	equal "stores" "" "$(stores_of file)"
	gives OK tell file add_backing "$disk"
	start_in_store -s 2 -k tr fill out hold check
	release
}

# What is in the store finds no memory at times, and stays there then.
releases() {
	mark_log
	loses_nothing release 20
	one_line_each
}

loses_nothing() { # SCENE LEAST
	play allocations "$@"
	equal "pages lost" 0 "$(said_number lost)"
}

# One of three allocations of the module fails, also those of workers.
under_load() {
	local faults
	area_with_store 32M limit=3M,recomp=wlz:dense
	count_allocations
	for faults in "$FAULTS"slab "$FAULTS"_page_alloc; do
		put_for_now "$faults/times" -1
		put_for_now "$faults/probability" 33
	done
	start_in_store -s 12 -k tttr fill out out hold check rewrite:2 out out hold check \
		rewrite:3 out hold check
	holds "pages in the store" "$(stat_of file redirected_pages) > 500"
	go_on
	for _ in {1..20}; do
		tell file recompress 0 >/dev/null
	done
	go_on
	write_back file
	# Whole segments are taken back, as far as there is memory.
	gives OK mnt swapoff file
	release
	holds "stores that failed for memory" "$(stat_of file failed_stores_memory) > 0"
	ends_empty file
}

promise "mount" mounts ""
promise "mount with every option" mounts comp=zstd,recomp=wlz:dense,limit=8M,pool=name
promise "nor does a failed mount leak" mounts_without_a_leak
promise "mount with a store" mounts_with_a_store
promise "mount into a pool that is there" pools_joined
promise "swapon" swapons
promise "the first swapon of a pool" first_swapons
promise "store, and the tables it grows" stores 60
promise "a store that finds none has the mover make some" memory_is_made
promise "store of a huge page" stores 10 -h
promise "load" loads
promise "claim of a store" claims
promise "release of a store that is in use" releases
# The mover takes no memory, but the disk may for what it is asked.
promise "writeback" loses_nothing writeback 0
promise "writeback by the mover, at the limit" loses_nothing limit 10
promise "cleaning" loses_nothing cleaning 0
promise "moving to the next store" loses_nothing moving 0
promise "loads from a store, with readahead" loses_nothing loads_ahead 0
promise "discard" loses_nothing discard 0
promise "swapoff, which takes pages back" loses_nothing swapoff 20
promise "umount" loses_nothing umount 0
promise "writeback, loads and swapoff, while one of three allocations fails" under_load
finish

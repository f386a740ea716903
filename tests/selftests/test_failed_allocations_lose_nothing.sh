#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Each allocation that mount, swapon, store and load make may fail, and those for
# stores: the caller gets ENOMEM, the log one line, nothing leaks, and no page is lost.
#
# Needs two CPUs: one fails beside the other.

. "$(dirname "$0")/lib.sh"

FAULTS=/sys/kernel/debug/fail

# Count only allocations made by the module, or by others for it.
count_ours() {
	local faults text=/sys/module/ghostswap/sections/.text
	[[ -e ${FAULTS}slab/require-start ]] ||
		skip "this kernel cannot choose faults by stack trace"
	for faults in "$FAULTS"slab "$FAULTS"_page_alloc "$FAULTS"_mempool_alloc*; do
		[[ -d $faults ]] || continue
		cat "$text" >"$faults/require-start"
		printf '0x%x' $(($(<"$text") + $(</sys/module/ghostswap/coresize))) >"$faults/require-end"
		echo 32 >"$faults/stacktrace-depth"
		echo 0 >"$faults/verbose"
		# Also those that may sleep, and single pages.
		[[ ! -e $faults/ignore-gfp-wait ]] || echo N >"$faults/ignore-gfp-wait"
		[[ ! -e $faults/min-order ]] || echo 0 >"$faults/min-order"
		[[ ! -e $faults/ignore-gfp-highmem ]] || echo N >"$faults/ignore-gfp-highmem"
	done
}

# fail_each LEAST OPERATION...: run it, and see that it had LEAST faults at least
fail_each() {
	said=$(failnth "${@:2}")
	note "${*:2}: $said"
	holds "allocations that failed" "$(said_number faults) >= $1"
}

said_in_log() {
	log_since | grep -c '^ghostswap: ' || true
}

# Our lines only: a failed allocation may be reported by those it was made from.
one_line_each() {
	equal "lines in the log for operations that failed" "$(said_number failed)" "$(said_in_log)"
}

mounts() { # OPTIONS
	header file
	count_ours
	mark_log
	fail_each 10 mount file file "$1"
	one_line_each
	gives OK mnt mount file file "$1"
	gives OK mnt swapon file
	pages -s 1 fill out check
}

pools_joined() {
	header one
	header two
	gives OK mnt mount one one pool=shared
	count_ours
	mark_log
	fail_each 3 mount two two pool=shared
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
	count_ours
	mark_log
	fail_each 5 swapon file
	one_line_each
	equal "areas" 0 "$(figure file areas)"
	equal "left behind" "$mounted" "$(leftovers)"
	gives OK mnt swapon file
	pages -s 1 fill out check
}

stores() { # store|huge LEAST
	area file
	count_ours
	fail_each "$2" "$1"
	holds "stores that failed for memory" "$(figure file failed_stores_memory) > 0"
	equal "loads that failed" 0 "$(figure file failed_loads)"
	equal "held at the end" "0 0" "$(figure file stored_pages) $(held file)"
	pages -s 1 fill out check
}

loads() {
	area file
	count_ours
	# A load needs no memory, so there may be nothing that can fail.
	fail_each 0 load
	equal "loads that failed" 0 "$(figure file failed_loads)"
	equal "held at the end" "0 0" "$(figure file stored_pages) $(held file)"
}

# The kernel may have to load the modules of the cipher first, and takes what fails
# meanwhile for there being none.
has_cipher() {
	disk cipher.image 16M
	header cipher
	gives OK mnt mount cipher cipher "backing=$disk"
	gives OK mnt umount cipher
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
	area file 1G limit=16M
	dir=$SYSFS/$(pool_of file)
	count_ours
	mark_log
	fail_each 20 tell "$dir/add_store" "$disk" "$dir/remove_store" "$disk"
	one_line_each
	equal "lines that deny the cipher" "" "$(log_since | grep 'has no xts' || true)"
	equal "stores" "" "$(stores_of file)"
	gives OK tell file add_store "$disk"
	start pages -s 2 -k tr fill out hold check
	write_back file
	release
}

# What is in the store finds no memory at times, and stays there then.
releases() {
	local dir count
	disk disk.image 16M
	area file 1G "limit=32M,backing=$disk"
	dir=$SYSFS/$(pool_of file)
	start pages -s 1 -k tr fill out hold check
	write_back file
	count=$(said_number out)
	count_ours
	fail_each 20 tell "$dir/remove_store" "$disk" \
		"$dir/add_store" "$disk" "$dir/writeback" all
	equal "stored" "$count" "$(figure file stored_pages)"
	# It was added again after the last time, too.
	equal "pages in the store" "$count" "$(figure file redirected_pages)"
	release
	equal "loads that failed" 0 "$(figure file failed_loads)"
}

# One of three allocations for us fails, whoever makes it: also those of workers.
under_load() {
	local faults
	disk disk.image 32M
	area file 1G "limit=3M,backing=$disk"
	# The compressor takes many, all of which must succeed.
	pages -s 1 fill out check >/dev/null
	count_ours
	for faults in "$FAULTS"slab "$FAULTS"_page_alloc; do
		put_for_now "$faults/times" -1
		put_for_now "$faults/probability" 33
	done
	start pages -s 12 -k tttr fill out out hold check rewrite:2 out out hold check rewrite:3 out hold check
	write_back file
	holds "pages in the store" "$(figure file redirected_pages) > 500"
	go_on
	go_on
	write_back file
	# Whole segments are taken back, as far as there is memory.
	gives OK mnt swapoff file
	release
	holds "stores that failed for memory" "$(figure file failed_stores_memory) > 0"
	equal "loads that failed" 0 "$(figure file failed_loads)"
	equal "held at the end" "0 0" "$(figure file stored_pages) $(held file)"
}

promise "mount" mounts ""
promise "mount with every option" mounts comp=zstd,limit=8M,pool=name
promise "mount with a store" mounts_with_a_store
promise "mount into a pool that is there" pools_joined
promise "swapon" swapons
promise "store, and the tables it grows" stores store 60
promise "store of a huge page" stores huge 10
promise "load" loads
promise "claim of a store" claims
promise "release of a store that is in use" releases
promise "writeback, loads and swapoff, while one of three allocations fails" under_load
finish

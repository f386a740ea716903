#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# No more is written to a store in a day than it may take; the pages stay in memory then, go to
# another store, or are refused, and none is lost.

. "$(dirname "$0")/lib.sh"

MIB=$((1 << 20))
# A segment is filled only where two of 2 MiB may be written, so this much of a limit may be left.
REST=$((4 * MIB))

# limit_of NUMBER: what it is for a store of area "file", and what counts for it, in MiB.
limit_of() {
	local limit
	limit=$(store_stat file "$1" write_limit)
	[[ $limit == off ]] || limit=$((limit / MIB))
	echo "$limit $(($(store_stat file "$1" written_lately_bytes) / MIB))"
}

# within NUMBER MIB: so much was written to the store, or less, as long as a segment did not fit.
within() {
	local written
	written=$(store_stat file "$1" written_bytes)
	holds "bytes written to store $1" "$written <= $2 * $MIB"
	holds "bytes written to store $1" "$written > $2 * $MIB - $REST"
	equal "bytes that count" "$written" "$(store_stat file "$1" written_lately_bytes)"
}

shown_and_refused() {
	local text
	header file
	for text in 0 -1 off1 4194303 3M 10% "" many 1.5G 18446744073709551616; do
		gives_reason EINVAL "write_limit" mnt mount file file "write_limit=$text"
	done
	disk disk.image 32M
	gives OK mnt mount file file "backing=$disk,write_limit=4M"
	[[ ,$(options_of file), == *,write_limit=$REST,* ]] || fail "/proc/mounts shows $(options_of file)"
	equal "limit" "4 0" "$(limit_of 0)"
	for text in 0 -1 4194303 10% many; do
		gives EINVAL tell file backing0/write_limit "$text"
	done
	equal "limit" "4 0" "$(limit_of 0)"
	gives OK tell file backing0/write_limit 1G
	equal "limit" "1024 0" "$(limit_of 0)"
	# What mount(8) gives again is no change.
	gives OK mnt remount file "write_limit=$REST"
	equal "limit" "1024 0" "$(limit_of 0)"
	# It is of those to come, too.
	gives OK mnt remount file write_limit=5M
	disk two.image 32M
	gives OK tell file add_backing "$disk"
	equal "limits" "5 0 5 0" "$(limit_of 0) $(limit_of 1)"
	gives OK mnt remount file write_limit=off
	equal "limits" "off 0 off 0" "$(limit_of 0) $(limit_of 1)"
	[[ $(options_of file) != *write_limit* ]] || fail "/proc/mounts shows $(options_of file)"
	header second
	gives OK mnt mount second second pool=named
	header third
	gives_reason EINVAL "write_limit: pool named has another" mnt mount third third pool=named,write_limit=4M
	equal "a user that is not root" EACCES "$(setpriv --reuid 1000 --regid 1000 --clear-groups \
		mnt write "$SYSFS/$(pool_of file)/backing0/write_limit" off)"
}

all_stays_in_memory() {
	area_with_store 64M limit=64M,write_limit=9M
	start pages -s 20 -k r fill out hold check
	gives ENOSPC tell file writeback all
	within 0 9
	holds "pages in memory" "$(stat_of file incompressible_pages) > 2500"
	gives ENOSPC tell file writeback all
	within 0 9
	# A limit that is below what was written lately.
	gives OK tell file backing0/write_limit 4M
	gives ENOSPC tell file writeback all
	within 0 9
	gives OK tell file backing0/write_limit 14M
	gives ENOSPC tell file writeback all
	within 0 14
	gives OK tell file backing0/write_limit off
	write_back file
	equal "incompressible pages in memory" 0 "$(stat_of file incompressible_pages)"
	ends_well
}

next_store_takes_it() {
	local first
	disk one.image 64M first
	disk two.image 64M
	area file 1G "limit=64M,write_limit=9M,backing=$first,backing=$disk"
	gives OK tell file backing1/write_limit off
	start_in_store -s 20 -k r fill out hold check
	within 0 9
	holds "bytes written to the other" "$(store_stat file 1 written_bytes) > 10 * $MIB"
	# To move what is there is to write.
	gives OK tell file remove_backing "$first"
	equal "stores" "$disk" "$(stores_of file)"
	ends_well
}

# Cleaning writes, too: nothing is read for it that cannot be written.
nothing_is_cleaned() {
	local read
	area_with_store 20M limit=64M,write_limit=24M
	start_in_store -s 12 -k r fill out hold check rewrite:3 out hold check
	go_on
	gives ENOSPC tell file writeback all
	holds "bytes written" "$(store_stat file 0 written_bytes) <= 24 * $MIB"
	read=$(store_stat file 0 read_bytes)
	gives ENOSPC tell file writeback all
	equal "bytes read" "$read" "$(store_stat file 0 read_bytes)"
	ends_well
}

# As without a store.
at_the_limit() {
	area_with_store 64M limit=4M,write_limit=5M
	start pages -s 16 -k r fill out hold check
	holds "pages refused" "$(stat_of file failed_stores_limit) > 1000"
	holds "bytes written" "$(store_stat file 0 written_bytes) > $MIB"
	holds "bytes written" "$(store_stat file 0 written_bytes) <= 5 * $MIB"
	nearly_within_limit file
	ends_well
}

promise "the limit is shown, changed, and refused with a reason" shown_and_refused
promise "no more is written, the rest stays in memory, and goes when it may" all_stays_in_memory
promise "what a store may not take goes to the next" next_store_takes_it
promise "nothing is cleaned that may not be written" nothing_is_cleaned
promise "at the pool's limit pages are refused" at_the_limit
finish

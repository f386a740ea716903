#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# While a segment is written, the next is filled; and whatever becomes of the pages of
# either meanwhile, of the disk, the store or the area, no page is lost.
#
# Needs two CPUs: pages change while others are written.

. "$(dirname "$0")/lib.sh"

# slow_store [OPTIONS]: area "file" with a store in which each write takes 300 ms.
slow_store() {
	mapped linear DISK 0
	area file 1G "${1:-limit=64M},backing=$disk"
	load_table delay DISK 0 0 DISK 0 300
}

# One is on its way, and the next is being filled, or on its way as well.
two_under_way() {
	(($(store_stat file 0 open_segments) >= 2))
}

nothing_under_way() {
	(($(store_stat file 0 open_segments) == 0))
}

# write_in_background: all of area "file" by process $writer, until two segments are under way.
write_in_background() {
	local pool
	find_pool pool file
	mnt write "$SYSFS/$pool/writeback" all >said.writer &
	writer=$!
	until_true "two segments are under way" 20 two_under_way
}

disk_is_free() {
	gives OK mnt swapon "$disk"
	gives OK mnt swapoff "$disk"
}

two_at_once() {
	local writer
	slow_store
	start pages -s 12 -k r fill out hold check
	write_in_background
	wait "$writer"
	equal "what the writer was told" OK "$(<said.writer)"
	equal "pages in the store, and written" "$(said_number out) $(said_number out)" \
		"$(stat_of file redirected_pages) $(stat_of file written_pages)"
	equal "bytes in memory" 0 "$(stat_of file compressed_bytes)"
	# They lie in as many segments as they would one by one: seven, and one more if some pages were
	# held for a moment.
	holds "segments" "$(store_stat file 0 sealed_segments) <= 8"
	ends_well
	gone file
}

# By the mover, which begins nothing that what is under way makes unnecessary.
not_too_much() {
	slow_store limit=8M
	start pages -s 16 -k r fill out out hold check
	until_true "it is below 15/16 of the limit" 20 below_the_high_mark
	until_true "nothing is under way" 20 nothing_under_way
	holds "bytes held" "$(held file) >= $(stat_of file limit_bytes) * 7 / 8 - (2 << 20)"
	load_table linear DISK 0
	ends_well
	gone file
}

below_the_high_mark() {
	(($(held file) <= $(stat_of file limit_bytes) * 15 / 16 + ABOVE_LIMIT))
}

# Read, written anew, freed and shared; and the memory of what is freed is given out again.
changed_meanwhile() {
	slow_store
	load_table delay DISK 0 0 DISK 0 60
	cgroup tight memory.high=4M
	several 2 -g tight -s 5 -k tttr fill fork:1 churn:1500 rewrite:3 churn:1500 keep:2 churn:500 check
	while [[ -n $(jobs -rp) ]]; do
		[[ $(tell file writeback all) =~ ^(OK|ENOSPC)$ ]]
	done
	all_end
	note "pages written $(stat_of file written_pages), loads $(stat_of file loads)"
	holds "pages written" "$(stat_of file written_pages) > 1500"
	ends_empty file
	until_true "no segment is in use" 10 is_empty file 0
	gone file
}

# one_fails SEGMENT: it cannot be written, the others can, and take their time.
one_fails() {
	local begin=$((8 + $1 * 4096)) writer
	slow_store
	start pages -s 8 -k r fill out hold check
	# As the table of slow_store, but for the segment: each target has its part of the disk.
	{
		((begin == 8)) && echo "0 8 linear $below 0"
		((begin == 8)) || echo "0 $begin delay $below 0 0 $below 0 300"
		echo "$begin 4096 error"
		echo "$((begin + 4096)) $((32 * 2048 - begin - 4096)) delay" \
			"$below $((begin + 4096)) 0 $below $((begin + 4096)) 300"
	} | load_lines
	write_in_background
	wait "$writer"
	equal "what the writer was told" OK "$(<said.writer)"
	equal "segments that were not written, and retired" "1 1" \
		"$(store_stat file 0 write_errors) $(store_stat file 0 retired_segments)"
	equal "stored, and in the store" "$(said_number out) $(said_number out)" \
		"$(stat_of file stored_pages) $(stat_of file redirected_pages)"
	load_table linear DISK 0
	ends_well
	gone file
}

removed_meanwhile() { # memory|store: where its pages go
	local writer first other=
	slow_store
	first=$disk
	start pages -s 12 -k tr fill out hold check
	write_in_background
	if [[ $1 == store ]]; then
		disk other.image 32M other
		gives OK tell file add_backing "$other"
	fi
	gives OK tell file remove_backing "$first"
	equal "stores" "$other" "$(stores_of file)"
	[[ $1 == store ]] || equal "pages in stores" 0 "$(stat_of file redirected_pages)"
	equal "stored" "$(said_number out)" "$(stat_of file stored_pages)"
	wait "$writer"
	if [[ $1 == store ]]; then
		write_back file
		equal "bytes in memory" 0 "$(stat_of file compressed_bytes)"
	fi
	ends_well
	disk=$first
	disk_is_free
	gone file
}

# The order to write is called off, and all is taken away at once.
turned_off_meanwhile() { # swapoff|exit: how the pages go
	local writer
	slow_store
	start pages -s 12 -k r fill out hold check
	write_in_background
	kill -TERM "$writer"
	wait "$writer" || true
	[[ $1 == swapoff ]] || release
	gives OK mnt swapoff file
	gives OK mnt umount file
	# At once, while the last worker still ends.
	rmmod ghostswap
	[[ $1 == exit ]] || release
	disk_is_free
}

# An area takes the number of one that went while its pages were on their way.
another_area_meanwhile() {
	local writer
	mapped linear DISK 0
	area first 1G "limit=64M,pool=both,backing=$disk" 5
	header second
	gives OK mnt mount second second pool=both
	load_table delay DISK 0 0 DISK 0 300
	start pages -s 12 -k r fill out hold check
	mnt write "$SYSFS/both/writeback" all >said.writer &
	writer=$!
	until_true "two segments are under way" 20 two_under_way_of both
	release
	gives OK mnt swapoff first
	gives OK mnt swapon second
	start pages -i 7 -s 12 -k r fill out hold check
	wait "$writer"
	write_back second
	ends_well_of second
	gone second
	gives OK mnt umount first
}

two_under_way_of() { # POOL
	(($(<"$SYSFS/$1/backing0/open_segments") >= 2))
}

ends_well_of() { # FILE
	release
	ends_empty "$1"
}

promise "two segments are under way at once, and all pages come back" two_at_once
promise "the mover counts what is under way as freed" not_too_much
promise "pages change while they are written, and none is lost" changed_meanwhile
promise "a segment that cannot be written does no harm to the next" one_fails 0
promise "and none to the one before" one_fails 1
promise "a store is removed while two of its segments are written" removed_meanwhile memory
promise "also when its pages go to another" removed_meanwhile store
promise "swapoff, umount and rmmod end while two segments are written" turned_off_meanwhile swapoff
promise "also when the pages were freed meanwhile" turned_off_meanwhile exit
promise "pages of an area that went are not taken for those of the next" another_area_meanwhile
finish

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A disk that cannot be written loses no page, one that cannot be read only those
# that are there, and nothing waits for either without end.

. "$(dirname "$0")/lib.sh"

FAULTS=/sys/kernel/debug/fail_make_request

# break_disk [TIMES]: $disk fails its next so many requests, or all of them.
break_disk() {
	[[ -d $FAULTS ]] || skip "this kernel cannot make requests fail"
	put_for_now "$FAULTS/verbose" 0
	put_for_now "$FAULTS/times" "${1:--1}"
	put_for_now "$FAULTS/probability" 100
	put_for_now "/sys/block/${disk#/dev/}/make-it-fail" 1
}

mend_disk() {
	put "/sys/block/${disk#/dev/}/make-it-fail" 0
}

# A segment in which a write failed takes no more; what was on its way stays.
few_writes_fail() {
	area_with_store 32M
	start pages -s 8 -k tttr fill out hold check
	# Of one segment, which is written with two requests. Others may be under way.
	break_disk 1
	tell file writeback all >/dev/null
	equal "stored" "$(said_number out)" "$(stat_of file stored_pages)"
	write_back file
	mend_disk
	equal "segments that were not written, and retired" "1 1" \
		"$(store_stat file 0 write_errors) $(store_stat file 0 retired_segments)"
	equal "bytes in memory" 0 "$(stat_of file compressed_bytes)"
	equal "stored" "$(said_number out)" "$(stat_of file stored_pages)"
	ends_well
}

all_writes_fail() {
	local errors
	area_with_store 32M
	start pages -s 8 -k tttr fill out hold check
	equal "state" open "$(store_stat file 0 state)"
	break_disk
	[[ $(tell file writeback all) != OK ]] || fail "writeback succeeded"
	errors=$(store_stat file 0 write_errors)
	holds "write errors" "$errors > 0"
	equal "pages in the store" 0 "$(stat_of file redirected_pages)"
	equal "stored" "$(said_number out)" "$(stat_of file stored_pages)"
	until_true "the store takes no more" 20 takes_no_more
	equal "write errors" 8 "$(store_stat file 0 write_errors)"
	equal "state" closed "$(store_stat file 0 state)"
	mend_disk
	errors=$(store_stat file 0 write_errors)
	[[ $(tell file writeback all) != OK ]] || fail "it takes pages again"
	equal "write errors" "$errors" "$(store_stat file 0 write_errors)"

	# Removed and added it has a new life.
	gives OK tell file remove_backing "$disk"
	gives OK tell file add_backing "$disk"
	write_back file
	holds "pages in the store" "$(stat_of file redirected_pages) > 1900"
	ends_well
}

# What was closed is opened, and what was retired is used, as if nothing had failed.
reopened() {
	area_with_store 32M
	start pages -s 8 -k tttr fill out hold check
	break_disk
	until_true "the store takes no more" 20 takes_no_more
	mend_disk
	equal "retired segments" 8 "$(store_stat file 0 retired_segments)"
	gives OK tell file reopen_backing "$disk"
	equal "state, and retired segments" "open 0" \
		"$(store_stat file 0 state) $(store_stat file 0 retired_segments)"
	write_back file
	holds "pages in the store" "$(stat_of file redirected_pages) > 1900"
	release
	# It has its eight errors again.
	start pages -i 2 -s 2 -k r fill out hold check
	# Of one segment. Others may be under way.
	break_disk 1
	tell file writeback all >/dev/null
	mend_disk
	equal "write errors, and state" "9 open" \
		"$(store_stat file 0 write_errors) $(store_stat file 0 state)"
	ends_well
	gives_reason ENOENT "has no such backing store" tell file reopen_backing /nonesuch
}

takes_no_more() {
	tell file writeback all >/dev/null
	(($(store_stat file 0 write_errors) >= 8))
}

# With a second store they go there.
the_other_takes_over() {
	local good
	disk good.image 32M good
	disk broken.image 32M
	area file 1G "limit=64M,backing=$disk,backing=$good"
	start pages -s 8 -k tttr fill out hold check
	break_disk
	for _ in {1..8}; do
		tell file writeback all >/dev/null
	done
	equal "bytes in memory" 0 "$(stat_of file compressed_bytes)"
	equal "bytes in the broken one" 0 "$(store_stat file 0 live_bytes)"
	release
	mend_disk
	equal "failed loads" 0 "$(stat_of file failed_loads)"
}

# As if there were no store: what does not fit stays with its process.
broken_at_the_limit() {
	area_with_store 32M limit=2M
	break_disk
	start pages -s 8 -k r fill out out hold check rewrite:2 out hold check
	nearly_within_limit file
	holds "stores refused" "$(stat_of file failed_stores_limit) > 0"
	holds "pages out" "$(said_number out) < 1024"
	go_on
	ends_well
}

header_unreadable() {
	disk disk.image 32M
	header file
	header other
	gives OK mnt mount other other
	break_disk
	gives_reason EIO "backing=$disk: " mnt mount file file "backing=$disk"
	gives_reason EIO "backing=$disk: " tell other add_backing "$disk"
	equal "stores" "" "$(stores_of other)"
	mend_disk
	gives OK tell other add_backing "$disk"
}

one_read_fails() {
	area_with_store 32M
	start_in_store -s 6 -k r fill out hold lost hold check
	break_disk 1
	go_on
	mend_disk
	equal "pages lost" 1 "$(said_number lost)"
	equal "failed loads, and read errors" "1 1" \
		"$(stat_of file failed_loads) $(store_stat file 0 read_errors)"
	release
	equal "failed loads" 1 "$(stat_of file failed_loads)"
}

all_reads_fail() {
	local lost
	area_with_store 32M
	start pages -s 8 -k r fill out hold lost hold check
	# Half of it stays in memory.
	gives OK tell file writeback 1000
	break_disk
	go_on
	lost=$(said_number lost)
	# The open segment may still be in memory, too.
	holds "pages lost" "$lost >= 400 && $lost <= 1512"
	holds "failed loads" "$(stat_of file failed_loads) >= $lost"
	holds "read errors" "$(store_stat file 0 read_errors) > 0"
	mend_disk
	release
	gone file
}

# However much cannot be read, everything ends in time.
swapoff_and_umount_end() {
	area_with_store 32M
	start_in_store -s 8 -k r fill out hold lost check
	break_disk
	# It may fail or not, but it ends.
	timeout 60 mnt swapoff file >/dev/null || fail "swapoff took more than a minute"
	mend_disk
	[[ $(used_pages file) == 0 ]] || gives OK mnt swapoff file
	release
	gives OK mnt umount file
	gives OK mnt swapon "$disk"
	gives OK mnt swapoff "$disk"
}

removed_while_broken() {
	area_with_store 32M
	start_in_store -s 8 -k tr fill out hold check
	break_disk
	[[ $(tell file remove_backing "$disk") != OK ]] || fail "it was removed"
	equal "stores" "$disk" "$(stores_of file)"
	equal "stored" "$(said_number out)" "$(stat_of file stored_pages)"
	mend_disk
	gives OK tell file remove_backing "$disk"
	equal "pages in stores" 0 "$(stat_of file redirected_pages)"
	ends_well
}

# It is read once more when it was filled again, and not after that.
unreadable_once_and_twice() {
	area_with_store 32M
	start_in_store -s 8 -k r fill out hold check
	break_disk 1
	gives EIO tell file remove_backing "$disk"
	equal "read errors, and retired segments" "1 0" \
		"$(store_stat file 0 read_errors) $(store_stat file 0 retired_segments)"
	break_disk 1
	gives EIO tell file remove_backing "$disk"
	mend_disk
	equal "read errors, and retired segments" "2 1" \
		"$(store_stat file 0 read_errors) $(store_stat file 0 retired_segments)"
	ends_well
	equal "segments in use" 1 $(($(segments_of file 0) - $(store_stat file 0 free_segments)))
	gives OK tell file reopen_backing "$disk"
	until_true "no segment is in use" 10 is_empty file 0
	gives OK tell file remove_backing "$disk"
}

full_by_hand() {
	area_with_store 8M
	start pages -s 12 -k r fill out hold check
	gives ENOSPC tell file writeback all
	holds "pages in the store" "$(stat_of file redirected_pages) > 400"
	equal "stored" "$(said_number out)" "$(stat_of file stored_pages)"
	equal "write errors" 0 "$(store_stat file 0 write_errors)"
	ends_well
}

full_and_at_the_limit() {
	local failed
	area_with_store 8M limit=1M,encrypt=off
	# The kernel lets be what it could not write, until it is used again.
	start pages -s 16 -k r fill out out hold check out hold check out hold check
	holds "pages out" "$(said_number out) > 500 && $(said_number out) < 3000"
	holds "stores refused" "$(stat_of file failed_stores_limit) > 0"
	nearly_within_limit file
	disk large.image 64M
	gives OK tell file add_backing "$disk"
	go_on
	failed=$(stat_of file failed_stores_limit)
	go_on
	holds "pages out" "$(said_number out) > 3000"
	note "of $(said_number out) pages out, with room $(($(stat_of file failed_stores_limit) - failed)) stores were refused"
	nearly_within_limit file
	ends_well
}

# A process that ends makes room for the next.
room_is_used_again() {
	area_with_store 16M limit=1M
	start pages -s 24 -k r fill out out hold
	holds "stores refused" "$(stat_of file failed_stores_limit) > 0"
	release
	until_true "no segment is in use" 10 is_empty file 0
	start pages -s 6 -k r fill out:95 hold out hold check
	go_on
	holds "pages out" "$(said_number out) > 1536 * 95 / 100"
	ends_well
}

promise "writes that fail leave their pages in memory, and retire the segment" few_writes_fail
promise "a store takes no more after eight errors, until it is added again" all_writes_fail
promise "or is reopened" reopened
promise "another store takes what a broken one does not" the_other_takes_over
promise "at the limit, a broken store is like none" broken_at_the_limit
promise "a store whose header cannot be read is refused" header_unreadable
promise "a read that fails costs its reader one page" one_read_fails
promise "if all fail, what is in memory is still there" all_reads_fail
promise "swapoff and umount of a broken store end" swapoff_and_umount_end
promise "a broken store cannot be removed, and can when it is mended" removed_while_broken
promise "a segment that cannot be read once is used again, and not the second time" \
	unreadable_once_and_twice
promise "a store that is full says so, and loses nothing" full_by_hand
promise "full and at the limit stores fail, until there is room" full_and_at_the_limit
promise "room in a store is used again when it appears" room_is_used_again
finish

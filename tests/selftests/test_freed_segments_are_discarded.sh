#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# With discard a device is told of segments that hold nothing any more.
#
# Needs two CPUs: one fills what the other discards.

. "$(dirname "$0")/lib.sh"

# Blocks of 512 bytes that the file behind a disk has.
has_blocks() { # IMAGE AT-MOST
	(($(stat -c %b "$1") <= $2))
}

given_back() {
	area_with_store 32M limit=64M,discard
	[[ $(options_of file) == *,discard,* ]] || fail "/proc/mounts says $(options_of file)"
	start_in_store -s 8 -k r fill out hold free hold
	holds "blocks of the disk" "$(stat -c %b disk.image) > 16384"
	go_on
	# The header stays.
	until_true "the disk is empty but for its header" 20 has_blocks disk.image 8
	holds "bytes discarded" "$(store_stat file 0 discarded_bytes) >= 8 << 20"
	equal "free segments" "$(segments_of file 0)" "$(store_stat file 0 free_segments)"
	release
}

only_if_told_so() {
	area_with_store 32M
	start_in_store -s 8 -k r fill out hold
	release
	sleep 0.5
	holds "blocks of the disk" "$(stat -c %b disk.image) > 16384"
	equal "bytes discarded" 0 "$(store_stat file 0 discarded_bytes)"
	gives_reason EINVAL discard mnt remount file discard
}

# Segments are filled again meanwhile.
under_load() {
	area_with_store 24M limit=2M,discard
	start pages -s 16 -k tr fill out out hold check rewrite:1 out out hold check \
		rewrite:2 out out hold check
	go_on
	go_on
	release
	until_true "the disk is empty but for its header" 20 has_blocks disk.image 8
	equal "failed loads" 0 "$(stat_of file failed_loads)"
}

promise "freed segments are given back to the device" given_back
promise "without discard they are not" only_if_told_so
promise "no page is lost when segments are discarded under load" under_load
finish

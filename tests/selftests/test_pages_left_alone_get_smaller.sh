#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Where there is a second compressor, a worker gives it what was left alone for a minute.

. "$(dirname "$0")/lib.sh"

left_alone() {
	local before
	area file 1G limit=256M,recomp=zstd
	start pages -s 3 -k tr fill out hold check
	before=$(stat_of file compressed_bytes)
	sleep 40
	equal "pages compressed again before a minute" 0 "$(stat_of file recompressed_pages)"
	# The worker rests between clusters.
	until_true "most are compressed again" 120 has_compressed $(($(said_number text) * 9 / 10))
	note "$before and $(stat_of file compressed_bytes) bytes"
	holds "bytes" "$(stat_of file compressed_bytes) < $before"
	release
	equal "loads of them" "$(stat_of file recompressed_pages)" \
		"$(stat_of file recompressed_loads)"
	gone file
	memory_is_back
}

has_compressed() {
	(($(stat_of file recompressed_pages) > $1))
}

promise "pages that are left alone for a minute are compressed again" left_alone
finish

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A working set four times the memory it may have keeps every page, shared
# or not, however many CPUs there are.
#
# Needs two CPUs: it takes one away, and both reclaim.

. "$(dirname "$0")/lib.sh"

# The four of them hold 8 MiB together, then 8 MiB more that differ.
four_times_too_large() {
	local name
	cgroup tight memory.high=2M
	area file 1G limit=256M
	mark_log
	pages -g tight -s 8 -k tttrs fill fork:3 check rewrite:4 check \
		churn:300 check >said
	equal "processes that visited their pages" 4 "$(grep -c 'visits=300' said)"
	holds "stores" "$(stat_of file stores) > 12 * 256"
	holds "loads" "$(stat_of file loads) > 6 * 256"
	for name in failed_stores_limit failed_stores_memory failed_loads; do
		equal "$name" 0 "$(stat_of file "$name")"
	done
	equal "OOM kills" 0 "$(oom_kills tight)"
	equal "warnings" "" "$(warnings)"
	note "stores $(stat_of file stores), loads $(stat_of file loads)"
}

with_one_cpu() {
	local cpu1=/sys/devices/system/cpu/cpu1/online
	[[ -w $cpu1 ]] || skip "there is one CPU only"
	put_for_now "$cpu1" 0
	equal "CPUs" 1 "$(nproc)"
	four_times_too_large
}

several_unrelated() {
	area file
	several 3 -s 4 -k tr fill out check rewrite:2 out check out free fill out check
	all_end
	ends_empty file
}

counts() {
	local out text random same name
	area file
	# Of 2,560 pages: 1,536 text, 512 random, 512 of one word.
	start pages -s 10 -k tttrs fill out hold check rewrite:2 out hold
	out=$(said_number out) text=$(said_number text)
	random=$(said_number random) same=$(said_number same)
	holds "pages swapped out" "$out > 2500"
	equal "stored" "$out" "$(stat_of file stored_pages)"
	equal "same-filled" "$same" "$(stat_of file same_filled_pages)"
	equal "incompressible" "$random" "$(stat_of file incompressible_pages)"
	equal "used by the kernel's account" "$out" "$(used_pages file)"
	equal "stores" "$out" "$(stat_of file stores)"
	holds "compressed bytes" "$(stat_of file compressed_bytes) >= $random * PAGE &&
		$(stat_of file compressed_bytes) < $random * PAGE + $text * PAGE / 2"
	holds "pool bytes" "$(stat_of file pool_bytes) >= $(stat_of file compressed_bytes)"
	equal "bytes beside the objects" 0 $(($(stat_of file pool_bytes) % PAGE))
	go_on
	out=$(said_number out)
	equal "stored, after rewriting" "$out" "$(stat_of file stored_pages)"
	equal "same-filled, after rewriting" "$(said_number same)" "$(stat_of file same_filled_pages)"
	equal "incompressible, after rewriting" "$(said_number random)" \
		"$(stat_of file incompressible_pages)"
	equal "stores less invalidates" "$out" \
		$(($(stat_of file stores) - $(stat_of file invalidates)))
	release
	for name in stored_pages same_filled_pages incompressible_pages compressed_bytes \
		pool_bytes table_bytes; do
		equal "$name, after the process" 0 "$(stat_of file "$name")"
	done
	equal "stores less invalidates" 0 $(($(stat_of file stores) - $(stat_of file invalidates)))
}

same_filled_keep_their_word() {
	area file
	start pages -s 8 -k s fill out hold check
	holds "pages out" "$(said_number out) > 2000"
	equal "same-filled pages" "$(said_number out)" "$(stat_of file same_filled_pages)"
	equal "compressed bytes" 0 "$(stat_of file compressed_bytes)"
	equal "pool bytes" 0 "$(stat_of file pool_bytes)"
	release
}

# A word of 64 bits whose halves differ does not fit into the entry. The tags of wlz are 256 bytes.
longer_words_compress() {
	area file
	start pages -s 8 -k w fill out hold check
	holds "pages out" "$(said_number out) > 2000"
	equal "same-filled pages" 0 "$(stat_of file same_filled_pages)"
	holds "compressed bytes" "$(stat_of file compressed_bytes) < 272 * $(said_number out)"
	ends_well
}

promise "four processes, twice 8 MiB in 2 MiB, on 2 CPUs" four_times_too_large
promise "the same on one CPU" with_one_cpu
promise "unrelated processes in one area" several_unrelated
promise "the stats count what is there, and are 0 at the end" counts
promise "pages of one repeated word of 32 bits keep only their word" same_filled_keep_their_word
promise "pages of one repeated word of 64 bits are compressed" longer_words_compress
finish

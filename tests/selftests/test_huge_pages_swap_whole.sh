#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Huge pages of any size go out in one piece, and come back right.

. "$(dirname "$0")/lib.sh"

THP=/sys/kernel/mm/transparent_hugepage

have_huge_pages() {
	[[ -d $THP ]] || skip "this kernel has no huge pages"
}

thp_goes_out_whole() {
	local out fallback
	have_huge_pages
	area file
	out=$(vmstat thp_swpout) fallback=$(vmstat thp_swpout_fallback)
	start pages -m huge -s 8 -k tttrsz fill huge out hold check
	equal "huge pages" 4 "$(said_number huge)"
	equal "pages out" 2048 "$(said_number out)"
	equal "thp_swpout" 4 $(($(vmstat thp_swpout) - out))
	equal "thp_swpout_fallback" 0 $(($(vmstat thp_swpout_fallback) - fallback))
	equal "stored" 2048 "$(stat_of file stored_pages)"
	# A zero page in a huge page that is not zero is one of one word, too.
	equal "same-filled" $(($(said_number same) + $(said_number zero))) \
		"$(stat_of file same_filled_pages)"
	equal "incompressible" "$(said_number random)" "$(stat_of file incompressible_pages)"
	equal "tables" $((4 * PAGE)) "$(stat_of file table_bytes)"
	ends_well
}

# Only some of it is written again, or given back: the rest stays what it was.
thp_goes_out_in_part() {
	have_huge_pages
	area file
	pages -m huge -s 4 -k tr fill out rewrite:7 out check keep:3 out check
	equal "stored at the end" 0 "$(stat_of file stored_pages)"
}

thp_under_pressure() {
	have_huge_pages
	cgroup tight memory.high=10M
	area file
	pages -g tight -m huge -s 16 -k ttrs fill check fork:1 rewrite:5 check >said
	holds "loads" "$(stat_of file loads) > 2048"
	equal "failed loads" 0 "$(stat_of file failed_loads)"
}

# Only 64 KiB pages are allowed, so that nothing else can be counted.
medium_pages() {
	local size stats=$THP/hugepages-64kB/stats swpout fallback swpin
	[[ -e $stats/swpout ]] || skip "this kernel has no multi-size THP"
	for size in "$THP"/hugepages-*kB/enabled; do
		put_for_now "$size" never
	done
	put "$THP/hugepages-64kB/enabled" madvise

	area file
	swpout=$(<"$stats/swpout") fallback=$(<"$stats/swpout_fallback") swpin=$(<"$stats/swpin")
	start pages -m huge -s 4 -k tttrs fill out hold check hold out check
	equal "pages out" 1024 "$(said_number out)"
	equal "64 KiB pages out" 64 $(($(<"$stats/swpout") - swpout))
	equal "64 KiB fallbacks" 0 $(($(<"$stats/swpout_fallback") - fallback))
	equal "loads before" 0 "$(stat_of file loads)"
	go_on
	note "64 KiB pages in: $(($(<"$stats/swpin") - swpin))"
	equal "pages loaded" 1024 "$(stat_of file loads)"
	release
}

shmem_in_huge_pages() {
	local out
	[[ -e $THP/shmem_enabled ]] || skip "this kernel has no huge pages for shmem"
	put_for_now "$THP/shmem_enabled" force
	area file
	out=$(vmstat thp_swpout)
	start pages -m shmem -s 4 -k ttr fill out hold check rewrite:3 out check
	equal "pages out" 1024 "$(said_number out)"
	equal "thp_swpout" 2 $(($(vmstat thp_swpout) - out))
	release
}

promise "a THP is swapped out whole, and comes back right" thp_goes_out_whole
promise "a THP swapped out in part keeps the rest" thp_goes_out_in_part
promise "THPs under pressure keep every page" thp_under_pressure
promise "64 KiB pages are swapped out whole, and come back right" medium_pages
promise "shared memory in THPs is swapped out whole" shmem_in_huge_pages
finish

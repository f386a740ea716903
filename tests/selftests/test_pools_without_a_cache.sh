#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# With cache=off pages only pass through memory on their way to the stores: for
# use behind the kernel's zswap, which then needs no slot on a disk for what it holds.

. "$(dirname "$0")/lib.sh"

ZSWAP=/sys/module/zswap/parameters

needs_a_store() {
	header file
	gives_reason EINVAL "cache=off.*backing" mnt mount file file cache=off
	gives_reason EINVAL "cache=maybe" mnt mount file file cache=maybe
	disk disk.image 16M
	gives OK mnt mount file file "cache=off,backing=$disk"
	[[ $(options_of file) == *,cache=off,* ]] || fail "/proc/mounts says $(options_of file)"
	gives EINVAL mnt remount file cache=on
}

# staged_no_more_than MIB: of compressed pages.
staged_no_more_than() {
	(($(stat_of file compressed_bytes) < $1 << 20))
}

goes_to_the_store() {
	area_with_store 64M cache=off
	start pages -s 24 -k tttr fill out hold check rewrite:3 out hold check free
	until_true "the mover has gone on to its mark" 30 staged_no_more_than 4
	holds "pages in the store" "$(stat_of file redirected_pages) > $(said_number out) / 2"
	equal "stores refused" 0 "$(stat_of file failed_stores_limit)"
	go_on
	ends_well
	equal "bytes in the store" 0 "$(store_stat file 0 live_bytes)"
}

# Pages that were written together are read with one request for some of them.
read_together() {
	area_with_store 64M cache=off
	start pages -s 16 -k t fill out hold check
	release
	note "$(store_stat file 0 read_ios) requests for $(stat_of file loads) loads"
	# About three records lie in a block.
	holds "requests" "$(store_stat file 0 read_ios) * 2 < $(stat_of file loads)"
}

# zswap PERCENT: in front of all areas, with at most so much of the memory.
zswap() {
	[[ -d $ZSWAP ]] || skip "this kernel has no zswap"
	put_for_now "$ZSWAP/max_pool_percent" "$1"
	put_for_now "$ZSWAP/shrinker_enabled" Y
	put_for_now "$ZSWAP/enabled" Y
}

no_block_for_what_zswap_holds() {
	local out
	area_with_store 64M cache=off
	zswap 20
	out=$(vmstat zswpout)
	start pages -s 16 -k t fill out hold check
	equal "pages that zswap took" "$(said_number out)" $(($(vmstat zswpout) - out))
	equal "pages that came here" 0 "$(stat_of file stores)"
	equal "bytes in the store" "0 0" \
		"$(store_stat file 0 used_bytes) $(store_stat file 0 written_bytes)"
	release
}

# zswap's own writeback, driven by its limit and by a cgroup's.
what_zswap_writes_back_lands_in_the_log() {
	local back
	area_with_store 64M cache=off
	zswap 1
	back=$(vmstat zswpwb)
	cgroup zswapped memory.high=16M memory.zswap.max=4M
	pages -g zswapped -s 32 -k tttr fill check rewrite:3 check >/dev/null &
	until_true "zswap writes back" 60 has_written_back "$back"
	wait $!
	note "zswap wrote $(($(vmstat zswpwb) - back)) pages back," \
		"$(stat_of file written_pages) went to the store"
	holds "pages written" "$(stat_of file written_pages) > 500"
	holds "bytes a page" \
		"$(store_stat file 0 written_bytes) < $(stat_of file written_pages) * PAGE"
	equal "failed loads" 0 "$(stat_of file failed_loads)"
}

has_written_back() { # PAGES-BEFORE
	(($(vmstat zswpwb) - $1 > 1000))
}

swapoff_brings_all_back() {
	area_with_store 64M cache=off
	start pages -s 16 -k tttr fill out hold check
	gives OK mnt swapoff file
	release
	equal "stored" "0 0" "$(stat_of file stored_pages) $(store_stat file 0 live_bytes)"
}

promise "cache=off needs a store, and is for a new pool" needs_a_store
promise "what is stored goes to the store" goes_to_the_store
promise "pages that were written together are read together" read_together
promise "what zswap holds takes no block of the store" no_block_for_what_zswap_holds
promise "what zswap writes back lands in the log" what_zswap_writes_back_lands_in_the_log
promise "swapoff brings all of it back" swapoff_brings_all_back
finish

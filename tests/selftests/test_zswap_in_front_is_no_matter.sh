#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# With zswap in front of an area, pages come back right from either.

. "$(dirname "$0")/lib.sh"

ZSWAP=/sys/module/zswap/parameters

zswap_on() {
	[[ -w $ZSWAP/enabled ]] || skip "this kernel has no zswap"
	put_for_now "$ZSWAP/enabled" Y
}

in_front() {
	local stored
	zswap_on
	area file
	stored=$(vmstat zswpout)
	start pages -s 4 -k t fill out hold check
	holds "pages zswap took" "$(vmstat zswpout) - $stored > 900"
	equal "pages that reached the area" 0 "$(stat_of file stores)"
	release
}

# Nearly all of it passes through: zswap may keep only 1 MiB, and writes back.
writes_back() {
	zswap_on
	area file
	cgroup tight memory.high=6M memory.zswap.max=1M
	pages -g tight -s 16 -k ttrs fill check rewrite:3 check
	holds "pages that reached the area" "$(stat_of file stores) > 500"
	holds "pages that came back from it" "$(stat_of file loads) > 300"
	equal "failed" "0 0" "$(stat_of file failed_stores_memory) $(stat_of file failed_loads)"
}

# Turned on and off while pages are in both.
comes_and_goes() {
	zswap_on
	area file
	start pages -s 6 -k tr fill out hold rewrite:2 out hold check rewrite:3 out check
	put "$ZSWAP/enabled" N
	go_on
	put "$ZSWAP/enabled" Y
	release
	holds "pages that reached the area" "$(stat_of file stores) > 300"
	ends_empty file
}

promise "what zswap keeps does not reach the area" in_front
promise "what zswap writes back comes back right" writes_back
promise "zswap may be turned on and off meanwhile" comes_and_goes
finish

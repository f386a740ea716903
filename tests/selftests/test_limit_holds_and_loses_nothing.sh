#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What a pool holds never passes its limit; what does not fit stays in memory,
# and is stored as soon as there is room.
#
# Needs two CPUs: they store at once.

. "$(dirname "$0")/lib.sh"

# A table that a refused store made and took back counts until RCU has freed it.
within_limit() {
	until_true "what is held fits" 5 fits "$1"
}

fits() {
	(($(held "$1") <= $(stat_of "$1" limit_bytes)))
}

keeps_what_does_not_fit() { # KIND OF MEMORY
	area file 1G limit=5M
	start pages -m "$1" -s 8 -k r fill out hold check out hold check
	# Two huge pages at most, and never a part of one.
	holds "pages out" "$(said_number out) >= 1024 && $(said_number out) <= 1280"
	equal "stored" "$(said_number out)" "$(stat_of file stored_pages)"
	within_limit file
	holds "stores refused" "$(stat_of file failed_stores_limit) > 0"
	equal "stores that failed for memory" 0 "$(stat_of file failed_stores_memory)"
	go_on
	within_limit file
	ends_well
}

room_is_used_again() {
	local failed
	area file 1G limit=2M
	start pages -s 4 -k r fill out hold
	within_limit file
	holds "stores refused" "$(stat_of file failed_stores_limit) > 0"
	release
	failed=$(stat_of file failed_stores_limit)
	start pages -s 1 -k r fill out hold check
	holds "pages out" "$(said_number out) >= 250"
	equal "stores refused since" "$failed" "$(stat_of file failed_stores_limit)"
	release
}

limit_follows_remount() {
	local failed
	area file 1G limit=8M
	start pages -s 4 -k r fill out hold check out hold check out hold check
	holds "pages out" "$(said_number out) > 1000"
	failed=$(stat_of file failed_stores_limit)
	equal "stores refused" 0 "$failed"
	# Below what is held: it stays, and no page comes on top of it.
	gives OK mnt remount file limit=1M
	go_on
	holds "stores refused" "$(stat_of file failed_stores_limit) > 0"
	holds "pages out" "$(said_number out) < 1000"
	holds "pages free, by df" "$(stat -f -c %f file) <= 8"
	gives OK mnt remount file limit=8M
	failed=$(stat_of file failed_stores_limit)
	go_on
	equal "stores refused since" "$failed" "$(stat_of file failed_stores_limit)"
	holds "pages out" "$(said_number out) > 1000"
	release
}

# Same-filled pages take nothing but table pages, and those count.
tables_count() {
	area file 1G limit=16K
	start pages -s 16 -k s fill out hold check
	within_limit file
	holds "pages out" "$(said_number out) > 500 && $(said_number out) < 4096"
	holds "bytes of tables" "$(stat_of file table_bytes) >= $(said_number out) / 512 * PAGE"
	holds "stores refused" "$(stat_of file failed_stores_limit) > 0"
	release
}

# Both CPUs ask for the last of it at the same time.
refused_from_all_cpus() {
	area file 1G limit=2M
	from_all_cpus file 2 tr has_been_full
	ends_empty file
}

has_been_full() {
	((most > $(stat_of file limit_bytes) * 9 / 10 && $(stat_of file failed_stores_limit) > 0))
}

nothing_for_other_pools() {
	area small 1G limit=1M 5
	area large 1G limit=16M 4
	start pages -s 6 -k r fill out out out hold check
	within_limit small
	within_limit large
	equal "stores refused by the pool with room" 0 "$(stat_of large failed_stores_limit)"
	release
}

promise "pages beyond the limit stay in memory" keeps_what_does_not_fit anon
promise "huge pages that fit in part stay, too" keeps_what_does_not_fit huge
promise "room is used again when it appears" room_is_used_again
promise "a limit set lower refuses, set higher takes" limit_follows_remount
promise "table pages count" tables_count
promise "the limit holds for stores from all CPUs at once" refused_from_all_cpus
promise "one pool at its limit does not stop another" nothing_for_other_pools
finish

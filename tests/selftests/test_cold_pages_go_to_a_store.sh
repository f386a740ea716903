#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A store takes nothing while the pool is within its limit and memory is not short,
# and then what is needed least: incompressible pages, and those that were stored
# longest ago.
#
# Needs two CPUs: they store at once.

. "$(dirname "$0")/lib.sh"

nothing_within_the_limit() {
	area_with_store 64M limit=256M
	start pages -s 80 -k tttrs fill out hold
	holds "pages out" "$(said_number out) > 20000"
	equal "used and written" "0 0" \
		"$(store_stat file 0 used_bytes) $(store_stat file 0 written_bytes)"
	equal "pages in stores, and ever written" "0 0" \
		"$(stat_of file redirected_pages) $(stat_of file written_pages)"
	# The swap header's page is all that the disk was ever given.
	equal "sectors of the disk with content" 8 "$(stat -c %b disk.image)"
	release
}

by_hand() {
	local tables objects stored count
	area_with_store 64M limit=256M
	start pages -s 16 -k tttrz fill out hold check
	# The kernel keeps pages of zeros to itself.
	stored=$(stat_of file stored_pages)
	tables=$(stat_of file table_bytes) objects=$(stat_of file compressed_bytes)
	count=$(($(said_number text) + $(said_number random)))

	gives OK tell file writeback 1000
	# Up to a cluster of 512 more.
	holds "pages in the store" "$(stat_of file redirected_pages) >= 1000 &&
		$(stat_of file redirected_pages) <= 1512"
	equal "stored" "$stored" "$(stat_of file stored_pages)"

	write_back file
	equal "pages in the store" "$count" "$(stat_of file redirected_pages)"
	equal "pages written" "$count" "$(stat_of file written_pages)"
	equal "bytes in the store" "$objects" "$(stat_of file redirected_bytes)"
	equal "stored" "$stored" "$(stat_of file stored_pages)"
	equal "bytes and incompressible pages in memory" "0 0" \
		"$(stat_of file compressed_bytes) $(stat_of file incompressible_pages)"
	holds "pool bytes" "$(stat_of file pool_bytes) <= 16 * PAGE"
	equal "bytes of tables" "$tables" "$(stat_of file table_bytes)"
	# Nothing is left to write, which is no error.
	write_back file
	release
	equal "in the store at the end" "0 0 0" "$(stat_of file redirected_pages) \
$(stat_of file redirected_bytes) $(store_stat file 0 live_bytes)"
}

refused_by_hand() {
	local text
	area file
	gives ENXIO tell file writeback all
	gives ENXIO tell file writeback 10
	gives ENXIO tell file age 0
	disk disk.image 16M
	gives OK tell file add_backing "$disk"
	for text in -1 +1 many 1.5 "10 pages" ALL; do
		gives EINVAL tell file writeback "$text"
	done
	for text in -1 +1 old 1.5 "10 s" all 99999999999999999999; do
		gives EINVAL tell file age "$text"
	done
}

same_filled_come_back() {
	area_with_store 16M
	start_in_store -s 8 -k swz fill out hold check rewrite:2 out hold check
	go_on
	write_back file
	release
}

# No page has to stay in memory because the pool is full.
past_the_limit() {
	area_with_store 64M limit=4M
	start pages -s 24 -k tttr fill out:95 hold out hold check rewrite:3 out hold check
	go_on
	holds "pages out" "$(said_number out) > 6144 * 95 / 100"
	nearly_within_limit file
	holds "pages in the store" "$(stat_of file redirected_pages) > 3000"
	note "of 6144 pages $(stat_of file failed_stores_limit) times one was refused"
	go_on
	nearly_within_limit file
	release
	equal "failed" "0 0" "$(stat_of file failed_loads) $(stat_of file failed_stores_memory)"
}

# It makes some room, and no more than that.
between_the_marks() {
	area_with_store 64M limit=8M
	start pages -s 7 -k r fill out out hold check
	equal "pages written within the limit" 0 "$(stat_of file written_pages)"
	release
	start pages -s 16 -k r fill out out hold check
	until_true "it is below 15/16 of the limit" 10 below_the_high_mark
	# The last segment may begin just above 7/8 of it.
	holds "bytes held" "$(held file) >= $(stat_of file limit_bytes) * 7 / 8 - (2 << 20)"
	release
}

below_the_high_mark() {
	(($(held file) <= $(stat_of file limit_bytes) * 15 / 16 + ABOVE_LIMIT))
}

written_from_all_cpus() {
	area_with_store 64M limit=3M
	from_all_cpus file 6 tttr has_written 2000
	ends_empty file
}

has_written() {
	(($(stat_of file written_pages) > $1))
}

incompressible_first() {
	local random
	area_with_store 64M
	start pages -s 16 -k tr fill out hold check
	random=$(said_number random)
	holds "incompressible pages" "$random > 2000"
	# As many as one cluster has at least, however old that is.
	gives OK tell file writeback 200
	equal "pages in the store" 200 "$(stat_of file redirected_pages)"
	equal "incompressible pages in memory" $((random - 200)) \
		"$(stat_of file incompressible_pages)"
	release
}

oldest_first() {
	area_with_store 64M
	start_second -i 2 -s 16 -k t fill out hold check
	# Ages are in seconds.
	sleep 2
	start pages -i 1 -s 8 -k t fill out hold check
	# A cluster that both use is as young as its youngest page.
	gives OK tell file writeback 2000
	release
	equal "younger pages read from the store" 0 "$(store_stat file 0 read_ios)"
	release_second
	holds "older pages read from it" "$(store_stat file 0 read_ios) > 0"
}

# The mover comes by all pages, half of them are needed and stored again, and then some are to go.
needed_again_stays() {
	local reads
	disk disk.image 64M
	# Ages are in seconds. Where a second ends in between, a cluster may be come by twice at once.
	for _ in 1 2 3; do
		# Two clusters, so that pages come to lie where others left.
		area file 4M "limit=64M,backing=$disk"
		start pages -s 3 -k t fill out hold rewrite:2 out hold rewrite:2 hold check
		gives OK tell file writeback 1
		go_on
		gives OK tell file writeback 100
		equal "pages written" 101 "$(stat_of file written_pages)"
		reads=$(store_stat file 0 read_ios)
		go_on
		reads=$(($(store_stat file 0 read_ios) - reads))
		release
		gone file
		((reads > 0)) || return 0
		note "$reads times a page was read that had been stored again"
	done
	fail "pages went that had just been needed, each time"
}

older_by_hand() {
	local begin
	area_with_store 64M
	start_second -i 2 -s 16 -k t fill out hold check
	# Ages are in whole seconds, by another clock than that of the shell.
	sleep 5
	begin=$SECONDS
	start pages -i 1 -s 8 -k t fill out hold check
	gives OK tell file age 1000000
	equal "pages that are older than the machine" 0 "$(stat_of file written_pages)"
	gives OK tell file age $((SECONDS - begin + 2))
	# All 4,096 but those in clusters that younger ones came into.
	holds "older pages in the store" "$(stat_of file redirected_pages) > 2000"
	release
	equal "younger pages read from the store" 0 "$(store_stat file 0 read_ios)"
	gives OK tell file age 0
	equal "pages in the store" "$(stat_of file stored_pages)" "$(stat_of file redirected_pages)"
	release_second
}

# A page need not have gone if the limit has room for it, and for all that went since.
back_soon() {
	local count
	area_with_store 64M limit=32M
	start_in_store -s 8 -k r fill out hold check out hold check
	count=$(stat_of file redirected_pages)
	equal "pages that came back before they are needed" 0 "$(stat_of file returned_pages)"
	go_on
	equal "pages that came back soon" "$count" "$(stat_of file returned_pages)"
	write_back file
	start_second -i 2 -s 40 -k r fill out out hold
	release
	equal "pages that came back soon, and no others" "$count" "$(stat_of file returned_pages)"
	release_second
}

# Records lie back to back, and 25 bytes more are for each.
densely() {
	local objects written
	area_with_store 64M
	start pages -s 20 -k t fill out hold check
	objects=$(stat_of file compressed_bytes)
	write_back file
	written=$(store_stat file 0 written_bytes)
	note "$written bytes written for $objects bytes of objects"
	holds "bytes written" "$written >= $objects && $written <= $objects * 105 / 100"
	holds "bytes of records" "$(store_stat file 0 live_bytes) >= $objects"
	holds "bytes of records" "$(store_stat file 0 live_bytes) <= $written"
	release
}

promise "no block is used while the pool is within its limit" nothing_within_the_limit
promise "writeback by hand moves as much as it is told, and no table grows" by_hand
promise "writeback without a store, or of no number, is refused" refused_by_hand
promise "pages of one word come back, wherever they are kept" same_filled_come_back
promise "a working set of several times the limit is out, and the limit holds" past_the_limit
promise "writeback starts at the limit and stops well before the pool is empty" between_the_marks
promise "the limit holds for stores from all CPUs at once" written_from_all_cpus
promise "the clusters go first that were stored to longest ago" oldest_first
promise "and of these the incompressible pages" incompressible_first
promise "a page stays that was stored again since the mover came by" needed_again_stays
promise "writeback by age moves those that are older, and no others" older_by_hand
promise "pages that come back soon after they went are counted, and no others" back_soon
promise "at most 5% more is written than the objects have" densely
finish

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Swap hands over up to 32 folios at once, out and in. One that cannot be stored stays in
# memory, one that cannot be read is lost, and each does so alone.

. "$(dirname "$0")/lib.sh"
. "$HERE/faults.sh"

# per_batch EVENT BEFORE AFTER EVENT BEFORE AFTER LEAST: pages, and batches that they came in.
per_batch() {
	note "$(($3 - $2)) times $1 in $(($6 - $5)) times $4"
	holds "pages a batch, at least" "($3 - $2) >= $7 * ($6 - $5)"
}

go_out_in_batches() {
	local out batches
	area file 1G batch=on
	out=$(vmstat pswpout) batches=$(vmstat nrswpout)
	pages -s 16 -k t fill out check
	per_batch pswpout "$out" "$(vmstat pswpout)" nrswpout "$batches" "$(vmstat nrswpout)" 16
	ends_empty file
}

# By madvise(2), whether the area is synchronous or not.
come_in_batches() {
	local in batches
	area file
	start pages -s 16 -k t fill out hold ahead check
	in=$(vmstat pswpin) batches=$(vmstat nrswpin)
	release
	per_batch pswpin "$in" "$(vmstat pswpin)" nrswpin "$batches" "$(vmstat nrswpin)" 16
}

# Each allocation fails in turn, and so each page of a batch.
goes_out() {
	area file 1G batch=on
	pages -s 1 fill out check >/dev/null
	count_allocations
	local stored failed
	stored=$(stat_of file stores)
	fail_each 32 -a -p 32 -k r ENOMEM fill fault out mend check
	stored=$(($(stat_of file stores) - stored)) failed=$(stat_of file failed_stores_memory)
	# A kernel that watches its memory allocates for that, too, and needs none of it.
	holds "pages that were not stored" "32 <= $failed && $failed <= $(said_number faults)"
	holds "pages stored beside them" "$stored >= 31 * $failed"
	equal "pages in a batch that are neither" 0 $(((stored + failed) % 32))
	ends_empty file
}

# break_block BLOCK: of the store's 4,096 bytes; it can be neither read nor written from now on.
break_block() {
	local at=$(($1 * 8)) end=$((32 * 2048))
	load_lines <<-END
		0 $at linear $below 0
		$at 8 error
		$((at + 8)) $((end - at - 8)) linear $below $((at + 8))
	END
}

# Records of a page or two begin or end in each block.
comes_in() {
	local block lost
	mapped linear DISK 0
	for block in {4..80..4}; do
		area file 1G "backing=$disk"
		start_in_store -s 1 -k t fill out hold ahead lost check
		break_block "$block"
		release
		lost=$(said_number lost)
		holds "pages lost with block $block" "1 <= $lost && $lost <= 6"
		equal "loads that failed" "$lost" "$(stat_of file failed_loads)"
		gone file
		load_table linear DISK 0
	done
}

promise "pages go out many at once" go_out_in_batches
promise "pages come in many at once" come_in_batches
promise "a page that cannot be stored stays in memory, and the others go" goes_out
promise "a page that cannot be read is lost, and the others come" comes_in
finish

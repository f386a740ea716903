#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A second compressor makes old pages smaller, on their way to a store and in memory, and
# each page comes back, whichever made it.
#
# Needs two CPUs: programs load while others are compressed again.

. "$(dirname "$0")/lib.sh"

# again FILE: how many pages were compressed again, and how many of them were loaded.
again() {
	echo "$(stat_of "$1" recompressed_pages) $(stat_of "$1" recompressed_loads)"
}

nothing_by_default() {
	area_with_store 64M
	equal "second compressor" off "$(stat_of file recomp)"
	[[ $(options_of file) != *recomp* ]] || fail "/proc/mounts shows $(options_of file)"
	start_in_store -s 8 -k t fill out hold check out hold check
	gives ENXIO tell file recompress 0
	go_on
	gives ENXIO tell file recompress 0
	release
	equal "pages compressed again, and loads of them" "0 0" "$(again file)"
}

shown_and_refused() {
	local text
	header file
	gives OK mnt mount file file comp=lz4,recomp=zstd
	[[ ,$(options_of file), == *,comp=lz4,recomp=zstd,* ]] ||
		fail "/proc/mounts shows $(options_of file)"
	equal "second compressor" zstd "$(stat_of file recomp)"
	gives OK mnt remount file recomp=zstd
	gives_reason EINVAL "has recomp=zstd, not wlz:dense" mnt remount file recomp=wlz:dense
	gives_reason EINVAL "has recomp=zstd, not off" mnt remount file recomp=off
	for text in -1 old "10 s" 1.5 99999999999999999999; do
		gives EINVAL tell file recompress "$text"
	done
	gives OK mnt umount file
	gives OK mnt mount file file recomp=off
	equal "second compressor" off "$(stat_of file recomp)"
}

has_both() {
	has_compressor "$1" && has_compressor "$2"
}

before_a_store() { # FIRST SECOND
	local text random objects written
	has_both "$@" || skip "this kernel has no $1 or $2"
	area_with_store 64M "comp=$1,recomp=$2"
	start pages -s 12 -k tttrs fill out hold check hold
	text=$(said_number text) random=$(said_number random)
	objects=$(stat_of file compressed_bytes)
	write_back file
	written=$(stat_of file redirected_bytes)
	note "$1, $2: $(((objects - random * PAGE) / text)) and $(((written - random * PAGE) / text)) bytes for a page of text"
	equal "pages in the store" $((text + random)) "$(stat_of file redirected_pages)"
	equal "bytes and incompressible pages in memory" "0 0" \
		"$(stat_of file compressed_bytes) $(stat_of file incompressible_pages)"
	holds "bytes in the store" "$written < $objects"
	holds "pages compressed again" "$(stat_of file recompressed_pages) > $text / 10 &&
		$(stat_of file recompressed_pages) <= $text"
	equal "loads of them" 0 "$(stat_of file recompressed_loads)"
	go_on
	equal "loads of them" "$(stat_of file recompressed_pages)" "$(stat_of file recompressed_loads)"
	release
	equal "in the store at the end" "0 0 0" "$(stat_of file redirected_pages) \
$(stat_of file redirected_bytes) $(store_stat file 0 live_bytes)"
	equal "failed" "0 0" "$(stat_of file failed_loads) $(stat_of file failed_stores_memory)"
	gone file
}

# What is taken back into memory is as it was in the store, and goes out again as that.
once_only() {
	local pages bytes again
	area_with_store 64M recomp=zstd
	start_in_store -s 12 -k tttr fill out hold check hold
	pages=$(stat_of file redirected_pages) bytes=$(stat_of file redirected_bytes)
	again=$(stat_of file recompressed_pages)
	gives OK tell file remove_backing "$disk"
	equal "bytes in memory" "$bytes" "$(stat_of file compressed_bytes)"
	gives OK tell file recompress 0
	gives OK tell file add_backing "$disk"
	write_back file
	equal "pages and bytes in the store" "$pages $bytes" \
		"$(stat_of file redirected_pages) $(stat_of file redirected_bytes)"
	# But for those that zstd could not make smaller, and cannot now.
	equal "pages compressed again" "$again" "$(stat_of file recompressed_pages)"
	go_on
	ends_well
}

# Segments are cleaned, and what is in them moves, as it is.
cleaned() {
	local verbs=()
	area_with_store 16M limit=1M,recomp=wlz:dense
	for _ in {1..7}; do
		verbs+=(rewrite:2 out rewrite:3 out)
	done
	start pages -s 12 -k tttr fill out "${verbs[@]}" out:95 hold check
	note "$(store_stat file 0 cleaned_bytes) bytes moved, $(stat_of file recompressed_pages)" \
		"of $(stat_of file written_pages) pages compressed again"
	holds "bytes moved" "$(store_stat file 0 cleaned_bytes) > 0"
	holds "pages compressed again" "$(stat_of file recompressed_pages) > 2000"
	release
	equal "failed" "0 0" "$(stat_of file failed_loads) $(stat_of file failed_stores_memory)"
}

in_memory() { # FIRST SECOND
	local text stored before after again
	has_both "$@" || skip "this kernel has no $1 or $2"
	area file 1G "limit=256M,comp=$1,recomp=$2"
	start pages -s 16 -k tttrs fill out hold check hold
	text=$(said_number text)
	stored=$(stat_of file stored_pages) before=$(stat_of file compressed_bytes)
	gives OK tell file recompress 1000000
	equal "pages that are older than the machine" "0 0" "$(again file)"
	gives OK tell file recompress 0
	after=$(stat_of file compressed_bytes) again=$(stat_of file recompressed_pages)
	note "$1, $2: $again of $text pages of text, $before and $after bytes"
	holds "pages compressed again" "$again > $text / 10 && $again <= $text"
	holds "bytes saved" "$before - $after >= 16 * $again"
	equal "stored" "$stored" "$(stat_of file stored_pages)"
	# Nothing was stored in these clusters since.
	gives OK tell file recompress 0
	equal "pages compressed again" "$again" "$(stat_of file recompressed_pages)"
	go_on
	equal "loads of them" "$again" "$(stat_of file recompressed_loads)"
	release
	equal "failed loads" 0 "$(stat_of file failed_loads)"
	ends_empty file
	gone file
}

# Of two programs' pages those are made smaller that were stored before.
older_only() {
	local begin
	area file 1G limit=256M,recomp=zstd
	start_second -i 2 -s 16 -k t fill out hold check
	sleep 5
	begin=$SECONDS
	start pages -i 1 -s 8 -k t fill out hold check
	gives OK tell file recompress $((SECONDS - begin + 2))
	# All 4,096 but those in clusters that younger ones came into.
	holds "older pages" "$(stat_of file recompressed_pages) > 1000"
	release
	equal "loads of younger ones" 0 "$(stat_of file recompressed_loads)"
	release_second
	equal "loads of older ones" "$(stat_of file recompressed_pages)" \
		"$(stat_of file recompressed_loads)"
}

# Programs store, load and free all the time.
meanwhile() {
	area_with_store 64M limit=8M,recomp=zstd
	stay_right_while_recompressed free
	ends_empty file
}

promise "nothing is compressed again by default" nothing_by_default
promise "recomp= is shown, and cannot be changed" shown_and_refused
for names in "wlz wlz:dense" "wlz zstd" "lz4 zstd" "lzo-rle deflate" "zstd wlz:dense"; do
	# shellcheck disable=SC2086 # two names
	promise "before pages go to a store they are compressed again: ${names/ /, }" before_a_store $names
	# shellcheck disable=SC2086
	promise "and in memory, by order" in_memory $names
done
promise "no page is compressed again twice, wherever it went" once_only
promise "what was compressed again is moved as it is" cleaned
promise "the order is for what is older, and for nothing else" older_only
promise "pages stay right while programs use them" meanwhile
finish

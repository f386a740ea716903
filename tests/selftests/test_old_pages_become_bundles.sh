#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A second compressor that makes bundles puts several old pages together, in memory, and each
# comes back, goes to a store and is freed by itself.
#
# Needs two CPUs: programs load and free while others become bundles.

. "$(dirname "$0")/lib.sh"

# bundles FILE: the pages that are in bundles, and the bytes that are wasted there.
bundles() {
	echo "$(stat_of "$1" bundled_pages) $(stat_of "$1" bundle_waste_bytes)"
}

# ends_without FILE: the bundles of a pool go with their last pages.
ends_without() {
	ends_empty "$1"
	equal "pages in bundles, and bytes wasted" "0 0" "$(bundles "$1")"
}

shown_and_refused() {
	header file
	gives_reason EINVAL "so give recomp=zstd:bundles" mnt mount file file comp=zstd:bundles
	gives_reason EINVAL "recomp=zstd:bundle: no such compressor" mnt mount file file recomp=zstd:bundle
	gives OK mnt mount file file recomp=zstd:bundles
	[[ ,$(options_of file), == *,recomp=zstd:bundles,* ]] ||
		fail "/proc/mounts shows $(options_of file)"
	equal "second compressor" zstd:bundles "$(stat_of file recomp)"
	equal "pages in bundles, and bytes wasted" "0 0" "$(bundles file)"
}

# most COMP: mounts an area whose second compressor makes bundles, and has most of its pages
# of text in some. The program holds.
most() {
	has_compressor "$1" || skip "this kernel has no $1"
	area_with_store 64M "limit=256M,comp=$1,recomp=zstd:bundles"
	start pages -s 16 -k tttrs fill out hold "${@:2}"
	text=$(said_number text)
	stored=$(stat_of file stored_pages) before=$(stat_of file compressed_bytes)
	gives OK tell file recompress 0
	after=$(stat_of file compressed_bytes)
	note "$1: $(stat_of file bundled_pages) of $text pages of text, $before and $after bytes"
	holds "pages in bundles" "$(stat_of file bundled_pages) > $text / 2"
	equal "pages compressed again" "$(stat_of file bundled_pages)" \
		"$(stat_of file recompressed_pages)"
	equal "stored" "$stored" "$(stat_of file stored_pages)"
}

in_memory() { # COMP
	local text stored before after again
	most "$1" check hold
	again=$(stat_of file recompressed_pages)
	holds "bytes saved" "$before - $after >= 64 * $again"
	# Nothing was stored in these clusters since.
	gives OK tell file recompress 0
	equal "pages compressed again" "$again" "$(stat_of file recompressed_pages)"
	go_on
	equal "loads of them" "$again" "$(stat_of file recompressed_loads)"
	release
	ends_without file
	gone file
	memory_is_back
}

to_a_store() {
	local text stored before after
	most wlz check hold
	write_back file
	equal "pages in bundles, and bytes wasted" "0 0" "$(bundles file)"
	note "$(($(stat_of file redirected_bytes) / $(stat_of file redirected_pages))) bytes a page there"
	go_on
	release
	ends_without file
}

# Where most pages of bundles are gone, the others leave them.
sparse() {
	local text stored before after bundled wasted
	most wlz keep:8 out hold check
	bundled=$(stat_of file bundled_pages)
	go_on
	wasted=$(stat_of file bundle_waste_bytes)
	note "$bundled and $(stat_of file bundled_pages) pages in bundles, $wasted bytes wasted"
	holds "pages in bundles" "$(stat_of file bundled_pages) < $bundled"
	holds "bytes wasted" "$wasted > $after / 4"
	gives OK tell file recompress 0
	note "then $(stat_of file bundled_pages) pages in bundles," \
		"$(stat_of file bundle_waste_bytes) bytes wasted"
	holds "bytes wasted" "$(stat_of file bundle_waste_bytes) < $wasted / 4"
	release
	ends_without file
}

swapped_off() {
	local text stored before after
	most wlz check
	gone file
	release
	memory_is_back
}

# Programs store, load and free all the time.
meanwhile() {
	area_with_store 64M limit=8M,recomp=zstd:bundles
	stay_right_while_recompressed keep:3 check free
	ends_without file
	gone file
	memory_is_back
}

promise "bundles are for old pages only, and shown" shown_and_refused
for name in wlz lz4; do
	promise "pages in memory become bundles, by order, and come back: $name" in_memory "$name"
done
promise "pages in bundles go to a store, each by itself" to_a_store
promise "bundles of which little is left are taken apart" sparse
promise "swapoff takes each page out of its bundle" swapped_off
promise "pages stay right while programs use them" meanwhile
finish

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Our own compressor, and any that the kernel has, can be named, and gives back what it took.

. "$(dirname "$0")/lib.sh"

round_trips() { # COMPRESSOR
	local bytes text random
	has_compressor "$1" || skip "this kernel has no $1"
	area file 1G "comp=$1"
	equal "compressor" "$1" "$(stat_of file comp)"
	start pages -s 3 -k trst fill out hold check rewrite:3 out check
	text=$(said_number text) random=$(said_number random)
	bytes=$(stat_of file compressed_bytes)
	holds "pages out" "$text > 350 && $random > 180"
	equal "incompressible" "$random" "$(stat_of file incompressible_pages)"
	holds "compressed bytes" "$bytes > $random * PAGE"
	holds "compressed bytes" "$bytes < $random * PAGE + $text * PAGE / 2"
	note "$1: $(((bytes - random * PAGE) / text)) bytes for a page of text"
	ends_well
	equal "failed" "0 0" "$(stat_of file failed_stores_memory) $(stat_of file failed_loads)"
}

pool_of_each() {
	local name
	area a 1G comp=lz4 5
	area b 1G comp=zstd 5
	area c 1G comp=deflate 5
	area d 1G comp=wlz 5
	area e 1G comp=wlz:dense 5
	pages -s 15 -k tr fill out check rewrite:2 out check
	for name in a b c d e; do
		holds "stores of $name" "$(stat_of "$name" stores) > 500"
	done
}

for name in wlz wlz:dense lz4 zstd lzo-rle lzo deflate 842; do
	promise "$name gives back what it took" round_trips $name
done
promise "pools with different compressors do not mix them up" pool_of_each
finish

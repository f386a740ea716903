#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Our own compressor, and any that the kernel has, can be named, and gives back what it took.

. "$(dirname "$0")/lib.sh"

round_trips() { # COMPRESSOR
	local bytes text random
	local name=${1%:[-0-9]*}
	has_compressor "$name" || skip "this kernel has no $name"
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

levels() { # COMPRESSOR: from the densest on
	local level bytes before=0
	has_compressor "${1%:*}" || skip "this kernel has no ${1%:*}"
	for level; do
		area file 1G "comp=$level"
		start pages -s 3 -k t fill out hold check
		bytes=$(stat_of file compressed_bytes)
		ends_well
		gone file
		note "$level: $bytes bytes"
		holds "bytes with $level" "$bytes > $before"
		before=$bytes
	done
}

for name in wlz wlz:dense lz4 zstd lzo-rle lzo deflate 842 lz4:3 zstd:19 zstd:-5; do
	promise "$name gives back what it took" round_trips $name
done
promise "zstd is denser at a higher level" levels zstd:19 zstd:3 zstd:-20
promise "lz4 is less dense at a higher level" levels lz4:1 lz4:8 lz4:64
promise "pools with different compressors do not mix them up" pool_of_each
finish

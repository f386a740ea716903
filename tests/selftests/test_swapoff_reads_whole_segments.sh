#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# On a disk that takes few requests a second swapoff reads whole segments, and
# so takes a fifth at most of what it takes plain swap.

. "$(dirname "$0")/lib.sh"

MIB=8

# Nothing of the group is in memory or in the swap cache, as far as reclaim can.
nothing_in_memory() { # CGROUP
	echo "${MIB}M" 2>/dev/null >"$CGROUPS/ghostswap.$1/memory.reclaim" || true
	awk '$1 == "anon" || $1 == "swapcached" { bytes += $2 } END { exit (bytes > 1048576) }' \
		"$CGROUPS/ghostswap.$1/memory.stat"
}

# A process that waits with all its pages in swap.
all_out() { # CGROUP
	cgroup "$1"
	start pages -g "$1" -s "$MIB" -k tr fill hold check
	until_true "all of it is out" 60 nothing_in_memory "$1"
}

time_of_swapoff() { # FILE: sets $took, in ms
	local begin=${EPOCHREALTIME/./}
	gives OK mnt swapoff "$1"
	took=$(((${EPOCHREALTIME/./} - begin) / 1000))
}

plain() { # DISK
	gives OK mnt swapon "$1"
	all_out plain
	holds "pages in use" "$(used_pages "$1") > MIB * 256 * 9 / 10"
	time_of_swapoff "$1"
	release
}

redirected() { # DISK
	area file 1G "limit=64M,backing=$1"
	all_out redirected
	write_back file
	holds "pages in the store" "$(stat_of file redirected_pages) > MIB * 256 * 9 / 10"
	ios=$(store_stat file 0 read_ios) bytes=$(store_stat file 0 read_bytes)
	live=$(store_stat file 0 live_bytes)
	time_of_swapoff file
	ios=$(($(store_stat file 0 read_ios) - ios))
	bytes=$(($(store_stat file 0 read_bytes) - bytes))
	ends_empty file
	release
}

a_fifth_at_most() {
	local disk took slow ios bytes live
	scratch_disk
	plain "$disk"
	slow=$took
	redirected "$disk"
	note "$MIB MiB: plain swapoff took $slow ms, of a store $took ms, with $ios reads" \
		"of $((bytes >> 20)) MiB"
	# Kernels that look for faults take longer than the disk.
	if ! kernel_has KASAN && ! kernel_has KCSAN; then
		holds "ms" "$took * 5 <= $slow"
	fi
	# A disk may take a segment in several parts, but none of them twice.
	holds "reads" "$ios <= 4 * ($live >> 21) + 16"
	holds "bytes read" "$bytes <= $live * 11 / 10 + (4 << 20)"
}

# However the pages of a process are spread over segments.
no_more_than_written() {
	local read written
	area_with_store 32M
	start_in_store -s 16 -k tttr fill out rewrite:3 out rewrite:2 out hold check
	read=$(store_stat file 0 read_bytes)
	# A segment is read as a whole.
	written=$(store_stat file 0 used_bytes)
	gives OK mnt swapoff file
	read=$(($(store_stat file 0 read_bytes) - read))
	holds "bytes read" "$read > 0 && $read <= $written"
	ends_empty file
	release
}

promise "swapoff takes a fifth of the time of plain swap on a slow disk" a_fifth_at_most
promise "swapoff reads no more than was written" no_more_than_written
finish

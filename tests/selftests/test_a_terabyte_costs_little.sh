#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# An area costs the module what is stored in it, not what could be.

. "$(dirname "$0")/lib.sh"

BOUND=$((64 * 1024))

slab_bytes() {
	local shrink
	for shrink in /sys/kernel/slab/*/shrink; do
		echo 1 >"$shrink"
	done 2>/dev/null
	awk '/^(Slab|Percpu):/ { sum += $2 } END { print sum * 1024 }' /proc/meminfo
}

# Bytes by caller: the kernel's own table of clusters is its own affair. The caller is swapon(2), or
# something of another name in it, as the compiler inlined it.
vmalloc_bytes() { # kernel|others
	awk -v which="$1" '
		{ kernel = /swap/ && !/\[/ }
		!/unpurged|vm_map_ram|ioremap/ && kernel == (which == "kernel") { sum += $2 }
		END { print sum + 0 }' /proc/vmallocinfo
}

# Bytes of the trees that zswap has for an area of 1 TiB: a struct xarray for each 64 MiB. The lock in it is
# larger where it may sleep.
trees_bytes() {
	local tree=16
	! kernel_has PREEMPT_RT || tree=48
	echo $((tree * (1 << 40 >> 26)))
}

# How many areas of 1 TiB have these trees in vmalloc's memory, with its guard page. The slab allocator may
# have no piece that is large enough.
trees_in_vmalloc() {
	awk -v bytes=$(($(trees_bytes) + PAGE)) '/swap/ && !/\[/ && $2 == bytes { n++ } END { print n + 0 }' \
		/proc/vmallocinfo
}

accounted() { # FILE
	echo $(($(stat_of "$1" fixed_bytes) + $(held "$1")))
}

# cost: what one mount and swapon of 1 TiB takes, in $slab, $vmalloc and $kernel, and what zswap has
# of $slab, in $zswap. It is the mean of several: a slab page more or less is as much as some of what counts.
cost() {
	local i areas=(1 2 3 4 5 6 7 8) piece=1
	# The first time, the kernel makes things that stay, and the pool what its areas share.
	area 0 1T pool=all
	zswap=$((${#areas[@]} + $(trees_in_vmalloc)))
	slab=$(slab_bytes) vmalloc=$(vmalloc_bytes others) kernel=$(vmalloc_bytes kernel)
	for i in "${areas[@]}"; do
		area "$i" 1T pool=all
	done
	slab=$((($(slab_bytes) - slab) / ${#areas[@]}))
	vmalloc=$((($(vmalloc_bytes others) - vmalloc) / ${#areas[@]}))
	kernel=$((($(vmalloc_bytes kernel) - kernel) / ${#areas[@]}))
	# The slab allocator rounds up to a power of two.
	while ((piece < $(trees_bytes))); do
		piece=$((2 * piece))
	done
	zswap=$(((zswap - $(trees_in_vmalloc)) * piece / ${#areas[@]}))
	gone "${areas[@]}"
}

terabyte_is_cheap() {
	local slab vmalloc kernel own zswap
	cost
	own=$(accounted 0)
	note "by the module's own account: $own bytes"
	note "slab and per-CPU: $((slab - zswap)) bytes; vmalloc: $vmalloc bytes"
	note "the kernel's own: cluster table $kernel bytes, zswap's trees $zswap bytes"
	equal "bytes of the area" $(((1 << 40) - PAGE)) \
		"$(awk 'NR == 2 { print $3 * 1024 }' /proc/swaps)"
	holds "its own account" "$own > 0 && $own < $BOUND"
	# A kernel that looks for faults puts something around each object.
	if ! kernel_has KASAN; then
		holds "slab, per-CPU and vmalloc" "$slab - $zswap + $vmalloc < $BOUND"
	fi
	# If these were not seen, neither would be what the module takes.
	holds "slab, with zswap's trees" "$slab > $zswap"
	holds "the kernel's table" "$kernel > 16 << 20"
	pages -s 4 fill out check rewrite:3 out check
	gone 0
	holds "the kernel's table, when it is off" "$(vmalloc_bytes kernel) < 1 << 20"
}

size_does_not_matter() {
	local small large
	area file 1M
	small=$(accounted file)
	gone file
	area file 1T
	large=$(accounted file)
	equal "cost of 1T" "$small" "$large"
}

only_use_costs_tables() {
	local full
	area file 1T
	equal "tables before use" 0 "$(stat_of file table_bytes)"
	start pages -s 8 -k tr fill out hold
	full=$(stat_of file table_bytes)
	# 2,048 pages fill 4 clusters, and each CPU has a cluster of its own.
	holds "bytes of tables" "$full >= 4 * PAGE && $full <= 8 * PAGE"
	release
	equal "tables after use" 0 "$(stat_of file table_bytes)"
}

promise "an area of 1 TiB costs the module less than 64 KiB" terabyte_is_cheap
promise "a ghost file's size does not matter" size_does_not_matter
promise "tables come with use and go with it" only_use_costs_tables
finish

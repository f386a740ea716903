#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Options do what they say, /proc/mounts shows them, and remount changes what
# can change live and refuses the rest.

. "$(dirname "$0")/lib.sh"

mounted() { # [OPTIONS]
	[[ -e file ]] || header file
	gives OK mnt mount file file "${1:-}"
}

memory_bytes() {
	awk '/^MemTotal:/ { print $2 * 1024 }' /proc/meminfo
}

defaults() {
	local limit percent=$(($(memory_bytes) / 100)) options
	mounted
	equal "compressor" wlz "$(stat_of file comp)"
	limit=$(stat_of file limit_bytes)
	# Percent of what the kernel calls RAM, which is not quite MemTotal.
	holds "20% of memory" "$limit > 19 * $percent && $limit < 21 * $percent"
	options=$(options_of file)
	[[ ,$options, == *,comp=wlz,* && $options == *limit=* && $options != *pool=* ]] ||
		fail "/proc/mounts shows $options"

	# What is shown can be given again, and means the same.
	gives OK mnt umount file
	quiet mount -t ghostswap -o "$options" file file
	equal "limit again" "$limit" "$(stat_of file limit_bytes)"
	equal "options again" "$options" "$(options_of file)"
}

# With a store, the limit is only the most that the pool may have.
default_with_a_store() {
	local percent=$(($(memory_bytes) / 100)) limit
	disk disk.image 16M
	mounted
	# mount(8) gives again what is shown: a limit that was not given.
	quiet mount -o "remount,backing=$disk" file
	limit=$(stat_of file limit_bytes)
	holds "50% of memory" "$limit > 49 * $percent && $limit < 51 * $percent"
	[[ ,$(options_of file), == *,limit=50%,* ]] || fail "/proc/mounts shows $(options_of file)"
	# Not where another was given, and not again once it has been.
	quiet mount -o remount,limit=8M file
	gives OK tell file remove_backing "$disk"
	gives OK tell file add_backing "$disk"
	equal "limit" $((8 << 20)) "$(stat_of file limit_bytes)"
}

limit_is() { # OPTION BYTES
	mounted "limit=$1"
	equal "limit=$1" "$2" "$(stat_of file limit_bytes)"
	# Of pages that are taken to become two times smaller.
	equal "blocks that df shows" $(($2 * 2 / PAGE)) "$(stat -f -c %b file)"
	gives OK mnt umount file
}

limits() {
	local percent=$(($(memory_bytes) / 100)) limit
	limit_is 8388608 $((8 << 20))
	limit_is 512K $((512 << 10))
	limit_is 8M $((8 << 20))
	limit_is 1G $((1 << 30))
	mounted limit=50%
	limit=$(stat_of file limit_bytes)
	holds "50% of memory" "$limit > 49 * $percent && $limit < 51 * $percent"
}

pool_shown() {
	mounted comp=zstd,limit=8M,pool=Name.of-a_pool
	[[ ,$(options_of file), == *,comp=zstd,*,pool=Name.of-a_pool,* ]] ||
		fail "/proc/mounts shows $(options_of file)"
	[[ -d $SYSFS/Name.of-a_pool ]]
	mount -o remount,limit=16M,pool=Name.of-a_pool,comp=zstd file
	equal "limit" $((16 << 20)) "$(stat_of file limit_bytes)"
}

limit_changes_live() {
	area file 1G limit=8M
	quiet mount -o remount,limit=16M file
	equal "limit" $((16 << 20)) "$(stat_of file limit_bytes)"
	equal "blocks that df shows" $(((32 << 20) / PAGE)) "$(stat -f -c %b file)"
	[[ $(options_of file) == *limit=* ]]
	[[ $(options_of file) != *limit=8* ]] || fail "/proc/mounts still shows $(options_of file)"
	gives OK mnt remount file limit=4M
	equal "limit" $((4 << 20)) "$(stat_of file limit_bytes)"
	# Options that are absent keep their values.
	gives OK mnt remount file
	equal "limit" $((4 << 20)) "$(stat_of file limit_bytes)"
	equal "compressor" wlz "$(stat_of file comp)"
	gives OK mnt remount file comp=wlz,limit=5M
	equal "limit" $((5 << 20)) "$(stat_of file limit_bytes)"
}

the_rest_is_refused() {
	local options
	area file 1G limit=8M
	for options in comp=zstd pool=other comp=zstd,limit=4M limit=4M,pool=other \
		limit=0 limit=101% comp=nonesuch nonesuch=1; do
		gives_reason EINVAL "comp|pool|limit|nonesuch" mnt remount file "$options"
		equal "limit" $((8 << 20)) "$(stat_of file limit_bytes)"
		equal "compressor" wlz "$(stat_of file comp)"
	done
	pages -s 2 fill out check
}

promise "defaults: wlz, a fifth of memory, no pool" defaults
promise "with a store, half of memory" default_with_a_store
promise "a limit is bytes, K, M, G or percent" limits
promise "compressor, limit and pool are shown" pool_shown
promise "remount changes the limit live" limit_changes_live
promise "remount refuses the rest, and says why" the_rest_is_refused
finish

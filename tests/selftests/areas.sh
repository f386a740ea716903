# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Ghost files, areas, pools and what sysfs says of them; sourced, not run.
# shellcheck disable=SC2154 # what lib.sh sets

# area FILE [SIZE [OPTIONS [PRIORITY]]]: a ghost file, mounted over itself and
# swapped on. Made by our own programs, which start faster than the stock tools.
area() {
	header "$1" size="${2:-1G}"
	gives OK mnt mount "$1" "$1" "${3:-}"
	gives OK mnt swapon "$1" "${4:-}"
}

gone() {
	local file
	for file; do
		gives OK mnt swapoff "$file"
		gives OK mnt umount "$file"
	done
}

# What follows is asked for all the time, so it starts no other process.

# find_pool VARIABLE FILE: sets it to the name in sysfs of a mounted file's pool.
find_pool() {
	local -n found=$1
	local at device options mounted
	[[ $2 == /* ]] && at=$2 || at=$PWD/$2
	found=
	# id parent device root mount-point options [tag]... - type source options
	while read -r _ _ device _ mounted options; do
		[[ $mounted == "$at" && $options == *" - ghostswap "* ]] || continue
		found=$device
		[[ $options != *,pool=* ]] || found=${options##*,pool=} found=${found%%[, ]*}
	done </proc/self/mountinfo
	[[ -n $found ]] || fail "$2 is no mounted ghost file"
}

pool_of() {
	local pool
	find_pool pool "$1"
	echo "$pool"
}

# stat_of FILE NAME: one of the stats of a mounted file's pool.
stat_of() {
	local pool value
	find_pool pool "$1"
	read -r value <"$SYSFS/$pool/$2"
	echo "$value"
}

# Bytes of everything the pool holds.
held() {
	local pool objects tables
	find_pool pool "$1"
	read -r objects <"$SYSFS/$pool/pool_bytes"
	read -r tables <"$SYSFS/$pool/table_bytes"
	echo $((objects + tables))
}

holds_nothing() { # FILE
	(($(stat_of "$1" stored_pages) == 0 && $(held "$1") == 0))
}

# ends_empty FILE [LOADS]: its pool holds nothing, as soon as the CPUs have given back what slots
# they keep and RCU has freed the tables; and so many loads failed, 0 if not told.
ends_empty() {
	local end=$((SECONDS + 30))
	until holds_nothing "$1"; do
		((SECONDS < end)) || fail "after 30 s $(stat_of "$1" stored_pages) pages are stored," \
			"and $(stat_of "$1" pool_bytes) bytes of them, $(stat_of "$1" table_bytes) of tables held"
		sleep 0.1
	done
	equal "failed loads" "${2:-0}" "$(stat_of "$1" failed_loads)"
}

# What a pool may hold more than it is limited to, in bytes. A store takes its memory before
# it asks: at most a zspage of 8 pages on each CPU, and tables that RCU has yet to free.
ABOVE_LIMIT=$((32 * PAGE))

# nearly_within_limit FILE: what its pool holds fits.
nearly_within_limit() {
	local held limit
	held=$(held "$1") limit=$(stat_of "$1" limit_bytes)
	holds "bytes held" "$held <= $limit + $ABOVE_LIMIT"
}

# Pages in use on a swapped-on file, as the kernel counts them.
used_pages() {
	local at name used=0 kib
	[[ $1 == /* ]] && at=$1 || at=$PWD/$1
	while read -r name _ _ kib _; do
		[[ $name != "$at" ]] || used=$((kib * 1024 / PAGE))
	done </proc/swaps
	echo "$used"
}

# uses FILE PAGES: more than so many are in use on it.
uses() {
	(($(used_pages "$1") > $2))
}

# visits FILE: how many a process that churns has said there (see pages.c).
visits() {
	local lines=(visits=0)
	[[ ! -s $1 ]] || mapfile -t lines <"$1"
	echo "${lines[-1]#visits=}"
}

# has_visited FILE PAGES: more than so many.
has_visited() {
	(($(visits "$1") > $2))
}

vmstat() {
	local name value
	while read -r name value; do
		[[ $name != "$1" ]] || echo "$value"
	done </proc/vmstat
}

# Objects in use, a line for each slab cache in which there are many.
slab_objects() {
	local shrink
	# What the machine keeps of the host's files, which any command may add to.
	echo 2 >/proc/sys/vm/drop_caches
	for shrink in /sys/kernel/slab/{kmalloc,kernfs,inode,dentry,bdev,zs,radix,percpu}*/shrink; do
		echo 1 >"$shrink"
	done 2>/dev/null
	awk '$1 ~ /^(kmalloc|kernfs|inode_cache|bdev_cache|radix)/ { print $1, $2 }' /proc/slabinfo
}

# does_not_grow COMMAND...: once it was run, runs it again, until no slab cache is left that
# grew by 9 objects and more each time, as it does by a leak. A slab that a CPU has taken
# counts as full, so any cache grows now and then.
does_not_grow() {
	local before after grown='' round
	before=$(slab_objects)
	for ((round = 0; round < 6; round++)); do
		"$@"
		after=$(slab_objects)
		grown=$(join <(sort <<<"$before") <(sort <<<"$after") | awk '$3 - $2 >= 9 { print $1 }' |
			if ((round)); then join - <(echo "$grown"); else cat; fi)
		[[ -n $grown ]] || return 0
		note "grew each time: ${grown//$'\n'/, }"
		before=$after
	done
	equal "slab caches that grew each time" "" "$grown"
}

no_zspages() {
	(($(vmstat nr_zspages) == 0))
}

# When all is turned off, nothing is held that can be told from what others hold.
memory_is_back() {
	# Each CPU counts for itself, and tells once a second.
	until_true "no page is zsmalloc's" 5 no_zspages
	equal "vmalloc of the module" "" "$(grep -E '\[ghostswap\]' /proc/vmallocinfo |
		grep -v -e load_module -e execmem || true)"
}

# --- backing stores ----------------------------------------------------------

# tell FILE NAME TEXT: write a file of a mounted file's pool. It says what it gave.
tell() {
	local pool
	find_pool pool "$1"
	mnt write "$SYSFS/$pool/$2" "$3"
}

# store_stat FILE NUMBER NAME: one of the stats of a store of a mounted file's pool.
store_stat() {
	stat_of "$1" "backing$2/$3"
}

# The paths of the stores of a mounted file's pool, in their order.
stores_of() {
	local pool store path
	find_pool pool "$1"
	for store in "$SYSFS/$pool"/backing[0-7]; do
		[[ -e $store ]] || continue
		read -r path <"$store/path"
		echo "$path"
	done
}

# is_removed FILE DISK: the store that a remount began to remove is given back. Waits for that.
is_removed() {
	[[ $(tell "$1" remove_backing "$2") =~ ^(OK|ENOENT)$ ]]
}

# write_back FILE: all there is.
write_back() {
	gives OK tell "$1" writeback all
}

# segments_of FILE NUMBER: of a store of a mounted file's pool.
segments_of() {
	echo $(($(store_stat "$1" "$2" size_bytes) >> 21))
}

# No segment of it but the one that is being filled is in use.
is_empty() { # FILE NUMBER
	local free open
	free=$(store_stat "$1" "$2" free_segments) open=$(store_stat "$1" "$2" open_segments)
	((free + open == $(segments_of "$1" "$2") && $(store_stat "$1" "$2" live_bytes) == 0))
}

# The options of what is mounted over FILE, as /proc/mounts shows them.
options_of() {
	local at mounted type all options=
	[[ $1 == /* ]] && at=$1 || at=$PWD/$1
	while read -r _ mounted type all _; do
		[[ $mounted != "$at" || $type != ghostswap ]] || options=$all
	done </proc/mounts
	echo "$options"
}

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What is in use cannot be taken away, and what was turned off is gone: in any
# order, disks, sysfs, threads and memory.

. "$(dirname "$0")/lib.sh"

in_use() {
	area file
	start pages -s 2 fill out hold check
	gives EBUSY mnt umount file
	! umount file 2>/dev/null || fail "umount(8) took it away"
	! rmmod ghostswap 2>/dev/null || fail "rmmod took the module away"
	release
	gives OK mnt swapoff file
	! rmmod ghostswap 2>/dev/null || fail "rmmod took the module away under a mount"
	gives OK mnt umount file
	rmmod ghostswap
}

one_mount_a_file() {
	touch other
	area file
	for target in file other; do
		gives_reason EBUSY "mounted" mnt mount file "$target"
	done
	pages -s 2 fill out check
}

# Mount FILE's ghost through a path where nothing hides it.
hidden_below() {
	header file
	touch first second
	gives OK mnt mount file first
	gives_reason EBUSY "mounted" mnt mount file second
	ln file hardlink
	gives_reason EBUSY "mounted" mnt mount hardlink second
	gives OK mnt umount first
	gives OK mnt mount hardlink second
}

lazy_umount() {
	area file
	start pages -s 4 -k tr fill out hold check rewrite:3 out check
	hold_open file
	gives OK mnt detach file
	# It has no name in the tree of mounts any more.
	equal "areas in /proc/swaps" 1 "$(grep -c ^/ /proc/swaps)"
	mark_log
	gives EBUSY mnt mount file file
	! rmmod ghostswap 2>/dev/null || fail "rmmod took the module away"
	release
	gives OK mnt swapoff "/proc/$holder/fd/0"
	kill "$holder"
	until_true "the module is free" 5 rmmod ghostswap
}

lazy_umount_under_load() {
	local pid
	cgroup tight memory.high=6M
	area file
	hold_open file
	pages -g tight -s 12 fill churn check >/dev/null &
	pid=$!
	until_true "it swaps" 20 uses file 200
	gives OK mnt detach file
	sleep 0.5
	echo max >"$CGROUPS/ghostswap.tight/memory.high"
	gives OK mnt swapoff "/proc/$holder/fd/0"
	kill "$holder"
	kill -TERM "$pid"
	wait "$pid"
}

step() { # swapoff|umount|rmmod
	case $1 in
	swapoff) [[ $(mnt swapoff file) == OK ]] ;;
	umount) [[ $(mnt umount file) == OK ]] ;;
	rmmod) rmmod ghostswap 2>/dev/null ;;
	esac
}

# Try the steps in the order given, over and over, until each worked once.
in_order() { # STEP...
	local todo=("$@") left next
	load
	area file
	pages -s 1 fill out
	while ((${#todo[@]} > 0)); do
		left=()
		for next in "${todo[@]}"; do
			step "$next" || left+=("$next")
		done
		[[ ${left[*]} != "${todo[*]}" ]] || fail "order $*: stuck at ${left[*]}"
		todo=("${left[@]}")
	done
	equal "left after $*" "" "$(leftovers)"
}

every_order() {
	in_order swapoff umount rmmod
	in_order swapoff rmmod umount
	in_order umount swapoff rmmod
	in_order umount rmmod swapoff
	in_order rmmod swapoff umount
	in_order rmmod umount swapoff
}

# A workqueue's own thread; what other workers did last is no matter.
threads() {
	pgrep -l '^kworker/R-ghost' || true
}

threads_go() {
	area file
	gone file
	[[ -n $(threads) ]] || fail "the module's thread is not seen"
	rmmod ghostswap
	equal "threads" "" "$(threads)"
}

repeat() { # TIMES COMMAND...
	local left
	for ((left = $1; left > 0; left--)); do
		"${@:2}"
	done
}

cycle() {
	area file
	pages -s 1 -k trs fill out >/dev/null
	gone file
}

memory_comes_back() {
	repeat 3 cycle
	# One object leaked in each cycle would be 12.
	does_not_grow repeat 12 cycle
	memory_is_back
}

failed_swapon_is_undone() {
	header file
	cp file before
	gives OK mnt mount file file
	# swapon(2) refuses the flags' reserved bits before, and a busy file after
	# it opened the file; neither may leave an area behind.
	gives OK mnt swapon file
	gives EBUSY mnt swapon file
	gives OK mnt swapoff file
	gives EINVAL mnt swapoff file
	equal "areas" 0 "$(stat_of file areas)"
	equal "disks" "$disks_before" " $(echo /sys/block/*) "
	gives OK mnt swapon file
	equal "areas" 1 "$(stat_of file areas)"
}

# A task that was throttled by the disk has it until it returns to user space.
disk_outlives_the_module() {
	local held=${GHOSTSWAP_MODULES:-}/hold_disk.ko disks
	[[ -e $held ]] || skip "no hold_disk.ko in GHOSTSWAP_MODULES"
	area file
	disks=(/sys/block/ghostswap*)
	insmod "$held" disk="$(realpath "${disks[0]}")"
	afterwards let_go_of_the_disk
	pages -s 1 fill out check
	gone file
	rmmod ghostswap
	mark_log
	rmmod hold_disk
	equal "where the disk's operations are" "${disks[0]##*/} are in the kernel" \
		"$(log_since | sed -n 's/^hold_disk: the operations of //p')"
}

let_go_of_the_disk() {
	[[ ! -e /sys/module/hold_disk ]] || rmmod hold_disk
}

promise "umount of an area and rmmod of a mount are refused" in_use
promise "a mounted ghost file is busy for another mount" one_mount_a_file
promise "also where the first mount lies elsewhere, or under another name" hidden_below
promise "lazy umount, then swapoff: every page is there" lazy_umount
promise "lazy umount under load: every page is there" lazy_umount_under_load
promise "any order of swapoff, umount and rmmod ends with nothing left" every_order
promise "no thread outlives the module" threads_go
promise "an area's disk may outlive the module" disk_outlives_the_module
promise "mount, swapon, swap, swapoff, umount give all memory back" memory_comes_back
promise "swapon and swapoff can be repeated" failed_swapon_is_undone
finish

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Two lines of fstab with one path are enough, and mount(8) loads the module.

. "$(dirname "$0")/lib.sh"

fstab() { # LINE...
	printf '%s\n' "$@" >fstab
	# Where the tools look for it, for as long as $work is there.
	mount --bind fstab /etc/fstab
	afterwards umount /etc/fstab
}

two_lines() { # PRIORITY [busybox]
	local busybox=${2:-}
	header swap.ghost size=8G
	fstab "$work/swap.ghost $work/swap.ghost ghostswap comp=zstd,limit=8M 0 0" \
		"$work/swap.ghost none swap sw,pri=5 0 0"
	rmmod ghostswap
	mark_log

	# shellcheck disable=SC2086 # it may be no word at all
	quiet $busybox mount -a -t ghostswap
	[[ -e /sys/module/ghostswap ]] || fail "mount did not load the module"
	# shellcheck disable=SC2086 # as above
	quiet $busybox swapon -a
	equal "/proc/swaps" "$work/swap.ghost file $((8 * 1024 * 1024 - 4)) 0 $1" \
		"$(awk 'NR == 2 { print $1, $2, $3, $4, $5 }' /proc/swaps)"
	equal "compressor" zstd "$(stat_of swap.ghost comp)"
	equal "limit" $((8 << 20)) "$(stat_of swap.ghost limit_bytes)"
	pages -s 2 fill out check
	# What is on already is left alone.
	# shellcheck disable=SC2086 # as above
	quiet $busybox mount -a -t ghostswap
	equal "areas" 1 "$(stat_of swap.ghost areas)"
	# shellcheck disable=SC2086 # as above
	quiet $busybox swapoff -a
	# shellcheck disable=SC2086 # as above
	quiet $busybox umount -a -t ghostswap
	until_true "no loop device is left" 5 no_loops
	equal "warnings" "" "$(warnings)"
}

plain_mount_a() {
	header one.ghost size=1G
	header two.ghost size=2G
	fstab "$work/one.ghost $work/one.ghost ghostswap defaults,pool=both 0 0" \
		"$work/two.ghost $work/two.ghost ghostswap defaults,pool=both 0 0" \
		"$work/one.ghost none swap defaults 0 0" \
		"$work/two.ghost none swap defaults,nofail 0 0"
	quiet mount -a
	quiet swapon -a
	equal "areas of the pool" 2 "$(stat_of one.ghost areas)"
	# What is on already is left alone.
	quiet mount -a
	quiet swapon -a
	equal "areas of the pool" 2 "$(stat_of one.ghost areas)"
	quiet swapoff -a
}

promise "mount -a loads the module, swapon -a finds the file" two_lines 5
# As Debian builds it, busybox knows no pri=.
promise "the same with busybox, which mounts a loop device" two_lines -1 busybox
promise "several ghost files, and asking twice" plain_mount_a
finish

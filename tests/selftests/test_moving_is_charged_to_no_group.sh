#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What the mover writes and reads is charged to no control group but the root, which has
# no limits, whatever task has it do so: a group of little I/O slows down no other.

. "$(dirname "$0")/lib.sh"

# io_group NAME: a control group whose I/O is counted.
io_group() {
	grep -qw io "$CGROUPS/cgroup.controllers" || skip "this kernel has no io controller"
	echo +io >"$CGROUPS/cgroup.subtree_control"
	cgroup "$1"
}

# in_group NAME COMMAND...: and of its I/O.
in_group() (
	echo "$BASHPID" >"$CGROUPS/ghostswap.$1/cgroup.procs"
	"${@:2}"
)

# charged NAME: bytes that the group read from $disk and wrote there.
charged() {
	local device
	device=$(<"/sys/block/${disk#/dev/}/dev")
	awk -v device="$device" -F '[ =]' '
	$1 == device { for (i = 2; i < NF; i += 2) if ($i ~ /^[rw]bytes$/) sum += $(i + 1) }
	END { print sum + 0 }' "$CGROUPS/ghostswap.$1/io.stat"
}

nothing_is_charged() {
	io_group orders
	area_with_store 32M
	start pages -s 8 -k r fill out hold check
	gives OK in_group orders tell file writeback all
	equal "pages in the store" "$(said_number out)" "$(stat_of file redirected_pages)"
	gives OK in_group orders tell file remove_backing "$disk"
	equal "pages in stores" 0 "$(stat_of file redirected_pages)"
	equal "bytes charged" 0 "$(charged orders)"
	# Its own is.
	in_group orders dd if="$disk" of=/dev/null bs=1M count=4 iflag=direct status=none
	equal "bytes charged" $((4 << 20)) "$(charged orders)"
	ends_well
}

promise "what a group has the mover do is not charged to the group" nothing_is_charged
finish

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What is read from a store is charged to the control group of the process that wants it. A group
# that is throttled, or a store that hangs, keeps no others waiting.
#
# Needs two CPUs: one reads beside what waits.

. "$(dirname "$0")/lib.sh"

# io_group NAME: a control group that I/O is charged to.
io_group() {
	cgroup "$1"
	grep -qw io "$CGROUPS/cgroup.controllers" ||
		skip "this kernel charges no I/O to control groups"
	echo +io >"$CGROUPS/cgroup.subtree_control"
}

# number_of DISK: as control groups name it.
number_of() {
	echo "$(<"/sys/class/block/${1#/dev/}/dev")"
}

# read_by GROUP DISK: bytes.
read_by() {
	awk -v disk="$(number_of "$2")" '
		$1 == disk && match($0, /rbytes=[0-9]+/) { bytes = substr($0, RSTART + 7, RLENGTH - 7) }
		END { print bytes + 0 }' "$CGROUPS/ghostswap.$1/io.stat"
}

# Most of them wait, and are read when others have been.
charged() {
	local read
	memory_disk irqmode=2 completion_nsec=10000000 hw_queue_depth=1024
	mkswap "$disk" >/dev/null
	area file 1G "limit=64M,backing=$disk"
	io_group reader
	io_group other
	start_in_store -g reader -s 8 -k r fill out hold ahead check
	read=$(store_stat file 0 read_bytes)
	release
	read=$(($(store_stat file 0 read_bytes) - read))
	holds "bytes read" "$read >= 8 << 20"
	equal "bytes that the group read" "$read" "$(read_by reader "$disk")"
	equal "bytes that another group read" 0 "$(read_by other "$disk")"
	ends_empty file
}

milliseconds() {
	echo $((${EPOCHREALTIME/./} / 1000))
}

has_ended() { # PID
	[[ $(awk '{ print $3 }' "/proc/$1/stat" 2>/dev/null || echo Z) == Z ]]
}

# The second process goes on, and ends soon.
second_goes_on() {
	local begin
	begin=$(milliseconds)
	echo >&"$second_hears"
	until_true "the second process ends" 30 has_ended "$second_pid"
	wait "$second_pid" || fail "the second process ended with status $?"
	note "the second process took $(($(milliseconds) - begin)) ms"
}

remove_slow_disk() {
	areas_off
	rmmod slow_group
}

# Of 2,048 pages it gets 8 a second.
one_group_is_throttled() {
	local module=${GHOSTSWAP_MODULES:-}/slow_group.ko
	local group=/sys/module/slow_group/parameters/group
	[[ -e $module ]] || skip "no slow_group.ko in GHOSTSWAP_MODULES"
	disk disk.image 32M
	insmod "$module" disk="$disk"
	afterwards remove_slow_disk
	disk=/dev/slow
	area file 1G "limit=64M,backing=$disk"
	io_group slow
	io_group quick
	start pages -g slow -s 8 -k r fill out hold ahead hold check
	start_second -g quick -s 4 -k tttr fill out hold check
	write_back file
	stat -c %i "$CGROUPS/ghostswap.slow" >"$group"
	afterwards put "$group" 0
	go_on
	second_goes_on
	holds "bytes that the slow group read" "$(read_by slow "$disk") < 4 << 20"
	holds "bytes that the quick group read" "$(read_by quick "$disk") > 1 << 20"
	put "$group" 0
	release
	ends_empty file
}

# It has most of what the first process wants, and nothing of what the second does.
one_store_hangs() {
	local slow
	mapped linear DISK 0
	slow=$disk
	disk quick.image 16M
	area file 1G "limit=64M,backing=$disk"
	gives OK tell file add_backing "$slow"
	start_in_store -s 24 -k r fill out hold ahead hold check
	start_second -s 2 -k tttr fill out hold check
	write_back file
	holds "bytes in the first store" "$(store_stat file 0 live_bytes) > 4 << 20"
	holds "bytes in the second store" "$(store_stat file 1 live_bytes) > 8 << 20"
	afterwards dmsetup resume --noudevsync store
	dmsetup suspend --nolockfs --noudevsync store
	go_on
	second_goes_on
	dmsetup resume --noudevsync store
	release
	ends_empty file
}

promise "reads are charged to the group that wants the pages" charged
promise "a group that is throttled keeps no other waiting" one_group_is_throttled
promise "a store that hangs keeps no loads from others waiting" one_store_hangs
finish

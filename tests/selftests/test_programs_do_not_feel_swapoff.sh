#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# While swapoff reads whole segments from a slow store, a program that wants a page from there
# waits for that page, and not for a segment, nor for what other programs want.
#
# Needs two CPUs: one swaps off what the other faults in.

. "$(dirname "$0")/lib.sh"

# For each read of the disk, in milliseconds: long beside what the CPUs take, on the slowest machine.
DELAY=1000

# Eight programs of 1 MiB beside one of 12 MiB, all in the store, which is then slow.
all_in_a_slow_store() {
	mapped linear DISK 0
	area file 1G "limit=64M,backing=$disk"
	start pages -s 12 -k r fill out hold check
	start_second -s 1 -k r fork:7 fill out hold probe check
	until_true "all is out" 60 uses file 4900
	write_back file
	holds "pages in the store" "$(stat_of file redirected_pages) > 4900"
	load_table delay DISK 0 "$DELAY" DISK 0 0
}

has_read() { # FILE NUMBER
	(($(store_stat "$1" "$2" read_ios) > 0))
}

slowest_of_second() {
	awk -F= '$1 == "slowest" && $2 > slowest { slowest = $2 } END { print slowest + 0 }' said.second
}

not_felt() {
	local swapoff slowest
	all_in_a_slow_store
	mnt swapoff file >swapped &
	swapoff=$!
	until_true "swapoff reads" 20 has_read file 0
	release_second
	wait "$swapoff"
	equal "swapoff" OK "$(<swapped)"
	slowest=$(slowest_of_second)
	note "a read takes $DELAY ms; the slowest fault took $slowest us"
	# Some were read from the disk, and none waited for more than a segment before it.
	holds "microseconds" "$slowest > DELAY * 900 && $slowest < DELAY * 3000"
	ends_empty file
	release
}

promise "the slowest fault beside swapoff takes little more than a read" not_felt
finish

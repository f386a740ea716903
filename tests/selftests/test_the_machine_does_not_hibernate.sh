#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A machine with an area on refuses to hibernate: its memory would not be saved. It may
# when the area is off again, and may be suspended at any time.
#
# Needs a machine that may sleep: it does.

. "$(dirname "$0")/lib.sh"

# Hibernation would write its image into the area, and lose it.
no_hibernation() {
	grep -q disk /sys/power/state || skip "this kernel does not hibernate"
	area first
	area second
	gives OK mnt swapoff first
	gives_reason EPERM "hibernation is refused: .*swap" mnt write /sys/power/state disk
	pages -s 1 fill out check
}

# Written to a partition and restored from it at once, as a machine does that is
# turned on again.
hibernates_without() {
	grep -q test_resume /sys/power/disk || skip "this kernel does not hibernate"
	area file
	pages -s 1 fill out check
	gives OK mnt swapoff file
	scratch_disk
	gives OK mnt swapon "$disk"
	put_for_now /sys/power/image_size 0
	put_for_now /sys/power/disk test_resume
	start pages -s 4 fill hold check
	gives OK mnt write /sys/power/state disk
	release
	gives OK mnt swapoff "$disk"
	# The pool was in the image.
	gives OK mnt swapon file
	pages -s 4 fill out check
	gone file
}

# sleeps WAY: while pages come and go, some of them in a store, and the mover is busy.
sleeps() {
	local visited slept pid
	if [[ $1 == mem ]] && kernel_has KCSAN; then
		skip "a kernel with KCSAN does not wake up, with or without an area"
	fi
	scratch_disk
	area file 1G "limit=2M,backing=$disk"
	cgroup tight memory.high=3M
	pages -g tight -s 12 -k tttr fill churn check >said &
	pid=$!
	until_true "pages are in the store" 60 is_redirected 500
	slept=$(</sys/power/suspend_stats/success)
	gives OK nap "$1" 10
	equal "times asleep" $((slept + 1)) "$(</sys/power/suspend_stats/success)"
	visited=$(visits said)
	until_true "the process goes on" 60 has_visited said $((visited + 500))
	kill -STOP "$pid"
	until_true "all that is in memory goes to the store" 60 nothing_in_memory
	kill -CONT "$pid"
	kill -TERM "$pid"
	wait "$pid" || fail "the process ended with status $?"
	equal "read and write errors" "0 0" \
		"$(store_stat file 0 read_errors) $(store_stat file 0 write_errors)"
	ends_empty file
}

# Reclaim that is under way stores pages after the process was told to stop, and after
# its pages were written back.
nothing_in_memory() {
	write_back file
	(($(stat_of file compressed_bytes) == 0))
}

is_redirected() {
	(($(stat_of file redirected_pages) > $1))
}

promise "hibernation is refused while an area is on" no_hibernation
promise "it works when the area is off, and the machine comes back" hibernates_without
promise "the machine is suspended to idle with pages in an area and a store" sleeps freeze
promise "the same to RAM" sleeps mem
finish

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A machine with an area on hibernates to another swap area, which is the resume device. Without
# one it refuses: its memory would not be saved. It may be suspended at any time.
#
# Needs a machine that may sleep: it does.
# Needs x86-64: what QEMU emulates of arm64 cannot be suspended.

. "$(dirname "$0")/lib.sh"

hibernation() {
	grep -q disk /sys/power/state || skip "this kernel does not hibernate"
}

# Hibernation would write its image into the area, and lose it.
no_hibernation() {
	hibernation
	put_for_now /sys/power/resume 0:0
	area first
	area second
	gives OK mnt swapoff first
	gives_reason EPERM "hibernation is refused: .*swap" mnt write /sys/power/state disk
	pages -s 1 fill out check
}

# Written to a partition and restored from it at once, as a machine does that is
# turned on again.
hibernates_without() {
	hibernation
	put_for_now /sys/power/resume 0:0
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

# The number of its hidden disk can be set, too.
no_image_in_it() {
	hibernation
	area file
	put_for_now /sys/power/resume "$(awk '$3 ~ /^ghostswap/ { print $1 ":" $2 }' /proc/diskstats)"
	gives_reason EPERM "hibernation is refused: .*ghost file" mnt write /sys/power/state disk
	pages -s 1 fill out check
}

# turn_off_and_on [COMMAND]...: with the image on a partition of its own, which is on after the areas,
# so that pages go to them. The command is run just before.
turn_off_and_on() {
	[[ -n ${GHOSTSWAP_RESUME:-} ]] || skip "the machine is not started again"
	mkswap "$GHOSTSWAP_RESUME" >/dev/null
	gives OK mnt swapon "$GHOSTSWAP_RESUME"
	put_for_now /sys/power/resume "$(cat "/sys/block/${GHOSTSWAP_RESUME#/dev/}/dev")"
	put_for_now /sys/power/image_size 0
	# The host takes that for the end of the machine, and makes a new one.
	put_for_now /sys/power/disk reboot
	"$@"
	gives OK mnt write /sys/power/state disk
}

# goes_on [OPTION]: a machine that is turned off, and on again. Before that, all that can be written is, to the store with the option, if there is one.
goes_on() {
	local options=limit=100M
	hibernation
	if (($# > 0)); then
		scratch_disk
		options+=",backing=$disk,$1"
	fi
	area file 1G "$options"
	start pages -s 24 -k tttrs fill out hold check rewrite:3 out check
	equal "pages in the store" 0 "$(stat_of file redirected_pages)"
	turn_off_and_on
	note "$(stat_of file redirected_pages) pages in the store," \
		"$(stat_of file compressed_bytes) bytes in memory"
	if (($# > 0)); then
		holds "pages in the store" "$(stat_of file redirected_pages) > 4500"
	fi
	release
	# Pages of other programs are there, too.
	gives OK mnt swapoff file
	ends_empty file
}

# sleeps WAY: while pages come and go, some of them in a store, and the mover is busy.
sleeps() {
	local visited slept pid
	if [[ $1 == mem ]] && kernel_has KCSAN; then
		skip "a kernel with KCSAN does not wake up, with or without an area"
	fi
	if [[ $1 == freeze ]] && kernel_has PREEMPT_RT; then
		skip "a real-time kernel does not always wake up here, with or without the module"
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

# While pages come and go, and a store is being removed, slowly.
hibernates_while_busy() {
	local visited pid leaving
	hibernation
	scratch_disk
	leaving=$disk
	memory_disk submit_queues=1
	mkswap "$disk" >/dev/null
	area file 1G "limit=2M,backing=$leaving,backing=$disk"
	cgroup tight memory.high=3M
	pages -g tight -s 24 -k tttr fill churn check >said &
	pid=$!
	until_true "pages are in the store" 60 is_redirected 2000
	turn_off_and_on gives OK mnt remount file "nobacking=$leaving"
	note "$(stat_of file redirected_pages) pages in the stores, which are: $(stores_of file | xargs)"
	visited=$(visits said)
	until_true "the process goes on" 60 has_visited said $((visited + 500))
	until_true "the store is removed" 120 is_removed file "$leaving"
	kill -TERM "$pid"
	wait "$pid" || fail "the process ended with status $?"
	equal "read and write errors" "0 0" \
		"$(store_stat file 1 read_errors) $(store_stat file 1 write_errors)"
	gives OK mnt swapoff file
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
promise "it is refused if the resume device is that of the area" no_image_in_it
promise "with a resume device it is turned off and on, and each page is there" goes_on
promise "the same with an encrypted store" goes_on encrypt=on
promise "the same with a store that is not encrypted" goes_on encrypt=off
promise "the same while pages come and go, and a store is removed" hibernates_while_busy
promise "the machine is suspended to idle with pages in an area and a store" sleeps freeze
promise "the same to RAM" sleeps mem
finish

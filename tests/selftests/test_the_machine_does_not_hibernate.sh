#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A machine with an area on refuses to hibernate: its memory would not be saved.

. "$(dirname "$0")/lib.sh"

# Hibernation would write its image into the area, and lose it.
no_hibernation() {
	grep -q disk /sys/power/state || skip "this kernel does not hibernate"
	area file
	mark_log
	if echo disk 2>/dev/null >/sys/power/state; then
		fail "the machine hibernated"
	fi
	one_line "hibernat"
	pages -s 1 fill out check
}

promise "hibernation is refused while an area is on" no_hibernation
finish

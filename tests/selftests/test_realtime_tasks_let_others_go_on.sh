#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A task of real-time priority that needs a page which is just being copied lets the task
# go on that copies it, and does not keep the CPU from it.

. "$(dirname "$0")/lib.sh"

# If it does not let others go on, it spins until the kernel gives them a part of the second that
# is theirs: in every tenth round, or so. The machine itself may stop for so long, but rarely.
ROUNDS=200
MOST_SLOW=5

beside_the_mover() {
	local pool said
	area_with_store 64M limit=64M
	find_pool pool file
	said=$(realtime "$SYSFS/$pool/writeback" "$ROUNDS")
	note "$said"
	holds "pages that were written" "$(stat_of file written_pages) > 100"
	# These kernels do much of their own in any task, and the CPU's time does not tell it apart.
	kernel_has KASAN || kernel_has KCSAN ||
		holds "pages that took a part of a second" "$(said_number slow) <= $MOST_SLOW"
}

promise "a task of real-time priority lets the mover go on that has its page" beside_the_mover
finish

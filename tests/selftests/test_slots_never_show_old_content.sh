#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A slot that is used again holds what was stored last, and nothing older.
#
# Needs two CPUs: one frees slots, and the other fills them.

. "$(dirname "$0")/lib.sh"

used_again() {
	local round verbs=()
	# The area is hardly larger than what goes through it six times.
	area file 6M
	for round in {1..6}; do
		verbs+=(fill out check out free check)
	done
	pages -s 4 -k tttrs "${verbs[@]}" >said
	holds "pages stored" "$(stat_of file stores) > 3 * 6 * 256"
	ends_empty file
}

# Another process must not find them either, nor find them in another state.
by_another_process() {
	local round kinds
	area file 8M
	for round in 1 2; do
		for kinds in t r s rt st; do
			pages -i "$round" -s 4 -k "$kinds" fill out check keep:3 out check >/dev/null
		done
	done
	holds "pages stored" "$(stat_of file stores) > 5 * 8 * 256"
	ends_empty file
}

crowded() {
	# Less swap than they want: slots are taken the moment they are free.
	cgroup tight memory.high=6M
	area file 8M
	several 3 -g tight -s 4 -k tttrs fill churn:500 check keep:2 rewrite:3 churn:200 check
	all_end
	ends_empty file
}

promise "slots used again by one process show what it stored last" used_again
promise "slots used again by another process, in another state, too" by_another_process
promise "slots taken the moment they are free show nothing old" crowded
finish

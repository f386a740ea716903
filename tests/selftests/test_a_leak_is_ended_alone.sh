#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A program that takes memory for ever fills all that there is, in memory and in a store.
# Then the kernel ends it, and no other program. Areas have the size that setup gives them: in
# one that is far larger than what it can hold, the kernel would try pages for long.

. "$(dirname "$0")/lib.sh"

leak() { # PAGES-OF-AREA
	local status=0 killed visited pid
	cgroup leak
	killed=$(vmstat oom_kill)
	leave_memory 40
	pages -s 2 -k tr fill churn >said &
	pid=$!
	until_true "the other program goes on" 60 has_visited said 100
	pages -g leak -s 900 -k t fill >/dev/null 2>&1 || status=$?
	equal "status of the leak" 137 "$status"
	equal "programs of its group that were killed" 1 "$(oom_kills leak)"
	equal "programs that were killed" $((killed + 1)) "$(vmstat oom_kill)"
	note "swapped out $(stat_of file stores) pages, written $(stat_of file written_pages)"
	visited=$(visits said)
	until_true "the other program goes on" 60 has_visited said $((visited + 100))
	kill -TERM "$pid"
	wait "$pid" || fail "the other program ended with status $?: $(cat said)"
	release_second
	holds "pages swapped out" "$(stat_of file stores) > 3 * $1 / 4"
	equal "failed loads" 0 "$(stat_of file failed_loads)"
	gone file
	memory_is_back
}

with_a_store() {
	scratch_disk
	header small size=16M
	cat small >"$disk"
	area file 36M "limit=8M,backing=$disk"
	leak 9216
}

without_a_store() {
	area file 16M limit=8M
	leak 4096
}

promise "without a store" without_a_store
promise "with a store, which is full" with_a_store
finish

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A program that takes memory for ever fills all that there is, in memory and in a store.
# Then the kernel ends it, and no other program.

. "$(dirname "$0")/lib.sh"

leak() {
	local status=0 killed visited pid
	cgroup leak
	killed=$(vmstat oom_kill)
	leave_memory 64
	pages -s 2 -k tr fill churn >said &
	pid=$!
	until_true "the other program goes on" 60 has_visited said 100
	pages -g leak -s 900 -k ttr fill >/dev/null 2>&1 || status=$?
	equal "status of the leak" 137 "$status"
	equal "programs of its group that were killed" 1 "$(oom_kills leak)"
	equal "programs that were killed" $((killed + 1)) "$(vmstat oom_kill)"
	note "in the store $(stat_of file redirected_pages), refused $(stat_of file failed_stores_limit)"
	visited=$(visits said)
	until_true "the other program goes on" 60 has_visited said $((visited + 100))
	kill -TERM "$pid"
	wait "$pid" || fail "the other program ended with status $?: $(cat said)"
	release_second
	holds "pages refused" "$(stat_of file failed_stores_limit) > 0"
	equal "failed loads" 0 "$(stat_of file failed_loads)"
	gone file
	memory_is_back
}

with_a_store() {
	area_with_store 32M limit=32M
	leak
}

without_a_store() {
	area file 1G limit=32M
	leak
}

promise "without a store" without_a_store
promise "with a store, which is full" with_a_store
finish

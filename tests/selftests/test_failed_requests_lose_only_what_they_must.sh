#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Each request to a store may fail: its caller gets EIO and may ask again, all
# pages that were not in it are as they were, and in the end nothing is held.
#
# Needs two CPUs: workers fail beside the task that waits for them.

. "$(dirname "$0")/lib.sh"
. "$HERE/faults.sh"

# loses EXPRESSION SCENE LEAST: in which faults is how many requests failed.
loses() {
	local faults lost
	play requests "$2" "$3"
	faults=$(said_number faults) lost=$(said_number lost)
	holds "pages lost" "$lost ${1/faults/$faults}"
}

promise "mount with a store" loses "== 0" mount 1
promise "writeback" loses "== 0" writeback 2
promise "writeback by the mover, at the limit" loses "== 0" limit 1
promise "cleaning" loses "== 0" cleaning 10
promise "moving to the next store" loses "== 0" moving 6
promise "claim" loses "== 0" claim 1
promise "release to the cache" loses "== 0" release 2
promise "release to another store" loses "== 0" release_to_another 5
promise "discard" loses "== 0" discard 1
# A request that reads ahead may fail, too, and then what is wanted is read.
promise "loads lose one page each at most" loses "<= faults && lost > 0" loads 4
promise "and so do loads with readahead" loses "<= faults && lost > 0" loads_ahead 4
promise "umount" loses "== 0" umount 0
# Of a segment that cannot be read, pages are read one by one.
promise "swapoff" loses "< faults" swapoff 2
finish

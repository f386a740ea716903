#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Everything at once: processes that use more than there is, fork, and have the kernel
# forget, split and merge pages, while stores come and go, areas are swapped off and on,
# limits move, a CPU goes, processes are killed because there is no memory, and pages are
# written back by hand; and then with a disk that is slow, or fails, and is well again.
# Each for GHOSTSWAP_SECONDS (4 if not set); what is drawn at random begins with
# GHOSTSWAP_SEED.
#
# Needs two CPUs: all of it is at once only then.

. "$(dirname "$0")/lib.sh"

CPU1=/sys/devices/system/cpu/cpu1/online

# Of the pool that areas one and two share.
come_or_go() { # DISK
	if [[ $(stores_of one) == *"$1"* ]]; then
		# There may be no room for what it has.
		[[ $(tell one remove_backing "$1") =~ ^(OK|ENOSPC)$ ]]
	else
		gives OK tell one add_backing "$1"
	fi
}

off_and_on() { # AREA
	gives OK mnt swapoff "$1"
	gives OK mnt swapon "$1" 5
}

# A number from $1 to $2, in $drawn: a shell of its own would draw another.
draw() {
	drawn=$((RANDOM % ($2 - $1 + 1) + $1))
}

# A process without memory is killed; its pages in all stores go with it.
killed() {
	local status=0
	pages -g small -s 8 -k tttrs fill churn:200 check >/dev/null 2>&1 || status=$?
	# Before its first page it may be that there is room.
	((status == 0 || status == 137)) || fail "a process ended with status $status"
}

cpu_goes_or_comes() {
	[[ -w $CPU1 ]] || return 0
	put "$CPU1" $((1 - $(<"$CPU1")))
}

comes_and_ends() {
	draw 1 3
	pages -g tight -i 9 -s "$drawn" -k tttrs fill fork:2 wild churn:64 check >/dev/null
}

do_something() {
	case $((RANDOM % 17)) in
	0) tell one writeback all >/dev/null ;;
	1) tell three writeback $((RANDOM % 2000)) >/dev/null ;;
	2 | 3) come_or_go "$first" ;;
	4) come_or_go "$second" ;;
	5) off_and_on two ;;
	6) off_and_on three ;;
	7) gives OK mnt remount one limit=$((RANDOM % 6 + 2))M ;;
	8) put /proc/sys/vm/compact_memory 1 ;;
	9) cpu_goes_or_comes ;;
	10) put "$CGROUPS/ghostswap.tight/memory.high" $((RANDOM % 16 + 16))M ;;
	11) killed ;;
	12) sleep "0.$((RANDOM % 5))" ;;
	13) comes_and_ends ;;
	14) tell one age $((RANDOM % 3)) >/dev/null ;;
	15) tell one recompress $((RANDOM % 2)) >/dev/null ;;
	# Memory is short, for what can be asked for some.
	16) put /proc/sys/vm/drop_caches 2 ;;
	esac
}

# begin STEP...: processes of several sizes and kinds that take these steps, in a group
# for which there is not enough memory: one of each of $kinds. Sets $pids.
begin() {
	local i
	pids=()
	cgroup tight memory.high=24M
	for i in "${!kinds[@]}"; do
		draw 6 14
		pages -g tight -i "$i" -m "${kinds[i]}" -s "$drawn" -k tttrs "$@" >"said.$i" &
		pids+=($!)
	done
}

# goes_on FUNCTION: again and again, for as long as this takes.
goes_on() {
	local end=$((SECONDS + ${GHOSTSWAP_SECONDS:-4}))
	rounds=0
	while ((SECONDS < end)); do
		"$1"
		rounds=$((rounds + 1))
	done
	echo max >"$CGROUPS/ghostswap.tight/memory.high"
}

end() {
	local i
	for i in "${!pids[@]}"; do
		until_true "process $i visits pages" 60 has_visited "said.$i" 0
	done
	kill -TERM "${pids[@]}"
	all_end
}

all_at_once() {
	local pids rounds drawn first second sizes=() kinds=(anon anon anon huge shmem)
	for _ in {1..3}; do
		draw 12 32
		sizes+=("${drawn}M")
	done
	disk first.image "${sizes[0]}" first
	disk second.image "${sizes[1]}" second
	disk third.image "${sizes[2]}"
	draw 200 1000
	area one 1G "pool=shared,limit=3M,recomp=wlz:dense,discard,backing=$first" 5
	area two "${drawn}M" pool=shared 5
	area three 1G "limit=2M,encrypt=off,backing=$disk" 5
	cgroup small memory.max=3M memory.swap.max=3M
	[[ ! -w $CPU1 ]] || put_for_now "$CPU1" 1
	begin fill wild churn check
	goes_on do_something
	[[ ! -w $CPU1 ]] || put "$CPU1" 1
	end
	note "$rounds things were done; killed for memory $(oom_kills small); written" \
		"$(stat_of one written_pages) and $(stat_of three written_pages) pages"
	ends_empty one
	ends_empty three
}

# What the disk below store "bad" does from now on.
do_to_a_disk() {
	case $((RANDOM % 10)) in
	0 | 1) load_table error ;;
	# A second well, and a second not, in turn.
	2) load_table flakey DISK 0 1 1 ;;
	3) load_table delay DISK 0 20 DISK 0 60 ;;
	4 | 5) load_table linear DISK 0 ;;
	6) tell one writeback $((RANDOM % 2000)) >/dev/null ;;
	# Where it cannot be read, it stays.
	7) tell one "$([[ $(stores_of one) == *"$bad"* ]] && echo remove || echo add)_backing" "$bad" \
		>/dev/null ;;
	8) mnt swapoff two >/dev/null; mnt swapon two 5 >/dev/null ;;
	9) sleep "0.$((RANDOM % 9))" ;;
	esac
}

is_gone() {
	[[ $(tell one remove_backing "$1") == OK ]]
}

is_back() {
	is_gone "$bad" && [[ $(tell one add_backing "$bad") == OK ]]
}

# A page is right, or lost with an error that was counted; and only as long as the disk fails.
# Not of shared memory: giving back a page of it that could not be read makes the kernel
# (7.2) warn, since shmem_free_swap() takes the mark in its place for a swap entry.
disks_fail() {
	local pids rounds drawn bad good failed lost kinds=(anon anon anon)
	mapped linear DISK 0
	bad=$disk
	disk good.image 24M good
	area one 1G "pool=shared,limit=3M,backing=$bad,backing=$good" 5
	area two 1G pool=shared 5
	begin frail fill churn check
	goes_on do_to_a_disk
	load_table linear DISK 0
	[[ $(stores_of one) == *"$bad"* ]] || gives OK tell one add_backing "$bad"
	until_true "it is removed and added again" 60 is_back
	failed=$(stat_of one failed_loads)
	until_true "the other one is removed" 60 is_gone "$good"
	start pages -s 4 -k tttr fill out hold check
	write_back one
	holds "bytes in it" "$(cat "$SYSFS"/shared/backing?/live_bytes) > 0"
	release
	end
	lost=$(awk -F= '/^lost=/ { sum += $2 } END { print sum + 0 }' said.*)
	note "$rounds things were done; $lost pages lost, $failed loads failed," \
		"$(stat_of one written_pages) pages written"
	holds "pages lost" "$lost <= $failed"
	# None since it is well.
	ends_empty one "$failed"
	gone one two
}

promise "no page is lost, whatever is done" all_at_once
promise "a disk that fails makes no page wrong, and takes pages again when it is well" disks_fail
finish

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Everything at once: processes that use more than there is, while stores come and go,
# areas are swapped off and on, limits move, a CPU goes, processes are killed because
# there is no memory, and pages are written back by hand. For GHOSTSWAP_SECONDS (4 if not set); what is drawn at random begins with GHOSTSWAP_SEED.
#
# Needs two CPUs: all of it is at once only then.

. "$(dirname "$0")/lib.sh"

CPU1=/sys/devices/system/cpu/cpu1/online

# Of the pool that areas one and two share.
come_or_go() { # DISK
	if [[ $(stores_of one) == *"$1"* ]]; then
		# There may be no room for what it has.
		[[ $(tell one remove_store "$1") =~ ^(OK|ENOSPC)$ ]]
	else
		gives OK tell one add_store "$1"
	fi
}

off_and_on() { # AREA
	gives OK mnt swapoff "$1"
	gives OK mnt swapon "$1" 5
}

# Who has no memory is killed; its pages in all stores go with it.
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

do_something() {
	case $((RANDOM % 13)) in
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
	esac
}

all_at_once() {
	local i pids=() kinds=(anon anon anon huge shmem) rounds=0 first second end
	disk first.image 24M
	first=$disk
	disk second.image 16M
	second=$disk
	disk third.image 32M
	area one 1G "pool=shared,limit=3M,discard,backing=$first" 5
	area two 1G pool=shared 5
	area three 1G "limit=2M,encrypt=off,backing=$disk" 5
	cgroup tight memory.high=24M
	cgroup small memory.max=3M memory.swap.max=3M
	[[ ! -w $CPU1 ]] || put_for_now "$CPU1" 1
	for i in {0..4}; do
		pages -g tight -i "$i" -m "${kinds[i]}" -s 10 -k tttrs fill churn check >"said.$i" &
		pids+=($!)
	done
	end=$((SECONDS + ${GHOSTSWAP_SECONDS:-4}))
	while ((SECONDS < end)); do
		do_something
		rounds=$((rounds + 1))
	done
	[[ ! -w $CPU1 ]] || put "$CPU1" 1
	echo max >"$CGROUPS/ghostswap.tight/memory.high"
	for i in {0..4}; do
		until_true "process $i visits pages" 60 has_visited "said.$i" 0
	done
	kill -TERM "${pids[@]}"
	for i in {0..4}; do
		wait "${pids[i]}"
	done
	note "$rounds things were done; killed for memory" \
		"$(awk '$1 == "oom_kill" { print $2 }' "$CGROUPS/ghostswap.small/memory.events");" \
		"written" \
		"$(figure one written_pages) and $(figure three written_pages) pages"
	equal "failed loads" "0 0" "$(figure one failed_loads) $(figure three failed_loads)"
	equal "held at the end" "0 0 0 0" "$(figure one stored_pages) $(held one) \
$(figure three stored_pages) $(held three)"
}

promise "no page is lost, whatever is done" all_at_once
finish

# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Processes that have memory, and wait or go on as they are told; sourced, not run.
# shellcheck disable=SC2154 # what lib.sh sets

# cgroup NAME [FILE=VALUE]...: for pages -g NAME. With memory.max the kernel may
# kill at times where nothing is wrong, with any swap: its reclaim does not look
# at active anonymous pages if the group has no other, and its statistics, which
# are up to two seconds late, say that it has. memory.high just waits then.
cgroup() {
	local setting dir=$CGROUPS/ghostswap.$1
	echo +memory >"$CGROUPS/cgroup.subtree_control"
	mkdir -p "$dir"
	for setting in "${@:2}"; do
		echo "${setting#*=}" >"$dir/${setting%%=*}"
	done
}

# oom_kills NAME: how many processes of the group were killed for memory.
oom_kills() {
	awk '$1 == "oom_kill" { print $2 }' "$CGROUPS/ghostswap.$1/memory.events"
}

# several COUNT ARGUMENT...: so many processes of pages, with seeds 1, 2, ... What they say is in
# said.1, said.2, ... They are $pids.
several() {
	local i
	pids=()
	for ((i = 1; i <= $1; i++)); do
		pages -i "$i" "${@:2}" >"said.$i" &
		pids+=($!)
	done
}

# The processes $pids come to their end, and found every page as it was.
all_end() {
	local pid
	for pid in "${pids[@]}"; do
		wait "$pid" || fail "a process ended with status $?"
	done
}

# from_all_cpus FILE MIB KINDS COMMAND...: three processes of so many MiB have their pages
# swapped out from all CPUs, and visit them, for 1,000 visits and until the command is
# true. The command finds in $most what the pool of FILE held at most, which fits its limit.
from_all_cpus() {
	local pids most=0
	several 3 -s "$2" -k "$3" fill churn check
	until_true "all is in use" 120 watch "$1" "${@:4}"
	kill -TERM "${pids[@]}"
	all_end
	holds "bytes held at most" "$most <= $(stat_of "$1" limit_bytes) + $ABOVE_LIMIT"
}

watch() { # FILE COMMAND...
	local i now
	for i in {1..9}; do
		now=$(held "$1")
		most=$((now > most ? now : most))
	done
	has_visited said.3 1000 && "${@:2}"
}

# hold_open FILE: as standard input of process $holder, whatever becomes of its name.
hold_open() {
	# shellcheck disable=SC2217 # it does not read it, but has it
	sleep 600 <"$1" &
	# shellcheck disable=SC2034 # for the tests
	holder=$!
}

# start COMMAND...: run it until it holds (see pages.c); then answer what it said
# in $said, and let it wait for release.
start() {
	coproc HELD { exec "$@"; }
	# shellcheck disable=SC2153 # the shell sets it
	held_pid=$HELD_PID
	# The shell forgets its own ends as soon as the process ends, read or not.
	exec {held_says}<&"${HELD[0]}" {held_hears}>&"${HELD[1]}"
	! listen || fail "$*: ended early: $said"
}

# start_in_store ARGUMENT...: start pages, and when it holds, write all of area "file" back.
start_in_store() {
	start pages "$@"
	write_back file
}

# listen: have in $said what it says until it holds. Returns whether it ended.
listen() {
	local line
	said=
	while read -r line <&"$held_says"; do
		[[ $line != holding ]] || return 1
		said+=$line$'\n'
	done
}

# Let it go on, while the caller does something else.
let_go() {
	echo >&"$held_hears"
}

# Let it go on to its end, or to where it holds next.
go_on() {
	let_go
	listen || true
}

release() {
	let_go
	comes_to_its_end
}

# It was let go before.
comes_to_its_end() {
	listen || true
	exec {held_says}<&- {held_hears}>&-
	wait "$held_pid" || fail "it ended with status $?: $said"
}

# ends_well: it ends, with no page of area "file" lost, and none left there.
ends_well() {
	release
	ends_empty file
}

# start_second ARGUMENT...: another process of pages, beside that of start; run it until it holds.
start_second() {
	mkfifo go
	pages "$@" <go >said.second &
	second_pid=$!
	exec {second_hears}>go
	until_true "the second process holds" 180 grep -q holding said.second
}

# leave_memory MIB: all of the machine's memory but so much is taken, by a second process that the
# kernel does not kill, and none of that can go.
leave_memory() {
	local name kib
	while read -r name kib _; do
		[[ $name != MemAvailable: ]] || start_second -k z -s $((kib / 1024 - $1)) fill lock hold
	done </proc/meminfo
	echo -1000 >"/proc/$second_pid/oom_score_adj"
}

release_second() {
	echo >&"$second_hears"
	wait "$second_pid" || fail "the second process ended with status $?"
}

# said_number KEY: the number after KEY= in what a process said last.
said_number() {
	[[ $'\n'$said =~ .*[[:space:]]$1=([0-9]+) ]] || fail "no $1= in: $said"
	echo "${BASH_REMATCH[1]}"
}

# stay_right_while_recompressed STEP...: two programs store and load pages of area "file", and end with
# these steps. Until then all that is in memory is compressed again, by order, again and again.
stay_right_while_recompressed() {
	local i loops=0 pids=()
	for i in 1 2; do
		pages -i "$i" -s 12 -k tttrs fill out:50 check rewrite:2 out:50 check rewrite:3 \
			out:50 check rewrite:5 out:50 check "$@" &
		pids+=($!)
	done
	while kill -0 "${pids[@]}" 2>/dev/null; do
		gives OK tell file recompress 0
		loops=$((loops + 1))
	done
	wait "${pids[0]}" || fail "a page was lost"
	wait "${pids[1]}" || fail "a page was lost"
	note "$loops orders, $(stat_of file recompressed_pages) pages compressed again," \
		"$(stat_of file recompressed_loads) loads of them"
	holds "orders" "$loops > 2"
	holds "pages compressed again" "$(stat_of file recompressed_pages) > 1000"
}

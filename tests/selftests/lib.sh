# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# What the selftests share; sourced, not run. A selftest is a list of
#
#	promise TEXT FUNCTION [ARGUMENT]...
#
# and ends with finish. Each promise runs in a shell of its own that stops at
# the first command that fails, in an empty directory $work (a tmpfs), with the
# module loaded. It is broken, too, if the kernel complains meanwhile, or if
# anything of ghostswap is still there after everything was turned off.

set -u
export LC_ALL=C

HERE=$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=${HERE%/tests/selftests}
BUILD=${GHOSTSWAP_BUILD:-$ROOT/build}
export PATH=$BUILD/selftests:$ROOT/scripts:$PATH:/usr/sbin:/sbin

PAGE=4096
# shellcheck disable=SC2034 # for the tests
newline=$'\n'
CGROUPS=/sys/fs/cgroup
SYSFS=/sys/fs/ghostswap

# Programs that need no library start several times faster here.
fast=$BUILD/selftests/fast
if [[ ! -d $fast ]]; then
	mkdir "$fast"
	for tool in awk cat cmp cut dmesg grep head insmod ls mkdir mkfifo mktemp rm rmdir \
		rmmod sed sleep sort tail touch wc; do
		"$(command -v busybox)" ln -s "$(command -v busybox)" "$fast/$tool"
	done
fi
PATH=$fast:$PATH

# kselftest's exit codes.
KSFT_FAIL=1
KSFT_SKIP=4

count=0 failures=0
work=$(mktemp -d /tmp/ghostswap.XXXXXX)
log=$work.log
# Not swapped out itself: disks that swap is on lie in it.
mount -t tmpfs -o size=256M,noswap tmpfs "$work"
cd "$work" || exit "$KSFT_FAIL"
exec 3>&1; echo "TAP version 13"

# --- what a promise may say --------------------------------------------------

# A figure worth seeing even when all is well.
note() {
	echo "# $*" >&3
}

skip() {
	echo "$*" >"$log.skip"
	exit "$KSFT_SKIP"
}

have_program() { # PROGRAM PACKAGE
	command -v "$1" >/dev/null || skip "no $1 here (package $2)"
}

fail() {
	echo "$*"
	exit "$KSFT_FAIL"
}

# equal WHAT EXPECTED ACTUAL
equal() {
	[[ $2 == "$3" ]] || fail "$1: expected \"$2\", got \"$3\""
}

# holds WHAT EXPRESSION: numbers are expanded by the caller, so that they show.
holds() {
	(($2)) || fail "$1: $2 does not hold"
}

# gives WORD COMMAND...: for our C programs, which print what a call gave.
gives() {
	equal "${*:2}" "$1" "$("${@:2}")"
}

# quiet COMMAND...: it succeeds and has nothing to say.
quiet() {
	local said
	said=$("$@" 2>&1) || fail "$*: status $?: $said"
	equal "output of $*" "" "$said"
}

# until_true WHAT SECONDS COMMAND...
until_true() {
	local end=$((SECONDS + $2))
	until "${@:3}"; do
		((SECONDS < end)) || fail "$1: not so after $2 s: ${*:3}"
		sleep 0.1
	done
}

# --- the kernel's log --------------------------------------------------------

# The log is emptied when it is read, or reading it would take longer and longer;
# all of it since the promise began is in $log.kernel.
take_log() {
	dmesg -r -c >>"$log.kernel"
	mapfile -t kernel_log <"$log.kernel"
}

mark_log() {
	take_log
	mark=${#kernel_log[@]}
}

# since_mark: sets $kernel_log to the lines since the last mark, each with its <level>.
since_mark() {
	take_log
	kernel_log=("${kernel_log[@]:mark}")
}

print_lines() {
	(($# == 0)) || printf '%s\n' "$@"
}

raw_log_since() {
	since_mark
	print_lines "${kernel_log[@]}"
}

# The same without what comes before the text.
log_since() {
	since_mark
	print_lines "${kernel_log[@]#*\] }"
}

# kernel_has OPTION [VALUE], as KASAN. Also in a machine that has little of its host.
kernel_has() {
	zcat /proc/config.gz | grep "^CONFIG_$1=${2:-y}" >/dev/null
}

# Of the kernel itself, not of programs that write to /dev/kmsg. Where it finds races of
# its own they are warnings, too; those of ours are looked for after each promise.
warnings() {
	kernel_has KCSAN || raw_log_since | grep '^<[0-4]>' || true
}

# one_line REGEX: since the mark, ghostswap said one thing, and it was this.
one_line() {
	local line ours=()
	since_mark
	for line in "${kernel_log[@]#*\] }"; do
		[[ $line != "ghostswap: "* ]] || ours+=("$line")
	done
	equal "lines of ghostswap in the log (${ours[*]})" 1 "${#ours[@]}"
	[[ ${ours[0]} =~ $1 ]] || fail "the log says \"${ours[0]}\", which does not fit \"$1\""
}

# --- ghost files, areas and their figures ------------------------------------

# area FILE [SIZE [OPTIONS [PRIORITY]]]: a ghost file, mounted over itself and
# swapped on. Made by our own programs, which start faster than the stock tools.
area() {
	header "$1" size="${2:-1G}"
	gives OK mnt mount "$1" "$1" "${3:-}"
	gives OK mnt swapon "$1" "${4:-}"
}

gone() {
	local file
	for file; do
		gives OK mnt swapoff "$file"
		gives OK mnt umount "$file"
	done
}

# What follows is asked for all the time, so it starts no other process.

# find_pool FILE: sets $pool to the name in sysfs of a mounted file's pool.
find_pool() {
	local at device options mounted
	[[ $1 == /* ]] && at=$1 || at=$PWD/$1
	pool=
	# id parent device root mount-point options [tag]... - type source options
	while read -r _ _ device _ mounted options; do
		[[ $mounted == "$at" && $options == *" - ghostswap "* ]] || continue
		pool=$device
		[[ $options != *,pool=* ]] || pool=${options##*,pool=} pool=${pool%%[, ]*}
	done </proc/self/mountinfo
	[[ -n $pool ]] || fail "$1 is no mounted ghost file"
}

pool_of() {
	local pool
	find_pool "$1"
	echo "$pool"
}

# figure FILE NAME: one of the figures of a mounted file's pool.
figure() {
	local pool value
	find_pool "$1"
	read -r value <"$SYSFS/$pool/$2"
	echo "$value"
}

# Bytes of everything the pool holds.
held() {
	local pool objects tables
	find_pool "$1"
	read -r objects <"$SYSFS/$pool/pool_bytes"
	read -r tables <"$SYSFS/$pool/table_bytes"
	echo $((objects + tables))
}

holds_nothing() { # FILE
	(($(figure "$1" stored_pages) == 0 && $(held "$1") == 0))
}

# ends_empty FILE: its pool holds nothing, as soon as the CPUs have given back what slots
# they keep and RCU has freed the tables.
ends_empty() {
	until_true "nothing is stored or held" 10 holds_nothing "$1"
}

# What a pool may hold more than it is limited to, in bytes. A store takes its memory before
# it asks: at most a zspage of 8 pages on each CPU, and tables that RCU has yet to free.
ABOVE_LIMIT=$((32 * PAGE))

# nearly_within_limit FILE: what its pool holds fits.
nearly_within_limit() {
	local held limit
	held=$(held "$1") limit=$(figure "$1" limit_bytes)
	holds "bytes held" "$held <= $limit + $ABOVE_LIMIT"
}

# Pages in use on a swapped-on file, as the kernel counts them.
used_pages() {
	local at name used=0 kib
	[[ $1 == /* ]] && at=$1 || at=$PWD/$1
	while read -r name _ _ kib _; do
		[[ $name != "$at" ]] || used=$((kib * 1024 / PAGE))
	done </proc/swaps
	echo "$used"
}

# uses FILE PAGES: more than so many are in use on it.
uses() {
	(($(used_pages "$1") > $2))
}

# visits FILE: how many a process that churns has said there (see pages.c).
visits() {
	local lines=(visits=0)
	[[ ! -s $1 ]] || mapfile -t lines <"$1"
	echo "${lines[-1]#visits=}"
}

# has_visited FILE PAGES: more than so many.
has_visited() {
	(($(visits "$1") > $2))
}

vmstat() {
	local name value
	while read -r name value; do
		[[ $name != "$1" ]] || echo "$value"
	done </proc/vmstat
}

# Objects in use, a line for each slab cache in which there are many.
slab_objects() {
	local shrink
	for shrink in /sys/kernel/slab/{kmalloc,kernfs,inode,dentry,bdev,zs,radix,percpu}*/shrink; do
		echo 1 >"$shrink"
	done 2>/dev/null
	awk '$1 ~ /^(kmalloc|kernfs|inode_cache|bdev_cache|radix)/ { print $1, $2 }' /proc/slabinfo
}

# does_not_grow COMMAND...: once it was run, runs it twice, and sees no slab cache grow by
# 9 objects and more each time: a slab that a CPU has taken counts as full, and so is
# seen once.
does_not_grow() {
	local before between after
	before=$(slab_objects)
	"$@"
	between=$(slab_objects)
	"$@"
	after=$(slab_objects)
	equal "slab caches that grew" "" "$(join <(sort <<<"$before") <(sort <<<"$between") |
		join - <(sort <<<"$after") | awk '$3 - $2 >= 9 && $4 - $3 >= 9')"
}

no_zspages() {
	(($(vmstat nr_zspages) == 0))
}

# When all is turned off, nothing is held that can be told from what others hold.
memory_is_back() {
	# Each CPU counts for itself, and tells once a second.
	until_true "no page is zsmalloc's" 5 no_zspages
	equal "vmalloc of the module" "" "$(grep -E '\[ghostswap\]' /proc/vmallocinfo |
		grep -v -e load_module -e execmem || true)"
}

# --- backing stores ----------------------------------------------------------

# shellcheck source=tests/selftests/disks.sh
. "$HERE/disks.sh"

# tell FILE NAME TEXT: write a file of a mounted file's pool. It says what it gave.
tell() {
	local pool
	find_pool "$1"
	mnt write "$SYSFS/$pool/$2" "$3"
}

# store_figure FILE NUMBER NAME: one of the figures of a store of a mounted file's pool.
store_figure() {
	figure "$1" "backing$2/$3"
}

# The paths of the stores of a mounted file's pool, in their order.
stores_of() {
	local pool store path
	find_pool "$1"
	for store in "$SYSFS/$pool"/backing[0-7]; do
		[[ -e $store ]] || continue
		read -r path <"$store/path"
		echo "$path"
	done
}

# write_back FILE: all there is.
write_back() {
	gives OK tell "$1" writeback all
}

# segments_of FILE NUMBER: of a store of a mounted file's pool.
segments_of() {
	echo $(($(store_figure "$1" "$2" size_bytes) >> 21))
}

# No segment of it but the one that is being filled is in use.
is_empty() { # FILE NUMBER
	local free open
	free=$(store_figure "$1" "$2" free_segments) open=$(store_figure "$1" "$2" open_segments)
	((free + open == $(segments_of "$1" "$2") && $(store_figure "$1" "$2" live_bytes) == 0))
}

# The options of what is mounted over FILE, as /proc/mounts shows them.
options_of() {
	local at mounted type all options=
	[[ $1 == /* ]] && at=$1 || at=$PWD/$1
	while read -r _ mounted type all _; do
		[[ $mounted != "$at" || $type != ghostswap ]] || options=$all
	done </proc/mounts
	echo "$options"
}

# --- processes ---------------------------------------------------------------

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

# from_all_cpus FILE MIB KINDS COMMAND...: three processes of so many MiB have their pages
# swapped out from all CPUs, and visit them, for 1,000 visits and until the command is
# true. It finds in $most what the pool of FILE held at most, which fits its limit.
from_all_cpus() {
	local i pids=() most=0
	for i in 1 2 3; do
		pages -i "$i" -s "$2" -k "$3" fill churn check >"said.$i" &
		pids+=($!)
	done
	until_true "all is in use" 120 watch "$1" "${@:4}"
	kill -TERM "${pids[@]}"
	for i in "${pids[@]}"; do
		wait "$i" || fail "a process ended with status $?"
	done
	holds "bytes held at most" "$most <= $(figure "$1" limit_bytes) + $ABOVE_LIMIT"
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
	said=
	local line
	while read -r line <&"${HELD[0]}"; do
		[[ $line != holding ]] || return 0
		said+=$line$'\n'
	done
	fail "$*: ended early: $said"
}

# Let it go on to its end, or to where it holds next.
go_on() {
	local line
	said=
	echo >&"${HELD[1]}"
	while read -r line <&"${HELD[0]}"; do
		[[ $line != holding ]] || return 0
		said+=$line$'\n'
	done
}

release() {
	local pid=$HELD_PID
	go_on
	wait "$pid" || fail "it ended with status $?: $said"
}

# said_number KEY: the number after KEY= in what a process said.
said_number() {
	[[ $said =~ (^|[[:space:]])$1=([0-9]+) ]] || fail "no $1= in: $said"
	echo "${BASH_REMATCH[2]}"
}

# --- turning everything off, and what must be gone then ----------------------

# afterwards COMMAND...: also when the promise is broken.
afterwards() {
	also="$(printf '%q ' "$@");${also:-}"
}

put() { # FILE VALUE
	echo "$2" >"$1"
}

# put_for_now FILE VALUE, until the promise ends.
put_for_now() {
	local was
	was=$(<"$1")
	# Of choices the present one is in brackets.
	[[ $was != *\[* ]] || was=${was#*\[} was=${was%%\]*}
	afterwards put "$1" "$was"
	put "$1" "$2"
}

no_loops() {
	local loop
	for loop in /sys/block/loop*/loop/backing_file; do
		[[ ! -e $loop ]] || return 1
	done
}

end_processes() {
	local pids
	pids=$(jobs -p)
	# shellcheck disable=SC2086 # one word a process
	[[ -z $pids ]] || { kill -KILL $pids; wait; } 2>/dev/null
}

areas_off() {
	local file type swaps areas=()
	# All lines first: the file changes with every swapoff.
	mapfile -t -s 1 swaps </proc/swaps
	for file in "${swaps[@]%% *}"; do
		mnt swapoff "$(printf %b "$file")" >/dev/null
	done
	while read -r _ file type _; do
		[[ $type != ghostswap ]] || areas=("$file" "${areas[@]}")
	done </proc/mounts
	for file in "${areas[@]}"; do
		mnt umount "$(printf %b "$file")" >/dev/null
	done
}

undo() {
	local file group mounts=()
	eval "${also:-}"
	end_processes
	# Areas first: their stores lie on the other ones.
	areas_off
	while read -r _ file _; do
		[[ $file != "$work"/* ]] || mounts=("$file" "${mounts[@]}")
	done </proc/mounts
	for file in "${mounts[@]}"; do
		mnt umount "$(printf %b "$file")" >/dev/null
	done
	[[ ! -e /sys/module/null_blk ]] || rmmod null_blk
	# What is still claimed then is found by leftovers.
	no_loops || { losetup --detach-all && (until_true "no disk is claimed" 5 no_loops); }
	for group in "$CGROUPS"/ghostswap.*; do
		[[ ! -d $group ]] || until_true "$group is empty" 10 rmdir "$group" 2>/dev/null
	done
	cd "$work" && rm -rf -- ./* ./.[!.]*
}

leftovers() {
	local found type
	# A disk that is claimed stays as it is when it is detached.
	no_loops || echo "a loop device"
	for found in /sys/block/* "$SYSFS"/*; do
		[[ ! -e $found || $disks_before == *" $found "* ]] || echo "$found"
	done
	while read -r _ found type _; do
		[[ $type != ghostswap ]] || echo "the mount at $found"
	done </proc/mounts
	while read -r found type _; do
		[[ $type == Type ]] || echo "the swap area $found"
	done </proc/swaps
}

# Sets $told to what the kernel complained of since the promise began.
complaints() {
	local line
	local fault='cut here|WARNING: |\<BUG\>|Oops|general protection|panicked|UBSAN: |ODEBUG: |INFO: '
	take_log
	told=
	for line in "${kernel_log[@]}"; do
		# A race between two accesses of the kernel's own is not ours.
		[[ $line != *'BUG: KCSAN: '* || $line == *'[ghostswap]'* ]] || continue
		[[ ! $line =~ $fault ]] || told+=$line$'\n'
	done
}

# --- a promise ---------------------------------------------------------------

load() {
	[[ -e /sys/module/ghostswap ]] || insmod "$BUILD/ghostswap.ko"
}

# For each promise: RANDOM begins anew in each shell, and anywhere.
seed() {
	RANDOM=${GHOSTSWAP_SEED:-1}
}

keep() (
	set -eEuo pipefail
	exec 3>&1 >"$log" 2>&1
	seed
	# shellcheck disable=SC2154 # status is set in the trap
	trap 'status=$?; trap - EXIT ERR; set +e; undo; exit $status' EXIT
	trap 'echo "${BASH_SOURCE##*/}:$LINENO: status $?: $BASH_COMMAND"' ERR
	"$@"
)

promise() {
	local text=$1 status left told verdict=ok begin=${EPOCHREALTIME/./}
	count=$((count + 1))
	[[ ! -e $log.skip ]] || rm "$log.skip"
	: >"$log.kernel"
	load || exit "$KSFT_FAIL"
	mark_log
	keep "${@:2}"
	status=$?
	left=$(leftovers)
	complaints
	if ((status != 0 && status != KSFT_SKIP)) || [[ -n $left$told ]]; then
		verdict="not ok"
		failures=$((failures + 1))
		sed 's/^/# /' "$log"
		[[ -z $left ]] || echo "# left behind: ${left//$'\n'/, }"
		[[ -z $told ]] || echo "# the kernel said: ${told//$'\n'/$'\n# '}"
	elif ((status == KSFT_SKIP)); then
		text+=" # SKIP $(<"$log.skip")"
	fi
	echo "$verdict $count - $text"
	echo "# took $(((${EPOCHREALTIME/./} - begin) / 1000)) ms"
}

finish() {
	promise "the module can be removed afterwards" rmmod ghostswap
	cd / && umount "$work" && rmdir "$work" && rm -rf "$log" "$log".*
	echo "1..$count"
	exit $((failures > 0 ? KSFT_FAIL : 0))
}

disks_before=" $(echo /sys/block/*) "
mark_log

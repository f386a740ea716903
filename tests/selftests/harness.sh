# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Promises: what they may say, how they run, and what must be gone after each; sourced,
# not run.
# shellcheck disable=SC2154 # what lib.sh sets

# A stat worth seeing even when all is well.
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

# --- turning everything off, and what must be gone then ----------------------

# afterwards COMMAND...: also when the promise is broken; the last one first.
afterwards() {
	also=("$#" "$@" "${also[@]}")
}

do_afterwards() {
	while ((${#also[@]} > 0)); do
		"${also[@]:1:also[0]}"
		also=("${also[@]:also[0] + 1}")
	done
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
	do_afterwards
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
	also=()
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
	told=$(complaints)
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

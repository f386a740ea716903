#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# stress-ng with a ghost file as its only swap: programs that use, fork, advise and grow
# more memory than there is find no byte of it changed, and those that have to go leave
# nothing. For GHOSTSWAP_SECONDS (8 if not set), with the seed GHOSTSWAP_SEED.
#
# Needs two CPUs: its stressors are at work at once.

. "$(dirname "$0")/lib.sh"

PROMISES=4
SECONDS_EACH=$((${GHOSTSWAP_SECONDS:-8} / PROMISES))

# in_cgroup NAME COMMAND...
in_cgroup() (
	echo "$BASHPID" >"$CGROUPS/ghostswap.$1/cgroup.procs"
	exec "${@:2}"
)

# stress NAME STRESSOR...: in the group of that name. It says by its status whether one
# failed, and by lines what did. Of those that were killed for memory it says that they
# miscounted, for they had no time to sign for what they did.
stress() {
	local status=0 wrong excused=0
	in_cgroup "$1" stress-ng --seed "${GHOSTSWAP_SEED:-1}" --temp-path "$PWD" \
		--timeout "$((SECONDS_EACH > 0 ? SECONDS_EACH : 1))" --metrics-brief --verify \
		"${@:2}" >said 2>&1 || status=$?
	(($(oom_kills "$1") == 0)) || excused=2
	wrong=$(grep ' fail: ' said | grep -v -e ' bogo-ops counter' -e ' metrics-check: ' || true)
	if ((status != 0 && status != excused)) || [[ -n $wrong ]]; then
		cat said
		fail "stress-ng ended with status $status"
	fi
}

# began OPTIONS: what all need.
began() {
	have_program stress-ng stress-ng
	area file 1G "$1"
}

# ended: nothing was lost, and nothing is left.
ended() {
	note "$(stat_of file stores) stores, $(stat_of file loads) loads, $(stat_of file written_pages)" \
		"pages written; operations:$(awk '/metrc:/ && $6 ~ /^[0-9.]+$/ { printf " %s %s", $4, $5 }' said)"
	holds "stores" "$(stat_of file stores) > 200"
	holds "loads" "$(stat_of file loads) > 50"
	ends_empty file
	gone file
}

more_than_there_is() { # STRESSOR...
	cgroup stress memory.high=12M
	stress stress --vm 2 --vm-bytes 16M "$@"
}

in_memory() {
	began limit=256M
	more_than_there_is --fork 1 --brk 1 --brk-ops 4000
	ended
}

with_a_store() {
	disk disk.image 96M
	began "limit=1M,backing=$disk"
	more_than_there_is --madvise 1
	holds "pages written" "$(stat_of file written_pages) > 100"
	ended
}

out_of_memory() {
	disk disk.image 32M
	began "limit=2M,backing=$disk"
	cgroup stress memory.max=5M memory.swap.max=4M
	# Where the kernel is slow it takes them more than their time to have grown so far.
	for _ in {1..20}; do
		stress stress --oomable --bigheap 1 --bigheap-growth 1M --brk 1 --vm 1 --vm-bytes 4M
		(($(oom_kills stress) == 0)) || break
	done
	holds "processes killed" "$(oom_kills stress) > 0"
	ended
}

# The stressor "swap" makes, turns on and off swapfiles of its own, of which tmpfs has none.
beside_swapfiles() {
	disk_filesystem ext4
	began limit=64M
	cgroup stress memory.high=4M
	stress stress --vm 1 --vm-bytes 6M --vm-method zero-one --swap 1 --temp-path "$PWD/ext4"
	ended
}

promise "stressed programs find their memory as it was" in_memory
promise "the same with a store" with_a_store
promise "those for which there is no memory are killed, and leave nothing" out_of_memory
promise "swapfiles that come and go beside an area do no harm" beside_swapfiles
finish

# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# What the tests share that let one thing after the other fail (see failnth.c);
# sourced after lib.sh, not run. A scene is a part of the life of an area with stores.
# It is played over and over, from mount to umount, and something else fails in it
# each time:
#
#	play allocations|requests SCENE LEAST
#
# where LEAST is how many there are to fail, at least. Variable GHOSTSWAP_EACH has each
# allocation fail, where there are many, too.

FAULTS=/sys/kernel/debug/fail

# To count one kind, the others must be left out.
can_choose() {
	[[ -e ${FAULTS}slab/require-start && -e ${FAULTS}_page_alloc/require-start ]] ||
		skip "this kernel cannot choose faults by stack trace"
}

# Only allocations made by the module count, or by others for it.
count_allocations() {
	local faults text=/sys/module/ghostswap/sections/.text
	can_choose
	for faults in "$FAULTS"slab "$FAULTS"_page_alloc "$FAULTS"_mempool_alloc*; do
		[[ -d $faults ]] || continue
		put_for_now "$faults/require-start" "$(<"$text")"
		put_for_now "$faults/require-end" \
			"$(printf '0x%x' $(($(<"$text") + $(</sys/module/ghostswap/coresize))))"
		put_for_now "$faults/stacktrace-depth" 32
		put_for_now "$faults/verbose" 0
		# Also those that may sleep, and single pages.
		[[ ! -e $faults/ignore-gfp-wait ]] || put_for_now "$faults/ignore-gfp-wait" N
		[[ ! -e $faults/min-order ]] || put_for_now "$faults/min-order" 0
		[[ ! -e $faults/ignore-gfp-highmem ]] || put_for_now "$faults/ignore-gfp-highmem" N
	done
}

# Only requests to these disks count.
count_requests() { # DISK...
	local faults disk
	can_choose
	[[ -d ${FAULTS}_make_request ]] || skip "this kernel cannot make requests fail"
	for faults in "$FAULTS"slab "$FAULTS"_page_alloc "$FAULTS"_mempool_alloc*; do
		[[ -d $faults ]] || continue
		put_for_now "$faults/stacktrace-depth" 0
		put_for_now "$faults/require-end" 0
	done
	put_for_now "${FAULTS}_make_request/verbose" 0
	for disk; do
		put_for_now "/sys/block/${disk#/dev/}/make-it-fail" 1
	done
}

# fail_each LEAST ARGUMENT...: of failnth, and see that there were LEAST faults at least
fail_each() {
	said=$(failnth ${GHOSTSWAP_EACH:+-a} "${@:2}")
	note "$said"
	holds "things that failed" "$(said_number faults) >= $1"
}

said_in_log() {
	log_since | grep -c '^ghostswap: ' || true
}

# Our lines only: a failed allocation may be reported by those it was made from.
one_line_each() {
	equal "lines in the log for operations that failed" "$(said_number failed)" "$(said_in_log)"
}

# The kernel may have to load the modules of the cipher first, and takes what fails
# meanwhile for there being none.
has_cipher() {
	disk cipher.image 16M
	header cipher
	gives OK mnt mount cipher cipher "backing=$disk"
	gives OK mnt umount cipher
}

# --- scenes ------------------------------------------------------------------

# What is written to the pool's files in sysfs.
told() { # NAME TEXT
	script+=(write "$SYSFS/walk/$1" "$2")
}

# Each of so many batches has a segment of its own.
batches() { # COUNT
	local left
	for ((left = $1; left > 0; left--)); do
		told writeback 8
	done
}

# The pool has the first disk, of 7 segments; the second has 3. A scene may set $memory
# for failnth, $options of mount, and what is done: $early to let things fail from the
# beginning, and $late from when the area is off; and $script, that goes on with the
# pages out.

play_mount() {
	early=fault
	script=(mend)
}

play_writeback() {
	memory=(-p 300 -k r)
	script+=(fault)
	told writeback all
}

# By the mover, while pages go out.
play_limit() {
	memory=(-p 66 -k r)
	options+=,limit=128K
	script=(fill fault out settle)
}

play_cleaning() {
	batches 6
	script+=(fault)
	told writeback all
}

# From the first store to the next, where there is no more room in the first: its two
# segments are too full for cleaning to win one.
play_moving() {
	memory=(-p 600 -k r)
	options=backing=$second,backing=$first
	told writeback 280
	told writeback 280
	script+=(fault)
	told writeback all
}

play_loads() {
	told writeback all
	script+=(fault load)
}

# Pages that are read ahead come in a batch, and wait for each other.
play_loads_ahead() {
	options+=,cache=off
	told writeback all
	script+=(fault ahead settle load)
}

play_claim() {
	script+=(fault)
	told add_backing "$second"
}

play_release() {
	memory=(-p 8)
	told writeback all
	script+=(fault)
	told remove_backing "$first"
}

play_release_to_another() {
	memory=(-p 8)
	batches 2
	told add_backing "$second"
	script+=(fault)
	told remove_backing "$first"
}

# It is advice, so the segment is used again, whatever comes of it.
play_discard() {
	options+=,discard
	batches 3
	script+=(fault free settle mend is "$SYSFS/walk/backing0/retired_segments" 0)
}

play_swapoff() {
	memory=(-p 8)
	told writeback all
	script+=(fault swapoff file settle mend swapon file)
}

play_umount() {
	told writeback all
	late=fault
}

play() { # allocations|requests SCENE LEAST
	local first second memory=() options early='' late='' script=(fill out) errors=ENOMEM
	has_cipher
	disk first.image 16M first
	disk second.image 8M second
	header file
	options=backing=$first
	"play_$2"
	case $1 in
	allocations) count_allocations ;;
	requests)
		# Of these there are few, so each has its turn.
		errors=EIO,ENOSPC memory+=(-a)
		count_requests "$first" "$second"
		;;
	esac
	fail_each "$3" "${memory[@]}" "$errors" \
		${early:+"$early"} mount file "pool=walk,$options" swapon file \
		"${script[@]}" mend load check is "$SYSFS/walk/failed_loads" lost \
		swapoff file is "$SYSFS/walk/stored_pages" 0 ${late:+"$late"} umount file
	memory_is_back
	for disk in "$first" "$second"; do
		gives OK mnt swapon "$disk"
		gives OK mnt swapoff "$disk"
	done
}

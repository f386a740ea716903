#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Load, mount, swapon, add a store, swap, remove it, swapoff, umount and unload in
# random order, while others read and write every file in sysfs: each step does what it
# should from where it is, and memory stays flat. GHOSTSWAP_STEPS of them (60 if not
# set); what is drawn at random begins with GHOSTSWAP_SEED.
#
# Needs two CPUs: files are read while they go.

. "$(dirname "$0")/lib.sh"

STEPS=${GHOSTSWAP_STEPS:-60}
AREAS=(one two three)

# What should be: areas that are mounted, and swapped on.
declare -A mounted=() on=()

is_loaded() {
	[[ -e /sys/module/ghostswap ]]
}

does() { # OUTCOME STEP ARGUMENT...
	local outcome
	outcome=$(mnt "${@:2}")
	equal "step $step, ${*:2}, with ${!mounted[*]} mounted and ${!on[*]} on" "$1" "$outcome"
}

load_step() {
	if is_loaded; then
		! insmod "$BUILD/ghostswap.ko" 2>/dev/null || fail "step $step: loaded twice"
	else
		insmod "$BUILD/ghostswap.ko"
	fi
}

unload_step() {
	if ! is_loaded || ((${#mounted[@]} > 0)); then
		! rmmod ghostswap 2>/dev/null || fail "step $step: unloaded with ${!mounted[*]}"
	else
		# A task that just tried to mount may have it still.
		until_true "the module is free" 5 rmmod ghostswap 2>/dev/null
	fi
}

mount_step() {
	local options=
	[[ $1 == three ]] || options=pool=shared
	# mount(8) would load it.
	is_loaded || load_step
	if [[ -n ${mounted[$1]:-} ]]; then
		does EBUSY mount "$1" "$1" "$options"
	else
		does OK mount "$1" "$1" "$options"
		mounted[$1]=1
	fi
}

umount_step() {
	if [[ -n ${on[$1]:-} ]]; then
		does EBUSY umount "$1"
	elif [[ -n ${mounted[$1]:-} ]]; then
		does OK umount "$1"
		unset "mounted[$1]"
	else
		does EINVAL umount "$1"
	fi
}

swapon_step() {
	if [[ -n ${on[$1]:-} ]]; then
		does EBUSY swapon "$1"
	elif [[ -n ${mounted[$1]:-} ]]; then
		does OK swapon "$1" 5
		on[$1]=1
	else
		# A header and nothing else.
		does EINVAL swapon "$1" 5
	fi
}

swapoff_step() {
	if [[ -n ${on[$1]:-} ]]; then
		does OK swapoff "$1"
		unset "on[$1]"
	else
		does EINVAL swapoff "$1"
	fi
}

# Of the shared pool, which two mounts keep.
store_step() {
	local file
	for file in one two; do
		[[ -n ${mounted[$file]:-} ]] || continue
		if [[ -n $(stores_of "$file") ]]; then
			gives OK tell "$file" writeback all
			gives OK tell "$file" remove_backing "$disk"
		else
			gives OK tell "$file" add_backing "$disk"
		fi
		return
	done
}

swap_step() {
	((${#on[@]} == 0)) || pages -s 1 -k trs fill out check >/dev/null
}

do_step() {
	local area=${AREAS[RANDOM % 3]}
	case $((RANDOM % 12)) in
	0) load_step ;;
	1) unload_step ;;
	2 | 3) mount_step "$area" ;;
	4) umount_step "$area" ;;
	5 | 6) swapon_step "$area" ;;
	7) swapoff_step "$area" ;;
	8 | 9) store_step ;;
	*) swap_step ;;
	esac
}

all_down() {
	local area
	for area in "${!on[@]}"; do
		swapoff_step "$area"
	done
	for area in "${!mounted[@]}"; do
		umount_step "$area"
	done
}

# Every file, for as long as it is there. What is written is refused, or does nothing.
meddle() {
	local file
	while sleep 0.02; do
		for file in "$SYSFS"/*/* "$SYSFS"/*/backing*/*; do
			case $file in
			*_backing) echo /nonesuch >"$file" ;;
			*/writeback | */age) echo 1 >"$file" ;;
			*) read -r _ <"$file" ;;
			esac || continue
		done 2>/dev/null
	done
}

in_any_order() {
	local area step=0 before between after grown third=$((STEPS / 3))
	disk disk.image 16M
	for area in "${AREAS[@]}"; do
		header "$area" size=1G
	done
	meddle &
	# The first time, the kernel makes things that stay.
	for ((; step < 20; step++)); do
		do_step
	done
	all_down
	before=$(slab_objects)
	for ((; step < 20 + third; step++)); do
		do_step
	done
	all_down
	between=$(slab_objects)
	for ((; step < 20 + 3 * third; step++)); do
		do_step
	done
	all_down
	after=$(slab_objects)
	# Caches are some dozens of objects more or less full by themselves: a leak in each
	# round is seen where there are hundreds of steps.
	grown=$(join <(sort <<<"$before") <(sort <<<"$between") | join - <(sort <<<"$after") |
		awk -v leak=$((third > 400 ? third / 4 : 100)) \
			'$3 - $2 >= leak && $4 - $3 >= 2 * leak')
	equal "slab caches that grew all the time" "" "$grown"
	note "$step steps"
	load
}

promise "$STEPS steps in any order do what they should, and leave nothing" in_any_order
finish

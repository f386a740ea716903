#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# sysfs has one value in each file, but for two that have a table. What can be read cannot be written, and what
# can be written cannot be read, but for one setting.

. "$(dirname "$0")/lib.sh"

FILES=(areas bundle_waste_bytes bundled_pages capacity_bytes comp compressed_bytes failed_loads failed_stores_limit
	failed_stores_memory fixed_bytes incompressible_pages invalidates limit_bytes
	loads lost_pages pool_bytes read_in_vain_bytes recomp recompressed_loads recompressed_pages
	redirected_bytes redirected_pages
	returned_pages same_filled_pages
	stored_pages stores table_bytes written_pages)
ORDERS=(add_backing age give_up_backing recompress remove_backing reopen_backing writeback)
TABLES=(ram_load_nsecs store_load_nsecs)
STORE=(cipher cleaned_bytes discarded_bytes free_segments garbage_bytes live_bytes open_segments path
	read_bytes read_errors read_ios retired_segments sealed_segments size_bytes
	state used_bytes write_errors written_bytes written_ios written_lately_bytes)
SETTING=write_limit

are_there() { # DIRECTORY NAME...
	equal "what is in $1" "$(printf '%s\n' "${@:2}" | sort)" "$(ls "$1")"
}

# reads FILE REGEX: that is all it has, and it cannot be written.
reads() {
	local value mode
	value=$(<"$1")
	[[ $value =~ ^($2)$ ]] || fail "$1 reads \"$value\""
	case $1 in
	# They tell more of pages than all users may know.
	*/bundle_waste_bytes | */compressed_bytes | */redirected_bytes | */live_bytes | */garbage_bytes) mode=400 ;;
	*) mode=444 ;;
	esac
	equal "mode of $1" "$mode" "$(stat -c %a "$1")"
	if echo 1 2>/dev/null >"$1"; then
		fail "$1 can be written"
	fi
}

one_value() {
	local name dir
	area_with_store 16M
	dir=$SYSFS/$(pool_of file)
	pages -s 2 fill out check
	are_there "$dir" "${FILES[@]}" "${TABLES[@]}" "${ORDERS[@]}" backing0
	for name in "${FILES[@]}"; do
		reads "$dir/$name" "[0-9]+|wlz|off"
	done
	for name in "${TABLES[@]}"; do
		reads "$dir/$name" "([0-9]+ [0-9]+$newline)+[0-9]+ [0-9]+"
	done
	are_there "$dir/backing0" "${STORE[@]}" "$SETTING"
	for name in "${STORE[@]}"; do
		reads "$dir/backing0/$name" "[0-9]+|$disk|open|aes-gcm|chacha20-poly1305"
	done
}

# It is read by all, and written by root alone.
setting() {
	local file
	area_with_store 16M
	file=$SYSFS/$(pool_of file)/backing0/$SETTING
	equal "mode of $SETTING" 644 "$(stat -c %a "$file")"
	equal "$SETTING" off "$(<"$file")"
	echo 8M >"$file"
	equal "$SETTING" $((8 << 20)) "$(<"$file")"
	echo off >"$file"
	equal "$SETTING" off "$(<"$file")"
}

# Orders are written, by root alone.
orders() {
	local name dir
	area file
	dir=$SYSFS/$(pool_of file)
	for name in "${ORDERS[@]}"; do
		equal "mode of $name" 200 "$(stat -c %a "$dir/$name")"
		if cat "$dir/$name" 2>/dev/null; then
			fail "$name can be read"
		fi
	done
}

# What a file is for does not change with its mode.
whatever_the_mode() {
	local name dir said
	area file
	dir=$SYSFS/$(pool_of file)
	chmod 600 "$dir"/*_*
	for name in "${ORDERS[@]}"; do
		chmod 600 "$dir/$name"
		said=$(cat "$dir/$name" 2>&1) && fail "$name can be read: $said"
		[[ $said == *"Input/output error" ]] || fail "$name: $said"
	done
	gives EPERM tell file limit_bytes 1
}

named_as_findmnt_says() {
	header file
	gives OK mnt mount file file
	[[ -d $SYSFS/$(findmnt -rno MAJ:MIN file) ]]
}

promise "one value a file, for reading only" one_value
promise "a setting is for both" setting
promise "orders are for writing only" orders
promise "so it is if root changes their modes" whatever_the_mode
promise "an unnamed pool is called as findmnt calls its mount" named_as_findmnt_says
finish

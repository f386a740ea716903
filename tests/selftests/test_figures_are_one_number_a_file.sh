#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# sysfs has one value in each file, to be read or to be written.

. "$(dirname "$0")/lib.sh"

FILES=(areas comp compressed_bytes failed_loads failed_stores_limit
	failed_stores_memory fixed_bytes incompressible_pages invalidates limit_bytes
	loads pool_bytes redirected_bytes redirected_pages same_filled_pages stored_pages
	stores table_bytes written_pages)
COMMANDS=(add_store remove_store writeback)

one_value() {
	local name dir value
	area file
	dir=$SYSFS/$(pool_of file)
	pages -s 2 fill out check
	equal "files" "$(printf '%s\n' "${FILES[@]}" "${COMMANDS[@]}" | sort)" "$(ls "$dir")"
	for name in "${FILES[@]}"; do
		value=$(<"$dir/$name")
		[[ $value =~ ^[0-9]+$ || $name == comp && $value == lz4 ]] || fail "$name reads \"$value\""
		equal "mode of $name" 444 "$(stat -c %a "$dir/$name")"
		if echo 1 2>/dev/null >"$dir/$name"; then
			fail "$name can be written"
		fi
	done
	for name in "${COMMANDS[@]}"; do
		equal "mode of $name" 200 "$(stat -c %a "$dir/$name")"
		if cat "$dir/$name" 2>/dev/null; then
			fail "$name can be read"
		fi
	done
}

named_as_findmnt_says() {
	header file
	gives OK mnt mount file file
	[[ -d $SYSFS/$(findmnt -rno MAJ:MIN file) ]]
}

promise "one value a file, to be read or to be written" one_value
promise "an unnamed pool is called as findmnt calls its mount" named_as_findmnt_says
finish

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Mounts with one pool= share cache and limit; others have nothing in common.

. "$(dirname "$0")/lib.sh"

one_pool() {
	area one 1G comp=zstd,limit=8M,pool=shared 5
	area two 1G pool=shared 5
	equal "pools" shared "$(ls "$SYSFS")"
	equal "areas" 2 "$(stat_of one areas)"
	equal "what can be held, by df" "4096 4096" "$(stat -f -c %b one) $(stat -f -c %b two)"
	start pages -s 6 -k tr fill out hold
	holds "pages used of both" "$(used_pages one) > 0 && $(used_pages two) > 0"
	equal "pages stored" $(($(said_number out))) "$(stat_of two stored_pages)"
	equal "compressor of the second" zstd "$(stat_of two comp)"

	# Either may leave; the pool stays for the other.
	gone one
	equal "areas" 1 "$(stat_of two areas)"
	release
	gone two
	[[ ! -e $SYSFS/shared ]] || fail "the pool outlives its last mount"
}

same_options_only() {
	local options
	header one
	header two
	gives OK mnt mount one one comp=lz4,limit=8M,pool=shared
	for options in comp=zstd limit=9M; do
		gives_reason EINVAL "${options%=*}.*shared|shared.*${options%=*}" \
			mnt mount two two "$options,pool=shared"
	done
	gives OK mnt mount two two comp=lz4,limit=8M,pool=shared
	gives OK mnt umount two
	gives OK mnt mount two two limit=8192K,pool=shared
	gives OK mnt umount two
	gives OK mnt mount two two pool=shared
	gives OK mnt remount two limit=6M
	equal "limit, seen through the first" $((6 << 20)) "$(stat_of one limit_bytes)"
}

names() {
	local name
	header file
	for name in a 0 _x- Pool.9 "$(printf 'x%.0s' {1..32})"; do
		gives OK mnt mount file file "pool=$name"
		[[ -d $SYSFS/$name ]] || fail "no $SYSFS/$name"
		gives OK mnt umount file
	done
	for name in "" .hidden . .. a/b "a b" "a:b" é "$(printf 'x%.0s' {1..33})"; do
		gives_reason EINVAL pool mnt mount file file "pool=$name"
	done
	equal "pools" "" "$(ls "$SYSFS")"
}

unnamed_are_apart() {
	area one "" limit=8M
	area two "" limit=9M
	equal "pools" "$(printf '%s\n' "$(pool_of one)" "$(pool_of two)" | sort)" "$(ls "$SYSFS")"
	equal "limits" "$((8 << 20)) $((9 << 20))" "$(stat_of one limit_bytes) $(stat_of two limit_bytes)"
}

three_areas() {
	local file out kept
	area a1 1G comp=lz4,pool=a 5
	area a2 1G pool=a 5
	area b1 1G comp=zstd,pool=b 5
	start pages -s 12 -k trs fill out hold check rewrite:3 out hold check
	for file in a1 a2 b1; do
		holds "pages used of $file" "$(used_pages "$file") > 200"
	done
	equal "stored in a" $(($(used_pages a1) + $(used_pages a2))) "$(stat_of a1 stored_pages)"
	equal "stored in b" "$(used_pages b1)" "$(stat_of b1 stored_pages)"
	out=$(said_number out)
	equal "stored in all" "$out" $(($(stat_of a1 stored_pages) + $(stat_of b1 stored_pages)))
	go_on

	# Each area goes by itself, and takes nothing of another's with it.
	kept=$(stat_of b1 stored_pages)
	gives OK mnt swapoff a2
	equal "stored in b, when a2 is off" "$kept" "$(stat_of b1 stored_pages)"
	gives OK mnt swapoff b1
	ends_empty b1
	holds "stored in a" "$(stat_of a1 stored_pages) > 0"
	release
	ends_empty a1
}

promise "mounts with one pool= share it, and either may leave first" one_pool
promise "later mounts of a pool need equal options, or none" same_options_only
promise "a pool's name is 1 to 32 letters, digits, _, . and -" names
promise "mounts without a name have each its own" unnamed_are_apart
promise "two pools and three areas, all in use at once" three_areas
finish

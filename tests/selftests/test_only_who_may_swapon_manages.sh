#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Mounts, stores and writeback are for users that may call swapon(2); the stats are for
# all users, and do not show where anything is in memory.

. "$(dirname "$0")/lib.sh"

USER=(setpriv --reuid 1000 --regid 1000 --clear-groups)
WITHOUT=(setpriv --bounding-set -sys_admin --inh-caps -sys_admin)
ONLY_WITH=(setpriv --bounding-set "-all,+sys_admin" --inh-caps "-all,+sys_admin")
ROOT_OF_A_NAMESPACE=(unshare --user --map-root-user --mount)

# managed COMMAND...: while there are two disks, and file is an area in whose pool the first is.
managed() {
	local first second dir
	disk first.image 16M first
	disk second.image 16M second
	area file 1G "limit=64M,backing=$first"
	dir=$SYSFS/$(pool_of file)
	chmod 755 .
	start pages -s 4 fill out hold check
	"$@"
	release
}

# refused ERRNO COMMAND...: nothing of it can be done by COMMAND.
refused() {
	local errno=$1
	shift
	equal "add_backing by $1" "$errno" "$("$@" mnt write "$dir/add_backing" "$second")"
	equal "reopen_backing by $1" "$errno" "$("$@" mnt write "$dir/reopen_backing" "$first")"
	equal "remove_backing by $1" "$errno" "$("$@" mnt write "$dir/remove_backing" "$first")"
	equal "give_up_backing by $1" "$errno" "$("$@" mnt write "$dir/give_up_backing" "$first")"
	equal "writeback by $1" "$errno" "$("$@" mnt write "$dir/writeback" all)"
	equal "age by $1" "$errno" "$("$@" mnt write "$dir/age" 0)"
	equal "write_limit by $1" "$errno" "$("$@" mnt write "$dir/backing0/write_limit" 4M)"
	equal "remount by $1" EPERM "$("$@" mnt remount file limit=1M)"
	equal "swapoff by $1" EPERM "$("$@" mnt swapoff file)"
	# To root of a namespace, the mount is not one of its own.
	[[ $("$@" mnt umount file) =~ ^(EPERM|EINVAL)$ ]] || fail "umount by $1"
	equal "stores" "$first" "$(stores_of file)"
	equal "limit" $((64 << 20)) "$(stat_of file limit_bytes)"
	equal "pages that were written" 0 "$(stat_of file written_pages)"
}

# What counts is the task that writes, not the one that opened the file.
an_open_file() {
	if "${WITHOUT[@]}" sh -c 'echo all' >"$dir/writeback"; then
		fail "an open file can be written to"
	fi
	equal "pages that were written" 0 "$(stat_of file written_pages)"
}

nothing_else_is_needed() {
	equal "add_backing" OK "$("${ONLY_WITH[@]}" mnt write "$dir/add_backing" "$second")"
	equal "writeback" OK "$("${ONLY_WITH[@]}" mnt write "$dir/writeback" all)"
	equal "age" OK "$("${ONLY_WITH[@]}" mnt write "$dir/age" 0)"
	equal "write_limit" OK "$("${ONLY_WITH[@]}" mnt write "$dir/backing0/write_limit" off)"
	equal "reopen_backing" OK "$("${ONLY_WITH[@]}" mnt write "$dir/reopen_backing" "$first")"
	equal "remove_backing" OK "$("${ONLY_WITH[@]}" mnt write "$dir/remove_backing" "$first")"
	equal "stores" "$second" "$(stores_of file)"
	gives OK tell file add_backing "$first"
	equal "give_up_backing" OK "$("${ONLY_WITH[@]}" mnt write "$dir/give_up_backing" "$first")"
	equal "stores" "$second" "$(stores_of file)"
}

# Addresses in kernels of this machine begin with 0xffff.
all_may_read() {
	local name said
	gives OK tell file writeback 512
	# What cannot be read are the orders, and what follows.
	said=$("${USER[@]}" cat "$dir"/*_* "$dir"/backing0/*_* 2>/dev/null) || true
	holds "stats that a user reads" "$(grep -c '^[0-9]*$' <<<"$said") >= 26"
	# From these a user could learn what is on a page.
	for name in bundle_waste_bytes compressed_bytes redirected_bytes backing0/live_bytes backing0/garbage_bytes; do
		! "${USER[@]}" cat "$dir/$name" 2>/dev/null || fail "a user reads $name"
		holds "$name" "$(<"$dir/$name") >= 0"
	done
	for name in "$dir"/* "$dir"/backing0/*; do
		[[ -r $name && ! -d $name && $(stat -c %a "$name") != 200 ]] || continue
		! grep -Eq 'ffff[0-9a-f]{8}' "$name" || fail "$name tells an address"
	done
	! raw_log_since | grep -Eq 'ghostswap.*ffff[0-9a-f]{8}' || fail "the log tells an address"
}

promise "a user manages nothing" managed refused EACCES "${USER[@]}"
promise "root without CAP_SYS_ADMIN manages nothing" \
	managed refused EPERM "${WITHOUT[@]}"
promise "root of a user namespace manages nothing" \
	managed refused EPERM "${ROOT_OF_A_NAMESPACE[@]}"
promise "a file that root opened is of no use to others" managed an_open_file
promise "CAP_SYS_ADMIN is enough" managed nothing_else_is_needed
promise "all may read the stats but four, and none tells an address" managed all_may_read
finish

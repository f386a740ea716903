#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A bad option is refused with its name and the reason, and so is a user that may not
# mount at all; mount(8) then says no more than it has to.

. "$(dirname "$0")/lib.sh"

# refused OPTIONS REASON
refused() {
	local said
	[[ -e file ]] || header file
	gives_reason EINVAL "$2" mnt mount file file "$1"
	said=$(mnt fsmount file file "$1")
	# A line of the log, and then the error.
	[[ $said =~ ^"e "[^$newline]*($2)[^$newline]*${newline}EINVAL$ ]] || fail "fsmount with $1 says: $said"
}

unknown() {
	refused nonesuch "nonesuch"
	refused nonesuch=1 "nonesuch"
	refused limit=8M,Comp=lz4 "Comp"
	refused comp "comp"
	refused limit "limit"
	refused pool "pool"
}

compressors() {
	local name
	# Few of them: the kernel runs modprobe several times for each.
	for name in "" sha256 lz4/x wlz:best; do
		refused "comp=$name" "comp"
	done
	refused recomp=nonesuch "recomp=nonesuch: no such compressor"
	refused recomp= "recomp"
	for name in lz4:0 lz4:65538 zstd:23 zstd:99999999999999999999; do
		! has_compressor "${name%:*}" || refused "comp=$name" "comp=$name: the levels are"
	done
	for name in lzo:1 wlz:1 wlz:dense:1; do
		refused "recomp=$name" "recomp=$name: only lz4 and zstd have levels"
	done
	refused comp=zstd: "comp=zstd:: no such compressor"
	# It names those there are.
	mark_log
	gives EINVAL mnt mount file file comp=nonesuch
	for name in wlz wlz:dense lz4 lzo lzo-rle zstd deflate 842; do
		! has_compressor "$name" || one_line "nonesuch.*[ ,(]$name([ ,)]|\$)"
	done
}

limits() {
	local value
	for value in 0 0% 0M -1 -5% 101% 1000% 1.5G many "" 8X 8MM % 18446744073709551616 \
		17179869184T 0x10 " 8M" +8M; do
		refused "limit=$value" "limit"
	done
}

twice() {
	header file
	# The last one counts, as with other filesystems.
	gives OK mnt mount file file comp=lz4,comp=zstd,limit=8M,limit=9M
	equal "options" "zstd $((9 << 20))" "$(stat_of file comp) $(stat_of file limit_bytes)"
}

# Any user may give options to a mount that is never made.
stores() {
	local many
	printf -v many 'backing=/%d,' {1..24}
	refused "${many}nobacking=/25" "backing: more than 24"
	gives ENOENT mnt mount file file "${many%,}"
}

mount_says_so() {
	local said
	header file
	mark_log
	! said=$(mount -t ghostswap -o comp=nonesuch file file 2>&1) || fail "mount(8) mounted it"
	[[ $said == *nonesuch* || $said == *dmesg* ]] || fail "mount(8) says: $said"
	one_line nonesuch
	mark_log
	! said=$(/bin/busybox mount -t ghostswap -o limit=0 file file 2>&1) || fail "busybox mounted it"
	one_line limit
}

not_root() {
	header file
	chmod 755 .
	equal "mount(2)" EPERM "$(setpriv --reuid 1000 --regid 1000 --clear-groups \
		mnt mount file file)"
	equal "fsopen(2)" EPERM "$(setpriv --reuid 1000 --regid 1000 --clear-groups \
		mnt fsmount file file)"
	# root without the one capability
	equal "mount(2)" EPERM "$(setpriv --bounding-set -sys_admin --inh-caps -sys_admin \
		mnt mount file file)"
}

user_namespace() {
	header file
	equal "mount(2)" EPERM "$(unshare --user --map-root-user --mount mnt mount file file)"
	equal "fsopen(2)" EPERM "$(unshare --user --map-root-user --mount mnt fsmount file file)"
	# A mount namespace alone changes nothing.
	equal "mount(2)" OK "$(unshare --mount mnt mount file file)"
}

promise "unknown options, and options without their value" unknown
promise "compressors there are not, with those there are" compressors
promise "limits of 0, below, above, and no number" limits
promise "more stores than there can be" stores
promise "an option given twice: the last one counts" twice
promise "mount(8) and busybox point at the reason" mount_says_so
promise "a user that is not root" not_root
promise "root of a user namespace" user_namespace
finish

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The mounted file reads as its header and then zeros, and nothing changes it.

. "$(dirname "$0")/lib.sh"

SIZE=$((64 << 30))

# What onefile (see there) says of a mounted file that is not swapped on.
expected() {
	cat <<-END
		read.header right
		read.magic right
		read.across right
		read.three_pages right
		read.odd right
		read.middle right
		read.last_page right
		read.over_the_end right
		read.at_the_end right
		read.beyond right
		seek.end right
		seek.set right
		seek.cur right
		seek.negative EINVAL
		write EPERM
		pwrite EPERM
		writev EPERM
		ftruncate.shorter EPERM
		ftruncate.longer EPERM
		truncate EPERM
		open.truncate EPERM
		open.append OK
		write.append EPERM
		fallocate EOPNOTSUPP
		fallocate.punch EOPNOTSUPP
		mmap.shared ENODEV
		mmap.private ENODEV
		mmap.read ENODEV
		mmap.none ENODEV
		fchmod EPERM
		chmod EPERM
		fchown EPERM
		chown EPERM
		futimens EPERM
		setxattr.user EOPNOTSUPP
		setxattr.trusted EOPNOTSUPP
		setxattr.security EOPNOTSUPP
		getxattr.user EOPNOTSUPP
		removexattr.user EOPNOTSUPP
		unlink EBUSY
		rename EBUSY
		ioctl ENOTTY
		unchanged right
		read.again right
	END
}

mounted_only() {
	header file size="$SIZE"
	cp file copy
	gives OK mnt mount file file
	equal "what onefile says" "$(expected)" "$(onefile file copy "$SIZE")"
}

swapped_on() {
	header file size="$SIZE"
	cp file copy
	gives OK mnt mount file file
	gives OK mnt swapon file
	# The kernel itself refuses some things to a swapfile, before we are asked.
	equal "what onefile says" \
		"$(expected | sed 's/^\(fallocate.*\|mmap.shared\) .*/\1 ETXTBSY/')" \
		"$(onefile file copy "$SIZE")"
	pages -s 2 fill out check
}

file_below_is_untouched() {
	header below
	area file
	pages -s 2 fill out check
	gone file
	cmp file below
	equal "mode and size" "600 4096" "$(stat -c "%a %s" file)"
}

only_root_reads() {
	chmod 755 .
	header file
	gives OK mnt mount file file
	if said=$(setpriv --reuid 1000 --regid 1000 --clear-groups head -c 10 file 2>&1); then
		fail "an ordinary user reads it"
	fi
	[[ $said == *denied* ]] || fail "an ordinary user is told: $said"
}

other_sizes_read_right() {
	local last size
	# The smallest that swapon takes, an odd one, and the largest.
	for last in 10 12345 $(((1 << 32) / 4 - 1)); do
		header file last_page="$last"
		cp file copy
		size=$(((last + 1) * PAGE))
		gives OK mnt mount file file
		equal "size" "$size" "$(stat -c %s file)"
		equal "what cannot be read right" "" \
			"$(onefile file copy "$size" | grep '^\(read\|seek\).* wrong' || true)"
		gives OK mnt umount file
	done
}

promise "mounted: header, zeros, and every change refused" mounted_only
promise "swapped on: the same" swapped_on
promise "the ghost file below stays as it was" file_below_is_untouched
promise "only root reads it" only_root_reads
promise "files of any size end where their header says" other_sizes_read_right
finish

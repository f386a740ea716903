#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What is no ghost file is refused with a fitting error and one line that says
# why, through the log or, where the caller asks for it, to the caller.

. "$(dirname "$0")/lib.sh"

# refused ERROR REASON SOURCE [TARGET]
refused() {
	[[ -e ${4:-target} ]] || touch target
	gives_reason "$1" "$2" mnt mount "$3" "${4:-target}"
	# The same through fsopen(2): to the caller, and not to the log.
	mark_log
	local said
	said=$(mnt fsmount "$3" "${4:-target}")
	[[ $said =~ ^"e ghostswap: "[^$newline]*($2)[^$newline]*$newline$1$ ]] ||
		fail "fsmount of $3 says: $said"
	equal "lines in the log" "" "$(log_since | grep ghostswap: || true)"
}

headers() {
	header file "$2"
	refused "$1" "$3" file
}

lengths() {
	header file length=4095
	refused EINVAL "4096|page" file
	: >empty
	chmod 600 empty
	refused EINVAL "4096|page" empty
	# A real swapfile, which may be meant to be used as such.
	truncate -s 1M swapfile
	chmod 600 swapfile
	mkswap -q swapfile
	refused EINVAL "swapon|backing" swapfile
	header file length=4097
	refused EINVAL "4096|page" file
}

no_files() {
	mkdir directory
	mkfifo fifo
	chmod 700 directory
	chmod 600 fifo
	refused ENOENT "" missing
	refused EISDIR "director" directory
	refused EINVAL "regular file|device" fifo
	refused EINVAL "regular file|device" /dev/null
}

# A device may be one, see test_fstab_is_all_it_takes.sh. The same is asked of it, but that the group
# disk may use it.
devices() {
	local disk
	truncate -s 4K empty
	refused EINVAL "no swap header" "$(losetup --find --show empty)"
	truncate -s 1M swapfile
	mkswap -q swapfile
	refused EINVAL "swapon|backing" "$(losetup --find --show swapfile)"
	truncate -s 1K short
	refused EINVAL "4096|page" "$(losetup --find --show short)"
	header file
	disk=$(losetup --find --show file)
	afterwards chmod 600 "$disk"
	chmod 664 "$disk"
	refused EPERM "root|owner|mode|0600|permission" "$disk"
	chmod 660 "$disk"
	gives OK mnt mount "$disk" target
	# By another name of the same.
	cp -a "$disk" node
	touch other
	refused EBUSY "mounted" node other
	gives OK mnt umount target
	# It is only read.
	header file2
	gives OK mnt mount "$(losetup --read-only --find --show file2)" target
	gives OK mnt swapon target
	pages -s 1 fill out check
}

# busybox makes a loop device, and lets it go if the mount is refused.
busybox_lets_go() {
	header file magic=SWAPSPACE3
	! busybox mount -t ghostswap file file || fail "busybox mounted it"
	until_true "no loop device is left" 5 no_loops
	rm file
	header file
	quiet busybox mount -t ghostswap file file
	quiet busybox umount -l file
	until_true "no loop device is left" 5 no_loops
}

wrong_owner() { # COMMAND...: run on a good file
	rm -f file
	header file
	"$@" file
	refused EPERM "root|owner|mode|0600|permission" file
}

others() {
	wrong_owner chown 1000
	wrong_owner chmod 640
	wrong_owner chmod 604
	wrong_owner chmod 620
	wrong_owner chmod 602
	wrong_owner chmod 611
	rm file
	header file
	chmod 400 file
	gives OK mnt mount file target
}

bad_targets() {
	header file
	mkdir directory
	gives ENOTDIR mnt mount file directory
	gives ENOENT mnt mount file nowhere
	touch target
	gives OK mnt mount file target
}

no_source() {
	touch target
	gives_reason EINVAL "source" mnt mount "" target
}

promise "no magic" headers EINVAL magic=SWAPSPACE3 "no swap header"
promise "the magic of before 2.1" headers EINVAL magic=SWAP-SPACE "no swap header"
promise "version 0" headers EINVAL version=0 "version.* 0"
promise "version 2" headers EINVAL version=2 "version.* 2"
promise "the other endianness" headers EINVAL swap_bytes=1 "byte order|endian"
promise "last_page 0" headers EINVAL last_page=0 "last_page.* 0"
promise "last_page beyond what the kernel takes" headers EFBIG last_page=4294967295 "last_page.*4294967295"
promise "bad pages" headers EINVAL bad=1 "bad pages.* 1"
promise "a source that is too short or too long" lengths
promise "a source that is missing, a directory, a pipe, a device" no_files
promise "a block device that is no ghost file, or is one already" devices
promise "busybox' loop device goes with a mount that is refused, or lazily unmounted" busybox_lets_go
promise "a source that is not root's alone" others
promise "a target that is a directory, or missing" bad_targets
promise "no source at all" no_source
finish

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What mkswap made is a store, whatever it lies on; it has no other user then, and
# afterwards it is as before. All else is refused with one reason.

. "$(dirname "$0")/lib.sh"

make_store() { # KIND: sets $store
	if [[ $1 == device ]]; then
		disk disk.image 16M store
	else
		disk_filesystem "$1"
		store=$work/$1/swapfile
		swapfile "$store" 16M
	fi
}

# Plain swap again, as swapon(8) would have it.
swaps_on_alone() { # STORE
	gives OK mnt swapon "$1"
	pages -s 2 fill out check >/dev/null
	gives OK mnt swapoff "$1"
}

takes_pages() { # KIND
	local store
	make_store "$1"
	area file 1G "limit=64M,backing=$store"
	equal "path" "$store" "$(store_stat file 0 path)"
	# 16 MiB, less the header's page.
	equal "size" $((7 << 21)) "$(store_stat file 0 size_bytes)"
	start_in_store -s 6 -k tr fill out hold check
	holds "pages in the store" "$(stat_of file redirected_pages) > 1400"
	equal "bytes used" "$(store_stat file 0 used_bytes)" \
		"$((($(segments_of file 0) - $(store_stat file 0 free_segments)) << 21))"
	ends_well
	gone file
	swaps_on_alone "$store"
}

has_no_other_user() { # KIND
	local store
	make_store "$1"
	area file 1G "limit=64M,backing=$store"
	gives EBUSY mnt swapon "$store"
	gives ETXTBSY mnt write "$store" text
	header other
	gives_reason EBUSY "$store.*in use" mnt mount other other "backing=$store"
	if [[ $1 != device ]]; then
		gives ETXTBSY mnt truncate "$store"
		gives EPERM mnt unlink "$store"
		gives EBUSY mnt umount "$1"
	fi
	# Swapped on or not does not matter.
	gives OK mnt swapoff file
	gives EBUSY mnt swapon "$store"
	gives OK mnt umount file

	gives OK mnt swapon "$store"
	gives OK mnt swapoff "$store"
	if [[ $1 != device ]]; then
		gives OK mnt truncate "$store"
		gives OK mnt unlink "$store"
		gives OK mnt umount "$1"
	fi
}

# refused ERROR REASON PATH: by each way, with one line in the log; and a pool
# that is there is as before.
refused() {
	local stores options
	stores=$(stores_of file) options=$(options_of file)
	gives_reason "$1" "$3.*($2)" mnt mount new new "backing=$3"
	gives_reason "$1" "$3.*($2)" mnt remount file "backing=$3"
	gives_reason "$1" "$3.*($2)" tell file add_backing "$3"
	equal "stores" "$stores" "$(stores_of file)"
	equal "options" "$options" "$(options_of file)"
}

two_files() {
	area file 1G limit=64M
	header new
}

no_file_for_it() {
	two_files
	refused ENOENT "not found" "$work/nonesuch"
	refused ENOENT "not found" "$work/file/nonesuch"
	refused EINVAL "neither" "$work"
	refused EINVAL "neither" /dev/null
	mkfifo fifo
	refused EINVAL "neither" "$work/fifo"
}

no_swap_header() {
	two_files
	disk disk.image 16M
	header disk.image magic=nonesuch size=16M length=16M
	refused EINVAL "header" "$disk"
	header disk.image version=2 size=16M length=16M
	refused EINVAL "header" "$disk"
	header disk.image bad=1 size=16M length=16M
	refused EINVAL "header" "$disk"
	header disk.image size=32M length=16M
	refused EINVAL "shorter" "$disk"
	header disk.image size=16M length=16M
	gives OK tell file add_backing "$disk"
}

too_small() {
	two_files
	disk disk.image 4M
	refused EINVAL "8 MiB" "$disk"
}

ghost_files() {
	local reason="this module|shorter|smaller|swapfile"
	two_files
	header ghost size=16M
	refused EINVAL "$reason" "$work/ghost"
	header mounted size=16M
	gives OK mnt mount mounted mounted
	refused EINVAL "$reason" "$work/mounted"
	# Its own, too.
	refused EINVAL "$reason" "$work/file"
}

no_place_for_swap() {
	two_files
	header tmpfs.swap size=16M length=16M
	refused EINVAL "filesystem" "$work/tmpfs.swap"
	disk_filesystem ext4
	header ext4/holes size=16M length=16M
	refused EINVAL "holes|swapfile" "$work/ext4/holes"
}

# All of it lies in the one zone that is written in any order, so it would do; but
# such zones are not looked for, as swapon does not.
on_a_zoned_device() {
	two_files
	header with_header size=16M
	memory_disk zoned=1 zone_size=64 zone_nr_conv=1
	cat with_header >"$disk"
	refused EINVAL "zoned" "$disk"
	gives EINVAL mnt swapon "$disk"

	# The same without zones is a store.
	memory_disk
	cat with_header >"$disk"
	gives OK tell file add_backing "$disk"
}

encrypted_by_its_filesystem() {
	local key
	two_files
	disk_filesystem ext4 -O encrypt
	mkdir ext4/private
	key=$(head -c 64 /dev/urandom | xfs_io -c add_enckey ext4)
	xfs_io -c "set_encpolicy -v 2 ${key##* }" ext4/private
	swapfile ext4/private/swapfile 16M
	refused EINVAL "encrypted" "$work/ext4/private/swapfile"
	gives EINVAL mnt swapon ext4/private/swapfile

	# Another one there is a store.
	swapfile ext4/swapfile 16M
	gives OK tell file add_backing "$work/ext4/swapfile"
}

in_use() {
	two_files
	disk disk.image 16M
	gives OK mnt swapon "$disk"
	refused EBUSY "in use" "$disk"
	gives OK mnt swapoff "$disk"

	disk_filesystem ext4
	swapfile ext4/swapfile 16M
	gives OK mnt swapon ext4/swapfile
	refused EBUSY "in use" "$work/ext4/swapfile"
	gives OK mnt swapoff ext4/swapfile

	header other
	gives OK mnt mount other other "backing=$work/ext4/swapfile"
	refused EBUSY "in use" "$work/ext4/swapfile"
}

read_only() {
	two_files
	disk_filesystem ext4
	swapfile ext4/swapfile 16M
	mount -o remount,ro ext4
	refused EROFS "read-only" "$work/ext4/swapfile"
}

# None of the stores that were fine is kept by a mount that fails.
all_or_none() {
	disk one.image 16M
	header file
	gives_reason ENOENT nonesuch mnt mount file file "backing=$disk,backing=$work/nonesuch"
	swaps_on_alone "$disk"
	gives OK mnt mount file file "backing=$disk"
	gives ENOENT mnt remount file "limit=5M,backing=$work/nonesuch"
	holds "limit" "$(stat_of file limit_bytes) != 5 << 20"
}

# The ninth has its turn when another is gone.
up_to_eight() {
	local i paths=() options=
	disk_filesystem ext4
	for i in {0..8}; do
		paths+=("$work/ext4/$i")
		swapfile "ext4/$i" 10M
		options+=,backing=$work/ext4/$i
	done
	header new
	gives_reason ENOSPC "ext4/8" mnt mount new new "${options#,}"

	area file 1G "limit=64M${options%",backing=$work/ext4/6"*}"
	gives OK mnt remount file "backing=${paths[6]}"
	gives OK tell file add_backing "${paths[7]}"
	equal "stores" "$(printf '%s\n' "${paths[@]:0:8}")" "$(stores_of file)"
	gives_reason ENOSPC "${paths[8]}" mnt remount file "backing=${paths[8]}"
	gives_reason ENOSPC "${paths[8]}" tell file add_backing "${paths[8]}"

	start_in_store -s 8 -k r fill out hold check
	gives OK tell file remove_backing "${paths[2]}"
	gives OK tell file add_backing "${paths[8]}"
	equal "number of stores" 8 "$(stores_of file | wc -l)"
	release
}

at_run_time() {
	local stores
	disk one.image 16M stores
	disk two.image 16M
	area file 1G limit=64M
	equal "stores" "" "$(stores_of file)"
	gives OK tell file add_backing "$stores"
	gives OK mnt remount file "backing=$disk"
	stores+=$newline$disk
	equal "stores" "$stores" "$(stores_of file)"
	[[ $(options_of file) == *,backing=${stores%"$newline"*},backing=$disk* ]] ||
		fail "/proc/mounts shows $(options_of file)"

	start_in_store -s 4 -k tr fill out hold check
	gives OK mnt remount file "nobacking=$disk"
	gives OK tell file remove_backing "${stores%"$newline"*}"
	is_removed file "$disk"
	equal "stores" "" "$(stores_of file)"
	equal "pages in stores" 0 "$(stat_of file redirected_pages)"
	[[ $(options_of file) != *backing* ]] || fail "/proc/mounts shows $(options_of file)"
	swaps_on_alone "$disk"
	release
	# It is no store any more.
	[[ $(mnt remount file "nobacking=$disk") != OK ]] || fail "remount removed it twice"
	[[ $(tell file remove_backing "$disk") != OK ]] || fail "it was removed twice"
}

# What /proc/mounts shows can be given again, to a mount that is there or to one
# that is not.
shown_is_in_effect() {
	local options
	area_with_store 16M limit=64M,encrypt=off
	options=$(options_of file)
	[[ ,$options, == *,backing=$disk,* && ,$options, == *,encrypt=off,* ]] ||
		fail "/proc/mounts shows $options"
	start_in_store -s 4 -k tr fill out hold check
	quiet mount -o "remount,$options" file
	equal "options" "$options" "$(options_of file)"
	equal "stores" "$disk" "$(stores_of file)"
	holds "pages in the store" "$(stat_of file redirected_pages) > 900"
	release
	gone file
	quiet mount -t ghostswap -o "$options" file file
	equal "options again" "$options" "$(options_of file)"
	equal "stores again" "$disk" "$(stores_of file)"
}

encryption_is_chosen_once() {
	header file
	gives OK mnt mount file file encrypt=on
	[[ $(options_of file) != *encrypt* ]] || fail "/proc/mounts shows $(options_of file)"
	gives_reason EINVAL encrypt mnt remount file encrypt=off
	gives OK mnt remount file encrypt=on
	gives_reason EINVAL encrypt mnt remount file encrypt=aes-gcm
	gives OK mnt umount file
	gives OK mnt mount file file encrypt=chacha20-poly1305
	[[ ,$(options_of file), == *,encrypt=chacha20-poly1305,* ]] || fail "/proc/mounts shows $(options_of file)"
	gives OK mnt umount file
	gives_reason EINVAL encrypt mnt mount file file encrypt=maybe
}

# The store is the pool's, not that of the mount that brought it.
of_the_whole_pool() {
	disk disk.image 16M
	area first 1G pool=both,limit=64M
	header second
	gives_reason EINVAL "${disk##*/}" mnt mount second second "pool=both,backing=$disk"
	gives OK mnt mount second second pool=both
	gives OK mnt remount second "backing=$disk"
	equal "stores of the first" "$disk" "$(stores_of first)"
	start pages -s 4 -k tr fill out hold check
	write_back first
	gives OK mnt umount second
	equal "stores of the first" "$disk" "$(stores_of first)"
	gives EBUSY mnt swapon "$disk"
	release
	gone first
	swaps_on_alone "$disk"
}

for kind in device ext4 xfs btrfs; do
	promise "a store of kind $kind takes pages, and is plain swap afterwards" takes_pages "$kind"
done
for kind in device ext4; do
	promise "a store of kind $kind has no other user, and is not changed" has_no_other_user "$kind"
done
promise "what is no file or disk is refused" no_file_for_it
promise "what mkswap did not make is refused" no_swap_header
promise "what is smaller than 8 MiB is refused" too_small
promise "ghost files, mounted or not, are refused" ghost_files
promise "files with holes, or on a filesystem without disk, are refused" no_place_for_swap
promise "zoned devices are refused" on_a_zoned_device
promise "files that their filesystem encrypts are refused" encrypted_by_its_filesystem
promise "what is swapped on or another pool's store is refused" in_use
promise "what can only be read is refused" read_only
promise "a mount or remount that fails keeps no store and changes nothing" all_or_none
promise "a pool has eight stores, and not a ninth" up_to_eight
promise "stores come and go by sysfs and by remount" at_run_time
promise "the options that are shown change nothing, and can be given again" shown_is_in_effect
promise "encryption is chosen when the pool is made" encryption_is_chosen_once
promise "a store is its pool's, whichever mount brought it" of_the_whole_pool
finish

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Any bytes, in headers, options, files of sysfs and on the disk of a store:
# they are refused with one reason, or do what they say; and each page comes back as it
# was, or not at all. For GHOSTSWAP_SECONDS in all (10 if not set); what is drawn at
# random begins with GHOSTSWAP_SEED.
#
# What changes the disk does not know the key. With encrypt=off this is about accidents: an
# attacker that makes new checksums as well can make pages.

. "$(dirname "$0")/lib.sh"

SEED=${GHOSTSWAP_SEED:-1}
SHARE=$(((${GHOSTSWAP_SECONDS:-10} + 4) / 5))

# The kernel would run modprobe for every compressor that it does not have.
no_modprobe() {
	put_for_now /proc/sys/kernel/modprobe ""
}

fuzz_for_a_while() { # ARGUMENT...
	local said
	# It says something itself, to see all that was said before.
	put_for_now /proc/sys/kernel/printk_devkmsg on
	said=$(fuzz -s "$SHARE" -i "$SEED" "$@")
	note "$said"
}

headers() {
	touch target
	fuzz_for_a_while headers file target
}

options() {
	local second
	disk second.image 8M second
	disk first.image 8M
	header file
	touch target
	# It loads what there is to load.
	gives OK mnt mount file target "comp=zstd,backing=$disk"
	gives OK mnt umount target
	no_modprobe
	fuzz_for_a_while -w "$disk" -w "$second" options file target
}

# What is given to a pool that has pages, meanwhile.
with_pages() { # COMMAND...
	local first second
	disk first.image 16M first
	disk second.image 16M second
	area file 1G "limit=3M,backing=$first"
	no_modprobe
	cgroup tight memory.high=4M
	pages -g tight -s 8 -k tttrs fill churn check >said &
	until_true "pages are out" 60 uses file 1000
	"$@"
	gives OK mnt remount file limit=16M
	kill -TERM $!
	wait $! || fail "a page was lost"
	ends_empty file
}

remounts() {
	fuzz_for_a_while -w "$first" -w "$second" remounts file
}

files() {
	local pool
	find_pool pool file
	# Not what gives up the store: a page would be lost. It reads its path as the others do.
	fuzz_for_a_while -w "$first" -w "$second" files \
		"$SYSFS/$pool"/{writeback,{add,remove,reopen}_backing} \
		"$SYSFS/$pool"/{writeback,{add,remove,reopen}_backing} \
		"$SYSFS/$pool"/[!g]* "$SYSFS/$pool"/backing0/*
}

# One of the things that read what was damaged, or move it, or write over it.
something() {
	case $((RANDOM % 6)) in
	0) ;;
	1) gives OK mnt swapoff file && gives OK mnt swapon file ;;
	2) [[ $(tell file remove_backing "$disk") =~ ^(OK|EIO|ENOSPC)$ ]] ;;
	3) gives OK tell file add_backing "$second" && tell file remove_backing "$disk" >/dev/null ;;
	# What is written then finds a store in which there is little room.
	*) pages -i 2 -s 4 -k r fill out check >/dev/null ;;
	esac
}

damaged() { # on|off
	local round=0 lost=0 failed=0 now kind cache second end=$((SECONDS + SHARE))
	while ((SECONDS < end || round == 0)); do
		disk second.image 16M second
		# Not shared memory: what is lost of that, the kernel warns of when it is given back.
		kind=(anon huge) cache=(limit=3M limit=64M "cache=off,limit=3M")
		area_with_store 16M "${cache[RANDOM % 3]},encrypt=$1"
		start_in_store -i 1 -m "${kind[RANDOM % 2]}" -s 6 -k tttrr fill out hold check \
			rewrite:2 out hold keep:$((RANDOM % 3 + 1)) hold lost check fill out hold lost check
		cp disk.image old.image
		go_on
		write_back file
		damage disk.image old.image "$RANDOM"
		go_on
		something
		go_on
		now=$(said_number lost)
		if [[ -n $(stores_of file) ]]; then
			damage disk.image old.image "$RANDOM"
		fi
		release
		lost=$((lost + now + $(said_number lost)))
		failed=$((failed + $(stat_of file failed_loads)))
		ends_empty file "$(stat_of file failed_loads)"
		gone file
		losetup --detach-all
		rm ./*.image
		round=$((round + 1))
	done
	note "$round disks, $lost pages lost, $failed failed loads"
	holds "lost pages" "$lost <= $failed"
}

promise "any header is mounted as what it says, or refused with one reason" headers
promise "so are any options" options
promise "any options given to a pool that has pages lose none" with_pages remounts
promise "nor does anything that is written to the files of a pool and its stores" with_pages files
promise "what is changed on an encrypted disk is an error, and never another page" damaged on
promise "also with ChaCha20-Poly1305" damaged chacha20-poly1305
promise "also without encryption" damaged off
finish

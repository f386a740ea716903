#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The disk shows no content, unless told so; and what is changed there, or put there
# that was there before, is noticed by the reader of that page, and by no other.

. "$(dirname "$0")/lib.sh"

# Every page but zeros begins with its stamp: generation 1, and these bytes.
SEED=$((0x74736f67)) # "gost"
STAMP='\x01\x00\x00\x00gost'

# Where pages begin in a disk's content.
stamps() { # IMAGE
	/usr/bin/grep -obUaP "$STAMP" "$1" | cut -d : -f 1 || true
}

# What may be given as encrypt= beside on and off.
CIPHERS=(aes-gcm chacha20-poly1305)

# The first segment is full, so that it is read from the disk; sets $first to where
# it begins in the image.
sealed() { # IMAGE
	local differs
	holds "sealed segments" "$(store_stat file 0 sealed_segments) > 0"
	differs=$(/usr/bin/cmp -i 4096:0 "$1" /dev/zero || true)
	[[ $differs =~ (byte|char)\ ([0-9]+), ]] || fail "nothing is on the disk: $differs"
	first=$(((4096 + BASH_REMATCH[2] - 1) / 4096 * 4096))
}

shows() { # ENCRYPT: sets $found and $written, in pages
	disk "$1.image" 32M
	area "$1" 1G "limit=64M,encrypt=$1,backing=$disk"
	start pages -i "$SEED" -s 6 -k tr fill out hold check
	write_back "$1"
	written=$(stat_of "$1" redirected_pages)
	found=$(stamps "$1.image" | wc -l)
	holds "pages in the store" "$written > 1400"
	release
	gone "$1"
}

no_content() {
	local found written cipher
	for cipher in on "${CIPHERS[@]}"; do
		shows "$cipher"
		equal "pages seen on the disk with $cipher" 0 "$found"
	done
	# By default as well.
	area file 1G "limit=64M,backing=$disk"
	start_in_store -i "$SEED" -s 6 -k tr fill out hold check
	equal "pages seen on the disk" 0 "$(stamps on.image | wc -l)"
	release
}

content_if_told_so() {
	local found written
	shows off
	# A page may have its stamp more than once.
	holds "stamps seen on the disk" "$found >= $written"
}

# From now on the kernel has no gcm(aes), and loads none.
without_gcm() {
	local module
	{ kernel_has 'CRYPTO_\(AES_NI_INTEL\|GHASH_ARM64_CE\)' m && kernel_has CRYPTO_AES m; } ||
		skip "this kernel cannot be without gcm(aes)"
	modprobe=$(</proc/sys/kernel/modprobe)
	put_for_now /proc/sys/kernel/modprobe ""
	for module in aesni_intel ghash_ce gcm aes; do
		[[ -e /sys/module/$module ]] || continue
		rmmod "$module"
		afterwards modprobe "$module"
	done
}

# refused_for_cipher COMMAND...: with one line, and without a store.
refused_for_cipher() {
	gives_reason ENOENT 'encrypt=aes-gcm: the kernel has no such cipher' "$@"
	gives OK mnt swapon "$disk"
	gives OK mnt swapoff "$disk"
}

# The disk gets nothing rather than what can be read.
nothing_without_cipher() {
	local modprobe
	disk disk.image 16M
	header file
	gives OK mnt mount file file "encrypt=aes-gcm,backing=$disk"
	equal "cipher" aes-gcm "$(store_stat file 0 cipher)"
	gives OK mnt umount file
	without_gcm

	refused_for_cipher mnt mount file file "encrypt=aes-gcm,backing=$disk"
	# What is not named is what there is.
	gives OK mnt mount file file "backing=$disk"
	equal "cipher" chacha20-poly1305 "$(store_stat file 0 cipher)"
	gives OK mnt umount file
	gives OK mnt mount file file encrypt=aes-gcm
	refused_for_cipher mnt remount file "limit=5M,backing=$disk"
	refused_for_cipher tell file add_backing "$disk"
	equal "stores" "" "$(stores_of file)"
	holds "limit" "$(stat_of file limit_bytes) != 5 << 20"
	content_if_told_so

	put /proc/sys/kernel/modprobe "$modprobe"
	# One that is named after what is asked for is loaded by the kernel.
	kernel_has 'CRYPTO_G\(CM\|HASH_ARM64_CE\)' m || modprobe aesni_intel
	gives OK mnt remount file "backing=$disk"
}

# As the CPU's instructions are, which are also what the kernel goes by.
faster_one() {
	local expected=chacha20-poly1305 other=aes-gcm
	if grep -qw aes /proc/cpuinfo && grep -qwE 'pclmulqdq|pmull' /proc/cpuinfo; then
		expected=aes-gcm other=chacha20-poly1305
	fi
	area_with_store 16M
	equal "cipher" "$expected" "$(store_stat file 0 cipher)"
	gone file
	area_with_store 16M encrypt=off
	equal "cipher" none "$(store_stat file 0 cipher)"
	gone file
	# The other one is there, too. So it was the CPU that decided.
	[[ $other == chacha20-poly1305 ]] || kernel_has CRYPTO_AES y ||
		skip "with this CPU, this kernel has one cipher only"
	area_with_store 16M "encrypt=$other"
	equal "cipher" "$other" "$(store_stat file 0 cipher)"
}

# The same pages in the same order are not the same on the disk a second time.
never_the_same() {
	local first round differ
	for round in 1 2; do
		disk "$round.image" 16M
		area file 1G "limit=64M,backing=$disk"
		start_in_store -i "$SEED" -s 6 -k r fill out hold
		sealed "$round.image"
		release
		gone file
	done
	# Of random bytes one in 256 is the same by chance.
	differ=$({ /usr/bin/cmp -l -i "$first" -n 65536 1.image 2.image || true; } | wc -l)
	holds "bytes that differ" "$differ > 65536 * 98 / 100"
}

# One page in a block does not show where it ends.
no_length() {
	local first
	area_with_store 32M
	start pages -s 2 -k t fill out hold check
	gives OK tell file writeback 1
	equal "bytes written" "$PAGE" "$(store_stat file 0 written_bytes)"
	sealed disk.image
	equal "rows of zeros in the block" 0 "$(dd if=disk.image bs=4096 skip=$((first / PAGE)) count=1 \
		status=none | /usr/bin/grep -caP '\x00{16}' || true)"
	release
}

flip() { # IMAGE OFFSET
	local byte
	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	# shellcheck disable=SC2059 # a byte, as printf has it
	printf "\\x$(printf %x $((byte ^ 255)))" |
		dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

zero_block() { # IMAGE OFFSET
	dd if=/dev/zero of="$1" bs=4096 seek=$(($2 / 4096)) count=1 conv=notrunc status=none
}

# Incompressible pages take 4,112 bytes each, after 144 at the beginning of a segment:
# the byte is in the third, and the block has parts of two.
damaged() { # flip|zero_block OFFSET LOST ENCRYPT
	local first
	area_with_store 32M "limit=64M,encrypt=$4"
	start_in_store -s 6 -k r fill out hold lost hold check out check
	sealed disk.image
	"$1" disk.image $((first + $2))
	go_on
	equal "pages lost" "$3" "$(said_number lost)"
	equal "failed loads" "$3" "$(stat_of file failed_loads)"
	# All others are as they were, and the store is as good as before.
	write_back file
	release
	ends_empty file "$3"
}

# Another process whose pages are in the same store sees nothing of it.
only_its_reader() {
	local first
	area_with_store 32M
	start_in_store -i 1 -s 6 -k r fill out hold lost check
	sealed disk.image
	start_second -i 2 -s 4 -k r fill out hold check
	write_back file
	flip disk.image $((first + 12388))
	release_second
	equal "failed loads of the other" 0 "$(stat_of file failed_loads)"
	go_on
	equal "pages lost" 1 "$(said_number lost)"
	equal "failed loads" 1 "$(stat_of file failed_loads)"
}

# A reader that is not prepared for it is killed.
killed() {
	local first status=0
	area_with_store 32M
	start_in_store -s 6 -k r fill out hold check
	sealed disk.image
	flip disk.image $((first + 12388))
	let_go
	wait "$held_pid" || status=$?
	equal "status" $((128 + $(kill -l BUS))) "$status"
	pages -s 4 -k tr fill out check >/dev/null
}

# Neither swapoff nor the end of a store waits for what cannot be read.
swapoff_ends() {
	local first
	area_with_store 32M
	start_in_store -s 6 -k r fill out hold lost check
	sealed disk.image
	flip disk.image $((first + 12388))
	gives OK mnt swapoff file
	ends_empty file 1
	go_on
	equal "pages lost" 1 "$(said_number lost)"
	gives OK mnt umount file
}

# put_blocks FROM BLOCKS: the blocks of image FROM become those of the disk, so many before their
# place. The first page is the swap header, and stays.
put_blocks() {
	dd if="$1" of=disk.image bs=4096 skip=$((1 + $2)) seek=1 conv=notrunc status=none
}

# put_segments FROM: each of the three segments of image FROM in the place of the one before.
put_segments() {
	local to
	for to in 0 1 2; do
		dd if="$1" of=disk.image bs=4096 skip=$((1 + (to + 1) % 3 * 512)) \
			seek=$((1 + to * 512)) count=512 conv=notrunc status=none
	done
}

# put_stretches FROM: eight blocks of image FROM become those of the disk, the next eight stay, and
# so on. What is at a seam is half of this time, and half of that.
put_stretches() {
	local at
	for ((at = 1; at < 1 + 3 * 512; at += 16)); do
		dd if="$1" of=disk.image bs=4096 skip="$at" seek="$at" count=8 conv=notrunc status=none
	done
}

# each_way ENCRYPT WAY...: pages take two of the three segments of a store. Then all of its blocks
# become others, in a way that may use the images of the last time, and of those before. Each time
# the pages are written anew, to the segments that come next: to the same each third time, and then
# many are in the same places of these. All pages are lost then, or all but those that a way leaves:
# no page is another one.
each_way() {
	local way there lost verbs=()
	for way in "${@:2}"; do
		verbs+=(fill out hold lost hold check free)
	done
	area_with_store 8M "limit=64M,encrypt=$1"
	equal "segments" 3 "$(segments_of file 0)"
	tee last.image second_last.image <disk.image >third_last.image
	start pages -s 4 -k tr "${verbs[@]}" hold
	for way in "${@:2}"; do
		write_back file
		there=$(stat_of file redirected_pages)
		holds "pages in the store, $way" "$there > 900"
		cp disk.image now.image
		"$way"
		go_on
		lost=$(said_number lost)
		if [[ $way == *_in_stretches ]]; then
			holds "pages lost, $way" "$lost > $there / 4 && $lost < $there"
		else
			equal "pages lost, $way" "$there" "$lost"
		fi
		mv second_last.image third_last.image
		mv last.image second_last.image
		mv now.image last.image
		go_on
	done
	release
	ends_empty file "$(stat_of file failed_loads)"
}

of_the_last_time() { put_blocks last.image 0; }
of_the_second_last_time() { put_blocks second_last.image 0; }
of_the_third_last_time() { put_blocks third_last.image 0; }
old_in_stretches() { put_stretches third_last.image; }
old_and_further() { put_blocks last.image 1; }
old_and_of_another_segment() { put_segments last.image; }
further() { put_blocks now.image 1; }
of_another_segment() { put_segments now.image; }

WAYS=(of_the_last_time of_the_last_time of_the_last_time of_the_third_last_time
	of_the_third_last_time of_the_second_last_time old_in_stretches old_and_further
	old_and_of_another_segment further of_another_segment)

# The old blocks are of a store that was removed, and is there again: at the same places,
# for the log begins anew.
of_an_earlier_life() { # ENCRYPT
	local there
	area_with_store 8M "limit=64M,encrypt=$1"
	start_in_store -s 4 -k tr fill out hold free hold fill out hold lost hold check
	holds "pages in the store" "$(stat_of file redirected_pages) > 900"
	cp disk.image old.image
	go_on
	until_true "the store is empty" 10 is_empty file 0
	gives OK tell file remove_backing "$disk"
	gives OK tell file add_backing "$disk"
	go_on
	write_back file
	there=$(stat_of file redirected_pages)
	holds "pages in the store" "$there > 900"
	put_blocks old.image 0
	go_on
	equal "pages lost" "$there" "$(said_number lost)"
	release
	ends_empty file "$there"
}

# What takes whole segments takes nothing that is old: neither what removes a store, nor swapoff.
# The fourth time, pages are where they were the first time.
not_taken_back() { # ENCRYPT
	local there
	area_with_store 8M "limit=64M,encrypt=$1"
	start_in_store -s 4 -k tr fill out hold free fill out hold free fill out hold free fill out hold \
		lost check
	cp disk.image old.image
	for _ in 2 3 4; do
		go_on
		write_back file
	done
	there=$(stat_of file redirected_pages)
	holds "pages in the store" "$there > 900"
	put_blocks old.image 0
	gives EIO tell file remove_backing "$disk"
	equal "pages in the store" "$there" "$(stat_of file redirected_pages)"
	gives OK mnt swapoff file
	ends_empty file "$there"
	release
	equal "pages lost" "$there" "$(said_number lost)"
	gives OK mnt umount file
}

promise "an encrypted store shows no page" no_content
promise "with encrypt=off it shows them" content_if_told_so
promise "without its cipher there is no store, unless with encrypt=off" nothing_without_cipher
promise "the cipher is the one that is faster on this CPU" faster_one
promise "the same page is never the same on the disk" never_the_same
promise "a block does not show where what is in it ends" no_length
for cipher in "${CIPHERS[@]}" off; do
	promise "a flipped byte is noticed by its reader, with encrypt=$cipher" damaged flip 12388 1 "$cipher"
	promise "so is a block of zeros" damaged zero_block 12288 2 "$cipher"
	promise "so are old blocks, in their own places and in others, and blocks that changed places" \
		each_way "$cipher" "${WAYS[@]}"
	promise "so are those of the store before it was removed" of_an_earlier_life "$cipher"
	promise "and neither what removes a store nor swapoff takes them" not_taken_back "$cipher"
done
promise "another process sees nothing of it" only_its_reader
promise "a reader that is not prepared gets SIGBUS" killed
promise "swapoff ends, and says so to the page's process only" swapoff_ends
finish

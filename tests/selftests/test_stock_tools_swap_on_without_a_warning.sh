#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Stock tools make, mount and swap on a ghost file on any filesystem, and show it
# as a person expects.

. "$(dirname "$0")/lib.sh"

filesystem() { # KIND: an empty one at $PWD/KIND
	mkdir "$1"
	case $1 in
	tmpfs)
		mount -t tmpfs tmpfs tmpfs
		;;
	ext4)
		truncate -s 16M ext4.image
		mkfs.ext4 -q -F ext4.image
		mount "$(losetup --find --show ext4.image)" ext4
		;;
	overlay)
		mkdir lower upper scratch
		mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=scratch overlay overlay
		;;
	esac
}

made_by_stock_tools() { # FILE [MKSWAP'S OPTION]...
	truncate -s 64G "$1"
	chmod 600 "$1"
	mkswap "${@:2}" "$1" >/dev/null
	truncate -s 4096 "$1"
}

made_by_mkghost() { # FILE
	quiet mkghost -s 64G "$1"
	equal "size of $1" 4096 "$(stat -c %s "$1")"
	equal "mode of $1" 600 "$(stat -c %a "$1")"
}

swaps_on_quietly() { # MAKER FILE TARGET [busybox]
	local maker=$1 file=$2 target=$3 busybox=${4:-}
	"$maker" "$file"
	[[ -e $target ]] || echo "any other regular file" >"$target"
	mark_log
	# shellcheck disable=SC2086 # it may be no word at all
	quiet $busybox mount -t ghostswap "$file" "$target"
	# shellcheck disable=SC2086 # as above
	quiet $busybox swapon "$target"
	equal "${target##*/} in /proc/swaps" "$PWD/$target file $((64 * 1024 * 1024 - 4)) 0" \
		"$(awk 'NR == 2 { print $1, $2, $3, $4 }' /proc/swaps)"
	pages -s 1 fill out check
	# shellcheck disable=SC2086 # as above
	quiet $busybox swapoff "$target"
	# shellcheck disable=SC2086 # as above
	quiet $busybox umount "$target"
	equal "warnings" "" "$(warnings)"
	rm "$file"
}

every_way_on() { # FILESYSTEM
	filesystem "$1"
	swaps_on_quietly made_by_stock_tools "$1/swap.ghost" "$1/swap.ghost"
	swaps_on_quietly made_by_mkghost "$1/swap.ghost" "$1/other" busybox
	# The tools do the same on every filesystem, so elsewhere the rest is left out.
	[[ $1 == tmpfs ]] || return 0
	swaps_on_quietly made_by_stock_tools "$1/swap.ghost" "$1/other" busybox
	swaps_on_quietly made_by_mkghost "$1/swap.ghost" "$1/swap.ghost"
}

shown_as_expected() {
	local uuid=0b6d4e0f-8c1e-4a56-a1a5-0f3d6f3a8d11
	made_by_stock_tools file -L ghost -U "$uuid"
	mount -t ghostswap -o limit=8M file file
	swapon -p 7 file

	equal "swapon --show" "$work/file file $(((64 << 30) - PAGE)) 0 7" \
		"$(swapon --show=NAME,TYPE,SIZE,USED,PRIO --noheadings --bytes --raw)"
	equal "blkid's type" swap "$(blkid -p -o value -s TYPE file)"
	equal "blkid's label" ghost "$(blkid -p -o value -s LABEL file)"
	equal "blkid's UUID" "$uuid" "$(blkid -p -o value -s UUID file)"
	equal "df" "ghostswap 4096 0 4096 $work/file" \
		"$(df -B4096 --output=fstype,size,used,avail,target file | awk 'END { $1 = $1; print }')"
	equal "stat" "root root 600 regular file $((64 << 30)) 4096" \
		"$(stat -c '%U %G %a %F %s %o' file)"
	holds "blocks that stat shows" "$(stat -c '%b * %B >= %s' file)"
	equal "findmnt" "$work/file ghostswap" "$(findmnt -rno SOURCE,FSTYPE file)"
	hold_open file
	equal "lsof" "REG $((64 << 30)) $work/file" \
		"$(lsof -p "$holder" -a -d 0 | awk 'NR == 2 { print $5, $7, $9 }')"
}

df_shows_use() {
	area file 1G limit=8M
	start pages -s 4 -k r fill out hold
	holds "blocks used that df shows" "$(df -B4096 --output=used file | tail -n 1) == $(used_pages file)"
	holds "pages in use" "$(used_pages file) > 500"
	release
}

discard_does_no_harm() {
	made_by_stock_tools file
	mount -t ghostswap file file
	quiet swapon -d file
	pages -s 2 fill out check rewrite:2 out check
	quiet swapoff file
	quiet swapon --discard=pages -p 3 file
	pages -s 2 fill out free fill out check
}

second_swapon_is_busy() {
	local said
	area file
	gives EBUSY mnt swapon file
	! said=$(swapon file 2>&1) || fail "swapon swapped it on twice"
	[[ $said == *busy* ]] || fail "swapon says: $said"
	equal "areas" 1 "$(stat_of file areas)"
}

for kind in tmpfs ext4 overlay; do
	promise "every maker, tool and target swaps on quietly on $kind" every_way_on "$kind"
done
promise "swapon, blkid, df, stat and lsof show what a person expects" shown_as_expected
promise "df shows what the pool holds" df_shows_use
promise "swapon -d and -p do no harm" discard_does_no_harm
promise "a second swapon finds the file busy" second_swapon_is_busy
finish

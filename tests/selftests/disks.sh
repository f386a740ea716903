# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# The disks that backing stores can be, and what lies on some; sourced by lib.sh. All of
# them are gone after a promise.

# disk FILE SIZE [VARIABLE]: a disk with a swap header, whose content is FILE; sets $disk, and
# the variable.
disk() {
	header "$1" size="$2" length="$2"
	disk=$(losetup --find --show "$1")
	[[ -z ${3:-} ]] || printf -v "$3" %s "$disk"
}

# area_with_store SIZE [OPTIONS]: area "file" with these options, and $disk of that size as its
# store. By default the limit is more than what is stored, so nothing goes there by itself.
area_with_store() {
	disk disk.image "$1"
	area file 1G "${2:-limit=64M},backing=$disk"
}

# reads_of COMMAND...: sets $loads, and $ios, $bytes and $in_vain of the store, to what it came to.
reads_of() {
	loads=$(stat_of file loads) ios=$(store_stat file 0 read_ios)
	bytes=$(store_stat file 0 read_bytes)
	"$@"
	loads=$(($(stat_of file loads) - loads)) ios=$(($(store_stat file 0 read_ios) - ios))
	bytes=$(($(store_stat file 0 read_bytes) - bytes))
	in_vain=$(stat_of file read_in_vain_bytes)
	note "$loads loads, $ios reads of $bytes bytes, $in_vain in vain"
}

# scratch_disk: sets $disk to one of 512 MiB that takes 200 requests a second and
# that is not needed, if the machine has it.
scratch_disk() {
	disk=${GHOSTSWAP_DISK:-}
	[[ -b $disk ]] || skip "no disk in GHOSTSWAP_DISK that may be written over"
	mkswap "$disk" >/dev/null
}

# memory_disk [PARAMETER]...: sets $disk to one whose content is in memory, with these
# parameters of null_blk. There is one at a time.
memory_disk() {
	[[ ! -e /sys/module/null_blk ]] || rmmod null_blk
	modprobe null_blk nr_devices=1 gb=1 memory_backed=1 "$@" ||
		skip "this kernel has no null_blk with ${*:-memory}"
	disk=/dev/nullb0
}

# disk_filesystem ext4|xfs|btrfs [OPTION]...: an empty one at $PWD/KIND, on a disk of its
# own, made by mkfs with these options.
disk_filesystem() {
	local size=300M blocks=()
	# Blocks of a page, or files lie where pages cannot.
	[[ $1 != ext4 ]] || size=128M blocks=(-b 4096)
	mkdir "$1"
	truncate -s "$size" "$1.image"
	"mkfs.$1" -q "${blocks[@]}" "${@:2}" "$1.image"
	mount -t "$1" "$(losetup --find --show "$1.image")" "$1"
}

# swapfile FILE SIZE: without holes, which is all that it needs.
swapfile() {
	: >"$1"
	chmod 600 "$1"
	[[ $1 != *btrfs/* ]] || chattr +C "$1"
	fallocate -l "$2" "$1"
	mkswap "$1" >/dev/null
}

# mapped TABLE...: sets $disk to a device of device mapper on a disk of 32 MiB, which
# does what the table says, with DISK in it filled in.
mapped() {
	have_program dmsetup dmsetup
	[[ -e /dev/mapper/control ]] || skip "this kernel has no device mapper"
	disk disk.image 32M
	below=$disk
	afterwards remove_mapping
	dmsetup create --noudevsync store --table "$(table linear DISK 0)"
	# There is no udev that would give it its name.
	disk=/dev/$(dmsetup info --columns --noheadings -o blkdevname store)
	load_table "$@"
}

remove_mapping() {
	areas_off
	dmsetup remove --noudevsync --retry store
}

table() { # TARGET ARGUMENT...
	local text="0 $((32 * 2048)) $*"
	echo "${text//DISK/$below}"
}

# From now on the device does something else. What is in flight comes to an end first.
load_table() {
	table "$@" | load_lines
}

# loses_a_piece MOST KINDS VERB...: of pages of these kinds, in a store of which 32 blocks cannot be
# read in the end, so many are lost at most.
loses_a_piece() {
	local at=4096 lost
	mapped linear DISK 0
	area file 1G "limit=64M,backing=$disk"
	start_in_store -s 8 -k "$2" fill out hold "${@:3}"
	load_lines <<-END
		0 $at linear $below 0
		$at 256 error
		$((at + 256)) $((32 * 2048 - at - 256)) linear $below $((at + 256))
	END
	release
	lost=$(said_number lost)
	note "$lost pages lost of a piece of 32 blocks"
	holds "pages lost" "$lost >= 31 && $lost <= $1"
	holds "failed loads" "$(stat_of file failed_loads) >= $lost"
}

# As load_table, with the lines of the table on stdin.
load_lines() {
	dmsetup suspend --noflush --nolockfs --noudevsync store
	dmsetup load store
	dmsetup resume --noudevsync store
}

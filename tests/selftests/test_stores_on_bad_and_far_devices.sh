#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Stores on devices that are slow, fail for a while, vanish, or are on another
# machine: nothing hangs, and what was not read wrong is right.

. "$(dirname "$0")/lib.sh"

slow() {
	# For each read and each write, in milliseconds.
	mapped linear DISK 0
	area file 1G "limit=2M,backing=$disk"
	load_table delay DISK 0 50 DISK 0 150
	start_in_store -s 6 -k tttr fill out out hold check
	load_table delay DISK 0 5 DISK 0 5
	ends_well
	gone file
}

# If each page waited for the disk, it would take minutes.
hangs() {
	local begin=${EPOCHREALTIME/./}
	mapped linear DISK 0
	area file 1G "limit=1M,backing=$disk"
	dmsetup suspend --nolockfs --noudevsync store
	start pages -s 4 -k r fill out hold check
	note "1024 pages, of which $(said_number out) fit, took" \
		"$(((${EPOCHREALTIME/./} - begin) / 1000)) ms"
	holds "microseconds" "${EPOCHREALTIME/./} - begin < 30000000"
	holds "stores refused" "$(stat_of file failed_stores_limit) > 100"
	dmsetup resume --noudevsync store
	release
	gone file
}

# A fault that waits for the disk can be killed.
can_be_killed() {
	local begin
	mapped linear DISK 0
	area file 1G "limit=64M,backing=$disk"
	start_in_store -s 4 -k tttr fill out hold check
	dmsetup suspend --noflush --nolockfs --noudevsync store
	let_go
	until_true "it waits for the disk" 20 waits_for_a_page "$held_pid"
	begin=$SECONDS
	kill -KILL "$held_pid"
	until_true "it is gone" 20 is_gone "$held_pid"
	note "after $((SECONDS - begin)) s"
	equal "state of the disk" Suspended "$(dmsetup info --columns --noheadings -o suspended store)"
	dmsetup resume --noudevsync store
	wait "$held_pid" || true
	# What was being read is still in the swap cache.
	gone file
}

# A fault that waits for the disk keeps no other thread from changing what is mapped.
others_map() {
	mapped linear DISK 0
	area file 1G "limit=64M,backing=$disk"
	start_in_store -s 4 -k tttr fill out beside hold check
	dmsetup suspend --noflush --nolockfs --noudevsync store
	let_go
	until_true "it waits for the disk" 20 waits_for_a_page "$held_pid"
	sleep 5
	waits_for_a_page "$held_pid" || fail "it does not wait any more"
	dmsetup resume --noudevsync store
	comes_to_its_end
	note "the slowest change took $(said_number slowest_change) ms"
	holds "milliseconds" "$(said_number slowest_change) < 2500"
	ends_empty file
	gone file
}

waits_for_a_page() {
	[[ $(flags_of "$1") == [DS]* && $(<"/proc/$1/wchan") == *folio* ]]
}

is_gone() {
	[[ $(flags_of "$1") == Z* ]]
}

# flags_of PID: those of its task, and its state.
flags_of() {
	local state=Z flags=0 rest
	# It may be gone.
	read -r _ _ state _ _ _ _ _ flags rest 2>/dev/null <"/proc/$1/stat" || true
	echo "$state $((flags & 0x800 ? 1 : 0))"
}

# What frees memory may take from the reserves on its way to the disk: PF_MEMALLOC. Here a task reads
# what is to be moved elsewhere.
read_with_reserves() {
	local pool mover
	mapped linear DISK 0
	area file 1G "limit=64M,backing=$disk"
	start_in_store -s 2 -k r fill out hold check
	find_pool pool file
	dmsetup suspend --nolockfs --noudevsync store
	mnt write "$SYSFS/$pool/remove_backing" "$disk" >/dev/null &
	mover=$!
	until_true "it waits for the disk" 20 waits_for_the_disk "$mover"
	equal "state, and whether it may" "D 1" "$(flags_of "$mover")"
	dmsetup resume --noudevsync store
	wait "$mover"
	equal "pages in the store" 0 "$(stat_of file redirected_pages)"
	equal "whether this task may" "S 0" "$(flags_of "$held_pid")"
	release
	gone file
}

waits_for_the_disk() {
	[[ $(flags_of "$1") == D* ]]
}

# Pools are mounted, used and taken down while another one waits for its device.
another_pool_is_used() {
	local name
	area other 1G limit=16M
	pages -s 1 -k tr fill out check
	for name in "$SYSFS"/*/* "$SYSFS"/*/backing?/*; do
		[[ ! -f $name || $(stat -c %a "$name") == 200 ]] || read -r _ <"$name"
	done
	gone other
	is_suspended
}

is_suspended() {
	equal "state of the disk" Suspended "$(dmsetup info --columns --noheadings -o suspended store)"
}

has_ended() { # PID
	[[ ! -e /proc/$1 || $(flags_of "$1") == Z* ]]
}

# Until the promise ends, at the latest.
suspend() {
	dmsetup suspend --nolockfs --noudevsync store
	afterwards resume
}

resume() {
	dmsetup resume --noudevsync store
}

hangs_at_umount() {
	local pool writer umounting
	mapped linear DISK 0
	area file 1G "limit=64M,backing=$disk"
	start pages -s 1 -k r fill out hold
	find_pool pool file
	suspend
	mnt write "$SYSFS/$pool/writeback" all >/dev/null &
	writer=$!
	until_true "it waits for the disk" 20 waits_for_the_disk "$writer"
	release
	gives OK mnt swapoff file
	mnt umount file >said.umount &
	umounting=$!
	until_true "umount waits for the disk" 20 waits_for_the_disk "$umounting"
	another_pool_is_used
	sync &
	until_true "sync ends" 20 has_ended $!
	is_suspended
	resume
	wait "$umounting" "$writer"
	equal "what umount gave" OK "$(<said.umount)"
	gives OK mnt swapon "$disk"
	gives OK mnt swapoff "$disk"
}

hangs_at_mount() {
	local mounting joining
	mapped linear DISK 0
	header file
	header second
	header third
	gives OK mnt mount second second pool=second
	suspend
	mnt mount file file "pool=first,backing=$disk" >said.mount &
	mounting=$!
	until_true "mount waits for the disk" 20 waits_for_the_disk "$mounting"
	another_pool_is_used
	# What would join the pool waits for it, and can be ended.
	mnt mount third third pool=first >said.third &
	joining=$!
	until_true "it waits for the pool" 20 waits_for_the_pool "$joining"
	kill -KILL "$joining"
	wait "$joining" || true
	resume
	wait "$mounting"
	equal "what mount gave" OK "$(<said.mount)"
	equal "stores" "$disk" "$(stores_of file)"
	gives OK mnt mount third third pool=first
	gives OK mnt umount third
	gives OK mnt umount second
	gives OK mnt umount file
}

waits_for_the_pool() {
	[[ $(flags_of "$1") == S* && $(<"/proc/$1/wchan") == *wait* ]]
}

# And a worker writes. The disk hangs, and before it is a queue that has room for fewer requests than it
# writes: a loop device keeps each until it is done.
written_with_reserves() {
	local queue writer
	mapped linear DISK 0
	disk=$(losetup --find --show --direct-io=on "$disk")
	afterwards losetup --detach "$disk"
	queue=/sys/block/${disk#/dev/}/queue
	area file 1G "limit=64M,backing=$disk"
	start pages -s 2 -k r fill out hold check
	put "$queue/max_sectors_kb" 4
	suspend
	tell file writeback all >/dev/null &
	writer=$!
	until_true "a worker waits for the disk" 20 a_worker_waits
	equal "state, and whether it may" "D 1" "$found"
	is_suspended
	resume
	wait "$writer"
	holds "pages in the store" "$(stat_of file redirected_pages) > 450"
	ends_well
	gone file
}

# a_worker_waits: of the queue for writes; sets $found to what flags_of says of it.
a_worker_waits() {
	local process name
	for process in /proc/[0-9]*; do
		read -r name 2>/dev/null <"$process/comm" || continue
		[[ $name == kworker/*ghostswap_write ]] || continue
		found=$(flags_of "${process#/proc/}")
		[[ $found != D* ]] || return 0
	done
	return 1
}

# All that it does fails for a while, and then not any more.
fails_for_a_while() {
	mapped linear DISK 0
	area file 1G "limit=64M,backing=$disk"
	start pages -s 8 -k tttr fill out hold check
	# Up for no second, down for many.
	load_table flakey DISK 0 0 60
	tell file writeback 1000 >/dev/null
	holds "write errors" "$(store_stat file 0 write_errors) > 0"
	equal "pages in the store" 0 "$(stat_of file redirected_pages)"
	load_table linear DISK 0
	gives OK tell file remove_backing "$disk"
	gives OK tell file add_backing "$disk"
	write_back file
	holds "pages in the store" "$(stat_of file redirected_pages) > 1500"
	ends_well
	gone file
}

# Writes that are said to be done and are not: the old content is not taken for new.
writes_are_lost() {
	mapped linear DISK 0
	area file 1G "limit=64M,backing=$disk"
	# One life before, so that there is something old.
	start_in_store -s 4 -k r fill out hold
	release
	load_table flakey DISK 0 0 60 1 drop_writes
	start_in_store -s 4 -k r -i 5 fill out hold lost check
	load_table linear DISK 0
	release
	holds "pages lost" "$(said_number lost) > 1000"
	equal "failed loads" "$(said_number lost)" "$(stat_of file failed_loads)"
	gone file
}

vanishes() {
	mapped linear DISK 0
	area file 1G "limit=64M,backing=$disk"
	start pages -s 8 -k tttr fill out hold lost check
	gives OK tell file writeback 1000
	load_table error
	# Only what is there is lost.
	release
	holds "pages lost" "$(said_number lost) >= 1000 && $(said_number lost) <= 1512"
	gone file
}

# A disk of another machine, here of the same one over the loopback network.
far() { # vanishes|hangs|stays
	local server timeout=3
	have_program nbd-client nbd-client
	have_program qemu-nbd qemu-utils
	[[ -b /dev/nbd0 ]] || skip "this kernel has no network block device"
	busybox ip link set lo up
	header far.image size=32M length=32M
	qemu-nbd --format=raw --cache=writeback --persistent --bind=127.0.0.1 far.image &
	server=$!
	afterwards cut_off
	[[ $1 != hangs ]] || timeout=120
	until_true "the server is there" 20 nbd-client 127.0.0.1 /dev/nbd0 -N "" -t "$timeout" \
		>/dev/null
	area file 1G "limit=2M,backing=/dev/nbd0"
	start_in_store -s 8 -k tttr fill out out hold lost check
	case $1 in
	vanishes)
		kill -KILL "$server"
		release
		holds "pages lost" "$(said_number lost) > 500"
		;;
	hangs)
		kill -STOP "$server"
		let_go
		until_true "it waits for the disk" 20 waits_for_a_page "$held_pid"
		kill -KILL "$held_pid"
		until_true "it is gone" 20 is_gone "$held_pid"
		kill -CONT "$server"
		wait "$held_pid" || true
		;;
	stays)
		release
		equal "pages lost" 0 "$(said_number lost)"
		;;
	esac
	gone file
	nbd-client -d /dev/nbd0 >/dev/null || true
}

cut_off() {
	mnt swapoff file >/dev/null
	mnt umount file >/dev/null
	nbd-client -d /dev/nbd0 >/dev/null 2>&1
}

promise "a slow disk keeps no other task from going on" slow
promise "pages that find no room do not all wait for a disk that hangs" hangs
promise "a process that waits for a disk that hangs can be killed" can_be_killed
promise "nor does it keep other threads from changing what is mapped" others_map
promise "what is moved may take from the reserves of memory" read_with_reserves
promise "and so may what is written" written_with_reserves
promise "no other pool waits for an umount that waits for its device" hangs_at_umount
promise "nor for a mount" hangs_at_mount
promise "a disk that fails for a while takes pages afterwards" fails_for_a_while
promise "what was never written is not taken for what was there before" writes_are_lost
promise "a disk that vanishes takes with it what it has, and nothing hangs" vanishes
promise "a disk of another machine is a store" far stays
promise "if the other machine vanishes, nothing hangs" far vanishes
promise "if it hangs, a process that waits for it can be killed" far hangs
finish

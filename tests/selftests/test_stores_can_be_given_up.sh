#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A store can be given up, with what is there: that is lost and counted, and an error to
# what needs it. So can one whose device does not answer; what has to do with it waits for
# the device otherwise, and nothing else does.

. "$(dirname "$0")/lib.sh"

# Half of what a process has is in the store, and half in memory.
only_its_pages_are_lost() {
	local redirected
	area_with_store 32M
	start pages -s 8 -k tttr fill out hold lost check
	gives OK tell file writeback 1000
	redirected=$(stat_of file redirected_pages)
	holds "pages in the store" "$redirected >= 1000"
	mark_log
	gives OK tell file give_up_backing "$disk"
	one_line "backing=$disk: is given up, and $redirected pages with it"
	equal "stores" "" "$(stores_of file)"
	equal "pages lost, and in stores" "$redirected 0" \
		"$(stat_of file lost_pages) $(stat_of file redirected_pages)"
	equal "pages stored" $(($(said_number out) - redirected)) "$(stat_of file stored_pages)"
	# It is as any other disk again.
	gives OK mnt swapon "$disk"
	gives OK mnt swapoff "$disk"
	release
	equal "pages that could not be read" "$redirected" "$(said_number lost)"
	ends_empty file "$redirected"
	equal "pages lost" "$redirected" "$(stat_of file lost_pages)"
}

# What was lost is gone with its slot, and what comes after is stored as always.
others_take_its_place() {
	local first
	area_with_store 32M
	first=$disk
	start_in_store -s 4 -k tttr fill out hold lost fill out hold check rewrite:2 out check
	gives OK tell file give_up_backing "$first"
	# The number is free for another, and generations and blocks are not mixed up.
	gives OK tell file add_backing "$first"
	equal "its number" 0 "$(basename "$SYSFS/$(pool_of file)"/backing? | tr -dc 0-9)"
	go_on
	holds "pages that could not be read" "$(said_number lost) > 900"
	write_back file
	holds "pages in the store" "$(stat_of file redirected_pages) > 900"
	release
	equal "failed loads" "$(stat_of file lost_pages)" "$(stat_of file failed_loads)"
}

given_up_once() {
	area_with_store 32M
	start_in_store -s 4 -k tttr fill out hold lost check
	gives OK tell file give_up_backing "$disk"
	gives ENOENT tell file give_up_backing "$disk"
	gives ENOENT tell file remove_backing "$disk"
	gives ENOENT tell file reopen_backing "$disk"
	gives ENOENT tell file give_up_backing /nonesuch
	release
}

suspend() {
	dmsetup suspend --noflush --nolockfs --noudevsync store
	afterwards resume
}

resume() {
	dmsetup resume --noudevsync store
}

is_suspended() {
	equal "state of the disk" Suspended "$(dmsetup info --columns --noheadings -o suspended store)"
}

# ordered NAME: an order for the store of area "file", in the background; sets $ordered.
ordered() {
	tell file "$@" >"said.$1" &
	ordered=$!
}

# state_of PID: a letter, as in /proc.
state_of() {
	local state=
	# It may be gone.
	read -r _ _ state _ 2>/dev/null <"/proc/$1/stat" || true
	echo "$state"
}

waits_for_a_page() { # PID
	[[ $(state_of "$1") == [DS] && $(<"/proc/$1/wchan") == *folio* ]]
}

# waits_for_the_disk [PID]: by default the one process of mnt.
waits_for_the_disk() {
	local pid
	pid=${1:-$(pgrep -x mnt)} && [[ $(state_of "$pid") == D ]]
}

state_is() { # NUMBER STATE
	[[ $(store_stat file "$1" state) == "$2" ]]
}

# given_up_while_it_waits ARGUMENTS...: by pages, for a disk that does not answer; in the background.
given_up_while_it_waits() {
	mapped linear DISK 0
	area file 1G "limit=64M,backing=$disk"
	start_in_store "$@" fill out hold lost check
	suspend
	let_go
	until_true "it waits for the disk" 20 waits_for_a_page "$held_pid"
	ordered give_up_backing "$disk"
	# It comes to its end, though the disk does not answer.
	listen || fail "it holds"
	wait "$held_pid"
}

readers_get_an_error() {
	local ordered
	given_up_while_it_waits -s 4 -k tttr
	is_suspended
	holds "pages that could not be read" "$(said_number lost) > 900"
	equal "failed loads" "$(said_number lost)" "$(stat_of file failed_loads)"
	equal "state of the store" given_up "$(store_stat file 0 state)"
	equal "its options" "" "$(options_of file | grep -o backing= || true)"
	# It is not given back before the disk has answered, and there is no other way to it.
	gives_reason EBUSY "$disk: was given up" tell file remove_backing "$disk"
	gives_reason EBUSY "$disk: is in use" tell file add_backing "$disk"
	resume
	wait "$ordered"
	equal "what the order gave" OK "$(<said.give_up_backing)"
	equal "stores" "" "$(stores_of file)"
	gone file
}

# Of two stores, the other one goes on.
others_are_read() {
	local ordered good
	disk good.image 32M good
	mapped linear DISK 0
	area file 1G "limit=64M,backing=$disk"
	start_in_store -s 8 -k r fill out hold ahead lost check
	start_second -i 2 -s 4 -k tttr fill out hold check
	# So that nothing more goes there.
	load_table error
	until_true "the store is closed" 20 takes_no_more
	load_table linear DISK 0
	gives OK tell file add_backing "$good"
	write_back file
	holds "bytes in the other one" "$(store_stat file 1 live_bytes) > 1 << 20"
	suspend
	# Pages that are read ahead wait for more requests than there may be.
	let_go
	until_true "it waits for the disk" 20 waits_for_a_page "$held_pid"
	echo >&"$second_hears"
	ordered give_up_backing "$disk"
	wait "$second_pid" || fail "the second process ended with status $?"
	listen || fail "it holds"
	wait "$held_pid"
	is_suspended
	resume
	wait "$ordered"
	equal "stores" "$good" "$(stores_of file)"
	holds "pages that could not be read" "$(said_number lost) == $(stat_of file lost_pages)"
	gone file
}

takes_no_more() {
	tell file writeback all >/dev/null
	state_is 0 closed
}

# What the mover was writing stays in memory.
while_it_is_written() {
	local ordered writing good
	disk good.image 32M good
	mapped linear DISK 0
	area file 1G "limit=64M,backing=$disk"
	start pages -s 4 -k tttr fill out hold check rewrite:2 out hold check
	suspend
	ordered writeback all
	writing=$ordered
	until_true "it waits for the disk" 20 waits_for_the_disk
	ordered give_up_backing "$disk"
	until_true "it is given up" 20 state_is 0 given_up
	gives OK tell file add_backing "$good"
	# The mover waits still, and nothing needs it.
	go_on
	is_suspended
	resume
	wait "$ordered" "$writing"
	equal "what the order gave" OK "$(<said.give_up_backing)"
	equal "stores" "$good" "$(stores_of file)"
	ends_well
	equal "pages lost" 0 "$(stat_of file lost_pages)"
	gone file
}

while_it_is_removed() {
	local ordered removing
	mapped linear DISK 0
	area file 1G "limit=64M,backing=$disk"
	start_in_store -s 4 -k tttr fill out hold lost check
	suspend
	ordered remove_backing "$disk"
	removing=$ordered
	until_true "it is being removed" 20 state_is 0 removing
	until_true "it waits for the disk" 20 waits_for_the_disk
	ordered give_up_backing "$disk"
	until_true "it is given up" 20 state_is 0 given_up
	resume
	wait "$ordered" "$removing"
	equal "what the order gave" OK "$(<said.give_up_backing)"
	equal "what the other order gave" EBUSY "$(<said.remove_backing)"
	equal "stores" "" "$(stores_of file)"
	release
	equal "pages that could not be read" "$(stat_of file lost_pages)" "$(said_number lost)"
	gone file
}

# What swapoff reads first comes back by way of the mover.
while_it_is_swapped_off() {
	local ordered off
	mapped linear DISK 0
	area file 1G "limit=64M,backing=$disk"
	start_in_store -s 4 -k tttr fill out hold lost check
	suspend
	mnt swapoff file >said.swapoff &
	off=$!
	until_true "swapoff waits for the disk" 20 waits_for_a_page "$off"
	ordered give_up_backing "$disk"
	wait "$off"
	is_suspended
	equal "what swapoff gave" OK "$(<said.swapoff)"
	release
	holds "pages that could not be read" "$(said_number lost) > 900"
	resume
	wait "$ordered"
	equal "what the order gave" OK "$(<said.give_up_backing)"
	gives OK mnt umount file
}

the_order_can_be_ended() {
	local ordered
	given_up_while_it_waits -s 2 -k r
	pkill -TERM -x mnt
	wait "$ordered" || true
	# It is given up all the same, and swapoff need not wait for it.
	equal "state of the store" given_up "$(store_stat file 0 state)"
	gives OK mnt swapoff file
	is_suspended
	resume
	gives OK tell file give_up_backing "$disk"
	equal "stores" "" "$(stores_of file)"
	gives OK mnt umount file
}

# A device that is added and does not answer holds up no other store of its pool.
nothing_waits_for_a_store_that_is_added() {
	local ordered good
	disk good.image 32M good
	mapped linear DISK 0
	area file 1G "limit=64M,backing=$good"
	start_in_store -s 2 -k tr fill out hold lost check
	suspend
	ordered add_backing "$disk"
	until_true "it waits for the disk" 20 waits_for_the_disk
	gives OK tell file give_up_backing "$good"
	gives OK tell file add_backing "$good"
	gives OK tell file remove_backing "$good"
	is_suspended
	resume
	wait "$ordered"
	equal "what the order gave" OK "$(<said.add_backing)"
	equal "stores" "$disk" "$(stores_of file)"
	release
	gone file
}

promise "of a store that is given up, the pages are lost, and no others" only_its_pages_are_lost
promise "what comes after is stored as always, and in its place" others_take_its_place
promise "a store is given up once" given_up_once
promise "what waits for a device that does not answer gets an error" readers_get_an_error
promise "and other stores are read" others_are_read
promise "what was being written to it stays in memory" while_it_is_written
promise "a store is given up while it is removed" while_it_is_removed
promise "a store is given up while swapoff reads it" while_it_is_swapped_off
promise "the order can be ended, and given again" the_order_can_be_ended
promise "no other store waits for one that is added" nothing_waits_for_a_store_that_is_added
finish

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What free(1) shows follows what can be held, whatever pages become of.

. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/selftests/tool.sh
. "$HERE/tool.sh"

# listen_to_events: lines of events of pools come into the file "heard".
listen_to_events() {
	mnt events ghostswap >heard &
	until_true "events are listened to" 10 grep -q listening heard
}

# events HOW: how many said so of the pool POOL.
events() {
	grep -c "^change@/fs/ghostswap/$pool GHOSTSWAP_FIT=$1\$" heard || true
}

is_told() { # HOW
	(($(events "$1") > 0))
}

has_events() { # HOW COUNT
	(($(events "$1") == $2))
}

# tells HOW COUNT: so many events said so, and no more come.
tells() {
	until_true "told $1, $2 times" 10 has_events "$@"
	sleep 1
	equal "times that it was told $1" "$2" "$(events "$1")"
}

tells_once() {
	local pool=told
	listen_to_events
	# Of an empty pool half can be told: 2 x 32 MiB.
	area file 16M limit=32M,pool=told
	tells short 1
	# Too much, and it could be swapped off.
	area other 256M pool=told
	tells long 1
	gone other
	tells short 2
	# It fits, so nothing is told.
	area third 48M pool=told
	sleep 1
	equal "times that it was told short" 2 "$(events short)"
	# More can be held by a higher limit, or a store.
	gives OK mnt remount file limit=64M
	tells short 3
	gives OK mnt remount file limit=32M
	tells short 3
	disk disk.image 64M
	gives OK tell file add_backing "$disk"
	tells short 4
	gives OK tell file remove_backing "$disk"
	tells short 4
	equal "times that it was told long" 1 "$(events long)"
	# As long as areas are in use, too much is not told.
	gone third
	tells short 5
}

follows_the_pages() {
	local pool=told
	listen_to_events
	area file 64M limit=32M,pool=told
	sleep 1
	equal "events" listening "$(<heard)"
	start pages -s 40 -k w fill out hold check free hold
	# Once, or again as more became known, and then no more.
	until_true "it is told" 10 is_told short
	until_true "no more events come" 20 is_quiet
	go_on
	# The area's slots are free now, and it is as it was.
	until_true "as much as before can be held" 10 can_be_held 64
	until_true "no more events come" 20 is_quiet
	equal "times that it was told long" 0 "$(events long)"
	release
}

# What would be told again is told within a quarter of a second.
is_quiet() {
	local told
	told=$(wc -l <heard)
	sleep 2
	(($(wc -l <heard) == told))
}

can_be_held() { # MIB
	(($(stat_of file capacity_bytes) == $1 << 20))
}

# serve_events: ghostswapctl fit is run for each event, as the udev rule has it.
serve_events() {
	mkdir -p /etc/udev/rules.d
	cp "$ROOT/tools/ghostswapctl/60-ghostswap.rules" /etc/udev/rules.d/
	: >served
	mnt events ghostswap | while read -r event; do
		echo "$event"
		[[ $event != *GHOSTSWAP_FIT=* ]] || {
			event=${event%% *}
			ctl fit --pool "${event##*/}" 2>&1 || true
		}
	done >served &
	until_true "events are listened to" 10 grep -q listening served
}

free_total() {
	local name kib
	while read -r name kib _; do
		[[ $name != SwapTotal: ]] || echo $((kib * 1024))
	done </proc/meminfo
}

# measure FILE: sets $can_hold to the bytes of pages that its pool can hold, as a person would measure it:
# what is in use, and the room that is left by what a page took so far, of limit and 2/3 of the store.
measure() {
	local pages taken room=0 redirected compressed size
	pages=$(awk '$1 ~ "^'"$work"'/swap.ghost" { kib += $4 } END { print kib / 4 }' /proc/swaps)
	redirected=$(stat_of "$1" redirected_pages) compressed=$(stat_of "$1" redirected_bytes)
	taken=$(held "$1")
	for size in "$SYSFS/$(pool_of "$1")"/backing*/size_bytes; do
		[[ ! -e $size ]] || room=$((room + $(<"$size") * 2 / 3))
	done
	can_hold=$(awk -v pages="$pages" -v taken="$taken" -v limit="$(stat_of "$1" limit_bytes)" \
		-v redirected="$redirected" -v compressed="$compressed" -v room="$room" 'BEGIN {
			each = pages > redirected ? taken / (pages - redirected) : 2048
			if (pages < 1000) each = 2048
			more = (limit > taken ? limit - taken : 0) / each
			if (room > compressed) more += (room - compressed) / each
			printf "%d", (pages + more) * 4096
		}')
}

# off SHOWN HELD: by how many percent what is shown is off.
off() {
	awk -v shown="$1" -v held="$2" 'BEGIN { printf "%+.0f%%", (shown / held - 1) * 100 }'
}

fits() {
	local total
	total=$(free_total)
	measure swap.ghost
	((total * 100 >= can_hold * 85 && total * 100 <= can_hold * 115))
}

# it_fits WHEN: as soon as events have been served.
it_fits() {
	local end=$((SECONDS + 15))
	until fits; do
		((SECONDS < end)) || fail "$1: free shows $(free_total), and $can_hold can be held;" \
			"$(cat /proc/swaps) $(cat served)"
		sleep 0.2
	done
	note "$1: free shows $(($(free_total) >> 20)) MiB, $((can_hold >> 20)) MiB can be held" \
		"($(off "$(free_total)" "$can_hold")); a swapfile of 15 TB: $(off 15000000000000 "$can_hold")"
}

# a_job RATIO MIB KINDS: as large as what can be held, nearly.
a_job() {
	start pages -s "$2" -k "$3" fill out hold out:90 hold check
	it_fits "ratio $1, while slots may have been short"
	go_on
	it_fits "ratio $1, all out"
	# Slots and memory run out together.
	holds "pages out" "$(said_number out) * 100 >= $2 * 256 * 90"
	holds "what is held, of the limit" "$(held swap.ghost) * 100 >= $(stat_of swap.ghost limit_bytes) * 70"
}

follows_jobs() {
	have_tool
	own_fstab
	serve_events
	ctl setup --file "$work/swap.ghost" --limit 32M
	it_fits "right after setup"
	a_job 1.2 28 rrrt
	release
	it_fits "after that"
	a_job 3 76 t
	# A store is added, and removed, with all that meanwhile.
	disk disk.image 48M
	ctl add-store --no-fstab "$disk"
	it_fits "with a store"
	ctl remove-store --no-fstab "$disk"
	it_fits "without it"
	release
	it_fits "after that"
	a_job 8 200 twwww
	release
	it_fits "after that"
	# Once more, when all is large.
	a_job 1.2 28 rrrt
	release
	equal "what failed" "" "$(grep '^ghostswapctl' served || true)"
	note "$(wc -l <served) lines of events and what was done"
	ctl setup --undo >/dev/null
	equal "ghost files" "" "$(ls swap.ghost* 2>/dev/null || true)"
	cmp fstab.test /etc/fstab
}

# What zram shows for the same jobs, with as much memory. Its size is the same as the area's would be.
zram_does_not() {
	local kinds ratio mib original used can_hold
	modprobe -q zram num_devices=1 || skip "no zram here"
	afterwards rmmod zram
	echo 64M >/sys/block/zram0/disksize
	echo 32M >/sys/block/zram0/mem_limit
	mkswap /dev/zram0 >/dev/null
	gives OK mnt swapon /dev/zram0
	afterwards mnt swapoff /dev/zram0
	while read -r ratio mib kinds; do
		start pages -s "$mib" -k "$kinds" fill out hold check
		read -r original _ used _ </sys/block/zram0/mm_stat
		can_hold=$((original + (used < 32 << 20 ? (32 << 20) - used : 0) * original / used))
		note "zram of 64 MiB, ratio $ratio: free shows $(($(free_total) >> 20)) MiB," \
			"$((can_hold >> 20)) MiB can be held ($(off "$(free_total)" "$can_hold"))"
		release
	done <<-END
		1.2 28 rrrt
		3 76 t
		8 200 twwww
	END
}

two_at_once() {
	local pids=() i
	have_tool
	own_fstab
	ctl setup --file "$work/swap.ghost" --limit 32M >/dev/null
	# By a higher limit the area is too small for what can be held.
	gives OK mnt remount swap.ghost limit=96M
	for i in {1..4}; do
		ctl fit >"said.$i" 2>&1 &
		pids+=($!)
	done
	all_end
	equal "areas" 2 "$(stat_of swap.ghost areas)"
	equal "priorities" "100 99" "$(awk 'NR > 1 { print $5 }' /proc/swaps | paste -sd ' ')"
	equal "how many had something to do" 1 "$(cat said.* | grep -c "swapped on ")"
	# What is in use stays, and what is empty goes.
	start pages -s 80 -k r fill out:90 hold check
	gives OK mnt remount swap.ghost limit=32M
	ctl fit >said.used
	equal "areas" 2 "$(stat_of swap.ghost areas)"
	release
	until_true "all is freed" 10 holds_nothing swap.ghost
	ctl fit >said.free
	equal "areas" 1 "$(stat_of swap.ghost areas)"
	[[ ! -e swap.ghost.1 ]] || fail "the file of the area is left"
	# What was left of before a boot is made anew; what is somebody else's is not touched.
	gives OK mnt remount swap.ghost limit=96M
	truncate -s 4096 swap.ghost.1
	chmod 600 swap.ghost.1
	if ctl fit >said.other 2>&1; then fail "what exists is taken: $(<said.other)"; fi
	grep -q "swap.ghost.1 exists already" said.other
	rm swap.ghost.1
	ctl fit >/dev/null
	gives OK mnt swapoff swap.ghost.1
	gives OK mnt umount swap.ghost.1
	ctl fit >/dev/null
	equal "areas" 2 "$(stat_of swap.ghost areas)"
	ctl setup --undo >/dev/null
	equal "ghost files" "" "$(ls swap.ghost* 2>/dev/null || true)"
}

promise "areas that do not fit are told of, once" tells_once
promise "so they are when pages get smaller than it was thought" follows_the_pages
promise "fit does once what there is to do, and leaves what is in use" two_at_once
promise "free shows what can be held, within 15%, on jobs of any ratio" follows_jobs
promise "beside it zram, whose size is fixed" zram_does_not
finish

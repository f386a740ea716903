#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Each event can be attached to by its name, tells what happened to which page, and tells it as often
# as the stats count it.

. "$(dirname "$0")/lib.sh"

TRACING=/sys/kernel/tracing
EVENTS=(clean fail load read_back recompress store write_back)

# What every test here needs. Sets $events, the directory of the events, and $watched, of a buffer of
# their own for what was told.
events() {
	kernel_has EVENT_TRACING || skip "this kernel has no CONFIG_EVENT_TRACING"
	if [[ ! -d $TRACING/events ]]; then
		mount -t tracefs tracefs "$TRACING"
		afterwards umount "$TRACING"
	fi
	events=$TRACING/events/ghostswap watched=$TRACING/instances/ghostswap
	afterwards end_watching
}

end_watching() {
	[[ ! -d $watched ]] || rmdir "$watched"
}

# attach EVENT...: from now on, with room for all that tests here do.
attach() {
	local event
	mkdir "$watched"
	put "$watched/buffer_size_kb" 4096
	for event; do
		put "$watched/events/ghostswap/ghostswap_$event/enable" 1
	done
}

# told EVENT [FIELD=VALUE]...: sets $told to a file of what was told of the event with these fields, a
# line each, and $times_told to how many there are. None of it was lost.
told() {
	local event=$1 field
	shift
	told=told.$event
	grep " ghostswap_$event: " "$watched/trace" >"$told" || true
	for field; do
		grep -E " $field( |\$)" "$told" >"$told.some" || true
		mv "$told.some" "$told"
	done
	times_told=$(wc -l <"$told")
	equal "events that were lost" 0 "$(awk '/^(overrun|dropped events):/ { sum += $NF } END { print sum }' \
		"$watched"/per_cpu/cpu*/stats)"
}

# sum FIELD: of what was told last.
sum() {
	grep -o " $1=[0-9]*" "$told" | awk -F= '{ sum += $2 } END { print sum + 0 }'
}

# values FIELD: of what was told last, each once.
values() {
	grep -o " $1=[^ ]*" "$told" | cut -d= -f2 | sort -u | tr '\n' ' '
}

# Tools that have them in their scripts go on working.
by_name() {
	local event
	events
	equal "events" "${EVENTS[*]/#/ghostswap_}" "$(cd "$events" && echo ghostswap_*)"
	for event in "${EVENTS[@]}"; do
		sed -n 's/^\tfield:\(.*\);\toffset.*/\1/p' "$events/ghostswap_$event/format" |
			grep -v common_ | tr '\n' ';'
		echo
	done >formats
	diff - formats <<-END
		__data_loc char[] pool;u32 area;u32 slot;u32 kind;u32 bytes;u32 backing;u32 segment;u32 to_backing;u32 to_segment;
		__data_loc char[] pool;u32 area;u32 slot;u32 op;int error;
		__data_loc char[] pool;u32 area;u32 slot;u32 kind;u32 bytes;u32 from;u64 nsecs;
		__data_loc char[] pool;u32 area;u32 slot;u32 kind;u32 bytes;u32 backing;u32 segment;
		__data_loc char[] pool;u32 area;u32 slot;u32 bytes;u32 before;
		__data_loc char[] pool;u32 area;u32 slot;u32 kind;u32 bytes;
		__data_loc char[] pool;u32 area;u32 slot;u32 kind;u32 bytes;u32 backing;u32 segment;
	END
}

# What is off is not told.
only_what_is_on() {
	events
	area_with_store 32M
	attach load
	start_in_store -s 1 -k tr fill out hold check
	equal "told before the first load" "" "$(grep ghostswap_ "$watched/trace" || true)"
	release
	told load
	equal "loads told" "$(stat_of file loads)" "$times_told"
	equal "in all" "$times_told" "$(grep -c ghostswap_ "$watched/trace")"
	put "$watched/events/ghostswap/enable" 0
	pages -s 1 fill out check
	told load
	holds "loads told" "$times_told < $(stat_of file loads)"
}

stores_and_loads() {
	local all kind
	events
	area other 1G pool=other 1
	area file 1G limit=64M 2
	attach store load
	start pages -s 4 -k tttrs fill out hold check
	told store
	all=$times_told
	equal "stores told" "$(stat_of file stores)" "$all"
	equal "pages that are not there any more" 0 "$(stat_of file invalidates)"
	equal "pools" "$(pool_of file) " "$(values pool)"
	equal "areas" "0 " "$(values area)"
	equal "bytes" "$(stat_of file compressed_bytes)" "$(sum bytes)"
	equal "slots" "$all" "$(values slot | wc -w)"
	told store kind=incompressible
	equal "incompressible pages" "$(stat_of file incompressible_pages)" "$times_told"
	equal "bytes of each" "$PAGE " "$(values bytes)"
	told store kind=same
	equal "pages of one word" "$(stat_of file same_filled_pages)" "$times_told"
	equal "bytes of each" "0 " "$(values bytes)"
	told store kind=compressed
	holds "bytes" "$(sum bytes) > $times_told && $(sum bytes) < $times_told * PAGE"
	release
	told load
	equal "loads told" "$(stat_of file loads)" "$times_told"
	equal "where they found their pages" "ram " "$(values from)"
	holds "nanoseconds" "$(sum nsecs) > $times_told * 100"
	for kind in compressed incompressible same; do
		told store "kind=$kind"
		equal "slots and bytes of $kind pages" "$(slots_and_bytes)" \
			"$(told load "kind=$kind" && slots_and_bytes)"
	done
}

# Of what was told last, each once.
slots_and_bytes() {
	sed 's/.* \(slot=[0-9]*\) .* \(bytes=[0-9]*\).*/\1 \2/' "$told" | sort -u
}

stores_that_fail() {
	events
	area file 1G limit=256K
	attach fail
	pages -s 4 -k r fill out:0 check
	holds "pages refused" "$(stat_of file failed_stores_limit) > 0"
	told fail op=store error=-28
	equal "told" "$(stat_of file failed_stores_limit)" "$times_told"
	equal "pools" "$(pool_of file) " "$(values pool)"
	holds "slots" "$(values slot | wc -w) > 0"
}

loads_that_fail() {
	events
	mapped linear DISK 0
	area file 1G "limit=64M,backing=$disk"
	start_in_store -s 1 -k r fill out hold lost
	load_table error
	attach fail load
	release
	holds "failed loads" "$(stat_of file failed_loads) > 200"
	told fail op=load error=-5
	equal "told" "$(stat_of file failed_loads)" "$times_told"
	told load
	equal "other loads" "$(stat_of file loads)" "$times_told"
}

written_and_read() {
	local slots
	events
	area_with_store 32M
	attach write_back read_back load
	start_in_store -s 4 -k tttrs fill out hold probe check
	told write_back
	equal "told" "$(stat_of file written_pages)" "$times_told"
	equal "bytes" "$(stat_of file redirected_bytes)" "$(sum bytes)"
	equal "stores" "0 " "$(values backing)"
	equal "segments" "$(store_stat file 0 sealed_segments)" "$(values segment | wc -w)"
	slots=$(slots_and_bytes)
	release
	told load from=store
	holds "loads from the store" "$times_told > 700"
	equal "slots and bytes" "$slots" "$(slots_and_bytes)"
	# The time of each is counted, too.
	equal "loads from the store that are timed" "$times_told" \
		"$(awk '{ sum += $2 } END { print sum }' "$SYSFS/$(pool_of file)/store_load_nsecs")"
	told read_back
	equal "pages that came back to memory" 0 "$times_told"
}

# By swapoff, or as here.
back_to_memory() {
	local slots redirected
	events
	area_with_store 32M
	attach write_back read_back
	start_in_store -s 4 -k tttr fill out hold check
	redirected=$(stat_of file redirected_pages)
	told write_back
	slots=$(slots_and_bytes)
	gives OK tell file remove_backing "$disk"
	told read_back
	equal "told" "$redirected" "$times_told"
	equal "slots and bytes" "$slots" "$(slots_and_bytes)"
	equal "stores" "0 " "$(values backing)"
	release
}

# As in test_stores_come_and_go: what is left of two segments goes into one.
cleaned() {
	events
	area_with_store 8M
	start_in_store -s 3 -k r fill out hold keep:3 hold check
	go_on
	attach clean
	start_second -i 2 -s 1 -k r fill out hold check
	write_back file
	holds "bytes moved" "$(store_stat file 0 cleaned_bytes) > 0"
	told clean
	equal "bytes told" "$(store_stat file 0 cleaned_bytes)" "$(sum bytes)"
	equal "kinds" "incompressible " "$(values kind)"
	equal "stores" "0 0 " "$(values backing)$(values to_backing)"
	equal "segments that were left and filled" 2 "$(values segment | wc -w)"
	equal "from one to the other" 1 "$(values to_segment | wc -w)"
	release_second
	ends_well
}

# In memory, and on the way to a store.
compressed_again() {
	local before after
	events
	area_with_store 64M recomp=wlz:dense
	start pages -s 4 -k tr fill out hold check hold
	before=$(stat_of file compressed_bytes)
	attach recompress
	gives OK tell file recompress 0
	after=$(stat_of file compressed_bytes)
	told recompress
	equal "told" "$(stat_of file recompressed_pages)" "$times_told"
	equal "bytes saved" "$((before - after))" "$(($(sum before) - $(sum bytes)))"
	go_on
	start_second -i 2 -s 4 -k t fill out hold check
	write_back file
	told recompress
	holds "told" "$times_told > 500"
	equal "told" "$(stat_of file recompressed_pages)" "$times_told"
	release_second
	ends_well
}

promise "events and their fields are those that tools know" by_name
promise "events are told if they are on, and not if they are off" only_what_is_on
promise "each store and load is told, with what was kept" stores_and_loads
promise "pages that are refused are told" stores_that_fail
promise "loads that fail are told" loads_that_fail
promise "what is written back is told, and what is loaded from there" written_and_read
promise "what comes back to memory is told" back_to_memory
promise "what is cleaned is told" cleaned
promise "what is compressed again is told" compressed_again
finish

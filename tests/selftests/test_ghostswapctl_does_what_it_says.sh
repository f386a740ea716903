#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# ghostswapctl shows what a pool holds, gives its orders, and sets up no more than
# it takes back.
#
# Needs x86-64: ghostswapctl is built for the host alone.

. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/selftests/tool.sh
. "$HERE/tool.sh"

# Without what it says before it fails.
errors_of() {
	ctl "$@" >/dev/null
}

# says TEXT COMMAND...: it succeeds, and this is part of what it says.
says() {
	local said
	said=$("${@:2}" 2>&1) || fail "${*:2}: status $?: $said"
	[[ $said == *"$1"* ]] || fail "${*:2}: no \"$1\" in: $said"
}

# refuses TEXT COMMAND...: it fails, and this is part of what it says. The remedy is
# in a line of its own.
refuses() {
	local said
	if said=$("${@:2}" 2>&1); then fail "${*:2}: succeeds"; fi
	[[ $said == *"$1"* ]] || fail "${*:2}: no \"$1\" in: $said"
	[[ $said == "ghostswapctl: "*"$newline  "[A-Z]* ]] || fail "${*:2}: no remedy in: $said"
}

# record NAME TEXT: what the tests without a kernel read, if GHOSTSWAP_RECORDS names a directory.
record() {
	[[ -d ${GHOSTSWAP_RECORDS:-} ]] || return 0
	"$ROOT/tools/ghostswapctl/tests/record" "$2" | sed "s|$work/file|/swap.ghost|g" \
		>"$GHOSTSWAP_RECORDS/$1.tree"
}

as_user() {
	setpriv --reuid 65534 --clear-groups --bounding-set=-all "$@"
}

shows_what_sysfs_shows() {
	local pool file value table json metrics
	have_program setpriv util-linux
	area_with_store 32M
	# All went to the store, came back from there, and some of it went again.
	start pages -s 12 -k tttrz fill out hold check out hold check
	write_back file
	go_on
	gives OK tell file writeback 1000
	find_pool pool file
	json=$(ctl status --json)
	for file in "$SYSFS/$pool"/* "$SYSFS/$pool"/backing0/*; do
		[[ -f $file && -r $file && $(stat -c %a "$file") != 200 ]] || continue
		value=$(<"$file")
		if [[ $file == *_load_nsecs ]]; then
			table=[[${value// /,}]]
			table=\"${file##*/}\":${table//$newline/],[}
			[[ ${json//[[:space:]]/} == *"$table"* ]] || fail "no $table in: $json"
			continue
		fi
		[[ $file != */write_limit || $value != off ]] || value=null
		[[ $value =~ ^([0-9]+|null)$ ]] || value="\"$value\""
		[[ $json == *"\"${file##*/}\": $value"[,$newline]* ]] || fail "${file##*/}: no $value in: $json"
	done
	says "Pool $pool: compressor wlz, limit 64.0 MiB" ctl status
	says "$work/file" ctl status file
	says "$disk" ctl status "$pool"
	record store "A pool with a store: all went there, came back, and some of it went again."
	# What only root may read is unknown to others, and the rest is not.
	cp "$BUILD/ghostswapctl" "$work/ctl"
	chmod 755 "$work"
	says "ghostswap_redirected_compressed_bytes{pool=\"$work/file\"} " ctl metrics
	metrics=$(as_user "$work/ctl" metrics)
	[[ $metrics == *"ghostswap_redirected_bytes{"* ]] || fail "no number for all in: $metrics"
	[[ $metrics != *_compressed_bytes* ]] || fail "a number of root's in: $metrics"
	json=$(as_user "$work/ctl" status --json)
	[[ $json == *'"redirected_bytes": null'* ]] || fail "no null in: $json"
	refuses "Permission denied" as_user "$work/ctl" writeback
	release
}

gives_orders() {
	local stored
	area file 1G limit=64M
	start pages -s 12 -k tttr fill out hold check
	stored=$(stat_of file stored_pages)
	record plain "A pool without a store."
	refuses "writeback all: " ctl writeback
	disk disk.image 32M
	says "is a backing store of pool" ctl add-store "$disk"
	says "pages written" ctl writeback 1M
	holds "pages in the store" "$(stat_of file redirected_pages) >= 256"
	says "pages written" ctl age 1d
	says "pages written" ctl age --pool file 0
	equal "pages in the store" "$stored" "$(stat_of file redirected_pages)"
	refuses "has no backing store other" ctl remove-store other
	says "$disk is free" ctl remove-store "$disk"
	equal "stores" "" "$(stores_of file)"
	equal "stored" "$stored" "$(stat_of file stored_pages)"
	release
}

refuses_with_a_remedy() {
	refuses "no ghost file is mounted" ctl writeback
	says "No ghost file is mounted" ctl status
	area one 64M
	area two 64M
	refuses "there are several pools" ctl age 0
	refuses "there is no pool three" ctl age 0 --pool three
	refuses "no such file" ctl add-store --pool "$work/one" none
	: >empty
	chmod 600 empty
	truncate -s 16M empty
	refuses "backing=$work/empty: no swap header" ctl add-store --pool "$work/one" empty
}

fstab_is_as_it_was() {
	cmp fstab.test /etc/fstab
	equal "mode" 640 "$(stat -c %a /etc/fstab)"
	equal "what is left beside" "" "$(find /etc -maxdepth 1 -name 'fstab.*ghostswapctl*')"
}

sets_up_and_takes_back() {
	own_fstab
	ctl setup --file "$work/swap.ghost" --limit 32M --dry-run >plan
	fstab_is_as_it_was
	[[ ! -e swap.ghost ]] || fail "a dry run makes the file"

	says "swapped on  64.0 MiB" ctl setup --file "$work/swap.ghost" --limit 32M
	equal "/proc/swaps" "$work/swap.ghost 65532 100" "$(awk 'NR == 2 { print $1, $3, $5 }' /proc/swaps)"
	equal "limit" $((32 << 20)) "$(stat_of swap.ghost limit_bytes)"
	equal "the dry run's lines of fstab" "$(tail -n 3 /etc/fstab)" "$(grep -A 2 '^# Made by' plan)"
	pages -s 4 fill out check
	says "fstab: $work/swap.ghost is there for the next boot" ctl check
	refuses "is set up already" ctl setup --file "$work/swap.ghost"

	# The lines are all it takes.
	mount_anew swap.ghost
	equal "areas" 1 "$(stat_of swap.ghost areas)"

	says "umount $work/swap.ghost" ctl setup --undo --dry-run
	equal "areas" 1 "$(stat_of swap.ghost areas)"
	says "rm $work/swap.ghost" ctl setup --undo
	fstab_is_as_it_was
	[[ ! -e swap.ghost ]] || fail "the file is left"
	equal "swaps" 1 "$(wc -l </proc/swaps)"
	refuses "setup did not make that" ctl setup --undo --file "$work/swap.ghost"
}

sets_up_with_a_store() {
	own_fstab
	disk disk.image 96M
	says "= 2 x (limit 32.0 MiB + 2/3 of stores 96.0 MiB)" \
		ctl setup --file "$work/swap.ghost" --limit 32M --comp lz4 --store "$disk"
	equal "store" "$disk" "$(stores_of swap.ghost)"
	equal "compressor" lz4 "$(stat_of swap.ghost comp)"
	says "ok      store: $disk" ctl check
	# It stays set up with what was changed by hand meanwhile.
	echo >>/etc/fstab
	echo "/dev/more /more ext4 noauto 0 0" >>/etc/fstab
	ctl setup --undo >/dev/null
	equal "fstab" "$(cat fstab.test; echo; echo "/dev/more /more ext4 noauto 0 0")" "$(cat /etc/fstab)"
	gives OK mnt swapon "$disk"
	gives OK mnt swapoff "$disk"
}

# mount_anew FILE: as at a boot, with no more than fstab says.
mount_anew() {
	swapoff "$work/$1"
	umount "$work/$1"
	quiet mount -a
	quiet swapon -a
}

stores_follow_at_each_boot() {
	local before first more
	own_fstab
	disk disk.image 32M first
	disk more.image 32M more
	mkdir real
	ln -s real link
	says "made        $work/real/swap.ghost" \
		ctl setup --file "$work/link/swap.ghost" --limit 32M --store "$first"
	says "has backing=$more now" ctl add-store "$more"
	mount_anew real/swap.ghost
	equal "stores" "$first $more" "$(stores_of real/swap.ghost | xargs)"
	before=$(</etc/fstab)
	says "is free" ctl remove-store --no-fstab "$first"
	equal "fstab" "$before" "$(</etc/fstab)"
	says "is a backing store" ctl add-store --no-fstab "$first"
	says "does not have it any more" ctl remove-store "$first"
	mount_anew real/swap.ghost
	equal "stores" "$more" "$(stores_of real/swap.ghost | xargs)"
	# What is a mount point cannot be replaced.
	cp /etc/fstab fstab.now
	mount --bind fstab.now /etc/fstab
	refuses "/etc/fstab cannot be changed: " errors_of add-store "$first"
	refuses "/etc/fstab cannot be changed: " errors_of remove-store "$more"
	umount /etc/fstab
	cmp fstab.now /etc/fstab
	equal "stores" "$first" "$(stores_of real/swap.ghost | xargs)"
	# As if both were interrupted there: the same once more, and fstab follows.
	says_not_ok "fstab: the store $first is gone after the next boot"
	says_not_ok "fstab: swap.ghost has the store $more at the next boot, and not now"
	says "has backing=$first now" ctl add-store "$first"
	says "does not have $more any more" ctl remove-store "$more"
	mount_anew real/swap.ghost
	equal "stores" "$first" "$(stores_of real/swap.ghost | xargs)"
	says "rm $work/real/swap.ghost" ctl setup --undo --file "$work/link/swap.ghost"
	fstab_is_as_it_was
}

leaves_nothing_if_it_fails() {
	own_fstab
	truncate -s 16M no.header
	chmod 600 no.header
	refuses "no swap header" ctl setup --file "$work/swap.ghost" --store "$work/no.header"
	refuses "no such compressor" ctl setup --file "$work/swap.ghost" --comp none
	# What is a mount point cannot be replaced, and then all is taken back.
	mount --bind fstab.test /etc/fstab
	refuses "/etc/fstab cannot be changed" ctl setup --file "$work/swap.ghost"
	umount /etc/fstab
	fstab_is_as_it_was
	[[ ! -e swap.ghost ]] || fail "the file is left"
	equal "swaps" 1 "$(wc -l </proc/swaps)"
}

leaves_others_alone() {
	own_fstab
	area file 64M
	refuses "setup did not make that" ctl setup --undo --file "$work/file"
	refuses "is set up already" ctl setup --file "$work/file"
	refuses "/swap.ghost: setup did not make that" ctl setup --undo
	equal "areas" 1 "$(stat_of file areas)"
	: >there
	refuses "exists already" ctl setup --file "$work/there"
	refuses "setup did not make that" ctl setup --undo --file "$work/there"
	[[ -e there ]] || fail "the file is gone"
}

# says_not_ok TEXT: a check finds that.
says_not_ok() {
	local said
	if said=$(ctl check); then fail "all is well: $said"; fi
	[[ $said == *"NOT OK  $1"* ]] || fail "no \"$1\" in: $said"
}

finds_what_is_wrong() {
	own_fstab
	says_not_ok "area: no ghost file is mounted"
	area file 64M
	says_not_ok "fstab: $work/file is gone after the next boot"
	disk disk.image 16M
	gives OK mnt swapon "$disk" 7
	says_not_ok "priority: $disk (7) is filled before $work/file"
	gives OK mnt swapoff "$disk"
	put_for_now /proc/sys/vm/swappiness 0
	says_not_ok "vm.swappiness: 0"
	gives OK mnt swapoff file
	says_not_ok "area: $work/file is mounted, but not swapped on"
}

shows_what_goes_on() {
	local shown
	have_program script bsdutils
	area_with_store 32M
	start pages -s 12 -k tttr fill out hold check
	mkfifo keys
	script -qec "$BUILD/ghostswapctl top" /dev/null <keys >screen &
	shown=$!
	exec 4>keys
	until_true "top shows the pool" 20 grep -q "Pool $work/file, wlz" screen
	write_back file
	until_true "top shows what is written" 20 grep -q "worker      writes pages" screen
	echo q >&4
	exec 4>&-
	wait "$shown" || fail "top ends with status $?"
	# The terminal is as it was: the last that it was told.
	[[ $(tail -c 100 screen) == *$'\e[?25h\e[?1049l'* ]] || fail "the terminal stays as it is"
	refuses "top needs a terminal" ctl top
	release
}

# pages_of FILE: how many pages an estimate in FILE is of.
pages_of() {
	awk 'NR == 1 { gsub(",", "", $1); print $1 }' "$1"
}

estimates() {
	start pages -s 8 -k tttr fill hold check
	ctl estimate -p "$held_pid" >said.estimate
	grep -q "^wlz:dense  *[0-9]" said.estimate
	holds "pages" "$(pages_of said.estimate) >= 2048"
	ctl estimate >said.all
	holds "pages of all" "$(pages_of said.all) >= 2048"
	refuses "none: No such file or directory" ctl estimate none
	refuses "process 4194304: No such file or directory" ctl estimate -p 4194304
	release
}

promise "status shows what sysfs shows, to each what it may see" shows_what_sysfs_shows
promise "stores are added, written to and removed" gives_orders
promise "what cannot be done is refused with a remedy" refuses_with_a_remedy
promise "setup sets up, and --undo takes it back to the byte" sets_up_and_takes_back
promise "setup with a store" sets_up_with_a_store
promise "stores that come and go do so for each boot" stores_follow_at_each_boot
promise "a setup that fails leaves nothing" leaves_nothing_if_it_fails
promise "what setup did not make stays" leaves_others_alone
promise "top shows what goes on, until q" shows_what_goes_on
promise "estimate reads the memory of programs" estimates
promise "check finds what is wrong" finds_what_is_wrong
finish

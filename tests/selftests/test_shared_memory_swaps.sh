#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Shared memory and memfds swap out and come back.

. "$(dirname "$0")/lib.sh"

swaps() { # KIND
	area file
	start pages -m "$1" -s 8 -k tttrs fill out hold check rewrite:3 out check
	holds "pages out" "$(said_number out) > 1800"
	equal "stored" "$(said_number out)" "$(stat_of file stored_pages)"
	equal "same-filled" "$(said_number same)" "$(stat_of file same_filled_pages)"
	ends_well
}

# Children that map the same pages read what the parent wrote, wherever it is.
seen_by_all() { # KIND
	area file
	pages -m "$1" -s 6 -k trs fill out fork:3 check out check >said
	equal "processes" 4 "$(grep -c 'out=' <(sed 1d said))"
	holds "pages that came back" "$(stat_of file loads) >= 1400"
}

holes_give_slots_back() { # KIND
	area file
	start pages -m "$1" -s 6 -k tr fill out hold keep:4 hold check free hold fill check
	holds "stored" "$(stat_of file stored_pages) > 1400"
	go_on
	holds "stored, with three of four given back" "$(stat_of file stored_pages) <= 384"
	go_on
	equal "stored, with all given back" 0 "$(stat_of file stored_pages)"
	release
}

for kind in shmem memfd; do
	promise "$kind swaps out and comes back" swaps "$kind"
	promise "$kind is the same for all that map it" seen_by_all "$kind"
	promise "$kind gives its slots back where it is cut" holes_give_slots_back "$kind"
done
finish

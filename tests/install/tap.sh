# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Results of tests, in TAP; sourced, not run.

number=0
# result NAME STATUS WHY: of one test.
result() {
	if (($2 == 0)); then
		echo "ok $((number += 1)) - $1"
	else
		while IFS= read -r line; do echo "# $line"; done <<<"$3"
		echo "not ok $((number += 1)) - $1"
	fi
}

# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# What the kernel's reports of faults begin with; sourced, not run. Fault injection and the
# OOM killer print call traces, too, and those are not faults.

FAULT='cut here \]|WARNING: |\<BUG\>|Oops|Internal error: |general protection|Kernel panic|panicked|UBSAN: |ODEBUG: '
FAULT+='|unreferenced object|kmemleak: .*suspected'
FAULT+='|rcu: INFO|INFO: possible|INFO: trying|INFO: .*blocked for more than'

# is_fault LINE: whether a line of the kernel's log begins such a report. A race between two
# accesses of the kernel's own, of which KCSAN finds many, is not ours.
is_fault() {
	[[ $1 =~ $FAULT && ($1 != *'BUG: KCSAN: '* || $1 == *'[ghostswap]'*) ]]
}

# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# What the selftests share; sourced, not run. A selftest is a list of
#
#	promise TEXT FUNCTION [ARGUMENT]...
#
# and ends with finish. Each promise runs in a shell of its own that stops at
# the first command that fails, in an empty directory $work (a tmpfs), with the
# module loaded. It is broken, too, if the kernel complains meanwhile, or if
# anything of ghostswap is still there after everything was turned off.

set -u
export LC_ALL=C

HERE=$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=${HERE%/tests/selftests}
BUILD=${GHOSTSWAP_BUILD:-$ROOT/build}
export PATH=$BUILD/selftests:$ROOT/scripts:$PATH:/usr/sbin:/sbin

PAGE=4096
# shellcheck disable=SC2034 # for the tests
newline=$'\n'
CGROUPS=/sys/fs/cgroup
SYSFS=/sys/fs/ghostswap

# Programs that need no library start several times faster here.
fast=$BUILD/selftests/fast
if [[ ! -d $fast ]]; then
	mkdir "$fast"
	for tool in awk cat cmp cut dmesg grep head insmod ls mkdir mkfifo mktemp rm rmdir \
		rmmod sed sleep sort tail touch wc; do
		"$(command -v busybox)" ln -s "$(command -v busybox)" "$fast/$tool"
	done
fi
PATH=$fast:$PATH

# kselftest's exit codes.
KSFT_FAIL=1
KSFT_SKIP=4

count=0 failures=0
work=$(mktemp -d /tmp/ghostswap.XXXXXX)
log=$work.log
# Not swapped out itself: disks that swap is on lie in it.
mount -t tmpfs -o size=256M,noswap tmpfs "$work"
cd "$work" || exit "$KSFT_FAIL"
exec 3>&1; echo "TAP version 13"

# shellcheck source=tests/selftests/harness.sh
. "$HERE/harness.sh"
# shellcheck source=tests/selftests/kernel_log.sh
. "$HERE/kernel_log.sh"
# shellcheck source=tests/selftests/areas.sh
. "$HERE/areas.sh"
# shellcheck source=tests/selftests/disks.sh
. "$HERE/disks.sh"
# shellcheck source=tests/selftests/processes.sh
. "$HERE/processes.sh"

# insmod does not load what the module needs of others.
modprobe -qa aead libchacha20poly1305 || true

disks_before=" $(echo /sys/block/*) "
mark_log

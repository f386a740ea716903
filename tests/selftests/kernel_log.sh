# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# The kernel's log; sourced, not run.
# shellcheck disable=SC2154 # what lib.sh sets

# shellcheck source=scripts/kernel-faults.sh
. "$ROOT/scripts/kernel-faults.sh"

# The log is emptied when it is read, or reading it would take longer and longer; all of it
# since the promise began is in $log.kernel. The mark is a number of its lines.
take_log() {
	dmesg -r -c >>"$log.kernel"
}

mark_log() {
	take_log
	mark=$(wc -l <"$log.kernel")
}

# The lines since the last mark, each with its <level>.
raw_log_since() {
	take_log
	tail -n "+$((mark + 1))" "$log.kernel"
}

# The same without what comes before the text.
log_since() {
	raw_log_since | sed -E 's/^<[0-9]+>\[ *[0-9.]+\](\[ *[TC][0-9]+\])? //'
}

# kernel_has OPTION [VALUE], as KASAN; the value is a regular expression. Also in a machine that
# has little of its host. Debian's kernels do not tell it themselves.
kernel_has() {
	{ zcat /proc/config.gz || cat "/lib/modules/$(uname -r)/config"; } 2>/dev/null |
		grep "^CONFIG_$1=${2:-y}" >/dev/null
}

# has_compressor NAME: our own, or one of the crypto API, built in or as a module.
has_compressor() {
	local option=${1%-rle}
	[[ $1 == wlz* ]] || kernel_has "CRYPTO_${option^^}" '[ym]'
}

# Of the kernel itself, not of programs that write to /dev/kmsg. Where it finds races of
# its own they are warnings, too; those of ours are looked for after each promise.
warnings() {
	kernel_has KCSAN || raw_log_since | grep '^<[0-4]>' || true
}

# one_line REGEX: since the mark, ghostswap said one thing, and it was this.
one_line() {
	local ours
	mapfile -t ours < <(log_since | grep '^ghostswap: ' || true)
	equal "lines of ghostswap in the log (${ours[*]})" 1 "${#ours[@]}"
	[[ ${ours[0]} =~ $1 ]] || fail "the log says \"${ours[0]}\", which does not fit \"$1\""
}

# gives_reason ERROR REGEX COMMAND...: it gives the error, and ghostswap one line in the log.
gives_reason() {
	mark_log
	gives "$1" "${@:3}"
	one_line "$2"
}

# What the kernel complained of since the promise began.
complaints() {
	local line
	take_log
	while IFS= read -r line; do
		! is_fault "$line" || echo "$line"
	done < <(grep -E "$FAULT" "$log.kernel")
}

# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# What benchmarks share beside scripts/lib.sh; sourced, not run.

BENCH=$ROOT/tests/bench
BENCH_BUILD=$BUILD/bench

# build_program FILE SOURCE...: a static program from the first source, if any of them
# has changed.
build_program() {
	local source program=$1
	shift
	for source; do
		if [[ ! $program -nt $source ]]; then
			mkdir -p "${program%/*}"
			gcc -O2 -Wall -static -o "$program.$$" "$1"
			mv "$program.$$" "$program"
			return
		fi
	done
}

# make_corpus PAGES: a file with them, $BENCH_BUILD/corpus. The same pages for as long
# as the directory lives, so that runs compare.
make_corpus() {
	local corpus=$BENCH_BUILD/corpus
	[[ ! $corpus -nt $BENCH/corpus || $(stat -c %s "$corpus") != $(($1 * 4096)) ]] || return 0
	say "Making $1 pages of a Python program's heap in $corpus (usually 2 seconds) ..."
	mkdir -p "$BENCH_BUILD"
	"$BENCH/corpus" "$corpus.$$" "$1"
	mv "$corpus.$$" "$corpus"
}

# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Build and run the host tests; sourced by the scripts here.

# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

cargo=${CARGO:-cargo}
target=${CARGO_TARGET_DIR:-$CACHE/cargo-target}

# The target directories are shared by all working trees; see claim_target().
lock host-tests

# Each NAME has a target directory: a change of flags would rebuild everything.
declare -A rustflags=([random]='' [loom]='--cfg loom' [fuzz]='--cfg fuzzing')

# What libFuzzer must be told of a run, as cargo-fuzz asks rustc for it. Compares are
# left out: with them it would forge checksums.
rustflags[fuzz]+=" -Ccodegen-units=1 -Cpasses=sancov-module"
for flag in level=4 inline-8bit-counters pc-table; do
	rustflags[fuzz]+=" -Cllvm-args=-sanitizer-coverage-$flag"
done

# use_tree NAME TREE: what is built from now on is TREE's.
use_tree() {
	claim_target "$target/$1" "$2" "the $1 tests" \
		run_cargo "$1" "$2" clean --quiet -p ghostswap-core
}

# run_cargo NAME TREE COMMAND ARGUMENT...
run_cargo() (
	cd "$2/tests/host"
	export CARGO_TARGET_DIR=$target/$1 RUSTFLAGS=${rustflags[$1]}
	local target_flags=()
	# So that the flags are not for what runs while building.
	[[ $1 != fuzz ]] || target_flags=(--target x86_64-unknown-linux-gnu)
	exec "$cargo" "$3" "${target_flags[@]}" "${@:4}"
)

# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# What the scripts share; sourced, not run.
# shellcheck disable=SC2034 # what is set here is used elsewhere

set -euo pipefail

# Output of other tools is parsed, so it must not be translated.
export LC_ALL=C

# A make that started the script must not pass its flags on to a make that the script starts.
unset MAKEFLAGS MFLAGS MAKELEVEL

# Debian keeps depmod and mkswap where only root looks.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

ROOT=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/ghostswap
BUILD=$ROOT/build

# Where scripts/setup notes the tools to build with, as NAME=value lines that
# both the shell and make can read.
TOOLCHAIN=$CACHE/toolchain
VENV=$CACHE/venv

# Messages go to stderr: stdout belongs to what a script was asked to print.
say() {
	printf '%s\n' "$*" >&2
}

die() {
	say "${0##*/}: $*"
	exit 1
}

have() {
	command -v "$1" >/dev/null 2>&1
}

# Write stdin to FILE so that a reader sees all of it or none.
write_atomically() {
	mkdir -p "$(dirname "$1")"
	cat >"$1.$$"
	mv -f "$1.$$" "$1"
}

# lock NAME: hold an exclusive lock until the script exits. Programs that the script
# starts inherit it, so it is held while they still write.
declare -A locks=()
lock() {
	local fd
	[[ -z ${locks[$1]:-} ]] || return 0
	mkdir -p "$CACHE"
	exec {fd}>"$CACHE/$1.lock"
	locks[$1]=$fd
	if ! flock --nonblock "$fd"; then
		say "Waiting for another run to finish its $1 step ..."
		flock "$fd"
	fi
}

# Print the code name of this machine's release of Debian.
codename() {
	sed -n 's/^VERSION_CODENAME=//p' /etc/os-release
}

# Print the mirror that apt gets that release from.
mirror() {
	local uri
	# shellcheck disable=SC2016 # the $ are for apt
	uri=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' \
		'Created-By: Packages' | awk -v suite="$(codename)" \
		'$2 == "main" && ($1 == suite || !uri) { uri = $3 } $1 == suite { exit } END { print uri }')
	[[ -n $uri ]] && echo "$uri"
}

# Print a short name for the text on stdin.
short_hash() {
	sha256sum | cut -c1-12
}

# Quote the arguments for a POSIX shell.
shell_quote() {
	local arg
	for arg; do
		printf "'%s' " "${arg//\'/\'\\\'\'}"
	done
}

# progress DONE TOTAL TEXT: show how far a step is. On a terminal one line is
# redrawn, else a line is printed every half minute.
progress() {
	local percent=$(($1 * 100 / $2))
	((percent < 99)) || percent=99
	if [[ -t 2 ]]; then
		printf '\r  %3d%%  %s\033[K' "$percent" "$3" >&2
	elif ((SECONDS - ${progress_last:=$SECONDS} >= 30)); then
		progress_last=$SECONDS
		say "  $percent%  $3"
	fi
}

progress_end() {
	[[ ! -t 2 ]] || printf '\r\033[K' >&2
}

# load_toolchain KERNEL: set the tools that scripts/setup found, as shell variables, and
# in $make_flags for the make of that kernel and of modules built against it.
load_toolchain() {
	local name value
	make_flags=()
	case $1 in
	um | arm64) make_flags=("ARCH=$1") ;;
	esac
	while IFS='=' read -r name value; do
		[[ $name != \#* ]] || continue
		printf -v "$name" %s "$value"
		[[ $name == CARGO ]] || make_flags+=("$name=$value")
	done <"$TOOLCHAIN"
}

# Use the cargo that scripts/setup found, with one target directory for all builds.
use_cargo() {
	load_toolchain test
	export CARGO CARGO_TARGET_DIR=$CACHE/cargo-target
}

# claim_target DIR TREE WHAT FORGET...: what cargo builds for WHAT in DIR, its target directory, is
# TREE's from now on. All working trees share it, for the sake of the dependencies, which are
# the same. Cargo tells packages of one name apart by their paths below the working directory, so
# another tree's would pass for ours: the command FORGET removes them. The caller has a lock.
claim_target() {
	local dir=$1 tree=$2
	if [[ ! -d $dir ]]; then
		say "Fetching and building for $3, in $dir (usually a minute) ..."
	elif [[ $(cat "$dir/.tree" 2>/dev/null) != "$tree" ]]; then
		"${@:4}"
	fi
	mkdir -p "$dir"
	echo "$tree" >"$dir/.tree"
}

# draw_for MINUTES: for random tests, set $minutes and $seed from the environment's MINUTES
# and SEED. By default they are the argument, and a random number.
draw_for() {
	minutes=${MINUTES:-$1}
	[[ $minutes =~ ^[1-9][0-9]*$ ]] || die "MINUTES: not a number: $minutes"
	seed=${SEED:-$((RANDOM % 10000))}
	[[ $seed =~ ^[0-9]+$ ]] || die "SEED: not a number: $seed"
}

toolchain_versions() {
	"$RUSTC" -vV
	"clang$LLVM" --version
	"ld.lld$LLVM" --version
	"$BINDGEN" --version
}

# use_tools_of KERNEL DIRECTORY: set $make and $make_flags for modules for what scripts/kernel said
# is the directory of that kernel.
use_tools_of() {
	make=(make)
	if [[ -n ${KDIR:-} ]]; then
		tools_from_environment
	elif [[ -d $2/root ]]; then
		# The compiler of a kernel that Debian built; the tools are named in the directory.
		make=("$ROOT/scripts/in-root" "$2/root" make) make_flags=()
	else
		load_toolchain "$1"
	fi
}

# Set $make_flags for a kernel tree in KDIR: the user names its tools in the environment.
tools_from_environment() {
	local name
	make_flags=()
	for name in ARCH CROSS_COMPILE LLVM CC LD HOSTCC RUSTC HOSTRUSTC RUSTDOC RUSTFMT CLIPPY_DRIVER BINDGEN; do
		[[ -z ${!name:-} ]] || make_flags+=("$name=${!name}")
	done
}

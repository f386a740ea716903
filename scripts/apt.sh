# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Packages that apt does not install: kernels, their sources, compilers of another release;
# sourced after lib.sh, not run. They come from the mirror that apt uses, through a private
# directory: the machine's own sources, lists and caches stay as they are, and apt needs no
# root. The caller sets it:
#
#	apt         the directory
#	apt_status  the packages that count as installed: those of the machine by default
#	apt_architecture  what they are for: the machine by default
# shellcheck disable=SC2154 # what the caller sets

# private apt-get|apt-cache ARGUMENT...
private() {
	local program=$1
	shift
	"$program" -q \
		-o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=- \
		-o Dir::State="$apt" -o Dir::State::status="${apt_status:-/var/lib/dpkg/status}" \
		${apt_architecture:+-o APT::Architecture="$apt_architecture" -o APT::Architectures="$apt_architecture"} \
		-o Dir::Cache="$apt/cache" -o APT::Sandbox::User="$(id -un)" \
		-o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
		"$@"
}

# fetch_lists SUITE...: of those that the mirror has; it need not have every one.
fetch_lists() {
	local uri suite
	have apt-get || die "no apt-get here to fetch the kernel with; see scripts/kernel --help"
	uri=$(mirror) ||
		die "apt has no Debian mirror to fetch the kernel from; see scripts/kernel --help"
	say "Looking at the packages of $* on $uri (usually 20 seconds) ..."
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
	: >"$apt/sources.list"
	for suite; do
		echo "deb $uri $suite main" >"$apt/sources.list.try"
		if private apt-get -o Dir::Etc::SourceList="$apt/sources.list.try" \
			-o APT::Get::List-Cleanup=false update >"$apt/update.log" 2>&1; then
			cat "$apt/sources.list.try" >>"$apt/sources.list"
		else
			say "  $suite: not used ($(grep -m1 '^[EW]:' "$apt/update.log" || echo "see $apt/update.log"))"
		fi
	done
}

# candidate PACKAGE: print the version that apt would take; nothing if there is none.
candidate() {
	private apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: \([0-9].*\)/\1/p'
}

# quietly COMMAND...: its output is shown only if it fails.
quietly() {
	"$@" >"$apt/download.log" 2>&1 || {
		cat "$apt/download.log" >&2
		return 1
	}
}

# fetch_source PACKAGE VERSION DIRECTORY: unpacked beside it and then moved, so that a
# directory of that name is complete.
fetch_source() {
	local package=$1 version=$2 directory=$3 tmp
	say "Fetching Debian's $package $version (150 MB) into $directory"
	say "(usually 1 to 2 minutes; 1.8 GB unpacked) ..."
	mkdir -p "${directory%/*}"
	tmp=$(mktemp -d "${directory%/*}/tmp.XXXXXX")
	# shellcheck disable=SC2064 # $tmp is local, so it is expanded now
	trap "rm -rf '$tmp'" EXIT
	# Joined by &&: a shell ignores "set -e" in commands before ||.
	(
		cd "$tmp" &&
			quietly private apt-get download "$package=$version" &&
			dpkg-deb --fsys-tarfile ./*.deb |
			tar -xO "./usr/src/$package.tar.xz" >source.tar.xz &&
			mkdir unpacked &&
			tar -xJf source.tar.xz -C unpacked --strip-components=1 &&
			mv unpacked "$directory"
	) || die "could not fetch $package $version; try: scripts/kernel --update"
	rm -rf "$tmp"
	trap - EXIT
}

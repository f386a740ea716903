# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# The user's tool, and an /etc for it; sourced, not run.
# shellcheck disable=SC2154 # what lib.sh sets

# It is built for the host alone. Where it should be and is not, that is a failure.
have_tool() {
	[[ $(uname -m) == x86_64 ]] || skip "no ghostswapctl for $(uname -m)"
}

ctl() {
	"$BUILD/ghostswapctl" "$@"
}

# An /etc whose fstab is of the promise, for as long as that lasts. Its last line has no
# end, and another one is no text.
own_fstab() {
	mkdir etc.upper etc.work
	mount -t overlay -o "lowerdir=/etc,upperdir=$work/etc.upper,workdir=$work/etc.work" etc /etc
	afterwards umount /etc
	printf '# \377\n/dev/none /none ext4 noauto 0 0' >fstab.test
	cat fstab.test >/etc/fstab
	chmod 640 /etc/fstab
}

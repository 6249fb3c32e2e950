# SPDX-License-Identifier: GPL-2.0-or-later
# Once a run: finds out what this machine offers, and makes the data that every suite moves.
# A requirement that a test may name is a feature that xprobe knows, or a function here_NAME.
set -euo pipefail

here_root() { ((EUID == 0)); }
here_user() { ((EUID != 0)); }
here_sys-resource() { ((0x$(sed -n 's/^CapEff:\t//p' /proc/self/status) >> 24 & 1)); }
here_socat() { command -v socat; }
here_jq() { command -v jq; }
here_script() { command -v script; }
here_userns() { unshare -rm mount -t tmpfs none /mnt; }
here_loop() {
	local device
	here_root && truncate -s 1M "$BATS_SUITE_TMPDIR/disk" || return
	device=$(losetup -f --show "$BATS_SUITE_TMPDIR/disk") && losetup -d "$device"
}
here_tcp6() {
	perl -MSocket -e 'socket(S, AF_INET6, SOCK_STREAM, 0) &&
		bind(S, pack_sockaddr_in6(0, "\0" x 15 . "\1")) or exit 1'
}
here_fuse() {
	# shellcheck disable=SC2046  # flags are words
	[[ -w /dev/fuse ]] && command -v fusermount3 &&
		cc -o "$BATS_SUITE_TMPDIR/fusedir" "$SUITES/fusedir.c" \
			$(pkg-config --cflags --libs fuse3)
}
here_reader() { cc -O2 -o "$BATS_SUITE_TMPDIR/reader" "$SUITES/reader.c"; }
# cause.c makes things happen faster than commands do.
here_cause() { cc -o "$BATS_SUITE_TMPDIR/cause" "$SUITES/cause.c"; }
here_strace() { strace -o /dev/null true; }
here_setpriv() { here_root && setpriv --reuid=65534 --clear-groups true; }
here_ext4() { here_loop && command -v mkfs.ext4 debugfs; }
here_keyctl() { keyctl show @u; }
here_kallsyms() { head -c 3000000 /proc/kallsyms; }
here_x86-64() { [[ $(uname -m) == x86_64 ]]; }
here_gnu-tee() { [[ $(tee --version) == *GNU* ]]; }
here_asan() { [[ -n ${ASAN:-} ]]; }
here_python() { /usr/bin/python3 -c 'import os; os.splice'; }
here_fio() { fio --enghelp | grep -qw splice; }
here_xfs_io() { command -v xfs_io; }
here_nginx() { command -v nginx; }
here_pv() { command -v pv; }

setup_suite() {
	local name features
	SUITES=$(cd "${BATS_TEST_DIRNAME:-$(dirname "${BASH_SOURCE[0]}")}" && pwd)
	features=$(xprobe)
	XP_KNOWN=$(awk 'NR > 1 { printf " %s", $1 }' <<<"$features")
	XP_HERE=$(awk '$2 == "native" { printf " %s", $1 }' <<<"$features")
	export XP_KNOWN XP_HERE
	for name in $(compgen -A function here_); do
		XP_KNOWN+=" ${name#here_}"
		if (set +e; "$name") >/dev/null 2>&1; then XP_HERE+=" ${name#here_}"; fi
	done
	printf '# here:%s\n' "$XP_HERE" >&3

	# Larger than the largest pipe, and no multiple of a page.
	head -c $(((2 << 20) + 4321)) /dev/urandom >"$BATS_SUITE_TMPDIR/data"
	head -c 20001 /dev/urandom >"$BATS_SUITE_TMPDIR/small"
	# A terminal hands over lines, and its line discipline holds 4096 bytes: script(1) loses the
	# rest.
	head -c 2500 /dev/urandom | base64 >"$BATS_SUITE_TMPDIR/text"
	chmod a-w "$BATS_SUITE_TMPDIR"/{data,small,text}
}

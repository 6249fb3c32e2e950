# SPDX-License-Identifier: GPL-2.0-or-later
# xfuse where calls are refused and pipes are small: the same contents by another way.
load helper
load xfusing

SIZES=(0 1 4080 4095 4096 4097 65520 65536 131056 131072 131073 1048560 1048576 1048577 2105473)

# make_source - files about as long as what a page, a pipe and a request hold, in ./source.
make_source() {
	local size
	mkdir source
	cat "$DATA" "$SMALL" >all
	for size in "${SIZES[@]}"; do head -c "$size" all >"source/$size"; done
	random 3000001 >source/random
}

# arrives OPTION... - all that is in ./source arrives, read in several ways.
arrives() {
	local size
	serve "$@" source
	identical source
	dd if=mnt/random bs=1M iflag=direct status=none | cmp - source/random
	dd if=mnt/random bs=512 status=none | cmp - source/random
	"$READER" agree direct 100 1 0 source/random mnt/random
	"$READER" agree read 100 2 0 source/random mnt/random
	"$READER" agree map 50 3 0 source/random mnt/random
	release
	holds '.errors == 0 and .bytes == ([.replies[].bytes] | add)' stats
}

@test "each way is the one that was asked for" {
	requires fuse jq reader
	make_source
	arrives --via=splice
	spliced splice vmsplice
	holds '.fallback == null' stats
	arrives --via=copy
	by copy
	holds '.method == "copy" and .fallback == null' stats
	arrives
	by splice vmsplice copy
}

@test "the header's page is shared where vmsplice shares pages" {
	requires fuse jq reader vmsplice-shares
	make_source
	arrives --via=splice
	spliced vmsplice
	holds '.method == "vmsplice"' stats
}

# Under a filter fusermount3 gains no privilege, so that only root can mount.
@test "vmsplice refused: the same contents, by splice alone" {
	requires fuse jq reader root
	local error
	make_source
	for error in ENOSYS EPERM EINVAL EOPNOTSUPP; do
		UNDER=(xdeny "vmsplice=$error" --)
		arrives --via=splice
		spliced splice
		holds '.method == "splice"' stats
		arrives
		by splice copy
	done
}

@test "splice refused: the same contents, by copying, and it is said why" {
	requires fuse jq reader root
	local error
	make_source
	for error in ENOSYS EPERM EINVAL; do
		UNDER=(xdeny "splice=$error" --)
		arrives --via=splice --explain
		by copy
		holds '.method == "copy" and (.fallback | type) == "string"' stats
		grep -qE '^xfuse: .*copy' err
		arrives
		by copy
	done
}

@test "tee refused: the same contents, by the same ways" {
	requires fuse jq reader root
	local error
	make_source
	for error in ENOSYS EPERM EINVAL; do
		UNDER=(xdeny "tee=$error" --)
		arrives --via=splice
		spliced splice vmsplice
		arrives --via=copy
		by copy
	done
}

@test "splice, vmsplice and tee refused at once: copying needs none of them" {
	requires fuse jq reader root
	make_source
	UNDER=(xdeny splice=ENOSYS vmsplice=ENOSYS tee=ENOSYS --)
	arrives --via=copy
	by copy
	holds '.fallback == null' stats
	arrives
	by copy
}

@test "a splice that fails once, anywhere, changes no byte of what arrives" {
	requires fuse jq root
	local n error
	random 500000 >original
	for error in EINTR EAGAIN EINVAL ENOMEM; do
		for n in 1 2 3 5 8 13 21; do
			UNDER=(xdeny "splice@$n=$error" --)
			serve --via=splice original
			# A read may fail then, but what arrives is right.
			cat mnt/original >got 2>failed || [[ -s failed ]]
			cmp -n "$(stat -c %s got)" original got
			cmp original mnt/original
			release
		done
	done
}

@test "--no-fallback where splice is refused: status 3, and nothing is mounted" {
	requires fuse root
	mkdir mnt
	local option
	for option in '' -f; do
		# shellcheck disable=SC2086  # a word, or none
		expect 3 timeout 20 xdeny splice=ENOSYS -- \
			xfuse $option --via=splice --no-fallback "$SMALL" mnt
		[[ $(wc -l <err) == 1 && $(<err) == 'xfuse: '* ]]
		[[ -z $(fuse_mounts "$PWD") ]]
	done
}

@test "--no-fallback where nothing is refused: whatever is asked for is answered" {
	requires fuse jq reader
	make_source
	arrives --via=splice --no-fallback
	by splice vmsplice
	holds '.fallback == null' stats
}

# -------------------------------------------------------------------------------- pipes

@test "pipes that cannot be made larger: requests of 1 MiB are answered" {
	requires fuse jq reader root
	make_source
	UNDER=(xdeny fcntl:F_SETPIPE_SZ=EPERM --)
	arrives --via=splice
	arrives
}

# Beyond its share of pages for pipes, an ordinary user's new pipes hold two of them.
@test "pipes of two slots: requests of 1 MiB are answered" {
	requires fuse jq reader user
	local share
	share=$(</proc/sys/fs/pipe-user-pages-soft)
	((share > 0)) || fail "no share of pages for pipes is set here"
	fifo used
	spawn perl -e '
		my ($pages, @pipes) = @ARGV;
		for (my $had = 0; $had < $pages; $had += 256) {
			pipe my $r, my $w or die "pipe: $!\n";
			push @pipes, $r, $w;
			fcntl $w, 1031, 1 << 20 or last;
		}
		for (1 .. 64) {
			pipe my $r, my $w or die "pipe: $!\n";
			push @pipes, $r, $w;
			last if fcntl($w, 1032, 0) <= 8192;
		}
		$| = 1;
		print fcntl($pipes[-1], 1032, 0), "\n";
		sleep 1000' "$share" >&"$FD"
	read -r -t 30 <&"$FD"
	((REPLY <= 8192)) || fail "new pipes have $REPLY bytes"
	make_source
	arrives --via=splice
	arrives
}

# The limit itself is everybody's, and others measure pipes meanwhile: here xfuse alone is told of
# a lower one, and is refused what that would forbid.
@test "a lower limit on pipes: requests of 1 MiB are answered" {
	requires fuse jq reader root
	local via
	make_source
	echo 65536 >limit
	for via in splice auto; do
		cat >within <<-'END'
			mount --bind limit /proc/sys/fs/pipe-max-size
			xdeny fcntl:F_SETPIPE_SZ=EPERM -- xfuse --stats=json --via="$1" source mnt
			dd if=mnt/random bs=1M iflag=direct status=none | cmp - source/random
			cmp source/1048577 mnt/1048577
			"$2" agree direct 100 1 0 source/random mnt/random
			fusermount3 -u mnt
		END
		mkdir -p mnt
		expect 0 timeout 60 unshare -m --propagation private \
			bash -e -o pipefail within "$via" "$READER"
		eventually grep -q '^{.*}$' err
		holds '.errors == 0 and .bytes > 3000000' err
	done
}

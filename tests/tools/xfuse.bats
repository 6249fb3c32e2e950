# SPDX-License-Identifier: GPL-2.0-or-later
# xfuse: what it shows is what its source is.
load helper
load xfusing

TREE=$BATS_FILE_TMPDIR/tree   # ten thousand files of this machine's, and odd ones
SPARSE=$BATS_FILE_TMPDIR/sparse
SIZE=$((5 * 1024 ** 3 + 4321)) # its bytes, with data here and there

setup_file() {
	offers fuse || return 0
	mkdir "$BATS_FILE_TMPDIR/tree"
	head -z -n 10000 < <(cd / && find usr/include usr/share usr/lib -xdev \
		! -readable -prune -o -type f -size -128k -print0) >"$BATS_FILE_TMPDIR/list"
	tar -C / --null -T "$BATS_FILE_TMPDIR/list" -c |
		tar -x --no-same-owner -C "$BATS_FILE_TMPDIR/tree"
	make_odd "$BATS_FILE_TMPDIR/tree/odd"
	truncate -s $((5 * 1024 ** 3 + 4321)) "$BATS_FILE_TMPDIR/sparse"
	local at
	for at in 0 1073741824 4294966272 4294967296 4295000001 4831838208 5368700000; do
		dd if="$DATA" of="$BATS_FILE_TMPDIR/sparse" bs=1M oflag=seek_bytes seek=$at \
			conv=notrunc status=none
	done
	truncate -s $((5 * 1024 ** 3 + 4321)) "$BATS_FILE_TMPDIR/sparse"
}

teardown_file() { find "$BATS_FILE_TMPDIR" -xdev -mindepth 1 -delete; }

# make_odd DIRECTORY - what a tree of headers and documents lacks: names, sizes, types, links,
# times.
make_odd() {
	local name size
	mkdir "$1"
	for name in ' ' 'two words' $'two\nlines' $'\xff\xfe' $'latin \xe9' -rf '*' 'a\b' "it's" \
		.hidden "$(printf '%0255d' 0)"; do
		printf '%s' "$name" >"$1/$name"
	done
	for size in 0 1 4095 4096 4097 65535 65536 131071 131072 131073 1048576 2000003; do
		head -c "$size" "$DATA" >"$1/size.$size"
	done
	for name in 0400 0444 0600 0755 1644 2755 4755; do
		cp "$SMALL" "$1/mode.$name"
		chmod "$name" "$1/mode.$name"
	done
	mkdir -p "$1/empty" "$1/sticky" "$1"/deep/{a,b}/c/d/e/f/g
	chmod 1777 "$1/sticky"
	cp "$SMALL" "$1/linked"
	ln "$1/linked" "$1/deep/a/linked too"
	ln -s linked "$1/to file"
	ln -s . "$1/to itself"
	ln -s /nowhere/at/all "$1/dangling"
	ln -s "$(printf '%04000d' 0)" "$1/long"
	mkfifo "$1/fifo"
	perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0);
		chdir $ARGV[0]; bind(S, pack_sockaddr_un("socket")) or die' "$1"
	touch -d @-86400.25 "$1/size.0"
	touch -d 2038-01-20T00:00:00.999999999Z "$1/size.1"
	touch -h -d @1 "$1/dangling"
	touch -d @7.5 "$1/empty"
}

@test "ten thousand files, by each way: the same names, attributes and contents" {
	requires fuse jq
	local via
	(($(find "$TREE" -type f | wc -l) > 10000))
	for via in "${VIAS[@]}"; do
		serve --via=$via "$TREE"
		identical "$TREE"
		release
		holds '.errors == 0 and .bytes == ([.replies[].bytes] | add)' stats
		case $via in
		splice) by splice vmsplice ;;
		copy) by copy ;;
		esac
	done
}

@test "hard links are one file, symbolic links are read as they are" {
	requires fuse
	serve "$TREE/odd"
	[[ $(stat -c '%i %h' mnt/linked) == "$(stat -c '%i %h' 'mnt/deep/a/linked too')" ]]
	[[ $(stat -c %h mnt/linked) == 2 ]]
	[[ $(readlink mnt/dangling) == /nowhere/at/all ]]
	[[ $(readlink mnt/long) == "$(readlink "$TREE/odd/long")" ]]
	cmp "$TREE/odd/linked" 'mnt/to file'
	cmp "$TREE/odd/linked" 'mnt/to itself/to itself/linked'
	expect 1 cat mnt/dangling
	release
}

@test "twenty thousand entries in a directory, each once, from any place on" {
	requires fuse
	mkdir source
	perl -e 'for (1 .. 20000) { open my $f, ">", "source/$_" . "x" x ($_ % 50) or die "$!" }'
	serve source
	find source -mindepth 1 -printf '%f\n' | sort >want
	find mnt -mindepth 1 -printf '%f\n' | sort | cmp - want
	perl -e '
		opendir my $d, "mnt" or die;
		my (@first, @again);
		push @first, scalar readdir $d for 1 .. 7000;
		my $place = telldir $d;
		push @first, $_ while defined($_ = readdir $d);
		seekdir $d, $place;
		push @again, $_ while defined($_ = readdir $d);
		"@first[7000 .. $#first]" eq "@again" or die "other entries the second time\n";
		rewinddir $d;
		my @whole;
		push @whole, $_ while defined($_ = readdir $d);
		"@whole" eq "@first" or die "other entries after rewinding\n"'
	release
}

@test "entries that vanish while a directory is read take no others with them" {
	requires fuse
	mkdir source
	perl -e 'for (1 .. 5000) { open my $f, ">", "source/$_" or die "$!" }'
	serve source
	perl -e '
		opendir my $d, "mnt" or die;
		my %seen;
		$seen{readdir $d}++ for 1 .. 1000;
		for (map { 5 * $_ } 1 .. 1000) { unlink "source/$_" or die "$!" }
		$seen{$_}++ while defined($_ = readdir $d);
		for (1 .. 5000) {
			my $times = $seen{$_} // 0;
			die "$_ came $times times\n" if $times > 1 || $times < !!($_ % 5);
		}'
	release
}

@test "a file of 5 GiB, by each way, at random places beyond 4 GiB" {
	requires fuse reader
	local via
	for via in "${VIAS[@]}"; do
		serve --via=$via "$SPARSE"
		[[ $(stat -c %s mnt/sparse) == "$SIZE" ]]
		"$READER" agree read 300 1 "$FAR" "$SPARSE" mnt/sparse
		"$READER" agree direct 300 2 "$FAR" "$SPARSE" mnt/sparse
		"$READER" agree map 100 3 "$FAR" "$SPARSE" mnt/sparse
		"$READER" agree read 100 4 0 "$SPARSE" mnt/sparse
		tail -c 100000 mnt/sparse | cmp - <(tail -c 100000 "$SPARSE")
		release
	done
}

@test "a block device, by each way: its size, and its contents" {
	requires fuse reader loop
	local via device
	random 20000256 >image # a multiple of 512, and of no page
	device=$(losetup -f --show -r image)
	LOOPS+=("$device")
	for via in "${VIAS[@]}"; do
		serve --via=$via --name=disk "$device"
		[[ $(stat -c '%F %s' mnt/disk) == 'regular file 20000256' ]]
		cmp image mnt/disk
		"$READER" agree direct 200 1 0 image mnt/disk
		"$READER" agree map 50 2 0 image mnt/disk
		[[ $(stat -c '%F %s' mnt/disk) == 'regular file 20000256' ]]
		release
		[[ $via != splice ]] || spliced splice vmsplice
	done
}

@test "eight readers at once, each at random places" {
	requires fuse reader
	local via n readers
	random 33554433 >original
	for via in "${VIAS[@]}"; do
		serve --via=$via original
		readers=()
		for n in {1..4}; do
			"$READER" agree read 150 "$n" 0 original mnt/original &
			readers+=($!)
			"$READER" agree direct 150 "$n" 0 original mnt/original &
			readers+=($!)
		done
		for n in "${readers[@]}"; do wait "$n"; done
		release
	done
}

@test "large reads are large requests: two a MiB at most" {
	requires fuse jq
	local via
	random 8388608 >original
	for via in splice copy; do
		serve --via=$via original
		dd if=mnt/original bs=1M iflag=direct status=none | cmp - original
		release
		holds '.bytes == 8388608 and .calls <= 17' stats
	done
}

@test "a single file stands in the mount under its own name, or --name's" {
	requires fuse
	serve "$DATA"
	[[ $(ls -A mnt) == data ]]
	cmp "$DATA" mnt/data
	[[ $(stat -c '%F %s %Y' mnt/data) == "$(stat -c '%F %s %Y' "$DATA")" ]]
	release
	serve --name='other name' "$SMALL"
	[[ $(ls -A mnt) == 'other name' ]]
	cmp "$SMALL" 'mnt/other name'
	absent mnt/small
	release
}

@test "a single file is mounted over an empty one, too" {
	requires fuse
	touch mount
	spawn xfuse -f "$DATA" mount 2>err
	await there mount
	cmp "$DATA" mount
	fusermount3 -u mount
	ends 0 "$PID"
	empty mount
}

@test "nothing can be written, made, removed or changed" {
	requires fuse
	mkdir source source/directory
	cp "$TEXT" source/file
	chmod u+w source/file
	listing source >before
	mkdir mnt
	expect 0 xfuse source mnt
	local command
	for command in 'touch mnt/new' 'mkdir mnt/new' 'rm -f mnt/file' 'rmdir mnt/directory' \
		'mv mnt/file mnt/other' 'ln mnt/file mnt/other' 'ln -s file mnt/other' \
		'truncate -s 0 mnt/file' 'chmod 777 mnt/file' 'touch mnt/file' 'mkfifo mnt/new' \
		'dd if=/dev/null of=mnt/file conv=notrunc'; do
		# shellcheck disable=SC2086  # words
		expect 1 $command
		grep -q 'Read-only file system' err || fail "$command: $(<err)"
	done
	findmnt -n -o OPTIONS "$PWD/mnt" | grep -qE '^ro,|,ro,|,ro$'
	fusermount3 -u mnt
	listing source | cmp - before
	cmp "$TEXT" source/file
}

@test "what changes in the source shows at the next open" {
	requires fuse
	local via size had
	mkdir source
	for via in "${VIAS[@]}"; do
		cp "$DATA" source/file
		chmod u+w source/file
		serve --via=$via source
		cmp source/file mnt/file
		for size in 2000000 1048577 131073 131072 4097 4096 4095 1 0; do
			truncate -s $size source/file
			cmp source/file mnt/file
			dd if=mnt/file bs=1M iflag=direct status=none | cmp - source/file
			[[ $(stat -c %s mnt/file) == "$size" ]]
		done
		for size in 1 5000 131000 131073 2000000; do
			had=$(stat -c %s source/file)
			head -c $size "$DATA" | tail -c +$((had + 1)) >>source/file
			cmp source/file mnt/file
			cmp -n $size "$DATA" mnt/file
			dd if=mnt/file bs=1M iflag=direct status=none | cmp - source/file
			[[ $(stat -c %s mnt/file) == "$size" ]]
		done
		random 2000000 | dd of=source/file conv=notrunc status=none
		cmp source/file mnt/file
		mv source/file source/moved
		absent mnt/file
		cmp source/moved mnt/moved
		cp -f "$SMALL" source/file
		cmp "$SMALL" mnt/file
		chmod 640 source/moved
		[[ $(stat -c %a mnt/moved) == 640 ]]
		rm -f source/*
		[[ -z $(ls -A mnt) ]]
		release
	done
}

@test "a file that was opened before it grew and shrank is read as it is now" {
	requires fuse
	mkdir source
	cp "$SMALL" source/file
	chmod u+w source/file
	serve source
	exec {file}<mnt/file
	cmp source/file "/proc/self/fd/$file"
	cat "$DATA" >>source/file
	eventually same_from_start "$file"
	truncate -s 10000 source/file
	eventually same_from_start "$file"
	exec {file}<&-
	release
}

# same_from_start FD - what can be read there, from the start on, is source/file.
same_from_start() {
	perl -e 'seek STDIN, 0, 0; local $/; print <STDIN>' <&"$1" | cmp - source/file
}

@test "a mount point within the source does not show itself without end" {
	requires fuse
	mkdir source
	cp "$SMALL" source/file
	mkdir source/mnt
	serve_into source source/mnt
	cmp "$SMALL" source/mnt/file
	timeout 30 find source/mnt >found || true
	(($(wc -l <found) < 6))
	lacks '/mnt/mnt/mnt' found
	fusermount3 -u source/mnt
	ends 0 "$PID"
}

# serve_into SOURCE MOUNTPOINT
serve_into() {
	spawn xfuse -f "$1" "$2" 2>err
	await there "$2"
}

# ------------------------------------------------------------------------------ whose files

@test "root serves everybody's files, and shows them to whom they belong" {
	requires fuse setpriv
	local nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	mkdir source
	cp "$SMALL" source/open
	cp "$SMALL" source/theirs
	cp "$SMALL" source/ours
	chown 65534:65534 source/theirs
	chmod 600 source/theirs source/ours
	chmod 711 "$BATS_RUN_TMPDIR" "$BATS_TEST_TMPDIR/.." . source
	serve -o allow_other source
	cmp "$SMALL" mnt/theirs
	cmp "$SMALL" mnt/ours
	if "${nobody[@]}" test -x "$PWD/mnt"; then
		"${nobody[@]}" cat mnt/open | cmp - "$SMALL"
		"${nobody[@]}" cat mnt/theirs | cmp - "$SMALL"
	else
		fail "others cannot get into the mount"
	fi
	expect 1 "${nobody[@]}" cat mnt/ours
	grep -q 'Permission denied' err
	fusermount3 -u mnt
	ends 0 "$PID"
}

@test "without allow_other nobody else gets in" {
	requires fuse setpriv
	serve "$SMALL"
	expect 1 setpriv --reuid=65534 --clear-groups cat mnt/small
	grep -q 'Permission denied' err
	fusermount3 -u mnt
	ends 0 "$PID"
}

@test "a file without permission says so, and its neighbours are read" {
	requires fuse user
	mkdir source
	cp "$SMALL" source/secret
	cp "$SMALL" source/file
	chmod 0 source/secret
	serve source
	expect 1 cat mnt/secret
	grep -q 'Permission denied' err
	cmp "$SMALL" mnt/file
	fusermount3 -u mnt
	ends 0 "$PID"
}

# -------------------------------------------------------------------------------- options

@test "without -f it is back as soon as the mount is there, and ends with it" {
	requires fuse jq
	mkdir mnt
	expect 0 xfuse "$DATA" mnt
	silent
	cmp "$DATA" mnt/data
	fusermount3 -u mnt
	absent mnt/data
	xfuse --stats=json "$DATA" mnt 2>>err
	cmp "$DATA" mnt/data
	fusermount3 -u mnt
	eventually grep -q '^{.*}$' err
	holds '.tool == "xfuse" and .bytes >= 2101473' err
}

@test "in the background it lets go of its standard input and output, and of its directory" {
	requires fuse
	mkdir mnt elsewhere
	mkfifo in
	exec {in}<>in
	(cd elsewhere && xfuse "$SMALL" ../mnt <&"$in" 2>/dev/null) | cat >out
	empty out
	rmdir elsewhere
	cmp "$SMALL" mnt/small
	fusermount3 -u mnt
}

@test "what was wrong is said before it goes into the background" {
	requires fuse
	mkdir mnt
	expect 1 xfuse missing mnt
	said "xfuse: reading 'missing': No such file or directory"
	expect 1 xfuse "$SMALL" nowhere
	said "xfuse: mounting 'nowhere': No such file or directory"
	[[ -z $(fuse_mounts "$PWD") ]]
}

@test "SIGINT, SIGTERM and SIGHUP unmount, print --stats, and end it with 0" {
	requires fuse jq
	local name
	for name in INT TERM HUP; do
		serve "$DATA"
		cmp "$DATA" mnt/data
		signal $name "$PID"
		finished
		holds '.tool == "xfuse" and .bytes >= 2101473 and (.seconds | type) == "number" and
			(.method | IN("splice", "vmsplice", "copy")) and .fallback == null and
			.calls >= 1 and .errors == 0' stats
		[[ $(wc -l <err) == 1 ]]
	done
}

@test "a signal unmounts also while a file is open" {
	requires fuse
	serve "$DATA"
	exec {file}<mnt/data
	signal TERM "$PID"
	finished
	expect 1 cat <&"$file"
	exec {file}<&-
}

@test "SIGUSR1 prints a line, and it goes on" {
	requires fuse
	mkdir mnt
	fifo messages
	spawn xfuse -f "$SMALL" mnt 2>messages
	await there mnt
	cmp "$SMALL" mnt/small
	signal USR1 "$PID"
	read -r -t 30 <&"$FD"
	[[ $REPLY == *20001* || $REPLY == *KiB* ]]
	cmp "$SMALL" mnt/small
	fusermount3 -u mnt
	ends 0 "$PID"
}

@test "--stats is one readable line" {
	requires fuse
	mkdir mnt
	spawn xfuse -f --stats "$SMALL" mnt 2>err
	await there mnt
	cmp "$SMALL" mnt/small
	fusermount3 -u mnt
	ends 0 "$PID"
	[[ $(wc -l <err) == 1 ]]
	grep -q '20001.*\(splice\|copy\)' err
}

@test "--explain says which way, and with auto what was measured" {
	requires fuse
	local via
	mkdir mnt
	for via in "${VIAS[@]}"; do
		spawn xfuse -f --explain --via=$via "$DATA" mnt 2>err
		await there mnt
		cmp "$DATA" mnt/data
		fusermount3 -u mnt
		ends 0 "$PID"
		grep -qE '^xfuse: .*(splice|copy)' err
		case $via in
		auto) grep -qE '^xfuse: .*(splice|copy).*[0-9]' err ;;
		copy) lacks '^xfuse: .*by splice' err ;;
		esac
	done
}

@test "-o reaches the mount" {
	requires fuse
	mkdir mnt
	local fsname
	for fsname in some-name with.dot; do
		expect 0 xfuse -o fsname=$fsname "$SMALL" mnt
		[[ $(findmnt -n -o SOURCE,FSTYPE "$PWD/mnt") == "$fsname"*fuse.xfuse ]]
		cmp "$SMALL" mnt/small
		fusermount3 -u mnt
	done
	expect 0 xfuse -o noexec -o nodev,noatime "$SMALL" mnt
	[[ $(findmnt -n -o OPTIONS "$PWD/mnt") == *noexec* ]]
	fusermount3 -u mnt
	expect 0 xfuse "$SMALL" mnt
	[[ $(findmnt -n -o SOURCE,FSTYPE "$PWD/mnt") == "$SMALL"*fuse.xfuse ]]
	fusermount3 -u mnt
}

# ------------------------------------------------------------------------------ bad input

# rejected STATUS LINE ARGUMENT... - xfuse says LINE, whether in the background or not, and mounts
# nothing.
rejected() {
	local option
	for option in '' -f; do
		# shellcheck disable=SC2086  # a word, or none
		expect "$1" timeout 20 xfuse $option "${@:3}" >stdout
		said "$2"
		empty stdout
		[[ -z $(fuse_mounts "$PWD") ]]
	done
}

@test "a mount point that cannot be one is named" {
	requires fuse
	mkdir full mnt
	touch file full/.hidden
	echo text >text
	rejected 1 "xfuse: mounting 'nowhere': No such file or directory" "$SMALL" nowhere
	rejected 1 "xfuse: mounting 'file': Not a directory" full file
	rejected 1 "xfuse: mounting 'text': File not empty" "$SMALL" text
	rejected 1 "xfuse: mounting 'file/below': Not a directory" "$SMALL" file/below
	rejected 1 "xfuse: mounting 'full': Directory not empty" "$SMALL" full
	rejected 1 "xfuse: mounting '': No such file or directory" "$SMALL" ''
	rejected 1 "xfuse: mounting 'two\\nlines': No such file or directory" "$SMALL" $'two\nlines'
}

@test "a source that cannot be read is named" {
	requires fuse
	mkdir mnt
	ln -s self self
	rejected 1 "xfuse: reading 'missing': No such file or directory" missing mnt
	rejected 1 "xfuse: reading '$SMALL/below': Not a directory" "$SMALL/below" mnt
	rejected 1 "xfuse: reading 'self': Too many levels of symbolic links" self mnt
	rejected 1 "xfuse: reading 'fd:99': Bad file descriptor" fd:99 mnt
	exec {only_write}>written
	rejected 1 "xfuse: reading 'fd:$only_write': Bad file descriptor" "fd:$only_write" mnt
	rejected 1 "xfuse: reading 'unix:none': No such file or directory" unix:none mnt
}

@test "a source without permission is named" {
	requires fuse user
	mkdir mnt closed
	cp "$SMALL" secret
	chmod 0 secret closed
	rejected 1 "xfuse: reading 'secret': Permission denied" secret mnt
	rejected 1 "xfuse: reading 'closed': Permission denied" closed mnt
	rejected 1 "xfuse: reading 'closed/file': Permission denied" closed/file mnt
	chmod 700 closed
}

@test "a bad command line is a usage error, and nothing is mounted" {
	requires fuse
	mkdir mnt directory
	local words row
	touch file
	for row in "$SMALL" "$SMALL mnt more" "--via=magic $SMALL mnt" "--via= $SMALL mnt" \
		"--via=sendfile $SMALL mnt" "--stats=xml $SMALL mnt" "--frobnicate $SMALL mnt" \
		"-Z $SMALL mnt" "$SMALL mnt -Z" "-o frobnicate $SMALL mnt" \
		"-o fsname=x,frobnicate=1 $SMALL mnt" "-o rw $SMALL mnt" "$SMALL mnt -o" \
		"--name= $SMALL mnt" \
		"--name=a/b $SMALL mnt" "--name=.. $SMALL mnt" "--name=. $SMALL mnt" \
		"--name=x directory mnt" \
		"--name=x $SMALL file" ''; do
		read -ra words <<<"$row"
		expect 2 timeout 20 xfuse "${words[@]}" >stdout
		complained xfuse
		empty stdout
		[[ -z $(fuse_mounts "$PWD") ]] || fail "mounted: $row"
	done
}

# apart COMMAND... - COMMAND in a mount namespace of its own, where it may mount.
apart() {
	if offers root; then
		unshare -m --propagation private -- "$@"
	else
		unshare -c --keep-caps -m --propagation private -- "$@"
	fi
}

@test "without a FUSE device it is not supported here" {
	requires fuse
	offers root || requires userns
	mkdir mnt
	expect 3 apart sh -c 'mount -t tmpfs none /dev && exec xfuse "$1" mnt' sh "$SMALL"
	said "xfuse: opening '/dev/fuse': No such file or directory"
}

@test "a FUSE device that is not for us is named" {
	requires fuse user userns
	mkdir mnt
	touch fuse.none
	chmod 0 fuse.none
	expect 3 apart sh -c 'mount --bind fuse.none /dev/fuse &&
		exec setpriv --inh-caps=-all --ambient-caps=-all xfuse "$1" mnt' sh "$SMALL"
	said "xfuse: opening '/dev/fuse': Permission denied"
}

@test "without fusermount3 an ordinary user cannot mount" {
	requires fuse user userns
	mkdir mnt bin
	cp "$(command -v setpriv)" "$(command -v xfuse)" .
	expect 3 apart sh -c 'mount --bind bin /usr/bin &&
		exec ./setpriv --inh-caps=-all --ambient-caps=-all ./xfuse "$1" mnt' sh "$SMALL"
	said "xfuse: running 'fusermount3': No such file or directory"
}

@test "root does without fusermount3" {
	requires fuse root
	mkdir mnt bin
	cp "$(command -v xfuse)" "$(command -v cmp)" "$(command -v umount)" .
	expect 0 apart sh -c 'mount --bind bin /usr/bin && ./xfuse "$1" mnt &&
		./cmp "$1" mnt/small && ./umount mnt' sh "$SMALL"
	silent
}

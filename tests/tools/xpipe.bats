# SPDX-License-Identifier: GPL-2.0-or-later
# xpipe: looks at a pipe, changes it, runs a command with it.
load helper

# shows LINE-PATTERN - what xpipe printed, on either stream.
shows() {
	grep -qE "$1" shown || fail "shown: $(<shown)"
}

@test "shows size, slots, queued bytes and mode of standard output by default" {
	xpipe 2>&1 | cat >shown
	shows '^fd 1: pipe .*size=65536'
	shows 'queued=0'
	shows 'mode=stream'
	shows 'slots=16'
}

@test "--stdin shows the pipe on standard input, with what is queued" {
	fifo f
	printf 12345 >&"$FD"
	expect 0 xpipe --stdin <f >shown
	shows '^fd 0: pipe .*queued=5'
	[[ $(head -c 5 <f) == 12345 ]]
}

@test "--fd=N shows that one" {
	fifo f
	exec {other}>f
	printf 123 >&"$other"
	expect 0 xpipe --fd="$other" >shown 2>&1
	shows "^fd $other: pipe .*size=65536 .*queued=3"
}

@test "--json is one object with the same facts" {
	requires jq
	fifo f
	printf 12345 >&"$FD"
	expect 0 xpipe --stdin --json <f >shown
	holds '.size == 65536 and .queued == 5 and .mode == "stream" and .slots == 16' shown
	[[ $(wc -l <shown) == 1 ]]
}

@test "--size sets the size before COMMAND runs, and COMMAND gets the pipe" {
	local size
	for size in 4096:4096 4K:4096 5000:8192 128K:131072 1M:1048576; do
		xpipe --size="${size%:*}" -- perl -e 'print fcntl(STDOUT, 1032, 0)' | cat >shown
		[[ $(<shown) == "${size#*:}" ]]
	done
}

@test "--show shows the pipe as it is after the change" {
	xpipe --stdout --size=8K --show 2>&1 | cat >shown
	shows '^fd 1: pipe .*size=8192'
	expect 0 xpipe --size=16K --show -- cat "$SMALL" | cmp - "$SMALL"
	cp err shown
	shows '^fd 1: pipe .*size=16384'
}

@test "--size=max is as much as this process may have" {
	bound xpipe --size=max -- perl -e 'print fcntl(STDOUT, 1032, 0)' | cat >shown
	[[ $(<shown) == "$(</proc/sys/fs/pipe-max-size)" ]]
}

@test "--size=max of a process with CAP_SYS_RESOURCE is beyond the limit" {
	requires sys-resource
	local size
	xpipe --size=max -- perl -e 'print fcntl(STDOUT, 1032, 0)' | cat >shown
	size=$(<shown)
	((size > $(</proc/sys/fs/pipe-max-size) && (size & (size - 1)) == 0)) || fail "it is $size"
}

@test "--stdin --size changes standard input's pipe" {
	: | xpipe --stdin --size=8K -- perl -e 'print fcntl(STDIN, 1032, 0)' >shown
	[[ $(<shown) == 8192 ]]
}

@test "a size above the limit is refused, and COMMAND does not run" {
	expect 1 bound xpipe --size=1G -- touch ran | cat
	[[ $(<err) =~ ^xpipe:\ [a-z\ ]+\ \'.*\':\ Operation\ not\ permitted$ ]]
	absent ran
}

@test "shrinking below what is queued is refused, and nothing is lost" {
	fifo f
	head -c 20001 "$SMALL" >&"$FD"
	expect 1 xpipe --stdin --size=4K <f
	grep -q '^xpipe: .*Device or resource busy' err
	head -c 20001 <f | cmp - "$SMALL"
}

@test "--packet makes each write a packet, --stream takes it back" {
	requires packet-pipe
	fifo f
	exec {writer}>f
	xpipe --packet >&"$writer"
	printf 1234567890 >&"$writer"
	printf 12345 >&"$writer"
	perl -e 'print sysread(STDIN, my $packet, 4096), "\n" for 1, 2' <f >sizes
	[[ $(<sizes) == $'10\n5' ]]
	xpipe --stream >&"$writer"
	printf 1234567890 >&"$writer"
	printf 12345 >&"$writer"
	[[ $(perl -e 'print sysread(STDIN, my $all, 4096)' <f) == 15 ]]
}

@test "--packet is shown as mode=packet" {
	requires packet-pipe
	{ xpipe --packet --show 2>&1; } | cat >shown
	shows 'mode=packet'
}

@test "--packet with bytes queued is refused: the first packets would merge" {
	requires packet-pipe
	fifo f
	exec {writer}>f
	printf 123 >&"$writer"
	expect 1 xpipe --packet >&"$writer"
	grep -q '^xpipe: .*Device or resource busy' err
}

@test "--packet-size without kernel support is unsupported, 3" {
	requires packet-pipe no-big-packets
	expect 3 xpipe --packet --packet-size=64K -- touch ran | cat
	absent ran
}

@test "--packet-size: one write of as much is one packet" {
	requires big-packets
	fifo f
	exec {writer}>f
	expect 0 xpipe --packet --packet-size=8K >&"$writer"
	perl -e 'syswrite STDOUT, "x" x $_ for 8192, 5' >&"$writer"
	[[ $(perl -e 'print sysread(STDIN, my $packet, 1 << 20), " " for 1, 2' <f) == '8192 5 ' ]]
	expect 1 xpipe --packet-size=2G >&"$writer"
	grep -q '^xpipe: .*Invalid argument' err
}

@test "what is no pipe is exit 1, and COMMAND does not run" {
	expect 1 xpipe >out
	[[ -s err && ! -s out ]]
	expect 1 xpipe --stdin </dev/null
	grep -q "^xpipe: .*'" err
	expect 1 xpipe --size=64K -- touch ran >out
	absent ran
	expect 1 xpipe -- touch ran >out
	absent ran
}

@test "COMMAND's status is xpipe's, and 128+N for signal N" {
	set +o pipefail
	xpipe --size=64K -- sh -c 'exit 7' | cat
	((PIPESTATUS[0] == 7)) || fail "exit 7"
	xpipe -- true | cat
	((PIPESTATUS[0] == 0))
	xpipe -- sh -c 'kill -TERM $$' | cat
	((PIPESTATUS[0] == 143))
}

@test "COMMAND not found is 127, and not to be run 126" {
	expect 127 xpipe -- no-such-command | cat
	grep -q '^xpipe: .*no-such-command.*No such file or directory' err
	echo text >plain
	expect 126 xpipe -- ./plain | cat
	grep -q '^xpipe: .*plain.*Permission denied' err
}

@test "COMMAND gets its arguments and its data untouched" {
	xpipe --size=128K -- cat "$DATA" | cmp - "$DATA"
	xpipe -- printf '%s|' a --size=1 'b c' | cat >out
	[[ $(<out) == 'a|--size=1|b c|' ]]
	xpipe --size=64K printf '%s' -n | cat >out
	[[ $(<out) == -n ]]
	cat "$DATA" | xpipe --stdin --size=128K -- cat | cmp - "$DATA"
}

@test "--stream and --packet exclude each other" {
	expect 2 xpipe --stream --packet -- touch ran | cat
	absent ran
}

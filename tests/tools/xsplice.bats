# SPDX-License-Identifier: GPL-2.0-or-later
# xsplice: its options, on data that is held against the original.
load helper

# part FILE OFFSET LENGTH - those bytes of FILE.
part() {
	dd if="$1" skip="$2" count="$3" iflag=skip_bytes,count_bytes bs=64K status=none
}

@test "standard input to standard output by default, - names them" {
	expect 0 xsplice <"$DATA" >out
	cmp "$DATA" out
	expect 0 xsplice - - <"$SMALL" >out
	cmp "$SMALL" out
	expect 0 xsplice "$DATA" >out
	cmp "$DATA" out
	expect 0 xsplice - out <"$SMALL"
	cmp "$SMALL" out
}

@test "a destination file is created, and truncated when it is longer" {
	cp "$DATA" out
	chmod u+w out
	expect 0 xsplice "$SMALL" out
	cmp "$SMALL" out
}

@test "an empty source makes an empty destination" {
	cp "$SMALL" out
	chmod u+w out
	expect 0 xsplice /dev/null out
	empty out
}

@test "--length moves so much and no more" {
	local n
	for n in 0 1 4095 4096 4097 65537 1048576; do
		head -c $n "$DATA" >want
		expect 0 xsplice --length=$n "$DATA" out
		cmp want out
		expect 0 xsplice -n $n "$DATA" | cmp - want
	done
}

@test "--length beyond the end moves all there is" {
	expect 0 xsplice -n 1G "$SMALL" out
	cmp "$SMALL" out
}

@test "--length leaves the rest of a pipe to the next reader" {
	cat "$SMALL" | { xsplice -n 10000 - one; cat >two; }
	cat one two | cmp - "$SMALL"
	[[ $(stat -c %s one) == 10000 ]]
}

@test "--length leaves a file's position where the data ended" {
	{ xsplice -n 10000 - one; cat >two; } <"$SMALL"
	cat one two | cmp - "$SMALL"
	[[ $(stat -c %s one) == 10000 ]]
}

@test "--in-offset starts there, in every way" {
	local via offset
	for via in auto splice sendfile copy_file_range copy; do
		for offset in 0 1 4096 1000001 100000000; do
			part "$DATA" $offset 1G >want
			expect 0 xsplice --via=$via --in-offset=$offset "$DATA" out
			cmp want out
			expect 0 xsplice --via=$via --in-offset=$offset "$DATA" | cmp - want
		done
	done
}

@test "--in-offset counts from the file's start, and works on standard input" {
	{ head -c 100 >/dev/null; xsplice --in-offset=5000 - out; } <"$SMALL"
	part "$SMALL" 5000 1G | cmp - out
}

@test "--out-offset writes there and keeps the rest, in every way" {
	local via
	for via in auto splice sendfile copy_file_range copy; do
		cp "$DATA" out
		chmod u+w out
		expect 0 xsplice --via=$via --out-offset=1000001 "$SMALL" out
		{ head -c 1000001 "$DATA"; cat "$SMALL"; part "$DATA" 1020002 1G; } | cmp - out
		cat "$SMALL" | expect 0 xsplice --via=$via --out-offset=5 - out
		{
			head -c 5 "$DATA"
			cat "$SMALL"
			part "$DATA" 20006 979995
			cat "$SMALL"
			part "$DATA" 1020002 1G
		} | cmp - out
	done
}

@test "--out-offset beyond the end leaves a hole" {
	expect 0 xsplice --out-offset=1M "$SMALL" out
	{ head -c 1048576 /dev/zero; cat "$SMALL"; } | cmp - out
}

@test "an offset on a pipe is ESPIPE, blamed on its side" {
	expect 1 xsplice --in-offset=1 - out < <(cat "$SMALL")
	said "xsplice: reading 'standard input': Illegal seek"
	expect 1 xsplice --out-offset=1 "$SMALL" | cat >out
	said "xsplice: writing 'standard output': Illegal seek"
	empty out
}

@test "--append adds to the end, in every way and from a pipe too" {
	local via
	for via in auto splice sendfile copy_file_range copy; do
		echo before >out
		expect 0 xsplice --append --via=$via "$SMALL" out
		cat "$DATA" | expect 0 xsplice --append --via=$via - out
		{ echo before; cat "$SMALL" "$DATA"; } | cmp - out
	done
}

@test "--append creates a missing file" {
	expect 0 xsplice --append "$SMALL" out
	cmp "$SMALL" out
}

@test "--no-truncate keeps what lies beyond" {
	cp "$DATA" out
	chmod u+w out
	expect 0 xsplice --no-truncate "$SMALL" out
	{ cat "$SMALL"; part "$DATA" 20001 1G; } | cmp - out
}

@test "--chunk is any size, and nothing is lost" {
	local chunk via
	for chunk in 1 7 4096 65537 1M 1G; do
		for via in auto splice sendfile copy; do
			expect 0 xsplice --chunk=$chunk --via=$via "$SMALL" out
			cmp "$SMALL" out
			cat "$SMALL" | expect 0 xsplice --chunk=$chunk --via=$via | cmp - "$SMALL"
		done
	done
}

@test "--chunk bounds each step" {
	requires jq
	expect 0 xsplice --chunk=1000 --via=copy --stats=json "$SMALL" out
	cmp "$SMALL" out
	(($(stat_of calls) >= 40))
	expect 0 xsplice --via=copy --stats=json "$SMALL" out
	(($(stat_of calls) < 20))
}

@test "--chunk=0 is no step at all: a usage error" {
	expect 2 xsplice --chunk=0 "$SMALL" out
	complained xsplice
	absent out
}

@test "--pipe-size is any size, and nothing is lost" {
	local size
	for size in 1 4K 5000 64K 1M; do
		expect 0 xsplice --pipe-size=$size "$DATA" out
		cmp "$DATA" out
		cat "$DATA" | expect 0 xsplice --pipe-size=$size | cmp - "$DATA"
	done
}

@test "--via names the way that --stats=json reports" {
	requires jq
	local via
	for via in splice sendfile copy; do
		expect 0 xsplice --via=$via --stats=json "$DATA" | cmp - "$DATA"
		[[ $(stat_of method) == "$via" && $(stat_of fallback) == null ]]
	done
	expect 0 xsplice --via=copy_file_range --stats=json "$DATA" out
	[[ $(stat_of method) == copy_file_range && $(stat_of fallback) == null ]]
	cmp "$DATA" out
}

@test "--via of a way that cannot serve the pair falls back, and says so" {
	requires jq
	cat "$DATA" | expect 0 xsplice --via=copy_file_range --stats=json - out
	cmp "$DATA" out
	[[ $(stat_of method) == copy && $(stat_of fallback) != null ]]
	expect 3 xsplice --via=copy_file_range --no-fallback - none < <(cat "$DATA")
	[[ $(wc -l <err) == 1 ]]
	empty none
}

@test "auto takes no copy where splice serves" {
	requires jq
	expect 0 xsplice --stats=json "$DATA" | cmp - "$DATA"
	[[ $(stat_of method) == splice ]]
	cat "$DATA" | expect 0 xsplice --stats=json - out
	cmp "$DATA" out
	[[ $(stat_of method) == splice ]]
	expect 0 xsplice --stats=json "$DATA" out
	cmp "$DATA" out
	[[ $(stat_of method) != copy && $(stat_of fallback) == null ]]
}

@test "--more and --move change nothing that arrives" {
	expect 0 xsplice --more "$DATA" | cmp - "$DATA"
	expect 0 xsplice --move "$DATA" | cmp - "$DATA"
	cat "$DATA" | expect 0 xsplice --more --move - out
	cmp "$DATA" out
}

@test "--stable: overwriting the source after the run does not change what the reader gets" {
	local via
	fifo f
	for via in auto splice sendfile copy; do
		cp "$SMALL" source
		chmod u+w source
		expect 0 xsplice --stable --via=$via source f
		dd if=/dev/zero of=source bs=20001 count=1 conv=notrunc status=none
		take 20001 "$FD" | cmp - "$SMALL"
	done
}

@test "without --stable it does, where the kernel shares pages: the test above can fail" {
	requires splice-shares
	fifo f
	cp "$SMALL" source
	chmod u+w source
	expect 0 xsplice --via=splice source f
	dd if=/dev/zero of=source bs=20001 count=1 conv=notrunc status=none
	expect 1 cmp -s "$SMALL" <(take 20001 "$FD")
}

@test "--once is exactly one system call and says how much it moved" {
	requires jq
	printf hello | expect 0 xsplice --once >out
	said '5 bytes'
	[[ $(<out) == hello ]]
	expect 0 xsplice --once --stats=json "$DATA" | cat >out
	grep -qx "$(stat -c %s out) bytes" err
	[[ $(stat_of calls) == 1 && $(stat_of bytes) == "$(stat -c %s out)" ]]
	[[ -s out ]]
	cmp -n "$(stat -c %s out)" out "$DATA"
}

@test "--once takes no more from a pipe than it delivers" {
	cat "$SMALL" | { xsplice --once -n 1000 - one 2>/dev/null; cat >two; }
	cat one two | cmp - "$SMALL"
	[[ -s one ]]
}

@test "--once at the end of the input moves 0 bytes" {
	: | expect 0 xsplice --once >out
	said '0 bytes'
	empty out
}

@test "--rate holds the rate, in every way, and loses nothing" {
	local via start took
	head -c 300000 "$DATA" >source
	for via in auto copy; do
		start=${EPOCHREALTIME/./}
		expect 0 xsplice --rate=500KB --via=$via source | cmp - source
		took=$((${EPOCHREALTIME/./} - start))
		((took > 350000)) || fail "$via: 300 KB at 500 KB a second in $took us"
	done
}

@test "--rate=0 is a usage error" {
	expect 2 xsplice --rate=0 "$SMALL" out
	complained xsplice
	absent out
}

@test "--sync reports what only fsync tells" {
	expect 0 xsplice --sync "$SMALL" out
	cmp "$SMALL" out
	expect 1 xdeny fsync=EIO fdatasync=EIO -- xsplice --sync "$SMALL" out
	said "xsplice: writing 'out': Input/output error"
	expect 0 xdeny fsync=EIO fdatasync=EIO -- xsplice "$SMALL" out
}

@test "--nonblock: 4 when it would wait for input, and what was there is delivered" {
	fifo f
	expect 4 xsplice --nonblock <f >out
	[[ $(wc -l <err) == 1 ]]
	grep -q "^xsplice: reading 'standard input': " err
	empty out
	printf hello >&"$FD"
	expect 4 xsplice --nonblock <f >out
	[[ $(<out) == hello ]]
}

@test "--nonblock: 4 when it would wait for output, blamed on writing" {
	fifo f
	"$HERE/fdset" 1:full -- true >&"$FD"
	expect 4 xsplice --nonblock "$SMALL" f
	grep -q "^xsplice: writing 'f': " err
}

@test "--nonblock: 0 when nothing would wait" {
	expect 0 xsplice --nonblock "$DATA" out
	cmp "$DATA" out
	expect 0 xsplice --nonblock "$SMALL" | cmp - "$SMALL"
}

@test "SOURCE and DEST in one file are refused as cat refuses it, and the file stays" {
	local to
	cp "$SMALL" file
	chmod u+w file
	ln file hard
	ln -s file soft
	for to in file hard soft; do
		expect 1 xsplice file $to
		[[ $(wc -l <err) == 1 ]]
		grep -q "^xsplice: .*'$to'\|^xsplice: .*'file'" err
		cmp "$SMALL" file
		expect 1 xsplice --append file $to
		cmp "$SMALL" file
		expect 1 xsplice file >>$to
		cmp "$SMALL" file
	done
}

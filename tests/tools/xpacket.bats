# SPDX-License-Identifier: GPL-2.0-or-later
# xpacket send and recv: a record is a packet is a record, whole, once, or refused by number.
load helper

# records COUNT SEED - so many records of 1 to 4096 bytes, as netstrings; the same for one SEED.
records() {
	perl -e '
		my ($count, $seed, $file) = @ARGV;
		open my $in, "<:raw", $file or die;
		read $in, my $data, 1 << 20;
		srand $seed;
		for my $n (1 .. $count) {
			my $record = "$seed.$n." . substr $data, rand 1e6, 4096;
			$record = substr $record, 0, 1 + rand 4096;
			print length $record, ":$record,";
		}' "$1" "$2" "$DATA"
}

# sums FILE... - a checksum for each record of the netstrings in the files, sorted.
sums() {
	perl -MDigest::MD5=md5_hex -0777 -ne '
		while (/\G(\d+):/gc) {
			my ($begin, $length) = (pos, $1);
			print md5_hex(substr $_, $begin, $length), "\n";
			pos($_) = $begin + $length;
			/\G,/gc or die "$ARGV: no comma\n";
		}
		(pos // 0) == length or die "$ARGV: no netstring\n"' "$@" | sort
}

# queue - a FIFO ./queue, kept open as $FD, with another description $OUT to write to it.
queue() {
	rm -f queue
	fifo queue
	exec {OUT}>queue
}

# queued - bytes in the FIFO.
queued() {
	perl -e 'my $n = pack "i"; ioctl STDIN, 0x541b, $n or die; print unpack "i", $n' <&"$FD"
}

# lengths COUNT - takes so many packets out of the FIFO, and prints the length of each.
lengths() {
	perl -e 'print sysread(STDIN, my $packet, 1 << 20), " " for 1 .. shift' "$1" <&"$FD"
}

# holds PACKET... - the FIFO held these, and nothing else.
holds() {
	local packet got
	for packet; do
		[[ $(queued) != 0 ]] || fail "nothing where a packet should be: $packet"
		got=$(perl -e 'sysread STDIN, $_, 1 << 20; print' <&"$FD")
		[[ $got == "$packet" ]] || fail "packet: $got, expected: $packet"
	done
	[[ $(queued) == 0 ]] || fail "$(queued) bytes more than expected"
}

# flags FD - of the file description, among them packet mode.
flags() {
	grep flags "/proc/$$/fdinfo/$1"
}

# complains_of N - one line that names record N.
complains_of() {
	[[ $(wc -l <err) == 1 && $(<err) =~ ^xpacket:\ .*record\ $1($|[^0-9]) ]] ||
		fail "record $1 is not named: $(<err)"
}

# letters COUNT
letters() { head -c "$1" < <(yes abcdefghi | tr -d '\n'); }

# ------------------------------------------------------------------------- framings

@test "each record becomes one packet, in every framing" {
	requires packet-pipe
	queue
	printf 'one\ntwo\n three \n' | expect 0 xpacket send --lines >queue
	holds one two ' three '
	printf 'one\ntwo\nlast' | expect 0 xpacket send >queue
	holds one two last
	printf 'a\nb\0c d\0' | expect 0 xpacket send --null >queue
	holds $'a\nb' 'c d'
	printf 'a\0last' | expect 0 xpacket send --null >queue
	holds a last
	printf '3:one,5:a\n,:1,1:,,' | expect 0 xpacket send --netstring >queue
	holds one $'a\n,:1' ,
	printf 1234567890 | expect 0 xpacket send --chunk=4 >queue
	holds 1234 5678 90
	printf 12345678 | expect 0 xpacket send --chunk=4 >queue
	holds 1234 5678
	silent
}

@test "an empty input makes no packet" {
	requires packet-pipe
	local framing
	queue
	for framing in --lines --null --netstring --chunk=4; do
		: | expect 0 xpacket send $framing >queue
		silent
		[[ $(queued) == 0 ]]
		xpacket send $framing </dev/null | expect 0 xpacket recv | cmp - /dev/null
	done
}

@test "packets come out in every framing" {
	requires packet-pipe
	queue
	printf 'one\ntwo\n' | xpacket send >queue
	expect 0 xpacket recv -n 2 <queue | cmp - <(printf 'one\ntwo\n')
	printf 'one\ntwo\n' | xpacket send >queue
	expect 0 xpacket recv --lines -n 2 <queue | cmp - <(printf 'one\ntwo\n')
	printf 'a\nb\0c\0' | xpacket send --null >queue
	expect 0 xpacket recv --null -n 2 <queue | cmp - <(printf 'a\nb\0c\0')
	printf 'a\nb\0c\0' | xpacket send --null >queue
	expect 0 xpacket recv --netstring -n 2 <queue | cmp - <(printf '3:a\nb,1:c,')
	printf 'a\nb\0c\0' | xpacket send --null >queue
	expect 0 xpacket recv --raw -n 2 <queue | cmp - <(printf 'a\nbc')
	silent
}

@test "what goes in comes out: lines, names, netstrings, bytes" {
	requires packet-pipe
	seq 20000 >numbers
	xpacket send <numbers | expect 0 xpacket recv | cmp - numbers
	xpacket send --lines <"$TEXT" | expect 0 xpacket recv --lines | cmp - "$TEXT"
	find /usr/share -maxdepth 2 -print0 >names
	xpacket send --null <names | expect 0 xpacket recv --null | cmp - names
	records 2000 1 >netstrings
	xpacket send --netstring <netstrings | expect 0 xpacket recv --netstring | cmp - netstrings
	for size in 1 7 4095 4096; do
		xpacket send --chunk=$size <"$SMALL" | expect 0 xpacket recv --raw | cmp - "$SMALL"
	done
	xpacket send --chunk=1K <"$DATA" | expect 0 xpacket recv --raw | cmp - "$DATA"
	silent
}

@test "lines of any byte but a newline are records" {
	requires packet-pipe
	tr '\n' '\r' <"$SMALL" | fold -b -w 1000 >binary
	xpacket send --lines <binary | expect 0 xpacket recv --lines >out
	cmp <(cat binary; echo) out
}

@test "recv --json: seq, length, and data or base64 where it is no UTF-8" {
	requires packet-pipe jq
	local record
	printf '%s\0' one $'a\n"\\\t\001' 'ä €' $'\xf0\x9f\x98\x80' | xpacket send --null |
		expect 0 xpacket recv --json >out
	[[ $(wc -l <out) == 4 ]]
	jq -es 'map(.seq) == [1, 2, 3, 4] and map(.length) == [3, 6, 6, 4]
		and map(.data) == ["one", "a\n\"\\\t\u0001", "ä €", "😀"]
		and all(.[]; has("base64") | not) and all(.[]; .cut != true)' out
	for record in $'\xff' $'\xc0\x80' $'\xed\xa0\x80' $'a\xe2\x82' $'\xf4\x90\x80\x80' \
		$'ok\x80'; do
		printf %s "$record" | xpacket send | expect 0 xpacket recv --json >out
		jq -e --arg base64 "$(printf %s "$record" | base64)" --argjson length ${#record} '
			.seq == 1 and .length == $length
			and .base64 == $base64 and (has("data") | not)' out
	done
	silent
}

# carried - the bytes that the lines of JSON in ./out stand for.
carried() {
	jq -r '.base64 // (.data | @base64)' out |
		perl -MMIME::Base64 -ne 'print decode_base64 $_'
}

@test "recv --json keeps every byte" {
	requires packet-pipe jq
	perl -e 'print map chr, 0 .. 255' >bytes
	xpacket send --chunk=1 <bytes | expect 0 xpacket recv --json >out
	carried | cmp - bytes
	xpacket send --chunk=999 <"$DATA" | expect 0 xpacket recv --json >out
	carried | cmp - "$DATA"
	jq -es 'map(.length) | add == 2101473' out
	jq -es 'map(.seq) == [range(1; length + 1)]' out
}

@test "recv -n stops after so many packets, and takes no more than that" {
	requires packet-pipe
	local count
	queue
	for count in 1 2 4 5; do
		seq 5 | xpacket send >queue
		expect 0 xpacket recv -n $count <queue | cmp - <(seq $count)
		silent
		# shellcheck disable=SC2046  # words
		holds $(seq $((count + 1)) 5)
	done
	seq 5 | xpacket send | expect 0 xpacket recv -n 9 | cmp - <(seq 5)
}

@test "a record is sent, and printed, before the next is waited for" {
	requires packet-pipe
	local word line
	fifo in
	exec {in}>in
	mkfifo pipe
	exec {both}<>pipe
	fifo out
	spawn xpacket send <in >pipe
	spawn xpacket recv <pipe >out
	for word in one two three; do
		printf '%s\n' $word >&"$in"
		read -r -t 30 line <&"$FD"
		[[ $line == "$word" ]]
	done
	exec {in}>&- {both}>&-
}

# ----------------------------------------------------------------------- packet mode

@test "packet mode is put back as it was, and what is queued stays packets" {
	requires packet-pipe
	local before
	queue
	before=$(flags "$OUT")
	printf 'one\ntwo\n' | expect 0 xpacket send >&"$OUT"
	[[ $(flags "$OUT") == "$before" ]]
	holds one two
	xpipe --packet >&"$OUT"
	before=$(flags "$OUT")
	printf 'one\ntwo\n' | expect 0 xpacket send >&"$OUT"
	[[ $(flags "$OUT") == "$before" ]]
	holds one two
}

@test "packet mode is put back after a failure and after a signal, too" {
	requires packet-pipe jq
	local before row
	queue
	before=$(flags "$OUT")
	printf 'one\n\ntwo\n' >in
	expect 1 xpacket send <in >&"$OUT"
	[[ $(flags "$OUT") == "$before" ]]
	holds one
	for row in TERM:143 INT:130; do
		rm -f in
		mkfifo in
		exec {in}<>in
		spawn xpacket send --stats=json <in 1>&"$OUT" 2>err
		echo one >&"$in"
		holds_soon one
		signal "${row%:*}" "$PID"
		ends "${row#*:}" "$PID"
		[[ $(flags "$OUT") == "$before" ]]
		[[ $(stat_of packets) == 1 && $(stat_of bytes) == 3 ]]
		exec {in}>&-
	done
}

# holds_soon PACKET... - as `holds`, of what is being sent.
holds_soon() {
	eventually arrived
	holds "$@"
}
arrived() { [[ $(queued) != 0 ]]; }

@test "with stream data queued, packet mode is refused, and nothing is sent" {
	requires packet-pipe
	local before
	queue
	before=$(flags "$OUT")
	printf stream >&"$OUT"
	expect 1 xpacket send <<<$'one\ntwo' >&"$OUT"
	[[ $(wc -l <err) == 1 ]]
	grep -q "^xpacket: .*Device or resource busy" err
	[[ $(queued) == 6 && $(flags "$OUT") == "$before" ]]
	take 6 "$FD" | cmp - <(printf stream)
	printf 'one\ntwo\n' | expect 0 xpacket send >&"$OUT"
	holds one two
}

@test "a sender that finds packets queued adds its own" {
	requires packet-pipe
	queue
	xpipe --packet >&"$OUT"
	printf 'one\ntwo\n' | expect 0 xpacket send >&"$OUT"
	printf 'three\n' | expect 0 xpacket send >&"$OUT"
	holds one two three
}

@test "a sender that opens the FIFO itself and finds packets queued adds its own" {
	requires packet-pipe
	queue
	printf 'one\ntwo\n' | expect 0 xpacket send >queue
	printf 'three\nfour\n' | expect 0 xpacket send >queue
	holds one two three four
}

@test "non-blocking standard input and output are waited for, and stay so" {
	requires packet-pipe
	seq 5000 >numbers
	{ head -c 1000 numbers; sleep 0.05; tail -c +1001 numbers; } |
		"$HERE/fdset" 0:nonblock 1:nonblock -- xpacket send |
		{ sleep 0.05; expect 0 "$HERE/fdset" 0:nonblock 1:nonblock -- xpacket recv; } |
		{ head -c 100; sleep 0.05; cat; } | cmp - numbers
}

@test "pipes of one slot, and ones that cannot be enlarged, lose nothing" {
	requires packet-pipe
	records 500 2 >netstrings
	"$HERE/fdset" 1:size=4096 -- xpacket send --netstring <netstrings |
		expect 0 xpacket recv --netstring | cmp - netstrings
	xdeny fcntl:F_SETPIPE_SZ=EPERM -- xpacket send --netstring <netstrings |
		expect 0 xdeny fcntl:F_SETPIPE_SZ=EPERM -- xpacket recv --netstring |
		cmp - netstrings
}

# ------------------------------------------------------------------ many, and further

# many OPEN - four senders and three receivers; each sender's standard output is $OUT, in packet
# mode, or a FIFO that it opens itself.
many() {
	local n pid pids=() in
	queue
	exec {in}<queue
	[[ $1 == own ]] || xpipe --packet >&"$OUT"
	for n in 1 2 3; do
		spawn xpacket recv --netstring <&"$in" >"out.$n" 2>"err.$n"
		pids+=("$PID")
	done
	for n in 1 2 3 4; do
		records 2500 "$n" >"in.$n"
		if [[ $1 == own ]]; then
			spawn xpacket send --netstring <"in.$n" >queue 2>"err.in.$n"
		else
			spawn xpacket send --netstring <"in.$n" 1>&"$OUT" 2>"err.in.$n"
		fi
		pids+=("$PID")
	done
	exec {OUT}>&- {FD}>&- {in}<&-
	for pid in "${pids[@]}"; do ends 0 "$pid"; done
	cmp <(sums in.?) <(sums out.?)
	[[ $(sums out.? | wc -l) == 10000 ]]
	cat err.* | cmp - /dev/null
}

@test "10 000 packets from several senders to several receivers arrive whole, each once" {
	requires packet-pipe
	many shared
}

@test "10 000 packets from senders that open the FIFO themselves arrive whole, each once" {
	requires packet-pipe
	many own
}

@test "through xtee, and through xsplice between pipes, boundaries survive" {
	requires packet-pipe
	local via one both
	records 1000 3 >netstrings
	for via in auto splice; do
		rm -f fifo
		mkfifo fifo
		exec {both}<>fifo
		spawn xpacket recv --netstring <fifo >one 2>err.one
		one=$PID
		xpacket send --netstring <netstrings | xtee fifo | xsplice --via=$via |
			expect 0 xpacket recv --netstring | cmp - netstrings
		silent
		exec {both}>&-
		ends 0 "$one"
		cmp one netstrings
	done
}

@test "a SEQPACKET socket serves as well" {
	records 500 4 >netstrings
	cat >pair <<-'END'
		use Socket;
		socketpair my $to, my $from, AF_UNIX, SOCK_SEQPACKET, 0 or die;
		if (!fork) {
			open STDOUT, ">&", $to or die;
			exec qw(xpacket send --netstring) or die;
		}
		if (!fork) {
			open STDIN, "<&", $from or die;
			exec qw(xpacket recv --netstring) or die;
		}
		close $to;
		close $from;
		my $bad = 0;
		$bad |= $? while wait >= 0;
		exit !!$bad;
	END
	expect 0 perl pair <netstrings >out
	silent
	cmp netstrings out
	{ printf 10000:; letters 10000; printf ,; } >netstrings
	expect 0 perl pair <netstrings | cmp - netstrings
	cat netstrings netstrings >both
	expect 0 perl pair <both | cmp - both
}

# ------------------------------------------------------------------- limits and cuts

@test "a record of 4096 bytes is one packet" {
	requires packet-pipe
	queue
	{ letters 4096; echo; letters 1; echo; letters 4095; } | expect 0 xpacket send >queue
	[[ $(lengths 3) == '4096 1 4095 ' ]]
}

@test "a record above the limit is refused by number, and nothing of it is sent" {
	requires packet-pipe
	local row framing before after
	queue
	for row in '--lines a\nb\n \n' '--null a\0b\0 \0' '--netstring 1:a,1:b,4097: ,'; do
		read -r framing before after <<<"$row"
		{ printf %b "$before"; letters 4097; printf %b "$after"; } >in
		expect 1 xpacket send "$framing" <in >queue
		complains_of 3
		[[ $(<err) == *4097*4096* || $(<err) == *4096*4097* ]]
		holds a b
	done
	expect 1 xpacket send --chunk=4097 < <(letters 4097) >queue
	complains_of 1
	expect 1 xpacket send --lines < <(letters 1000000) >queue
	complains_of 1
	grep -q '1000000' err
	[[ $(queued) == 0 ]]
}

@test "--split sends it in pieces of at most the limit" {
	requires packet-pipe
	queue
	{ letters 10000; echo; echo short; letters 4097; echo; letters 8192; } >in
	expect 0 xpacket send --split <in >queue
	silent
	[[ $(lengths 8) == '4096 4096 1808 5 4096 1 4096 4096 ' ]]
	[[ $(queued) == 0 ]]
	{ letters 300000; echo; } | xpacket send --split | expect 0 xpacket recv --raw |
		cmp - <(letters 300000)
	{ printf 300000:; letters 300000; printf ,; } | xpacket send --netstring --split |
		expect 0 xpacket recv --raw | cmp - <(letters 300000)
}

@test "a pipe with a larger limit takes larger records, whole, and refuses those above it" {
	requires big-packets
	queue
	expect 0 xpipe --packet --packet-size=16K >queue
	{ letters 16384; echo; letters 1; echo; letters 5000; echo; } | expect 0 xpacket send >queue
	[[ $(lengths 3) == '16384 1 5000 ' ]]
	{ letters 16384; echo; letters 16385; } | expect 1 xpacket send >queue
	complains_of 2
	[[ $(<err) == *16385*16384* ]]
	[[ $(lengths 1) == '16384 ' && $(queued) == 0 ]]
	letters 20000 | expect 0 xpacket send --split >queue
	[[ $(lengths 2) == '16384 3616 ' && $(queued) == 0 ]]
	letters 12345 | xpacket send >queue
	expect 0 xpacket recv --raw -n 1 <&"$FD" | cmp - <(letters 12345)
}

@test "an empty record is refused by number, --skip-empty passes over it" {
	requires packet-pipe
	local row
	queue
	for row in '--lines:a\n\nb\n' '--null:a\0\0b\0' '--netstring:1:a,0:,1:b,'; do
		# It ends at the second record; a pipe's writer may have more to write.
		printf %b "${row#*:}" >in
		expect 1 xpacket send "${row%%:*}" <in >queue
		complains_of 2
		holds a
		expect 0 xpacket send --skip-empty "${row%%:*}" <in >queue
		silent
		holds a b
	done
	printf '\n' | expect 1 xpacket send >queue
	complains_of 1
	printf '\n\n' | expect 0 xpacket send --skip-empty >queue
	[[ $(queued) == 0 ]]
}

@test "a netstring that lies or is malformed is refused by number, and nothing of it is sent" {
	requires packet-pipe
	local bad
	queue
	while IFS= read -r bad; do
		printf '%s\n' "$bad"
		printf '2:ok,%s' "$bad" | expect 1 xpacket send --netstring >queue
		complains_of 2
		holds ok
		printf '%s' "$bad" | expect 1 xpacket send --netstring --split >queue
		complains_of 1
		[[ $(queued) == 0 ]]
	done <<-'END'
		5:hell,
		3:abcd,
		3:abc
		3:abc.
		3:abcx
		3:
		3
		:
		,
		:abc,
		x:abc,
		-1:a,
		+3:abc,
		 3:abc,
		3 :abc,
		3;abc,
		03:abc,
		0x3:abc,
		5000000000:abc,
		18446744073709551617:a,
		99999999999999999999999:abc,
	END
}

@test "a packet longer than --max is printed cut and reported, and the rest still comes" {
	requires packet-pipe jq
	local row
	{ letters 10; echo; letters 20; echo; letters 11; echo; letters 3; echo; } >in
	for row in '--lines:abcdefghia\nabcdefghia\nabcdefghia\nabc\n' \
		'--null:abcdefghia\0abcdefghia\0abcdefghia\0abc\0' \
		'--netstring:10:abcdefghia,10:abcdefghia,10:abcdefghia,3:abc,' \
		'--raw:abcdefghiaabcdefghiaabcdefghiaabc'; do
		xpacket send <in | expect 1 xpacket recv --max=10 "${row%%:*}" >out
		printf %b "${row#*:}" | cmp - out
		grep -qx 'xpacket: record 2: cut at 10 of 20 bytes' err
		grep -qx 'xpacket: record 3: cut at 10 of 11 bytes' err
		[[ $(wc -l <err) == 2 ]]
	done
	xpacket send <in | expect 1 xpacket recv --json --max=10 >out
	jq -es 'map(.cut == true) == [false, true, true, false]
		and map(.data | length) == [10, 10, 10, 3]' out
	letters 4096 | xpacket send | expect 1 xpacket recv --max=1 | cmp - <(printf 'a\n')
	said 'xpacket: record 1: cut at 1 of 4096 bytes'
	letters 4096 | xpacket send | expect 0 xpacket recv --max=4K --raw | cmp - <(letters 4096)
}

@test "a packet that holds the separator is refused by number, and nothing of it is printed" {
	requires packet-pipe
	printf 'one\0two\nthree\0' | xpacket send --null | expect 1 xpacket recv --lines >out
	complains_of 2
	[[ $(<out) == one ]]
	printf 'one\0two\n\0' | xpacket send --null | expect 1 xpacket recv >out
	complains_of 2
	[[ $(<out) == one ]]
	printf 'a\nb\0c\n' | xpacket send --lines | expect 1 xpacket recv --null >out
	complains_of 2
	cmp out <(printf 'a\0')
}

# ------------------------------------------------------------------ waiting and ending

@test "a stopped receiver blocks the sender without processor time, and all arrives later" {
	requires packet-pipe
	local before used
	seq 200000 >numbers
	queue
	spawn xpacket send <numbers >queue
	eventually at_rest "$PID"
	before=$(ticks "$PID")
	sleep 1 # what is measured, not waited for
	used=$(($(ticks "$PID") - before))
	((used < 2)) || fail "$used ticks"
	exec {in}<queue {FD}>&- {OUT}>&-
	expect 0 xpacket recv <&"$in" | cmp - numbers
	ends 0 "$PID"
}

@test "waiting for input, and for packets, takes no processor time" {
	requires packet-pipe
	local pid pids=() before=() n used
	queue
	fifo in
	spawn xpacket send <in >queue
	pids+=("$PID")
	spawn "$HERE/fdset" 0:nonblock -- xpacket send <in >queue
	pids+=("$PID")
	spawn xpacket recv <queue >/dev/null
	pids+=("$PID")
	spawn "$HERE/fdset" 0:nonblock -- xpacket recv --json <queue >/dev/null
	pids+=("$PID")
	spawn xpacket work -j2 -- true <queue >/dev/null
	pids+=("$PID")
	spawn xpacket work --keep-order -- true <queue >/dev/null
	pids+=("$PID")
	for pid in "${pids[@]}"; do eventually at_rest "$pid"; done
	for pid in "${pids[@]}"; do before+=("$(ticks "$pid")"); done
	sleep 1 # what is measured, not waited for
	for n in "${!pids[@]}"; do
		running "${pids[n]}" || fail 'it does not wait at all'
		used=$(($(ticks "${pids[n]}") - before[n]))
		((used < 2)) || fail "$used ticks"
	done
}

@test "a dead receiver ends the sender quietly, as it ends cat" {
	requires packet-pipe
	seq 200000 >numbers
	expect 141 xpacket send <numbers | head -c 1 | cmp - <(printf 1)
	silent
	queue
	exec {in}<queue
	spawn xpacket send <numbers >queue 2>err
	eventually at_rest "$PID"
	exec {OUT}>&- {FD}>&- {in}<&-
	ends 141 "$PID"
	silent
	trap '' PIPE
	expect 1 xpacket send <numbers | :
	said "xpacket: writing 'standard output': Broken pipe"
}

@test "a reader that goes away ends recv quietly; a full output is blamed on writing" {
	requires packet-pipe
	seq 200000 >numbers
	expect 141 xpacket recv < <(xpacket send <numbers) | head -n 2 | cmp - <(seq 2)
	silent
	expect 1 xpacket recv < <(xpacket send <numbers) >/dev/full
	said "xpacket: writing 'standard output': No space left on device"
	expect 1 xpacket recv < <(seq 3 | xpacket send) >/dev/full
	said "xpacket: writing 'standard output': No space left on device"
	seq 3 >lines
	expect 1 xpacket send --frames <lines >/dev/full
	said "xpacket: writing 'standard output': No space left on device"
	expect 1 xpacket send --frames < <(cat lines; sleep 0.05; cat lines) >/dev/full
	said "xpacket: writing 'standard output': No space left on device"
	expect 1 xpacket recv < <(seq 3 | xpacket send) >&-
	said "xpacket: writing 'standard output': Bad file descriptor"
}

@test "SIGTERM and SIGINT stop recv cleanly, and --stats is printed" {
	requires packet-pipe jq
	local row line
	for row in TERM:143 INT:130; do
		queue
		rm -f out
		mkfifo out
		exec {out}<>out
		spawn xpacket recv --stats=json <queue >out 2>err
		printf 'one\ntwo\n' | xpacket send >queue
		read -r -t 30 line <&"$out"
		[[ $line == one ]]
		read -r -t 30 line <&"$out"
		signal "${row%:*}" "$PID"
		ends "${row#*:}" "$PID"
		[[ $(stat_of packets) == 2 && $(stat_of bytes) == 6 ]]
		exec {out}>&-
	done
}

@test "SIGTERM ends what waits for its output, too" {
	requires packet-pipe
	local before
	seq 200000 >numbers
	queue
	before=$(flags "$OUT")
	spawn xpacket send <numbers 1>&"$OUT" 2>err
	eventually at_rest "$PID"
	signal TERM "$PID"
	ends 143 "$PID"
	silent
	[[ $(flags "$OUT") == "$before" ]]
	fifo full
	"$HERE/fdset" 1:full -- true >&"$FD"
	spawn xpacket recv < <(xpacket send <numbers) 1>&"$FD"
	eventually at_rest "$PID"
	signal TERM "$PID"
	ends_soon 143
	spawn xpacket send --frames <numbers 1>&"$FD"
	eventually at_rest "$PID"
	signal TERM "$PID"
	ends_soon 143
}

# ends_soon STATUS - as `ends`, but a process that goes on for ever is a failure.
ends_soon() {
	eventually ended
	ends "$1" "$PID"
}
ended() { ! running "$PID"; }

# ------------------------------------------------------------------- without packet mode

# poor COMMAND... - COMMAND where packet mode cannot be had.
poor() { xdeny fcntl:F_SETFL=EINVAL -- "$@"; }

@test "where packet mode cannot be had: 3, and nothing is sent" {
	local error
	for error in EINVAL EPERM; do
		queue
		expect 3 xdeny "fcntl:F_SETFL=$error" -- xpacket send <<<one >queue
		[[ $(wc -l <err) == 1 ]]
		grep -q '^xpacket: ' err
		[[ $(queued) == 0 ]]
	done
}

@test "--frames sends netstrings after a magic line, and recv recognises them" {
	requires jq
	printf 'one\0two\nlines\0' | expect 0 poor xpacket send --null --frames | cat >frames
	silent
	[[ -n $(head -n 1 frames) ]]
	cmp <(tail -n +2 frames) <(printf '3:one,9:two\nlines,')
	cat frames | expect 0 xpacket recv --null | cmp - <(printf 'one\0two\nlines\0')
	silent
	cat frames | expect 0 xpacket recv --netstring | cmp - <(printf '3:one,9:two\nlines,')
	cat frames | expect 0 xpacket recv --json >out
	jq -es 'map(.data) == ["one", "two\nlines"] and map(.seq) == [1, 2]' out
	cat frames | expect 1 xpacket recv --lines >out
	complains_of 2
	[[ $(<out) == one ]]
	cat frames | expect 1 xpacket recv --null --max=3 | cmp - <(printf 'one\0two\0')
	said 'xpacket: record 2: cut at 3 of 9 bytes'
	cat frames | expect 0 xpacket recv -n 1 | cmp - <(printf 'one\n')
}

@test "--frames carries any number and length of records" {
	records 3000 5 >netstrings
	poor xpacket send --netstring --frames <netstrings | expect 0 xpacket recv --netstring |
		cmp - netstrings
	poor xpacket send --netstring --frames <netstrings | xsplice |
		expect 0 poor xpacket recv --netstring | cmp - netstrings
	: | poor xpacket send --frames | expect 0 xpacket recv | cmp - /dev/null
	silent
}

@test "frames of several senders, one after the other, are one queue" {
	local n
	printf 'one\ntwo\n' | poor xpacket send --frames | cat >frames
	cat frames frames frames | expect 0 xpacket recv |
		cmp - <(printf 'one\ntwo\none\ntwo\none\ntwo\n')
	# Wherever one read ends and the next begins.
	for ((n = 1; n < $(stat -c %s frames); n++)); do
		{ cat frames; head -c $n frames; sleep 0.01; tail -c +$((n + 1)) frames; } |
			expect 0 xpacket recv | cmp - <(printf 'one\ntwo\none\ntwo\n')
	done
}

@test "--frames changes nothing where packet mode can be had" {
	requires packet-pipe
	records 300 6 >netstrings
	xpacket send --netstring --frames <netstrings | expect 0 xpacket recv --netstring |
		cmp - netstrings
}

@test "frames that end too early or are malformed are refused by number" {
	local cut
	printf 'one\ntwo\nthree\n' | poor xpacket send --frames | cat >frames
	for cut in 1 2 5 6; do
		head -c -$cut frames | expect 1 xpacket recv >out
		complains_of 3
		cmp out <(printf 'one\ntwo\n')
	done
	{ head -n 1 frames; printf 3:one,x:two,; } | expect 1 xpacket recv >out
	complains_of 2
	cmp out <(printf 'one\n')
}

# -------------------------------------------------------------------------- the rest

@test "what is no pipe is refused" {
	expect 1 xpacket send <"$TEXT" >out
	[[ $(wc -l <err) == 1 ]]
	grep -q "^xpacket: .*'standard output'.*not a pipe" err
	empty out
	expect 1 xpacket recv <"$TEXT" >out
	[[ $(wc -l <err) == 1 ]]
	grep -q "^xpacket: .*'standard input'.*not a pipe" err
	empty out
	expect 1 xpacket work -- touch ran <"$TEXT"
	grep -q "^xpacket: .*'standard input'.*not a pipe" err
	absent ran
	expect 1 xpacket recv </dev/null
	grep -q 'not a pipe' err
	expect 1 xpacket send <"$TEXT" >/dev/null
	grep -q 'not a pipe' err
}

@test "a stream socket is no pipe either" {
	requires socat
	drain out "$TCP"
	exec {to}<>"/dev/tcp/127.0.0.1/$PORT"
	expect 1 xpacket send <"$TEXT" >&"$to"
	grep -q 'not a pipe' err
	exec {to}>&-
	wait "$PID"
	empty out
}

@test "the wrong end of a pipe, and a closed descriptor, are blamed on their side" {
	expect 1 xpacket send <&- | cat
	said "xpacket: reading 'standard input': Bad file descriptor"
	expect 1 xpacket send <"$TEXT" >&-
	said "xpacket: writing 'standard output': Bad file descriptor"
	expect 1 xpacket recv <&-
	said "xpacket: reading 'standard input': Bad file descriptor"
	expect 1 xpacket send <. | cat
	said "xpacket: reading 'standard input': Is a directory"
	fifo f
	exec {in}<f {out}>f
	expect 1 xpacket send <"$TEXT" 1>&"$in"
	grep -q "^xpacket: writing 'standard output': " err
	expect 1 xpacket recv 0<&"$out"
	grep -q "^xpacket: reading 'standard input': " err
}

@test "--stats counts packets and bytes, --explain tells the way" {
	requires packet-pipe jq
	printf 'one\nthree\n' | expect 0 xpacket send --stats=json | xpacket recv >out
	[[ $(wc -l <err) == 1 ]]
	jq -e '.tool == "xpacket" and .packets == 2 and .bytes == 8
		and (.seconds | type) == "number"' err
	printf 'one\nthree\n' | xpacket send | expect 0 xpacket recv --stats=json >out
	jq -e '.tool == "xpacket" and .packets == 2 and .bytes == 8' err
	printf 'one\nthree\n' | xpacket send | expect 0 xpacket work --stats=json -- true
	jq -e '.tool == "xpacket" and .packets == 2 and .bytes == 8' err
	printf 'one\nthree\n' | expect 0 xpacket send --stats | xpacket recv >out
	[[ $(wc -l <err) == 1 ]]
	printf 'one\n' | expect 0 xpacket send --explain | xpacket recv >out
	grep -q '^xpacket: ' err
	printf 'one\n' | expect 0 poor xpacket send --frames --explain | xpacket recv >out
	grep -q '^xpacket: ' err
	[[ $(<out) == one ]]
}

@test "--progress never touches standard output" {
	requires packet-pipe
	seq 20000 >numbers
	expect 0 xpacket send -P --stats <numbers | xpacket recv | cmp - numbers
	[[ -s err ]]
	xpacket send <numbers | expect 0 xpacket recv --progress --stats | cmp - numbers
	[[ -s err ]]
}

@test "a filter is loaded and every capability gone while packets move, unless --no-sandbox" {
	requires packet-pipe
	local command name
	queue
	fifo in
	for command in 'send <in >queue' 'send --netstring -P <in >queue' 'recv <queue >out' \
		'recv --json <queue >out'; do
		eval "spawn xpacket $command 2>err"
		eventually at_rest "$PID"
		[[ $(of_status Seccomp "$PID") == 2 ]]
		[[ $(of_status CapEff "$PID") == 0000000000000000 ]]
	done
	spawn xpacket recv --no-sandbox <queue >/dev/null
	eventually at_rest "$PID"
	for name in Seccomp CapEff NoNewPrivs; do
		[[ $(of_status $name "$PID") == "$(of_status $name)" ]]
	done
}

@test "bad options are usage errors, and nothing is sent or run" {
	local row words
	queue
	while read -r row; do
		[[ -n $row ]] || continue
		read -ra words <<<"$row"
		printf '%s\n' "$row"
		expect 2 xpacket "${words[@]}" <"$TEXT" >queue
		complained xpacket
		[[ $(queued) == 0 ]]
		absent ran
	done <<-'END'
		frobnicate
		--lines
		send --frobnicate
		send -Z
		send extra
		send --lines --null
		send --null --netstring
		send --netstring --chunk=4
		send --chunk=4 --lines
		send --chunk=0
		send --chunk=
		send --chunk=x
		send --chunk=-1
		send --chunk
		send --json
		send --raw
		send --keep-order
		send -j2
		send --stats=xml
		send --split=1
		recv --frobnicate
		recv extra
		recv --lines --json
		recv --raw --null
		recv --netstring --lines
		recv --max=0
		recv --max=
		recv --max=x
		recv --max=-1
		recv --max
		recv -n
		recv -n x
		recv -n -1
		recv -n 1x
		recv -n 99999999999999999999
		recv --split
		recv --skip-empty
		recv --chunk=4
		recv --halt
		work
		work -j2
		work -j0 -- touch ran
		work -j -1 -- touch ran
		work -j x -- touch ran
		work -j 1x -- touch ran
		work -j -- touch ran
		work --frobnicate -- touch ran
		work --json -- touch ran
		work --lines -- touch ran
		work --keep-order=1 -- touch ran
		work --stats=xml -- touch ran
	END
	expect 2 xpacket >queue
	complained xpacket
}

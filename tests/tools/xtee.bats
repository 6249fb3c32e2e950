# SPDX-License-Identifier: GPL-2.0-or-later
# xtee: one input, many outputs, each byte once and in order to each.
load helper

VIAS=(auto tee copy)
MODES=('' -p --output-error --output-error=warn --output-error=warn-nopipe
	--output-error=exit --output-error=exit-nopipe)

@test "standard input to standard output and to each DEST, in every way, from every kind" {
	local via
	for via in "${VIAS[@]}"; do
		cat "$DATA" | expect 0 xtee --via="$via" one two | cmp - "$DATA"
		cmp "$DATA" one
		cmp "$DATA" two
		expect 0 xtee --via="$via" one two <"$SMALL" | cmp - "$SMALL"
		cmp "$SMALL" one
		cmp "$SMALL" two
		expect 0 xtee --via="$via" one <"$DATA" >two
		cmp "$DATA" one
		cmp "$DATA" two
		silent
	done
}

@test "an empty input makes empty outputs" {
	cp "$SMALL" one
	chmod u+w one
	: | expect 0 xtee one two >out
	empty one
	empty two
	empty out
}

# A reader of each speed and size of bite; kinds repeat until there are enough.
slow() { dd bs=7 status=none >"$1"; }
pausing() { { head -c 100000; sleep 0.1; cat; } >"$1"; }
fast() { cat >"$1"; }

# outputs COUNT - sets `dests` to that many outputs of all kinds, `sinks` to who brings them to
# out.N.
outputs() {
	local n fd
	dests=() sinks=()
	for ((n = 0; n < $1; n++)); do
		case $((n % 9)) in
		0) dests+=("out.$n") ;;
		1) exec {fd}> >(fast "out.$n") ;;&
		2) exec {fd}> >(slow "out.$n") ;;&
		3) exec {fd}> >(pausing "out.$n") ;;&
		[123]) dests+=("fd:$fd") fds+=("$fd") sinks+=($!) ;;
		4)
			mkfifo "fifo.$n"
			fast "out.$n" <"fifo.$n" &
			dests+=("fifo.$n") sinks+=($!)
			;;
		5)
			drain "out.$n" "$TCP"
			dests+=("tcp:127.0.0.1:$PORT") sinks+=("$PID")
			;;
		6)
			drain "out.$n" "UNIX-LISTEN:unix.$n"
			dests+=("unix:unix.$n") sinks+=("$PID")
			;;
		7)
			exec {fd}>>"out.$n"
			dests+=("fd:$fd") fds+=("$fd")
			;;
		8)
			ln -s "$DATA" "out.$n"
			dests+=(/dev/null)
			;;
		esac
	done
}

# fans COUNT - COUNT outputs, standard output apart, each hold the input at the end.
fans() {
	local dests sinks fds=() n fd sink via
	requires socat
	for via in "${VIAS[@]}"; do
		rm -f out.* fifo.* unix.*
		outputs "$1"
		cat "$DATA" | expect 0 xtee --via="$via" "${dests[@]}" | cmp - "$DATA"
		for fd in "${fds[@]}"; do exec {fd}>&-; done
		fds=()
		for sink in "${sinks[@]}"; do wait "$sink"; done
		for ((n = 0; n < $1; n++)); do cmp "$DATA" "out.$n"; done
	done
}

@test "1 output" {
	fans 1
}

@test "2 outputs" {
	fans 2
}

@test "8 outputs of different speeds and kinds" {
	fans 8
}

@test "32 outputs of different speeds and kinds" {
	fans 32
}

@test "a file, a socket and a terminal are as good an input as a pipe" {
	requires socat script
	local via
	for via in "${VIAS[@]}"; do
		feed "$DATA" "$TCP"
		exec {in}<>"/dev/tcp/127.0.0.1/$PORT"
		expect 0 xtee --via="$via" one <&"$in" | cmp - "$DATA"
		cmp "$DATA" one
		exec {in}<&-
	done
	mkfifo ready
	{ read -r <ready; cat "$TEXT"; } |
		script -qec 'stty -echo; echo >ready; xtee one >two' /dev/null
	cmp "$TEXT" one
	cmp "$TEXT" two
}

@test "dribbles of one byte reach every output, in every way" {
	local via
	for via in "${VIAS[@]}"; do
		dd if="$SMALL" bs=1 status=none |
			expect 0 xtee --via="$via" one >(cat >two) | cmp - "$SMALL"
		cmp "$SMALL" one
	done
}

@test "what came in goes out before more is waited for" {
	local via byte
	for via in "${VIAS[@]}"; do
		rm -f in one two
		fifo in
		exec {in}>in
		mkfifo one two
		exec {one}<>one {two}<>two
		spawn xtee --via="$via" one <in >two
		for byte in a b c; do
			printf %s $byte >&"$in"
			[[ $(take 1 "$one") == "$byte" && $(take 1 "$two") == "$byte" ]]
		done
		exec {in}>&- {FD}>&-
		ends 0 "$PID"
	done
}

@test "non-blocking input and outputs are waited for" {
	local via
	for via in "${VIAS[@]}"; do
		{ head -c 1000 "$DATA"; sleep 0.05; tail -c +1001 "$DATA"; } |
			expect 0 "$HERE/fdset" 0:nonblock 1:nonblock -- xtee --via="$via" one |
			{ head -c 100000; sleep 0.05; cat; } >two
		cmp "$DATA" one
		cmp "$DATA" two
	done
}

@test "pipes of one page, and pipes that cannot be enlarged, lose nothing" {
	local via
	for via in "${VIAS[@]}"; do
		"$HERE/fdset" 1:size=4096 -- cat "$DATA" |
			expect 0 "$HERE/fdset" 1:size=4096 -- xtee --via="$via" one | cmp - "$DATA"
		cmp "$DATA" one
		cat "$DATA" |
			expect 0 "$HERE/fdset" 1:size=4096 -- xtee --via="$via" --pipe-size=1M one |
			cmp - "$DATA"
		cmp "$DATA" one
		cat "$DATA" |
			expect 0 xdeny fcntl:F_SETPIPE_SZ=EPERM -- \
				xtee --via="$via" --pipe-size=1M one |
			cmp - "$DATA"
		cmp "$DATA" one
	done
}

@test "-a appends, without it files are truncated" {
	echo before >one
	cat "$SMALL" | expect 0 xtee -a one >/dev/null
	cat <(echo before) "$SMALL" | cmp - one
	expect 0 xtee --append one <"$SMALL" >/dev/null
	cat <(echo before) "$SMALL" "$SMALL" | cmp - one
	cat "$SMALL" | expect 0 xtee one >/dev/null
	cmp "$SMALL" one
}

@test "--no-stdout leaves standard output alone" {
	cat "$SMALL" | expect 0 xtee --no-stdout one two >out
	empty out
	cmp "$SMALL" one
	cmp "$SMALL" two
}

@test "- as DEST is standard output, once more" {
	expect 0 xtee --no-stdout - <"$SMALL" | cmp - "$SMALL"
}

@test "packet boundaries are kept where standard input is a packet pipe" {
	requires packet-pipe
	mkfifo in one two
	exec {in}<>in {one}<>one {two}<>two
	exec {packets}>in
	"$HERE/fdset" 1:packet -- perl -e 'syswrite STDOUT, "x" x $_ for 10, 20, 30' >&"$packets"
	exec {source}<in {in}>&- {packets}>&-
	expect 0 xtee one <&"$source" >&"$two"
	for fd in "$one" "$two"; do
		[[ $(perl -e 'print sysread(STDIN, my $packet, 4096), " " for 1 .. 3' <&"$fd") == \
			'10 20 30 ' ]]
	done
}

@test "an output on a full file system is named, exit 1, and the others get everything" {
	requires userns
	local via
	cat >script <<-'END'
		mount -t tmpfs -o size=64k none full
		cat "$2" | xtee --via="$1" one full/out two
	END
	mkdir full
	for via in "${VIAS[@]}"; do
		expect 1 unshare -rm sh script "$via" "$DATA" >three
		said "xtee: writing 'full/out': No space left on device"
		cmp "$DATA" one
		cmp "$DATA" two
		cmp "$DATA" three
	done
}

@test "/dev/full among the outputs is named, exit 1, and the others get everything" {
	local via
	for via in "${VIAS[@]}"; do
		cat "$DATA" | expect 1 xtee --via="$via" one /dev/full two | cmp - "$DATA"
		said "xtee: writing '/dev/full': No space left on device"
		cmp "$DATA" one
		cmp "$DATA" two
		cat "$DATA" | expect 1 xtee --via="$via" one >/dev/full
		said "xtee: writing 'standard output': No space left on device"
		cmp "$DATA" one
	done
}

@test "each of several failing outputs is named" {
	cat "$DATA" | expect 1 xtee no/such /dev/full one >/dev/null
	local full="xtee: writing '/dev/full': No space left on device"
	[[ $(sort err) == "$full"$'\n'"xtee: writing 'no/such': No such file or directory" ]]
	cmp "$DATA" one
}

@test "reading a directory is blamed on reading" {
	expect 1 xtee one <. >out
	said "xtee: reading 'standard input': Is a directory"
	empty out
}

# against_tee SCENARIO - in every mode xtee ends as GNU tee does, and leaves as much behind.
against_tee() {
	local mode theirs ours
	requires gnu-tee
	for mode in "${MODES[@]}"; do
		theirs=$("$1" tee $mode)
		ours=$("$1" xtee $mode)
		[[ $ours == "$theirs" ]] || fail "$1 $mode: $ours, GNU tee: $theirs"
	done
}

# What is left of ./one: all of it, or a part; the latter may be any length.
left() {
	if cmp -s "$DATA" one; then echo all; else echo part; fi
}

reader_of_stdout_dies() {
	rm -f one
	{
		local status=0
		"$@" one <"$DATA" 2>err || status=$?
		echo "status $status" >status
	} | head -c 1 >/dev/null
	cat status
	left
	if [[ -s err ]]; then echo complains; fi
}

reader_of_dest_dies() {
	local status=0
	rm -f one fifo
	mkfifo fifo
	head -c 1 <fifo >/dev/null &
	"$@" fifo one <"$DATA" >/dev/null 2>err || status=$?
	wait $!
	echo "status $status"
	left
	if [[ -s err ]]; then echo complains; fi
}

dest_is_full() {
	local status=0
	rm -f one
	"$@" /dev/full one <"$DATA" >/dev/null 2>err || status=$?
	echo "status $status"
	left
	if [[ -s err ]]; then echo complains; fi
}

dest_cannot_be_opened() {
	local status=0
	rm -f one
	"$@" no/such one <"$DATA" >/dev/null 2>err || status=$?
	echo "status $status"
	left
	if [[ -s err ]]; then echo complains; fi
}

@test "every --output-error mode is GNU tee's: the reader of standard output dies" {
	against_tee reader_of_stdout_dies
}

@test "every --output-error mode is GNU tee's: the reader of a DEST dies" {
	against_tee reader_of_dest_dies
}

@test "every --output-error mode is GNU tee's: a DEST is full" {
	against_tee dest_is_full
}

@test "every --output-error mode is GNU tee's: a DEST cannot be opened" {
	against_tee dest_cannot_be_opened
}

@test "an unknown --output-error mode is a usage error" {
	expect 2 xtee --output-error=never one <"$SMALL" >out
	complained xtee
	empty out
	absent one
}

@test "-p ends when its last reader dies while no input arrives" {
	local via
	for via in "${VIAS[@]}"; do
		rm -f in one two
		mkfifo in one two
		exec {in}<>in
		spawn xtee -p --via="$via" --no-stdout one two <in
		exec {one}<one {two}<two
		printf hello >&"$in"
		[[ $(take 5 "$one") == hello && $(take 5 "$two") == hello ]]
		exec {one}<&-
		printf again >&"$in"
		[[ $(take 5 "$two") == again ]]
		exec {two}<&-
		ends 0 "$PID"
		exec {in}>&-
	done
}

@test "a reader that died while no input arrives is reported then, and the others go on" {
	local via line
	for via in "${VIAS[@]}"; do
		rm -f in one two messages
		mkfifo in one two messages
		exec {in}<>in {messages}<>messages
		spawn xtee --output-error=warn --via="$via" --no-stdout one two <in 2>&"$messages"
		exec {one}<one {two}<two
		printf hello >&"$in"
		[[ $(take 5 "$one") == hello && $(take 5 "$two") == hello ]]
		exec {one}<&-
		read -r -t 30 line <&"$messages"
		[[ $line == "xtee: writing 'one': Broken pipe" ]]
		printf again >&"$in"
		[[ $(take 5 "$two") == again ]]
		exec {in}>&-
		ends 1 "$PID"
		exec {two}<&- {messages}<&-
	done
}

@test "-p with the only reader gone before any input ends at once" {
	fifo in
	expect 0 xtee -p <in | :
	silent
}

@test "--output-error=exit notices it too, and fails" {
	fifo in
	expect 1 xtee --output-error=exit <in | :
	said "xtee: writing 'standard output': Broken pipe"
}

@test "-i ignores SIGINT, without it SIGINT ends xtee" {
	local option
	for option in -i --ignore-interrupts ''; do
		rm -f in out
		mkfifo in out
		exec {in}<>in {out}<>out
		spawn xtee $option <in >out
		printf hello >&"$in"
		[[ $(take 5 "$out") == hello ]]
		signal INT "$PID"
		if [[ -z $option ]]; then
			ends 130 "$PID"
			continue
		fi
		printf again >&"$in"
		[[ $(take 5 "$out") == again ]]
		exec {in}>&-
		ends 0 "$PID"
	done
}

@test "SIGTERM stops cleanly and prints --stats" {
	requires jq
	mkfifo in out
	exec {in}<>in {out}<>out
	spawn xtee --stats=json one <in >out 2>err
	printf hello >&"$in"
	[[ $(take 5 "$out") == hello ]]
	signal TERM "$PID"
	ends 143 "$PID"
	[[ $(stat_of bytes) == 5 && $(<one) == hello ]]
}

@test "SIGUSR1 prints one progress line and it goes on" {
	local line
	mkfifo in out messages
	exec {in}<>in {out}<>out {messages}<>messages
	spawn xtee <in >out 2>&"$messages"
	printf hello >&"$in"
	[[ $(take 5 "$out") == hello ]]
	signal USR1 "$PID"
	read -r -t 30 line <&"$messages"
	[[ $line == *5* ]]
	printf again >&"$in"
	[[ $(take 5 "$out") == again ]]
}

@test "a terminal is as good an output as a pipe" {
	requires script
	local via
	for via in "${VIAS[@]}"; do
		script -qec "stty -opost; cat '$DATA' | xtee --via=$via one" /dev/null \
			>two </dev/null
		cmp "$DATA" one
		cmp "$DATA" two
	done
}

@test "--peek copies what the FIFO holds and leaves it there" {
	local size
	for size in 0 1 20001 65536; do
		rm -f in
		fifo in
		head -c $size "$DATA" >&"$FD"
		expect 0 xtee --peek one >two <in
		head -c $size "$DATA" | cmp - one
		cmp one two
		expect 0 xtee --peek --no-stdout three <in
		cmp one three
		head -c $size <in | cmp - one
		[[ $(xpipe --stdin --show <in 2>&1) == *queued=0* ]]
	done
}

@test "--peek leaves a large pipe's content too, to outputs of every kind" {
	fifo in
	"$HERE/fdset" 1:size=1048576 -- head -c 1000000 "$DATA" >&"$FD"
	mkfifo slow
	dd bs=999 status=none <slow >two &
	own $!
	expect 0 xtee --peek one slow >three <in
	wait $!
	head -c 1000000 "$DATA" | cmp - one
	cmp one two
	cmp one three
	head -c 1000000 <in | cmp - one
}

@test "--peek needs a pipe" {
	expect 1 xtee --peek one <"$SMALL" >two
	[[ $(wc -l <err) == 1 ]]
	grep -q "^xtee: reading 'standard input': " err
	empty two
}

@test "--peek cannot be had without tee(2): 3, and nothing is consumed" {
	fifo in
	printf hello >&"$FD"
	expect 3 xdeny tee=ENOSYS -- xtee --peek <in >out
	[[ -s err ]]
	[[ $(head -c 5 <in) == hello ]]
}

@test "--stats=json counts what came in, and names the way" {
	requires jq
	cat "$DATA" | expect 0 xtee --stats=json | cat | cmp - "$DATA"
	holds '.bytes == 2101473 and .method == "tee" and .fallback == null' err
	cat "$DATA" | expect 0 xtee --via=copy --stats=json one | cmp - "$DATA"
	holds '.bytes == 2101473 and .method == "copy"' err
	cmp "$DATA" one
}

@test "the same DEST twice gets the data twice, as with GNU tee and -a" {
	cat "$SMALL" | expect 0 xtee -a one one >/dev/null
	[[ $(stat -c %s one) == 40002 ]]
}

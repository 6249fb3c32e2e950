# SPDX-License-Identifier: GPL-2.0-or-later
# xvmsplice: what memory held when it was handed over is what the reader gets.
load helper

VIAS=(auto vmsplice tee write)
ERRORS=(ENOSYS EPERM EOPNOTSUPP EINVAL)
HOW=('' --gift --huge '--huge --gift')
LIMIT=8192  # KiB of resident set
WINDOW=65536 # KiB of a file that may be mapped at once

# deny RULES COMMAND... - COMMAND under xdeny; RULES are words.
deny() {
	local rules=$1
	shift
	# shellcheck disable=SC2086  # words
	xdeny $rules -- "$@"
}

# lines STRING COUNT - so many bytes of STRING and a newline, again and again.
lines() { head -c "$2" < <(yes -- "$1" 2>/dev/null); }

# text LENGTH - a string of that many bytes, in which no part repeats early.
text() { head -c "$1" < <(seq -s . 1 "$1" 2>/dev/null); }

# counter BYTES - the numbers from 0 on, as --pattern=counter has them.
counter() {
	head -c "$1" < <(perl -e '
		for (my $n = 0; $n < $ARGV[0] / 8; $n += 512) {
			print pack "Q<*", $n .. $n + 511
		}' "$1")
}

# settled PID - it has ended, or sleeps: a pipe is as full as it gets.
settled() {
	! running "$1" || (at_rest "$1")
}

# source_of COMMAND... - COMMAND in the background as $SOURCE; it fills the pipe $IN.
source_of() {
	local both
	rm -f source
	mkfifo source
	exec {both}<>source
	spawn "$@" >source
	SOURCE=$PID
	exec {IN}<source {both}>&-
}

# arrives READER WANT COMMAND... - COMMAND's output, taken by READER, is the file WANT. A reader
# `reads` at once; or `pauses` until the writer can do no more; or `splices` on into a third
# pipe, until that is full or the writer has long gone.
arrives() {
	local reader=$1 want=$2 both splicer=''
	shift 2
	printf '%s: %s\n' "$reader" "$*"
	source_of "$@"
	if [[ $reader == splices ]]; then
		rm -f third
		mkfifo third
		exec {both}<>third
		spawn xsplice --via=splice <&"$IN" >third
		splicer=$PID
		exec {IN}<&- {IN}<third {both}>&-
		eventually settled "$splicer"
	fi
	[[ $reader == reads ]] || eventually settled "$SOURCE"
	cmp - "$want" <&"$IN"
	exec {IN}<&-
	ends 0 "$SOURCE"
	[[ -z $splicer ]] || ends 0 "$splicer"
}

READERS=(reads pauses splices)

# however WANT OPTION... - in every way, with huge pages and gifts and without, for every reader.
however() {
	local want=$1 via how reader
	shift
	for via in "${VIAS[@]}"; do
		for how in "${HOW[@]}"; do
			for reader in "${READERS[@]}"; do
				# shellcheck disable=SC2086  # words
				arrives "$reader" "$want" xvmsplice --via="$via" $how "$@"
			done
		done
	done
}

# ------------------------------------------------------------------------------ files

@test "a FILE arrives, for every reader, in every way, with huge pages and gifts and without" {
	however "$DATA" "$DATA"
}

@test "a FILE of any length arrives" {
	local length via
	for length in 0 1 2 4095 4096 4097 8191 65535 65536 65537 1048575 1048577; do
		head -c $length "$DATA" >file
		for via in "${VIAS[@]}"; do
			expect 0 xvmsplice --via="$via" file | cmp - file
			silent
		done
	done
}

@test "random lengths from random offsets arrive" {
	local turn offset length how reader
	for ((turn = 0; turn < 24; turn++)); do
		offset=$(((RANDOM * 32768 + RANDOM) % 2000000))
		length=$((1 + (RANDOM * 32768 + RANDOM) % 1500000))
		how=${HOW[RANDOM % 4]} reader=${READERS[RANDOM % 3]}
		tail -c +$((offset + 1)) "$DATA" >rest
		head -c $length rest >want
		exec {from}<"$DATA"
		head -c $offset <&"$from" >/dev/null
		printf '%s bytes at %s\n' $length $offset
		# shellcheck disable=SC2086  # words
		arrives "$reader" want xvmsplice $how -n $length - <&"$from"
		exec {from}<&-
	done
}

@test "-n takes no more than that from a FILE, and a FILE that ends earlier is no failure" {
	local length via
	for via in "${VIAS[@]}"; do
		for length in 0 1 4095 4096 4097 70000 2101472 2101473 1G; do
			expect 0 xvmsplice --via="$via" -n $length "$DATA" >out
			silent
			cmp out <(head -c $length "$DATA")
		done
		expect 0 xvmsplice --via="$via" --length=5K "$DATA" | cmp - <(head -c 5K "$DATA")
	done
}

@test "FILEs arrive one after another, an empty one too, and -n counts over all of them" {
	local via reader
	head -c 1 "$DATA" >one
	head -c 4097 "$DATA" >two
	: >none
	cat one two none "$SMALL" one "$DATA" >all
	for via in "${VIAS[@]}"; do
		for reader in "${READERS[@]}"; do
			arrives "$reader" all \
				xvmsplice --via="$via" one two none "$SMALL" one "$DATA"
		done
		expect 0 xvmsplice --via="$via" -n 24100 one two none "$SMALL" one "$DATA" |
			cmp - <(head -c 24100 all)
		expect 0 xvmsplice --via="$via" --gift -n 4098 one two none "$SMALL" |
			cmp - <(head -c 4098 all)
	done
}

@test "what cannot be mapped is copied in between, which --explain tells" {
	local via
	mkfifo fifo
	cat "$DATA" "$SMALL" /proc/sys/kernel/ostype "$SMALL" "$TEXT" >all
	for via in "${VIAS[@]}"; do
		cat "$SMALL" >fifo &
		own $!
		cat "$SMALL" | expect 0 xvmsplice --explain --via="$via" \
			"$DATA" fifo /proc/sys/kernel/ostype - "$TEXT" | cmp - all
		grep -q '^xvmsplice: .*cop' err
	done
	cat "$SMALL" | expect 0 xvmsplice - | cmp - "$SMALL"
	silent
	cat "$SMALL" | expect 0 xvmsplice -n 5000 - | cmp - <(head -c 5000 "$SMALL")
	expect 0 xvmsplice -n 5000 /dev/zero | cmp - <(head -c 5000 /dev/zero)
}

@test "standard input stands where it was left afterwards: what follows reads on" {
	local via
	for via in "${VIAS[@]}"; do
		{ xvmsplice --via="$via" -n 5000 - >first; cat >second; } <"$SMALL"
		cmp first <(head -c 5000 "$SMALL")
		cmp second <(tail -c +5001 "$SMALL")
		{ xvmsplice --via="$via" - "$TEXT" >first; cat >second; } <"$SMALL"
		cat "$SMALL" "$TEXT" | cmp - first
		empty second
	done
}

@test "-n takes no more than that out of a pipe" {
	fifo f
	printf 1234567890 >&"$FD"
	expect 0 xvmsplice -n 4 - <f | cmp - <(printf 1234)
	[[ $(take 6 "$FD") == 567890 ]]
}

@test "a FILE that is replaced by rename stays what it was" {
	cp "$DATA" file
	chmod u+w file
	source_of xvmsplice file
	eventually settled "$SOURCE"
	cp "$SMALL" other
	mv -f other file
	cmp - "$DATA" <&"$IN"
	ends 0 "$SOURCE"
}

@test "a FILE that is truncated midway is blamed, and ends nothing by a signal" {
	local via
	for via in "${VIAS[@]}"; do
		cat "$DATA" "$DATA" >file
		source_of xvmsplice --via="$via" file 2>err
		eventually settled "$SOURCE"
		: >file
		cat <&"$IN" >/dev/null
		exec {IN}<&-
		ends 1 "$SOURCE"
		grep -q "^xvmsplice: reading 'file': " err
		[[ $(wc -l <err) == 1 ]]
	done
}

@test "a missing FILE and a directory are blamed on reading" {
	expect 1 xvmsplice missing | cmp - /dev/null
	said "xvmsplice: reading 'missing': No such file or directory"
	expect 1 xvmsplice . | cmp - /dev/null
	said "xvmsplice: reading '.': Is a directory"
	expect 1 xvmsplice "$SMALL" missing >out
	said "xvmsplice: reading 'missing': No such file or directory"
	expect 1 xvmsplice - <&- | cmp - /dev/null
	said "xvmsplice: reading 'standard input': Bad file descriptor"
}

# -------------------------------------------------------------------- what repeats

# The string and its newline repeat: a period that divides the page size, and ones that do not.
PERIODS=(1 2 3 7 100 4094 4095 4096 4097 10000)

@test "--repeat is what yes gives, whatever the period, in every way" {
	local via length string
	for length in "${PERIODS[@]}"; do
		string=$(text "$length")
		lines "$string" 1500001 >want
		for via in "${VIAS[@]}"; do
			printf '%s bytes by %s\n' "$length" "$via"
			expect 0 xvmsplice --via="$via" --repeat="$string" -n 1500001 | cmp - want
			silent
		done
	done
}

@test "--repeat for every reader, with huge pages and gifts and without" {
	local length string
	for length in 7 4097; do
		string=$(text $length)
		lines "$string" 3000001 >want
		however want --repeat="$string" -n 3000001
	done
}

@test "-n cuts --repeat anywhere" {
	local via length
	for via in "${VIAS[@]}"; do
		for length in 0 1 3 4 5 4095 4096 4097 65535 65537 1048577; do
			expect 0 xvmsplice --via="$via" --repeat=abc -n $length |
				cmp - <(lines abc $length)
		done
	done
}

@test "--repeat takes any STRING: empty, of blanks, with a dash, a backslash, a newline" {
	local string
	for string in '' ' ' -n '--gift' 'a\nb' '%s%n' $'two\nlines' $'\377\001' 'ä'; do
		expect 0 xvmsplice --repeat="$string" -n 10001 | cmp - <(lines "$string" 10001)
		silent
	done
}

@test "--pattern=zero is zeros" {
	head -c 3000001 /dev/zero >want
	however want --pattern=zero -n 3000001
}

@test "--pattern=counter is 64-bit little-endian numbers from 0 on" {
	local via length
	counter 9000001 >want
	however want --pattern=counter -n 9000001
	for via in "${VIAS[@]}"; do
		for length in 0 1 7 8 9 4095 4096 4097 65537; do
			expect 0 xvmsplice --via="$via" --pattern=counter -n $length |
				cmp - <(head -c $length want)
		done
	done
}

@test "--pattern=random:SEED is the same for one SEED, for every reader, in every way" {
	local via
	expect 0 xvmsplice --via=write --pattern=random:42 -n 9000001 >want
	[[ $(stat -c %s want) == 9000001 ]]
	however want --pattern=random:42 -n 9000001
	for via in "${VIAS[@]}"; do
		expect 0 xvmsplice --via="$via" --pattern=random:42 -n 4097 |
			cmp - <(head -c 4097 want)
	done
}

@test "--pattern=random differs by SEED, without one by run, and does not repeat" {
	local seed
	for seed in 0 1 2 18446744073709551615; do
		expect 0 xvmsplice --pattern=random:$seed -n 65536 >"seed.$seed"
	done
	expect 0 xvmsplice --pattern=random -n 65536 >fresh.1
	expect 0 xvmsplice --pattern=random -n 65536 >fresh.2
	[[ $(sha256sum seed.* fresh.* | cut -c -64 | sort -u | wc -l) == 6 ]]
	expect 0 xvmsplice --pattern=random:1 -n 8M >long
	[[ $(gzip -1 <long | wc -c) -gt 8300000 ]]
	perl -e '$/ = \4096; $seen{$_}++ and die "a page comes again\n" while <>' long
}

@test "without -n it goes on until the reader goes, and then ends quietly" {
	local via what
	for via in "${VIAS[@]}"; do
		for what in --repeat=yes --pattern=zero --pattern=counter --pattern=random:1; do
			xvmsplice "$what" -n 5000000 >want
			expect 141 xvmsplice --via="$via" "$what" | head -c 5000000 | cmp - want
			silent
		done
	done
	expect 141 xvmsplice "$DATA" | head -c 5000 | cmp - <(head -c 5000 "$DATA")
	silent
}

@test "with SIGPIPE ignored, a reader that goes away is blamed on writing" {
	local via what
	trap '' PIPE
	for via in "${VIAS[@]}"; do
		for what in --repeat=yes --pattern=random:1 "$DATA"; do
			expect 1 xvmsplice --via="$via" "$what" | head -c 5000 >part
			said "xvmsplice: writing 'standard output': Broken pipe"
		done
	done
}

# ------------------------------------------------------------------------- outputs

# to_everything WANT COMMAND... - COMMAND writes the file WANT to outputs of all kinds.
to_everything() {
	local want=$1
	shift
	printf '%s\n' "$*"
	expect 0 "$@" >out
	silent
	cmp "$want" out
	printf before >out
	expect 0 "$@" >>out
	cat <(printf before) "$want" | cmp - out
	expect 0 "$@" >/dev/null
	drain out "$TCP"
	exec {to}<>"/dev/tcp/127.0.0.1/$PORT"
	expect 0 "$@" >&"$to"
	exec {to}>&-
	wait "$PID"
	cmp "$want" out
	expect 0 "$HERE/fdset" 1:nonblock -- "$@" | { head -c 100000; sleep 0.02; cat; } |
		cmp - "$want"
	expect 0 "$HERE/fdset" 1:size=4096 -- "$@" | cmp - "$want"
	expect 1 "$@" >/dev/full
	said "xvmsplice: writing 'standard output': No space left on device"
	expect 1 "$@" >&-
	said "xvmsplice: writing 'standard output': Bad file descriptor"
}

@test "files, O_APPEND, sockets, non-blocking and small pipes are written; /dev/full is blamed" {
	local via
	requires socat
	lines word 3000001 >repeated
	counter 3000001 >counted
	for via in "${VIAS[@]}"; do
		to_everything repeated xvmsplice --via="$via" --repeat=word -n 3000001
		to_everything counted xvmsplice --via="$via" --pattern=counter -n 3000001
		to_everything "$DATA" xvmsplice --via="$via" "$DATA"
	done
}

@test "a descriptor's flags are as they were afterwards" {
	local before what
	fifo f
	exec {out}>f
	before=$(grep flags "/proc/$$/fdinfo/$out")
	for what in --repeat=y --pattern=random:1 "$SMALL"; do
		expect 0 xvmsplice -n 20001 "$what" >&"$out"
		[[ $(grep flags "/proc/$$/fdinfo/$out") == "$before" ]]
		take 20001 "$FD" >/dev/null
	done
}

@test "a full pipe is waited for without processor time, and the rest arrives" {
	local via what pids=() pid before=() n used
	fifo f
	"$HERE/fdset" 1:full -- true >&"$FD"
	for via in "${VIAS[@]}"; do
		for what in --repeat=y --pattern=random:1 "$DATA"; do
			spawn xvmsplice --via="$via" "$what" >f
			pids+=("$PID")
			spawn "$HERE/fdset" 1:nonblock -- xvmsplice --via="$via" "$what" >f
			pids+=("$PID")
		done
	done
	for pid in "${pids[@]}"; do eventually at_rest "$pid"; done
	for pid in "${pids[@]}"; do before+=("$(ticks "$pid")"); done
	sleep 1 # what is measured, not waited for
	for n in "${!pids[@]}"; do
		running "${pids[n]}" || fail 'it does not wait at all'
		used=$(($(ticks "${pids[n]}") - before[n]))
		((used < 2)) || fail "$used ticks"
	done
}

@test "memory stays bounded however much is made" {
	requires no-asan
	local via what most length
	truncate -s 200M file
	for via in "${VIAS[@]}"; do
		for what in --repeat=word --pattern=counter --pattern=random:1 file; do
			most=$LIMIT
			[[ $what != file ]] || most=$((LIMIT + WINDOW))
			source_of xvmsplice --via="$via" -n 200M "$what"
			head -c 196M <&"$IN" >/dev/null
			length=$(peak "$SOURCE")
			((length < most)) || fail "$via $what: peak resident set is $length KiB"
			[[ $(cat <&"$IN" | wc -c) == 4194304 ]]
			exec {IN}<&-
			ends 0 "$SOURCE"
		done
	done
}

# ---------------------------------------------------------------------- fallbacks

# despite RULES OPTION... - repeat, pattern and file arrive where RULES hold.
despite() {
	local rules=$1
	shift
	printf '%s: xvmsplice %s\n' "$rules" "$*"
	expect 0 deny "$rules" xvmsplice "$@" --repeat=word -n 3000001 | cmp - repeated
	silent
	expect 0 deny "$rules" xvmsplice "$@" --pattern=counter -n 3000001 | cmp - counted
	silent
	expect 0 deny "$rules" xvmsplice "$@" "$SMALL" "$DATA" | cmp - both
	silent
	expect 0 deny "$rules" xvmsplice "$@" "$SMALL" "$DATA" >out
	silent
	cmp both out
	cat "$DATA" | expect 0 deny "$rules" xvmsplice "$@" - | cmp - "$DATA"
}

wanted() {
	lines word 3000001 >repeated
	counter 3000001 >counted
	cat "$SMALL" "$DATA" >both
}

@test "vmsplice missing, denied or refused: the same bytes arrive, in every way" {
	local error via
	wanted
	for error in "${ERRORS[@]}"; do
		for via in "${VIAS[@]}"; do despite "vmsplice=$error" --via="$via"; done
	done
}

@test "combinations denied: the same bytes arrive" {
	local rules via
	wanted
	for rules in 'tee=EPERM' 'tee=ENOSYS vmsplice=ENOSYS' 'splice=EPERM' \
		'splice=EINVAL tee=EINVAL vmsplice=EOPNOTSUPP' \
		'pipe2=ENOSYS' 'pipe2=EMFILE vmsplice=EPERM' 'fcntl:F_SETPIPE_SZ=EPERM' \
		'fcntl:F_SETPIPE_SZ=EPERM fcntl:F_GETPIPE_SZ=EPERM'; do
		for via in "${VIAS[@]}"; do despite "$rules" --via="$via"; done
	done
}

@test "a gift that is refused is handed over without" {
	local error
	wanted
	for error in EOPNOTSUPP EINVAL; do
		despite "vmsplice:SPLICE_F_GIFT=$error" --gift
		despite "vmsplice:SPLICE_F_GIFT=$error" --gift --via=vmsplice
	done
}

@test "huge pages that cannot be had are done without" {
	local rules
	wanted
	for rules in 'mmap:MAP_HUGETLB=ENOMEM' 'madvise=EINVAL' \
		'mmap:MAP_HUGETLB=ENOMEM madvise=ENOSYS'; do
		despite "$rules" --huge
		despite "$rules" --huge --via=vmsplice
	done
}

@test "--no-fallback turns each fallback into 3, and nothing is written" {
	local error what
	for error in "${ERRORS[@]}"; do
		for what in --repeat=word --pattern=counter "$DATA"; do
			expect 3 deny "vmsplice=$error" \
				xvmsplice --via=vmsplice --no-fallback -n 5000 "$what" |
				cmp - /dev/null
			[[ $(wc -l <err) == 1 ]]
			grep -q '^xvmsplice: ' err
		done
	done
	for error in ENOSYS EPERM EINVAL; do
		expect 3 deny "tee=$error" xvmsplice --via=tee --no-fallback --repeat=word -n 5000 |
			cmp - /dev/null
		grep -q '^xvmsplice: ' err
	done
}

@test "--no-fallback without need changes nothing" {
	expect 0 xvmsplice --no-fallback --via=vmsplice --repeat=word -n 5000 |
		cmp - <(lines word 5000)
	expect 0 xvmsplice --no-fallback --via=tee --repeat=word -n 5000 | cmp - <(lines word 5000)
	expect 0 xvmsplice --no-fallback --via=write --repeat=word -n 5000 |
		cmp - <(lines word 5000)
	expect 0 xvmsplice --no-fallback "$DATA" | cmp - "$DATA"
	expect 0 xvmsplice --no-fallback --pattern=counter -n 5000 | cmp - <(counter 5000)
}

# ----------------------------------------------------------------- the other direction

@test "--read takes what the pipe brings, to standard output or DEST, in every way" {
	local via
	for via in auto vmsplice write; do
		cat "$DATA" | expect 0 xvmsplice --via=$via --read | cmp - "$DATA"
		silent
		cat "$DATA" | expect 0 xvmsplice --via=$via --read out
		silent
		cmp "$DATA" out
		cat "$SMALL" | expect 0 xvmsplice --via=$via --read out
		cmp "$SMALL" out
		cat "$DATA" | expect 0 xvmsplice --via=$via --read - | cmp - "$DATA"
		: | expect 0 xvmsplice --via=$via --read out
		empty out
		xsplice --via=splice "$DATA" | expect 0 xvmsplice --via=$via --read | cmp - "$DATA"
		dd if="$SMALL" bs=1 status=none | expect 0 xvmsplice --via=$via --read out
		cmp "$SMALL" out
	done
}

@test "--read to outputs of all kinds" {
	requires socat
	printf before >out
	cat "$DATA" | expect 0 xvmsplice --read >>out
	cat <(printf before) "$DATA" | cmp - out
	exec {to}>out
	cat "$DATA" | expect 0 xvmsplice --read "fd:$to"
	exec {to}>&-
	cmp "$DATA" out
	drain out UNIX-LISTEN:there
	cat "$DATA" | expect 0 xvmsplice --read unix:there
	wait "$PID"
	cmp "$DATA" out
	cat "$DATA" | expect 0 "$HERE/fdset" 0:nonblock 1:nonblock -- xvmsplice --read |
		{ head -c 100000; sleep 0.02; cat; } | cmp - "$DATA"
	expect 1 xvmsplice --read /dev/full < <(cat "$DATA")
	said "xvmsplice: writing '/dev/full': No space left on device"
	expect 1 xvmsplice --read >/dev/full < <(cat "$DATA")
	said "xvmsplice: writing 'standard output': No space left on device"
	expect 1 xvmsplice --read no/such < <(cat "$SMALL")
	said "xvmsplice: writing 'no/such': No such file or directory"
	expect 141 xvmsplice --read < <(cat "$DATA") | head -c 5000 | cmp - <(head -c 5000 "$DATA")
}

@test "--read with -n leaves the rest in the pipe" {
	local via
	fifo f
	for via in auto vmsplice write; do
		printf 1234567890 >&"$FD"
		expect 0 xvmsplice --via=$via --read -n 4 <f | cmp - <(printf 1234)
		[[ $(take 6 "$FD") == 567890 ]]
		printf 1234567890 >&"$FD"
		expect 0 xvmsplice --via=$via --read -n 0 <f | cmp - /dev/null
		[[ $(take 10 "$FD") == 1234567890 ]]
	done
}

@test "--read needs a pipe" {
	expect 1 xvmsplice --read <"$SMALL" >out
	[[ $(wc -l <err) == 1 ]]
	grep -q "^xvmsplice: reading 'standard input': " err
	empty out
	expect 1 xvmsplice --read made </dev/null
	grep -q "^xvmsplice: reading 'standard input': " err
	absent made
	expect 1 xvmsplice --read <&-
	said "xvmsplice: reading 'standard input': Bad file descriptor"
}

@test "--read where vmsplice is missing, denied or refused" {
	local error via
	for error in "${ERRORS[@]}"; do
		for via in auto vmsplice write; do
			cat "$DATA" | expect 0 deny "vmsplice=$error" xvmsplice --via=$via --read |
				cmp - "$DATA"
			silent
		done
		fifo "f.$error"
		printf hello >&"$FD"
		expect 3 deny "vmsplice=$error" \
			xvmsplice --read --via=vmsplice --no-fallback <"f.$error" >out
		grep -q '^xvmsplice: ' err
		empty out
		[[ $(take 5 "$FD") == hello ]]
	done
}

@test "--read hands on what has come before it waits for more" {
	local byte
	fifo in
	exec {in}>in
	fifo out
	spawn xvmsplice --read <in >out
	for byte in a b c; do
		printf %s $byte >&"$in"
		[[ $(take 1 "$FD") == "$byte" ]]
	done
	exec {in}>&-
}

# --------------------------------------------------------------------- common options

@test "--stats=json counts the bytes and names the way" {
	requires jq
	local row
	for row in vmsplice:vmsplice tee:tee write:copy; do
		expect 0 xvmsplice --via="${row%:*}" --stats=json --repeat=word -n 3000001 |
			cmp - <(lines word 3000001)
		[[ $(wc -l <err) == 1 ]]
		jq -e --arg method "${row#*:}" '.tool == "xvmsplice" and .bytes == 3000001
			and .calls >= 1 and (.seconds | type) == "number"
			and .method == $method and .fallback == null' err
	done
	expect 0 xvmsplice --stats=json "$SMALL" "$DATA" | cat >out
	jq -e '.bytes == 2121474 and (.method | IN("vmsplice", "tee", "copy"))' err
	expect 0 xvmsplice --stats=json "$DATA" >out
	jq -e '.bytes == 2101473' err
	cat "$DATA" | expect 0 xvmsplice --read --via=vmsplice --stats=json out
	jq -e '.bytes == 2101473 and .method == "vmsplice"' err
	cat "$DATA" | expect 0 xvmsplice --read --stats=json out
	jq -e '.bytes == 2101473 and (.method | IN("vmsplice", "copy"))' err
	cat "$DATA" | expect 0 xvmsplice --read --via=write --stats=json out
	jq -e '.bytes == 2101473 and .method == "copy" and .fallback == null' err
	expect 0 xvmsplice --stats "$SMALL" | cat >out
	[[ $(wc -l <err) == 1 ]]
	grep -q 20001 err
}

@test "--stats=json and --explain name the way given up, and why" {
	requires jq
	local error
	for error in "${ERRORS[@]}"; do
		expect 0 deny "vmsplice=$error tee=$error" \
			xvmsplice --via=vmsplice --stats=json --explain --repeat=word -n 5000 |
			cmp - <(lines word 5000)
		grep '^{' err |
			jq -e '.method == "copy" and (.fallback | type == "string" and length > 0)'
		grep -q '^xvmsplice: .*vmsplice' err
		grep -q '^xvmsplice: .*copy' err
	done
	expect 0 xvmsplice --via=vmsplice --explain "$DATA" | cmp - "$DATA"
	grep -q '^xvmsplice: .*vmsplice' err
	lacks copy err
}

@test "--progress never touches standard output" {
	expect 0 xvmsplice -P --stats "$DATA" | cmp - "$DATA"
	[[ -s err ]]
	expect 0 xvmsplice --progress --stats --repeat=word -n 5000 >out
	cmp out <(lines word 5000)
}

@test "SIGTERM and SIGINT stop it cleanly, and --stats is printed" {
	requires jq
	local row via
	for via in "${VIAS[@]}"; do
		for row in TERM:143 INT:130; do
			source_of xvmsplice --via="$via" --stats=json --repeat=word 2>err
			take 100000 "$IN" | cmp - <(lines word 100000)
			eventually at_rest "$SOURCE"
			signal "${row%:*}" "$SOURCE"
			ends "${row#*:}" "$SOURCE"
			cat <&"$IN" >rest
			[[ $(stat_of bytes) == $((100000 + $(wc -c <rest))) ]]
			exec {IN}<&-
		done
	done
}

@test "SIGUSR1 prints one line of progress" {
	fifo messages
	source_of xvmsplice --repeat=word 2>&"$FD"
	eventually at_rest "$SOURCE"
	signal USR1 "$SOURCE"
	read -r -t 30 line <&"$FD"
	[[ -n $line ]]
	running "$SOURCE"
}

@test "a filter is loaded and every capability gone while it writes, unless --no-sandbox" {
	local what name
	for what in --repeat=word --pattern=random:1 "$DATA"; do
		source_of xvmsplice "$what"
		eventually at_rest "$SOURCE"
		[[ $(of_status Seccomp "$SOURCE") == 2 ]]
		[[ $(of_status CapEff "$SOURCE") == 0000000000000000 ]]
		exec {IN}<&-
	done
	source_of xvmsplice --no-sandbox --repeat=word
	eventually at_rest "$SOURCE"
	for name in Seccomp CapEff NoNewPrivs; do
		[[ $(of_status $name "$SOURCE") == "$(of_status $name)" ]]
	done
	exec {IN}<&-
}

@test "what the sandbox allows is enough: every option at work in it" {
	expect 0 xvmsplice -P --stats --explain --huge --gift "$DATA" | cmp - "$DATA"
	expect 0 xvmsplice -P --stats --explain --huge --gift --pattern=random:1 -n 5M >one
	expect 0 xvmsplice -P --stats --explain --pattern=random:1 -n 5M >two
	cmp one two
	cat "$DATA" | expect 0 xvmsplice --read -P --stats --explain out
	cmp "$DATA" out
}

# ------------------------------------------------------------------------- bad input

@test "bad options are usage errors, and nothing is written" {
	local row words
	while read -r row; do
		[[ -n $row ]] || continue
		read -ra words <<<"$row"
		printf '%s\n' "$row"
		expect 2 xvmsplice "${words[@]}" </dev/null | cmp - /dev/null
		complained xvmsplice
		absent out
	done <<-END
		-n 5
		--gift
		--repeat
		--repeat=word $SMALL
		--pattern=zero $SMALL
		--pattern=zero --repeat=word
		--repeat=word --pattern=zero
		--read --repeat=word
		--read --pattern=zero
		--read out $SMALL
		--pattern
		--pattern=
		--pattern=ones
		--pattern=zero:1
		--pattern=counter:1
		--pattern=random:
		--pattern=random:x
		--pattern=random:-1
		--pattern=random:1x
		--pattern=random:1K
		--pattern=random:18446744073709551616
		--via=magic $SMALL
		--via=splice $SMALL
		--via= $SMALL
		--stats=xml $SMALL
		--frobnicate $SMALL
		-Z $SMALL
		$SMALL --frobnicate
		--huge=1 $SMALL
		--no-sandbox=1 $SMALL
	END
	expect 2 xvmsplice </dev/null | cmp - /dev/null
	complained xvmsplice
}

@test "a bad SIZE is a usage error" {
	local bad
	for bad in '' -1 x 1x K 1KK '1 K' 1.5K 0x10 99999999999999999999 18446744073709551616; do
		expect 2 xvmsplice --length="$bad" "$SMALL" | cmp - /dev/null
		complained xvmsplice
		expect 2 xvmsplice --repeat=word -n "$bad" | cmp - /dev/null
		complained xvmsplice
	done
}

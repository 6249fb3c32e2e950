# SPDX-License-Identifier: GPL-2.0-or-later
# xpacket work: one pipe is a queue of jobs; each is run once, in one worker.
# XP_LONG=1 makes 100 000 jobs of the many.
load helper

MANY=2000
[[ -z ${XP_LONG:-} ]] || MANY=100000

# numbered COUNT - a queue of the numbers from 1 on.
numbered() {
	seq "$1" | xpacket send
}

# waiting - jobs say "SEQ WORKER PID" on $SAID, and end once they get a line from $GO.
waiting() {
	fifo said
	SAID=$FD
	fifo go
	GO=$FD
	JOB='echo "$XPACKET_SEQ $XPACKET_WORKER $$"; read -r _ <go'
}

# begun COUNT - so many jobs have begun since; SEQS, WORKERS and PIDS are theirs, by SEQ.
begun() {
	local n seq worker pid
	SEQS=() WORKERS=() PIDS=()
	for ((n = 0; n < $1; n++)); do
		read -r -t 60 seq worker pid <&"$SAID" || fail "only $n jobs have begun"
		SEQS+=("$seq") WORKERS[seq]=$worker PIDS[seq]=$pid
	done
}

# let_go COUNT - so many jobs end.
let_go() {
	local n
	for ((n = 0; n < $1; n++)); do echo >&"$GO"; done
}

# sorted WORD... - in one line.
sorted() {
	printf '%s\n' "$@" | sort -n | paste -sd ' '
}

# ------------------------------------------------------------------------------ jobs

@test "each packet is COMMAND's standard input, whole, and nothing else is" {
	requires packet-pipe
	local n
	head -c 100000 "$DATA" >source
	xpacket send --chunk=1013 <source |
		expect 0 xpacket work -j4 -- sh -c 'cat >"job.$XPACKET_SEQ"' >out
	silent
	empty out
	for ((n = 1; n <= 99; n++)); do cat "job.$n"; done | cmp - source
	absent job.100
	printf 'a\nb\0\0c' | xpacket send --chunk=4 | expect 0 xpacket work -j1 -- od -An -c >out
	[[ $(tr -s ' \n' ' ' <out) == ' a \n b \0 \0 c ' ]]
}

@test "many short jobs: each exactly once, numbered in order of arrival, over all the workers" {
	requires packet-pipe
	local worker
	numbered "$MANY" | expect 0 xpacket work -j8 -- \
		sh -c 'read -r n; echo "$n $XPACKET_SEQ $XPACKET_WORKER"' >out
	silent
	cmp <(cut -d ' ' -f 1 out | sort -n) <(seq "$MANY")
	awk '$1 != $2 { exit 1 }' out
	[[ $(cut -d ' ' -f 3 out | sort -nu | paste -sd ' ') == '1 2 3 4 5 6 7 8' ]]
	# Fair: no worker has less than a tenth of its share.
	for worker in 1 2 3 4 5 6 7 8; do
		[[ $(cut -d ' ' -f 3 out | grep -c $worker) -ge $((MANY / 80)) ]] ||
			fail "worker $worker starves: $(cut -d ' ' -f 3 out | sort | uniq -c)"
	done
}

@test "-j8 runs eight at once, one in each worker, and the ninth when one has ended" {
	requires packet-pipe
	waiting
	spawn xpacket work -j8 -- sh -c "$JOB" < <(numbered 10) >said
	begun 8
	[[ $(sorted "${SEQS[@]}") == '1 2 3 4 5 6 7 8' ]]
	[[ $(sorted "${WORKERS[@]}") == '1 2 3 4 5 6 7 8' ]]
	if read -r -t 0.2 <&"$SAID"; then fail 'a ninth has begun'; fi
	let_go 1
	begun 1
	[[ ${SEQS[0]} == 9 ]]
	let_go 1
	begun 1
	[[ ${SEQS[0]} == 10 ]]
	let_go 8
	ends 0 "$PID"
}

@test "as many run at once as there are processors, unless told" {
	requires packet-pipe
	local count
	count=$(nproc)
	waiting
	spawn xpacket work -- sh -c "$JOB" < <(numbered $((count + 1))) >said
	begun "$count"
	[[ $(sorted "${WORKERS[@]}") == "$(seq "$count" | paste -sd ' ')" ]]
	if read -r -t 0.2 <&"$SAID"; then fail 'one more has begun'; fi
	let_go $((count + 1))
	ends 0 "$PID"
}

@test "a job begins as soon as its packet is there, and gets an end of file behind it" {
	requires packet-pipe
	local line word
	fifo in
	exec {in}>in
	mkfifo pipe
	exec {both}<>pipe
	fifo out
	spawn xpacket send <in >pipe
	spawn xpacket work -j2 -- sh -c 'cat; echo .' <pipe >out
	for word in one two three; do
		printf '%s\n' $word >&"$in"
		read -r -t 60 line <&"$FD"
		[[ $line == "$word." ]]
	done
}

@test "an empty queue runs nothing" {
	requires packet-pipe
	: | xpacket send | expect 0 xpacket work -- touch ran >out
	silent
	empty out
	absent ran
	: | xpacket send | expect 0 xpacket work --keep-order -- touch ran
	absent ran
}

@test "COMMAND need not read its input" {
	requires packet-pipe
	xpacket send --chunk=4096 <"$DATA" | expect 0 xpacket work -j4 -- true
	silent
	xpacket send --chunk=4096 <"$SMALL" | expect 0 xpacket work --keep-order -- echo x >out
	silent
	[[ $(paste -sd '' out) == xxxxx ]]
}

@test "COMMAND gets its arguments and its environment" {
	requires packet-pipe
	printf 'one\n' | xpacket send | WORD=kept expect 0 xpacket work -j1 -- \
		sh -c 'printf "%s|" "$@" "$WORD" "$XPACKET_SEQ" "$XPACKET_WORKER"' \
		sh -j2 --halt 'a b' '' -- >out
	[[ $(<out) == '-j2|--halt|a b||--|kept|1|1|' ]]
	printf 'one\n' | xpacket send | expect 0 xpacket work -j1 printf '%s ' -n >out
	[[ $(<out) == '-n ' ]]
}

@test "COMMAND is not restricted: no filter, capabilities, signals and descriptors as they were" {
	requires packet-pipe
	local name option
	for option in -j1 --keep-order; do
		printf 'one\n' | xpacket send |
			expect 0 xpacket work $option -- cat /proc/self/status >status
		: | cat /proc/self/status >before
		# posix_spawn(3) of glibc leaves its two internal signals, 32 and 33, ignored.
		sed -i '/^SigIgn:/s/0000000180000000$/0000000000000000/' status before
		for name in Seccomp Seccomp_filters CapEff CapPrm NoNewPrivs SigBlk SigIgn; do
			[[ $(grep "^$name:" status) == "$(grep "^$name:" before)" ]] ||
				fail "$option: $(grep "^$name:" status before)"
		done
	done
	env ls /proc/self/fd </dev/null >before
	printf 'one\n' | xpacket send | expect 0 xpacket work -j1 -- ls /proc/self/fd >out
	cmp before out
}

@test "several xpacket work share one pipe, and each packet is run once" {
	requires packet-pipe
	local rules n pids pid
	# The second time as where pipes have no RWF_NOWAIT.
	for rules in mkdir=EPERM 'preadv2:RWF_NOWAIT=EOPNOTSUPP pwritev2:RWF_NOWAIT=EOPNOTSUPP'; do
		pids=()
		rm -f queue
		mkfifo queue
		exec {both}<>queue {in}<queue {out}>queue
		for n in 1 2 3; do
			# shellcheck disable=SC2086  # words
			spawn xdeny $rules -- xpacket work -j2 -- \
				sh -c 'read -r n; echo "$n"' <&"$in" >"out.$n" 2>"err.$n"
			pids+=("$PID")
		done
		seq 600 | xpacket send >&"$out"
		exec {both}>&- {in}<&- {out}>&-
		for pid in "${pids[@]}"; do ends 0 "$pid"; done
		sort -n out.? | cmp - <(seq 600)
		cat err.? | cmp - /dev/null
	done
}

@test "packets of every length are run whole" {
	requires packet-pipe
	local length
	for length in 1 2 4095 4096; do
		head -c $((length * 5)) "$SMALL" >source
		xpacket send --chunk=$length <source |
			expect 0 xpacket work -j1 -- cat | cmp - source
	done
}

@test "frames over a stream are a queue, too" {
	seq 100 | xdeny fcntl:F_SETFL=EINVAL -- xpacket send --frames |
		expect 0 xpacket work -j4 -- sh -c 'read -r n; echo "$n"' >out
	sort -n out | cmp - <(seq 100)
	seq 100 | xdeny fcntl:F_SETFL=EINVAL -- xpacket send --frames |
		expect 0 xpacket work -j4 --keep-order -- sh -c 'cat; echo' | cmp - <(seq 100)
}

# --------------------------------------------------------------------------- results

@test "--keep-order prints results in packet order, however late they come" {
	requires packet-pipe
	local n
	fifo go
	spawn xpacket work -j4 --keep-order -- sh -c '
		read -r n
		echo "begin $n"
		[ "$n" != 1 ] || read -r _ <go
		: >"done.$n"
		echo "end $n"' < <(numbered 4) >out
	for n in 2 3 4; do eventually test -e done.$n; done
	lacks '[234]' out
	echo >&"$FD"
	ends 0 "$PID"
	cmp out <(printf 'begin %s\nend %s\n' 1 1 2 2 3 3 4 4)
}

@test "--keep-order over many jobs, with results of every size" {
	requires packet-pipe
	local n
	numbered 500 | expect 0 xpacket work -j8 --keep-order -- cat >out
	silent
	cmp out <(seq 500 | tr -d '\n')
	numbered 24 | expect 0 xpacket work -j8 --keep-order -- \
		sh -c 'read -r n; head -c $((n % 3 * 150000)) "$0"; echo "$n"' "$DATA" >out
	silent
	for ((n = 1; n <= 24; n++)); do
		head -c $((n % 3 * 150000)) "$DATA"
		echo $n
	done | cmp - out
	numbered 3 | expect 0 xpacket work -j2 --keep-order -- printf 'no newline' >out
	[[ $(<out) == 'no newlineno newlineno newline' ]]
}

@test "results that cannot be printed are blamed on writing" {
	requires packet-pipe
	local option job
	for option in -j1 -j20; do
		for job in 'echo result' 'sleep 0.2; echo late'; do
			expect 1 xpacket work $option --keep-order -- sh -c "$job" \
				< <(numbered 9) >/dev/full
			grep -qx "xpacket: writing 'standard output': No space left on device" err
			[[ $(grep -c writing err) == 1 ]]
		done
	done
}

@test "without --keep-order COMMAND writes straight to standard output" {
	requires packet-pipe
	printf 'one\n' | xpacket send | expect 0 xpacket work -j1 -- readlink /proc/self/fd/1 >out
	[[ $(<out) == "$PWD/out" ]]
}

@test "COMMAND's standard error is left alone" {
	requires packet-pipe
	local option
	for option in -j1 --keep-order; do
		printf 'one\n' | xpacket send |
			expect 0 xpacket work $option -- sh -c 'echo told >&2' >out
		said told
		empty out
	done
}

# -------------------------------------------------------------------------- failures

@test "a failing COMMAND is counted, the rest is run, and the status is 1" {
	requires packet-pipe
	local option
	for option in -j1 -j4 --keep-order; do
		numbered 20 | expect 1 xpacket work $option -- \
			sh -c 'read -r n; echo "$n"; exit $((n % 4 == 0))' >out
		said 'xpacket: 5 of 20 commands failed'
		sort -n out | cmp - <(seq 20)
	done
	numbered 3 | expect 1 xpacket work -- sh -c 'exit 7'
	said 'xpacket: 3 of 3 commands failed'
	numbered 1 | expect 1 xpacket work -- false
	grep -qx 'xpacket: 1 of 1 commands\? failed' err
}

@test "a COMMAND killed midway is reported with its packet, and the others go on" {
	requires packet-pipe
	local row worker name
	for row in KILL:9 TERM:15 SEGV:11 'RTMIN\+6:40'; do
		rm -f said go
		waiting
		spawn xpacket work -j3 -- sh -c "ulimit -c 0; $JOB" < <(numbered 5) >said 2>err
		begun 3
		kill "-${row#*:}" "${PIDS[2]}"
		worker=${WORKERS[2]}
		begun 1
		[[ ${SEQS[0]} == 4 ]]
		let_go 4
		ends 1 "$PID"
		name="(SIG)?(${row/:/|})"
		grep -qE "^xpacket: packet 2 \(worker $worker\): killed by signal $name$" err
		grep -qx 'xpacket: 1 of 5 commands failed' err
		[[ $(wc -l <err) == 2 ]]
	done
}

@test "--halt starts no more after the first failure, and waits for those that run" {
	requires packet-pipe
	local option
	fifo go
	spawn xpacket work -j2 --halt -- sh -c '
		read -r n
		echo "begin $n"
		[ "$n" != 2 ] || exit 3
		read -r _ <go
		echo "end $n"' < <(numbered 9) >out 2>err
	eventually grep -q 'begin 2' out
	eventually at_rest "$PID"
	running "$PID"
	echo >&"$FD"
	ends 1 "$PID"
	[[ $(sort out | paste -sd ' ') == 'begin 1 begin 2 end 1' ]]
	for option in -j1 '-j1 --keep-order'; do
		# shellcheck disable=SC2086  # words
		expect 1 xpacket work --halt $option -- \
			sh -c 'read -r n; echo "$n"; [ "$n" != 3 ]' < <(numbered 9) >out
		cmp out <(seq 3)
	done
	expect 0 xpacket work --halt -- true < <(numbered 9)
}

@test "COMMAND not found is 127, and not to be run 126" {
	requires packet-pipe
	local option
	for option in -j1 -j4 --keep-order; do
		expect 127 xpacket work $option -- no-such-command < <(numbered 3) >out
		[[ $(wc -l <err) == 1 ]]
		grep -q '^xpacket: .*no-such-command.*No such file or directory' err
		empty out
		echo text >plain
		expect 126 xpacket work $option -- ./plain < <(numbered 3) >out
		[[ $(wc -l <err) == 1 ]]
		grep -q '^xpacket: .*plain.*Permission denied' err
		empty out
	done
}

# --------------------------------------------------------------------------- signals

@test "SIGINT and SIGTERM reach the running COMMANDs, which are waited for; none is left" {
	requires packet-pipe jq
	local row pid option
	cat >job <<-'END'
		$SIG{TERM} = sub {
			open my $to, ">>", "terms";
			syswrite $to, "$ENV{XPACKET_SEQ}\n";
			exit;
		};
		open my $said, ">", "said";
		syswrite $said, "$ENV{XPACKET_SEQ} $ENV{XPACKET_WORKER} $$\n";
		sleep 1000;
	END
	for row in INT:130 TERM:143; do
		for option in --halt --keep-order; do
			rm -f said go terms err
			waiting
			spawn xpacket work -j4 $option -- perl job < <(numbered 9) >out 2>err
			begun 4
			signal "${row%:*}" "$PID"
			ends "${row#*:}" "$PID"
			[[ $(sort terms | paste -sd ' ') == '1 2 3 4' ]]
			for pid in "${PIDS[@]}"; do gone "$pid"; done
			if read -r -t 0.2 <&"$SAID"; then fail 'another job was begun'; fi
		done
	done
}

@test "what COMMANDs have started does not outlive SIGINT and SIGTERM either" {
	requires packet-pipe
	local row pid
	for row in INT:130 TERM:143; do
		rm -f said go
		waiting
		# The one in the background ends with this test at the latest.
		spawn xpacket work -j4 -- \
			sh -c 'cat <go & echo "$XPACKET_SEQ $XPACKET_WORKER $!"; wait' \
			< <(numbered 9) >said
		begun 4
		signal "${row%:*}" "$PID"
		ends "${row#*:}" "$PID"
		for pid in "${PIDS[@]}"; do eventually gone "$pid"; done
	done
}

@test "SIGTERM ends a work that waits for its output, and one whose queue has failed" {
	requires packet-pipe
	fifo full
	"$HERE/fdset" 1:full -- true >&"$FD"
	spawn xpacket work -j1 --keep-order -- cat "$DATA" < <(numbered 2) 1>&"$FD"
	eventually at_rest "$PID"
	sleep 0.2 # whatever it still does before it waits for its output
	signal TERM "$PID"
	eventually ended
	ends 143 "$PID"
	waiting
	seq 1 | xdeny fcntl:F_SETFL=EINVAL -- xpacket send --frames | cat >frames
	echo x:malformed >>frames
	spawn xpacket work -j2 -- sh -c "$JOB" < <(cat frames) >said 2>err
	begun 1
	eventually grep -q 'record 2' err
	signal TERM "$PID"
	eventually ended
	ends 143 "$PID"
	gone "${PIDS[1]}"
}
ended() { ! running "$PID"; }

@test "--keep-order needs few descriptors, however many results wait for an early one" {
	requires packet-pipe
	# While the first goes on, as many as may run ahead.
	expect 0 prlimit --nofile=64 xpacket work -j8 --keep-order -- sh -c '
		read -r n
		[ "$n" != 1 ] || sleep 1
		echo "$n"' < <(numbered 300) >out
	seq 300 | cmp - out
}

@test "a stopped queue costs a work of eight no processor time, and then goes on" {
	requires packet-pipe
	local before used line
	mkfifo queue
	exec {both}<>queue {out}>queue
	fifo said
	spawn xpacket work -j8 -- cat <queue >said
	printf 'one\n' | xpacket send >&"$out"
	[[ $(take 3 "$FD") == one ]]
	eventually at_rest "$PID"
	before=$(ticks "$PID")
	sleep 1 # what is measured, not waited for
	used=$(($(ticks "$PID") - before))
	((used < 2)) || fail "$used ticks"
	printf 'two\n' | xpacket send >&"$out"
	[[ $(take 3 "$FD") == two ]]
	exec {both}>&- {out}>&-
	ends 0 "$PID"
}

@test "--stats=json counts what was run, --progress leaves standard output alone" {
	requires packet-pipe jq
	numbered 9 | expect 0 xpacket work -j2 --stats=json -- true
	jq -e '.tool == "xpacket" and .packets == 9 and .bytes == 9' err
	numbered 9 | expect 0 xpacket work -j1 -P --stats -- sh -c 'cat; echo' | cmp - <(seq 9)
	[[ -s err ]]
}

@test "a job longer than --max is reported, and the status is 1" {
	requires packet-pipe
	printf 'one\nthree\n' | xpacket send |
		expect 1 xpacket work -j1 --max=3 -- sh -c 'cat; echo' >out
	grep -qx 'xpacket: record 2: cut at 3 of 5 bytes' err
	cmp out <(printf 'one\nthr\n')
}

@test "frames of a job larger than a packet are run whole" {
	head -c 1000000 /dev/zero | tr '\0' x >job
	xdeny fcntl:F_SETFL=EINVAL -- xpacket send --frames <job |
		expect 0 xpacket work -j2 -- cat | cmp - job
}

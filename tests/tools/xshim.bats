# SPDX-License-Identifier: GPL-2.0-or-later
# xshim: programs that nobody changed, where the kernel refuses what they call.
load helper

ERRORS=(ENOSYS EPERM EINVAL)
ALL='splice=ENOSYS vmsplice=EPERM sendfile=ENOSYS'

setup_file() {
	export PYTHONDONTWRITEBYTECODE=1
}

setup() {
	requires no-asan
	cd "$BATS_TEST_TMPDIR" || return
}

# deny RULES COMMAND... - COMMAND under xdeny; RULES are words.
deny() {
	local rules=$1
	shift
	# shellcheck disable=SC2086
	xdeny $rules -- "$@"
}

# emulates CALL COMMAND... - whatever refuses CALL, COMMAND works with xshim, and CALL is emulated;
# ./out is the same as $DATA then.
emulates() {
	local call=$1 error
	shift
	for error in "${ERRORS[@]}"; do
		rm -f out
		expect 0 deny "$call=$error" xshim --stats=json -- "$@"
		cmp "$DATA" out
		[[ $(stat_of "$call.emulated") -gt 0 && $(stat_of "$call.native") == 0 ]] ||
			fail "$call=$error: $(<err)"
	done
}

# without CALL STATUS COMMAND... - and without xshim COMMAND ends with STATUS.
without() {
	local call=$1 status=$2 error
	shift 2
	for error in "${ERRORS[@]}"; do
		rm -f out
		expect "$status" deny "$call=$error" "$@"
		[[ $status != 0 ]] || cmp "$DATA" out
	done
}

# ---------------------------------------------------------------- programs

@test "Python: os.splice" {
	requires python
	cat >try <<-'END'
		import os, sys
		r, w = os.pipe()
		f, o = os.open(sys.argv[1], 0), os.open("out", os.O_WRONLY | os.O_CREAT)
		while n := os.splice(f, w, 65536):
		    while n:
		        n -= os.splice(r, o, n)
	END
	without splice 1 /usr/bin/python3 try "$DATA"
	emulates splice /usr/bin/python3 try "$DATA"
}

@test "Python: os.sendfile and os.copy_file_range" {
	requires python
	cat >try <<-'END'
		import os, sys
		f, o = os.open(sys.argv[2], 0), os.open("out", os.O_WRONLY | os.O_CREAT)
		at, call = 0, getattr(os, sys.argv[1])
		send = sys.argv[1] == "sendfile"
		while n := call(o, f, at, 1 << 20) if send else call(f, o, 1 << 20):
		    at += n
	END
	local call
	for call in sendfile copy_file_range; do
		without $call 1 /usr/bin/python3 try $call "$DATA"
		emulates $call /usr/bin/python3 try $call "$DATA"
	done
}

@test "Python: vmsplice by ctypes, and every call through syscall(2)" {
	requires python
	local call
	without vmsplice 1 "$HERE/mover" vmsplice "$DATA" out
	emulates vmsplice "$HERE/mover" vmsplice "$DATA" out
	requires x86-64 # the numbers
	for call in splice vmsplice sendfile copy_file_range; do
		without $call 1 "$HERE/mover" syscall-$call "$DATA" out
		emulates $call "$HERE/mover" syscall-$call "$DATA" out
	done
}

@test "Python: a packet pipe" {
	requires python
	local error
	for error in "${ERRORS[@]}"; do
		rm -f out
		expect 1 deny "pipe2:O_DIRECT=$error" "$HERE/mover" packets "$DATA" out
		expect 0 deny "pipe2:O_DIRECT=$error" xshim --stats=json -- \
			"$HERE/mover" packets "$DATA" out
		cmp "$DATA" out
		[[ $(stat_of pipe2.emulated) == 1 ]]
	done
}

@test "fio: its splice engine" {
	requires fio
	local error job=(fio --name=job --ioengine=splice --rw=write --bs=64k --size=1m
		--filename=out --verify=crc32c --verify_fatal=1 --randseed=1 --output=log)
	for error in "${ERRORS[@]}"; do
		rm -f out
		expect '[1-9]*' deny "splice=$error vmsplice=$error" "${job[@]}"
		rm -f out
		expect 0 deny "splice=$error vmsplice=$error" xshim --stats=json -- "${job[@]}"
		[[ $(stat -c %s out) == 1048576 ]]
		[[ $(stat_of splice.emulated) -gt 15 && $(stat_of vmsplice.emulated) -gt 15 ]]
		# What was written under the shim, read and verified natively.
		expect 0 fio --name=job --ioengine=psync --rw=read --bs=64k --size=1m \
			--filename=out --verify=crc32c --verify_fatal=1 --output=log
	done
}

@test "xfs_io: copy_range and sendfile" {
	requires xfs_io
	local error
	for error in "${ERRORS[@]}"; do
		rm -f out
		deny "copy_file_range=$error" xfs_io -f -c "copy_range $DATA" out >said 2>&1 || true
		empty out
		expect 0 deny "copy_file_range=$error" xshim --stats=json -- \
			xfs_io -f -c "copy_range $DATA" out >/dev/null
		cmp "$DATA" out
		[[ $(stat_of copy_file_range.emulated) -gt 0 ]]
		rm -f out
		deny "sendfile=$error" xfs_io -f -c "sendfile -i $DATA 0 2101473" out >said 2>&1 ||
			true
		empty out
		expect 0 deny "sendfile=$error" xshim --stats=json -- \
			xfs_io -f -c "sendfile -i $DATA 0 2101473" out >/dev/null
		cmp "$DATA" out
		[[ $(stat_of sendfile.emulated) -gt 0 ]]
	done
}

# serve COMMAND... - nginx in the foreground, as $PID, with ./root on $SOCKET.
serve() {
	mkdir -p root
	cat "$DATA" >root/data
	SOCKET=$(mktemp -u "${TMPDIR:-/tmp}/s.XXXXXX")
	cat >conf <<-END
		daemon off; master_process off; pid $PWD/pid; error_log $PWD/log;
		events {}
		http {
			access_log off; sendfile on;
			client_body_temp_path $PWD/t1; proxy_temp_path $PWD/t2;
			fastcgi_temp_path $PWD/t3; uwsgi_temp_path $PWD/t4; scgi_temp_path $PWD/t5;
			server { listen unix:$SOCKET; root $PWD/root; }
		}
	END
	spawn "$@" nginx -c "$PWD/conf" 2>>err
	eventually test -S "$SOCKET"
}

# stop_serving - ends what serve started.
stop_serving() {
	signal TERM "$PID"
	ends 0 "$PID"
	rm -f "$SOCKET"
}

@test "nginx: a file by sendfile" {
	requires nginx python
	local error
	for error in "${ERRORS[@]}"; do
		: >err
		serve xdeny "sendfile=$error" --
		if "$HERE/fetch" "$SOCKET" /data >out; then
			if cmp -s "$DATA" out; then fail 'nginx needs no sendfile'; fi
		fi
		stop_serving
		: >err
		serve xdeny "sendfile=$error" -- xshim --stats=json --
		"$HERE/fetch" "$SOCKET" /data | cmp - "$DATA"
		stop_serving
		[[ $(stat_of sendfile.emulated) -gt 0 ]] || fail "$(<err)"
	done
}

# serves_fuse RULES - a server that splices, under RULES: what it serves is right.
serves_fuse() {
	# shellcheck disable=SC2086
	spawn env FUSEDIR_SPLICE=1 xdeny $1 -- xshim --stats=json -- \
		"$BATS_SUITE_TMPDIR/fusedir" -f fuse "$PWD/behind" 1>&"$FD" 2>err
	read -r -t 30 <&"$FD"
	cmp "$DATA" fuse/data
	cp "$DATA" fuse/written
	cmp "$DATA" behind/written
	rm behind/written
	fusermount3 -u fuse
	ends 0 "$PID"
	lacks '^fuse:' err
}

@test "libfuse: a server that splices from and to the device" {
	requires fuse root
	local error
	mkdir behind fuse
	cp "$DATA" behind/data
	fifo mounted
	for error in "${ERRORS[@]}"; do
		serves_fuse "vmsplice=$error"
		[[ $(stat_of vmsplice.emulated) -gt 0 ]] || fail "$(<err)"
		serves_fuse "splice=$error"
		[[ $(stat_of splice.emulated) -gt 0 ]] || fail "$(<err)"
		serves_fuse "splice=$error vmsplice=$error"
		[[ $(stat_of splice.emulated) -gt 0 ]] || fail "$(<err)"
	done
}

@test "pv, cp and cat: what falls back by itself works the same, by emulation" {
	requires pv
	local error
	without splice 0 sh -c 'pv -q "$1" | cat >out' sh "$DATA"
	emulates splice sh -c 'pv -q "$1" | cat >out' sh "$DATA"
	without copy_file_range 0 cp "$DATA" out
	emulates copy_file_range cp "$DATA" out
	emulates copy_file_range sh -c 'cat "$1" >out' sh "$DATA"
}

@test "with no fallback of its own, everything denied at once" {
	requires python
	local call
	for call in splice vmsplice sendfile; do
		expect 1 deny "$ALL" "$HERE/mover" $call "$DATA" out
		rm -f out
		expect 0 deny "$ALL" xshim -- "$HERE/mover" $call "$DATA" out
		silent
		cmp "$DATA" out
	done
}

@test "tee denied as well: the bytes still arrive" {
	requires python
	local error
	for error in "${ERRORS[@]}"; do
		rm -f out
		expect 0 deny "splice=$error tee=$error" xshim -- "$HERE/mover" splice "$DATA" out
		cmp "$DATA" out
	done
}

@test "files that the kernel refuses are served" {
	requires python
	cat >try <<-'END'
		import os, sys
		r, w = os.pipe()
		o = os.open("out", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
		os.write(w, b"appended")
		assert os.splice(r, o, 100) == 8
		os.write(w, b"sent")
		assert os.sendfile(o, r, None, 100) == 4
		f = os.open("/proc/self/stat", 0)
		assert os.splice(f, w, 10) == 10
		n = os.open("/dev/shm/" + sys.argv[1], os.O_RDWR | os.O_CREAT | os.O_EXCL)
		os.unlink("/dev/shm/" + sys.argv[1])
		o = os.open("out", os.O_RDONLY)
		assert os.copy_file_range(o, n, 100) == 12
		assert os.pread(n, 100, 0) == b"appendedsent"
	END
	expect 1 /usr/bin/python3 try "xshim.$$"
	rm out
	expect 0 xshim --stats=json -- /usr/bin/python3 try "xshim.$$"
	[[ $(stat_of splice.emulated) -ge 1 && $(stat_of sendfile.emulated) == 1 ]]
}

# ------------------------------------------------------------ what is told

@test "where the kernel serves, nothing is emulated and nothing is said" {
	requires python
	expect 0 xshim -- "$HERE/mover" splice "$DATA" out
	silent
	cmp "$DATA" out
	expect 0 xshim --explain -- "$HERE/mover" splice "$DATA" out
	silent
	expect 0 xshim --stats=json -- "$HERE/mover" splice "$DATA" out
	[[ $(stat_of splice.emulated) == 0 && $(stat_of splice.native) -gt 60 ]]
}

@test "--explain names the call and what the kernel says, once" {
	requires python
	expect 0 deny "$ALL" xshim --explain -- "$HERE/mover" splice "$DATA" out
	[[ $(wc -l <err) == 1 ]]
	grep -qx 'xshim: splice emulated: the kernel says ENOSYS (process [0-9]*)' err
}

@test "--explain says that tee keeps its error" {
	cat >try <<-'END'
		pipe R, W; pipe S, X;
		exit(syscall(276, fileno(R), fileno(X), 10, 2) == -1 && $!{ENOSYS} ? 0 : 9);
	END
	requires x86-64 # the number of tee
	expect 0 deny tee=ENOSYS xshim --explain -- perl try
	grep -q '^xshim: tee fails, nothing can emulate it: the kernel says ENOSYS (process ' err
}

@test "--stats is one line, and --stats=json one object, over all processes" {
	requires python jq
	local three='for i in 1 2 3; do "$0" sendfile "$1" "out$i" & done; wait'
	expect 0 deny sendfile=EPERM xshim --stats -- sh -c "$three" "$HERE/mover" "$DATA"
	[[ $(wc -l <err) == 1 ]]
	# Eight calls that move bytes, and one that finds the end.
	grep -q '^xshim: .*sendfile 0 native, 27 emulated, 0 failed' err
	expect 0 deny sendfile=EPERM xshim --stats=json -- sh -c "$three" "$HERE/mover" "$DATA"
	[[ $(wc -l <err) == 1 ]]
	holds '.tool == "xshim" and .sendfile == {native: 0, emulated: 27, failed: 0}' err
	cmp "$DATA" out3
	expect 0 xshim --stats -- true
	said 'xshim: none of the calls was made'
}

@test "a call that fails counts as failed" {
	cat >try <<-'END'
		import os
		for i in range(5):
		    try: os.splice(0, 98, 10)
		    except OSError: pass
	END
	requires python
	expect 0 deny splice=ENOSYS xshim --stats=json -- /usr/bin/python3 try </dev/null
	[[ $(stat_of splice.failed) == 5 && $(stat_of splice.emulated) == 0 ]]
}

@test "what --stats and --explain need is gone afterwards" {
	mkdir here
	TMPDIR=$PWD/here expect 0 xshim --stats --explain -- true
	[[ -z $(ls -A here) ]]
	expect 0 env TMPDIR=/nowhere xshim -- true
	expect 1 env TMPDIR=/nowhere xshim --stats -- touch ran
	complained xshim
	absent ran
}

# -------------------------------------------------------- what it runs, and how

@test "COMMAND's status is xshim's, and 128+N for signal N with --stats" {
	local options
	for options in '' --stats --explain; do
		# shellcheck disable=SC2086
		expect 7 xshim $options -- sh -c 'exit 7'
		# shellcheck disable=SC2086
		expect 143 xshim $options -- sh -c 'kill -TERM $$'
		# shellcheck disable=SC2086
		expect 127 xshim $options -- no-such-command
		grep -q '^xshim: .*no-such-command.*No such file or directory' err
		echo text >plain
		# shellcheck disable=SC2086
		expect 126 xshim $options -- ./plain
		grep -q '^xshim: .*plain.*Permission denied' err
	done
}

@test "no COMMAND is a usage error" {
	expect 2 xshim
	complained xshim
	expect 2 xshim --
	complained xshim
	expect 2 xshim --stats=xml -- touch ran
	complained xshim
	absent ran
}

@test "COMMAND's own options are its own" {
	expect 0 xshim printf '%s|' --stats -x -- >out
	[[ $(<out) == '--stats|-x|--|' ]]
}

STATIC='it is statically linked, and nothing can be preloaded into it'

@test "a static COMMAND is refused, and why" {
	printf 'int main(void) { return 0; }\n' >main.c
	cc -static -o static main.c
	local options
	for options in '' --stats; do
		# shellcheck disable=SC2086
		expect 1 xshim $options -- ./static
		said "xshim: running './static': $STATIC"
	done
	cc -static-pie -o static main.c
	expect 1 xshim -- ./static
	printf '#! %s/static -x\n' "$PWD" >script
	chmod +x script
	PATH=$PWD:$PATH expect 1 xshim -- script
	said "xshim: running '$PWD/static': $STATIC"
}

@test "a set-user-ID or set-group-ID COMMAND is refused, and why" {
	local why='and the loader preloads nothing into it'
	cp "$(type -P true)" privileged
	chmod u+s privileged
	expect 1 xshim -- ./privileged
	said "xshim: running './privileged': it is set-user-ID, $why"
	chmod u-s,g+xs privileged
	expect 1 xshim -- ./privileged
	said "xshim: running './privileged': it is set-group-ID, $why"
	chmod g-s privileged
	expect 0 xshim -- ./privileged
}

@test "a COMMAND for another machine is refused, and why" {
	# The first bytes of a 32-bit program.
	{ printf '\177ELF\1\1\1'; head -c 200 /dev/zero; } >other
	chmod +x other
	expect 1 xshim -- ./other
	said "xshim: running './other': it is built for another machine than libextpipe-shim.so"
}

@test "scripts are run, of any depth" {
	printf '#!/bin/sh\nexit 5\n' >one
	printf '#!%s/one\n' "$PWD" >two
	printf 'exit 6\n' >none
	chmod +x one two none
	expect 5 xshim -- ./one
	expect 5 xshim -- ./two
	expect 6 xshim -- ./none
}

@test "an LD_PRELOAD that was there stays, and is reached" {
	requires python
	cat >other.c <<-'END'
		#include <errno.h>
		#include <sys/types.h>
		ssize_t sendfile64(int out, int in, void *at, unsigned long n)
		{
			return errno = EPERM, -1;
		}
		ssize_t sendfile(int out, int in, void *at, unsigned long n)
		{
			return errno = EPERM, -1;
		}
	END
	cc -shared -fPIC -o other.so other.c
	LD_PRELOAD=$PWD/other.so expect 1 "$HERE/mover" sendfile "$DATA" out
	rm -f out
	LD_PRELOAD=$PWD/other.so expect 0 xshim --stats=json -- "$HERE/mover" sendfile "$DATA" out
	cmp "$DATA" out
	[[ $(stat_of sendfile.emulated) -gt 0 ]]
	# shellcheck disable=SC2016
	LD_PRELOAD=$PWD/other.so xshim -- sh -c 'echo "$LD_PRELOAD"' >value
	[[ $(<value) == *libextpipe-shim.so:$PWD/other.so ]]
}

@test "an object that can't be found or preloaded is an error" {
	mkdir -p alone 'with blank/bin'
	cp "$(type -P xshim)" alone/xshim
	if [[ ! -e /usr/local/lib/libextpipe-shim.so ]]; then
		expect 1 alone/xshim -- touch ran
		complained xshim
	fi
	cp "$(type -P xshim)" 'with blank/bin/xshim'
	printf '' >'with blank/libextpipe-shim.so'
	expect 1 'with blank/bin/xshim' -- touch ran
	complained xshim
	absent ran
}

@test "SIGTERM and SIGHUP reach COMMAND, which xshim waits for" {
	local child name said
	for name in TERM HUP; do
		fifo said
		said=$FD
		fifo idle
		# shellcheck disable=SC2016
		spawn xshim --stats -- sh -c 'echo $$; exec cat >/dev/null' >&"$said" <&"$FD"
		read -r -t 30 child <&"$said"
		signal $name "$PID"
		ends $((128 + $(kill -l $name))) "$PID"
		eventually gone "$child"
		rm said idle
	done
}

@test "descriptors and memory of COMMAND are what they would be" {
	ls -l /proc/self/fd | wc -l >before
	xshim --stats --explain -- ls -l /proc/self/fd 2>/dev/null | wc -l >after
	cmp before after
}

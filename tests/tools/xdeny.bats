# SPDX-License-Identifier: GPL-2.0-or-later
# xdeny: system calls made to fail.
load helper

@test "CALL=ERRNO makes the call fail with it" {
	local row
	for row in 'EACCES:Permission denied' 'ENOSPC:No space left on device' \
		'ENOSYS:Function not implemented' 'EIO:Input/output error'; do
		expect 1 xdeny "mkdir=${row%%:*}" "mkdirat=${row%%:*}" -- mkdir made
		grep -q "${row#*:}" err
		absent made
	done
}

@test "what no rule names still works, data included" {
	xdeny mkdir=EACCES -- cat "$DATA" | cmp - "$DATA"
}

@test "several rules hold at once" {
	expect 1 xdeny mkdir=EACCES symlink=EIO symlinkat=EIO -- sh -c 'mkdir made; ln -s a b'
	grep -q 'Permission denied' err
	grep -q 'Input/output error' err
}

@test "CALL:FLAG fails only with that flag: fcntl" {
	fifo f
	expect 0 xdeny fcntl:F_SETPIPE_SZ=EPERM -- perl -e '
		fcntl(STDIN, 1031, 4096) and die "set";
		$!{EPERM} or die "$!";
		print fcntl(STDIN, 1032, 0) or die "get"' <&"$FD" >size
	[[ $(<size) == 65536 ]]
}

@test "CALL:FLAG fails only with that flag: pipe2" {
	requires x86-64 # the number of pipe2
	cat >try <<-'END'
		for my $flags (0, 02000000, 040000, 042000000) {
			my $fds = pack "ii";
			print syscall(293, $fds, $flags) == 0 ? "made\n"
				: $!{EINVAL} ? "refused\n" : "$!\n";
		}
	END
	xdeny pipe2:O_DIRECT=EINVAL -- perl try >answers
	[[ $(<answers) == $'made\nmade\nrefused\nrefused' ]]
	xdeny pipe2:O_CLOEXEC=EINVAL -- perl try >answers
	[[ $(<answers) == $'made\nrefused\nmade\nrefused' ]]
}

@test "CALL:FLAG fails only with that flag: splice" {
	local options=(--via=splice --no-fallback "$SMALL")
	expect 0 xdeny splice:SPLICE_F_MOVE=EINVAL -- xsplice "${options[@]}" | cmp - "$SMALL"
	expect 3 xdeny splice:SPLICE_F_MOVE=EINVAL -- xsplice --move "${options[@]}" | cat
}

@test "CALL@N fails the Nth call only" {
	local n
	for n in 1 2 3; do
		expect 1 xdeny "mkdir@$n=EACCES" -- \
			perl -e 'mkdir "$ARGV[0]$_" or $bad = $_ for 1 .. 4; exit !!$bad' "$n."
		absent "$n.$n"
		[[ $(find . -maxdepth 1 -name "$n.*" | wc -l) == 3 ]]
	done
}

@test "CALL@N counts over COMMAND and its children" {
	expect 0 xdeny mkdir@3=EACCES -- \
		sh -c 'for n in 1 2 3 4; do perl -e "mkdir shift or warn \$!" $n; done'
	[[ -d 1 && -d 2 && -d 4 ]]
	absent 3
	grep -q 'Permission denied' err
}

@test "CALL@N beyond the last call changes nothing" {
	expect 0 xdeny mkdir@9=EACCES -- sh -c 'mkdir 1; mkdir 2'
	[[ -d 1 && -d 2 ]]
}

@test "two counted rules for different calls hold independently" {
	expect 1 xdeny mkdir@2=EACCES rmdir@1=EBUSY -- perl -e '
		mkdir "a"; mkdir "b" and die; mkdir "c"; rmdir "a" and die;
		rmdir "c" or die; exit 1'
	[[ -d a && ! -e b && ! -e c ]]
}

@test "rules are inherited by children" {
	expect 1 xdeny mkdir=EACCES mkdirat=EACCES -- sh -c 'sh -c "mkdir made"'
	absent made
}

@test "rules nest" {
	expect 1 xdeny mkdir=EACCES -- xdeny rmdir=EIO -- sh -c 'mkdir made || rmdir .'
	grep -q 'Permission denied' err
	grep -q 'Input/output error' err
}

@test "COMMAND's status is xdeny's, and 128+N for signal N" {
	local rule
	for rule in mkdir=EACCES mkdir@1=EACCES; do
		expect 0 xdeny $rule -- true
		expect 7 xdeny $rule -- sh -c 'exit 7'
		expect 143 xdeny $rule -- sh -c 'kill -TERM $$'
		expect 137 xdeny $rule -- sh -c 'kill -KILL $$'
		silent
	done
}

@test "COMMAND not found is 127, and not to be run 126" {
	local rule
	echo text >plain
	for rule in mkdir=EACCES mkdir@1=EACCES; do
		expect 127 xdeny $rule -- no-such-command
		grep -q '^xdeny: .*no-such-command.*No such file or directory' err
		expect 126 xdeny $rule -- ./plain
		grep -q '^xdeny: .*plain.*Permission denied' err
	done
}

@test "an unknown call, flag, errno or form is a usage error, and COMMAND does not run" {
	local rule
	for rule in warp=EPERM mkdir=EWARP mkdir=13x mkdir= =EPERM mkdir '' \
		pipe2:O_WARP=EPERM mkdir:O_DIRECT=EPERM pipe2:=EPERM mkdir@0=EPERM \
		mkdir@-1=EPERM mkdir@x=EPERM mkdir@=EPERM mkdir@1x=EPERM \
		mkdir@99999999999999999999=EPERM; do
		expect 2 xdeny "$rule" -- touch ran
		complained xdeny
		absent ran
		expect 2 xdeny rmdir=EPERM "$rule" -- touch ran
		complained xdeny
		absent ran
	done
}

@test "no rule, or no COMMAND, is a usage error" {
	expect 2 xdeny -- touch ran
	complained xdeny
	absent ran
	expect 2 xdeny mkdir=EPERM
	complained xdeny
	expect 2 xdeny mkdir=EPERM --
	complained xdeny
	expect 2 xdeny
	complained xdeny
}

@test "COMMAND may have options and words that look like rules" {
	xdeny mkdir=EPERM -- printf '%s|' -x rmdir=EIO -- >out
	[[ $(<out) == '-x|rmdir=EIO|--|' ]]
}

@test "SIGTERM for xdeny ends COMMAND too" {
	local rule child said
	for rule in mkdir=EACCES mkdir@1=EACCES; do
		fifo said
		said=$FD
		fifo idle
		# shellcheck disable=SC2016
		spawn xdeny "$rule" -- sh -c 'echo $$; exec cat >/dev/null' >&"$said" <&"$FD"
		read -r -t 30 child <&"$said"
		signal TERM "$PID"
		ends 143 "$PID"
		eventually gone "$child"
		rm said idle
	done
}

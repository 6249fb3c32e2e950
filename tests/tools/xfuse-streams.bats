# SPDX-License-Identifier: GPL-2.0-or-later
# xfuse with a source that can be read once, in order: FIFOs, pipes, sockets.
load helper
load xfusing

# from_KIND VIA - serves $DATA as a stream of that kind, which is ./mnt/$NAME then.
from_tcp() {
	feed "$DATA" "$TCP"
	NAME=data
	serve --via="$1" "tcp:127.0.0.1:$PORT"
}
from_unix() {
	rm -f here
	feed "$DATA" UNIX-LISTEN:here
	NAME=data
	serve --via="$1" unix:here
}
from_fifo() {
	rm -f source
	mkfifo source
	cat "$DATA" >source &
	own $!
	NAME=source
	serve --via="$1" source
}
from_fd() {
	exec {in}< <(cat "$DATA")
	NAME=data
	serve --via="$1" "fd:$in"
	exec {in}<&-
}
from_stdin() {
	mkdir -p mnt
	exec {in}< <(cat "$DATA")
	NAME=data
	spawn "${UNDER[@]}" xfuse -f --stats=json --via="$1" - mnt <&"$in" 2>err
	exec {in}<&-
	await there mnt
}
# Blocks of its own, none of which is a page.
from_dribbles() {
	exec {in}< <(perl -e '$| = 1; local $/ = \ 777; print while <>' "$DATA")
	NAME=data
	serve --via="$1" "fd:$in"
	exec {in}<&-
}

# each_stream KIND... - by each way, the stream is what the file is, and has an end.
each_stream() {
	local kind via
	for kind; do
		for via in "${VIAS[@]}"; do
			"from_$kind" $via
			cat "mnt/$NAME" >got
			cmp "$DATA" got
			release
			holds '.bytes == 2101473 and .errors == 0' stats
			case $via in
			splice) by splice vmsplice ;;
			copy) by copy ;;
			esac
		done
	done
}

@test "a TCP socket is a file, by each way" {
	requires fuse jq socat
	each_stream tcp
}

@test "a Unix socket is a file, by each way" {
	requires fuse jq socat
	each_stream unix
}

@test "a FIFO and a pipe are files, by each way" {
	requires fuse jq
	each_stream fifo fd stdin dribbles
}

@test "streams with vmsplice, splice and tee refused in turn" {
	requires fuse jq socat root
	local call kind
	for call in vmsplice splice tee; do
		UNDER=(xdeny "$call=ENOSYS" --)
		for kind in tcp fifo dribbles; do
			"from_$kind" splice
			cat "mnt/$NAME" >got
			cmp "$DATA" got
			release
			case $call in
			vmsplice) by splice ;;
			splice) by copy ;;
			tee) by splice vmsplice ;;
			esac
		done
	done
}

@test "fd:N that is a file has a size, and is read at any place" {
	requires fuse reader
	exec {in}<"$DATA"
	serve --name=file "fd:$in"
	[[ $(stat -c %s mnt/file) == 2101473 ]]
	"$READER" agree read 100 1 0 "$DATA" mnt/file
	cmp "$DATA" mnt/file
	release
}

@test "a read takes what is there, and does not wait for more" {
	requires fuse
	local via
	for via in "${VIAS[@]}"; do
		rm -f source
		fifo source
		serve --via=$via "fd:$FD"
		exec {stream}<mnt/data
		printf hello >&"$FD"
		[[ $(dd bs=1M count=1 status=none <&"$stream") == hello ]]
		printf 'one more' >&"$FD"
		[[ $(dd bs=3 count=1 status=none <&"$stream") == one ]]
		[[ $(dd bs=100 count=1 status=none <&"$stream") == ' more' ]]
		exec {stream}<&-
		release
		exec {FD}<&-
	done
}

@test "a stream is open once, has no places, and is not read twice" {
	requires fuse
	fifo source
	serve "fd:$FD"
	[[ $(stat -c '%F %s' mnt/data) == 'regular empty file 0' ]]
	exec {stream}<mnt/data
	expect 1 cat mnt/data
	grep -q 'Device or resource busy' err
	perl -e 'sysseek(STDIN, 10, 0) and exit 1; exit !$!{ESPIPE}' <&"$stream"
	exec {stream}<&-
	printf hello >&"$FD"
	[[ $(dd if=mnt/data bs=10 count=1 status=none) == hello ]]
	expect 1 cat mnt/data
	grep -q 'Illegal seek' err
	fusermount3 -u mnt
	ends 0 "$PID"
}

# blocked PID - it has become NAME, and waits.
blocked() {
	local stat
	[[ $(<"/proc/$1/comm") == "$2" ]] && stat=$(<"/proc/$1/stat") && [[ ${stat##*) } == S* ]]
}

@test "a reader that is killed while it waits goes at once, and takes no byte with it" {
	requires fuse
	local via name
	for via in "${VIAS[@]}"; do
		for name in KILL TERM INT; do
			rm -f source
			fifo source
			serve --via=$via "fd:$FD"
			local server=$PID
			spawn cat mnt/data
			eventually blocked "$PID" cat
			signal $name "$PID"
			ends $((128 + $(kill -l $name))) "$PID"
			PID=$server
			printf 'not lost' >&"$FD"
			[[ $(timeout 30 dd if=mnt/data bs=100 count=1 status=none) == 'not lost' ]]
			release
			exec {FD}<&-
		done
	done
}

@test "while a reader waits, what else is asked is answered" {
	requires fuse
	local server
	fifo source
	serve "fd:$FD"
	server=$PID
	spawn dd if=mnt/data bs=5 count=1 status=none of=got
	eventually blocked "$PID" dd
	[[ $(timeout 30 stat -c '%n %s' mnt/data) == 'mnt/data 0' ]]
	[[ $(timeout 30 ls mnt) == data ]]
	expect 1 timeout 30 cat mnt/other
	printf hello >&"$FD"
	ends 0 "$PID"
	[[ $(<got) == hello ]]
	PID=$server
	fusermount3 -u mnt
	ends 0 "$PID"
}

# a_reader_waits - xfuse as $SERVER shows a stream that brings nothing, to cat as $PID.
a_reader_waits() {
	fifo source
	serve "fd:$FD"
	SERVER=$PID
	spawn cat mnt/data 2>err.reader
	eventually blocked "$PID" cat
}

@test "SIGTERM while a reader waits: it gets an error, and the mount goes" {
	requires fuse
	a_reader_waits
	signal TERM "$SERVER"
	ends 1 "$PID"
	PID=$SERVER
	finished
}

@test "a lazy unmount while a reader waits: the reader gets the rest, then it ends" {
	requires fuse
	local server
	fifo source
	serve "fd:$FD"
	server=$PID
	exec {stream}<mnt/data
	head -c 5 <&"$stream" >got &
	PID=$!
	own "$PID"
	eventually blocked "$PID" head
	fusermount3 -u -z mnt
	await gone mnt
	printf hello >&"$FD"
	ends 0 "$PID"
	[[ $(<got) == hello ]]
	exec {stream}<&-
	PID=$server
	finished
}

@test "umount -f while a reader waits: it gets an error" {
	requires fuse root
	a_reader_waits
	umount -f mnt || true # busy it was; the connection is broken now
	ends 1 "$PID"
	PID=$SERVER
	wait "$PID" || true
	await gone mnt
}

@test "a peer that breaks off: what came is read, then there is an error" {
	requires fuse
	local via
	for via in "${VIAS[@]}"; do
		rm -f port go
		fifo go
		fifo port
		spawn perl -MSocket -e '
			$| = 1;
			socket(S, AF_INET, SOCK_STREAM, 0);
			bind(S, pack_sockaddr_in(0, INADDR_LOOPBACK)) && listen(S, 1) or die;
			print +(unpack_sockaddr_in(getsockname S))[0], "\n";
			accept(C, S);
			syswrite C, "hello";
			<STDIN>; # what was sent has been read
			setsockopt(C, SOL_SOCKET, SO_LINGER, pack("ii", 1, 0));
			close C' <go >&"$FD"
		read -r -t 30 <&"$FD"
		serve --via=$via "tcp:127.0.0.1:$REPLY"
		exec {stream}<mnt/data
		[[ $(dd bs=100 count=1 status=none <&"$stream") == hello ]]
		echo >go
		expect 1 timeout 30 cat <&"$stream"
		grep -qE 'Connection reset by peer|Input/output error' err
		exec {stream}<&-
		fusermount3 -u mnt
		ends 0 "$PID"
	done
}

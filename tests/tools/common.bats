# SPDX-License-Identifier: GPL-2.0-or-later
# What every command has in common: options, sizes, endpoints, messages, statuses.
load helper

# How each tool is called in earnest, leaving ./ran or ./out behind when it does run.
declare -gA EARNEST=(
	[xsplice]="$SMALL out"
	[xtee]=out
	[xpipe]='-- touch ran'
	[xprobe]=splice
	[xfuse]="$SMALL out"
	[xshim]='-- touch ran'
	[xdeny]='mkdir=EPERM -- touch ran'
)

# with_option TOOL OPTION... - TOOL, the options first, then its operands, on ./stdout.
with_option() {
	local tool=$1 operands
	shift
	read -ra operands <<<"${EARNEST[$tool]}"
	"$tool" "$@" "${operands[@]}" <"$SMALL" >stdout
}

refused() {
	complained "$1"
	empty stdout
	absent out
	absent ran
}

@test "--help and --usage answer on standard output" {
	local tool
	for tool in "${TOOLS[@]}"; do
		expect 0 "$tool" --help >help
		silent
		grep -q "^Usage: $tool " help
		grep -q -e '--version' help
		expect 0 "$tool" --usage >usage
		silent
		grep -q "^Usage: $tool " usage
	done
}

@test "--version says TOOL (extpipe) VERSION" {
	local tool
	for tool in "${TOOLS[@]}"; do
		expect 0 "$tool" --version >version
		silent
		grep -qxE "$tool \(extpipe\) [0-9]+\.[0-9]+\.[0-9]+" version
		[[ $(wc -l <version) == 1 ]]
	done
}

@test "help that cannot be written is a failure" {
	local tool option
	for tool in "${TOOLS[@]}"; do
		for option in --help --usage --version; do
			expect 1 "$tool" "$option" >/dev/full
			said "$tool: writing 'standard output': No space left on device"
		done
	done
}

@test "an unknown option is a usage error, also beside valid operands" {
	local tool
	for tool in "${TOOLS[@]}"; do
		expect 2 with_option "$tool" --frobnicate
		refused "$tool"
		expect 2 with_option "$tool" -Z
		refused "$tool"
	done
}

@test "an unknown option after the operands is a usage error too" {
	expect 2 xsplice "$SMALL" out --frobnicate >stdout
	refused xsplice
	expect 2 xtee out --frobnicate <"$SMALL" >stdout
	refused xtee
	expect 2 xdeny mkdir=EPERM --frobnicate -- touch ran >stdout
	refused xdeny
	expect 2 xprobe splice --frobnicate >stdout
	refused xprobe
}

@test "an option without its value, or with one it does not take, is a usage error" {
	local tool
	for tool in xsplice xtee; do
		expect 2 with_option "$tool" --stats=xml
		refused "$tool"
		expect 2 with_option "$tool" --no-sandbox=1
		refused "$tool"
		expect 2 with_option "$tool" --via=magic
		refused "$tool"
		expect 2 "$tool" --pipe-size >stdout
		refused "$tool"
	done
}

@test "a bad SIZE is a usage error and nothing is created" {
	local option bad
	for option in xsplice:--length xsplice:--in-offset xsplice:--out-offset xsplice:--chunk \
		xsplice:--pipe-size xsplice:--rate xtee:--pipe-size xpipe:--size \
		xpipe:--packet-size; do
		for bad in '' -1 x 1x K 1KK '1 K' 1.5K 0x10 1Ki \
			99999999999999999999 16384P 18446744073709551616; do
			expect 2 with_option "${option%%:*}" "${option#*:}=$bad"
			refused "${option%%:*}"
		done
	done
}

@test "SIZE takes K M G as powers of 1024 and KB MB GB as powers of 1000" {
	requires jq
	local row
	for row in 0:0 17:17 1K:1024 1KiB:1024 1KB:1000 3M:3145728 3MiB:3145728 \
		3MB:3000000 1G:1073741824 1GB:1000000000; do
		expect 0 xsplice --stats=json -n "${row%:*}" /dev/zero /dev/null
		[[ $(stat_of bytes) == "${row#*:}" ]] || fail "$row gave $(stat_of bytes)"
	done
	for row in 1T 1TB 1P 1PiB; do
		expect 0 xsplice -n "$row" "$SMALL" out
		cmp "$SMALL" out
	done
}

@test "too many operands are a usage error" {
	expect 2 xsplice "$SMALL" out more >stdout
	refused xsplice
	absent more
}

@test "a missing source is named, and the destination is neither created nor truncated" {
	expect 1 xsplice missing out
	said "xsplice: reading 'missing': No such file or directory"
	absent out
	echo precious >kept
	expect 1 xsplice missing kept
	[[ $(<kept) == precious ]]
}

@test "a destination that cannot be made is named" {
	expect 1 xsplice "$SMALL" no/such
	said "xsplice: writing 'no/such': No such file or directory"
	expect 1 xtee no/such <"$SMALL" >out
	said "xtee: writing 'no/such': No such file or directory"
	cmp "$SMALL" out
}

@test "a file without permission is named, on its side" {
	requires user
	cp "$SMALL" secret
	chmod 0 secret
	expect 1 xsplice secret out
	said "xsplice: reading 'secret': Permission denied"
	absent out
	expect 1 xsplice "$SMALL" secret
	said "xsplice: writing 'secret': Permission denied"
}

@test "fd:99 is a bad file descriptor, on its side" {
	expect 1 xsplice fd:99 out
	said "xsplice: reading 'fd:99': Bad file descriptor"
	absent out
	expect 1 xsplice "$SMALL" fd:99
	said "xsplice: writing 'fd:99': Bad file descriptor"
	expect 1 xtee fd:99 <"$SMALL" >out
	said "xtee: writing 'fd:99': Bad file descriptor"
	cmp "$SMALL" out
	expect 1 xpipe --fd=99
	grep -qxE "xpipe: [a-z ]+ 'fd[ :]99': Bad file descriptor" err
}

@test "fd:N open in the wrong direction is blamed on its side" {
	exec {only_write}>written
	expect 1 xsplice "fd:$only_write" out
	said "xsplice: reading 'fd:$only_write': Bad file descriptor"
	exec {only_read}<"$SMALL"
	expect 1 xsplice "$SMALL" "fd:$only_read"
	said "xsplice: writing 'fd:$only_read': Bad file descriptor"
}

@test "fd:N is used as it stands" {
	exec {from}<"$SMALL" {to}>out
	expect 0 xsplice "fd:$from" "fd:$to"
	silent
	cmp "$SMALL" out
}

@test "a malformed endpoint is refused and creates no file" {
	local bad
	for bad in fd: fd:x fd:-1 fd:1x fd:99999999999 tcp: tcp:nowhere \
		tcp:127.0.0.1: tcp:127.0.0.1:65536 tcp:127.0.0.1:x \
		tcp-listen: tcp-listen:x tcp-listen:65536 unix: unix-listen:; do
		expect '[12]' timeout 5 xsplice "$SMALL" "$bad"
		complained xsplice
		expect '[12]' timeout 5 xsplice "$bad" out
		complained xsplice
		absent out
		[[ -z $(find . -name '*:*') ]]
	done
}

@test "a path that begins like an endpoint is written ./tcp:x" {
	local name
	for name in ./tcp:127.0.0.1:1 ./fd:9 ./unix:x ./-; do
		expect 0 xsplice "$SMALL" "$name"
		cmp "$SMALL" "$name"
		expect 0 xsplice "$name" out
		cmp "$SMALL" out
	done
}

@test "a refused connection is named, on its side" {
	local port
	port=$(perl -MSocket -e 'socket(S, AF_INET, SOCK_STREAM, 0);
		bind(S, pack_sockaddr_in(0, INADDR_LOOPBACK));
		print +(unpack_sockaddr_in(getsockname S))[0]')
	perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, pack_sockaddr_un("dead"))'
	expect 1 xsplice "tcp:127.0.0.1:$port" out
	said "xsplice: reading 'tcp:127.0.0.1:$port': Connection refused"
	absent out
	expect 1 xsplice "$SMALL" "tcp:127.0.0.1:$port"
	said "xsplice: writing 'tcp:127.0.0.1:$port': Connection refused"
	expect 1 xsplice unix:dead out
	said "xsplice: reading 'unix:dead': Connection refused"
	absent out
	expect 1 xsplice unix:missing out
	said "xsplice: reading 'unix:missing': No such file or directory"
	expect 1 xtee unix:dead <"$SMALL" >out
	said "xtee: writing 'unix:dead': Connection refused"
	cmp "$SMALL" out
}

@test "tcp-listen with port 0 tells its port and accepts one connection" {
	requires socat
	local port
	fifo err.fifo
	spawn xsplice tcp-listen:0 out 2>&"$FD"
	read -r -t 30 line <&"$FD"
	[[ $line =~ ([0-9]+)[^0-9]*$ ]]
	port=${BASH_REMATCH[1]}
	socat -u "OPEN:$DATA,rdonly" "TCP:127.0.0.1:$port"
	ends 0 "$PID"
	cmp "$DATA" out
}

@test "tcp-listen without a host listens on loopback only" {
	local port
	fifo err.fifo
	spawn xsplice tcp-listen:0 out 2>&"$FD"
	read -r -t 30 line <&"$FD"
	[[ $line =~ ([0-9]+)[^0-9]*$ ]]
	port=$(printf '%04X' "${BASH_REMATCH[1]}")
	awk -v port=":$port" '$4 == "0A" && substr($2, length($2) - 4) == port { print $2 }' \
		/proc/net/tcp /proc/net/tcp6 >listening
	[[ -s listening ]]
	[[ $(sort -u listening) =~ ^(0100007F|0{24}01000000):[0-9A-F]{4}$ ]]
}

@test "tcp in brackets speaks IPv6" {
	requires socat tcp6
	feed "$DATA" 'TCP6-LISTEN:0,bind=[::1]'
	expect 0 xsplice "tcp:[::1]:$PORT" out
	cmp "$DATA" out
}

@test "unix-listen accepts one connection, and unix connects to it" {
	spawn xsplice unix-listen:socket out
	eventually test -S socket
	eventually xsplice "$DATA" unix:socket
	ends 0 "$PID"
	cmp "$DATA" out
}

@test "a name with a newline is copied to and from" {
	local name=$'two\nlines'
	expect 0 xsplice "$SMALL" "$name"
	cmp "$SMALL" "$name"
	expect 0 xsplice "$name" out
	cmp "$SMALL" out
	expect 0 xtee "$name" <"$TEXT" >/dev/null
	cmp "$TEXT" "$name"
}

@test "a name with a newline still makes one line of message" {
	local name
	for name in $'two\nlines' $'red\e[31m' $'back\rward'; do
		expect 1 xsplice "missing $name" out
		[[ $(wc -l <err) == 1 &&
			$(<err) == "xsplice: reading 'missing "*"': No such file or directory" ]]
		lacks $'[\e\r]' err
		absent out
		expect 1 xtee "no/$name" <"$SMALL" >/dev/null
		[[ $(wc -l <err) == 1 &&
			$(<err) == "xtee: writing 'no/"*"': No such file or directory" ]]
	done
	expect 127 xpipe -- $'no\nsuch' | cat
	expect 127 xdeny mkdir=EPERM -- $'no\nsuch'
	[[ $(wc -l <err) == 1 ]]
}

@test "a closed standard input is blamed on reading" {
	expect 1 xsplice - out <&-
	said "xsplice: reading 'standard input': Bad file descriptor"
	expect 1 xtee out <&- >stdout
	said "xtee: reading 'standard input': Bad file descriptor"
}

@test "a closed standard output is blamed on writing" {
	expect 1 xsplice "$SMALL" >&-
	said "xsplice: writing 'standard output': Bad file descriptor"
	expect 1 xtee out <"$SMALL" >&-
	said "xtee: writing 'standard output': Bad file descriptor"
	cmp "$SMALL" out
	expect 1 xpipe --show >&-
	[[ -s err ]]
	expect 1 xprobe >&-
	[[ -s err ]]
}

@test "a closed standard descriptor that is not needed does no harm" {
	expect 0 xsplice "$SMALL" out <&- >&-
	cmp "$SMALL" out
	expect 0 xtee --no-stdout out <"$TEXT" >&-
	cmp "$TEXT" out
}

@test "what is said with standard error closed does not land in a file" {
	local status=0
	xsplice --stats --explain "$SMALL" out 2>&-
	cmp "$SMALL" out
	xtee --stats --explain out <"$TEXT" >/dev/null 2>&-
	cmp "$TEXT" out
	xsplice missing other 2>&- || status=$?
	((status == 1))
	absent other
}

@test "--stats is one readable line, and --stats=json one object, on standard error" {
	requires jq
	local tool
	for tool in xsplice xtee; do
		expect 0 with_option "$tool" --stats
		[[ $(wc -l <err) == 1 ]]
		grep -q 20001 err
		expect 0 with_option "$tool" --stats=json
		[[ $(wc -l <err) == 1 ]]
		holds '.tool == $tool and .bytes == 20001 and (.seconds | type) == "number"
			and (.method | type) == "string" and .fallback == null and .calls >= 1' \
			err --arg tool "$tool"
	done
}

@test "--explain says which way was chosen" {
	expect 0 xsplice --explain --via=copy "$SMALL" out
	grep -q '^xsplice: .*copy' err
	expect 0 xsplice --explain "$SMALL" | cat >out
	cmp "$SMALL" out
	grep -q '^xsplice: .*splice' err
	cat "$SMALL" | expect 0 xtee --explain | cat >out
	cmp "$SMALL" out
	grep -q '^xtee: .*tee' err
}

@test "without --stats, --explain and --progress nothing is said" {
	expect 0 xsplice "$SMALL" out
	silent
	cmp "$SMALL" out
	expect 0 xtee out <"$TEXT" >/dev/null
	silent
	cmp "$TEXT" out
}

@test "--progress never touches standard output" {
	local tool
	for tool in xsplice xtee; do
		expect 0 "$tool" --progress --stats <"$DATA" >out
		cmp "$DATA" out
		[[ -s err ]]
	done
}

@test "--progress is redrawn in place on a terminal, with a percentage where the size is known" {
	requires script
	script -qec "xsplice --progress '$DATA' out" /dev/null >screen
	cmp "$DATA" out
	grep -q $'\r.*100%' screen
	script -qec "cat '$DATA' | xtee --progress >out" /dev/null >screen
	cmp "$DATA" out
	grep -q $'\r.*B/s' screen
	lacks % screen
}

@test "--progress prints lines where standard error is no terminal" {
	expect 0 xsplice --progress "$DATA" out
	[[ -s err ]]
	lacks $'\r' err
	cmp "$DATA" out
}

@test "--progress prints a line a second" {
	head -c 25000 "$DATA" >source
	expect 0 xsplice --progress --rate=10KB --chunk=1000 source out
	cmp source out
	(($(wc -l <err) >= 2 && $(wc -l <err) <= 4))
	lacks $'\r' err
}

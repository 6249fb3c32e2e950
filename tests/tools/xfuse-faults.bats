# SPDX-License-Identifier: GPL-2.0-or-later
# xfuse when it is killed, when its source changes under it or goes away: no hang, no leftover
# mount, and no wrong byte for the neighbours.
load helper
load xfusing

@test "files truncated and rewritten all the time: their neighbours are always right" {
	requires fuse reader jq
	local via n churners readers
	mkdir source
	random 3000001 >source/still
	for via in "${VIAS[@]}"; do
		churners=() readers=()
		serve --via=$via source
		for n in 1 2; do
			rm -f "source/churned.$n"
			"$READER" pattern 2000003 "source/churned.$n"
			"$READER" churn 2000003 "$n" "source/churned.$n" &
			own $!
			churners+=($!)
		done
		for n in 1 2; do
			"$READER" torn 150 "$n" "mnt/churned.$n" &
			readers+=($!)
			"$READER" agree direct 150 "$n" 0 source/still mnt/still &
			readers+=($!)
			"$READER" agree read 150 "$n" 0 source/still mnt/still &
			readers+=($!)
		done
		for n in "${readers[@]}"; do wait "$n"; done
		kill "${churners[@]}"
		wait "${churners[@]}" || true
		# Whatever was in the way, the next open shows what is there.
		cmp source/churned.1 mnt/churned.1
		cmp source/churned.2 mnt/churned.2
		cmp source/still mnt/still
		release
		holds '.errors == 0' stats
	done
}

@test "a file that is truncated between two reads leaves nothing to the next" {
	requires fuse
	local via n
	mkdir source
	for via in "${VIAS[@]}"; do
		"$READER" pattern 1000000 source/file
		cp -f "$SMALL" source/still
		serve --via=$via source
		exec {file}<mnt/file
		for n in 900000 131073 5000 1; do
			dd bs=128K count=1 iflag=direct status=none <&"$file" >/dev/null
			truncate -s $n source/file
			dd bs=1M iflag=direct status=none <&"$file" | wc -c >left
			[[ $(<left) == $((n > 131072 ? n - 131072 : 0)) ]]
			perl -e 'sysseek STDIN, 0, 0' <&"$file"
			cmp "$SMALL" mnt/still
			dd if=mnt/file bs=1M iflag=direct status=none | cmp - source/file
			[[ $(wc -c <mnt/file) == "$n" ]]
			cmp source/file mnt/file
		done
		exec {file}<&-
		release
	done
}

# ---------------------------------------------------------------------------------- killed

# loaded - ./mnt with readers that never stop, whose numbers are $READERS, and all of xfuse's
# processes as $FAMILY.
loaded() {
	local n
	random 8388608 >original
	serve original
	# shellcheck disable=SC2207  # numbers are words
	FAMILY=($(descendants "$PID"))
	READERS=()
	for n in {1..4}; do
		"$READER" agree direct 100000000 "$n" 0 original mnt/original 2>>err.readers &
		own $!
		READERS+=($!)
		"$READER" agree read 100000000 "$n" 0 original mnt/original 2>>err.readers &
		own $!
		READERS+=($!)
	done
	for n in "${READERS[@]}"; do eventually at_work "$n"; done
}

at_work() { (($(ticks "$1") > 1)); }

# all_gone - readers failed by themselves, the mount and all processes of xfuse's are gone.
all_gone() {
	local n
	for n in "${READERS[@]}"; do ends 2 "$n"; done
	await gone mnt
	for n in "${FAMILY[@]}"; do eventually gone "$n"; done
}

@test "SIGKILL of what serves, under load: readers get an error, and no mount is left" {
	requires fuse reader
	local server
	loaded
	server=$(server "$PID")
	kill -KILL "$server"
	if wait "$PID"; then fail "killed, and yet 0"; fi
	all_gone
	mkdir -p again
	expect 0 xfuse original mnt
	cmp original mnt/original
	fusermount3 -u mnt
}

@test "SIGKILL of what would unmount: files are served, and an unmount ends it" {
	requires fuse
	local server pid
	serve "$DATA"
	server=$(server "$PID")
	for pid in $(descendants "$PID"); do
		[[ $pid == "$server" ]] || kill -KILL "$pid"
	done
	cmp "$DATA" mnt/data
	release
}

# What the device says when the unmount comes while a request is handed over.
@test "an unmount in the midst of a request is an end, and no failure" {
	requires fuse root
	# shellcheck disable=SC2034  # serve uses it
	UNDER=(xdeny "read@300=ECONNABORTED" --)
	serve "$DATA"
	while cat mnt/data >/dev/null 2>&1; do :; done
	ends 0 "$PID"
	await gone mnt
	[[ $(grep -vc '^{' err) == 0 ]]
}

# background NAME - the processes of the xfuse that was started with --name=NAME. The pattern is no
# argument: grep would find itself.
background() {
	grep -lzxF -f <(printf '%s\n' "--name=$1") /proc/[0-9]*/cmdline 2>/dev/null | tr -dc '0-9\n'
}

none_of() { [[ -z $(background "$1") ]]; }

@test "SIGKILL of what serves in the background" {
	requires fuse
	local pid
	mkdir mnt
	expect 0 xfuse --name="mine.$$" "$DATA" mnt
	for pid in $(background "mine.$$"); do
		[[ -z $(device_of "$pid") ]] || kill -KILL "$pid"
	done
	await gone mnt
	eventually none_of "mine.$$"
}

# The kernel gives the next mount the numbers of the one before.
@test "what is mounted anew on the same place stays, whatever the one before does at its end" {
	requires fuse
	local n
	mkdir mnt
	for n in {1..20}; do
		expect 0 xfuse --name="first.$$" "$SMALL" mnt
		fusermount3 -u mnt
		expect 0 xfuse --name="second.$$" "$SMALL" mnt
		eventually none_of "first.$$"
		cmp "$SMALL" "mnt/second.$$"
		fusermount3 -u mnt
		eventually none_of "second.$$"
	done
}

@test "SIGTERM under load: readers get an error, no mount is left, and the status is 0" {
	requires fuse reader jq
	loaded
	signal TERM "$PID"
	finished
	all_gone
}

@test "a lazy unmount under load: readers go on, and with the last one it ends" {
	requires fuse reader
	local n
	loaded
	fusermount3 -u -z mnt
	await gone mnt
	for n in "${READERS[@]}"; do
		running "$n" || fail "a reader ended: $(<err.readers)"
		kill "$n"
		ends 143 "$n"
	done
	ends 0 "$PID"
	empty err.readers
	for n in "${FAMILY[@]}"; do eventually gone "$n"; done
}

@test "umount -f under load: readers get an error, and no mount is left" {
	requires fuse reader root
	loaded
	umount -f mnt || true # busy it was; the connection is broken now
	wait "$PID" || true
	all_gone
}

@test "an unmount without -z while a file is open is refused, and all goes on" {
	requires fuse
	serve "$DATA"
	exec {file}<mnt/data
	expect 1 fusermount3 -u mnt
	cmp "$DATA" mnt/data
	cmp "$DATA" "/proc/self/fd/$file"
	exec {file}<&-
	release
}

# -------------------------------------------------------------------- the source goes away

@test "a file that is removed can be read by whom has it open" {
	requires fuse
	mkdir source source/sub
	cp "$DATA" source/sub/file
	cp "$SMALL" source/still
	serve source
	exec {file}<mnt/sub/file
	dd bs=4096 count=1 status=none <&"$file" >got
	rm -rf source/sub
	cat <&"$file" >>got
	cmp "$DATA" got
	exec {file}<&-
	expect 1 cat mnt/sub/file
	grep -q 'No such file or directory' err
	expect 2 ls mnt/sub
	[[ $(ls mnt) == still ]]
	cmp "$SMALL" mnt/still
	fusermount3 -u mnt
	ends 0 "$PID"
}

@test "a single file that is removed, or a whole tree" {
	requires fuse
	cp "$DATA" file
	chmod u+w file
	serve file
	rm file
	cmp "$DATA" mnt/file
	release
	mkdir -p tree/sub
	cp "$DATA" tree/sub/file
	serve tree
	cmp "$DATA" mnt/sub/file
	rm -rf tree
	[[ -z $(timeout 30 ls -A mnt 2>/dev/null) ]]
	expect 1 timeout 30 cat mnt/sub/file
	release
}

@test "a loop device that is detached is no hang" {
	requires fuse loop reader
	local device
	random 8388608 >image
	device=$(losetup -f --show -r image)
	serve --name=disk "$device"
	dd if=mnt/disk bs=1M count=1 status=none | cmp -n 1048576 - image
	losetup -d "$device"
	# The kernel detaches it when the last one has closed it, and that is xfuse.
	timeout 30 "$READER" agree direct 100 1 0 image mnt/disk
	release
	eventually detached "$device"
}

detached() { ! losetup "$1"; }

@test "a file system that dies under it: an error for each reader, and no hang" {
	requires fuse
	local below
	mount_fuse
	below=$PID
	cp "$DATA" behind/file
	serve fuse
	cmp "$DATA" mnt/file
	exec {file}<mnt/file
	signal KILL "$below"
	wait "$below" || true
	expect 1 timeout 30 cat mnt/file
	expect 1 timeout 30 dd bs=1M iflag=direct of=/dev/null status=none <&"$file"
	exec {file}<&-
	fusermount3 -u mnt
	ends 0 "$PID"
}

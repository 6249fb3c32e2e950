# SPDX-License-Identifier: GPL-2.0-or-later
# watchq with the kernel's notification queue: keys, records, losses, and the sources of the series.
load helper
load watching

teardown() {
	clean_up
	[[ ! ${RING:-} ]] || keyctl unlink "$RING" @u 2>/dev/null || true
	[[ ! ${ADDED:-} ]] || eventually loop_device remove
}

# keyring - a keyring $RING of its own, and a key $KEY in it.
keyring() {
	RING=$(keyctl newring "watchq $BATS_TEST_NUMBER" @u)
	KEY=$(keyctl add user 'a key' payload "$RING")
}

# queue OPTION... - watchq with nothing but the queue, in objects.
queue() { watching --backend=queue --json "$@"; }

# record TYPE SUBTYPE LENGTH ID [PACK VALUE...] - a record of the queue, as the kernel writes it.
record() {
	perl -e '
		my ($type, $subtype, $length, $id, $pack, @values) = @ARGV;
		print pack "LL", $type | $subtype << 24, $length | $id << 8;
		print pack $pack, @values if $pack' "$@"
}

# room NOTES - what a queue of so many holds: the kernel fills the page.
room() { echo $((($1 + 31) / 32 * 32)); }

# changes COUNT - COUNT changes of $KEY while watchq, told to watch it, can read none.
changes() {
	signal STOP "$PID"
	"$CAUSE" setperm "$1" "$KEY"
	signal CONT "$PID"
}

# ------------------------------------------------------------------------- keys

@test "what happens to a key and to a keyring" {
	requires watch-key keyctl jq
	keyring
	queue key:"$RING" key:"$KEY"
	local other
	other=$(keyctl add user other x "$RING")
	next
	is --argjson ring "$RING" --argjson key "$other" '
		.source == "key" and .event == "linked" and .watch == 0 and .backend == "queue" and
		.key_id == $ring and .aux == $key and .key_type == "keyring" and
		(.description | startswith("watchq "))'
	keyctl update "$KEY" new
	next
	is --argjson key "$KEY" '.event == "updated" and .watch == 1 and .key_id == $key and
		.key_type == "user" and .description == "a key"'
	keyctl setperm "$KEY" 0x3f3f0000
	next
	is '.event == "setattr" and .watch == 1'
	keyctl unlink "$other" "$RING"
	next
	is --argjson key "$other" '.event == "unlinked" and .watch == 0 and .aux == $key'
	keyctl revoke "$KEY"
	next
	is '.event == "revoked" and .watch == 1'
	keyctl clear "$RING"
	next
	is '.event == "cleared" and .watch == 0'
	keyctl invalidate "$RING"
	until_line '.event == "invalidated"'
	is '.watch == 0'
	# Both are collected, and nothing is left to be watched.
	ends 0 "$PID"
	until_line '.event == "removal" and .watch == 0'
}

@test "keys are named as for keyctl" {
	requires watch-key keyctl
	keyring
	local name
	for name in "$RING" "$(printf 0x%x "$RING")" "%:watchq $BATS_TEST_NUMBER" \
		"%keyring:watchq $BATS_TEST_NUMBER"; do
		watching -n 1 --format='%{key_id}' key:"$name"
		keyctl setperm "$RING" 0x3f3f0000
		next
		[[ $LINE == "$RING" ]] || fail "$name: $LINE"
		ends 0 "$PID"
	done
	watching -n 1 --format='%{key_id} %e' 'key:%user:a key'
	keyctl setperm "$KEY" 0x3f3f0000
	next
	[[ $LINE == "$KEY setattr" ]]
	ends 0 "$PID"
	watching -n 1 --format=%e key:@u
	keyctl link "$KEY" @u
	next
	[[ $LINE == linked ]]
	ends 0 "$PID"
	keyctl unlink "$KEY" @u
	expect 1 watchq 'key:%user:no such key' >out
	said "watchq: watching 'key:%user:no such key': no such key"
	expect 1 watchq key:123456789 >out
	said "watchq: watching 'key:123456789': no such key"
	empty out
}

@test "lines of text and formats of keys" {
	requires watch-key keyctl
	keyring
	watching -n 1 key:"$KEY"
	keyctl update "$KEY" new
	next
	local expected="Z key updated key_id=$KEY key_type=user description=\"a key\""
	[[ $LINE == *"$expected" ]] || fail "$LINE"
	ends 0 "$PID"
	watching -n 1 --format='%s %e %i %{key_type}:%{description}' key:"$KEY"
	keyctl update "$KEY" new
	next
	[[ $LINE == 'key updated 0 user:a key' ]]
	ends 0 "$PID"
}

@test "--only lets one kind of change through" {
	requires watch-key keyctl cause jq
	keyring
	queue -o key.updated key:"$KEY"
	"$CAUSE" setperm 20 "$KEY"
	keyctl update "$KEY" new
	next
	is '.event == "updated"'
	stop
}

@test "a keyring without VIEW is refused" {
	requires watch-key keyctl setpriv
	keyring
	keyctl setperm "$KEY" 0
	expect 1 setpriv --reuid=65534 --clear-groups watchq key:"$KEY" >out
	[[ $(<err) == "watchq: watching 'key:$KEY': "* ]]
	empty out
}

# ------------------------------------------------------------------------- records

@test "--raw is the kernel's records, byte for byte" {
	requires watch-key keyctl
	keyring
	local other
	watching --raw -n 4 key:"$RING" key:"$KEY"
	other=$(keyctl add user other x "$RING")
	keyctl update "$KEY" new
	keyctl setperm "$KEY" 0x3f3f0000
	keyctl unlink "$other" "$RING"
	take 64 "$EVENTS" >got
	ends 0 "$PID"
	{
		record 1 2 16 0 LL "$RING" "$other"
		record 1 1 16 1 LL "$KEY" 0
		record 1 7 16 1 LL "$KEY" 0
		record 1 3 16 0 LL "$RING" "$other"
	} >expected
	cmp expected got || fail "$(od -An -tx4 expected; echo; od -An -tx4 got)"
}

@test "--raw has the records of mounts, and of losses" {
	requires watch-mount root cause
	namespace
	make a
	watching --raw -n 1 mount
	tmpfs a
	take 32 "$EVENTS" >got
	ends 0 "$PID"
	local ns
	ns=$(perl -e 'print unpack "x24Q", join "", <>' got)
	record 2 0 32 0 QQQ "$(mount_id "$W/a")" "$(mount_id "$W")" "$ns" >expected
	cmp expected got || fail "$(od -An -tx4 expected; echo; od -An -tx4 got)"
	watching --raw --queue=1 -n 33 mount
	signal STOP "$PID"
	within "$CAUSE" pairs 17 "$W"
	signal CONT "$PID"
	take $((32 * 32 + 8)) "$EVENTS" >got
	record 0 1 8 0 >expected
	cmp expected <(tail -c 8 got) || fail "$(od -An -tx4 got)"
	ends 0 "$PID"
}

# ------------------------------------------------------------------------- losses

@test "a queue of 1, 16 and 512 notes: so many events come, then a loss, and it goes on" {
	requires watch-key keyctl cause jq
	keyring
	local notes
	for notes in 1 16 512; do
		queue --queue=$notes key:"$KEY"
		collect
		changes $(($(room $notes) + 20))
		eventually grep -q '"source":"meta","event":"loss"' all
		keyctl update "$KEY" new
		eventually grep -q '"event":"updated"' all
		stop
		collected
		[[ $(grep -c '"event":"setattr"' all) == "$(room $notes)" ]] || fail "$(wc -l <all)"
		[[ $(grep -c '"event":"loss"' all) == 1 ]]
		# What fits is no loss.
		queue --queue=$notes -n "$(room $notes)" --strict key:"$KEY"
		collect
		changes "$(room $notes)"
		ends 0 "$PID"
	done
}

@test "--strict ends with 5 once something was lost, after the line that says so" {
	requires watch-key keyctl cause jq
	keyring
	queue --strict --stats=json --queue=4 key:"$KEY"
	changes 50
	until_line '.event == "loss"'
	ends 5 "$PID"
	holds '.events == 33 and .losses == 1 and .method == "queue" and .fallback == null' err
	queue --strict --queue=16 -n 10 key:"$KEY"
	changes 10
	ends 0 "$PID"
}

@test "after a loss mounts are looked at again, and what has changed is told" {
	requires watch-mount cause jq
	namespace
	make a kept last gone
	tmpfs gone
	queue --queue=4 mount
	signal STOP "$PID"
	within "$CAUSE" pairs 30 "$W/a"
	tmpfs kept
	within umount "$W/gone"
	signal CONT "$PID"
	until_line '.event == "loss"'
	until_line --arg w "$W" '.event == "attach" and .path == "\($w)/kept"'
	is '.flags | index("rescan")'
	tmpfs last
	until_line --arg w "$W" '.event == "attach" and .path == "\($w)/last"'
	is '.flags | index("rescan") | not'
	stop
}

# ------------------------------------------------------------------------- mounts and file systems

@test "every event of the mount tree" {
	requires watch-mount root cause jq
	namespace
	make a b
	queue mount
	tmpfs a
	next
	is --arg w "$W" '.event == "attach" and .path == "\($w)/a" and .backend == "queue"'
	within mount -o remount,bind,ro "$W/a"
	next
	is --arg w "$W" '
		.event == "setattr" and .path == "\($w)/a" and (.flags | index("readonly"))'
	within mount --make-shared "$W/a"
	next
	is --arg w "$W" '.event == "propagation" and .path == "\($w)/a"'
	within mount --make-private "$W/a"
	next
	is '.event == "propagation"'
	within "$CAUSE" move "$W/a" "$W/b"
	next
	is --arg w "$W" '.event == "move" and .path == "\($w)/b" and .old_path == "\($w)/a"'
	within umount "$W/b"
	next
	is --arg w "$W" '.event == "detach" and .path == "\($w)/b"'
	stop
}

@test "every event of a file system that a command can cause" {
	requires watch-sb ext4 cause jq
	namespace
	truncate -s 16M image
	mkfs.ext4 -q -O ^metadata_csum -m 0 image
	debugfs -w -R 'write /dev/null victim' image >/dev/null 2>&1
	debugfs -w -R 'clri victim' image >/dev/null 2>&1
	ATTACHED=$(losetup -f --show image)
	LOOPS+=("$ATTACHED")
	make fs
	within mount -t ext4 "$ATTACHED" "$W/fs"
	queue sb:"$W/fs"
	within "$CAUSE" remount ro "$W/fs"
	next
	is --arg d "${ATTACHED#/dev/}" --arg w "$W" '
		.source == "sb" and .event == "remount" and (.flags | index("readonly")) and
		.device == $d and .path == "\($w)/fs" and .backend == "queue"'
	within "$CAUSE" remount rw "$W/fs"
	next
	is '.event == "remount" and (.flags | index("readonly") | not)'
	within fsfreeze -f "$W/fs"
	next
	is '.event == "freeze"'
	within fsfreeze -u "$W/fs"
	next
	is '.event == "thaw"'
	within dd if=/dev/zero of="$W/fs/full" bs=64K 2>/dev/null || true
	next
	is '.event == "nospc" and .error == "ENOSPC"'
	within ls -l "$W/fs" >/dev/null 2>&1 || true
	until_line '.event == "error"'
	is '.error == "EUCLEAN"'
	within umount "$W/fs"
	until_line '.event == "shutdown"'
	until_line '.event == "removal"'
	ends 0 "$PID"
}

# ------------------------------------------------------------------------- block devices

@test "a block device: added, resized, failing, removed" {
	requires watch-block loop jq
	loop_device add
	loop_device remove
	queue block
	ADDED=yes
	loop_device add
	until_line --arg d "$LOOP" '.device == $d'
	is '.source == "block" and .event == "add" and .backend == "queue"'
	truncate -s 8M image
	mknod "$PWD/device" b 7 "$(value '.dev | ltrimstr("7:")')"
	losetup "$PWD/device" image
	until_line --arg d "$LOOP" '.device == $d and .event == "resize"'
	is '.sectors == 16384'
	# What a file has lost, its device can't read.
	truncate -s 4M image
	dd if="$PWD/device" of=/dev/null bs=4K skip=1536 count=1 iflag=direct 2>/dev/null || true
	until_line --arg d "$LOOP" '.device == $d and .event == "error"'
	is '.sector == 12288 and .bytes == 4096 and .operation == "read" and .error == "EIO"'
	losetup -d "$PWD/device"
	eventually loop_device remove
	ADDED=
	until_line --arg d "$LOOP" '.device == $d and .event == "remove"'
	stop
}

@test "a keyring, a subtree, a file system and all block devices at once" {
	requires watch-key watch-mount watch-sb watch-block
	requires keyctl root loop cause jq
	namespace
	keyring
	make in out
	tmpfs in
	make in/deep
	queue key:"$RING" mount:"$W/in" sb:"$W/in" block
	keyctl setperm "$RING" 0x3f3f0000
	next
	is '.source == "key" and .watch == 0'
	tmpfs out
	tmpfs in/deep
	next
	is --arg w "$W" '.source == "mount" and .watch == 1 and .path == "\($w)/in/deep"'
	within umount "$W/in/deep"
	next
	is '.watch == 1 and .event == "detach"'
	within "$CAUSE" remount ro "$W/in"
	until_line '.source == "sb"'
	is '.watch == 2 and .event == "remount"'
	ADDED=yes
	loop_device add
	until_line --arg d "$LOOP" '.device == $d'
	is '.watch == 3 and .event == "add"'
	stop
}

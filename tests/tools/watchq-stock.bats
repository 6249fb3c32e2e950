# SPDX-License-Identifier: GPL-2.0-or-later
# watchq without the notification queue: what other parts of the kernel tell, and what they don't.
load helper
load watching

teardown() {
	clean_up
	[[ ! ${ADDED:-} ]] || eventually loop_device remove
}

# stock OPTION... - watchq without the queue, in objects.
stock() { watching --backend=stock --json "$@"; }

# image - ./image is a loop device, $ATTACHED.
image() {
	truncate -s 8M image
	ATTACHED=$(losetup -f --show image)
	LOOPS+=("$ATTACHED")
}

@test "no event is said to come from the queue" {
	expect 0 watchq --list --json --backend=stock >out
	[[ $(jq -s 'any(.backend == "queue")' out) == false ]]
	[[ $(jq -s 'map(select(.source == "key")) | all(.backend == null)' out) == true ]]
}

@test "keys are not served, and what would serve them is named" {
	expect 3 watchq --backend=stock key:@u >out
	[[ $(<err) == "watchq: watching 'key:@u': "*CONFIG_WATCH_QUEUE* ]] || fail "$(<err)"
	empty out
	if offers notification-pipe; then return; fi
	expect 3 watchq key:@u >out
	[[ $(<err) == "watchq: watching 'key:@u': "*CONFIG_WATCH_QUEUE* ]] || fail "$(<err)"
	[[ $(wc -l <err) == 1 ]]
	empty out
}

@test "what needs the queue ends with 3 where there is none" {
	requires no-notification-pipe
	local options
	for options in --raw --backend=queue --no-fallback; do
		expect 3 watchq $options --initial mount --format=%e >out || true
	done
	expect 3 watchq --raw mount >out
	[[ $(<err) == "watchq: watching 'mount': only the queue has records; "* ]] || fail "$(<err)"
	empty out
	expect 3 watchq --backend=queue mount >out
	[[ $(<err) == 'watchq: '*CONFIG_WATCH_QUEUE* ]] || fail "$(<err)"
	empty out
	expect 3 watchq --backend=queue --list >out
	empty out
	expect 3 watchq --no-fallback --initial mount >out
	[[ $(<err) == "watchq: watching 'mount': "* ]]
	empty out
}

@test "an event that nothing here sees is refused, or told of where others are seen" {
	requires root
	expect 3 watchq --backend=stock -o block.error block >out
	[[ $(<err) == "watchq: watching 'block': none of the events asked for is seen here; "* ]] ||
		fail "$(<err)"
	empty out
	expect 124 watchq --backend=stock -o block.error,block.add -t 0 block >out
	[[ $(<err) == 'watchq: block.error: not seen here; '* && $(wc -l <err) == 1 ]] ||
		fail "$(<err)"
}

@test "mounts, moves and unmounts have the right numbers, parents and paths" {
	requires cause jq
	namespace
	make one two
	stock mount
	tmpfs one
	next
	is --arg w "$W" --argjson id "$(mount_id "$W/one")" --argjson parent "$(mount_id "$W")" '
		.event == "attach" and .mnt_id == $id and .parent_id == $parent and
		.path == "\($w)/one" and .parent_path == $w and .backend != "queue"'
	local id
	id=$(value .mnt_id)
	within "$CAUSE" move "$W/one" "$W/two"
	next
	is --arg w "$W" --argjson id "$id" '.event == "move" and .mnt_id == $id and
		.path == "\($w)/two" and .old_path == "\($w)/one"'
	within umount "$W/two"
	next
	is --arg w "$W" --argjson id "$id" '.event == "detach" and .mnt_id == $id and
		.path == "\($w)/two"'
	stop
}

@test "a mount that turns read-only, and writable" {
	requires cause jq
	namespace
	make a
	tmpfs a
	stock mount:"$W/a"
	within mount -o remount,bind,ro "$W/a"
	next
	is --arg w "$W" '
		.event == "setattr" and .path == "\($w)/a" and (.flags | index("readonly"))'
	within mount -o remount,bind,rw "$W/a"
	next
	is '.event == "setattr" and (.flags | index("readonly") | not)'
	stop
}

@test "a file system that turns read-only, and writable" {
	requires cause jq
	namespace
	make a
	tmpfs a
	stock -o sb.remount sb:"$W/a"
	within "$CAUSE" remount ro "$W/a"
	next
	is --arg w "$W" '
		.source == "sb" and .event == "remount" and (.flags | index("readonly")) and
		.path == "\($w)/a"'
	within "$CAUSE" remount rw "$W/a"
	next
	is '.event == "remount" and (.flags | index("readonly") | not)'
	stop
}

@test "a file system that is unmounted ends the watch on it" {
	requires cause jq
	namespace
	make a
	tmpfs a
	stock sb:"$W/a"
	within umount "$W/a"
	until_line '.event == "removal"'
	is '.source == "sb" and .watch == 0'
	ends 0 "$PID"
}

@test "a loop device: added, changed, removed" {
	requires loop jq
	loop_device add
	loop_device remove
	stock block
	ADDED=yes
	loop_device add
	until_line --arg d "$LOOP" '.device == $d'
	is '.source == "block" and .event == "add" and .backend == "uevent" and
		(.dev | startswith("7:"))'
	truncate -s 8M image
	# Whatever /dev is, it has no name for it before somebody makes one.
	mknod "$PWD/device" b 7 "$(value '.dev | ltrimstr("7:")')"
	losetup "$PWD/device" image
	until_line --arg d "$LOOP" '.device == $d'
	is '.event | IN("change", "media", "resize")'
	losetup -d "$PWD/device"
	eventually loop_device remove
	ADDED=
	until_line --arg d "$LOOP" '.device == $d and .event == "remove"'
	stop
}

@test "block:DEVICE is that device alone, by name or by path" {
	requires loop jq
	image
	local name
	for name in "$ATTACHED" "${ATTACHED#/dev/}"; do
		stock block:"$name"
		echo change >"/sys/block/${ATTACHED#/dev/}/uevent"
		next
		is --arg d "${ATTACHED#/dev/}" '.device == $d and .event == "change"'
		stop
	done
	loop_device add
	ADDED=yes
	stock -n 1 block:"$ATTACHED"
	echo change >"/sys/block/$LOOP/uevent"
	echo change >"/sys/block/${ATTACHED#/dev/}/uevent"
	next
	is --arg d "${ATTACHED#/dev/}" '.device == $d'
	ends 0 "$PID"
}

@test "block --initial has the devices that there are" {
	requires jq
	image_names() { ls /sys/class/block | sort; }
	image_names >expected
	expect 0 watchq --backend=stock --initial --json -t 0 -o block.add block >out
	[[ $(jq -s 'all(.event == "add" and (.flags | index("initial")))' out) == true ]]
	jq -r .device out | sort >got
	image_names | sort - expected | uniq -u >changing
	[[ -s changing ]] || cmp expected got || fail "$(diff expected got)"
}

@test "a damaged ext4 is told of, with the error and the inode" {
	requires ext4 jq
	namespace
	truncate -s 16M image
	mkfs.ext4 -q -O ^metadata_csum image
	debugfs -w -R 'write /dev/null victim' image >/dev/null 2>&1
	debugfs -w -R 'clri victim' image >/dev/null 2>&1
	make ext4
	ATTACHED=$(losetup -f --show image)
	LOOPS+=("$ATTACHED")
	within mount -t ext4 "$ATTACHED" "$W/ext4"
	stock -o sb.error sb:"$W/ext4"
	within ls -l "$W/ext4" >/dev/null 2>&1 || true
	next
	# It is the directory, 2, that names an inode that is none.
	is --arg d "${ATTACHED#/dev/}" --arg path "$W/ext4" '
		.source == "sb" and .event == "error" and .error == "EUCLEAN" and .ino == 2 and
		.path == $path and .device == $d and .backend == "fs-error"'
	stop
	within umount "$W/ext4"
}

@test "an ordinary user sees the mounts of the own namespace, and is told what the rest needs" {
	requires setpriv cause jq
	namespace
	make a
	local enter=("${ENTER[@]}")
	ENTER+=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	chmod 755 .
	stock mount
	ENTER=("${enter[@]}")
	tmpfs a
	next
	is --arg w "$W" '.event == "attach" and .path == "\($w)/a" and .backend == "mountinfo"'
	within umount "$W/a"
	next
	is '.event == "detach"'
	stop
	ENTER+=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	expect '[13]' within watchq --backend=stock -o sb.error sb:/ >out
	[[ $(<err) == "watchq: watching 'sb:/': "*CAP_SYS_ADMIN* ]] || fail "$(<err)"
	empty out
}

@test "the root of a user namespace sees its own mounts" {
	requires userns cause jq
	chmod 755 .
	hold unshare -rm --propagation private
	ENTER+=(-U --preserve-credentials)
	make a
	stock mount
	tmpfs a
	next
	is --arg w "$W" --argjson id "$(mount_id "$W/a")" '
		.event == "attach" and .path == "\($w)/a" and .mnt_id == $id'
	stop
}

@test "with mountinfo alone, what merges is shown as what it came to" {
	requires setpriv cause jq
	namespace
	make a last
	ENTER+=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	chmod 755 .
	stock mount
	ENTER=("${ENTER[@]:0:4}")
	signal STOP "$PID"
	within "$CAUSE" pairs 100 "$W/a"
	tmpfs a
	tmpfs last
	signal CONT "$PID"
	until_line --arg w "$W" '.path == "\($w)/last"'
	[[ $(jq -s --arg w "$W" 'map(select(.path == "\($w)/a")) | length' lines) == 1 ]]
	jq -s -e 'all(.event == "attach")' lines >/dev/null
	stop
}

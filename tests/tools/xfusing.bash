# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2154
# xfusing.bash - what the suites on xfuse share, beyond helper.bash.

READER=$BATS_SUITE_TMPDIR/reader # reader.c
UNDER=()                         # what xfuse is run by: xdeny and its rules, setpriv ...
FAR=$((4 << 30))                 # offsets that 32 bits do not hold begin here

# The ways that READ may be answered, as options of xfuse.
VIAS=(auto splice copy)

# await there|gone DIRECTORY - waits until something is mounted there, or nothing is any more.
await() {
	perl -e '
		my ($want, $path) = @ARGV;
		open my $mounts, "<", "/proc/self/mountinfo" or die "mountinfo: $!\n";
		for (my $end = time + 30; time < $end;) {
			seek $mounts, 0, 0;
			my $there = grep { (split)[4] eq $path } <$mounts>;
			exit 0 if $want eq ($there ? "there" : "gone");
			vec(my $changed, fileno $mounts, 1) = 1;
			select undef, undef, $changed, 1;
		}
		exit 1' "$1" "$PWD/$2" || fail "$2: never $1: $(cat err* 2>/dev/null)"
}

# serve [OPTION...] SOURCE - xfuse in the foreground as $PID, by $UNDER, shows SOURCE in ./mnt.
serve() {
	mkdir -p mnt
	spawn "${UNDER[@]}" xfuse -f --stats=json "$@" mnt 2>err
	await there mnt
}

# release - unmounts ./mnt, which ends xfuse; what it has counted is in ./stats.
release() {
	fusermount3 -u mnt
	finished
}

# finished - xfuse ends in order, having told what it counted, and leaves no mount.
finished() {
	ends 0 "$PID"
	await gone mnt
	grep '^{' err >stats
}

# by WAY... - READ was answered by no other ways than these.
by() {
	holds '[.replies | to_entries[] | select(.value.count > 0).key] as $used
		| ($used | length > 0) and ($used - ($ways | split(" ")) == [])' \
		stats --arg ways "$*"
}

# spliced WAY... - READ was answered by these, but for what is too much for a pipe: 1 MiB and a
# header.
spliced() {
	by "$@" copy
	holds '.replies.copy | .bytes == .count * 1048576' stats
	holds '[.replies[$ways | split(" ")[]].count] | add > 0' stats --arg ways "$*"
}

# device_of PID - the descriptor by which it serves, if it does.
device_of() { find "/proc/$1/fd" -lname /dev/fuse -print -quit 2>/dev/null; }

# server PID - the process of PID's that serves.
server() {
	local pid
	for pid in "$1" $(descendants "$1"); do
		[[ -z $(device_of "$pid") ]] || { printf '%s\n' "$pid"; return; }
	done
	fail "no process below $1 serves"
}

# random BYTES - that many of them, the same ones each time.
random() {
	perl -e 'srand 1;
		for (my $left = $ARGV[0]; $left > 0; $left -= 65536) {
			print substr pack("N*", map { rand 2**32 } 1 .. 16384), 0, $left;
		}' "$1"
}

# listing DIRECTORY - all that lstat(2) tells of what is in it, but for device and blocks.
listing() {
	(cd "$1" && find . -mindepth 1 -printf '%P\t%y %m %s %T@ %n %U %G\t%l\0' | sort -z)
}

# sums DIRECTORY - the contents of the files in it.
sums() {
	(cd "$1" && perl -MFile::Find -MDigest::SHA -e '
		find(sub {
			lstat or die "$File::Find::name: $!\n";
			return unless -f _;
			open my $file, "<:raw", $_ or die "$File::Find::name: $!\n";
			my $sum = Digest::SHA->new(1)->addfile($file)->hexdigest;
			print "$File::Find::name $sum\0";
		}, ".")' | sort -z)
}

# identical DIRECTORY - it is as ./mnt shows it, and as it was when this was asked first.
identical() {
	[[ -e sums.want ]] || { listing "$1" >listing.want && sums "$1" >sums.want; }
	listing mnt >listing.got
	cmp listing.want listing.got
	sums mnt >sums.got
	cmp sums.want sums.got
}

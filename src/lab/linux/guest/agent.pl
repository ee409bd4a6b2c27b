# The Linux guest's voice on the serial port: a numbered heartbeat, and on "verify" a check of every file that the
# image brought (they live in memory), of the program and of the kernel's log. ../README.md has the lines.
use strict;
use warnings;

my $beat_seconds = ($ENV{beat} || 20) / 1000;
my $port = $ENV{port} || 0;
my $program = $ENV{program} || 'idle';
my $started = $ENV{program_pid};

sub say_line { syswrite STDOUT, "$_[0]\n" }

# clock_gettime(CLOCK_MONOTONIC) of x86-64; perl-base has no Time::HiRes.
sub now_seconds {
    my $time = pack 'q2', 0, 0;
    syscall 228, 1, $time;
    my ($seconds, $nanoseconds) = unpack 'q2', $time;
    return $seconds + $nanoseconds / 1e9;
}

sub lines_of {
    my ($path) = @_;
    open my $file, '<', $path or return ();
    return <$file>;
}

# Lines of /proc/net/tcp: "N: ADDRESS:PORT ..."; state 0A is LISTEN.
sub listens { return $port == 0 || grep { /^\s*\d+: [0-9A-F]+:(\w{4}) \S+ 0A / && hex($1) == $port } lines_of('/proc/net/tcp') }

# A zombie has a folder in /proc as well.
sub is_alive {
    return 1 if $program eq 'idle';
    my ($state) = map { /^State:\s+(\w)/ ? $1 : () } lines_of("/proc/$started/status");
    return defined $state && $state ne 'Z' ? 1 : 0;
}

sub complaints {
    my @kernel = grep { /BUG: |WARNING: CPU|Oops|Call Trace|soft lockup|rcu.*stall|I\/O error|Out of memory/ } `/bin/busybox dmesg`;
    my @program = grep { /corruption|FAILED|Fatal|\[(emerg|alert|crit)\]/ } lines_of('/tmp/program.log');
    return (@kernel, @program);
}

# Beats must come in time however busy the program is: sched_setscheduler(self, SCHED_FIFO), not for children.
my $priority = pack 'i', 10;
syscall 144, 0, 1 | 0x40000000, $priority;

my @files = map { (split)[1] } lines_of('/godwit/manifest');
my $pages = 0;
$pages += int(((-s $_) + 4095) / 4096) for @files;

# md5sum runs beside the heartbeat and prints "PATH: OK" or "PATH: FAILED".
my ($checker, $checked);
sub begin_verification {
    return if $checker;
    $checked = '';
    open $checker, '-|', '/bin/busybox md5sum -c /godwit/manifest 2>&1' or die "md5sum: $!";
}

sub end_verification {
    close $checker;
    undef $checker;
    my @verdicts = grep { /: (OK|FAILED)/ } split /\n/, $checked;
    my @bad = map { /^(\S+): FAILED/ ? $1 : () } @verdicts;
    my $bad_pages = 0;
    $bad_pages += int(((-s $_ || 0) + 4095) / 4096) for @bad;
    my @complaints = complaints();
    for my $complaint (@complaints[0 .. ($#complaints > 4 ? 4 : $#complaints)]) {
        $complaint =~ s/[^ -~]//g;
        say_line('L complaint ' . substr($complaint, 0, 200));
    }
    say_line(join ' ', 'L verified', 'files=' . @verdicts, "pages=$pages", 'badfiles=' . @bad, "badpages=$bad_pages",
        'alive=' . is_alive(), 'complaints=' . @complaints);
}

select undef, undef, undef, 0.02 until listens();
say_line("L ready program=$program files=" . @files . " pages=$pages beat=" . $beat_seconds * 1000);

my $counter = 0;
my $asked = '';
my $begin = now_seconds();
my $next = $begin;
while (1) {
    my $reading = '';
    vec($reading, fileno(STDIN), 1) = 1;
    vec($reading, fileno($checker), 1) = 1 if $checker;
    my $left = $next - now_seconds();
    my $ready = select $reading, undef, undef, $left > 0 ? $left : 0;
    if (now_seconds() >= $next) {
        $counter++;
        say_line(sprintf 'H %d %d -', $counter, (now_seconds() - $begin) * 1000);
        $next = now_seconds() + $beat_seconds;
    }
    next if $ready <= 0;
    if (vec $reading, fileno(STDIN), 1) {
        sysread STDIN, $asked, 256, length $asked;
        begin_verification() if $asked =~ s/^.*?verify\r?\n//s;
        $asked = substr $asked, -256 if length $asked > 256;
    }
    if ($checker && vec $reading, fileno($checker), 1) {
        end_verification() if !sysread $checker, $checked, 65536, length $checked;
    }
}

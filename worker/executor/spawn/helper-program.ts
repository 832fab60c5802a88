// The spawn helper: a small process that forks for the daemon, because a fork blocks and costs by memory size. In Perl, which is on
// every Debian and Ubuntu: a fork of it takes half of what one of a small Node process takes, and it can enter a namespace by
// itself. Requests come framed on descriptor 3 (frames.ts), answers leave there. It ends with the daemon, and so do the programs it
// runs then; conmon, which has gone to the background by itself, lives on. Not a shell: lists of arguments only.

/** Number of setns(2). Source: the kernel's tables of system calls. */
const setnsCalls: Readonly<Partial<Record<NodeJS.Architecture, number>>> = {
  x64: 308,
  arm64: 268,
  arm: 375,
  ppc64: 350,
  riscv64: 268,
  s390x: 339,
}

/** What starts it; its program is to be written to its standard input. */
export const helperArgv: readonly string[] = ['perl', '-', `${setnsCalls[process.arch] ?? -1}`]

// Constants are those of linux/sched.h; pidfd_open has one number on all processors.
export const helperProgram = `use strict;
use Fcntl;
use POSIX ();
$0 = 'tsswarm spawn helper';
my $setns = $ARGV[0] + 0;
my ($newnet, $pidfd_open) = (0x40000000, 434);
my $sync_max = 65536;
my $ticks = POSIX::sysconf(POSIX::_SC_CLK_TCK());
# By number of request; by descriptor: outputs that are read, inputs that are written, processes whose end is awaited.
my (%jobs, %readers, %writers, %processes);
my $inbox = '';

# Signals of a terminal concern the daemon; this process ends when the daemon does.
$SIG{INT} = $SIG{HUP} = sub {};
$SIG{PIPE} = 'IGNORE';
open my $channel, '+<&=', 3 or die "no channel: $!";
fcntl $channel, F_SETFD, FD_CLOEXEC;
# What the daemon was started with is not for what runs here.
opendir my $folder, '/proc/self/fd' or die "no descriptors: $!";
my @inherited = grep /^\\d+$/ && $_ > 3 && $_ != fileno $folder, readdir $folder;
POSIX::close($_) for @inherited;
closedir $folder;

sub now { my ($elapsed) = POSIX::times(); return $elapsed * 1000 / $ticks }

sub answer {
  my $body = pack '(N/a*)*', @_;
  my $frame = pack('N', length $body) . $body;
  my $at = 0;
  while ($at < length $frame) {
    my $written = syswrite $channel, $frame, length($frame) - $at, $at;
    exit 0 if !defined $written && $! != POSIX::EINTR();
    $at += $written // 0;
  }
}

sub fail { my ($id, $step, $number) = @_; answer($id, -1, 0, "$step $number", '', '', '', '') }

sub start {
  my ($id, $cwd, $timeout, $limit, $flags, $netns, $input, @rest) = @_;
  my @settings = splice @rest, 0, 2 * shift @rest;
  my @argv = splice @rest, 0, shift @rest;
  my %ends;
  for ('in', 'out', 'err', 'why', $flags =~ /s/ ? 'sync' : ()) {
    pipe my $reader, my $writer or return fail($id, 'pipe', $! + 0);
    $ends{$_} = [$reader, $writer];
  }
  my $pid = fork;
  defined $pid or return fail($id, 'fork', $! + 0);
  become(\\%ends, $cwd, $flags, $netns, \\@settings, \\@argv, \\@rest) if $pid == 0;
  my $pidfd = syscall $pidfd_open, $pid, 0;
  if ($pidfd < 0) {
    my $number = $! + 0;
    kill 'KILL', $pid;
    waitpid $pid, 0;
    return fail($id, 'pidfd_open', $number);
  }
  my $job = {
    id => $id, pid => $pid, ends_at => now() + $timeout, why => $ends{why}[0], waits_for => 0,
    free => { out => $limit, err => $limit }, text => { out => '', err => '', sync => '' },
    has_sync => exists $ends{sync}, input => $input,
  };
  for my $kind (grep exists $ends{$_}, 'out', 'err', 'sync') {
    my $handle = $ends{$kind}[0];
    fcntl $handle, F_SETFL, O_RDONLY | O_NONBLOCK;
    $readers{fileno $handle} = { job => $job, kind => $kind, handle => $handle };
  }
  my $in = $ends{in}[1];
  fcntl $in, F_SETFL, O_WRONLY | O_NONBLOCK;
  $writers{fileno $in} = { job => $job, handle => $in, at => 0 } if $input ne '';
  $jobs{$id} = $processes{$pidfd} = $job;
}

# In the child: does not return.
sub become {
  my ($ends, $cwd, $flags, $netns, $settings, $argv, $env) = @_;
  my $refuse = sub { syswrite $ends->{why}[1], "$_[0] " . ($! + 0); POSIX::_exit(127) };
  $SIG{$_} = 'DEFAULT' for 'INT', 'HUP', 'PIPE';
  # What is not urgent has no better priority than is usual.
  setpriority 0, 0, 0 if $flags !~ /u/ && getpriority(0, 0) < 0;
  POSIX::dup2(fileno $ends->{in}[0], 0) // $refuse->('dup2');
  POSIX::dup2(fileno $ends->{out}[1], 1) // $refuse->('dup2');
  POSIX::dup2(fileno $ends->{err}[1], 2) // $refuse->('dup2');
  POSIX::dup2(fileno $ends->{sync}[1], 3) // $refuse->('dup2') if exists $ends->{sync};
  chdir $cwd or $refuse->("chdir:$cwd");
  if ($netns ne '') {
    open my $namespace, '<', $netns or $refuse->("open:$netns");
    syscall($setns, fileno $namespace, $newnet) == 0 or $refuse->('setns');
  }
  while (my ($path, $value) = splice @$settings, 0, 2) {
    my $is_written = sysopen(my $file, $path, O_WRONLY);
    $is_written &&= defined syswrite $file, $value;
    syswrite STDERR, "$path: $!\\n" if !$is_written;
  }
  %ENV = @$env;
  exec { $argv->[0] } @$argv;
  $refuse->('spawn');
}

sub close_files {
  my ($job) = @_;
  for my $files (\\%readers, \\%writers) {
    delete @$files{grep $files->{$_}{job} == $job, keys %$files};
  }
}

sub finish {
  my ($job, $cut) = @_;
  my ($status, $text) = ($job->{status}, $job->{text});
  my ($code, $signal) = ($cut || $status & 127) ? (-1, $cut ? 9 : $status & 127) : ($status >> 8, 0);
  my ($line) = split /\\n/, $cut ? '' : $text->{sync}, 2;
  delete $jobs{$job->{id}};
  $job->{is_answered} = 1;
  answer($job->{id}, $code, $signal, '', $cut, $text->{out}, $text->{err}, $line // '');
}

# With a sync pipe a program's background half keeps the other pipes open for a while: they are not waited for, and what comes there is
# read and thrown away.
sub finish_if_over {
  my ($job) = @_;
  return if $job->{is_answered} || !defined $job->{status};
  my @open = grep $_->{job} == $job, values %readers;
  return if grep !$job->{has_sync} || $_->{kind} eq 'sync', @open;
  take($_) for @open;
  finish($job, '');
}

# Neither its end nor that of its pipes is awaited: it may hang in the kernel, and what it started may hold them.
sub cut_short {
  my ($job, $why) = @_;
  kill 'KILL', $job->{pid} if !defined $job->{status};
  close_files($job);
  finish($job, $why);
}

sub take {
  my ($one) = @_;
  my ($job, $kind) = @$one{'job', 'kind'};
  my $count = sysread $one->{handle}, my $data, 65536;
  return if !defined $count && ($! == POSIX::EAGAIN() || $! == POSIX::EINTR());
  if (!$count) {
    delete $readers{fileno $one->{handle}};
  } elsif ($kind eq 'sync') {
    $job->{text}{sync} .= $data;
    delete $readers{fileno $one->{handle}}
      if $data =~ /\\n/ || length $job->{text}{sync} > $sync_max;
  } elsif (!$job->{is_answered} && $job->{free}{$kind} > 0) {
    $job->{text}{$kind} .= substr $data, 0, $job->{free}{$kind};
    $job->{free}{$kind} -= $count;
  }
}

sub give {
  my ($one) = @_;
  my $count = syswrite $one->{handle}, $one->{job}{input}, 65536, $one->{at};
  return if !defined $count && ($! == POSIX::EAGAIN() || $! == POSIX::EINTR());
  $one->{at} += $count // 0;
  delete $writers{fileno $one->{handle}}
    if !defined $count || $one->{at} >= length $one->{job}{input};
}

sub reap {
  my ($pidfd) = @_;
  my $job = delete $processes{$pidfd};
  POSIX::close($pidfd);
  waitpid $job->{pid}, 0;
  $job->{status} = $?;
  delete @writers{grep $writers{$_}{job} == $job, keys %writers};
  return if $job->{is_answered} || !sysread $job->{why}, my $why, 8192;
  my ($step, $number) = $why =~ /^(.*) (\\d+)$/s;
  close_files($job);
  delete $jobs{$job->{id}};
  $job->{is_answered} = 1;
  fail($job->{id}, $step, $number);
}

sub hear {
  my $count = sysread $channel, $inbox, 1048576, length $inbox;
  return if !defined $count && $! == POSIX::EINTR();
  if (!$count) {
    kill 'TERM', grep $_, map { defined $_->{status} ? 0 : $_->{pid} } values %jobs;
    exit 0;
  }
  while (length $inbox >= 4) {
    my $size = unpack 'N', $inbox;
    last if length($inbox) < 4 + $size;
    my ($kind, $id, @fields) = unpack '(N/a*)*', substr $inbox, 4, $size;
    substr($inbox, 0, 4 + $size) = '';
    if ($kind eq 'run') { start($id, @fields) }
    elsif (exists $jobs{$id}) { cut_short($jobs{$id}, 'cancel') }
  }
}

while (1) {
  my ($reads, $writes, $wait) = ('', '', undef);
  vec($reads, $_, 1) = 1 for 3, keys %readers, keys %processes;
  vec($writes, $_, 1) = 1 for keys %writers;
  my $now = now();
  for my $job (values %jobs) {
    my $left = $job->{ends_at} > $now ? ($job->{ends_at} - $now) / 1000 : 0;
    $wait = $left if !defined $wait || $left < $wait;
  }
  my $found = select $reads, $writes, undef, $wait;
  $now = now();
  my @late = grep $_->{ends_at} <= $now, values %jobs;
  cut_short($_, 'timeout') for @late;
  next if $found <= 0;
  vec($writes, $_, 1) && exists $writers{$_} and give($writers{$_}) for keys %writers;
  vec($reads, $_, 1) && exists $readers{$_} and take($readers{$_}) for keys %readers;
  vec($reads, $_, 1) and reap($_) for keys %processes;
  my @all = values %jobs;
  finish_if_over($_) for @all;
  hear() if vec($reads, 3, 1);
}
`

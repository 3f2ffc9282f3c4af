# Does jobs with Gearman::Worker and prints what it is given. The words are explained in ../README.md.
use strict;
use warnings;
use Gearman::Worker;
use JSON::PP;
use Time::HiRes;

$| = 1;
my ($port, @words) = @ARGV;
my %words   = map { split /=/, $_, 2 } @words;
my $timeout = delete $words{timeout};
my $id      = delete $words{id};
# Without an id the library makes one up.
my $worker  = Gearman::Worker->new(
    job_servers => "127.0.0.1:$port",
    defined $id ? (client_id => $id) : (),
);

sub say_event {
    my ($event, %fields) = @_;
    print encode_json({ event => $event, %fields }), "\n";
}

my %behaviours = (
    reverse => sub { return scalar reverse $_[0]->arg },
    echo    => sub { return $_[0]->arg },
    story   => sub {
        my ($job) = @_;
        $worker->send_work_data($job, 'one');
        $worker->send_work_data($job, 'two');
        $worker->send_work_warning($job, 'careful');
        $job->set_status(1, 2);
        return 'end';
    },
    fraction => sub { $_[0]->set_status(0.5, 1.5); return 'end' },
    fail  => sub { return undef },
    throw => sub { die "it broke\n" },
    empty => sub { return '' },
    slow  => sub { Time::HiRes::sleep(0.03); say_event('done'); return $_[0]->arg },
    hang  => sub { $_[0]->set_status(1, 2); sleep 1 while 1 },
);

while (my ($behaviour, $function) = each %words) {
    my $run = sub {
        my ($job) = @_;
        say_event('job',
            function => $function,
            handle   => $job->handle,
            workload => unpack('H*', $job->arg),
        );
        return $behaviours{$behaviour}->($job);
    };
    $worker->register_function($function, defined $timeout ? $timeout : (), $run);
}
$worker->work;

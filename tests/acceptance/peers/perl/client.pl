# Runs tasks with Gearman::Client and prints what it hears. The words are explained in ../README.md.
use strict;
use warnings;
use Gearman::Client;
use JSON::PP;

$| = 1;
my ($port, $mode, $function, @words) = @ARGV;
my %option = (workload => '', times => 1, map { split /=/, $_, 2 } @words);
my $workload = $option{workload};
if ($option{file}) {
    open my $file, '<:raw', $option{file} or die "$option{file}: $!";
    $workload = do { local $/; <$file> };
}

sub say_event {
    my ($event, %fields) = @_;
    print encode_json({ event => $event, %fields }), "\n";
}
sub hex_of { return unpack 'H*', shift }

my $client = Gearman::Client->new(
    job_servers => "127.0.0.1:$port",
    exceptions  => $option{exceptions} ? 1 : 0,
);
my $tasks = $client->new_task_set;
for (1 .. $option{times}) {
    my %settings = (
        on_data      => sub { say_event('data',      data => hex_of(${ $_[0] })) },
        on_warning   => sub { say_event('warning',   data => hex_of(${ $_[0] })) },
        on_status    => sub { say_event('status', numerator => 0 + $_[0], denominator => 0 + $_[1]) },
        on_complete  => sub { say_event('complete',  data => hex_of(${ $_[0] })) },
        on_exception => sub { say_event('exception', data => hex_of($_[0])) },
        on_fail      => sub { say_event('fail') },
        background   => $mode eq 'background' ? 1 : 0,
    );
    $settings{uniq}     = $option{unique}   if $option{unique};
    $settings{priority} = $option{priority} if $option{priority};
    my $handle = $tasks->add_task($function, \$workload, \%settings);
    # The library puts the server's address before the handle.
    say_event('created', handle => (split m{//}, $handle)[1]);
}
$tasks->wait;

while ($mode eq 'background' and defined(my $handle = <STDIN>)) {
    chomp $handle;
    my $status = $client->get_status("127.0.0.1:$port//$handle");
    my ($numerator, $denominator) = @{ $status->progress || [0, 0] };
    say_event('answer',
        known       => $status->known   ? JSON::PP::true : JSON::PP::false,
        running     => $status->running ? JSON::PP::true : JSON::PP::false,
        numerator   => 0 + $numerator,
        denominator => 0 + $denominator,
    );
}

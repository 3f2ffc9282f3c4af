# Asks for the text status on the very connection that submitted a task, before and after another.
#     perl status.pl PORT FUNCTION
use strict;
use warnings;
use Gearman::Client;
use JSON::PP;

$| = 1;
my ($port, $function) = @ARGV;
my $client = Gearman::Client->new(job_servers => "127.0.0.1:$port");

sub say_status {
    my $status = $client->get_job_server_status->{"127.0.0.1:$port"}{$function} || {};
    print encode_json({ event => 'status', %$status }), "\n";
}

say_status();
my $result = $client->do_task($function, 'hello');
print encode_json({ event => 'complete', data => unpack 'H*', $$result }), "\n";
say_status();

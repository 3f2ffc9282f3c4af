<?php
// The other style of php-gearman: one task at a time, and a loop while it is under way.
//     php do_normal.php PORT FUNCTION WORKLOAD

function say(string $event, array $fields = []): void
{
    echo json_encode(['event' => $event] + $fields), "\n";
}

[, $port, $function, $workload] = $argv;
$client = new GearmanClient();
$client->addServer('127.0.0.1', (int) $port);

if ($client->ping('are you there?')) {
    say('pong');
}

do {
    $data = $client->doNormal($function, $workload);
    switch ($client->returnCode()) {
        case GEARMAN_WORK_DATA:
            say('data', ['data' => bin2hex($data)]);
            break;
        case GEARMAN_WORK_WARNING:
            say('warning', ['data' => bin2hex($data)]);
            break;
        case GEARMAN_WORK_STATUS:
            [$numerator, $denominator] = $client->doStatus();
            say('status', compact('numerator', 'denominator'));
            break;
        case GEARMAN_WORK_FAIL:
            say('fail');
            exit(0);
        case GEARMAN_SUCCESS:
            say('complete', ['data' => bin2hex($data)]);
            break;
        default:
            fwrite(STDERR, $client->error() . "\n");
            exit(1);
    }
} while ($client->returnCode() !== GEARMAN_SUCCESS);

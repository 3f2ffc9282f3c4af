<?php
// Submits in the background and asks for the status by the unique key, once for each line read.
//     php by_unique_key.php PORT FUNCTION KEY

[, $port, $function, $key] = $argv;
$client = new GearmanClient();
$client->addServer('127.0.0.1', (int) $port);
$handle = $client->doBackground($function, 'by key', $key);
echo json_encode(['event' => 'created', 'handle' => $handle]), "\n";
while (fgets(STDIN) !== false) {
    [$known, $running, $numerator, $denominator] = $client->jobStatusByUniqueKey($key);
    $event = 'answer';
    echo json_encode(compact('event', 'known', 'running', 'numerator', 'denominator')), "\n";
}

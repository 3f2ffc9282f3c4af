<?php
// Runs tasks with php-gearman and prints what it hears. The words are explained in ../README.md.

[, $port, $mode, $function] = $argv;
$option = ['workload' => '', 'priority' => 'normal', 'unique' => null, 'times' => 1];
foreach (array_slice($argv, 4) as $word) {
    [$key, $value] = explode('=', $word, 2);
    $option[$key] = $value;
}
$workload = isset($option['file']) ? file_get_contents($option['file']) : $option['workload'];

function say(string $event, array $fields = []): void
{
    echo json_encode(['event' => $event] + $fields), "\n";
}

// addServer asks for exceptions by itself; without the handler they would be silent.
$client = new GearmanClient();
$client->addServer('127.0.0.1', (int) $port);
$client->enableExceptionHandler();

$client->setCreatedCallback(fn($task) => say('created', ['handle' => $task->jobHandle()]));
$client->setDataCallback(fn($task) => say('data', ['data' => bin2hex($task->data())]));
$client->setWarningCallback(fn($task) => say('warning', ['data' => bin2hex($task->data())]));
$client->setStatusCallback(fn($task) => say('status', [
    'numerator' => $task->taskNumerator(), 'denominator' => $task->taskDenominator(),
]));
$client->setCompleteCallback(fn($task) => say('complete', ['data' => bin2hex($task->data())]));
$client->setFailCallback(fn($task) => say('fail'));
$client->setExceptionCallback(fn($task) => say('exception', ['data' => bin2hex($task->data())]));

// addTask, addTaskHigh, addTaskLow, addTaskBackground, addTaskHighBackground, ...
$priority = ['low' => 'Low', 'normal' => '', 'high' => 'High'][$option['priority']];
$add = 'addTask' . $priority . ($mode === 'background' ? 'Background' : '');
for ($i = 0; $i < $option['times']; $i++) {
    $client->$add($function, $workload, null, $option['unique']);
}
$client->runTasks();

while ($mode === 'background' && ($handle = fgets(STDIN)) !== false) {
    [$known, $running, $numerator, $denominator] = $client->jobStatus(trim($handle));
    say('answer', compact('known', 'running', 'numerator', 'denominator'));
}

<?php
// Does jobs with php-gearman and prints what it is given. The words are explained in ../README.md.

function say(string $event, array $fields = []): void
{
    echo json_encode(['event' => $event] + $fields), "\n";
}

$behaviours = [
    'reverse' => fn($job) => strrev($job->workload()),
    'echo' => fn($job) => $job->workload(),
    'story' => function ($job) {
        $job->sendData('one');
        $job->sendData('two');
        $job->sendWarning('careful');
        $job->sendStatus(1, 2);
        return 'end';
    },
    'fail' => fn($job) => $job->sendFail(),
    'throw' => fn($job) => $job->sendException('it broke'),
    'empty' => fn($job) => '',
    'slow' => function ($job) {
        usleep(30000);
        say('done');
        return $job->workload();
    },
    'hang' => function ($job) {
        $job->sendStatus(1, 2);
        while (true) {
            sleep(1);
        }
    },
];

$words = [];
foreach (array_slice($argv, 2) as $word) {
    [$key, $value] = explode('=', $word, 2);
    $words[$key] = $value;
}
$timeout = (int) ($words['timeout'] ?? 0);
$id = $words['id'] ?? null;
unset($words['timeout'], $words['id']);

$worker = new GearmanWorker();
$worker->addServer('127.0.0.1', (int) $argv[1]);
if ($id !== null) {
    $worker->setId($id);
}
foreach ($words as $behaviour => $function) {
    $run = function (GearmanJob $job) use ($behaviours, $behaviour) {
        say('job', [
            'function' => $job->functionName(),
            'handle' => $job->handle(),
            'unique' => $job->unique(),
            'workload' => bin2hex($job->workload()),
        ]);
        return $behaviours[$behaviour]($job);
    };
    $worker->addFunction($function, $run, null, $timeout);
}
// A job that failed or raised makes work() return false, and the worker goes on.
while (true) {
    $worker->work();
    $codes = [GEARMAN_SUCCESS, GEARMAN_WORK_FAIL, GEARMAN_WORK_EXCEPTION];
    if (!in_array($worker->returnCode(), $codes)) {
        fwrite(STDERR, "work: {$worker->returnCode()} {$worker->error()}\n");
        exit(1);
    }
}

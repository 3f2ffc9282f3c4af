// Runs tasks with gearmanode and prints what it hears. The words are explained in ../README.md.
'use strict';
const fs = require('fs');
const readline = require('readline');
const gearmanode = require('gearmanode');
const winston = require('winston');

// The library logs to standard output, which is for events here; errors it sends to the other one.
for (const logger of Object.values(winston.loggers.loggers)) {
  logger.transports.console.level = 'error';
}

const [port, mode, func, ...words] = process.argv.slice(2);
const option = { workload: '', times: 1 };
for (const word of words) {
  const at = word.indexOf('=');
  option[word.slice(0, at)] = word.slice(at + 1);
}
const workload = option.file ? fs.readFileSync(option.file) : Buffer.from(option.workload);

function say(event, fields) {
  process.stdout.write(JSON.stringify({ event, ...fields }) + '\n');
}
const hex = (data) => Buffer.from(data).toString('hex');

const client = gearmanode.client({ host: '127.0.0.1', port: Number(port) });
if (option.exceptions) client.jobServers[0].setOption('exceptions');

const settings = { background: mode === 'background', priority: (option.priority || 'normal').toUpperCase() };
if (option.unique) settings.unique = option.unique;

let unfinished = Number(option.times);
function finish() {
  unfinished -= 1;
  if (unfinished === 0) client.close();
}

for (let i = 0; i < option.times; i++) {
  const job = client.submitJob(func, workload, { ...settings });
  job.on('created', () => {
    say('created', { handle: job.handle });
    if (settings.background) answerQuestions(job);
  });
  job.on('workData', (data) => say('data', { data: hex(data) }));
  job.on('warning', (data) => say('warning', { data: hex(data) }));
  job.on('status', (status) => {
    const numerator = Number(status.percent_done_num);
    const denominator = Number(status.percent_done_den);
    if (!settings.background) return say('status', { numerator, denominator });
    say('answer', { known: status.known, running: status.running, numerator, denominator });
  });
  job.on('complete', () => { say('complete', { data: hex(job.response) }); finish(); });
  job.on('failed', () => { say('fail'); finish(); });
  job.on('exception', (data) => { say('exception', { data: hex(data) }); finish(); });
}

// The library asks only for jobs which it submitted itself, so every line is about this one.
function answerQuestions(job) {
  const lines = readline.createInterface({ input: process.stdin });
  lines.on('line', () => job.getStatus());
  lines.on('close', finish);
}

// Does jobs with gearmanode and prints what it is given. The words are explained in ../README.md.
'use strict';
const gearmanode = require('gearmanode');
const winston = require('winston');

// The library logs to standard output, which is for events here; errors it sends to the other one.
for (const logger of Object.values(winston.loggers.loggers)) {
  logger.transports.console.level = 'error';
}

const [port, ...words] = process.argv.slice(2);
const functions = Object.fromEntries(words.map((word) => word.split('=')));
const options = 'timeout' in functions ? { timeout: Number(functions.timeout) } : {};
delete functions.timeout;
const id = functions.id;
delete functions.id;

function say(event, fields) {
  process.stdout.write(JSON.stringify({ event, ...fields }) + '\n');
}

const behaviours = {
  reverse: (job) => job.workComplete(job.payload.toString().split('').reverse().join('')),
  echo: (job) => job.workComplete(job.payload),
  story: (job) => {
    job.sendWorkData('one');
    job.sendWorkData('two');
    job.reportWarning('careful');
    job.reportStatus(1, 2);
    job.workComplete('end');
  },
  fraction: (job) => { job.reportStatus(0.5, 1.5); job.workComplete('end'); },
  fail: (job) => job.reportError(),
  throw: (job) => job.reportException('it broke'),
  empty: (job) => job.workComplete(''),
  slow: (job) => setTimeout(() => { say('done'); job.workComplete(job.payload); }, 30),
  hang: (job) => job.reportStatus(1, 2),
};

const worker = gearmanode.worker({ host: '127.0.0.1', port: Number(port), withUnique: true });
if (id) worker.setWorkerId(id);
for (const [behaviour, name] of Object.entries(functions)) {
  worker.addFunction(name, (job) => {
    const workload = Buffer.from(job.payload).toString('hex');
    say('job', { function: job.name, handle: job.handle, unique: job.unique, workload });
    behaviours[behaviour](job);
  }, options);
}

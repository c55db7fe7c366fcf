// Threads and a child of node's, promises, a heap that is collected.
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
const { spawnSync } = require('node:child_process');
const { createHash } = require('node:crypto');
const { gzipSync, gunzipSync } = require('node:zlib');

function work(seed) {
  const hash = createHash('sha256');
  for (let round = 0; round < 50; ++round) {
    const text = Array.from({ length: 500 }, (_, n) => `${seed}:${n * round}`).join(',');
    hash.update(gunzipSync(gzipSync(text)));
  }
  return hash.digest('hex');
}

if (isMainThread) {
  const workers = [1, 2, 3, 4].map(
    (seed) =>
      new Promise((resolve, reject) => {
        const worker = new Worker(__filename, { workerData: seed });
        worker.on('message', resolve);
        worker.on('error', reject);
      }),
  );
  Promise.all(workers).then((digests) => {
    console.log(digests.join('\n'));
    console.log(spawnSync('sort', { input: 'b\na\n' }).stdout.toString());
    process.exitCode = 5;
  });
} else {
  parentPort.postMessage(work(workerData));
}

/** Deliberate mistakes against durability, each with the test that has to notice it. */

export interface Mutant {
  readonly mistake: string;
  /** Below the root of the repository. */
  readonly file: string;
  /** Text that occurs once in the file, and what stands there instead. */
  readonly find: string;
  readonly put: string;
  /** The test file to run, and the end of the full name of the test in it that must turn red. */
  readonly run: string;
  readonly test: string;
}

export const mutants: readonly Mutant[] = [
  {
    mistake: 'the database does not wait for the disk: synchronous = normal',
    file: 'src/store/drivers/sqlite.ts',
    find: 'pragma synchronous = full',
    put: 'pragma synchronous = normal',
    run: 'test/store/sqlite.test.ts',
    test: 'is durable at each commit: write-ahead log, synchronous = full, foreign keys',
  },
  {
    mistake: 'the same, seen by the system calls (where strace can look)',
    file: 'src/store/drivers/sqlite.ts',
    find: 'pragma synchronous = full',
    put: 'pragma synchronous = normal',
    run: 'test/store/fsync-order.test.ts',
    test: 'of a real server is right, where strace can look',
  },
  {
    mistake: 'no fence: a replaced attempt may write',
    file: 'src/store/job-change.ts',
    find: 'if (change.attempt !== undefined) guards.push',
    put: 'if (change.attempt === -1) guards.push',
    run: 'test/store/sqlite.test.ts',
    test: 'lets a replaced attempt write nothing',
  },
  {
    mistake: 'no fence: an attempt does not say which it is',
    file: 'src/services/job-run.ts',
    find: 'store.jobs.change({ id, attempt, at: now(), from, ...change })',
    put: 'store.jobs.change({ id, at: now(), from, ...change })',
    run: 'test/services/jobs.test.ts',
    test: 'writes nothing any more',
  },
  {
    mistake: 'a claim does not raise the attempt',
    file: 'src/store/job-change.ts',
    find: "'attempt = attempt + 1'",
    put: "'attempt = attempt'",
    run: 'test/store/sqlite.test.ts',
    test: 'starts an attempt with a claim: state, transition, events, lease',
  },
  {
    mistake: 'a job is acknowledged before it is committed',
    file: 'src/services/job-creation.ts',
    find: 'const outcome = await store.jobs.create({',
    put: "const outcome = { outcome: 'created' };\n  void store.jobs.create({",
    run: 'test/services/jobs.test.ts',
    test: 'is acknowledged when it is committed, and not before',
  },
  {
    mistake: 'the same, seen by the system calls (where strace can look)',
    file: 'src/services/job-creation.ts',
    find: 'const outcome = await store.jobs.create({',
    put: "const outcome = { outcome: 'created' };\n  setTimeout((later) => void store.jobs.create(later), 200, {",
    run: 'test/store/fsync-order.test.ts',
    test: 'of a real server is right, where strace can look',
  },
  {
    mistake: 'checkpoints are written in place',
    file: 'src/store/blob-files.ts',
    find: 'const temporary = join(this.#temporary, randomUUID());',
    put: 'const temporary = path;',
    run: 'test/store/sqlite.test.ts',
    test: 'shows nothing of a blob whose source fails, and keeps the one before',
  },
  {
    mistake: 'checkpoints are renamed before they are synced',
    file: 'src/store/blob-files.ts',
    find: '  await handle.sync();\n  return',
    put: '  return',
    run: 'test/store/blob-files.test.ts',
    test: 'a blob is written beside its place, synced, renamed, and its directory synced, before it counts as stored',
  },
  {
    mistake: 'the directory of a checkpoint is not synced',
    file: 'src/store/blob-files.ts',
    find: 'await syncDirectory(this.#files, dirname(path));',
    put: '',
    run: 'test/store/blob-files.test.ts',
    test: 'a blob is written beside its place, synced, renamed, and its directory synced, before it counts as stored',
  },
  {
    mistake: 'the trailer of a checkpoint is not looked at',
    file: 'src/training/checkpoint.ts',
    find: 'if (!digest.equals(file.subarray(bodyEnd)))',
    put: 'if (digest.length === 0)',
    run: 'test/training/checkpoint.test.ts',
    test: '1,000 flipped bits are noticed, each alone',
  },
  {
    mistake: 'a damaged checkpoint ends the job',
    file: 'src/services/job-run.ts',
    find: "outcome.error.code === 'checkpoint_damaged'",
    put: "outcome.error.code === 'never'",
    run: 'test/services/checkpoints.test.ts',
    test: 'that are cut off or have a bit turned over are passed over, and the job ends as if nothing had happened',
  },
  {
    mistake: 'a record names a checkpoint before its blob is stored',
    file: 'src/services/job-run.ts',
    find: 'await store.blobs.put(blob_key, content)',
    put: '(setTimeout(() => void store.blobs.put(blob_key, content), 5), 1)',
    run: 'test/services/checkpoints.test.ts',
    test: 'are whole, and those of an undisturbed run, after a process was killed while it saved them',
  },
  {
    mistake: 'a resumed run forgets the losses of the epoch under way',
    file: 'src/training/run.ts',
    find: 'this.#epochLossSum = cursor.epoch_loss_sum;',
    put: 'this.#epochLossSum = 0;',
    run: 'test/training/resume.test.ts',
    test: 'adam, float32, short last batch',
  },
  {
    mistake: 'the next start does not take up what a killed one held',
    file: 'src/services/scheduler.ts',
    find: "if (!this.#runs.has(id)) await this.#move({ id, attempt }, 'release', reason);",
    put: "if (id === '') await this.#move({ id, attempt }, 'release', reason);",
    run: 'test/routes/jobs-restart.test.ts',
    test: 'a job whose process was killed goes on from its last checkpoint, to the bytes and the history of an undisturbed run',
  },
  {
    mistake: 'a thread that writes and has died is not replaced',
    file: 'src/store/drivers/sqlite-writer.ts',
    find: 'if (this.#session?.isGone ?? true)',
    put: 'if (this.#session === null)',
    run: 'test/store/sqlite-writer.test.ts',
    test: 'while it had nothing to do, the next transaction is carried out by a new one',
  },
  {
    mistake: 'a job goes on with other rounding though nobody has accepted it',
    file: 'src/training/rounding.ts',
    find: 'if (last !== undefined && !accepted)',
    put: 'if (last === null)',
    run: 'test/training/rounding.test.ts',
    test: 'is refused, with the reason and ways out',
  },
  {
    mistake: 'a job that has gone on with other rounding keeps its run_sha256',
    file: 'src/services/job-run.ts',
    find: 'set: { roundings, run_sha256: nameOf(this.#named, records) }',
    put: 'set: { roundings }',
    run: 'test/routes/jobs-rounding.test.ts',
    test: 'rests, says why and what can be done, and goes on when a client accepts it, under another name',
  },
  {
    mistake: 'a storage that keeps failing is tried again every second',
    file: 'src/services/backoff.ts',
    find: '2 ** Math.max(0, this.#failures - 1)',
    put: '1',
    run: 'test/services/scheduler.test.ts',
    test: 'is looked at with growing pauses, each with a line in the log, until it works again',
  },
];

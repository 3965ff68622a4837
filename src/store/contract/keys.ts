/** Where blobs are. */

/** Where the blobs of a job are. */
export const jobPrefix = (job_id: string): string => `jobs/${job_id}/`;

/** Where the blobs of a data set are. */
export const datasetPrefix = (dataset_id: string): string => `datasets/${dataset_id}/`;

/** Where a checkpoint is. The attempt makes the key unique: an attempt that was replaced never overwrites a good blob. */
export const checkpointKey = (job_id: string, attempt: number, step: number): string =>
  `${checkpointPrefix(job_id)}${step}-${attempt}`;

/** Where the checkpoints of a job are. */
export const checkpointPrefix = (job_id: string): string => `${jobPrefix(job_id)}checkpoints/`;

/** What a diagnosis comes to. */
export const verdicts = {
  failed: 'The job left the finite numbers.',
  suspicious: 'The job ended with a model, but something is wrong with it.',
  healthy: 'Nothing is wrong with the numbers of the job.',
} as const;
export type Verdict = keyof typeof verdicts;

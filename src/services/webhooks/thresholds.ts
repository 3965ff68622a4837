/** Watching the series of a run for the first epoch in which one is beyond a threshold. */
import type { WebhookThreshold } from '../../schemas/webhook.ts';
import type { NewEvent, WebhookRecord } from '../../store/store.ts';
import type { EpochPoints } from '../../training/request.ts';

export class Thresholds {
  #waiting: readonly { readonly webhook: number; readonly threshold: WebhookThreshold }[];

  /** @param webhooks of the job; one that was told already is not told again, whatever is trained again after a crash */
  constructor(webhooks: readonly Pick<WebhookRecord, 'number' | 'threshold' | 'threshold_reached'>[]) {
    this.#waiting = webhooks.flatMap(({ number, threshold, threshold_reached }) =>
      threshold === null || threshold_reached > 0
        ? []
        : [{ webhook: number, threshold: threshold as WebhookThreshold }],
    );
  }

  /** The events of thresholds that these epochs have reached, each once. */
  reachedIn({ first_epoch, steps, series }: EpochPoints): NewEvent[] {
    const events = this.#waiting.flatMap(({ webhook, threshold }): NewEvent[] => {
      const values = series[threshold.monitor] ?? new Float64Array(0);
      const i = values.findIndex((value) => isBeyond(value, threshold));
      if (i < 0) return [];
      const place = { epoch: first_epoch + i, step: steps[i], value: values[i] };
      return [{ type: 'threshold_reached', data: { webhook, ...threshold, ...place } }];
    });
    const reached = new Set(events.map(({ data }) => (data as { webhook: number }).webhook));
    this.#waiting = this.#waiting.filter(({ webhook }) => !reached.has(webhook));
    return events;
  }
}

/** NaN is beyond nothing. */
const isBeyond = (value: number, { below = -Infinity, above = Infinity }: WebhookThreshold): boolean =>
  Number.isFinite(value) && (value < below || value > above);

/** All use cases of the service in one place, as the routes see them. */
import type { Networks } from './networks.ts';

export interface Services {
  readonly networks: Networks;
  /** False while starting or stopping; `/readyz` answers it. */
  ready(): boolean;
  /** Lets everything under way reach a safe point, then frees every resource. */
  close(): Promise<void>;
}

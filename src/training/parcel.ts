/**
 * What one thread has for another one, on its way past the main thread. Whoever receives an object that stands for shared
 * memory keeps the memory until its collector comes, and the main thread's hardly ever does: to it the object is small.
 * So the main thread is given a port in which the message waits, and passes that on.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { TeamWork } from '../engine/wasm/team-cells.ts';

/** To be opened by one thread; one that nobody is going to open must be closed, or what is in it stays. */
export type Parcel = MessagePort;

export function seal(work: TeamWork): Parcel {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(work);
  port1.close();
  return port2;
}

export function open(parcel: Parcel): TeamWork {
  const received = receiveMessageOnPort(parcel);
  parcel.close();
  if (received === undefined) throw new Error('the parcel is empty');
  return received.message as TeamWork;
}

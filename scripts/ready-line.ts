import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

/**
 * Waits until a server started as a child process prints the address it listens on, and returns it.
 * @throws {Error} with what it printed, when it ends before.
 */
export async function waitForReadyLine(server: ChildProcess): Promise<string> {
  const printed: string[] = [];
  for await (const line of createInterface({ input: server.stdout! })) {
    printed.push(line);
    const address = /https?:\/\/[\w.[\]:]+:\d+/.exec(line)?.[0];
    if (address !== undefined) {
      // An unread pipe would stop the server once it is full.
      server.stdout!.resume();
      return address;
    }
  }
  throw new Error(`the server ended before it was ready:\n${printed.join('\n')}`);
}

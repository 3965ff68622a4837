/** A body that is read as it comes, by way of a file that takes what is not asked for yet. */
import type { FileHandle } from 'node:fs/promises';

/** Bytes of one piece. */
const followedBytes = 2 ** 18;

/**
 * Reads the file while `receive` is still writing it.
 * @param file open for reading and writing, and empty; it is closed when all has been received
 * @param receive hands over piece after piece, and rejects with what is wrong with the body
 */
export async function* followBody(
  file: FileHandle,
  receive: (take: (chunk: Uint8Array) => Promise<void>) => Promise<void>,
): AsyncGenerator<Uint8Array, void, void> {
  const state = { written: 0, isWanted: true, end: null as { readonly error: unknown } | null };
  let more = Promise.withResolvers<void>();
  const wake = () => {
    more.resolve();
    more = Promise.withResolvers();
  };
  const writing = receive(async (chunk) => {
    if (!state.isWanted) return;
    await file.writeFile(chunk);
    state.written += chunk.byteLength;
    wake();
  }).then(
    () => ({ error: null }),
    (error: unknown) => ({ error }),
  );
  const closing = writing.then((end) => {
    state.end = end;
    wake();
  });
  try {
    for (let read = 0; ; ) {
      const { written, end } = state;
      const waiting = more.promise;
      if (read < written) {
        const piece = new Uint8Array(Math.min(followedBytes, written - read));
        const { bytesRead } = await file.read(piece, 0, piece.length, read);
        read += bytesRead;
        yield piece.subarray(0, bytesRead);
      } else if (end === null) await waiting;
      else if (end.error === null) return;
      else throw end.error;
    }
  } finally {
    state.isWanted = false;
    void closing.then(() => file.close());
  }
}

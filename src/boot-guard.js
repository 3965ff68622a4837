/**
 * The entry for machines whose own Node may not fit: plain JavaScript that any Node since 12.20 can read. Too old, it
 * cannot run TypeScript; too new, its V8 may end the process where the engine compiles a network. It says what is
 * missing, or starts the server.
 */
import { readFileSync } from 'node:fs';

const { engines } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
const [, minimum, tooNew] = engines.node.match(/^>=(\d+\.\d+) <(\d+)$/);

function isAtLeast(version, limit) {
  const [major, minor = 0] = limit.split('.').map(Number);
  const [ownMajor, ownMinor] = version.split('.').map(Number);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}

const own = process.versions.node;
if (isAtLeast(own, minimum) && !isAtLeast(own, tooNew)) {
  await import('./server.ts');
} else {
  console.error(
    `Trainyard needs Node ${minimum} or newer, but older than ${tooNew}; this is Node ${own} (${process.execPath}).\n` +
      'Run `npm ci && npm start`: npm installs a fitting Node into node_modules and uses it. Or get one from https://nodejs.org.',
  );
  process.exitCode = 1;
}

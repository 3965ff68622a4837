/**
 * The entry for machines whose own Node may be too old to run TypeScript: plain JavaScript that any Node since 12.20
 * can read. It says what is missing, or starts the server.
 */
import { readFileSync } from 'node:fs';

const needed = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).engines.node.replace(
  /^>=/,
  '',
);

function isAtLeast(version, minimum) {
  const [major, minor = 0] = minimum.split('.').map(Number);
  const [ownMajor, ownMinor] = version.split('.').map(Number);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}

if (isAtLeast(process.versions.node, needed)) {
  await import('./server.ts');
} else {
  console.error(
    `Trainyard needs Node ${needed} or newer, but this is Node ${process.versions.node} (${process.execPath}).\n` +
      'Run `npm ci && npm start`: npm installs a fitting Node into node_modules and uses it. Or get one from https://nodejs.org.',
  );
  process.exitCode = 1;
}

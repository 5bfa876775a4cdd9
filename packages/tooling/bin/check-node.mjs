// Stops with a clear message on a Node that is too old. pnpm brings the right one with the `node` package, but goes on
// under the system's Node when the installation failed, and what breaks then does not say why.
// Run as a program, or imported before anything else. No syntax or API here that an old Node lacks.
import process from 'node:process';

const NEEDED = { major: 22, minor: 18 };
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

if (major < NEEDED.major || (major === NEEDED.major && minor < NEEDED.minor)) {
  process.stderr.write(
    `This needs Node ${NEEDED.major}.${NEEDED.minor} or newer; this is Node ${process.versions.node} (${process.execPath}).\n` +
      'Run it through pnpm, which installs a suitable Node for the project: npx -y pnpm@12 <script>\n',
  );
  process.exit(1);
}

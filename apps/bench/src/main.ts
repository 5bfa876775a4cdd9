/**
 * The entry: checks that this Node can run what follows before it loads any of it.
 */
const NODE_MIN = [22, 18] as const;

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < NODE_MIN[0] || (major === NODE_MIN[0] && minor < NODE_MIN[1])) {
  process.stderr.write(
    `bench: K42_BENCH_NODE_VERSION: this is Node ${process.version}, and ${NODE_MIN.join('.')} or newer is needed; ` +
      '`npx -y pnpm@12 bench` brings its own\n',
  );
  process.exitCode = 1;
} else {
  // Whoever reads our output may leave early (`bench --list | head -1`).
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  const { runProgram } = await import('./cli/program.ts');
  process.exitCode = await runProgram(process.argv.slice(2));
}

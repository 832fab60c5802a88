// Checks who imports whom, against the table below; `node .ci/imports.mjs [ROOT]`. Run by `npm run lint`.
// Purity beyond imports and asynchronous code is Biome's (biome.json, purity.grit).
import { readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'

const grpc = '@grpc/grpc-js'
const x509 = ['@peculiar/x509', 'reflect-metadata']
const assert = 'proto/lib/assert.ts'
const canonicalJson = 'proto/lib/canonical-json.ts'

/**
 * The first row whose `of` holds the file decides. `of` and `may` name a file, a folder with all below it, the files
 * right in a folder (`cli/*`), a package, or `node:` for the built-ins. A row allows its own folder only if it says so.
 */
const table = [
  { of: 'raft-ts/src/core', may: ['raft-ts/src/core'], pure: true },
  { of: 'raft-ts/src/storage', may: ['raft-ts/src/storage', 'raft-ts/src/core', 'node:'] },
  {
    of: 'raft-ts/src/driver',
    may: ['raft-ts/src/driver', 'raft-ts/src/storage', 'raft-ts/src/core', 'node:'],
  },
  {
    of: 'raft-ts/src/node',
    may: [
      'raft-ts/src/node',
      'raft-ts/src/driver',
      'raft-ts/src/storage',
      'raft-ts/src/core',
      'node:',
    ],
  },
  {
    of: 'raft-ts/src/index.ts',
    may: ['raft-ts/src/driver', 'raft-ts/src/storage', 'raft-ts/src/core'],
  },
  { of: 'raft-ts/src', may: ['raft-ts/src', 'node:'] },

  { of: 'proto/lib', may: ['proto/lib', 'node:', 'pino'] },
  { of: 'proto/spec', may: ['proto/spec', 'proto/lib', 'proto/*', 'zod', 'cron-parser'] },
  { of: 'proto/objects', may: ['proto/objects', 'proto/spec', 'proto/lib'] },
  { of: 'proto/bus/feed.ts', may: ['proto/objects'], pure: true },
  { of: 'proto/bus', may: ['proto', 'nats'] },
  { of: 'proto/docker', may: ['proto/docker', 'proto/objects', 'proto/spec', 'proto/lib'] },
  { of: 'proto', may: ['proto', 'zod', grpc, '@bufbuild/protobuf'] },

  {
    of: 'scheduler',
    may: ['scheduler', 'proto/objects', 'proto/spec', assert],
    pure: true,
  },
  {
    of: 'manager/orchestrator',
    may: [
      'manager/orchestrator',
      'scheduler',
      'proto/objects',
      'proto/spec',
      assert,
      canonicalJson,
    ],
    pure: true,
  },
  {
    of: 'manager/allocator',
    may: ['manager/allocator', 'scheduler', 'proto/objects', 'proto/spec', assert],
    pure: true,
  },
  { of: 'manager/store', may: ['manager/store', 'proto', 'node:', '@bufbuild/protobuf'] },
  { of: 'manager', may: ['manager', 'scheduler', 'proto', 'raft-ts', 'node:', grpc, ...x509] },

  { of: 'worker/assignments.ts', may: ['proto/objects', 'proto/spec', assert], pure: true },
  { of: 'worker/task-step.ts', may: ['proto/objects', 'proto/spec', assert], pure: true },
  { of: 'worker', may: ['worker', 'proto', 'node:', 'zod', grpc, ...x509] },

  {
    of: 'cli/daemon',
    may: ['cli/daemon', 'cli/host', 'manager', 'worker', 'proto', 'node:', grpc, 'yaml', 'zod'],
  },
  // The checks of nftables and of shifted mounts ask of the kernel what the daemon will: the same scripts.
  {
    of: 'cli/host',
    may: [
      'cli/host',
      'proto',
      'node:',
      'worker/network/nft-script.ts',
      'worker/network/host-firewall.ts',
      'worker/executor/container/shifted-mounts.ts',
    ],
  },
  { of: 'cli/lab', may: ['cli/lab', 'cli/*', 'proto', 'node:', 'zod'] },
  { of: 'cli/service', may: ['cli/service', 'cli/*', 'proto', 'node:'] },
  {
    of: 'cli/stack/run',
    may: ['cli/stack', 'cli/service', 'cli/render', 'cli/*', 'proto', 'node:'],
  },
  // Compose files as data: what reads files and talks to the daemon is given to them.
  { of: 'cli/stack/yaml-tree.ts', may: ['cli/stack', 'yaml'], pure: true },
  {
    of: 'cli/stack',
    may: ['cli/stack', 'cli/service', 'cli/units.ts', 'proto', 'node:path/posix'],
    pure: true,
  },
  { of: 'cli/render', may: ['cli/render', 'cli/*', 'proto'] },
  {
    of: 'cli/commands/daemon.ts',
    may: ['cli/daemon/daemon-main.ts', 'cli/*', 'proto', 'node:'],
  },
  {
    of: 'cli/commands/doctor.ts',
    may: ['cli/daemon/examine-host.ts', 'cli/host', 'cli/render', 'cli/*', 'proto', 'node:'],
  },
  {
    of: 'cli/commands',
    may: [
      'cli/*',
      'cli/host',
      'cli/lab',
      'cli/render',
      'cli/service',
      'cli/stack',
      'proto',
      'node:',
    ],
  },
  { of: 'cli/bundle.ts', may: ['cli/node-flags.ts', 'node:', 'esbuild'] },
  {
    of: 'cli/*',
    may: ['cli/*', 'cli/commands', 'cli/render', 'cli/service', 'proto', 'node:'],
  },
]

/** Code of other rules: tests import everything, generated code what its generator writes. */
const unchecked =
  /^(test|proto\/gen|raft-ts\/test|build|dist|cluster-examples)$|node_modules$|\/build/

/** Whether the path or package `name` is what `what` of the table names. */
function holds(what, name) {
  if (what.endsWith(':')) return name.startsWith(what)
  if (what.endsWith('/*')) return posix.dirname(name) === what.slice(0, -2)
  return name === what || name.startsWith(`${what}/`)
}

function* sources(root, folder = '') {
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = posix.join(folder, entry.name)
    if (entry.name.startsWith('.') || unchecked.test(path)) continue
    if (entry.isDirectory()) yield* sources(root, path)
    else if (/\.[cm]?tsx?$/.test(path)) yield path
  }
}

/** Comments go, and of strings everything but the specifiers' own characters stays: an import's text is wanted. */
function withoutComments(text) {
  const token =
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g
  return text.replace(token, (found) => (/^\/[/*]/.test(found) ? ' ' : found))
}

/** Every specifier of `import … from`, `export … from`, `import '…'`, `import(…)` and `require(…)`. */
function imported(code) {
  const forms = [
    /^\s*(?:import|export)\b[^'"`]*?\bfrom\s*(['"])(.+?)\1/gm,
    /^\s*import\s*(['"])(.+?)\1/gm,
    /\b(?:import|require)\s*\(\s*(['"`])(.+?)\1/g,
  ]
  return forms.flatMap((form) => [...code.matchAll(form)].map((match) => match[2]))
}

function faultsOf(path, text) {
  const row = table.find(({ of }) => holds(of, path))
  if (row === undefined)
    return [`${path}: no row of the table in .ci/imports.mjs holds it; add one`]
  const code = withoutComments(text)
  const faults = imported(code)
    .map((name) => (name.startsWith('.') ? posix.join(posix.dirname(path), name) : name))
    .filter((name) => !row.may.some((what) => holds(what, name)))
    .map((name) => `${path}: imports ${name}; ${row.of} may import ${row.may.join(', ')} only`)
  const bare = code.replace(/'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/g, '')
  if (row.pure && /\b(?:async|await)\b/.test(bare)) {
    faults.push(`${path}: ${row.of} is pure and so synchronous; move the async code to its shell`)
  }
  return faults
}

const root = process.argv[2] ?? '.'
const faults = [...sources(root)].flatMap((path) =>
  faultsOf(path, readFileSync(join(root, path), 'utf8')),
)
for (const fault of faults) console.error(fault)
process.exitCode = faults.length === 0 ? 0 : 1

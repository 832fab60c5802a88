// Bundles what is shipped into dist/: the command line, small and quick to load, and the programs that a daemon is made
// of. Run from the repository's root by `npm run build`.
import { chmodSync, existsSync, rmSync } from 'node:fs'
import { resolve } from 'node:path'
import { build, type Plugin } from 'esbuild'
import { nodeFlags } from './node-flags.ts'

const outdir = 'dist'

/**
 * Programs beside the command line, by their name in dist/. Code starts one of them by
 * `new URL('./NAME.js', import.meta.url)`, and the source file is called NAME.ts too, so that the same line works from
 * build/ and from dist/. What the command line imports of them is left out of its bundle.
 */
const programs: Readonly<Record<string, string>> = {
  'daemon-main': 'cli/daemon/daemon-main.ts',
  'raft-worker': 'manager/raft/raft-worker.ts',
  'dns-main': 'worker/network/dns/dns-main.ts',
  'prober-main': 'worker/health/prober-main.ts',
}

/** CommonJS dependencies ask for `require`. */
const banner = {
  js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
}

const shared = {
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node20.19',
  outdir,
  logLevel: 'warning',
  legalComments: 'none',
} as const

/**
 * The command line uses messages and service definitions of proto/gen, never the clients there. What those need of grpc-js
 * is replaced by this; using more of it ends the build with an error.
 */
const grpcStandIn = `
  export class Client {}
  export const makeGenericClientConstructor = () => Client
`

const withoutGrpc: Plugin = {
  name: 'without-grpc',
  setup: (context) => {
    context.onResolve({ filter: /^@grpc\/grpc-js$/ }, () => ({
      path: 'grpc-stand-in',
      namespace: 'grpc-stand-in',
    }))
    context.onLoad({ filter: /.*/, namespace: 'grpc-stand-in' }, () => ({ contents: grpcStandIn }))
  },
}

/** zod's messages in other languages are half of its size. */
const withoutLocales: Plugin = {
  name: 'without-locales',
  setup: (context) => {
    context.onResolve({ filter: /^\.\.\/locales\/index\.js$/ }, () => ({
      path: 'no-locales',
      namespace: 'no-locales',
    }))
    context.onLoad({ filter: /.*/, namespace: 'no-locales' }, () => ({ contents: 'export {}' }))
  },
}

/** Imports of a program become imports of its own bundle. */
const programsApart: Plugin = {
  name: 'programs-apart',
  setup: (context) => {
    const bundles = new Map(
      Object.entries(programs).map(([name, source]) => [resolve(source), `./${name}.js`]),
    )
    context.onResolve({ filter: /^\.{1,2}\// }, ({ path, resolveDir }) => {
      const bundle = bundles.get(resolve(resolveDir, path))
      return bundle === undefined ? undefined : { path: bundle, external: true }
    })
  },
}

const shebang = `#!/usr/bin/env -S node ${nodeFlags.join(' ')}`

async function bundleCommandLine(): Promise<void> {
  await build({
    ...shared,
    entryPoints: { tsswarm: 'cli/main.ts' },
    chunkNames: 'cli-[name]-[hash]',
    banner: { js: `${shebang}\n${banner.js}` },
    minify: true,
    plugins: [withoutGrpc, withoutLocales, programsApart],
  })
  chmodSync(`${outdir}/tsswarm.js`, 0o755)
}

async function bundlePrograms(): Promise<void> {
  const missing = Object.values(programs).filter((source) => !existsSync(source))
  if (missing.length > 0) throw new Error(`no such source: ${missing.join(', ')}`)
  await build({
    ...shared,
    entryPoints: { ...programs },
    chunkNames: 'part-[name]-[hash]',
    banner,
    sourcemap: 'linked',
    keepNames: true,
  })
}

rmSync(outdir, { recursive: true, force: true })
await bundleCommandLine()
await bundlePrograms()

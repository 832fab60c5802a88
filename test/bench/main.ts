// The benchmarks by name: `npm run bench -- NAME… [--json] [--no-peer] [--tries=N]`. Without names: all of them. Each is
// loaded when it is run. Ctrl-C ends them; what they made is removed first.
import { hasCode } from '../../proto/errors.ts'
import { parseBenchArguments } from './arguments.ts'
import { tableRows } from './figures.ts'
import type { BenchContext } from './side-by-side.ts'

/** To add a benchmark, add it here. Each resolves with its figures. */
const benchmarks: Readonly<Record<string, (context: BenchContext) => Promise<object>>> = {
  scheduler: async () => (await import('./scheduler.ts')).runSchedulerBench(),
  store: async () => (await import('./store.ts')).runStoreBench(),
  start: async (context) => (await import('./start.ts')).runStartBench(context),
  density: async (context) => (await import('./density.ts')).runDensityBench(context),
  memory: async (context) => (await import('./density.ts')).runMemoryBench(context),
  cli: async (context) => (await import('./cli.ts')).runCliBench(context),
  deploy: async (context) => (await import('./deploy.ts')).runDeployBench(context),
  failover: async (context) => (await import('./failover.ts')).runFailoverBench(context),
  nodeloss: async (context) => (await import('./nodeloss.ts')).runNodelossBench(context),
  update: async (context) => (await import('./update.ts')).runUpdateBench(context),
  network: async (context) => (await import('./network.ts')).runNetworkBench(context),
  health: async (context) => (await import('./health.ts')).runHealthBench(context),
  dns: async (context) => (await import('./dns.ts')).runDnsBench(context),
  raft: async (context) => (await import('./raft.ts')).runRaftBench(context),
}

async function main(args: readonly string[]): Promise<number> {
  const wish = parseBenchArguments(args, Object.keys(benchmarks))
  if (typeof wish === 'string') {
    process.stderr.write(`${wish}\n`)
    return 125
  }
  const results: Record<string, object> = {}
  for (const name of wish.names) {
    const result = await benchmarks[name]?.(wish)
    if (result === undefined) continue
    results[name] = result
    if (!wish.asJson) print(name, result)
  }
  if (wish.asJson) process.stdout.write(`${JSON.stringify(results, undefined, 2)}\n`)
  return 0
}

/** Lists of equal objects become tables. */
function print(name: string, result: object): void {
  process.stdout.write(`\n${name}\n`)
  for (const [part, value] of Object.entries(result)) {
    if (Array.isArray(value)) console.table(tableRows(value))
    else process.stdout.write(`${part}: ${JSON.stringify(value)}\n`)
  }
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (err) {
  if (!hasCode(err, 'CANCELLED')) throw err
  process.stderr.write(`${err.message}\n`)
  // What was still being measured would go on until its deadlines.
  process.exit(130)
}

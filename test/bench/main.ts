// The benchmarks by name: `npm run bench -- NAME… [--json]`. Without names: all of them. Each is loaded when it is run.

/** To add a benchmark, add it here. Each resolves with its figures. */
const benchmarks: Readonly<Record<string, () => Promise<object>>> = {
  scheduler: async () => (await import('./scheduler.ts')).runSchedulerBench(),
  store: async () => (await import('./store.ts')).runStoreBench(),
  deploy: async () => (await import('./deploy.ts')).runDeployBench(),
  failover: async () => (await import('./failover.ts')).runFailoverBench(),
  nodeloss: async () => (await import('./nodeloss.ts')).runNodelossBench(),
  raft: async () => (await import('./raft.ts')).runRaftBench(),
}

async function main(args: readonly string[]): Promise<number> {
  const asJson = args.includes('--json')
  const named = args.filter((arg) => !arg.startsWith('--'))
  const unknown = args.find(
    (arg) => arg !== '--json' && (arg.startsWith('--') || benchmarks[arg] === undefined),
  )
  if (unknown !== undefined) {
    const known = Object.keys(benchmarks).join(', ')
    process.stderr.write(`unknown argument "${unknown}": benchmarks are ${known}; --json\n`)
    return 125
  }
  const results: Record<string, object> = {}
  for (const name of named.length > 0 ? named : Object.keys(benchmarks)) {
    const result = await benchmarks[name]?.()
    if (result === undefined) continue
    results[name] = result
    if (!asJson) print(name, result)
  }
  if (asJson) process.stdout.write(`${JSON.stringify(results, undefined, 2)}\n`)
  return 0
}

/** Lists of equal objects become tables. */
function print(name: string, result: object): void {
  process.stdout.write(`\n${name}\n`)
  for (const [part, value] of Object.entries(result)) {
    if (Array.isArray(value)) console.table(value)
    else process.stdout.write(`${part}: ${JSON.stringify(value)}\n`)
  }
}

process.exitCode = await main(process.argv.slice(2))

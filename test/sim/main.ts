// The simulations by name: `npm run test:sim -- raft --seeds 10000 [--from S]`.
import { simulateClusters } from './cluster.ts'
import { simulateRaft } from './raft.ts'

/** To add a simulation, add it here. Each gets the arguments after its name and resolves with an exit code. */
const simulations: Readonly<Record<string, (args: readonly string[]) => Promise<number>>> = {
  raft: simulateRaft,
  cluster: simulateClusters,
}

async function main(args: readonly string[]): Promise<number> {
  const [name = '', ...rest] = args
  const simulation = simulations[name]
  if (simulation !== undefined) return await simulation(rest)
  const known = Object.keys(simulations).join(', ')
  process.stderr.write(`unknown simulation "${name}"; known are: ${known}\n`)
  return 125
}

process.exitCode = await main(process.argv.slice(2))

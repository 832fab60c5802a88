// The simulations: all of them, `npm run test:sim [-- --seeds N] [--from S]`, or one by name with its own options,
// `npm run test:sim -- raft --seeds 10000 --threads 1`.
import { parseArgs } from 'node:util'
import { simulateClusters } from './cluster.ts'
import { simulateRaft } from './raft.ts'

/** To add a simulation, add it here. Each gets the arguments after its name and resolves with an exit code. */
const simulations: Readonly<Record<string, (args: readonly string[]) => Promise<number>>> = {
  raft: simulateRaft,
  cluster: simulateClusters,
}

const wrongArguments = 125

async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args
  if (name === undefined || name.startsWith('-')) return await simulateAll(args)
  const simulation = simulations[name]
  if (simulation !== undefined) return await simulation(rest)
  const known = Object.keys(simulations).join(', ')
  process.stderr.write(`unknown simulation "${name}"; known are: ${known}\n`)
  return wrongArguments
}

/** Runs one after the other, each with its own default of seeds; the exit code is the first that is not 0. */
async function simulateAll(args: readonly string[]): Promise<number> {
  if (!isOfAll(args)) {
    process.stderr.write(
      'usage: [--seeds N] [--from S]; other options need the name: raft or cluster\n',
    )
    return wrongArguments
  }
  let code = 0
  for (const [name, simulation] of Object.entries(simulations)) {
    process.stdout.write(`== ${name}\n`)
    const ended = await simulation(args)
    if (code === 0) code = ended
  }
  return code
}

/** Whether every simulation takes these arguments. */
function isOfAll(args: readonly string[]): boolean {
  try {
    parseArgs({ args: [...args], options: { seeds: { type: 'string' }, from: { type: 'string' } } })
    return true
  } catch {
    return false
  }
}

process.exitCode = await main(process.argv.slice(2))

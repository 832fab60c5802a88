// `npm run test:faults -- [POINT…] [--amid] [--step 5] [--steps 12] [--userns-remap auto]`. Exit code 0: whatever step the daemon was killed at, the next one
// brought all to the right end; 1: not; 125: wrong arguments.
import { parseArgs } from 'node:util'
import { allFaults, type Fault, FaultRuns, faultsAmid } from './run.ts'

const wrongArguments = 125
const usage = 'usage: [POINT…] [--amid] [--step MS] [--steps COUNT] [--userns-remap VALUE]'

interface Wished {
  readonly faults: readonly Fault[]
  readonly usernsRemap: string
}

function wishedFaults(args: readonly string[]): Wished | undefined {
  try {
    const string = { type: 'string' } as const
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { amid: { type: 'boolean' }, step: string, steps: string, 'userns-remap': string },
      allowPositionals: true,
    })
    const [step, steps] = [Number(values.step ?? 5), Number(values.steps ?? 12)]
    if (!(step > 0 && Number.isSafeInteger(steps) && steps > 0)) return undefined
    const usernsRemap = values['userns-remap'] ?? 'off'
    if (values.amid === true) return { faults: faultsAmid(step, steps), usernsRemap }
    const all = allFaults()
    const known = positionals.every((point) => all.some((fault) => fault.point === point))
    if (!known) return undefined
    const isWished = ({ point }: Fault): boolean =>
      positionals.length === 0 || positionals.includes(point)
    return { faults: all.filter(isWished), usernsRemap }
  } catch {
    return undefined
  }
}

async function main(args: readonly string[]): Promise<number> {
  const wished = wishedFaults(args)
  if (wished === undefined) {
    const points = allFaults().map(({ point }) => point)
    process.stderr.write(`${usage}\npoints: ${points.join(' ')}\n`)
    return wrongArguments
  }
  const { faults, ...options } = wished
  const runs = await FaultRuns.open(options)
  let failed = 0
  let tried = 0
  let isInterrupted = false
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      isInterrupted = true
    })
  }
  try {
    for (const fault of faults) {
      if (isInterrupted) break
      const { ms, wrong } = await runs.run(fault)
      tried += 1
      const after = fault.delayMs === undefined ? '' : ` +${fault.delayMs} ms`
      const verdict = wrong.length === 0 ? 'ok' : 'WRONG'
      process.stdout.write(`${verdict} ${fault.phase} ${fault.point}${after} (${ms} ms)\n`)
      for (const one of wrong) process.stdout.write(`    ${one}\n`)
      failed += wrong.length === 0 ? 0 : 1
    }
  } finally {
    await runs.close()
  }
  process.stdout.write(`${tried - failed} of ${tried} as they ought to be\n`)
  return failed === 0 ? 0 : 1
}

process.exitCode = await main(process.argv.slice(2))

// `npm run test:updates -- [--rounds 1]`: a drain, a worker's daemon killed and the manager's killed, each in the middle of rolling updates.
// Exit code 0: each update ended as it ought to, and no request was lost; 1: otherwise; 125: wrong arguments.
import { parseArgs } from 'node:util'
import { TestLab } from '../support/test-lab.ts'
import { createServices, faults, updateWith } from './run.ts'

const wrongArguments = 125
const usage = 'usage: [--rounds N]'

function wishedRounds(args: readonly string[]): number | undefined {
  try {
    const options = { rounds: { type: 'string', default: '1' } } as const
    const rounds = Number(parseArgs({ args: [...args], options }).values.rounds)
    return Number.isSafeInteger(rounds) && rounds > 0 ? rounds : undefined
  } catch {
    return undefined
  }
}

/** Prints a line a fault; resolves with how many went wrong. */
async function runRounds(lab: TestLab, rounds: number): Promise<number> {
  await createServices(lab)
  let failed = 0
  for (let round = 1; round <= rounds; round++) {
    for (const [i, fault] of faults.entries()) {
      const { ms, looks, answered, wrong } = await updateWith(lab, fault, `round-${round}-${i}`)
      const verdict = wrong.length === 0 ? 'ok' : 'WRONG'
      const counts = `${answered} requests answered, ${looks} looks at the tasks`
      process.stdout.write(`${verdict} ${fault.what}: ${(ms / 1_000).toFixed(1)} s, ${counts}\n`)
      for (const one of wrong) process.stdout.write(`    ${one}\n`)
      failed += wrong.length === 0 ? 0 : 1
    }
  }
  return failed
}

async function main(args: readonly string[]): Promise<number> {
  const rounds = wishedRounds(args)
  if (rounds === undefined) {
    process.stderr.write(`${usage}\n`)
    return wrongArguments
  }
  const lab = await TestLab.up('updates', { managers: 1, workers: 2 })
  try {
    const failed = await runRounds(lab, rounds)
    const all = rounds * faults.length
    process.stdout.write(`${all - failed} of ${all} as they ought to be\n`)
    return failed === 0 ? 0 : 1
  } finally {
    await lab.down()
  }
}

process.exitCode = await main(process.argv.slice(2))
